"""How fast the statistics are, as ratios measured in one run of minutes.

``python -m benchmarks.statistics [--rows 1250000]``

Needs an environment of its own, with the libraries that it compares with:
``uv pip install --editable '.[pack]' --group peers``. Each time is the best of several, alternating between the two
sides, so that a busy machine hurts both. Where both sides compute the same number, it is compared first: a difference
ends the run.
"""

import argparse
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from pytest_modelgates.model.panel import Panel
from pytest_modelgates.model.schema import schema_crc32
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.model.sidecar import Feature, Output, Sidecar
from pytest_modelgates.stats.ablation import ablate
from pytest_modelgates.stats.baseline import beats_baseline, named_metric
from pytest_modelgates.stats.caps import Caps, simulate_within
from pytest_modelgates.stats.comparison import superior_ability
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.decay import rank_ic_decay, top_turnover
from pytest_modelgates.stats.families import one_family
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.leakage import look_ahead, one_day_later
from pytest_modelgates.stats.overfitting import overfitting
from pytest_modelgates.stats.placebo import placebo_test
from pytest_modelgates.stats.portfolio import paper_pnl
from pytest_modelgates.stats.ranks import daily_rank_ic
from pytest_modelgates.stats.resampling import stationary_bootstrap_means
from pytest_modelgates.stats.significance import ewc_p_value, mean_exceeds
from pytest_modelgates.stats.target import compounded
from pytest_modelgates.stats.trials import adjusted_p, align_trials
from pytest_modelgates.stats.walkforward import calendar_folds, folds, join_short
from pytest_modelgates.trials.kept import Kept, kept_of, market_of

try:  # not test dependencies: nothing else needs them
    import lightgbm
    import purgedcv
    from alphalens.performance import factor_information_coefficient
    from arch.bootstrap import StationaryBootstrap
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType
    from skfolio.alpha import _evaluation as skfolio_evaluation
except ImportError as error:
    sys.exit(f"{error}; install the peers named at the top of {__file__}")

DAYS, ASSETS, FEATURES, GROUPS = 2500, 500, 20, 8


def best(*sides: Callable[[], Any], rounds: int) -> list[float]:
    """Best time of each side [s]."""
    times = np.empty((rounds, len(sides)))
    for row in times:
        for index, side in enumerate(sides):
            begin = time.perf_counter()
            side()
            row[index] = time.perf_counter() - begin
    return [float(fastest) for fastest in times.min(axis=0)]


def agree(what: str, ours: Any, theirs: Any) -> None:
    """End the run unless a peer computes what we do."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12, err_msg=what)


def row(what: str, ours: float, limit: str, kept: bool, ratio: float) -> None:
    """Print one line of the table."""
    print(f"| {what} | {1e3 * ours:.3g} ms | {ratio:.3g} × | {limit} | {'yes' if kept else 'NO'} |", flush=True)


def faster(what: str, ours: float, theirs: float, least: float) -> None:
    """Print how many times as fast as a peer we are."""
    row(what, ours, f"≥ {least:g} ×", theirs / ours >= least, theirs / ours)


def costlier(what: str, ours: float, bare: float, most: float) -> None:
    """Print how many times the bare cost we take."""
    row(what, ours, f"≤ {most:g} ×", ours / bare <= most, ours / bare)


def significance() -> None:
    """P-values and bootstraps of one series."""
    x = np.random.default_rng(0).standard_normal(DAYS)
    # What alpha_forecast_evaluation calls for each mean; the rest of that function is not timed.
    skfolio = skfolio_evaluation._mean_inference
    hundred, theirs = best(lambda: [ewc_p_value(x) for _ in range(100)], lambda: skfolio(x, horizon=1), rounds=9)
    cosines = hundred / 100
    faster("p_EWC, 2,500 days, skfolio's alpha_forecast_evaluation", cosines, theirs, 50)
    arch_time, ours = best(
        lambda: StationaryBootstrap(10, x, seed=1).apply(np.mean, 10_000),
        lambda: stationary_bootstrap_means(x, block=10, n_resamples=10_000, seed=1),
        rounds=3,
    )
    faster("p_EWC, 2,500 days, arch's 10,000 stationary bootstraps", cosines, arch_time, 1000)
    faster("10,000 stationary bootstraps of a mean, arch", ours, arch_time, 3)


def rank_ic() -> None:
    """Rank IC of a panel."""
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, DAYS, ASSETS))
    gaps = np.where(random.random(a.shape) < 0.05, np.nan, a)
    tied, tied_too = np.round(a, 1), np.round(b, 1)
    index = pd.MultiIndex.from_product([pd.bdate_range("2010", periods=DAYS), range(ASSETS)], names=["date", "asset"])
    frame = pd.DataFrame({"1D": b.ravel(), "factor": a.ravel()}, index=index)

    def two_sorts(x: np.ndarray, y: np.ndarray) -> None:
        np.argsort(x, axis=1)
        np.argsort(y, axis=1)

    plain, bare = best(lambda: daily_rank_ic(a, b), lambda: two_sorts(a, b), rounds=25)
    agree("rank IC and alphalens", daily_rank_ic(a, b), factor_information_coefficient(frame)["1D"])
    alphalens = best(lambda: factor_information_coefficient(frame), rounds=1)[0]
    faster("daily rank IC, 2,500 × 500, alphalens", plain, alphalens, 10)
    costlier("the same, two argsorts, no ties", plain, bare, 2)
    holed, bare = best(lambda: daily_rank_ic(gaps, b), lambda: two_sorts(gaps, b), rounds=15)
    costlier("the same with NaN, two argsorts", holed, bare, 2)
    even, bare = best(lambda: daily_rank_ic(tied, tied_too), lambda: two_sorts(tied, tied_too), rounds=15)
    costlier("the same with ties, two argsorts", even, bare, 8)


def backtest_overfitting() -> None:
    """Probability of backtest overfitting."""
    x = np.random.default_rng(0).standard_normal((2000, 100))
    ours = best(lambda: overfitting(x), rounds=5)[0]
    row("PBO, 2,000 × 100, S = 16", ours, "≤ 300 ms", ours <= 0.3, ours / 0.3)
    few = x[:, :10]
    peer = purgedcv.probability_of_backtest_overfitting(few.T, 8)
    agree("PBO and purgedcv", overfitting(few, blocks=8).probability, peer.pbo)
    theirs = best(lambda: purgedcv.probability_of_backtest_overfitting(x.T, 16), rounds=1)[0]
    faster("the same, purgedcv", ours, theirs, 20)


def against_a_baseline() -> None:
    """A classifier of a million rows against a constant and against another model, beside scikit-learn on resamples."""
    random, rows, few = np.random.default_rng(0), 1_000_000, 5
    y = (random.random(rows) < 0.3).astype(float)
    model, other = (np.clip(0.3 + 0.1 * (y - 0.3) + 0.1 * random.standard_normal(rows), 0, 1) for _ in range(2))
    for name in ("roc_auc", "neg_log_loss", "neg_brier_score"):
        metric = named_metric(name, labels=True)
        for what, baseline in (("a constant", np.full(rows, y.mean())), ("a model", other)):
            begin = time.perf_counter()
            beats_baseline(y, model, baseline, metric=metric, seed=1)
            ours, begin = time.perf_counter() - begin, time.perf_counter()
            for chosen in random.integers(rows, size=(few, rows)):
                [metric(y[chosen], scores[chosen]) for scores in (model, baseline)]
            theirs = (time.perf_counter() - begin) / few * 999
            label = f"{name}, {rows:,} rows, 999 resamples, {what}, scikit-learn"
            row(label, ours, "≤ 15 s", ours <= 15, theirs / ours)


def panel_of(rows: int) -> tuple[Panel, OnnxModel]:
    """Invent a panel, and a LightGBM of 100 trees as ONNX."""
    random = np.random.default_rng(0)
    assets = rows // DAYS  # always as many days, because folds are years
    names = [f"f{i:02d}" for i in range(FEATURES)]
    x = random.uniform(-0.5, 0.5, (DAYS * assets, FEATURES)).astype(np.float32)
    features = tuple(Feature(name=n, dtype="float32", group=f"g{i % GROUPS}") for i, n in enumerate(names))
    sidecar = Sidecar(
        features=features,
        schema_crc32=schema_crc32((f.name, f.dtype) for f in features),
        output=Output(name="variable", index=0),
        time="time",
        asset="asset",
        target="target",
        horizon=5,
        trained_until=date(2009, 12, 31),
        tried=1,
    )
    y = x[:, :4].sum(axis=1) * 0.001 + 0.01 * random.standard_normal(len(x))
    model = lightgbm.LGBMRegressor(n_estimators=100, verbose=-1).fit(x[:50_000], y[:50_000])
    onnx = convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, FEATURES]))], target_opset=15)
    index = pd.MultiIndex.from_product([pd.bdate_range("2010", periods=DAYS), [f"A{i:03d}" for i in range(assets)]])
    frame = index.to_frame(index=False, name=["time", "asset"])
    frame = pd.concat([frame, pd.DataFrame(x, columns=names)], axis=1)
    frame["ret_next"] = y
    frame["target"] = np.nan_to_num(compounded(y.reshape(DAYS, assets), horizon=5)).ravel()
    frame["reference"] = y
    return Panel(frame, sidecar), OnnxModel(onnx.SerializeToString(), sidecar)


def signal_gates(panel: Panel, predict: Callable[[np.ndarray], np.ndarray]) -> tuple[Any, float]:
    """Measure what the gates of a signal and of its panel measure; return it, and the seconds that ablation took."""
    scores = panel.by_day(predict(panel.features))
    holdings = simulate(scores, panel.returns, horizon=5, cost_bps=2)
    test = mean_exceeds(holdings.ic_net, horizon=5, seed=1)
    caps = Caps(weight=0.2, gross=1, net=0.05)
    measured: list[Any] = [test, paper_pnl(holdings), simulate_within(holdings, panel.returns, caps, cost_bps=2)]
    measured.append(placebo_test(holdings, panel.returns, seed=1))
    measured.append((rank_ic_decay(scores, panel.returns, horizons=[5, 1, 5, 10, 21]), top_turnover(scores)))
    days = panel.days.to_numpy()[holdings.first :].astype("datetime64[D]")
    alone = align_trials(days, holdings.net, holdings.ic_net, [])
    measured.append((market_of(panel), adjusted_p(holdings.ic_net, alone, count=10, horizon=5, seed=1)))
    labels = join_short(calendar_folds(panel.days.to_numpy()[holdings.first :]), purge=holdings.first)
    measured.append((panel.calendar, panel.target_agreement, panel.return_sizes, panel.holes, panel.repeated_days()))
    measured.append(look_ahead(scores, panel.features_by_day, panel.returns, horizon=5))
    measured.append(one_day_later(scores, panel.returns, horizon=5))
    measured.append(folds(holdings.ic_net, labels, purge=holdings.first))
    begin = time.perf_counter()

    def without(positions: list[int]) -> np.ndarray:
        scores = predict(np.concatenate([*panel.blocks(neutral=positions)]))
        return simulate(panel.by_day(scores), panel.returns, horizon=5, cost_bps=2).ic_net

    series = {group: without(positions) for group, positions in panel.sidecar.groups.items()}
    measured.append(ablate(holdings.ic_net, series, margin=0.001, margin_share=0.05, horizon=5))
    return measured, time.perf_counter() - begin


def whole_suite(rows: int) -> None:
    """Gates of a signal on a large panel, beside what ONNX Runtime takes for their own passes."""
    panel, model = panel_of(rows)
    passes: list[float] = []

    def timed(matrix: np.ndarray) -> np.ndarray:
        begin = time.perf_counter()
        scores = model.predict(matrix)
        passes.append(time.perf_counter() - begin)
        return scores

    begin = time.perf_counter()
    _, ablation = signal_gates(panel, timed)
    total = time.perf_counter() - begin
    what = f"{rows:,} × {FEATURES}"
    costlier(f"ablation of {GROUPS} groups, {what}, its ONNX passes", ablation, sum(passes[-GROUPS:]), 1.3)
    costlier(f"all signal gates, {what}, their ONNX passes", total, sum(passes), 1.5)
    size = panel.frame.memory_usage(index=False, deep=False).sum()
    fresh = Panel(panel.frame, panel.sidecar)
    tracemalloc.start()
    signal_gates(fresh, lambda rows: rows[:, 0].astype(np.float64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = "yes" if peak <= 3 * size else "NO"
    content = kept_of(fresh).encoded()
    data, costs = market_of(fresh), Costs(half_spread_bps=2)

    def read_one() -> object:
        kept = Kept.decoded(content, "a trial")
        return one_family(kept.market, data), kept.after(costs, 1e6)

    other = best(read_one, rounds=3)[0]
    one_pass = float(np.mean(passes))
    row(f"each other trial at hand, {what}, an ONNX pass", other, "–", True, other / one_pass)
    holdings = simulate(fresh.by_day(fresh.native_scores), fresh.returns, horizon=5, cost_bps=2)
    placebos = best(lambda: placebo_test(holdings, fresh.returns, seed=1), rounds=3)[0]
    row(f"9,999 relabellings and all rotations, {what}, an ONNX pass", placebos, "–", True, placebos / one_pass)
    series = np.random.default_rng(0).standard_normal((DAYS, 100))
    market = np.arange("2010", "2020", dtype="datetime64[D]")[:DAYS]
    aligned = align_trials(market, series[:, 0], series[:, 0], [(market, net, net) for net in series.T[1:]])
    many = best(
        lambda: (
            superior_ability(series, seed=1, n_resamples=1999),
            adjusted_p(series[:, 0], aligned, count=100, seed=1),
        ),
        rounds=1,
    )[0]
    row("SPA and the adjusted p of 100 trials, 2,500 days, an ONNX pass", many, "–", True, many / one_pass)
    print(
        f"| memory beyond a panel of {size / 1e6:.0f} MB | {peak / 1e6:.0f} MB | {peak / size:.3g} × | ≤ 3 × | {kept} |"
    )


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_250_000)
    warnings.simplefilter("ignore")  # the peers' own
    print("| what, against what | ours | ratio | must reach | kept |\n|---|---|---|---|---|")
    significance()
    rank_ic()
    backtest_overfitting()
    against_a_baseline()
    whole_suite(arguments.parse_args().rows)


if __name__ == "__main__":
    main()
