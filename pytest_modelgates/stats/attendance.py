"""Which names are in a panel when: rows that are missing between others, and names that never leave."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import in_parts, parts
from .markets import closed_days
from .ranks import Matrix, Series, centred_ranks, daily_matrix, same_shape
from .target import compounded

# So many holes are in honest panels of a few thousand rows, though one in 1,000 is much for a large one; of a hundred
# names two or three come back after months.
_ALLOWED = 3
# In fewer blocks of days a t statistic of ranks is far from Student's distribution.
_BLOCKS = 5
# Of this many names one leaves in a year, by mergers and failures; in most markets it is more.
_NAME_YEARS_TO_A_LEAVER = 1 / 0.03
# Where so many are expected, none leaves by chance in one panel of a hundred: exp(-4.6) = 0.01.
_EXPECTED_LEAVERS = 4.6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holes:
    """The holes of a panel: absences of a name between two days on which it has rows.

    `places` holds the first day and the asset of each, shape (n, 2); `share` is the sum of the roots of their lengths,
    but for the three longest, over the number of rows; days on which a whole market is closed do not count. `exits`
    counts the names that leave before the panel ends.
    `p_value` is that of "the position would not have lost in rows that are missing"; 1 if there are too few to tell.
    """

    places: NDArray[np.intp]
    share: float
    exits: int
    p_value: float


def holes(target: ArrayLike, scores: ArrayLike, returns: ArrayLike, *, horizon: int) -> Holes:
    """Find rows that are missing between others, and ask whether rows were left out for what they would show.

    Parameters
    ----------
    target : array_like of float, shape (n_days, n_assets)
        The return over the horizon from the day after, or what ranks the names of a day alike; NaN means that the asset
        has no row that day.
    scores : array_like of float, shape (n_days, n_assets)
        What the model says of each row.
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share].
    horizon : int
        How far the target looks ahead [days].

    Returns
    -------
    Holes
        A row that is missing has no return any more, but the targets of the days before hold it. The rank of such a
        target is compared with that of what the panel's returns make of it, the missing ones taken from the median of
        their day. The difference, times the rank of the score, tells what the position would have earned beyond the
        panel. The p-value is small if rows that would have lost are missing, in a hole or after a name's end. It is
        twice the one-sided one, so that one honest panel in 200 falls below 0.01.

    Raises
    ------
    InsufficientDataError
        If there is no row.
    StatisticsError
        If a matrix has another shape, a value is infinite, or the horizon is below 1.

    Notes
    -----
    A sum of returns over L days has a spread of the root of L, so leaving out L rows in a row with foresight gains as
    much as that root. When a market is closed, see `markets.closed_days`.

    Holes of the same days share their luck. Differences are therefore added up over blocks of days as long as the
    horizon, by the first day that is missing, and these sums are tested by Student's t, as errors clustered in time are
    [1]_.

    References
    ----------
    .. [1] R. Ibragimov and U. K. Müller, t-statistic based correlation and heterogeneity robust inference, Journal of
       Business & Economic Statistics 28:453, 2010.
    """
    if horizon < 1:
        raise StatisticsError(f"horizon is {horizon} days, expected at least 1")
    wanted, given = daily_matrix(target, "target"), daily_matrix(scores, "scores")
    daily = daily_matrix(returns, "returns")
    same_shape(wanted, given, "target and scores")
    same_shape(wanted, daily, "target and returns")
    there = ~np.isnan(wanted)
    if not there.any():
        raise InsufficientDataError("the panel has no row: give rows", sample=0)
    closed, each = closed_days(wanted), parts(there.shape[1], len(there))
    found = [_holes_of(there[:, part], closed[:, part], part.start) for part in each]
    places, lengths = (np.concatenate(of) for of in zip(*found, strict=True))
    counted = np.sort(np.sqrt(lengths))[:-_ALLOWED]
    return Holes(
        places=places[np.lexsort((places[:, 1], places[:, 0]))],
        share=float(counted.sum()) / int(there.sum()),
        exits=int((there.any(axis=0) & ~there[-1]).sum()),
        p_value=_p_of_losses(wanted, given, daily, horizon) if not there.all() else 1.0,
    )


def _holes_of(there: NDArray[np.bool_], closed: NDArray[np.bool_], start: int) -> tuple[NDArray[np.intp], Series]:
    """Find the holes of some names, the first of which is number `start`: the places and the lengths."""
    # The row that a name has next, counted from the end: beyond the last one there is none.
    day = np.arange(len(there))[:, np.newaxis]
    later = np.minimum.accumulate(np.where(there, day, len(there))[::-1], axis=0)[::-1]
    days, assets = np.nonzero(there[:-1] & ~there[1:] & (later[1:] < len(there)))
    # Of the days of each hole those count on which no whole market was closed.
    missed = np.vstack([np.zeros((1, there.shape[1])), np.cumsum(~there & ~closed, axis=0)])
    lengths = missed[later[days + 1, assets], assets] - missed[days + 1, assets]
    return np.column_stack([days + 1, start + assets]), lengths


def _p_of_losses(wanted: Matrix, given: Matrix, daily: Matrix, horizon: int) -> float:
    """P-value of "the position would not have lost in rows that are missing", by sums over blocks."""
    there, missing = ~np.isnan(wanted), np.isnan(daily)

    def filled(some: Matrix) -> Matrix:
        return np.where(np.isnan(some), _medians(some)[:, np.newaxis], some)

    def beyond(wanted: Matrix, made: Matrix, given: Matrix) -> Matrix:
        known = ~np.isnan(wanted) & ~np.isnan(made)
        ours, theirs = (_unit_variance(np.where(known, some, np.nan)) for some in (wanted, made))
        return (ours - theirs) * _unit_variance(given)

    made = compounded(in_parts(filled, daily), horizon=horizon)
    compared, earned = there & ~np.isnan(made), in_parts(beyond, wanted, made, given)
    # The first day that is missing of those that the target holds.
    day = np.arange(len(there), dtype=np.int32)[:, np.newaxis]
    first = np.minimum.accumulate(np.where(missing, day, len(there) + horizon)[::-1], axis=0)[::-1]
    rows = compared & (np.vstack([first[1:], np.full_like(first[:1], len(there) + horizon)]) <= day + horizon)
    others = compared & ~rows
    usual = earned[others].mean() if others.any() else 0.0
    at, asset = np.nonzero(rows)
    blocks = first[at + 1, asset] // horizon
    sums = np.bincount(blocks, weights=earned[rows] - usual)[np.bincount(blocks) > 0] if at.size else np.empty(0)
    if sums.size < _BLOCKS:
        return 1.0
    error = float(sums.std(ddof=1)) / np.sqrt(sums.size)
    if error == 0:
        return 0.0 if sums[0] < 0 else 1.0
    return min(1.0, 2 * float(stdtr(sums.size - 1, float(sums.mean()) / error)))


def _medians(daily: Matrix) -> Series:
    there = ~np.isnan(daily)
    found = there.any(axis=1)
    medians = np.zeros(len(daily))
    medians[found] = np.nanmedian(daily[found], axis=1)
    return medians


def _unit_variance(values: Matrix) -> Matrix:
    ranks = centred_ranks(values)
    count = np.maximum(1, (~np.isnan(values)).sum(axis=1, keepdims=True))
    size = np.sqrt((ranks**2).sum(axis=1, keepdims=True) / count)
    unit: Matrix = np.divide(ranks, size, out=np.zeros_like(ranks), where=size > 0)
    return unit


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
