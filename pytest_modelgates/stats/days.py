"""Days: how many make a year, and the rows of each."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError

DAYS_PER_YEAR = 252
"""Trading days in a year."""


def rows_by_day(days: ArrayLike, *, rows: int) -> list[NDArray[np.int64]]:
    """Find the rows of each day.

    Parameters
    ----------
    days : array_like, shape (n_rows,)
        The day of each row, ordered like time, rows in any order.
    rows : int
        Number of rows.

    Returns
    -------
    list of ndarray of int64
        For each day, in ascending order, the positions of its rows, in the order of the rows.

    Raises
    ------
    StatisticsError
        If the number of days is not that of the rows.
    """
    day = np.asarray(days)
    if day.shape != (rows,):
        raise StatisticsError(f"{rows} rows, days of shape {day.shape}: give one day a row")
    code = np.unique(day, return_inverse=True)[1]
    # A stable sort leaves the rows of a day in their own order.
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
