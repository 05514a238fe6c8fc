"""How often models without skill pass the hard gates of the signal, and how often models with skill do.

Run by itself it prints the tables of docs/statistics.md: ``python tests/calibration/holes_sweep.py``. Every sample has
a seed of its own, so that the same versions print the same tables. ``--only TEXT`` keeps the rows that have it in their
name.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from scipy.signal import lfilter

from examples.sp500.features import load_prices
from examples.sp500.models import MODELS
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.placebo import placebo_test
from pytest_modelgates.stats.portfolio import paper_pnl
from pytest_modelgates.stats.ranks import Matrix
from pytest_modelgates.stats.significance import mean_exceeds
from pytest_modelgates.stats.walkforward import folds, length_folds

DAYS, NAMES, SECTORS = 756, 20, 4
RUNS = 300  # models a row of the printed tables
Panel = tuple[Matrix, Matrix]
Random = np.random.Generator


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
    return lasting(random), market(random)


def fresh(random: Random) -> Panel:
    """Draw scores that are new every day."""
    return random.standard_normal((DAYS, NAMES)), market(random)


@cache
def real_returns() -> Matrix:
    """Lay out the returns of the example's panel from 2005 on, where prices are fine: 20 names, 17 years."""
    panel = MODELS["ridge_1d"](load_prices()).data.panel
    panel = panel[panel["time"] >= "2005"]
    return panel["ret_next"].to_numpy().reshape(panel["time"].nunique(), -1)


def real(random: Random) -> Panel:
    """Draw scores that last, for real prices."""
    return lasting(random, real_returns().shape), real_returns()


def remembering(random: Random, memory: float) -> Panel:
    """Draw scores that return to their mean, for real prices."""
    return autoregressive(random, real_returns().shape, memory), real_returns()


def tilted(random: Random) -> Panel:
    """Draw a portfolio of real names that never changes."""
    days, names = real_returns().shape
    return np.tile(random.standard_normal(names), (days, 1)), real_returns()


def without(panel: Panel, gone: np.ndarray) -> Panel:
    """Leave rows out."""
    scores, returns = panel
    return np.where(gone, np.nan, scores), np.where(gone, np.nan, returns)


def ragged(random: Random, draw: Callable[[Random], Panel]) -> Panel:
    """Leave out one row in 20, whatever it will earn."""
    scores, returns = draw(random)
    return without((scores, returns), random.random(returns.shape) < 0.05)


def coming_and_going(random: Random) -> Panel:
    """Draw scores that last, for real names of which five stay and the others have rows for a third of the days."""
    scores, returns = real(random)
    days, names = returns.shape
    length = np.where(np.arange(names) < 5, days, days // 3)
    start = random.integers(0, days - length + 1)
    day = np.arange(days)[:, np.newaxis]
    return without((scores, returns), (day < start) | (day >= start + length))


def by_sector(random: Random, memory: float) -> Panel:
    """Draw 4 sectors of 10 names, whose scores and returns mostly are those of their sector."""
    shape, days = (1250, 10 * SECTORS), 1250
    sector = np.repeat(np.arange(SECTORS), 10)
    scores = autoregressive(random, (days, SECTORS), memory)[:, sector] + 0.1 * random.standard_normal(shape)
    return scores, market(random, shape) + 0.01 * random.standard_normal((days, SECTORS))[:, sector]


def crash_factor(random: Random) -> Matrix:
    """Draw a factor of mean 0 that earns a little on most days and loses much on one in 20."""
    return np.where(random.random((DAYS, 1)) < 0.05, -0.05, 0.05 * 0.05 / 0.95)


def crashing(random: Random) -> Panel:
    """Make scores the loadings on a factor that crashes."""
    loadings = np.linspace(-1, 1, NAMES)
    returns = crash_factor(random) * loadings + 0.01 * random.standard_normal((DAYS, NAMES))
    return np.tile(loadings, (DAYS, 1)), returns


def crashing_in_turn(random: Random) -> Panel:
    """Make scores the loadings, which move, on a factor that crashes; a position has those of the day before."""
    loadings = autoregressive(random, (DAYS, NAMES), 0.98) / 2
    returns = 0.01 * random.standard_normal((DAYS, NAMES))
    returns[1:] += crash_factor(random)[1:] * loadings[:-1]
    return loadings, returns


def skewed(random: Random, days: int) -> Panel:
    """Make an IC of mean 0 that is -0.9 on one day in 100 and a little above 0 on all others."""
    ic = np.where(random.random(days) < 0.01, -0.9, 0.9 * 0.01 / 0.99)[:, np.newaxis]
    scores = np.linspace(-1, 1, NAMES)
    along = scores / np.linalg.norm(scores)
    noise = random.standard_normal((days, NAMES))
    noise -= noise.mean(axis=1, keepdims=True) + (noise @ along)[:, np.newaxis] * along
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return np.tile(scores, (days, 1)), 0.05 * (ic * along + np.sqrt(1 - ic**2) * noise)


def rows_left_out(random: Random) -> Panel:
    """Leave the rows out that the position loses most with, one in 200."""
    scores, returns = invented(random)
    earned = simulate(scores, returns, horizon=1, cost_bps=0).weights * returns[1:]
    gone = np.zeros(returns.shape, dtype=bool)
    gone[1:] = earned < np.quantile(earned, 0.005)
    return without((scores, returns), gone)


def days_left_out(random: Random) -> Panel:
    """Leave the days out on which the IC is lowest, one in 50."""
    scores, returns = invented(random)
    ic = simulate(scores, returns, horizon=1, cost_bps=0).ic
    kept = np.concatenate([[True], ic >= np.quantile(ic, 0.02)])
    return scores[kept], returns[kept]


def repeated(random: Random) -> Panel:
    """Take the first half of the days twice."""
    scores, returns = invented(random)
    return tuple(np.tile(values[: DAYS // 2], (2, 1)) for values in (scores, returns))  # type: ignore[return-value]


def skilled(random: Random, memory: float, ic: float) -> Panel:
    """Add to real returns, their days in blocks of five in random order, what the scores of the day before know."""
    blocks = np.array_split(np.arange(len(real_returns())), len(real_returns()) // 5)
    returns = real_returns()[np.concatenate([blocks[block] for block in random.permutation(len(blocks))])]
    scores = autoregressive(random, returns.shape, memory)
    # The mean of what is added is known, the rest is the market's: so the IC of a day is about `ic`.
    returns[1:] += ic * returns[1:].std(axis=1, keepdims=True) * scores[:-1]
    return scores, returns


@dataclass(frozen=True, slots=True)
class Passes:
    """Which parts of the suite let a model pass: the gates that the columns of the tables add up."""

    p_against: bool
    folds: bool
    p_names: bool
    p_days: bool
    pnl_p_value: bool
    sharpe: bool


def judge(panel: Panel, *, horizon: int, seed: int) -> tuple[Passes, float]:
    """Judge a model at 2 basis points; beside it, its mean IC after costs."""
    scores, returns = panel
    held = simulate(scores, returns, horizon=horizon, cost_bps=2)
    days = len(held.ic_net)
    years = folds(held.ic_net, length_folds(days, length=min(252, days // 2)), purge=held.first)
    paper = paper_pnl(held)
    placebo = placebo_test(held, returns, n_resamples=999, seed=seed)
    assert paper.p_value is not None
    return Passes(
        p_against=mean_exceeds(held.ic_net, horizon=horizon, n_resamples=499, seed=seed).p_against <= 0.10,
        folds=years.share_positive >= 0.5 and years.worst_p >= 0.01,
        p_names=placebo.p_names <= 0.10,
        p_days=placebo.p_days <= 0.10,
        pnl_p_value=paper.p_value <= 0.25,
        sharpe=paper.annual_return > 0
        and paper.break_even_bps > 2
        and paper.p_value <= 0.10
        and paper.probabilistic_sharpe >= 0.95
        and paper.risk.max_drawdown <= 0.3,
    ), float(held.ic_net.mean())


# The columns of the tables: what a model has to pass.
Columns = dict[str, tuple[str, ...]]
BEFORE, PLACEBO = ("p_against", "folds"), ("p_names", "p_days")
SUITE: Columns = {
    "`p_against`, `wf`": BEFORE,
    "and `placebo`": (*BEFORE, *PLACEBO),
    "and `pnl.p_value`": (*BEFORE, *PLACEBO, "pnl_p_value"),
    "and `pnl.sharpe`": (*BEFORE, *PLACEBO, "pnl_p_value", "sharpe"),
}
IN_HOLES: Columns = {**SUITE, "p_names alone": ("p_names",), "p_days alone": ("p_days",), "both alone": PLACEBO}
IN_POWER: Columns = {**SUITE, 'with `placebo = "names"`': (*BEFORE, "p_names", "pnl_p_value")}


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of model, and the shares that pass by its table in docs/statistics.md [%]."""

    draw: Callable[[Random], Panel]
    horizon: int = 1
    printed: tuple[float, ...] = ()


HOLES: dict[str, Row] = {
    "none: 20 invented names, scores that last": Row(invented, printed=(6.3, 3.7, 3.7, 2.7, 10.3, 14.7, 5.0)),
    "none: scores that are new every day": Row(fresh, printed=(0.0, 0.0, 0.0, 0.0, 9.0, 8.3, 8.3)),
    "scores that last, on the example's real prices": Row(real, printed=(19.7, 5.0, 4.7, 2.3, 11.3, 21.7, 5.0)),
    "the same, held for five days": Row(real, horizon=5, printed=(22.3, 5.7, 5.3, 3.0, 11.0, 22.3, 5.7)),
    "the same, with one row in 20 missing": Row(
        partial(ragged, draw=real), printed=(8.0, 3.7, 2.0, 1.0, 9.7, 21.0, 4.3)
    ),
    "the same, with names that come and go": Row(coming_and_going, printed=(16.0, 4.7, 4.0, 2.0, 10.0, 25.7, 5.0)),
    "AR(0.98) scores, on the example's real prices": Row(
        partial(remembering, memory=0.98), printed=(1.7, 1.7, 1.7, 0.7, 11.0, 12.0, 9.0)
    ),
    "AR(0.999) scores, on the example's real prices": Row(
        partial(remembering, memory=0.999), printed=(15.7, 5.3, 4.3, 2.0, 9.3, 17.7, 6.0)
    ),
    "a portfolio of real names that never changes": Row(tilted, printed=(25.7, 0.0, 0.0, 0.0, 9.7, 0.0, 0.0)),
    "a portfolio of real names that never changes, one row in 20 missing": Row(
        partial(ragged, draw=tilted), printed=(11.7, 2.0, 2.0, 0.0, 10.3, 10.3, 2.3)
    ),
    "scores of four sectors, AR(0.999)": Row(
        partial(by_sector, memory=0.999), printed=(3.3, 2.7, 2.7, 1.3, 28.7, 17.0, 11.7)
    ),
    "a factor of mean 0 that crashes one day in 20": Row(crashing, printed=(99.0, 0.0, 0.0, 0.0, 100.0, 0.0, 0.0)),
    "the same, with loadings that move": Row(crashing_in_turn, printed=(98.3, 98.3, 19.0, 3.0, 100.0, 100.0, 100.0)),
    "IC of mean 0, -0.9 one day in 100, 120 days": Row(
        partial(skewed, days=120), printed=(33.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    ),
    "the same, 750 days": Row(partial(skewed, days=750), printed=(11.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
    "one row in 200 left out, knowing what it will lose": Row(
        rows_left_out, printed=(94.3, 34.7, 34.7, 34.7, 61.3, 40.0, 35.0)
    ),
    "one day in 50 left out, knowing its IC": Row(days_left_out, printed=(47.3, 27.0, 27.0, 21.3, 51.3, 36.7, 29.0)),
    "the same days twice, one after the other": Row(repeated, printed=(14.3, 4.7, 4.7, 4.0, 11.7, 11.3, 4.7)),
}
SIGNALS: dict[str, Row] = {
    f"memory {memory}, IC {ic}": Row(partial(skilled, memory=memory, ic=ic), horizon=5, printed=printed)
    for memory, ic, printed in [
        (0.9, 0.01, (59.0, 59.0, 58.0, 43.7, 58.0)),
        (0.9, 0.016, (92.7, 92.7, 92.0, 86.3, 92.0)),
        (0.98, 0.009, (73.3, 73.3, 72.7, 57.3, 72.7)),
        (0.98, 0.014, (96.0, 96.0, 96.0, 91.0, 96.0)),
        (0.998, 0.01, (81.7, 72.7, 72.7, 65.7, 78.7)),
        (0.998, 0.016, (95.3, 94.3, 94.3, 92.7, 95.3)),
        (1, 0.01, (72.7, 0.0, 0.0, 0.0, 48.3)),
        (1, 0.016, (92.7, 0.0, 0.0, 0.0, 80.0)),
    ]
}


def judged(row: Row, *, runs: int, seed: int) -> tuple[list[Passes], float]:
    """Judge as many models of a kind; beside that, the mean of their ICs after costs."""
    found = [judge(row.draw(np.random.default_rng([run, seed])), horizon=row.horizon, seed=run) for run in range(runs)]
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
    arguments.add_argument("--seed", type=int, default=5)
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
