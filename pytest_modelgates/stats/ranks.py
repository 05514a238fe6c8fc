"""Ranks of many rows at once, and how far two of them agree: the rank IC of each day."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .quantiles import numbers

Matrix = NDArray[np.float64]
Series = NDArray[np.float64]
_CHUNK = 1 << 15  # values ranked at a time; what fits the cache is ranked twice as fast


def daily_matrix(values: ArrayLike, name: str) -> Matrix:
    """Read one row a day, one column an asset, NaN where there is no row; or raise StatisticsError."""
    matrix = numbers(values, name=name)
    if matrix.ndim != 2:
        raise StatisticsError(f"{name} has {matrix.ndim} dimensions, expected 2: one row a day, one column an asset")
    # A sum of finite numbers, or one with NaN, is not the sign of an infinity; the rest is looked at value by value.
    with np.errstate(invalid="ignore", over="ignore"):
        suspicious = not np.isfinite(matrix.sum())
    if suspicious and (bad := int(np.isinf(matrix).sum())):
        raise StatisticsError(f"{name} has {bad} infinite values, expected numbers or NaN: remove their cause")
    return matrix


def same_shape(a: Matrix, b: Matrix, names: str) -> None:
    """Raise StatisticsError if two matrices are not of the same days and assets."""
    if a.shape != b.shape:
        raise StatisticsError(f"{names} have shapes {a.shape} and {b.shape}, expected the same: align days and assets")


def centred_ranks(values: Matrix) -> Matrix:
    """Rank each row about 0: average ranks less their mean, and 0 for NaN.

    Parameters
    ----------
    values : ndarray of float, shape (n_rows, n_columns)

    Returns
    -------
    ndarray of float64, shape (n_rows, n_columns)
        The mean rank of a row is known, so equal values give exact zeros where a computed mean would leave rounding.
    """
    ranks = np.empty(values.shape)
    for days in _chunks(values):
        missing = np.isnan(values[days])
        ranks[days] = _centred(values[days], missing if missing.any() else None)
    return ranks


def highest(values: Matrix, share: float) -> NDArray[np.bool_]:
    """Tell which names are of the highest `share` of each row, at least one.

    Names tied across the edge are not: which of them would be taken is a matter of luck. Nor is NaN.

    Raises
    ------
    StatisticsError
        If the share does not lie between 0 and 1.
    """
    if not 0 < share < 1:
        raise StatisticsError(f"the top share is {share}, expected a number between 0 and 1, such as 0.1")
    there = ~np.isnan(values)
    wanted = np.maximum(1, np.rint(share * there.sum(axis=1, keepdims=True))).astype(np.intp)
    filled = np.where(there, values, -np.inf)
    # What is above the best name that is one too many; where there is none, above the column put before the first.
    ordered = np.sort(np.pad(filled, ((0, 0), (1, 0)), constant_values=-np.inf), axis=1)
    top: NDArray[np.bool_] = filled > np.take_along_axis(ordered, values.shape[1] - wanted, axis=1)
    return top


def _chunks(values: Matrix) -> Iterator[slice]:
    rows, columns = values.shape
    step = max(1, _CHUNK // max(1, columns))
    # Without columns there is nothing to rank, and argsort would have no last one.
    return (slice(start, start + step) for start in range(0, rows if columns else 0, step))


def _centred(values: Matrix, missing: NDArray[np.bool_] | None) -> Matrix:
    order, ordered = _sorted_ranks(values, missing)
    ranks = np.empty(values.shape)
    ranks.ravel()[order] = ordered
    return ranks


def _sorted_ranks(values: Matrix, missing: NDArray[np.bool_] | None) -> tuple[NDArray[np.intp], Matrix]:
    """Sort each row: the places in the flat matrix, and the centred rank of what stands there."""
    rows, columns = values.shape
    # Sorted last either way, but a sort that need not look out for NaN is five times as fast.
    filled = np.where(missing, np.inf, values) if missing is not None else np.ascontiguousarray(values)
    order = np.argsort(filled, axis=1)
    order += np.arange(0, rows * columns, columns)[:, np.newaxis]
    ordered = filled.ravel()[order]
    counts = columns - missing.sum(axis=1, keepdims=True) if missing is not None else np.full((rows, 1), columns)
    centred = np.arange(columns) - (counts - 1) / 2
    equal = ordered[:, 1:] == ordered[:, :-1]
    if missing is not None:
        equal &= ordered[:, 1:] < np.inf
    tied = equal.any(axis=1)
    if tied.any():
        centred[tied] = _tie_means(~equal[tied], centred[tied])
    if missing is not None:
        centred[np.arange(columns) >= counts] = 0.0
    return order, centred


def _tie_means(differs: NDArray[np.bool_], ranks: Matrix) -> Matrix:
    """Give each run of equal values the mean of its ranks, which is that of its first and last."""
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
        A pair with a NaN in it is left out.

    Returns
    -------
    ndarray of float64, shape (n_days,)
        Spearman's correlation, ties averaged; NaN for a day with fewer than two pairs or with only one value.

    Raises
    ------
    StatisticsError
        If the shapes differ or a value is infinite.
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
    y = _centred(b, missing).ravel()[order]
    product, x_square, y_square = (np.einsum("ij,ij->i", *pair) for pair in ((x, y), (x, x), (y, y)))
    size = np.sqrt(x_square * y_square)
    ic: Series = np.divide(product, size, out=np.full(len(a), np.nan), where=size > 0)
    return ic
