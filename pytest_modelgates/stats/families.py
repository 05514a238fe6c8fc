"""Whether two panels are of the same market data, whatever their targets, horizons and names."""

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
STEP = 1e-6  # returns that differ by less are the same price, stored or rounded in another way


def month_hashes(times: NDArray[np.datetime64], assets: NDArray[np.int64], returns: NDArray[np.float64]) -> Hashes:
    """Hash the days and returns of each asset and calendar month.

    Parameters
    ----------
    times : ndarray of datetime64, shape (n_rows,)
        Only the day counts.
    assets : ndarray of int, shape (n_rows,)
        Which asset each row is of; what it is called does not count.
    returns : ndarray of float, shape (n_rows,)
        Return from that day to the next [share], to 1e-6; a row without a finite one is left out.

    Returns
    -------
    ndarray of uint64, shape (n_hashes,)
        Ascending, each once. The order of the rows does not count.

    Notes
    -----
    Rows are hashed by the finaliser of SplitMix64 [1]_, and added up over the rows of an asset and month modulo 2^64.

    References
    ----------
    .. [1] G. L. Steele, D. Lea and C. H. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    known = np.isfinite(returns)
    days, assets = times[known].astype("datetime64[D]"), assets[known]
    if not days.size:
        return np.empty(0, dtype=np.uint64)
    steps = np.rint(np.clip(returns[known], -1e9, 1e9) / STEP).astype(np.int64)
    rows = _mixed(_mixed(days.astype(np.int64).astype(np.uint64)) + steps.astype(np.uint64))
    months = days.astype("datetime64[M]").astype(np.int64)
    order = np.lexsort((months, assets))
    begins = (np.diff(assets[order], prepend=-1) != 0) | (np.diff(months[order], prepend=0) != 0)
    begins[0] = True
    return np.unique(_mixed(np.add.reduceat(rows[order], np.flatnonzero(begins))))


def _mixed(values: Hashes) -> Hashes:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def one_family(one: Hashes, other: Hashes) -> bool:
    """Whether two panels are of the same data: half of the hashes of the shorter one are in the other."""
    shared = np.intersect1d(one, other, assume_unique=True).size
    return 2 * shared >= min(one.size, other.size) > 0
