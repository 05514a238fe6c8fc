"""How often `wf.worst_fold` rejects, by simulation: years that are alike, years that are not, and one that is ruined.

Run by itself it prints the table of docs/statistics.md: ``python tests/calibration/fold_sweep.py``.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from pytest_modelgates.stats.quantiles import Series
from pytest_modelgates.stats.walkforward import folds
from tests.calibration.calibration_sweep import garch

Draw = Callable[[np.random.Generator, int, int], Series]
YEAR = 250


def normal(random: np.random.Generator, years: int, days: int) -> Series:
    """Give each year days of the same distribution."""
    return random.standard_normal((years, days))


def wild(random: np.random.Generator, years: int, days: int) -> Series:
    """Give each year a volatility of its own."""
    return np.exp(0.4 * random.standard_normal((years, 1))) * normal(random, years, days)


def clustered(random: np.random.Generator, years: int, days: int) -> Series:
    """Let volatility come and go, with fat tails."""
    return garch(random, years * days).reshape(years, days)


def remembering(random: np.random.Generator, years: int, days: int) -> Series:
    """Correlate each day with the one before by 0.1."""
    series = lfilter([1.0], [1.0, -0.1], random.standard_normal(years * days + YEAR))[YEAR:]
    return np.asarray(series).reshape(years, days)


def differing(by: float) -> Draw:
    """Give each year a mean of its own, of this standard deviation [standard errors of a year]."""

    def draw(random: np.random.Generator, years: int, days: int) -> Series:
        return normal(random, years, days) + by * random.standard_normal((years, 1)) / np.sqrt(days)

    return draw


def ruined(by: float) -> Draw:
    """Lower the mean of one year [standard errors of a year]."""

    def draw(random: np.random.Generator, years: int, days: int) -> Series:
        series = normal(random, years, days)
        series[random.integers(years)] -= by / np.sqrt(days)
        return series

    return draw


CASES: dict[str, Draw] = {
    "years alike": normal,
    "volatility of each year its own": wild,
    "volatility clusters, fat tails": clustered,
    "neighbouring days correlate by 0.1": remembering,
    "true means scatter by half a standard error of a year": differing(0.5),
    "true means scatter by one": differing(1.0),
    "one year lower by 3 standard errors": ruined(3.0),
    "one year lower by 4": ruined(4.0),
    "one year lower by 5": ruined(5.0),
}
SHAPES = {"4 of 20 days": (4, 20), "5 of 250": (5, YEAR), "17 of 250": (17, YEAR)}


def rejections(case: str, shape: str, *, runs: int) -> tuple[float, float]:
    """Shares of models whose worst fold has a chance below 1 % and 5 %."""
    years, days = SHAPES[shape]
    labels = np.repeat(np.arange(years), days)
    chances = np.empty(runs)
    for run in range(runs):
        random = np.random.default_rng([run, list(CASES).index(case), years, days])
        # An IC that is above 0, as those that come this far are; the test does not see its size.
        series = CASES[case](random, years, days) + 0.7 / np.sqrt(days)
        chances[run] = folds(series.ravel(), labels, purge=0).worst_p
    return float((chances < 0.01).mean()), float((chances < 0.05).mean())


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=2000)
    runs = arguments.parse_args().runs
    print("| folds | " + " | ".join(SHAPES) + " |\n" + "|---" * (1 + len(SHAPES)) + "|")
    for case in CASES:
        found = [rejections(case, shape, runs=runs) for shape in SHAPES]
        print(f"| {case} |", " | ".join(f"{100 * one:.1f} / {100 * five:.1f}" for one, five in found), "|", flush=True)


if __name__ == "__main__":
    main()
