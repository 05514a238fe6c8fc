"""How often models without skill pass the hard gates of the signal, and how often models with skill do.

Run by itself it prints the tables of docs/statistics.md: ``python tests/calibration/holes_sweep.py``. Every sample has
a seed of its own, so that the same versions print the same tables. ``--only TEXT`` keeps the rows that have it in their
name.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from scipy.signal import lfilter

from examples.sp500.features import load_prices
from examples.sp500.models import MODELS
from pytest_modelgates.stats.holdings import Holdings, simulate
from pytest_modelgates.stats.placebo import placebo_test
from pytest_modelgates.stats.portfolio import paper_pnl
from pytest_modelgates.stats.ranks import Matrix
from pytest_modelgates.stats.significance import ewc_p_value, mean_exceeds
from pytest_modelgates.stats.target import compounded
from pytest_modelgates.stats.trials import adjusted_p, align_trials
from pytest_modelgates.stats.walkforward import folds, length_folds
from tests.calibration.panel_sweep import HARD, Sample, exchange_days, refusals

DAYS, NAMES, SECTORS = 756, 20, 4
RUNS = 1000  # models a row of the printed tables
COST = 2  # basis points
LEAST = 252  # days of a window
# With a horizon of one day: two periods of purge and window_start_days = 10, window_end_days = 30 of the calendar.
STARTS, ENDS = 12, 21
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Panel:
    """Scores and returns of days and names, and what else the maker of the panel did.

    The target is made of the returns, as if after all that was left out, unless the panel has its own. `others` are the
    trials that were not chosen, and `window` says whether `data.window` admits the days.
    """

    scores: Matrix
    returns: Matrix
    target: Matrix | None = None
    others: tuple[Holdings, ...] = ()
    window: bool = True


def lasting(random: Random, shape: tuple[int, int] = (DAYS, NAMES)) -> Matrix:
    """Draw scores without skill that change slowly."""
    return np.cumsum(random.standard_normal(shape), axis=0)


def autoregressive(random: Random, shape: tuple[int, int], memory: float) -> Matrix:
    """Draw scores of variance 1 that remember a share of the day before; with a share of 1 they never change."""
    new = np.sqrt(1 - memory**2) * random.standard_normal(shape)
    new[0] = random.standard_normal(shape[1])
    drawn: Matrix = lfilter([1.0], [1.0, -memory], new, axis=0)
    return drawn


def market(random: Random, shape: tuple[int, int] = (DAYS, NAMES)) -> Matrix:
    """Draw returns with a common factor."""
    shared, own = random.standard_normal((shape[0], 1)), random.standard_normal(shape)
    return 0.01 * shared + 0.01 * own


def invented(random: Random) -> Panel:
    """Draw scores that last, and returns with a common factor."""
    return Panel(lasting(random), market(random))


def fresh(random: Random) -> Panel:
    """Draw scores that are new every day."""
    return Panel(random.standard_normal((DAYS, NAMES)), market(random))


@cache
def real_returns() -> Matrix:
    """Lay out the returns of the example's panel from 2005 on, where prices are fine: 20 names, 17 years."""
    panel = MODELS["ridge_1d"](load_prices()).data.panel
    panel = panel[panel["time"] >= "2005"]
    return panel["ret_next"].to_numpy().reshape(panel["time"].nunique(), -1)


def real(random: Random) -> Panel:
    """Draw scores that last, for real prices."""
    return Panel(lasting(random, real_returns().shape), real_returns())


def remembering(random: Random, memory: float) -> Panel:
    """Draw scores that return to their mean, for real prices."""
    return Panel(autoregressive(random, real_returns().shape, memory), real_returns())


def tilted(random: Random) -> Panel:
    """Draw a portfolio of real names that never changes."""
    days, names = real_returns().shape
    return Panel(np.tile(random.standard_normal(names), (days, 1)), real_returns())


def without(panel: Panel, gone: np.ndarray) -> Panel:
    """Leave rows out."""
    scores, returns = panel.scores, panel.returns
    return replace(panel, scores=np.where(gone, np.nan, scores), returns=np.where(gone, np.nan, returns))


def ragged(random: Random, draw: Callable[[Random], Panel]) -> Panel:
    """Leave out one row in 20, whatever it will earn."""
    panel = draw(random)
    return without(panel, random.random(panel.returns.shape) < 0.05)


def coming_and_going(random: Random) -> Panel:
    """Draw scores that last, for real names of which five stay and the others have rows for a third of the days."""
    panel = real(random)
    days, names = panel.returns.shape
    length = np.where(np.arange(names) < 5, days, days // 3)
    start = random.integers(0, days - length + 1)
    day = np.arange(days)[:, np.newaxis]
    return without(panel, (day < start) | (day >= start + length))


def by_sector(random: Random, memory: float) -> Panel:
    """Draw 4 sectors of 10 names, whose scores and returns mostly are those of their sector."""
    shape, days = (1250, 10 * SECTORS), 1250
    sector = np.repeat(np.arange(SECTORS), 10)
    scores = autoregressive(random, (days, SECTORS), memory)[:, sector] + 0.1 * random.standard_normal(shape)
    return Panel(scores, market(random, shape) + 0.01 * random.standard_normal((days, SECTORS))[:, sector])


def crash_factor(random: Random) -> Matrix:
    """Draw a factor of mean 0 that earns a little on most days and loses much on one in 20."""
    return np.where(random.random((DAYS, 1)) < 0.05, -0.05, 0.05 * 0.05 / 0.95)


def crashing(random: Random) -> Panel:
    """Make scores the loadings on a factor that crashes."""
    loadings = np.linspace(-1, 1, NAMES)
    returns = crash_factor(random) * loadings + 0.01 * random.standard_normal((DAYS, NAMES))
    return Panel(np.tile(loadings, (DAYS, 1)), returns)


def crashing_in_turn(random: Random) -> Panel:
    """Make scores the loadings, which move, on a factor that crashes; a position has those of the day before."""
    loadings = autoregressive(random, (DAYS, NAMES), 0.98) / 2
    returns = 0.01 * random.standard_normal((DAYS, NAMES))
    returns[1:] += crash_factor(random)[1:] * loadings[:-1]
    return Panel(loadings, returns)


def skewed(random: Random, days: int) -> Panel:
    """Make an IC of mean 0 that is -0.9 on one day in 100 and a little above 0 on all others."""
    ic = np.where(random.random(days) < 0.01, -0.9, 0.9 * 0.01 / 0.99)[:, np.newaxis]
    scores = np.linspace(-1, 1, NAMES)
    along = scores / np.linalg.norm(scores)
    noise = random.standard_normal((days, NAMES))
    noise -= noise.mean(axis=1, keepdims=True) + (noise @ along)[:, np.newaxis] * along
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return Panel(np.tile(scores, (days, 1)), 0.05 * (ic * along + np.sqrt(1 - ic**2) * noise))


def held(panel: Panel, *, horizon: int = 1, cost_bps: float = COST) -> Holdings:
    """Hold what a model says."""
    return simulate(panel.scores, panel.returns, horizon=horizon, cost_bps=cost_bps)


def rows_left_out(random: Random, *, anew: bool) -> Panel:
    """Leave the rows out that the position loses most with, one in 200; the target is of before, or made anew."""
    panel = invented(random)
    earned = held(panel, cost_bps=0).weights * panel.returns[1:]
    gone = np.zeros(panel.returns.shape, dtype=bool)
    gone[1:] = earned < np.quantile(earned, 0.005)
    before = np.where(gone, np.nan, compounded(panel.returns, horizon=1))
    return replace(without(panel, gone), target=None if anew else before)


def days_left_out(random: Random, *, anew: bool) -> Panel:
    """Leave the days out on which the IC is lowest, one in 50; the target is of before, or made anew."""
    panel = invented(random)
    ic = held(panel, cost_bps=0).ic
    kept = np.concatenate([[True], ic >= np.quantile(ic, 0.02)])
    before = compounded(panel.returns, horizon=1)[kept]
    return Panel(panel.scores[kept], panel.returns[kept], target=None if anew else before)


def repeated(random: Random) -> Panel:
    """Take the first half of the days twice."""
    panel = invented(random)
    scores, returns = (np.tile(values[: DAYS // 2], (2, 1)) for values in (panel.scores, panel.returns))
    return Panel(scores, returns)


def best_of(random: Random, count: int) -> Panel:
    """Choose the best of many models on the same returns."""
    returns = market(random)
    tried = [Panel(lasting(random), returns) for _ in range(count)]
    found = [held(panel) for panel in tried]
    best = int(np.argmax([one.ic_net.mean() for one in found]))
    return replace(tried[best], others=(*found[:best], *found[best + 1 :]))


def from_many_starts(days: int) -> list[tuple[int, int]]:
    """List windows that begin on one of 17 days and end with the panel."""
    return [(start, days) for start in np.linspace(0, days - LEAST, 17).astype(int).tolist()]


def years_of(days: int) -> list[tuple[int, int]]:
    """List windows of a year that begin a month apart."""
    return [(start, start + LEAST) for start in range(0, days - LEAST + 1, 21)]


def admitted(days: int) -> list[tuple[int, int]]:
    """List every window that `data.window` admits."""
    return [(start, days - end) for start in range(STARTS + 1) for end in range(ENDS + 1)]


def best_window(random: Random, windows: Callable[[int], list[tuple[int, int]]]) -> Panel:
    """Choose the days of a panel on which a model looks best."""
    panel = invented(random)
    ic = held(panel).ic_net
    start, end = min(windows(len(ic)), key=lambda days: ewc_p_value(ic[slice(*days)])[0])
    # A day of IC is that of the position of the day before.
    days = slice(start, end + 1)
    may = start <= STARTS and end >= len(ic) - ENDS
    return Panel(panel.scores[days], panel.returns[days], window=may)


def looking_ahead(random: Random, noise: float) -> Panel:
    """Add noise to the return that a position will earn."""
    returns = market(random)
    scores = noise * random.standard_normal(returns.shape)
    scores[:-1] += returns[1:] / returns.std()
    return Panel(scores, returns)


def skilled(random: Random, memory: float, ic: float) -> Panel:
    """Add to real returns, their days in blocks of five in random order, what the scores of the day before know."""
    blocks = np.array_split(np.arange(len(real_returns())), len(real_returns()) // 5)
    returns = real_returns()[np.concatenate([blocks[block] for block in random.permutation(len(blocks))])]
    scores = autoregressive(random, returns.shape, memory)
    # The mean of what is added is known, the rest is the market's: so the IC of a day is about `ic`.
    returns[1:] += ic * returns[1:].std(axis=1, keepdims=True) * scores[:-1]
    return Panel(scores, returns)


@dataclass(frozen=True, slots=True)
class Passes:
    """Which parts of the suite let a model pass: the gates that the columns of the tables add up."""

    p_against: bool
    folds: bool
    p_names: bool
    p_days: bool
    pnl_p_value: bool
    after_trials: bool
    panel: bool
    sharpe: bool


def judge(panel: Panel, *, horizon: int, seed: int, trials: int = 1) -> tuple[Passes, float]:
    """Judge a model at 2 basis points, one of as many trials as it has others or as are declared; and its mean IC.

    A model that fails for its IC does not pass by its panel or trials either, which take longer and are not asked then.
    """
    own = held(panel, horizon=horizon)
    days = len(own.ic_net)
    years = folds(own.ic_net, length_folds(days, length=min(252, days // 2)), purge=own.first)
    paper = paper_pnl(own)
    placebo = placebo_test(own, panel.returns, n_resamples=999, seed=seed)
    p_against = mean_exceeds(own.ic_net, horizon=horizon, n_resamples=499, seed=seed).p_against
    assert paper.p_value is not None
    good, count = p_against <= 0.10, max(trials, 1 + len(panel.others))
    charged = count == 1 or (good and trials * p_against <= 0.10)
    if charged and count > 1:
        after = placebo_test(own, panel.returns, trials=count, n_resamples=999, seed=seed)
        charged = after.p_value <= 0.10 and (not panel.others or best_is_good(own, panel, seed=seed))
    return Passes(
        p_against=good,
        folds=years.share_positive >= 0.5 and years.worst_p >= 0.01,
        p_names=placebo.p_names <= 0.10,
        p_days=placebo.p_days <= 0.10,
        pnl_p_value=paper.p_value <= 0.25,
        after_trials=charged,
        panel=good and panel.window and refusals(sample_of(panel, horizon=horizon, seed=seed)).isdisjoint(HARD),
        sharpe=paper.annual_return > 0
        and paper.break_even_bps > COST
        and paper.p_value <= 0.10
        and paper.probabilistic_sharpe >= 0.95
        and paper.risk.max_drawdown <= 0.3,
    ), float(own.ic_net.mean())


def best_is_good(own: Holdings, panel: Panel, *, seed: int) -> bool:
    """Judge the chosen one of many trials, all at hand."""
    days = np.arange(len(own.net)).astype("datetime64[D]")
    series = [(days, other.net, other.ic_net) for other in panel.others]
    trials = align_trials(days, own.net, own.ic_net, series)
    return adjusted_p(own.ic_net, trials, count=1 + len(series), seed=seed).p <= 0.10


def sample_of(panel: Panel, *, horizon: int, seed: int) -> Sample:
    """Give a panel dates and a target; its last days look beyond it, as a desk's own files do."""
    random = np.random.default_rng([seed, 1])
    target = compounded(panel.returns, horizon=horizon) if panel.target is None else panel.target
    beyond = np.isnan(target) & ~np.isnan(panel.returns)
    return Sample(
        times=exchange_days(random, len(panel.returns)),
        returns=panel.returns,
        target=np.where(beyond, 0.02 * random.standard_normal(target.shape), target),
        scores=panel.scores,
        features={"score": panel.scores},
        horizon=horizon,
    )


# The columns of the tables: what a model has to pass.
Columns = dict[str, tuple[str, ...]]
BEFORE, PLACEBO = ("p_against", "folds"), ("p_names", "p_days")
MONEY = (*BEFORE, *PLACEBO, "pnl_p_value")
SUITE: Columns = {
    "`p_against`, `wf`": BEFORE,
    "and `placebo`": (*BEFORE, *PLACEBO),
    "and `pnl.p_value`": MONEY,
    "and `data`, `leak`": (*MONEY, "panel"),
    "after all trials": (*MONEY, "panel", "after_trials"),
}
IN_HOLES: Columns = {
    **SUITE,
    "and `pnl.sharpe`": (*MONEY, "panel", "after_trials", "sharpe"),
    "p_names alone": ("p_names",),
    "p_days alone": ("p_days",),
    "both alone": PLACEBO,
}
IN_POWER: Columns = {
    **SUITE,
    "and `pnl.sharpe`, one trial": (*MONEY, "panel", "sharpe"),
    'with `placebo = "names"`, one trial': (*BEFORE, "p_names", "pnl_p_value", "panel"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of model; `trials` are those that are declared and not at hand."""

    draw: Callable[[Random], Panel]
    horizon: int = 1
    trials: int = 1


HOLES: dict[str, Row] = {
    "none: 20 invented names, scores that last": Row(invented),
    "none: scores that are new every day": Row(fresh),
    "scores that last, on the example's real prices": Row(real),
    "the same, held for five days": Row(real, horizon=5),
    "the same, with one row in 20 missing": Row(partial(ragged, draw=real)),
    "the same, with names that come and go": Row(coming_and_going),
    "AR(0.98) scores, on the example's real prices": Row(partial(remembering, memory=0.98)),
    "AR(0.999) scores, on the example's real prices": Row(partial(remembering, memory=0.999)),
    "a portfolio of real names that never changes": Row(tilted),
    "a portfolio of real names that never changes, one row in 20 missing": Row(partial(ragged, draw=tilted)),
    "scores of four sectors, AR(0.999)": Row(partial(by_sector, memory=0.999)),
    "a factor of mean 0 that crashes one day in 20": Row(crashing),
    "the same, with loadings that move": Row(crashing_in_turn),
    "IC of mean 0, -0.9 one day in 100, 120 days": Row(partial(skewed, days=120)),
    "the same, 750 days": Row(partial(skewed, days=750)),
    "the best of 27 that last, on invented names": Row(partial(best_of, count=27)),
    "the best of 17 days to start on": Row(partial(best_window, windows=from_many_starts)),
    "the best year of three": Row(partial(best_window, windows=years_of)),
    "the best of all windows that `data.window` admits": Row(partial(best_window, windows=admitted)),
    "the return that will be earned, and twice its size of noise": Row(partial(looking_ahead, noise=2)),
    "the same, six times its size": Row(partial(looking_ahead, noise=6)),
    "six times, held for five days": Row(partial(looking_ahead, noise=6), horizon=5),
    "the same, twenty times its size": Row(partial(looking_ahead, noise=20)),
    "one row in 200 left out, knowing what it will lose": Row(partial(rows_left_out, anew=False)),
    "the same, and the target made anew": Row(partial(rows_left_out, anew=True)),
    "one day in 50 left out, knowing its IC": Row(partial(days_left_out, anew=False)),
    "the same, and its target made anew": Row(partial(days_left_out, anew=True)),
    "the same days twice, one after the other": Row(repeated),
}
SIGNALS: dict[str, Row] = {
    f"memory {memory}, IC {ic}": Row(partial(skilled, memory=memory, ic=ic), horizon=5, trials=27)
    for memory, ic in [
        (0.9, 0.01),
        (0.9, 0.016),
        (0.98, 0.009),
        (0.98, 0.014),
        (0.998, 0.01),
        (0.998, 0.016),
        (1, 0.01),
        (1, 0.016),
    ]
}


def judged(row: Row, *, runs: int, seed: int) -> tuple[list[Passes], float]:
    """Judge as many models of a kind; beside that, the mean of their ICs after costs."""
    found = [
        judge(row.draw(np.random.default_rng([run, seed])), horizon=row.horizon, seed=run, trials=row.trials)
        for run in range(runs)
    ]
    return [passed for passed, _ in found], float(np.mean([ic for _, ic in found]))


def shares(found: list[Passes], columns: Columns) -> list[float]:
    """Share of models that pass all that each column asks [%]."""
    table = np.array([[all(getattr(one, gate) for gate in gates) for gates in columns.values()] for one in found])
    percent: list[float] = (100 * table.mean(axis=0)).tolist()
    return percent


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=RUNS)
    arguments.add_argument("--seed", type=int, default=12)
    arguments.add_argument("--only", default="", metavar="TEXT")
    given = arguments.parse_args()
    for title, rows, columns in (("without skill", HOLES, IN_HOLES), ("with skill", SIGNALS, IN_POWER)):
        print("|", " | ".join([title, *columns, "IC after costs"]), "|\n" + "|---" * (len(columns) + 2) + "|")
        for name, row in rows.items():
            if given.only in name:
                found, ic = judged(row, runs=given.runs, seed=given.seed)
                cells = [f"{share:.1f}" for share in shares(found, columns)]
                print("|", " | ".join([name, *cells, f"{ic:.4f}"]), "|", flush=True)
        print()


if __name__ == "__main__":
    main()
