"""Which names are in a panel when: rows that are missing between others, and names that never leave."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from ..errors import InsufficientDataError, StatisticsError
from .ranks import Matrix, centred_ranks, daily_matrix, same_shape

# So many rows are missing from honest panels of a few thousand, though one in 1,000 is much for a large one.
_ALLOWED = 3
# In fewer blocks of days a t statistic of ranks is far from Student's distribution.
_BLOCKS = 5
# Of this many names one leaves in a year, by mergers and failures; in most markets it is more.
_NAME_YEARS_TO_A_LEAVER = 1 / 0.03
# Where so many are expected, none leaves by chance in one panel of a hundred: exp(-4.6) = 0.01.
_EXPECTED_LEAVERS = 4.6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holes:
    """The holes of a panel: absences of a name between two days on which it has rows, each counted once.

    `places` holds the first day and the asset of each, shape (n, 2); `share` is their number beyond three, which any
    small panel may have, over that of the rows.
    `p_value` is that of "what follows a hole is like what follows other rows"; 1 if there are too few to tell.
    """

    places: NDArray[np.intp]
    share: float
    p_value: float


def holes(target: ArrayLike, scores: ArrayLike, *, horizon: int) -> Holes:
    """Find rows that are missing between others, and ask whether they were left out for what they would show.

    Parameters
    ----------
    target : array_like of float, shape (n_days, n_assets)
        The return over the horizon from the day after, or what ranks the names of a day alike; NaN means that the asset
        has no row that day.
    scores : array_like of float, shape (n_days, n_assets)
        What the model says of each row.
    horizon : int
        How far the target looks ahead [days].

    Returns
    -------
    Holes
        The row that is missing on day t has no return any more, but the target of day t - 1 begins with it. Its rank
        among the names of that day, and the product of this rank and that of the score, are compared with those of all
        other rows; the p-value is two-sided and the smaller of both, doubled.

    Raises
    ------
    InsufficientDataError
        If there is no row.
    StatisticsError
        If a matrix has another shape, a value is infinite, or the horizon is below 1.

    Notes
    -----
    Holes of the same days share their luck, and so do targets that overlap. Deviations are therefore added up over
    blocks of days as long as the horizon, and these sums are tested by Student's t, as errors clustered in time are
    [1]_.

    References
    ----------
    .. [1] R. Ibragimov and U. K. Müller, t-statistic based correlation and heterogeneity robust inference, Journal of
       Business & Economic Statistics 28:453, 2010.
    """
    if horizon < 1:
        raise StatisticsError(f"horizon is {horizon} days, expected at least 1")
    wanted, given = daily_matrix(target, "target"), daily_matrix(scores, "scores")
    same_shape(wanted, given, "target and scores")
    there = ~np.isnan(wanted)
    if not there.any():
        raise InsufficientDataError("the panel has no row: give rows", sample=0)
    last = len(there) - 1 - there[::-1].argmax(axis=0)
    days, assets = np.nonzero(there[:-1] & ~there[1:] & (np.arange(len(there) - 1)[:, np.newaxis] < last))
    places = np.column_stack([days + 1, assets])
    p_value = 1.0
    if len(places):
        following, scored = _unit_variance(wanted), _unit_variance(given)
        blocks = days // horizon
        p_value = min(1.0, 2 * min(_differ(x, there, (days, assets), blocks) for x in (following, following * scored)))
    return Holes(places=places, share=max(0, len(places) - _ALLOWED) / int(there.sum()), p_value=p_value)


def _unit_variance(values: Matrix) -> Matrix:
    ranks = centred_ranks(values)
    count = np.maximum(1, (~np.isnan(values)).sum(axis=1, keepdims=True))
    size = np.sqrt((ranks**2).sum(axis=1, keepdims=True) / count)
    unit: Matrix = np.divide(ranks, size, out=np.zeros_like(ranks), where=size > 0)
    return unit


def _differ(
    x: Matrix,
    there: NDArray[np.bool_],
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    blocks: NDArray[np.intp],
) -> float:
    """Two-sided p-value of "the rows before a hole are like the others", by sums over blocks."""
    others = there.copy()
    others[rows] = False
    sums = np.bincount(blocks, weights=x[rows] - x[others].mean() if others.any() else x[rows])
    sums = sums[np.bincount(blocks) > 0]
    if sums.size < _BLOCKS:
        return 1.0
    error = float(sums.std(ddof=1)) / np.sqrt(sums.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = abs(float(sums.mean())) / error if error > 0 else (np.inf if sums.any() else 0.0)
    return float(2 * stdtr(sums.size - 1, -t))


def share_of_survivors(returns: ArrayLike) -> float:
    """Tell which share of a panel's names never leave it.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        NaN means that the asset has no row that day.

    Returns
    -------
    float
        Names with a row on the last day, over all names that have a row on some day.

    Raises
    ------
    InsufficientDataError
        If there is no row.
    StatisticsError
        If the returns are not a matrix, or one is infinite.
    """
    there = ~np.isnan(daily_matrix(returns, "returns"))
    if not there.any():
        raise InsufficientDataError("the panel has no row: give rows", sample=0)
    return float(there[-1].sum() / there.any(axis=0).sum())


def why_nobody_left(*, rows: int, periods_per_year: float) -> str | None:
    """Say why a panel that no name leaves may be whole, or None if it is too large for that.

    Parameters
    ----------
    rows : int
        Rows of the panel, one a name and period [count].
    periods_per_year : float
        As `days.periods_per_year` tells.

    Returns
    -------
    str or None
        The reason, if fewer than 4.6 leavers are to be expected at 3 % a year: then even whole panels have none in
        more than one of a hundred.

    Raises
    ------
    StatisticsError
        If there are not more than 0 periods a year.
    """
    if not (math.isfinite(periods_per_year) and periods_per_year > 0):
        raise StatisticsError(f"a year of {periods_per_year} periods, expected more than 0")
    name_years = rows / periods_per_year
    if name_years >= _EXPECTED_LEAVERS * _NAME_YEARS_TO_A_LEAVER:
        return None
    expected = name_years / _NAME_YEARS_TO_A_LEAVER
    together = f"in {name_years:.3g} years of all names together"
    return f"no name leaves where some {expected:.2g} would, {together}: too few to tell"
