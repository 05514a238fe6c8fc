"""Ranks of many rows at once, and how far two rankings agree: the rank IC of each day."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from ..storage.scratch import empty, in_parts, parts
from .quantiles import LARGEST, numbers

Matrix = NDArray[np.float64]
Series = NDArray[np.float64]
# Values ranked at a time: a chunk that fits the cache is ranked twice as fast.
_CHUNK = 1 << 15


def daily_matrix(values: ArrayLike, name: str) -> Matrix:
    """Read a matrix of one row a day and one column an asset.

    Parameters
    ----------
    values : array_like of float, shape (n_days, n_assets)
        The numbers; NaN means that the asset has no row that day.
    name : str
        What the message of an error calls them.

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        The same numbers.

    Raises
    ------
    StatisticsError
        If the values are not numbers or not a matrix, or one is infinite or beyond 1e100.
    """
    matrix = numbers(values, name=name)
    if matrix.ndim != 2:
        raise StatisticsError(f"{name} has {matrix.ndim} dimensions, expected 2: one row a day, one column an asset")
    # Fast path: extremes within bounds prove that all values are. NaN among the values is one of the extremes, and then
    # each value is looked at.
    if matrix.size and not (matrix.min() >= -LARGEST and matrix.max() <= LARGEST):
        if bad := int(np.isinf(matrix).sum()):
            raise StatisticsError(f"{name} has {bad} infinite values, expected numbers or NaN: remove their cause")
        cut = [matrix[part] for part in parts(*matrix.shape)]
        if (largest := max(float(np.abs(some).max(initial=0.0, where=~np.isnan(some))) for some in cut)) > LARGEST:
            raise StatisticsError(
                f"{name} reaches {largest:.3g} in size, expected at most {LARGEST:g}: use another unit"
            )
    return matrix


def same_shape(a: Matrix, b: Matrix, names: str) -> None:
    """Refuse two matrices of different shapes.

    Parameters
    ----------
    a, b : ndarray of float
        The matrices.
    names : str
        What the message of an error calls the two, such as "scores and returns".

    Raises
    ------
    StatisticsError
        If the shapes differ.
    """
    if a.shape != b.shape:
        raise StatisticsError(f"{names} have shapes {a.shape} and {b.shape}, expected the same: align days and assets")


def centred_ranks(values: Matrix) -> Matrix:
    """Rank each row about 0: average ranks less their mean, and 0 for NaN.

    Parameters
    ----------
    values : ndarray of float, shape (n_rows, n_columns)
        Values to rank within each row, ascending; NaN means that there is none, and no value is infinite.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_columns)
        Ranks about 0. The mean rank of a row follows from its length, so a row of equal values gives exact zeros; a
        computed mean would leave rounding errors.
    """
    ranks = empty(values.shape)
    for days in _chunks(values):
        missing = np.isnan(values[days])
        ranks[days] = _centred(values[days], missing if missing.any() else None)
    return ranks


def highest(values: Matrix, share: float) -> NDArray[np.bool_]:
    """Tell which names belong to the highest `share` of each row.

    Parameters
    ----------
    values : ndarray of float, shape (n_rows, n_columns)
        Values of the names; NaN means that there is none.
    share : float
        The share of the names of a row, between 0 and 1; at least one name is wanted.

    Returns
    -------
    ndarray of bool, shape (n_rows, n_columns)
        True for a name on top. It is false for NaN, and for all names that tie across the edge, because which of them
        to take would be a matter of luck.

    Raises
    ------
    StatisticsError
        If the share does not lie between 0 and 1.
    """
    if not 0 < share < 1:
        raise StatisticsError(f"the top share is {share}, expected a number between 0 and 1, such as 0.1")
    return in_parts(lambda some: _highest(some, share), values)


def _highest(values: Matrix, share: float) -> NDArray[np.bool_]:
    there = ~np.isnan(values)
    wanted = np.maximum(1, np.rint(share * there.sum(axis=1, keepdims=True))).astype(np.intp)
    filled = np.where(there, values, -np.inf)
    # A name is on top if it exceeds the best name that is no longer wanted. Where every name is wanted, the column of
    # -inf stands in for that one.
    ordered = np.sort(np.pad(filled, ((0, 0), (1, 0)), constant_values=-np.inf), axis=1)
    top: NDArray[np.bool_] = filled > np.take_along_axis(ordered, values.shape[1] - wanted, axis=1)
    return top


def _chunks(values: Matrix) -> Iterator[slice]:
    rows, columns = values.shape
    step = max(1, _CHUNK // max(1, columns))
    # Without columns there is nothing to rank, and places in the flat matrix would have a step of 0.
    return (slice(start, start + step) for start in range(0, rows if columns else 0, step))


def _centred(values: Matrix, missing: NDArray[np.bool_] | None) -> Matrix:
    order, ordered = _sorted_ranks(values, missing)
    ranks = np.empty(values.shape)
    ranks.ravel()[order] = ordered
    return ranks


def _sorted_ranks(values: Matrix, missing: NDArray[np.bool_] | None) -> tuple[NDArray[np.intp], Matrix]:
    """Sort each row: return the places in the flat matrix, and the centred ranks of the values at these places."""
    rows, columns = values.shape
    # NaN and infinity are both sorted last, but a sort that meets no NaN is five times as fast.
    filled = np.where(missing, np.inf, values) if missing is not None else np.ascontiguousarray(values)
    order = np.argsort(filled, axis=1)
    order += np.arange(0, rows * columns, columns)[:, np.newaxis]
    ordered = filled.ravel()[order]
    counts = columns - missing.sum(axis=1, keepdims=True) if missing is not None else np.full((rows, 1), columns)
    # Ranks 0 to count - 1 have the mean (count - 1) / 2; ties keep it, as they share the mean of their ranks.
    centred = np.arange(columns) - (counts - 1) / 2
    equal = ordered[:, 1:] == ordered[:, :-1]
    # The infinities in place of NaN are not ties.
    if missing is not None:
        equal &= ordered[:, 1:] < np.inf
    tied = equal.any(axis=1)
    if tied.any():
        centred[tied] = _tie_means(~equal[tied], centred[tied])
    if missing is not None:
        centred[np.arange(columns) >= counts] = 0.0
    return order, centred


def _tie_means(differs: NDArray[np.bool_], ranks: Matrix) -> Matrix:
    """Give each run of equal values the mean of its ranks, which is the mean of its first and its last rank."""
    opens = np.ones(ranks.shape, dtype=bool)
    opens[:, 1:] = differs
    starts = np.flatnonzero(opens)
    lengths = np.diff(starts, append=ranks.size)
    return np.repeat(ranks.ravel()[starts] + (lengths - 1) / 2, lengths).reshape(ranks.shape)


def daily_rank_ic(scores: ArrayLike, target: ArrayLike) -> Series:
    """Correlate the ranks of scores and target within each day.

    Parameters
    ----------
    scores, target : array_like of float, shape (n_days, n_assets)
        Pairs of values, of which only the order within the day counts. A pair with a NaN is left out.

    Returns
    -------
    ndarray of float64, shape (n_days,)
        Spearman's correlation [1]_, ties averaged; NaN for a day with fewer than two pairs, or on which all scores or
        all targets are equal.

    Raises
    ------
    StatisticsError
        If one is not a matrix, the shapes differ, or a value is infinite.

    References
    ----------
    .. [1] C. Spearman, The proof and measurement of association between two things, American Journal of Psychology
       15:72, 1904.
    """
    a, b = daily_matrix(scores, "scores"), daily_matrix(target, "target")
    same_shape(a, b, "scores and target")
    ic: Series = np.full(len(a), np.nan)
    for days in _chunks(a):
        ic[days] = _rank_ic(a[days], b[days])
    return ic


def _rank_ic(a: Matrix, b: Matrix) -> Series:
    unpaired = np.isnan(a) | np.isnan(b)
    missing = unpaired if unpaired.any() else None
    order, x = _sorted_ranks(a, missing)
    # A sum of products does not depend on the order, so x stays sorted and only y is moved.
    y = _centred(b, missing).ravel()[order]
    # Spearman's correlation is Pearson's of the ranks, whose means are 0 here.
    product, x_square, y_square = (np.einsum("ij,ij->i", *pair) for pair in ((x, y), (x, x), (y, y)))
    size = np.sqrt(x_square * y_square)
    ic: Series = np.divide(product, size, out=np.full(len(a), np.nan), where=size > 0)
    return ic
