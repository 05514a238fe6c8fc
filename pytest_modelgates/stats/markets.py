"""On which days a market was closed while others of the panel were open."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from .ranks import daily_matrix

# A market is closed for at most so many days in a row, and on at most this part of the days.
_CLOSED, _HOLIDAYS = 5, 0.08
# Names of one market share at least so many closed days, and this part of all days on which one of the two is absent.
_SHARED, _ALIKE = 2, 0.5


def closed_days(returns: ArrayLike) -> NDArray[np.bool_]:
    """Find the days on which a whole market is closed.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        What each asset has on a day; NaN means that the asset has no row that day.

    Returns
    -------
    ndarray of bool, shape (n_days, n_assets)
        True on the days without a row on which at least half of the asset's market, of two assets at least, has none.

    Raises
    ------
    StatisticsError
        If the returns are not a matrix, or one is infinite.

    Notes
    -----
    Only absences of five days at most, between two days with rows, are looked at. Two assets are of one market if they
    share half of these days on which either is absent while both are listed, and two if there are so many. An asset
    that is absent on more than 8 % of its days is of none.
    """
    there = ~np.isnan(daily_matrix(returns, "returns"))
    closed = np.zeros(there.shape, dtype=bool)
    day = np.arange(len(there))[:, np.newaxis]
    last = np.maximum.accumulate(np.where(there, day, -1), axis=0)
    following = np.minimum.accumulate(np.where(there, day, len(there))[::-1], axis=0)[::-1]
    listed = (last >= 0) & (following < len(there))
    absent = ~there & listed & (following - last - 1 <= _CLOSED)
    count = absent.sum(axis=0)
    names = np.flatnonzero((count > 0) & (count <= _HOLIDAYS * listed.sum(axis=0)))
    if names.size < 2:
        return closed
    gone, seen = absent[:, names].astype(np.float32), listed[:, names].astype(np.float32)
    shared, own = gone.T @ gone, gone.T @ seen
    either = own + own.T - shared
    alike = (shared >= np.minimum(_SHARED, either)) & (shared >= _ALIKE * either) & (shared > 0)
    markets, found = connected_components(alike, directed=False)
    member = np.zeros((names.size, markets), dtype=np.float32)
    member[np.arange(names.size), found] = 1
    shut = (gone @ member >= 0.5 * np.maximum(1, seen @ member)) & (member.sum(axis=0) > 1)
    closed[:, names] = absent[:, names] & shut[:, found]
    return closed
