"""Whether two sets of scores of the same rows agree: in rank, and in every decision that a pair of scores implies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .days import rows_by_day
from .quantiles import finite_series, is_constant
from .ranks import centred_ranks, highest
from .resampling import MINIMUM_VALUES
from .significance import ewc_bounds


def _paired(a: ArrayLike, b: ArrayLike, names: tuple[str, str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = finite_series(a, name=names[0], at_least=2), finite_series(b, name=names[1], at_least=2)
    if x.size != y.size:
        raise StatisticsError(f"{x.size} values of {names[0]}, {y.size} of {names[1]}: pair them row by row")
    return x, y


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyAgreement:
    """How far two models agree day by day.

    `mean` rank correlation of a day and its `lower` 5 % bound; `overlap`, the mean share of one's highest scored tenth
    that is in the other's; `days`, those on which one of them scores all names alike, `constant`, and all their `rows`.
    """

    mean: float
    lower: float
    overlap: float
    days: int
    constant: int
    rows: int


def daily_agreement(a: ArrayLike, b: ArrayLike, days: ArrayLike, *, top: float = 0.1) -> DailyAgreement:
    """Correlate the ranks of two sets of scores within each day, and bound the mean from below.

    Parameters
    ----------
    a, b : array_like of float, shape (n_rows,)
        Scores of the same rows.
    days : array_like, shape (n_rows,)
        The day of each row, ordered like time, rows in any order. Days with one row are left out.
    top : float, default 0.1
        The share of names, at least one, whose overlap is measured.

    Returns
    -------
    DailyAgreement
        The correlation is Spearman's, ties averaged. A day on which either scores all names alike has correlation and
        overlap 0: scores without order agree with nothing.

    Raises
    ------
    StatisticsError
        If lengths differ, a score is not finite, or there are fewer than 20 days.

    Notes
    -----
    The bound is that of the mean of a dependent series, by equal-weighted cosines, as in `significance`. Pooling all
    days would let differences between days, which decide no trade, pass for agreement.
    """
    x, y = _paired(a, b, ("a", "b"))
    pairs = [(x[rows], y[rows]) for rows in rows_by_day(days, rows=x.size) if rows.size > 1]
    if len(pairs) < MINIMUM_VALUES:
        raise StatisticsError(
            f"{len(pairs)} days with two rows or more, at least {MINIMUM_VALUES} are needed: score more days by both"
        )
    flat = [any(is_constant(scores) for scores in pair) for pair in pairs]
    told = np.array([(0.0, 0.0) if f else _agreement_of_a_day(*pair, top) for pair, f in zip(pairs, flat, strict=True)])
    correlations = told[:, 0]
    # Copies agree equally on every day, which leaves nothing to estimate.
    lower = correlations[0] if is_constant(correlations) else ewc_bounds(correlations, confidence=0.90)[0]
    return DailyAgreement(
        mean=float(correlations.mean()),
        lower=float(lower),
        overlap=float(told[:, 1].mean()),
        days=len(pairs),
        constant=sum(flat),
        rows=sum(a.size for a, _ in pairs),
    )


def _agreement_of_a_day(a: NDArray[np.float64], b: NDArray[np.float64], top: float) -> tuple[float, float]:
    both = np.stack([a, b])
    x, y = centred_ranks(both)
    in_common = highest(both, top).all(axis=0).sum() / max(1, round(top * a.size))
    return float((x @ y) / np.sqrt((x @ x) * (y @ y))), float(in_common)


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
    if not (np.isfinite(margin) and margin >= 0):
        raise StatisticsError(f"margin is {margin}, expected a number of at least 0")
    stretches = (rows[np.argsort(reference[rows])] for rows in rows_by_day(days, rows=reference.size))
    return sum(_disordered_of_a_day(reference[rows], copy[rows], margin) for rows in stretches)


def _disordered_of_a_day(reference: NDArray[np.float64], copy: NDArray[np.float64], margin: float) -> int:
    below = np.searchsorted(reference, reference - margin, side="left")
    first_above = np.searchsorted(below, np.arange(below.size), side="right")
    best = np.concatenate([[-np.inf], np.maximum.accumulate(copy)])
    worst = np.concatenate([np.minimum.accumulate(copy[::-1])[::-1], [np.inf]])
    return int(((best[below] >= copy) | (worst[first_above] <= copy)).sum())
