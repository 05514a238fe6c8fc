"""Days that a panel holds twice under two dates, and names that it holds twice."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..storage.scratch import in_parts, parts
from .ranks import Matrix, daily_matrix

# Two returns of a name are the same if they differ by less than this part of its usual one: no rounding of a copy is
# larger, and no two honest days are so close in one name after the other.
_SAME = 1e-3
# So many of the names that moved are the same on two days of which one is a copy; a few may be changed to hide it.
_AGREE = 0.9
_LEAST_CHANGES = 2
# Names that hardly traded may be alike by chance.
_LEAST_DAYS = 20
# Days are compared if they agree on some small set of names, on one of two grids whose cells are so many times as wide
# as what is the same. Small sets are whole though names were changed, larger ones tell days of coarse prices apart.
_SIZES, _SETS, _CELL = (3, 6, 12), 32, 16
# Of a wide panel so many names are looked at first.
_GLANCE = 48
_PAIRS = 1 << 12
_NONE = np.iinfo(np.int64).min


def repeated_days(returns: ArrayLike) -> NDArray[np.intp]:
    """Find days whose returns are those of an earlier day.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share]; NaN means that the asset has no row that day.

    Returns
    -------
    ndarray of int, shape (n_repeated, 2)
        Each such day with the first one that it was found to repeat, ascending: of the names that both days have, and
        that moved on one of them, nine in ten return the same within a thousandth of the name's median size, at least
        two of these returns are not 0, and both days have at least half of the names that either has.

    Raises
    ------
    StatisticsError
        If the returns are not a matrix, or one is infinite.

    Notes
    -----
    Pairs are looked for by all names and by 96 sets of 3, 6 and 12 of them, drawn once for all panels. Of a copy that
    lacks half of the names, each set of three is whole in one of eight cases.
    """
    daily = daily_matrix(returns, "returns")
    if not daily.size:
        return np.empty((0, 2), dtype=np.intp)
    scaled = _in_steps(daily)
    pairs = np.unique(
        np.concatenate(
            [_alike(daily, scaled, names, offset) for names in _sets(daily.shape[1]) for offset in (0.0, 0.5)]
        ),
        axis=0,
    )
    first: dict[int, int] = {}
    for some in np.array_split(pairs, max(1, -(-len(pairs) // _PAIRS))):
        for later, earlier in some[_same_days(scaled, some)].tolist():
            first.setdefault(later, earlier)
    return np.array(sorted(first.items()), dtype=np.intp).reshape(-1, 2)


def repeated_names(returns: ArrayLike) -> NDArray[np.intp]:
    """Find names that are other ones over again.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        As for `repeated_days`.

    Returns
    -------
    ndarray of int, shape (n_repeated, 2)
        Each such name with the first one that it was found to repeat, as `repeated_days` finds days; on 20 days at
        least both return the same, and not 0.

    Raises
    ------
    StatisticsError
        If the returns are not a matrix, or one is infinite.
    """
    daily = daily_matrix(returns, "returns")
    pairs = repeated_days(daily.T)
    a, b = daily[:, pairs[:, 0]], daily[:, pairs[:, 1]]
    enough: NDArray[np.bool_] = ((a != 0) & (b != 0) & ~np.isnan(a) & ~np.isnan(b)).sum(axis=0) >= _LEAST_DAYS
    return np.asarray(pairs[enough], dtype=np.intp)


def _in_steps(daily: Matrix) -> Matrix:
    """Measure each name's returns by what counts as the same: below 1 apart they are."""
    usual = np.ones(daily.shape[1])
    for part in parts(daily.shape[1], len(daily)):
        sizes = np.abs(daily[:, part])
        sizes[~(sizes > 0)] = np.nan
        # A column without any move has no median; its zeros stay zeros.
        moves = ~np.isnan(sizes).all(axis=0)
        usual[part][moves] = np.nanmedian(sizes[:, moves], axis=0)
    return in_parts(lambda some: np.clip(some / (_SAME * usual), -1e15, 1e15), daily)


def _sets(names: int) -> list[NDArray[np.intp] | slice]:
    random = np.random.default_rng(1)
    sizes = [size for size in _SIZES if size < names]
    return [slice(None), *(random.choice(names, size, replace=False) for size in sizes for _ in range(_SETS))]


def _alike(daily: Matrix, scaled: Matrix, names: NDArray[np.intp] | slice, offset: float) -> NDArray[np.intp]:
    """Pair each day that moves enough with the first and the last before it that lie in the same cells."""
    days = np.flatnonzero(
        in_parts(lambda some: (np.nan_to_num(some[:, names]) != 0).sum(axis=1), daily) >= _LEAST_CHANGES
    )
    if days.size < 2:
        return np.empty((0, 2), dtype=np.intp)
    # Any odd numbers tell cells apart in sums that wrap; two days that share a sum by chance are compared and let go.
    weights = np.random.default_rng(2).integers(1 << 62, size=daily[:1, names].shape[1]) | 1

    def summed(steps: Matrix) -> NDArray[np.int64]:
        some = steps[:, names]
        cells = np.where(np.isnan(some), _NONE, np.floor(np.nan_to_num(some) / _CELL + offset)).astype(np.int64)
        return np.asarray((cells * weights).sum(axis=1))

    keys = in_parts(summed, scaled)[days]
    order = np.argsort(keys, kind="stable")
    opens = np.r_[True, keys[order][1:] != keys[order][:-1]]
    again = np.flatnonzero(~opens)
    start = np.maximum.accumulate(np.where(opens, np.arange(days.size), 0))
    earlier = np.r_[again - 1, start[again]]
    return np.column_stack([days[order[np.tile(again, 2)]], days[order[earlier]]])


def _same_days(scaled: Matrix, pairs: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell which pairs are one day twice."""
    if scaled.shape[1] > 2 * _GLANCE:
        glance = np.linspace(0, scaled.shape[1] - 1, _GLANCE).astype(np.intp)
        likely = np.flatnonzero(_agree(scaled[:, glance], pairs, share=0.5)[0])
    else:
        likely = np.arange(len(pairs))
    same = np.zeros(len(pairs), dtype=bool)
    agree, enough = _agree(scaled, pairs[likely], share=_AGREE)
    same[likely] = agree & enough
    return same


def _agree(scaled: Matrix, pairs: NDArray[np.intp], *, share: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell whether so many of the names that moved agree, and whether there are enough names and moves to say so."""
    a, b = scaled[pairs[:, 0]], scaled[pairs[:, 1]]
    both, either = ~np.isnan(a) & ~np.isnan(b), ~np.isnan(a) | ~np.isnan(b)
    moved = both & ((a != 0) | (b != 0))
    same = moved & (np.abs(a - b) <= 1)
    agree = same.sum(axis=1) >= share * moved.sum(axis=1)
    changes = (same & (a != 0)).sum(axis=1)
    return agree, (2 * both.sum(axis=1) >= either.sum(axis=1)) & (changes >= _LEAST_CHANGES)
