"""How often drift is found where there is none, and how often where there is some.

Run by itself it prints the tables of docs/statistics.md: ``python tests/calibration/drift_sweep.py``. Every sample has
a seed of its own, so that the same versions print the same tables.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_modelgates.drift.categories import compare_categories
from pytest_modelgates.drift.dependence import worth
from pytest_modelgates.drift.index import chi_squared_tail, contributions
from pytest_modelgates.drift.joint import ByAsset, compare_by_asset
from pytest_modelgates.drift.summary import Reference
from pytest_modelgates.drift.verdict import DriftLimits, judge

Random = np.random.Generator
Scores = NDArray[np.float64]
LEVELS = (0.01, 0.05, 0.1)
SEED = 20


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Days and names of a golden and of what is compared with it; how much the rows of a day, and days, share.

    `rho` is the correlation of two rows of one day, `persistence` that of what two days in a row have in common.
    Without `dated` nobody is told the days.
    """

    golden_days: int = 750
    days: int = 60
    names: int = 20
    rho: float = 0.0
    persistence: float = 0.0
    dated: bool = True
    score: Callable[[Scores], Scores] = np.asarray


def mostly_zero(values: Scores) -> Scores:
    """Leave the three percent that are largest."""
    return np.where(values > 1.881, values - 1.881, 0.0)


def two_kinds(values: Scores) -> Scores:
    """Call the tenth that is largest 1."""
    return (values > 1.2816).astype(float)


def four_digits(values: Scores) -> Scores:
    """Round to one digit, so that many values tie."""
    return np.round(values, 1)


SHAPES = {
    "independent, 200 against 2,000": Shape(golden_days=100, days=10, dated=False),
    "independent, 1,200 against 2,000": Shape(golden_days=100, dated=False),
    "0 and 1, 1,200 against 2,000": Shape(golden_days=100, dated=False, score=two_kinds),
    "97 % zeros, 1,200 against 2,000": Shape(golden_days=100, dated=False, score=mostly_zero),
    "one digit, 5,000 against 15,000": Shape(days=250, dated=False, score=four_digits),
    "independent, 60 days": Shape(),
    "correlation 0.3, 9 days": Shape(days=9, rho=0.3),
    "correlation 0.6, 9 days": Shape(days=9, rho=0.6),
    "correlation 0.3, 20 days": Shape(days=20, rho=0.3),
    "correlation 0.6, 20 days": Shape(days=20, rho=0.6),
    "correlation 0.3, 60 days": Shape(rho=0.3),
    "correlation 0.6, 60 days": Shape(rho=0.6),
    "correlation 0.6, 250 days": Shape(days=250, rho=0.6),
    "correlation 0.6, 60 days of 500 names": Shape(names=500, rho=0.6),
    "0 and 1, correlation 0.6, 60 days": Shape(rho=0.6, score=two_kinds),
    "correlation 0.3, days 0.5, 60 days": Shape(rho=0.3, persistence=0.5),
}
# What has been said of such rows so far: that they are independent.
UNTOLD = {
    "correlation 0.3, 9 days, untold": Shape(days=9, rho=0.3, dated=False),
    "correlation 0.6, 60 days, untold": Shape(rho=0.6, dated=False),
}


def sample(rng: Random, days: int, shape: Shape) -> tuple[Scores, NDArray[np.datetime64]]:
    """Draw scores and the day of each."""
    common = rng.standard_normal(days)
    for day in range(1, days):
        common[day] = shape.persistence * common[day - 1] + np.sqrt(1 - shape.persistence**2) * common[day]
    own = rng.standard_normal((days, shape.names))
    scores = np.sqrt(shape.rho) * common[:, None] + np.sqrt(1 - shape.rho) * own
    return shape.score(scores.ravel()), np.repeat(np.datetime64("2024-01-01") + np.arange(days), shape.names)


@dataclass(frozen=True)
class Found:
    """Shares of samples: p-values of KS and PSI below each level; each verdict; the plain rule."""

    ks: tuple[float, ...]
    psi: tuple[float, ...]
    drift: float
    unknown: float
    literal: float


def found(shape: Shape, *, runs: int, shift: float = 0.0, seed: int = SEED) -> Found:
    """Compare so many samples with goldens of their own."""
    ks, psi, verdicts, literal = [], [], [], []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        golden, then = sample(rng, shape.golden_days, shape)
        current, now = sample(rng, shape.days, shape)
        reference = Reference.of(golden, days=then if shape.dated else None)
        counted = reference.count(current + shift, days=now if shape.dated else None)
        report = judge(reference, counted, DriftLimits())
        of = worth(reference.golden, counted)
        bins = [reference.bins.of_counts(each) for each in (reference.grid.golden, counted.counts)]
        scale, seen = 1 / of.golden + 1 / of.current, np.count_nonzero(sum(bins))
        psi.append(chi_squared_tail(float(contributions(*bins).sum()) / scale, max(1, int(seen) - 1)))
        ks.append(report["ks"]["p_value"])
        verdicts.append(report["overall_drift"])
        literal.append(report["literal"]["drift"])
    return Found(
        ks=tuple(float(np.mean(np.array(ks) < level)) for level in LEVELS),
        psi=tuple(float(np.mean(np.array(psi) < level)) for level in LEVELS),
        drift=float(np.mean([each is True for each in verdicts])),
        unknown=float(np.mean([each is None for each in verdicts])),
        literal=float(np.mean(literal)),
    )


def missing_p(rng: Random, golden_rows: int, rows: int, share: float) -> float:
    """Draw scores of which so many are missing on either side; give the p-value of their share."""
    golden, current = (np.where(rng.random(size) < share, np.nan, 0.5) for size in (golden_rows, rows))
    reference = Reference.of(golden)
    return judge(reference, reference.count(current), DriftLimits())["missing"]["p_value"]


def categories_p(rng: Random, golden_rows: int, rows: int, number: float) -> float:
    """Draw so many categories, the k-th with a share in proportion to 1/k, on either side; give the p-value."""
    shares = 1 / np.arange(1, number + 1)
    golden, current = (rng.choice(shares.size, size, p=shares / shares.sum()) for size in (golden_rows, rows))
    return compare_categories(golden.tolist(), current.tolist())["p_value"]


OTHERS: dict[str, tuple[Callable[[Random, int, int, float], float], int, int, float]] = {
    "2 % missing, 300 against 2,000": (missing_p, 2_000, 300, 0.02),
    "20 % missing, 1,200 against 2,000": (missing_p, 2_000, 1_200, 0.2),
    "2 categories, 200 against 2,000": (categories_p, 2_000, 200, 2),
    "10 categories, 300 against 2,000": (categories_p, 2_000, 300, 10),
    "200 categories, 1,200 against 2,000": (categories_p, 2_000, 1_200, 200),
}


def sizes(name: str, *, runs: int, seed: int = SEED) -> list[float]:
    """Say how often the p-value of one of these tests lies below each level without drift."""
    p_of, golden_rows, rows, kind = OTHERS[name]
    found = np.array([p_of(np.random.default_rng([seed, run]), golden_rows, rows, kind) for run in range(runs)])
    return [float(np.mean(found < level)) for level in LEVELS]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature of 30 assets over the days of a golden and 60 more, no asset of which has a rank of its own.

    `persistence` is the correlation of two days in a row, and `still` the share of assets whose value is the one of the
    day before; they are others each day.
    """

    golden_days: int = 500
    persistence: float = 0.0
    still: float = 0.0


FEATURES = {
    "fresh every day": Feature(),
    "AR(0.9)": Feature(persistence=0.9),
    "AR(0.98)": Feature(persistence=0.98),
    "AR(0.995)": Feature(persistence=0.995),
    "AR(0.9), 30 % still": Feature(persistence=0.9, still=0.3),
    "AR(0.9), 80 % still": Feature(persistence=0.9, still=0.8),
    "fresh every day, against 150": Feature(golden_days=150),
    "AR(0.9), against 150": Feature(golden_days=150, persistence=0.9),
    "AR(0.98), against 150": Feature(golden_days=150, persistence=0.98),
    "AR(0.9), 30 % still, against 150": Feature(golden_days=150, persistence=0.9, still=0.3),
}
JOINT = ("persistence", "still", "identity")


def drawn(rng: Random, days: int, feature: Feature) -> Scores:
    """Draw a feature, shape (days, 30), which begins as it goes on."""
    values = rng.standard_normal((days, 30))
    values[1:] *= np.sqrt(1 - feature.persistence**2)
    rests = rng.random(values.shape) < feature.still
    for day in range(1, days):
        values[day] = np.where(rests[day], values[day - 1], feature.persistence * values[day - 1] + values[day])
    return values


def joint_sizes(feature: Feature, *, runs: int, seed: int = SEED) -> tuple[dict[str, list[float]], float]:
    """Say how often each p-value of a feature that did not change lies below each level, and drift is the verdict.

    There are no shares of a p-value that cannot be told.
    """
    found, verdicts = [], []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        values = drawn(rng, feature.golden_days + 60, feature)
        sides, assets = np.split(values, [feature.golden_days]), tuple(f"A{place:02d}" for place in range(30))
        report = compare_by_asset(*(ByAsset(side, assets) for side in sides))
        found.append([report["persistence"]["p_value"], report["still"]["p_value"], report["identity"]["p_value"]])
        verdicts.append(report["overall_drift"] is True)
    shares = {
        name: [] if np.isnan(p).all() else [float(np.mean(p < level)) for level in LEVELS]
        for name, p in zip(JOINT, np.array(found).T, strict=True)
    }
    return shares, float(np.mean(verdicts))


# A shift of a normal score whose index is 0.1 and 0.25, in standard deviations.
SHIFTS = {"0": 0.0, "0.1": 0.3175, "0.25": 0.507}
ROWS = (100, 300, 1_000, 10_000, 100_000, 1_000_000)


def power(rows: int, shift: float, *, runs: int, seed: int = SEED) -> Found:
    """Find a shift in so many independent rows, against 15,000."""
    return found(Shape(golden_days=15_000, days=rows, names=1, dated=False), runs=runs, shift=shift, seed=seed)


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    given = arguments.parse_args()
    print("| rows of a day, and days | KS at 1 / 5 / 10 % | PSI at 1 / 5 / 10 % | drift | inconclusive | plain rule |")
    print("|---|---|---|---|---|---|")
    for name, shape in (SHAPES | UNTOLD).items():
        print(f"| {name} | {_row(found(shape, runs=given.runs))} |", flush=True)
    print("\n| missing values, and categories | at 1 / 5 / 10 % |\n|---|---|")
    for name in OTHERS:
        print(f"| {name} | {' / '.join(f'{100 * share:.1f}' for share in sizes(name, runs=given.runs))} |", flush=True)
    print("\n| feature | persistence at 1 / 5 / 10 % | still | identity | drift |\n|---|---|---|---|---|")
    for name, feature in FEATURES.items():
        of_checks, blamed = joint_sizes(feature, runs=given.runs // 2)
        cells = [" / ".join(f"{100 * share:.1f}" for share in of_checks[each]) or "-" for each in JOINT]
        print(f"| {name} | {' | '.join(cells)} | {100 * blamed:.1f} |", flush=True)
    print("\n| rows | index | drift | inconclusive | plain rule |\n|---|---|---|---|---|")
    for rows in ROWS:
        for index, shift in SHIFTS.items():
            of = power(rows, shift, runs=max(20, min(given.runs // 5, 10**7 // rows)))
            shares = " | ".join(f"{100 * share:.0f}" for share in (of.drift, of.unknown, of.literal))
            print(f"| {rows:,} | {index} | {shares} |", flush=True)


def _row(of: Found) -> str:
    shares = [" / ".join(f"{100 * share:.1f}" for share in each) for each in (of.ks, of.psi)]
    return " | ".join([*shares, *(f"{100 * share:.1f}" for share in (of.drift, of.unknown, of.literal))])


if __name__ == "__main__":
    main()
