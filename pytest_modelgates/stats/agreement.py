"""Whether two sets of scores of the same rows agree: in rank, and in every decision that a pair of scores implies."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
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

    `mean` is the mean rank correlation of a day, and `lower` its lower 5 % bound. `overlap` is the mean share of the
    names scored highest by one model that the other scores highest too. `flipped` is the share of the rows whose scores
    have opposite signs, and `largest` the largest difference of two scores of a row [unit of the scores]. `days` counts
    the days compared, `constant` those of them on which a model scores all names alike, and `rows` their rows.
    """

    mean: float
    lower: float
    overlap: float
    flipped: float
    largest: float
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
        The share of a day's names, at least one name, whose overlap is measured.

    Returns
    -------
    DailyAgreement
        The correlation is Spearman's [1]_, ties averaged. A day on which a model scores all names alike has correlation
        and overlap 0: scores without order agree with nothing.

    Raises
    ------
    StatisticsError
        If lengths differ, a score is not finite, there are fewer than 20 days with two rows or more, or `top` does not
        lie between 0 and 1.

    Notes
    -----
    The bound is that of the mean of a dependent series, by equal-weighted cosines (see `significance.ewc_bounds`).
    Pooling all days would let differences between days, which decide no trade, pass for agreement.

    References
    ----------
    .. [1] C. Spearman, The proof and measurement of association between two things, American Journal of Psychology
       15:72, 1904.
    """
    x, y = _paired(a, b, ("a", "b"))
    return mean_agreement(
        DayAgreement.of(x[rows], y[rows], top=top) for rows in rows_by_day(days, rows=x.size) if rows.size > 1
    )


@dataclass(frozen=True, slots=True)
class DayAgreement:
    """How far two models agree on one day: see `DailyAgreement`, but `flipped` counts rows."""

    correlation: float
    overlap: float
    constant: bool
    rows: int
    flipped: int
    largest: float

    @classmethod
    def of(cls, a: NDArray[np.float64], b: NDArray[np.float64], *, top: float = 0.1) -> "DayAgreement":
        """Compare the scores of a day's rows, at least two; see `daily_agreement`."""
        # Constant scores have no ranks to correlate. Leaving such days out would let a broken model pass on the others.
        constant = is_constant(a) or is_constant(b)
        correlation, overlap = (0.0, 0.0) if constant else _agreement_of_a_day(a, b, top)
        flipped = int((np.sign(a) * np.sign(b) < 0).sum())
        return cls(correlation, overlap, constant, a.size, flipped, float(np.abs(a - b).max()))


def mean_agreement(days: Iterable[DayAgreement]) -> DailyAgreement:
    """Sum up days, in their order; see `daily_agreement`."""
    found = list(days)
    if len(found) < MINIMUM_VALUES:
        raise InsufficientDataError(
            f"{len(found)} days with two rows or more, at least {MINIMUM_VALUES} are needed: score more days by both"
        )
    correlations = np.array([day.correlation for day in found])
    # Two copies agree equally on every day: without spread the bound is the mean itself. Otherwise it is the lower end
    # of a two-sided 90 % interval, which is a one-sided 95 % bound.
    lower = correlations[0] if is_constant(correlations) else ewc_bounds(correlations, confidence=0.90)[0]
    rows = sum(day.rows for day in found)
    return DailyAgreement(
        mean=float(correlations.mean()),
        lower=float(lower),
        overlap=float(np.mean([day.overlap for day in found])),
        flipped=sum(day.flipped for day in found) / rows,
        largest=max(day.largest for day in found),
        days=len(found),
        constant=sum(day.constant for day in found),
        rows=rows,
    )


def _agreement_of_a_day(a: NDArray[np.float64], b: NDArray[np.float64], top: float) -> tuple[float, float]:
    both = np.stack([a, b])
    x, y = centred_ranks(both)
    # Names that tie across the edge are not on top. The divisor counts them all the same, so ties lower the overlap.
    in_common = highest(both, top).all(axis=0).sum() / max(1, round(top * a.size))
    # Spearman's correlation is Pearson's of the ranks, whose means are 0 here.
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
        Native scores that differ by the margin or less count as tied [unit of the scores].

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
    Take the rows that lie below a row natively, by more than the margin, and those that lie above it. The row is
    disordered exactly if the other scores of the first do not all lie below its own, or those of the second not all
    above. Running extremes over the sorted scores find both in O(n log n), without looking at pairs.
    """
    reference, copy = _paired(native, other, ("native", "other"))
    if not (np.isfinite(margin) and margin >= 0):
        raise StatisticsError(f"margin is {margin}, expected a number of at least 0")
    stretches = (rows[np.argsort(reference[rows])] for rows in rows_by_day(days, rows=reference.size))
    return sum(_disordered_of_a_day(reference[rows], copy[rows], margin) for rows in stretches)


def _disordered_of_a_day(reference: NDArray[np.float64], copy: NDArray[np.float64], margin: float) -> int:
    # The first below[i] rows lie natively below row i by more than the margin. These counts ascend, so the rows that
    # have row i below them start where `below` first exceeds i.
    below = np.searchsorted(reference, reference - margin, side="left")
    first_above = np.searchsorted(below, np.arange(below.size), side="right")
    best = np.concatenate([[-np.inf], np.maximum.accumulate(copy)])
    worst = np.concatenate([np.minimum.accumulate(copy[::-1])[::-1], [np.inf]])
    return int(((best[below] >= copy) | (worst[first_above] <= copy)).sum())
