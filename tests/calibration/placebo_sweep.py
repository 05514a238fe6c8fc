"""How often the best of many trials beats its placebos without skill, and what charging the trials costs in power.

Prints the tables of docs/statistics.md: ``python -m tests.calibration.placebo_sweep``. Every world has a seed of its
own, so it prints the same again.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.placebo import placebo_test
from pytest_modelgates.stats.significance import mean_exceeds_closed
from tests.calibration.holes_sweep import Matrix, Random, autoregressive, lasting, market, real_returns, skilled

TRIALS = 20


@dataclass(frozen=True, slots=True)
class World:
    """Returns, and how the scores of a trial on them are drawn."""

    returns: Matrix
    draw: Callable[[], Matrix]


def noisy_portfolios(random: Random) -> World:
    """Names differ in mean, each trial knows how, and adds noise that lasts for days."""
    shape = (1000, 20)
    tilt = random.standard_normal(shape[1])
    returns = market(random, shape) + 6e-4 * tilt
    return World(returns, lambda: tilt + 0.35 * autoregressive(random, shape, 0.9))


def walks(random: Random) -> World:
    """Scores that last, on invented names."""
    shape = (1000, 20)
    return World(market(random, shape), lambda: lasting(random, shape))


def real_walks(random: Random, memory: float) -> World:
    """Scores that last, on real prices, whose names differ in mean."""
    returns = real_returns()
    return World(returns, lambda: autoregressive(random, returns.shape, memory))


WORLDS: dict[str, Callable[[Random], World]] = {
    "a portfolio of names that differ, and noise that lasts": noisy_portfolios,
    "walks on 20 invented names": walks,
    "AR(0.98) scores on real prices": partial(real_walks, memory=0.98),
    "AR(0.999) scores on real prices": partial(real_walks, memory=0.999),
}
SIGNALS: dict[str, tuple[float, float]] = {
    "memory 0.9, IC 0.022": (0.9, 0.022),
    "memory 0.98, IC 0.02": (0.98, 0.02),
    "memory 0.998, IC 0.02": (0.998, 0.02),
    "memory 0.998, IC 0.03": (0.998, 0.03),
}


def judge(scores: Matrix, returns: Matrix, *, trials: int, horizon: int, seed: int) -> tuple[bool, bool, bool]:
    """Ask for p_against after all trials, for the placebo alone, and for the placebo after all trials."""
    held = simulate(scores, returns, horizon=horizon, cost_bps=2)
    luck = trials * mean_exceeds_closed(held.ic_net, horizon=horizon)[0] <= 0.10
    alone, charged = (
        placebo_test(held, returns, trials=n, n_resamples=999, seed=seed).p_value <= 0.10 for n in (1, trials)
    )
    return luck, alone, charged


def sizes(name: str, *, runs: int, seed: int = 0) -> tuple[float, float, float, float]:
    """Share of worlds in which one of the trials passes.

    The placebo, not charged and charged; and each beside p_against times the number of trials.
    """
    counts = np.zeros(4)
    for run in range(runs):
        world = WORLDS[name](np.random.default_rng([seed, run]))
        found = np.array([judge(world.draw(), world.returns, trials=TRIALS, horizon=1, seed=k) for k in range(TRIALS)])
        luck, alone, charged = found.T
        counts += [alone.any(), charged.any(), (luck & alone).any(), (luck & charged).any()]
    return tuple((counts / runs).tolist())


def powers(name: str, *, trials: int, runs: int, seed: int = 0) -> tuple[float, float, float]:
    """Share of models with skill that pass: p_against times the trials, and the placebo, and that charged."""
    counts = np.zeros(3)
    for run in range(runs):
        panel = skilled(np.random.default_rng([seed, run]), *SIGNALS[name])
        luck, alone, charged = judge(panel.scores, panel.returns, trials=trials, horizon=5, seed=run)
        counts += [luck, luck and alone, luck and charged]
    return tuple((counts / runs).tolist())


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    for row in WORLDS:
        print(
            "|",
            " | ".join([row, *(f"{share:.1%}" for share in sizes(row, runs=given.runs, seed=given.seed))]),
            "|",
            flush=True,
        )
    for row in SIGNALS:
        for number in (1, 20, 75):
            shares = powers(row, trials=number, runs=given.runs, seed=given.seed)
            print("|", " | ".join([row, str(number), *(f"{share:.1%}" for share in shares)]), "|", flush=True)
