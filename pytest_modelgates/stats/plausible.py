"""Whether daily returns can be returns at all: none below -100 %, of the size that returns have, and changing."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import empty, in_parts, parts
from .days import DAYS_PER_YEAR
from .ranks import Matrix, daily_matrix

# A name with fewer rows may stand still by chance, such as one that is new, or suspended before it goes.
_ROWS_TO_STAND_STILL = 60
# A name that moves so many times as much as the others is in another unit, as is one beyond this size a day [share].
_TIMES, _LARGEST = 30, 0.1
# With fewer returns that are not 0, a name's median says little.
_MOVES = 20
# At an extreme there are, but for a few, no more than so many times the returns that are next to it.
_RUNGS, _TIES = 2, 3
# Returns that differ by less are one return, carried through a computation.
_SAME = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReturnSizes:
    """What is odd about a panel's returns.

    `impossible` holds day and asset of each return below -100 %, shape (n, 2). `median` is the median size a day of the
    returns that are not 0 [share]; 0 if all are. `constant` holds the assets whose return is always the same, and `odd`
    those in another unit than the rest. `clipped` is the share of the returns that are cut off at a bound.
    """

    impossible: NDArray[np.intp]
    median: float
    constant: NDArray[np.intp]
    odd: NDArray[np.intp]
    clipped: float


def return_sizes(returns: ArrayLike, *, periods_per_year: float = DAYS_PER_YEAR) -> ReturnSizes:
    """Look for returns that cannot be, or are in another unit than shares.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share]; NaN means that the asset has no row that day.
    periods_per_year : float, default 252
        Periods in a year, which a return of a period spans.

    Returns
    -------
    ReturnSizes
        A loss of exactly 100 % is possible. Zeros are left out of the median, since names that hardly trade have many.
        Only a name with 60 rows can be constant. Sizes are those of a day, by the root of time. A name is odd if its
        median is above 10 %, or 30 times that of the panel, from 20 returns that are not 0. Returns that equal the
        largest or the smallest one, of all or of their name, are clipped if they are more than three, and more than
        twice as many as equal the next one.

    Raises
    ------
    InsufficientDataError
        If there is no return.
    StatisticsError
        If the returns are not a matrix, one is infinite, or a year has no periods.
    """
    if not (math.isfinite(periods_per_year) and periods_per_year > 0):
        raise StatisticsError(f"a year of {periods_per_year} periods, expected more than 0")
    daily = daily_matrix(returns, "returns")
    there = ~np.isnan(daily)
    if not there.any():
        raise InsufficientDataError("the panel has no return: give rows", sample=0)
    root = math.sqrt(periods_per_year / DAYS_PER_YEAR)
    sizes = in_parts(lambda some: np.abs(np.where(some == 0, np.nan, some)) * root, daily)
    moved = (~np.isnan(sizes)).sum(axis=0)
    known, start = empty(int(moved.sum())), 0
    for part in parts(*sizes.shape):
        some = sizes[part][~np.isnan(sizes[part])]
        known[start : (start := start + some.size)] = some
    median = float(np.median(known, overwrite_input=True)) if known.size else 0.0
    many = np.flatnonzero(moved >= _MOVES)
    medians = np.zeros(many.size)
    for part in parts(many.size, len(sizes)):
        medians[part] = np.nanmedian(sizes[:, many[part]], axis=0)
    odd = many[medians > min(_LARGEST, _TIMES * median)]
    # NaN where a name has no row.
    lowest, highest = np.fmin.reduce(daily, axis=0), np.fmax.reduce(daily, axis=0)
    constant = (there.sum(axis=0) >= _ROWS_TO_STAND_STILL) & (highest - lowest <= _SAME)
    changing = np.flatnonzero(~constant)
    by_name = sum(_at_bounds([daily[:, name]]) for name in changing)
    cut = [daily[part] for part in parts(*daily.shape)]
    return ReturnSizes(
        impossible=np.argwhere(daily < -1),
        median=median,
        constant=np.flatnonzero(constant),
        odd=odd,
        clipped=max(by_name, _at_bounds(cut, changing)) / int(there.sum()),
    )


def _at_bounds(cut: list[Matrix], names: NDArray[np.intp] | None = None) -> int:
    """Count the values at either end beyond those that a coarse scale, or chance, puts there; they come in parts."""
    beyond = 0
    for sign in (1, -1):

        def above(low: float, sign: int = sign) -> Iterator[NDArray[np.float64]]:
            for part in cut:
                some = sign * (part if names is None else part[:, names])
                yield some[some > low]

        # All may be lost by many: that is a bound of nature.
        least = -1 + _SAME if sign == 1 else -np.inf
        count = sum(some.size for some in above(least))
        if count < 2:
            continue
        low = min(some.min(initial=np.inf) for some in above(least))
        others = sum(some.size for some in above(low + _SAME))
        rung = count
        if others:
            following = min(some.min(initial=np.inf) for some in above(low + _SAME)) + _SAME
            rung = sum(int((some <= following).sum()) for some in above(low + _SAME))
        beyond += max(0, count - others - max(_TIES, _RUNGS * rung))
    return beyond
