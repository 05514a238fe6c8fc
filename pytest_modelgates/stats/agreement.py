"""Whether two sets of scores of the same rows agree: in rank, and in every decision that a pair of scores implies."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .quantiles import finite_series, refuse_constant
from .ranking import average_ranks


def _paired(a: ArrayLike, b: ArrayLike, names: tuple[str, str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = finite_series(a, name=names[0], at_least=2), finite_series(b, name=names[1], at_least=2)
    if x.size != y.size:
        raise StatisticsError(f"{x.size} values of {names[0]}, {y.size} of {names[1]}: pair them row by row")
    return x, y


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Correlate the ranks of two sets of scores.

    Parameters
    ----------
    a, b : array_like of float, shape (n_rows,)
        Scores of the same rows, n_rows >= 2.

    Returns
    -------
    float
        Spearman's correlation, ties averaged, from -1 to 1.

    Raises
    ------
    StatisticsError
        If lengths differ, a value is not finite, or one set is constant: ranks without order agree with nothing.
    """
    pair = _paired(a, b, ("a", "b"))
    for scores in pair:
        refuse_constant(scores)
    x, y = average_ranks(np.stack(pair)) - (pair[0].size + 1) / 2
    return float(np.clip((x @ y) / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def disordered(native: ArrayLike, other: ArrayLike, days: ArrayLike, *, margin: float) -> int:
    """Count the rows on whose order within a day two sets of scores disagree.

    Parameters
    ----------
    native, other : array_like of float, shape (n_rows,)
        Scores of the same rows, by the reference and by its copy.
    days : array_like, shape (n_rows,)
        The day of each row, in any order.
    margin : float
        Native scores that differ by no more count as tied [unit of the scores].

    Returns
    -------
    int
        Rows in at least one pair of a day with ``low < high - margin`` by native score, but not ``low < high`` by the
        other: equal is disordered too.

    Raises
    ------
    StatisticsError
        If lengths differ, a score is not finite, or the margin is negative or not finite.

    Notes
    -----
    A row breaks the order exactly if the best score below its margin is not below its own, or the worst one above is
    not above it; running extremes over sorted scores find both in O(n log n), without looking at pairs.
    """
    reference, copy = _paired(native, other, ("native", "other"))
    day = np.asarray(days)
    if day.shape != reference.shape:
        raise StatisticsError(f"{reference.size} rows, days of shape {day.shape}: give one day a row")
    if not (np.isfinite(margin) and margin >= 0):
        raise StatisticsError(f"margin is {margin}, expected a number of at least 0")
    _, code = np.unique(day, return_inverse=True)
    order = np.lexsort((reference, code))
    bounds = np.flatnonzero(np.diff(code[order])) + 1
    stretches = zip(np.split(reference[order], bounds), np.split(copy[order], bounds), strict=True)
    return sum(_disordered_of_a_day(low_to_high, scores, margin) for low_to_high, scores in stretches)


def _disordered_of_a_day(reference: NDArray[np.float64], copy: NDArray[np.float64], margin: float) -> int:
    below = np.searchsorted(reference, reference - margin, side="left")
    first_above = np.searchsorted(below, np.arange(below.size), side="right")
    best = np.concatenate([[-np.inf], np.maximum.accumulate(copy)])
    worst = np.concatenate([np.minimum.accumulate(copy[::-1])[::-1], [np.inf]])
    return int(((best[below] >= copy) | (worst[first_above] <= copy)).sum())
