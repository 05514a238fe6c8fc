"""How a daily IC holds up from fold to fold, and whether the worst fold is worse than bad luck."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

from ..errors import StatisticsError
from .quantiles import finite_series, is_constant

MINIMUM_DAYS = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Folds:
    """A daily IC summed up by fold, folds in order of time.

    `labels` names the folds; `means`, `z` (mean over its standard error) and `n` [days] have shape (n_folds,).
    `share_positive` is the share of folds with a mean above 0. `worst_z` is the lowest z, and `worst_p` the chance that
    the lowest of as many standard normals is as low.
    """

    labels: tuple[Any, ...]
    means: NDArray[np.float64]
    z: NDArray[np.float64]
    n: NDArray[np.int64]
    share_positive: float
    worst_z: float
    worst_p: float


def folds(ic: ArrayLike, labels: ArrayLike, *, purge: int) -> Folds:
    """Sum a daily IC up by fold.

    Parameters
    ----------
    ic : array_like of float, shape (n_days,)
        IC of each day, in order of time.
    labels : array_like, shape (n_days,)
        The fold of each day, say its year; a fold is one unbroken stretch.
    purge : int
        Days to drop at the start of every fold but the first, whose positions were still made of scores of the fold
        before [days].

    Returns
    -------
    Folds
        Means, z-scores and the worst of them.

    Raises
    ------
    StatisticsError
        If lengths differ, there is only one fold, or one comes in pieces, does not vary or is left with under 20 days.

    Notes
    -----
    The lowest of K independent standard normals is below z with chance 1 - (1 - Phi(z))^K, so a model with many folds
    is not blamed for a bad one that had to come. It takes days within a fold as uncorrelated, as the IC of what is held
    nearly is. Without skill `worst_p` is uniform; a skilled model's is larger.
    """
    series, fold = finite_series(ic, name="IC"), np.asarray(labels)
    if fold.shape != series.shape:
        raise StatisticsError(f"{series.size} days of IC, labels of shape {fold.shape}: give one label a day")
    if purge < 0:
        raise StatisticsError(f"purge is {purge} days, expected at least 0")
    starts = np.concatenate([[0], np.flatnonzero(fold[1:] != fold[:-1]) + 1])
    names = fold[starts].tolist()
    if broken := sorted({str(name) for name in names if names.count(name) > 1}):
        raise StatisticsError(f"fold {broken[0]} comes in several pieces, expected one stretch: sort by day")
    if len(names) < 2:
        raise StatisticsError(f"fold {names[0]} is the only one, expected at least 2: give more days or shorter folds")

    stretches = np.split(series, starts[1:])
    kept = [stretches[0], *(days[purge:] for days in stretches[1:])]
    for name, days in zip(names, kept, strict=True):
        if days.size < MINIMUM_DAYS:
            raise StatisticsError(
                f"fold {name} has {days.size} days after purging {purge}, expected at least {MINIMUM_DAYS}: "
                "join it to its neighbour"
            )
        if is_constant(days):
            raise StatisticsError(f"fold {name} has the same IC on all {days.size} days, expected one that varies")
    n = np.array([days.size for days in kept])
    means = np.array([days.mean() for days in kept])
    z = means / np.array([days.std(ddof=1) for days in kept]) * np.sqrt(n)
    # log Phi(-z) keeps the digits that 1 - Phi(z) loses for a fold far down.
    worst_p = -np.expm1(len(names) * log_ndtr(-z.min()))
    return Folds(
        labels=tuple(names),
        means=means,
        z=z,
        n=n,
        share_positive=float((means > 0).mean()),
        worst_z=float(z.min()),
        worst_p=float(worst_p),
    )
