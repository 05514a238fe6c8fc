"""Days that a panel holds twice under two dates."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .ranks import Matrix, daily_matrix

# Decimals of a return that count. Prices have no more, and noise below them must not hide a copy.
_DECIMALS = 9
# Names are split into so many sets, and two days are looked at if they agree on one of them: a copy is seen though a
# name was left out of it or changed.
_SETS = 4
_LEAST_CHANGES = 2


def repeated_days(returns: ArrayLike) -> NDArray[np.intp]:
    """Find days whose returns are those of an earlier day.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share]; NaN means that the asset has no row that day.

    Returns
    -------
    ndarray of int, shape (n_repeated, 2)
        Each such day with the first one that it repeats, ascending: all names that both days have return the same to
        nine decimals, at least two of these returns are not 0, and both days have at least half of the names that
        either has.

    Raises
    ------
    StatisticsError
        If the returns are not a matrix, or one is infinite.

    Notes
    -----
    Pairs are looked for by all names and by each quarter of them, so a copy of which one name is missing is found, and
    one that lacks a name of each quarter is not.
    """
    daily = daily_matrix(returns, "returns")
    # A zero has a sign, which would tell it from another zero.
    rounded = np.round(daily, _DECIMALS) + 0.0
    sets = [rounded, *(rounded[:, start::_SETS] for start in range(_SETS))]
    pairs = {pair for some in sets for pair in _alike(some)}
    first: dict[int, int] = {}
    for later, earlier in sorted(pairs):
        if later not in first and _same_day(rounded[later], rounded[earlier]):
            first[later] = earlier
    return np.array(sorted(first.items()), dtype=np.intp).reshape(-1, 2)


def _alike(some: Matrix) -> list[tuple[int, int]]:
    """Pair each day with the first day that has the same returns of some names."""
    changing = np.flatnonzero((np.nan_to_num(some) != 0).any(axis=1))
    if not changing.size:
        return []
    # Rows are compared as bytes: NaN then equals NaN.
    rows = np.ascontiguousarray(some[changing])
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    earlier = changing[firsts][inverse.ravel()]
    return [(int(day), int(other)) for day, other in zip(changing, earlier, strict=True) if day != other]


def _same_day(a: Matrix, b: Matrix) -> bool:
    either, both = ~(np.isnan(a) & np.isnan(b)), ~(np.isnan(a) | np.isnan(b))
    return bool(
        2 * both.sum() >= either.sum() and (a[both] == b[both]).all() and (a[both] != 0).sum() >= _LEAST_CHANGES
    )
