"""How often two models on rows that were dealt between them are told apart where they do not differ, and how soon else.

Prints the tables of docs/statistics.md: ``python -m tests.calibration.arms_sweep``. Every experiment has a seed of its
own, so that it prints the same again.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.signal import lfilter

from pytest_modelgates.stats.arms import BLOCK, MIN_BLOCKS, arm_days, difference
from tests.calibration.holes_sweep import Matrix, Random, autoregressive, market, real_returns

DAYS = 500
Pair = tuple[np.ndarray, np.ndarray]
Dealt = tuple[Pair, Pair, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Returns, the scores of the live model and those of the candidate, each of shape (n_days, n_names)."""

    returns: Matrix
    live: Matrix
    candidate: Matrix
    horizon: int = 1


def noise(random: Random, memory: float, tails: float) -> Pair:
    """Draw two series of daily values without a difference, that remember the day before and have fat tails."""
    drawn = random.standard_t(tails, size=(2, 100 + DAYS)) + random.standard_t(tails, size=(1, 100 + DAYS))
    first, second = lfilter([1.0], [1.0, -memory], drawn, axis=1)[:, 100:]
    return first, second


def one_model(random: Random, returns: Callable[[Random], Matrix], memory: float, horizon: int = 1) -> World:
    """One model in both arms."""
    found = returns(random)
    scores = autoregressive(random, found.shape, memory)
    return World(returns=found, live=scores, candidate=scores, horizon=horizon)


def two_models(random: Random, returns: Callable[[Random], Matrix], memory: float, horizon: int = 1) -> World:
    """Two models without skill that know nothing of each other."""
    found = returns(random)
    live, candidate = (autoregressive(random, found.shape, memory) for _ in range(2))
    return World(returns=found, live=live, candidate=candidate, horizon=horizon)


def real(random: Random) -> Matrix:
    """A stretch of real returns, of 20 names."""
    start = int(random.integers(len(real_returns()) - DAYS))
    return real_returns()[start : start + DAYS]


def drifting(random: Random) -> Matrix:
    """A stretch of real returns, of 20 names that also drift for weeks, by a tenth of the variance."""
    found = real(random)
    drift = autoregressive(random, found.shape, 0.97)
    return found + math.sqrt(0.1) * found.std() * drift / drift.std()


def many(random: Random) -> Matrix:
    """Invented returns of 200 names with a common factor, fat tails and volatility of its own on each day."""
    drawn = market(random, (DAYS, 200)) * random.standard_t(4, size=(DAYS, 200))
    return drawn * np.exp(0.3 * autoregressive(random, (DAYS, 1), 0.95))


def dealt(random: Random, world: World, share: float, *, by_asset: bool = False) -> Dealt:
    """Deal the rows of a world between two arms; give IC and return by day, of live and candidate, and days held."""
    days, names = world.returns.shape
    chosen = random.random((1 if by_asset else days, names)) < share
    chosen = np.broadcast_to(chosen, (days, names))
    live = arm_days(np.where(chosen, np.nan, world.live), world.returns, horizon=world.horizon)
    candidate = arm_days(np.where(chosen, world.candidate, np.nan), world.returns, horizon=world.horizon)
    return (live.ic, candidate.ic), (live.earned, candidate.earned), world.horizon


def told_at(pair: Pair, held: int) -> tuple[int, str] | None:
    """Look every day, and say on which one they are told apart first, and how; None if never."""
    counted, length = np.cumsum(~np.isnan(pair[0] + pair[1])), max(BLOCK, held)
    for wanted in range(length * MIN_BLOCKS, int(counted[-1]) + 1, length):
        day = int(np.searchsorted(counted, wanted)) + 1
        if (found := difference(pair[0][:day], pair[1][:day], held=held).told) != "inconclusive":
            return day, found
    return None


def _of_series(random: Random, memory: float, tails: float) -> Dealt:
    return noise(random, memory, tails), noise(random, memory, tails), 1


def _of_rows(random: Random, world: Callable[[Random], World], share: float, *, by_asset: bool = False) -> Dealt:
    return dealt(random, world(random), share, by_asset=by_asset)


Case = Callable[[Random], Dealt]
ALIKE: dict[str, Case] = {
    "series without memory, normal": partial(_of_series, memory=0.0, tails=1000.0),
    "series AR(0.1), t with 5 df": partial(_of_series, memory=0.1, tails=5.0),
    "series AR(0.3), t with 3 df": partial(_of_series, memory=0.3, tails=3.0),
    "one model AR(0.98), 20 real names, share 0.5": partial(
        _of_rows, world=partial(one_model, returns=real, memory=0.98), share=0.5
    ),
    "one model AR(0.9), 5 days held, 20 real names, share 0.5": partial(
        _of_rows, world=partial(one_model, returns=real, memory=0.9, horizon=5), share=0.5
    ),
    "one model AR(0.98), 200 names, share 0.1": partial(
        _of_rows, world=partial(one_model, returns=many, memory=0.98), share=0.1
    ),
    "two models AR(0.98), 200 names, share 0.1": partial(
        _of_rows, world=partial(two_models, returns=many, memory=0.98), share=0.1
    ),
    "two models AR(0.98), 20 real names, share 0.4": partial(
        _of_rows, world=partial(two_models, returns=real, memory=0.98), share=0.4
    ),
    "by asset: two models AR(0.98), 200 names, share 0.1": partial(
        _of_rows, world=partial(two_models, returns=many, memory=0.98), share=0.1, by_asset=True
    ),
    "by asset: one model AR(0.98), 20 real names, share 0.5": partial(
        _of_rows, world=partial(one_model, returns=real, memory=0.98), share=0.5, by_asset=True
    ),
}
# Held for long, days share their dealings, and names that drift for weeks make them alike.
ALIKE |= {
    f"one model AR(0.98), {days} days held, 20 {names}, share 0.5": partial(
        _of_rows, world=partial(one_model, returns=returns, memory=0.98, horizon=days), share=0.5
    )
    for names, returns, held in (("real names", real, [20]), ("names that drift", drifting, [1, 5, 10, 20]))
    for days in held
}
# Of these the promise does not hold.
UNTOLD: dict[str, Case] = {
    "series AR(0.5), t with 5 df": partial(_of_series, memory=0.5, tails=5.0),
    "by asset: one model that never changes, 20 real names, share 0.5": partial(
        _of_rows, world=partial(one_model, returns=real, memory=1.0), share=0.5, by_asset=True
    ),
}


def sizes(case: Case, *, runs: int, seed: int = 35) -> tuple[float, float]:
    """Share of experiments in which IC, and the return, are ever told apart."""
    found = np.zeros(2)
    for run in range(runs):
        *pairs, held = case(np.random.default_rng((seed, run)))
        found += [told_at(pair, held) is not None for pair in pairs]
    first, second = (found / runs).tolist()
    return first, second


def delays(names: int, share: float, gap: float, *, runs: int, most: int = 2_000, seed: int = 36) -> list[float]:
    """Days until a model that knows nothing is told from one whose mean IC is `gap`; infinite if it never is."""
    waited = list[float]()
    for run in range(runs):
        random = np.random.default_rng((seed, run))
        returns = market(random, (most, names))
        scores = random.standard_normal((most, names))
        returns[1:] += gap * 0.01 * scores[:-1]  # the returns deviate by 0.01 from the mean of their day
        world = World(returns=returns, live=scores, candidate=random.standard_normal((most, names)))
        pair, _, held = dealt(random, world, share)
        found = told_at(pair, held)
        waited.append(found[0] if found and found[1] == "worse" else math.inf)
    return waited


SOON: dict[str, tuple[int, float, float]] = {
    "20 names, share 0.5, IC lower by 0.1": (20, 0.5, 0.1),
    "200 names, share 0.1, IC lower by 0.1": (200, 0.1, 0.1),
    "200 names, share 0.5, IC lower by 0.05": (200, 0.5, 0.05),
    "500 names, share 0.1, IC lower by 0.05": (500, 0.1, 0.05),
    "500 names, share 0.5, IC lower by 0.02": (500, 0.5, 0.02),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    runs = parser.parse_args().runs
    print("| no difference | IC | return |\n|---|---|---|")
    for name, case in (ALIKE | UNTOLD).items():
        print(f"| {name} |" + "".join(f" {100 * share:.1f} |" for share in sizes(case, runs=runs)), flush=True)
    print("\n| what is worse | days until it is told: median | 9 in 10 |\n|---|---|---|")
    for name, (names, share, gap) in SOON.items():
        waited = delays(names, share, gap, runs=max(runs // 20, 2))
        shown = " | ".join(f"{each:,.0f}" for each in np.quantile(waited, [0.5, 0.9], method="higher"))
        print(f"| {name} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
