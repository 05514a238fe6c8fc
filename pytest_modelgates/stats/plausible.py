"""Whether daily returns can be returns at all: none below -100 %, of the size that returns have, and changing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError
from .ranks import daily_matrix

# A name with fewer rows may stand still by chance, such as one that is new, or suspended before it goes.
_ROWS_TO_STAND_STILL = 20
# Returns that differ by less are one return, carried through a computation.
_SAME = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReturnSizes:
    """What is odd about a panel's returns.

    `impossible` holds day and asset of each return below -100 %, shape (n, 2). `median` is the median size of the
    returns that are not 0 [share]; 0 if all are. `constant` holds the assets whose return is always the same.
    """

    impossible: NDArray[np.intp]
    median: float
    constant: NDArray[np.intp]


def return_sizes(returns: ArrayLike) -> ReturnSizes:
    """Look for returns that cannot be, or are in another unit than shares.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share]; NaN means that the asset has no row that day.

    Returns
    -------
    ReturnSizes
        A loss of exactly 100 % is possible. Zeros are left out of the median, since names that hardly trade have many.
        Only a name with 20 rows can be constant.

    Raises
    ------
    InsufficientDataError
        If there is no return.
    StatisticsError
        If the returns are not a matrix, or one is infinite.
    """
    daily = daily_matrix(returns, "returns")
    there = ~np.isnan(daily)
    if not there.any():
        raise InsufficientDataError("the panel has no return: give rows", sample=0)
    sizes = np.abs(daily[there & (daily != 0)])
    lowest = np.where(there, daily, np.inf).min(axis=0)
    highest = np.where(there, daily, -np.inf).max(axis=0)
    constant = (there.sum(axis=0) >= _ROWS_TO_STAND_STILL) & (highest - lowest <= _SAME)
    return ReturnSizes(
        impossible=np.argwhere(daily < -1),
        median=float(np.median(sizes)) if sizes.size else 0.0,
        constant=np.flatnonzero(constant),
    )
