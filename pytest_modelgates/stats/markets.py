"""On which days a market was closed while others of the panel were open."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from ..storage.scratch import parts
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
    share two of these days, and half of those on which either is absent while both are listed. An asset with a single
    one joins the market that has it too, and no other while it is listed. One that is absent on more than 8 % of its
    days is of none.
    """
    there = ~np.isnan(daily_matrix(returns, "returns"))
    closed = np.zeros(there.shape, dtype=bool)
    if there.all():
        return closed
    day = np.arange(len(there))[:, np.newaxis]
    listed, absent = np.empty((2, *there.shape), dtype=bool)
    for part in parts(there.shape[1], len(there)):
        here = there[:, part]
        last = np.maximum.accumulate(np.where(here, day, -1), axis=0)
        following = np.minimum.accumulate(np.where(here, day, len(here))[::-1], axis=0)[::-1]
        listed[:, part] = (last >= 0) & (following < len(here))
        absent[:, part] = ~here & listed[:, part] & (following - last - 1 <= _CLOSED)
    count = absent.sum(axis=0)
    names = np.flatnonzero((count > 0) & (count <= _HOLIDAYS * listed.sum(axis=0)))
    if names.size < 2:
        return closed
    gone, seen = absent[:, names].astype(np.float32), listed[:, names].astype(np.float32)
    shared, own = gone.T @ gone, gone.T @ seen
    either = own + own.T - shared
    likeness = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
    sure = (shared >= _SHARED) & (likeness >= _ALIKE)
    markets, found = connected_components(sure, directed=False)
    # A name with a single day to show joins the market that it is most like, and never links two.
    single = np.flatnonzero(~sure.diagonal() & (shared.diagonal() > 0))
    likeness[:, single] = 0.0
    nearest = likeness[single].argmax(axis=1)
    joins = likeness[single, nearest] == 1
    found[single[joins]] = found[nearest[joins]]
    member = np.zeros((names.size, markets), dtype=np.float32)
    member[np.arange(names.size), found] = 1
    shut = (gone @ member >= 0.5 * np.maximum(1, seen @ member)) & (member.sum(axis=0) > 1)
    closed[:, names] = absent[:, names] & shut[:, found]
    return closed
