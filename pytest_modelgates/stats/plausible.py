"""Whether daily returns can be returns at all: none below -100 %, of the size that returns have, and changing."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from .days import DAYS_PER_YEAR
from .ranks import daily_matrix

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
    sizes = np.abs(np.where(daily == 0, np.nan, daily)) * math.sqrt(periods_per_year / DAYS_PER_YEAR)
    known = sizes[~np.isnan(sizes)]
    median = float(np.median(known)) if known.size else 0.0
    many = np.flatnonzero((~np.isnan(sizes)).sum(axis=0) >= _MOVES)
    odd = many[np.nanmedian(sizes[:, many], axis=0) > min(_LARGEST, _TIMES * median)] if many.size else many
    lowest = np.where(there, daily, np.inf).min(axis=0)
    highest = np.where(there, daily, -np.inf).max(axis=0)
    constant = (there.sum(axis=0) >= _ROWS_TO_STAND_STILL) & (highest - lowest <= _SAME)
    changing = daily[:, ~constant]
    by_name = sum(_at_bounds(name[~np.isnan(name)]) for name in changing.T)
    return ReturnSizes(
        impossible=np.argwhere(daily < -1),
        median=median,
        constant=np.flatnonzero(constant),
        odd=odd,
        clipped=max(by_name, _at_bounds(changing[~np.isnan(changing)])) / int(there.sum()),
    )


def _at_bounds(values: NDArray[np.float64]) -> int:
    """Count the values at either end beyond those that a coarse scale, or chance, puts there."""
    beyond = 0
    for end in (values, -values):
        # All may be lost by many: that is a bound of nature.
        some = end[end > -1 + _SAME] if end is values else end
        if some.size < 2:
            continue
        low = some.min()
        above = some[some > low + _SAME]
        rung = int((above <= above.min() + _SAME).sum()) if above.size else some.size
        beyond += max(0, some.size - above.size - max(_TIES, _RUNGS * rung))
    return beyond
