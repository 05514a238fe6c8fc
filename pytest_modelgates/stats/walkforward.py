"""How a daily IC holds up from fold to fold, and whether the worst fold fits the others."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, stdtr

from ..errors import InsufficientDataError, StatisticsError
from .days import read_times
from .quantiles import finite_series, is_constant
from .quantiles import labels as read_labels

MINIMUM_DAYS = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Folds:
    """A daily IC summed up by fold, folds in order of time.

    `labels` names the folds; `means`, `z` (mean over its standard error) and `n` [days] have shape (n_folds,).
    `share_positive` is the share of folds with a mean above 0, and `positive_p` the chance of at least that many heads
    when a coin is thrown for each fold. `median` is that of the means, `slope` their change from fold to fold by least
    squares. `worst` is the place of the fold that lies furthest below the others, `worst_t` its distance from them in
    standard errors, and `worst_p` the chance that the worst of n_folds lies so far below, if all are alike.
    """

    labels: tuple[Any, ...]
    means: NDArray[np.float64]
    z: NDArray[np.float64]
    n: NDArray[np.int64]
    share_positive: float
    positive_p: float
    median: float
    slope: float
    worst: int
    worst_t: float
    worst_p: float


def folds(ic: ArrayLike, labels: ArrayLike, *, purge: int) -> Folds:
    """Sum up a daily IC by fold.

    Parameters
    ----------
    ic : array_like of float, shape (n_days,)
        IC of each day, in order of time.
    labels : array_like, shape (n_days,)
        The fold of each day, such as its year; a fold is one unbroken stretch.
    purge : int
        Days to drop at the start of every fold but the first, because positions on these days were still made of scores
        of the fold before [days].

    Returns
    -------
    Folds
        Means, z-scores and the worst of them.

    Raises
    ------
    StatisticsError
        If lengths differ, an IC is not finite, the purge is negative, there is only one fold, or a fold comes in
        pieces, does not vary or is left with fewer than 20 days.

    Notes
    -----
    Each fold is held against all days of the others by the t-test of [1]_, which allows for a year that is wilder. The
    K distances from the others depend on each other, because together they are what the means differ by. Whatever that
    dependence, the lowest of K p-values is below p / K with chance p at most, and for distances from a common mean
    that is exact to three digits below 5 %: the table of [2]_ is this formula. The days of a fold are taken for
    uncorrelated, which the IC of a held position nearly is.

    References
    ----------
    .. [1] B. L. Welch, The generalization of Student's problem when several different population variances are
       involved, Biometrika 34:28, 1947.
    .. [2] K. R. Nair, The distribution of the extreme deviate from the sample mean and its studentized form,
       Biometrika 35:118, 1948.
    """
    series = finite_series(ic, name="IC")
    fold = read_labels(labels, name="label")
    if fold.shape != series.shape:
        raise StatisticsError(f"{series.size} days of IC, labels of shape {fold.shape}: give one label a day")
    if purge < 0:
        raise StatisticsError(f"purge is {purge} days, expected at least 0")
    starts = np.concatenate([[0], np.flatnonzero(fold[1:] != fold[:-1]) + 1])
    names = fold[starts].tolist()
    if broken := sorted({str(name) for name in names if names.count(name) > 1}):
        raise StatisticsError(f"fold {broken[0]} comes in several pieces, expected one stretch: sort by day")
    if len(names) < 2:
        raise InsufficientDataError(
            f"fold {names[0]} is the only one, expected at least 2: give more days or shorter folds"
        )

    stretches = np.split(series, starts[1:])
    kept = [stretches[0], *(days[purge:] for days in stretches[1:])]
    for name, days in zip(names, kept, strict=True):
        if days.size < MINIMUM_DAYS:
            raise InsufficientDataError(
                f"fold {name} has {days.size} days after purging {purge}, expected at least {MINIMUM_DAYS}: "
                "join it to its neighbour"
            )
        if is_constant(days):
            raise StatisticsError(f"fold {name} has the same IC on all {days.size} days, expected one that varies")
    n = np.array([days.size for days in kept])
    means = np.array([days.mean() for days in kept])
    z = means / np.array([days.std(ddof=1) for days in kept]) * np.sqrt(n)
    against = [_below(days, np.concatenate(kept[:place] + kept[place + 1 :])) for place, days in enumerate(kept)]
    worst = min(range(len(kept)), key=against.__getitem__)
    lowest_p, worst_t = against[worst]
    return Folds(
        labels=tuple(names),
        means=means,
        z=z,
        n=n,
        share_positive=float((means > 0).mean()),
        positive_p=_heads(int((means > 0).sum()), len(means)),
        median=float(np.median(means)),
        slope=float(np.polyfit(np.arange(len(means)), means, 1)[0]),
        worst=worst,
        worst_t=worst_t,
        worst_p=min(1.0, len(kept) * lowest_p),
    )


def _below(fold: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float]:
    """Return the chance that the mean of a fold lies so far below that of others like it, and that distance."""
    # Welch 1947: each side has a variance of its own, and Student's t the degrees of freedom that fit their sum.
    of_fold, of_others = (days.var(ddof=1) / days.size for days in (fold, others))
    variance = of_fold + of_others
    t = float((fold.mean() - others.mean()) / np.sqrt(variance))
    freedom = 1 / ((of_fold / variance) ** 2 / (fold.size - 1) + (of_others / variance) ** 2 / (others.size - 1))
    return float(stdtr(freedom, t)), t


def _heads(positive: int, folds: int) -> float:
    # bdtrc(k - 1, K, 1/2) is the chance of more than k - 1 heads of K coins, so of at least k.
    return 1.0 if positive == 0 else float(bdtrc(positive - 1, folds, 0.5))


def calendar_folds(times: ArrayLike, *, unit: Literal["year", "quarter", "month"] = "year") -> NDArray[np.str_]:
    """Label each day by the calendar: "2024", "2024-Q3" or "2024-07".

    Parameters
    ----------
    times : array_like of datetime64, shape (n_days,)
        The date of each day, or a time on it.
    unit : {"year", "quarter", "month"}
        The part of the calendar that makes a fold.

    Returns
    -------
    ndarray of str, shape (n_days,)
        The label of each day; labels sort like time.

    Raises
    ------
    StatisticsError
        If a time is missing or cannot be read as a date.
    """
    months = read_times(times).astype("datetime64[M]")
    if unit == "month":
        return months.astype(str)
    years = months.astype("datetime64[Y]").astype(str)
    if unit == "year":
        return years
    # numpy counts months from January 1970, so the remainder by 12 is the month of the year, from 0.
    quarter = (months.astype(np.int64) % 12 // 3 + 1).astype(str)
    return np.char.add(np.char.add(years, "-Q"), quarter)


def length_folds(n_days: int, *, length: int) -> NDArray[np.str_]:
    """Label stretches of equal length "1", "2", and so on.

    Parameters
    ----------
    n_days : int
        Number of days to label, at least `length` [days].
    length : int
        Length of a fold, at least 1 [days].

    Returns
    -------
    ndarray of str, shape (n_days,)
        The label of each day, in order of time. Days at the end that do not fill a fold belong to the last one.

    Raises
    ------
    StatisticsError
        If the length is below 1, or there are fewer days than that.
    """
    if length < 1 or n_days < length:
        raise StatisticsError(f"{n_days} days in folds of {length}, expected at least one whole fold of 1 day or more")
    return (np.minimum(np.arange(n_days) // length, n_days // length - 1) + 1).astype(str)


def join_short(labels: ArrayLike, *, purge: int, at_least: int = MINIMUM_DAYS) -> NDArray[Any]:
    """Join each fold that is too short to judge, once purged, to a neighbour.

    Parameters
    ----------
    labels : array_like, shape (n_days,)
        The fold of each day, n_days >= 1; a fold is one unbroken stretch, which `folds` checks.
    purge : int
        Days that `folds` drops at the start of every fold but the first [days].
    at_least : int, default 20
        Days that must be left in each fold [days].

    Returns
    -------
    ndarray, shape (n_days,)
        The fold of each day. A short fold joins the one after it if that is short too, or if it is the first; otherwise
        the one before it. A joined fold has the label of its longer part. If all days together are too few, there is
        one fold.

    Raises
    ------
    StatisticsError
        If there is no day, or a label is missing.
    """
    fold = read_labels(labels, name="label")
    if not fold.size:
        raise InsufficientDataError("no days to join into folds, expected at least 1", sample=0)
    starts = [0, *(np.flatnonzero(fold[1:] != fold[:-1]) + 1).tolist()]
    stretches = [[fold[start], end - start] for start, end in zip(starts, [*starts[1:], fold.size], strict=True)]
    # A joined fold may still be too short, so the search begins anew after every join.
    while len(stretches) > 1:
        short = [i for i, (_, days) in enumerate(stretches) if days - (purge if i else 0) < at_least]
        if not short:
            break
        # Short neighbours join each other: one by one they would all end in the fold before them.
        first = short[0] if short[0] + 1 in short else max(short[0] - 1, 0)
        pair = stretches[first : first + 2]
        stretches[first : first + 2] = [[max(pair, key=lambda part: part[1])[0], sum(days for _, days in pair)]]
    return np.repeat([name for name, _ in stretches], [days for _, days in stretches])


def retained(out_of_sample: float, in_sample: float) -> float | None:
    """Divide the IC out of sample by the IC in sample: the walk-forward efficiency of [1]_, of an IC.

    Parameters
    ----------
    out_of_sample, in_sample : float
        Mean IC of the same models, on days that they could not know and on days that they could.

    Returns
    -------
    float or None
        The share of the IC in sample that is kept out of sample, negative if the latter is; None if the IC in sample is
        not above 0, or next to nothing, because then there was nothing to keep.

    Raises
    ------
    StatisticsError
        If an IC is not finite.

    References
    ----------
    .. [1] R. Pardo, The Evaluation and Optimization of Trading Strategies, 2nd edition, Wiley, 2008.
    """
    if not (math.isfinite(out_of_sample) and math.isfinite(in_sample)):
        raise StatisticsError(f"ICs of {out_of_sample} and {in_sample}, expected numbers")
    share = out_of_sample / in_sample if in_sample > 0 else math.inf
    return share if math.isfinite(share) else None


def folds_of_days(ic: ArrayLike, times: ArrayLike, *, purge: int) -> Folds:
    """Sum up a daily IC by calendar year, or by quarter within one year; short folds join their neighbour.

    Parameters
    ----------
    ic : array_like of float, shape (n_days,)
        IC of each day, in order of time.
    times : array_like of datetime64, shape (n_days,)
        The date of each day.
    purge : int
        Days left out at the beginning of each fold but the first [days].

    Raises
    ------
    StatisticsError
        As `folds` does.
    """
    labels = join_short(calendar_folds(times), purge=purge)
    if labels[0] == labels[-1]:
        labels = join_short(calendar_folds(times, unit="quarter"), purge=purge)
    return folds(ic, labels, purge=purge)
