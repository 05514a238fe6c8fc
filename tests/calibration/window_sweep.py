"""How often a model without skill passes on the best of many windows, and on the best that `data.window` admits.

Run by itself it prints the table of docs/statistics.md: ``python tests/calibration/window_sweep.py``. Every model has a
seed of its own, so that the same versions print the same table.
"""

import argparse
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.significance import ewc_p_value
from pytest_modelgates.stats.walkforward import folds, length_folds
from tests.calibration.holes_sweep import DAYS, NAMES, invented

Windows = Iterable[tuple[int, int]]
LEAST = 252
# With a horizon of one day: two periods of purge and window_start_days = 10, window_end_days = 30 of the calendar.
STARTS, ENDS = 12, 21


# What may be chosen, and the share that passes by the table [%].
CHOICES: dict[str, tuple[Callable[[int], Windows], float]] = {
    "the whole panel": (lambda days: [(0, days)], 8.4),
    "the best of 17 days to start on": (
        lambda days: [(start, days) for start in np.linspace(0, days - LEAST, 17).astype(int)],
        21.6,
    ),
    "the best year of three": (
        lambda days: [(start, start + LEAST) for start in range(0, days - LEAST + 1, 21)],
        44.6,
    ),
    "the best of all that `data.window` admits": (
        lambda days: [(start, days - end) for start in range(STARTS + 1) for end in range(ENDS + 1)],
        11.2,
    ),
}


def passes(ic: NDArray[np.float64]) -> bool:
    """Whether the days of a window pass `p_against` (by cosines alone, which are fast) and the folds."""
    if ewc_p_value(ic)[0] > 0.10:
        return False
    years = folds(ic, length_folds(len(ic), length=min(252, len(ic) // 2)), purge=1)
    return years.share_positive >= 0.5 and years.worst_p >= 0.01


def sweep(*, runs: int) -> dict[str, float]:
    """Share of models of pure noise that pass for each choice."""
    passed = dict.fromkeys(CHOICES, 0)
    for run in range(runs):
        ic = simulate(*invented(np.random.default_rng([run, 11])), horizon=1, cost_bps=2).ic_net
        for choice, (windows, _) in CHOICES.items():
            passed[choice] += any(passes(ic[start:end]) for start, end in windows(len(ic)))
    return {choice: count / runs for choice, count in passed.items()}


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    print(f"| without skill, {NAMES} names, {DAYS} days, judged on | passes |\n|---|---|")
    for choice, share in sweep(runs=arguments.parse_args().runs).items():
        print(f"| {choice} | {100 * share:.1f} |", flush=True)


if __name__ == "__main__":
    main()
