"""How often `metric.beats_baseline` rejects, by simulation: two models without a difference, and one with some.

Run by itself it prints the table of docs/statistics.md: ``python tests/calibration/baseline_sweep.py``.
"""

import argparse
from collections.abc import Callable

import numpy as np

from pytest_modelgates.stats.baseline import MINIMUM_OF_A_CLASS, Metric, Series, beats_baseline

ROWS = (100, 250, 1000)
RARE = 0.1
Drawn = tuple[Series, Series, Series]


# The metrics of scikit-learn of the same names, without its checks, which take longer than the metric itself.
def roc_auc(y: Series, p: Series) -> float:
    """Area under the curve, for scores without ties."""
    ranks = np.empty(p.size)
    ranks[np.argsort(p, kind="stable")] = np.arange(1, p.size + 1)
    if p.min() == p.max():
        return 0.5
    ones = y.sum()
    return float((ranks[y == 1].sum() - ones * (ones + 1) / 2) / (ones * (y.size - ones)))


def neg_log_loss(y: Series, p: Series) -> float:
    """Mean log likelihood of classes."""
    return float(np.log(np.where(y == 1, p, 1 - p)).mean())


def neg_mean_absolute_error(y: Series, p: Series) -> float:
    """Higher is better."""
    return -float(np.abs(y - p).mean())


def r2(y: Series, p: Series) -> float:
    """Share of the variance explained."""
    return 1 - float(((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def classes(random: np.random.Generator, rows: int, share: float, skill: float) -> Drawn:
    """Draw classes, and two models that each know the logit up to noise, one up to less of it by `skill`."""
    known, base = random.standard_normal(rows), np.log(share / (1 - share))
    chance, ours, theirs = (
        1 / (1 + np.exp(-(base + known + noise * random.standard_normal(rows)))) for noise in (0.0, 1.0 - skill, 1.0)
    )
    return (random.random(rows) < chance).astype(np.float64), ours, theirs


def coins(random: np.random.Generator, rows: int, share: float, skill: float) -> Drawn:
    """Draw classes, a model that hardly knows them, and a constant baseline."""
    y = (random.random(rows) < share).astype(np.float64)
    return y, skill * y + random.standard_normal(rows), np.full(rows, share)


def values(random: np.random.Generator, rows: int, share: float, skill: float) -> Drawn:
    """Draw values, and two models with errors of equal size, up to `skill`; with fat tails if `share` is 0."""
    errors = random.standard_normal((2, rows)) if share else random.standard_t(3, (2, rows))
    y = random.standard_normal(rows)
    return y, y + (1 - skill) * errors[0], y + errors[1]


# Name, metric, how rows are drawn, the share of class 1, and the skill at which the power is taken.
CASES: dict[str, tuple[Metric, Callable[[np.random.Generator, int, float, float], Drawn], float, float]] = {
    "roc_auc, 30 % of class 1": (roc_auc, classes, 0.3, 0.5),
    "roc_auc, 10 % of class 1": (roc_auc, classes, RARE, 0.5),
    "roc_auc, constant baseline": (roc_auc, coins, 0.3, 0.3),
    "neg_log_loss, 30 % of class 1": (neg_log_loss, classes, 0.3, 0.5),
    "neg_mean_absolute_error": (neg_mean_absolute_error, values, 1.0, 0.15),
    "r2": (r2, values, 1.0, 0.15),
    "r2, errors with fat tails": (r2, values, 0.0, 0.15),
}


def rejections(case: str, rows: int, *, runs: int, skilled: bool = False) -> tuple[float, float]:
    """Shares of samples with a p-value of at most 10 % and 5 %, of those with enough rows of both classes."""
    metric, draw, share, skill = CASES[case]
    found = []
    for run in range(runs):
        random = np.random.default_rng([run, rows, list(CASES).index(case)])
        y, ours, theirs = draw(random, rows, share, skill if skilled else 0.0)
        if draw is values or min(y.sum(), rows - y.sum()) >= MINIMUM_OF_A_CLASS:
            found.append(beats_baseline(y, ours, theirs, metric=metric, seed=run, n_resamples=199).p_value)
    p_values = np.array(found)
    return float((p_values <= 0.10).mean()), float((p_values <= 0.05).mean())


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=2000)
    runs = arguments.parse_args().runs
    print("| metric | rows | at 10 % | at 5 % | power at 10 % |\n|---|---|---|---|---|")
    for case in CASES:
        for rows in ROWS if CASES[case][2] != RARE else ROWS[1:]:
            (ten, five), power = rejections(case, rows, runs=runs), rejections(case, rows, runs=runs // 4, skilled=True)
            print(f"| {case} | {rows:,} | {100 * ten:.1f} | {100 * five:.1f} | {100 * power[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
