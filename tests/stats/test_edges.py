"""No public statistic ends in anything but a refusal of ours or a finite result, whatever it is given."""

import dataclasses
import importlib
import inspect
import itertools
import math
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pytest_modelgates.stats
from pytest_modelgates import drift
from pytest_modelgates.drift import index
from pytest_modelgates.errors import InsufficientDataError, ModelgatesError, StatisticsError
from pytest_modelgates.stats import (
    ablation,
    agreement,
    arms,
    attendance,
    baseline,
    caps,
    comparison,
    copy_effects,
    costs,
    days,
    decay,
    families,
    giveaway,
    holdings,
    leakage,
    left_out,
    markets,
    overfitting,
    placebo,
    plausible,
    portfolio,
    purging,
    quantiles,
    ranks,
    repeats,
    resampling,
    risk,
    sequential,
    sharpe,
    significance,
    spread,
    sufficiency,
    target,
    trials,
    walkforward,
    weighted,
)

RANDOM = np.random.default_rng(0)
SERIES, OTHER = RANDOM.standard_normal((2, 120))
SCORES, RETURNS = RANDOM.standard_normal((2, 40, 12))
MATRIX = RANDOM.standard_normal((60, 3))
DAYS = np.repeat(np.arange("2024-01-01", "2024-01-31", dtype="datetime64[D]"), 4)
DATES = pd.bdate_range("2022-01-03", periods=120).to_numpy()
SHARPE = sharpe.sharpe_of(SERIES)
HELD = holdings.simulate(SCORES, RETURNS, horizon=2, cost_bps=1)
RETURNS_LONG = np.resize(RETURNS, (120, 12))
HELD_LONG = holdings.simulate(np.resize(SCORES, (120, 12)), RETURNS_LONG, horizon=2, cost_bps=1)
ONE_DAY = holdings.simulate(SCORES[:3], RETURNS[:3], horizon=3, cost_bps=1, lag=0)
TRIALS = trials.align_trials(DATES, SERIES, OTHER, [(DATES, OTHER, SERIES)])


def negative_error(truth: np.ndarray, guess: np.ndarray) -> float:
    """A metric of which higher is better."""
    return -float(np.abs(truth - guess).mean())


# A call of each public function that works; what is a default there is given too, so that it can be spoiled.
CALLS: dict[Callable[..., Any], dict[str, Any]] = {
    ablation.ablate: {
        "ic": SERIES,
        "without": {"a": OTHER},
        "margin": 0.001,
        "margin_share": 0.05,
        "horizon": 1,
        "seed": 1,
        "level": 0.1,
        "n_resamples": 99,
    },
    arms.arm_days: {"scores": SCORES, "returns": RETURNS, "horizon": 2},
    arms.difference: {"first": SERIES, "second": OTHER},
    arms.as_it_grew: {"first": SERIES, "second": OTHER},
    agreement.daily_agreement: {"a": SERIES, "b": OTHER, "days": DAYS, "top": 0.1},
    agreement.disordered: {"native": SERIES, "other": OTHER, "days": DAYS, "margin": 0.1},
    attendance.holes: {"target": RETURNS, "scores": SCORES, "returns": RETURNS, "horizon": 1},
    attendance.share_of_survivors: {"returns": RETURNS},
    attendance.why_nobody_left: {"rows": 480, "periods_per_year": 252.0},
    baseline.beats_baseline: {
        "truth": SERIES,
        "model": OTHER,
        "baseline": np.zeros(120),
        "metric": negative_error,
        "seed": 1,
        "days": DAYS,
        "bound": 0.0,
        "n_resamples": 99,
    },
    caps.within: {"position": SCORES, "caps": caps.Caps(weight=0.2, gross=1, net=0.1)},
    caps.slowed: {"wanted": SCORES[0], "before": SCORES[1], "most": 0.5},
    caps.simulate_within: {
        "holdings": HELD,
        "returns": RETURNS,
        "caps": caps.Caps(weight=0.1),
        "cost_bps": 1.0,
        "volume": np.ones((40, 12)),
    },
    comparison.superior_ability: {"gains": MATRIX, "seed": 1, "block": 2.0, "n_resamples": 99},
    comparison.step_down: {"gains": MATRIX, "bound": 0.0, "seed": 1, "block": 2.0, "n_resamples": 99},
    copy_effects.trade_difference: {
        "native": SCORES,
        "other": SCORES + 0.01,
        "returns": RETURNS,
        "horizon": 2,
        "cost_bps": 1.0,
    },
    copy_effects.tied_rows: {"scores": SERIES, "days": DAYS},
    days.calendar: {"times": DATES},
    days.periods_per_year: {"times": DATES},
    days.read_times: {"times": DATES},
    days.rows_by_day: {"days": DAYS, "rows": 120},
    decay.forward_returns: {"returns": RETURNS, "horizon": 2, "lag": 1},
    decay.rank_ic_decay: {"scores": SCORES, "returns": RETURNS, "horizons": [1, 5], "lag": 1},
    decay.top_turnover: {"scores": SCORES, "share": 0.1, "lag": 1},
    decay.rank_autocorrelation: {"scores": SCORES, "lag": 1},
    decay.information_ratio: {"ic": SERIES, "days_per_year": 252.0},
    holdings.rank_weights: {"scores": SCORES},
    holdings.tranche_weights: {"weights": SCORES, "horizon": 2, "lag": 1},
    holdings.simulate: {
        "scores": SCORES,
        "returns": RETURNS,
        "horizon": 2,
        "cost_bps": 1.0,
        "lag": 1,
        "volume": np.ones((40, 12)),
    },
    holdings.evaluate_positions: {
        "position": SCORES,
        "returns": RETURNS,
        "cost_bps": 1.0,
        "first": 0,
        "volume": np.ones((40, 12)),
    },
    leakage.look_ahead: {"scores": SCORES, "features": {"a": SCORES}, "returns": RETURNS, "horizon": 2},
    leakage.one_day_later: {"scores": SCORES, "returns": RETURNS, "horizon": 2},
    leakage.steadiness: {"net": SERIES, "periods_per_year": 252.0},
    giveaway.giveaway: {"features": {"a": SERIES[:60]}, "outcome": SERIES[60:120], "classes": False},
    left_out.left_out: {"target": RETURNS, "features": {"a": SCORES}, "returns": RETURNS, "horizon": 2, "gaps": [5, 9]},
    markets.closed_days: {"returns": np.where(SCORES > 2, np.nan, SCORES)},
    overfitting.overfitting: {"returns": MATRIX, "blocks": 4},
    placebo.placebo_test: {"holdings": HELD_LONG, "returns": RETURNS_LONG, "n_resamples": 99, "seed": 1},
    placebo.unit_paths: {"holdings": HELD, "returns": RETURNS},
    plausible.return_sizes: {"returns": RETURNS, "periods_per_year": 252.0},
    portfolio.paper_pnl: {"holdings": HELD, "days_per_year": 252.0, "volume": np.ones((38, 12))},
    purging.leaking: {"train": np.arange(50), "test": np.arange(50, 60), "horizon": 1, "lag": 1, "embargo": 0},
    purging.purged: {"train": np.arange(50), "test": np.arange(50, 60), "horizon": 1, "lag": 1, "embargo": 0},
    purging.walk_forward: {"n_days": 100, "train": 20, "test": 10, "purge": 2},
    purging.combinatorial: {"n_days": 100, "groups": 5, "tested": 2, "horizon": 1, "lag": 1, "embargo": 0},
    purging.paths: {"n_days": 100, "groups": 5, "tested": 2},
    quantiles.numbers: {"values": SERIES, "name": "series"},
    quantiles.finite_series: {"values": SERIES, "name": "series", "at_least": 1},
    quantiles.labels: {"values": np.repeat([1, 2, 3], 40), "name": "fold", "rows": 120},
    quantiles.quantile: {"x": SERIES, "q": 0.5},
    quantiles.quantile_interval: {"x": SERIES, "q": 0.5, "level": 0.9},
    ranks.daily_matrix: {"values": SCORES, "name": "scores"},
    ranks.daily_rank_ic: {"scores": SCORES, "target": RETURNS},
    repeats.repeated_days: {"returns": RETURNS},
    repeats.repeated_names: {"returns": RETURNS},
    resampling.optimal_block_length: {"x": SERIES},
    resampling.stationary_bootstrap_means: {"x": SERIES, "block": 2.0, "n_resamples": 99, "seed": 1},
    resampling.stationary_bootstrap_joint_means: {"x": MATRIX, "block": 2.0, "n_resamples": 99, "seed": 1},
    resampling.stationary_bootstrap_variance: {"x": SERIES, "block": 2.0},
    risk.risk_of: {"returns": SERIES / 100, "tail": 0.05},
    risk.drawdowns: {"returns": SERIES / 100},
    risk.alpha_beta: {"returns": SERIES, "market": OTHER},
    sequential.dkw_radius: {"rows": 100.0, "level": 0.05},
    sequential.uniform_radius: {"rows": 100.0, "level": 0.05, "first": 20.0},
    sequential.look_level: {"elapsed": 0.5, "days_per_alarm": 20.0},
    sequential.rows_to_see: {"distance": 0.1, "level": 0.05},
    sequential.chance_of_share: {"found": 9, "of": 100, "share": 0.05},
    sequential.mean_radius: {"values": SERIES, "level": 0.05, "sharpest": 60.0},
    sharpe.Sharpe: {"ratio": 0.1, "n": 100, "skewness": 0.0, "kurtosis": 3.0},
    sharpe.sharpe_of: {"returns": SERIES, "riskless": 0.0},
    sharpe.sharpe_error: {"sharpe": SHARPE},
    sharpe.probabilistic_sharpe: {"sharpe": SHARPE, "benchmark": 0.0},
    sharpe.expected_best_sharpe: {"trials": 10, "variance": 0.1},
    sharpe.deflated_sharpe: {"sharpe": SHARPE, "trials": 10, "variance": 0.1},
    sharpe.minimum_track_record: {"sharpe": SHARPE, "benchmark": 0.0, "confidence": 0.95},
    sharpe.minimum_backtest_years: {"trials": 10, "sharpe": 1.0},
    significance.ewc_p_value: {"x": SERIES, "bound": 0.0},
    significance.ewc_error: {"x": SERIES},
    significance.newey_west_error: {"x": SERIES, "lags": 6},
    significance.ewc_bounds: {"x": SERIES, "confidence": 0.9},
    significance.mean_exceeds: {"x": SERIES, "bound": 0.0, "horizon": 1, "n_resamples": 99, "seed": 1},
    significance.mean_exceeds_closed: {"x": SERIES, "bound": 0.0, "horizon": 1},
    significance.holm: {"p_values": np.array([0.1, 0.2])},
    spread.spread: {"scores": SERIES, "days": DAYS},
    sufficiency.too_little: {"days": 100, "horizon": 1, "names": 12.0},
    sufficiency.needed_days: {"horizon": 1},
    sufficiency.minimum_detectable: {"x": SERIES, "level": 0.1, "power": 0.8},
    sufficiency.more_days: {"x": SERIES, "effect": 0.01, "level": 0.1, "power": 0.8},
    sufficiency.why_unseen: {"x": SERIES, "effect": 0.01},
    target.compounded: {"returns": RETURNS, "horizon": 2, "lead": 1},
    target.target_agreement: {"target": RETURNS, "returns": RETURNS, "horizon": 2},
    trials.adjusted_p: {"ic_net": OTHER, "trials": TRIALS, "count": 5, "horizon": 1, "seed": 1},
    trials.ratio_variance: {"trials": TRIALS},
    trials.count_trials: {"declared": 3, "seen": 2},
    walkforward.folds: {"ic": SERIES, "labels": np.repeat([1, 2, 3], 40), "purge": 2},
    walkforward.calendar_folds: {"times": DATES},
    walkforward.folds_of_days: {"ic": SERIES, "times": DATES, "purge": 2},
    walkforward.length_folds: {"n_days": 100, "length": 20},
    walkforward.join_short: {"labels": np.repeat([1, 2, 3], 40), "purge": 2, "at_least": 20},
    walkforward.retained: {"out_of_sample": 0.1, "in_sample": 0.2},
    drift.psi: {"golden": SERIES, "current": OTHER, "bins": 10},
    drift.ks_test: {"golden": SERIES, "current": OTHER},
    drift.detect_drift: {"golden": np.tile(SERIES, 2), "current": np.tile(OTHER, 2)},
}
# These take what another public function has read, or no numbers at all.
TAKE_WHAT_WAS_READ = {
    holdings.gross_one,
    holdings.about_market,
    placebo.relabelled,
    placebo.rotations,
    ranks.centred_ranks,
    ranks.highest,
    ranks.same_shape,
    costs.participation,
    costs.daily_cost,
    costs.cost_of,
    costs.sold_short,
    families.market_hashes,
    families.one_family,
    holdings.per_scale,
    holdings.moving,
    holdings.dispersion,
    portfolio.exposures,
    portfolio.worst,
    resampling.joint_means_in_parts,
    trials.align_trials,
    copy_effects.rows_at_thresholds,
    quantiles.is_constant,
    quantiles.refuse_constant,
    baseline.named_metric,
    weighted.weighted_gain,
    drift.save_golden_predictions,
    drift.load_golden_predictions,
    index.contributions,
    index.critical_value,
    index.chi_squared_tail,
    index.chi_squared_quantile,
    agreement.mean_agreement,
}
# NaN stands for "no row", "no IC that day" or "beyond the panel" in what these return, as their docstrings say.
MAY_HOLD_NAN = {
    arms.arm_days,
    decay.forward_returns,
    decay.rank_autocorrelation,
    quantiles.numbers,
    ranks.daily_matrix,
    ranks.daily_rank_ic,
    target.compounded,
    drift.detect_drift,
}
# "Nothing was traded", "no length settles it" and their like are infinite, as their docstrings say.
MAY_BE_INFINITE = {
    sequential.dkw_radius,
    sequential.uniform_radius,
    sequential.rows_to_see,
    decay.rank_ic_decay,
    leakage.steadiness,
    portfolio.paper_pnl,
    sharpe.minimum_track_record,
    sharpe.minimum_backtest_years,
    risk.risk_of,
    quantiles.numbers,
    quantiles.labels,
    quantiles.quantile_interval,
}

NAT = np.datetime64("NaT", "D")
HOSTILE: dict[str, Any] = {
    "empty": [],
    "empty-matrix": np.empty((0, 3)),
    "no-columns": np.empty((40, 0)),
    "one": [0.5],
    "two": [0.5, -0.5],
    "one-day": SCORES[:1],
    "one-name": SCORES[:, :1],
    "scalar": np.float64(0.5),
    "constant": np.full(120, 0.25),
    "constant-matrix": np.full((40, 12), 0.25),
    "zeros": np.zeros(120),
    "zero-matrix": np.zeros((40, 12)),
    "nan": np.where(np.arange(120) == 7, np.nan, SERIES),
    "all-nan": np.full(120, np.nan),
    "nan-matrix": np.full((40, 12), np.nan),
    "nan-cell": np.where(np.arange(480).reshape(40, 12) == 7, np.nan, SCORES),
    "nan-day": np.where(np.arange(40)[:, np.newaxis] == 7, np.nan, SCORES),
    "infinite": np.where(np.arange(120) == 7, -np.inf, SERIES),
    "infinite-cell": np.where(np.arange(480).reshape(40, 12) == 7, np.inf, SCORES),
    "large": SERIES * 1e300,
    "large-matrix": SCORES * 1e300,
    "largest-matrix": np.where(SCORES > 0, 1.0, -1.0) * np.finfo(float).max,
    "denormal": SERIES * 1e-310,
    "denormal-matrix": SCORES * 1e-310,
    "outlier": np.where(np.arange(120) == 7, 1e90, SERIES),
    "nat": np.where(np.arange(120) == 7, NAT, DAYS),
    "all-nat": np.full(120, NAT),
    "no-time": np.array([], dtype="datetime64[D]"),
    "one-time": DATES[:1],
    "same-time": np.repeat(DATES[:1], 120),
    "far-times": np.array(["-9999-01-01", "9999-12-31"], dtype="datetime64[D]"),
    "words": ["a", "b"],
    "object": [1, None, "a"],
    "ragged": [[1.0, 2.0], [3.0]],
    "complex": SERIES + 1j,
    "integers": np.arange(120) - 60,
    "large-integers": [2**63, -(2**63), 5],
    "booleans": SERIES > 0,
}
NUMBERS = [0, -1, 1, 2, 3, 19, 10**6, 0.0, -0.5, 0.999, 1e-320, 1e300, math.nan, math.inf, -math.inf]
# A length of a year is no memory to fill: these bounds are the caller's own choice.
NEVER_LARGE = {
    "n_resamples",
    "n_days",
    "train",
    "test",
    "groups",
    "horizon",
    "purge",
    "at_least",
    "rows",
    "ulps",
    "seed",
}
SHARPES = [
    sharpe.Sharpe(ratio=2.0, n=2, skewness=1.0, kurtosis=2.0),
    sharpe.Sharpe(ratio=0.0, n=2, skewness=1.0, kurtosis=2.0),
    sharpe.Sharpe(ratio=1e50, n=2),
    sharpe.Sharpe(ratio=1e-320, n=10**9),
    sharpe.Sharpe(ratio=-1e50, n=30, skewness=1e24, kurtosis=1e49),
]


def spoiled_numbers(value: float) -> list[float]:
    """Give what may stand in the place of a number; of a count, other counts alone."""
    return [number for number in NUMBERS if not (isinstance(value, int) and isinstance(number, float))]


def spoiled(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Give what may stand in the place of an argument."""
    if isinstance(value, str) or callable(value):
        return
    if isinstance(value, int | float):
        for number in spoiled_numbers(value):
            if not (name in NEVER_LARGE and number > 1000):
                yield repr(number), number
    elif isinstance(value, sharpe.Sharpe):
        yield from ((repr(each), each) for each in SHARPES)
    elif isinstance(value, holdings.Holdings):
        yield "one held day", ONE_DAY
        for field, series in itertools.product(
            ("net", "gross", "turnover", "market"), ("zeros", "nan", "large", "one")
        ):
            yield f"{field} {series}", dataclasses.replace(HELD, **{field: np.resize(HOSTILE[series], HELD.net.shape)})
    elif isinstance(value, trials.TrialSeries):
        for what, series in (("one day", TRIALS.net[:1]), ("no day", TRIALS.net[:0]), ("constant", np.zeros((50, 2)))):
            yield what, dataclasses.replace(TRIALS, net=series)
    elif isinstance(value, Mapping):
        yield "no entry", {}
        for what, series in HOSTILE.items():
            yield what, dict.fromkeys(value, series)
    elif isinstance(value, list):
        yield from ((repr(numbers), numbers) for numbers in [[], *([number] for number in spoiled_numbers(value[0]))])
    elif not dataclasses.is_dataclass(value):
        yield from HOSTILE.items()


def attempts(function: Callable[..., Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Spoil each argument alone, then all arrays alike."""
    usual = CALLS[function]
    yield "as it works", usual
    for name, value in usual.items():
        for what, hostile in spoiled(name, value):
            yield f"{name}: {what}", usual | {name: hostile}
    arrays = [name for name, value in usual.items() if isinstance(value, np.ndarray)]
    if len(arrays) > 1:
        for what, hostile in HOSTILE.items():
            yield f"all: {what}", usual | dict.fromkeys(arrays, hostile)
            given = np.asarray(hostile, dtype=object) if what == "ragged" else np.asarray(hostile)
            if "days" in usual and given.ndim == 1:
                yield f"all but days: {what}", usual | dict.fromkeys(arrays, hostile) | {"days": np.arange(given.size)}
                one = dict.fromkeys(arrays, hostile) | {"days": np.zeros(given.size)}
                yield f"all on one day: {what}", usual | one


def values_of(result: Any) -> Iterator[float]:
    """Give every number of a result."""
    if dataclasses.is_dataclass(result):
        for field in dataclasses.fields(result):
            yield from values_of(getattr(result, field.name))
    elif isinstance(result, Mapping):
        yield from itertools.chain.from_iterable(map(values_of, result.values()))
    elif isinstance(result, list | tuple | Iterator):
        yield from itertools.chain.from_iterable(map(values_of, result))
    elif isinstance(result, np.ndarray):
        if result.dtype.kind == "f":
            yield from result.ravel().tolist()
    elif isinstance(result, float):
        yield result


def complaint(function: Callable[..., Any], arguments: dict[str, Any]) -> str | None:
    """Say what is wrong with how a call ended, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = list(values_of(function(**arguments)))
    except ModelgatesError as refusal:
        return None if str(refusal) else "a refusal without a word"
    except Exception as error:  # whatever it is, it is the finding
        return f"{type(error).__name__}: {error}"
    if any(map(math.isnan, found)) and function not in MAY_HOLD_NAN:
        return "a result of NaN"
    if any(map(math.isinf, found)) and function not in MAY_BE_INFINITE:
        return "an infinite result"
    return None


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_a_public_statistic_refuses_or_gives_finite_numbers(function: Callable[..., Any]) -> None:
    assert list(values_of(function(**CALLS[function]))) is not None
    wrong = {what: said for what, arguments in attempts(function) if (said := complaint(function, arguments))}
    assert wrong == {}


def test_every_public_statistic_is_tried() -> None:
    modules = [
        importlib.import_module(f"pytest_modelgates.stats.{module.name}")
        for module in pkgutil.iter_modules(pytest_modelgates.stats.__path__)
    ]
    public = {
        function
        for module in [*modules, index]
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    } | {getattr(drift, name) for name in drift.__all__ if inspect.isfunction(getattr(drift, name))}
    assert {each.__qualname__ for each in public - CALLS.keys() - TAKE_WHAT_WAS_READ} == set()


TOO_LITTLE: list[Any] = [
    pytest.param(
        lambda: caps.simulate_within(ONE_DAY, RETURNS[:3], caps.Caps(), cost_bps=1),
        "1 held days, expected at least 2: the trades into the first position are not known",
        id="caps-on-one-day",
    ),
    pytest.param(
        lambda: trials.ratio_variance(dataclasses.replace(TRIALS, net=TRIALS.net[:1])),
        "1 days of trials, expected at least 2: measure more",
        id="trials-of-one-day",
    ),
    pytest.param(
        lambda: walkforward.join_short([], purge=1), "no days to join into folds, expected at least 1", id="no-days"
    ),
]
WRONG: list[Any] = [
    pytest.param(
        lambda: sharpe.probabilistic_sharpe(SHARPES[0]),
        "Sharpe(ratio=2.0, n=2, skewness=1.0, kurtosis=2.0) has an error of 0, so chance cannot be told from skill: "
        "its returns take two values alone; measure more",
        id="ratio-without-error",
    ),
    pytest.param(
        lambda: sharpe.minimum_track_record(SHARPE, benchmark=math.nan),
        "the benchmark is a ratio of nan, expected a number: such as 0",
        id="benchmark",
    ),
    pytest.param(
        lambda: trials.align_trials(DATES[1:], SERIES, OTHER, []),
        "119 days of 120 returns and ICs: give one of each a day",
        id="trial-of-two-lengths",
    ),
    pytest.param(
        lambda: walkforward.calendar_folds(HOSTILE["nat"]),
        "1 of 120 times missing: drop them",
        id="fold-without-a-date",
    ),
    pytest.param(
        lambda: walkforward.calendar_folds(["soon"]),
        'times cannot be read as dates (Error parsing datetime string "soon" at position 0): give datetime64',
        id="fold-of-words",
    ),
    pytest.param(
        lambda: walkforward.join_short([1.0, math.nan], purge=1),
        "1 of 2 labels missing: drop their rows",
        id="label-missing",
    ),
    pytest.param(
        lambda: walkforward.join_short([["a"], ["b"]], purge=1),
        "2 rows, labels of shape (2, 1): give one label a row",
        id="label-matrix",
    ),
    pytest.param(lambda: walkforward.retained(math.nan, 0.1), "ICs of nan and 0.1, expected numbers", id="ic-retained"),
    pytest.param(
        lambda: drift.psi(np.ma.array(SERIES, mask=SERIES > 1), OTHER),
        f"golden holds {int((SERIES > 1).sum())} NaN or infinite of {SERIES.size} values: repair them, or count them "
        "apart with detect_drift",
        id="masked",
    ),
    pytest.param(
        lambda: drift.psi(SERIES, OTHER + 1j),
        "current cannot be read as numbers (complex128): give one real number a place",
        id="complex",
    ),
    pytest.param(
        lambda: ranks.daily_matrix(SCORES * 1e300, "scores"),
        f"scores reaches {np.abs(SCORES).max() * 1e300:.3g} in size, expected at most 1e+100: use another unit",
        id="large",
    ),
    pytest.param(
        lambda: overfitting.overfitting(MATRIX * 1e300),
        f"returns reach {np.abs(MATRIX).max() * 1e300:.3g} in size, expected at most 1e+100: use another unit",
        id="large-returns",
    ),
    pytest.param(
        lambda: comparison.superior_ability(MATRIX, seed=1, block=1e300),
        "blocks of 1e+300 of 60 days leave no variance: give shorter ones",
        id="endless-blocks",
    ),
    pytest.param(
        lambda: decay.information_ratio(SERIES, days_per_year=-1), "a year of -1 days, expected more than 0", id="year"
    ),
    pytest.param(
        lambda: holdings.evaluate_positions(SCORES, RETURNS, cost_bps=1, first=-1),
        "the first day is -1, expected at least 0",
        id="first-day",
    ),
    pytest.param(
        lambda: purging.leaking([0.5, math.nan, 3], [4], horizon=1),
        "2 training days are no whole numbers: count days from 0",
        id="half-days",
    ),
    pytest.param(
        lambda: purging.paths(100, groups=0, tested=0),
        "0 of 0 groups of 100 days: expected fewer tested than groups than days",
        id="no-groups",
    ),
    pytest.param(
        lambda: sufficiency.more_days(SERIES, effect=1e-320),
        "the effect looked for is 1e-320: no number of days would show it",
        id="no-effect",
    ),
]


@pytest.mark.parametrize(("call", "message"), TOO_LITTLE)
def test_too_little_is_said_to_be_too_little(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InsufficientDataError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_what_cannot_be_answered_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call()


def test_the_length_of_blocks_has_no_unit() -> None:
    expected = resampling.optimal_block_length(SERIES)
    assert {resampling.optimal_block_length(SERIES * unit) for unit in (2.0**-300, 2.0**300)} == {expected}
