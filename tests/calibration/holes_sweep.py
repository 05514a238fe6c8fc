"""How often models without skill pass the hard gates of the signal by what no gate can see in a panel.

Run by itself it prints the table of docs/statistics.md: ``python tests/calibration/holes_sweep.py``. Every sample has a
seed of its own, so that the same versions print the same table.
"""

import argparse
from collections.abc import Callable
from functools import cache

import numpy as np

from examples.sp500.features import load_prices
from examples.sp500.models import MODELS
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.portfolio import paper_pnl
from pytest_modelgates.stats.ranks import Matrix
from pytest_modelgates.stats.significance import mean_exceeds
from pytest_modelgates.stats.walkforward import folds, length_folds

DAYS, NAMES = 756, 20
Panel = tuple[Matrix, Matrix]
Random = np.random.Generator


def lasting(random: Random, shape: tuple[int, int] = (DAYS, NAMES)) -> Matrix:
    """Draw scores without skill that change slowly."""
    return np.cumsum(random.standard_normal(shape), axis=0)


def invented(random: Random) -> Panel:
    """Draw such scores, and returns with a common factor."""
    shared, own = random.standard_normal((DAYS, 1)), random.standard_normal((DAYS, NAMES))
    return lasting(random), 0.01 * shared + 0.01 * own


@cache
def real_returns() -> Matrix:
    """Lay out the returns of the example's panel: 20 names, 17 years."""
    panel = MODELS["ridge_1d"](load_prices()).data.panel
    return panel["ret_next"].to_numpy().reshape(panel["time"].nunique(), -1)


def real(random: Random) -> Panel:
    """Draw scores that last, for real prices."""
    return lasting(random, real_returns().shape), real_returns()


def crashing(random: Random) -> Panel:
    """Draw a factor of mean 0 that earns a little on most days and loses much on one in 20; scores are its loadings."""
    factor = np.where(random.random(DAYS) < 0.05, -0.05, 0.05 * 0.05 / 0.95)
    loadings = np.linspace(-1, 1, NAMES)
    returns = factor[:, np.newaxis] * loadings + 0.01 * random.standard_normal((DAYS, NAMES))
    return np.tile(loadings, (DAYS, 1)), returns


def skewed(days: int) -> Callable[[Random], Panel]:
    """Make an IC of mean 0 that is -0.9 on one day in 100 and a little above 0 on all others."""

    def panel(random: Random) -> Panel:
        ic = np.where(random.random(days) < 0.01, -0.9, 0.9 * 0.01 / 0.99)[:, np.newaxis]
        scores = np.linspace(-1, 1, NAMES)
        along = scores / np.linalg.norm(scores)
        noise = random.standard_normal((days, NAMES))
        noise -= noise.mean(axis=1, keepdims=True) + (noise @ along)[:, np.newaxis] * along
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        return np.tile(scores, (days, 1)), 0.05 * (ic * along + np.sqrt(1 - ic**2) * noise)

    return panel


def rows_left_out(random: Random) -> Panel:
    """Leave the rows out that the position loses most with, one in 200."""
    scores, returns = invented(random)
    earned = simulate(scores, returns, horizon=1, cost_bps=0).weights * returns[1:]
    gone = np.zeros(returns.shape, dtype=bool)
    gone[1:] = earned < np.quantile(earned, 0.005)
    return np.where(gone, np.nan, scores), np.where(gone, np.nan, returns)


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


# What it is, and the shares that pass by the table [%]: the hard gates, pnl.after_costs too, and pnl.sharpe.
HOLES: dict[str, tuple[Callable[[Random], Panel], float, float, float]] = {
    "none: 20 invented names, scores that last": (invented, 6.0, 6.0, 3.4),
    "scores that last, on the example's real prices": (real, 19.7, 19.1, 6.6),
    "a factor of mean 0 that crashes one day in 20": (crashing, 99.0, 46.8, 4.6),
    "IC of mean 0, -0.9 one day in 100, 120 days": (skewed(120), 29.6, 29.6, 29.6),
    "the same, 750 days": (skewed(750), 12.5, 12.5, 0.0),
    "one row in 200 left out, knowing what it will lose": (rows_left_out, 96.3, 96.3, 91.8),
    "one day in 50 left out, knowing its IC": (days_left_out, 45.4, 45.4, 33.1),
    "the same days twice, one after the other": (repeated, 11.5, 11.5, 8.1),
}


def passes(hole: str, *, runs: int) -> list[float]:
    """Share of models that pass p_against and the folds at 2 bp, with `pnl.after_costs` too, and with `pnl.sharpe`."""
    passed = np.zeros((runs, 3), dtype=bool)
    for run in range(runs):
        held = simulate(*HOLES[hole][0](np.random.default_rng([run, 7])), horizon=1, cost_bps=2)
        if mean_exceeds(held.ic_net, n_resamples=499, seed=run).p_against > 0.10:
            continue
        days = len(held.ic_net)
        years = folds(held.ic_net, length_folds(days, length=min(252, days // 2)), purge=held.first)
        paper = paper_pnl(held)
        good = years.share_positive >= 0.5 and years.worst_p >= 0.01
        earns = good and paper.annual_return > 0 and paper.break_even_bps > 2
        surely = paper.p_value <= 0.10 and paper.probabilistic_sharpe >= 0.95 and paper.risk.max_drawdown <= 0.3
        passed[run] = good, earns, earns and surely
    shares: list[float] = passed.mean(axis=0).tolist()
    return shares


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    runs = arguments.parse_args().runs
    print("| without skill | passes | `pnl.after_costs` hard too | and `pnl.sharpe` |\n|---|---|---|---|")
    for hole in HOLES:
        print("|", " | ".join([hole, *(f"{100 * share:.1f}" for share in passes(hole, runs=runs))]), "|", flush=True)


if __name__ == "__main__":
    main()
