"""One column of numbers, of whatever dtype, and missing where a mask says so. Converts nothing that would round."""

import sys
from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError

Column = NDArray[Any]

WHOLE = 2**53  # up to which float64 holds every integer
_CHUNK = 2**20


def column(given: ArrayLike, *, name: str) -> Column:
    """Read one number a row.

    Parameters
    ----------
    given : array_like, shape (n,)
        Truth values, integers, or floats of 16 to 64 bits. None, NaN and what a mask hides are missing.
    name : str
        What the message of an error calls them.

    Returns
    -------
    ndarray, shape (n,)
        The same numbers, in the dtype given; as float64 where they are truth values, or some are missing.

    Raises
    ------
    StatisticsError
        If it is empty, has another shape, or holds something other than real numbers.
    """
    # numpy.ma takes long to load, and without it nothing is masked.
    masked = given if "numpy.ma" in sys.modules and isinstance(given, np.ma.MaskedArray) else None
    try:
        values = np.asarray(given if masked is None else masked.data)
    except (TypeError, ValueError) as error:
        raise _no_numbers(name, str(error)) from error
    if values.dtype.kind == "O":
        values = _from_objects(values, name)
    elif values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
        raise _no_numbers(name, str(values.dtype))
    if values.ndim != 1:
        raise StatisticsError(f"{name} has shape {values.shape}, not one dimension: give one prediction a row")
    if not values.size:
        raise StatisticsError(f"{name} is empty: give at least one prediction")
    if masked is not None and np.any(masked.mask):
        values = np.where(masked.mask, np.nan, values.astype(np.float64))
    native = np.float64 if values.dtype.kind == "b" else values.dtype.newbyteorder("=")
    return values.astype(native, copy=False)


def _from_objects(values: Column, name: str) -> Column:
    if "pandas" in sys.modules:  # without it nothing is its mark for what is missing
        absent = sys.modules["pandas"].NA
        values = np.array([None if each is absent else each for each in values.flat], dtype=object).reshape(
            values.shape
        )
    odd = next((each for each in values.flat if each is not None and not isinstance(each, Real | np.bool_)), None)
    if odd is not None:
        raise _no_numbers(name, type(odd).__name__)
    return values.astype(np.float64)


def _no_numbers(name: str, why: str) -> StatisticsError:
    return StatisticsError(f"{name} cannot be read as numbers ({why}): give one real number a place")


def chunks(values: Column, *, size: int = _CHUNK) -> Iterator[Column]:
    """Cut a column into pieces of at most so many values, without copying it."""
    return (values[start : start + size] for start in range(0, values.size, size))


def alike(first: Column, second: Column) -> tuple[Column, Column]:
    """Read two columns as one precision: that of the one that has less, since 0.1 rounded differs from 0.1.

    Integers are exact in any case and stay as they are.
    """
    coarse = min((each.dtype for each in (first, second) if each.dtype.kind == "f"), key=_bits, default=None)
    return rounded(first, coarse), rounded(second, coarse)


def _bits(dtype: np.dtype[Any]) -> int:
    return dtype.itemsize


def rounded(values: Column, dtype: np.dtype[Any] | None) -> Column:
    """Round floats that have more bits than a dtype; None rounds nothing, and integers stay as they are."""
    if dtype is None or values.dtype.kind != "f" or values.dtype.itemsize <= dtype.itemsize:
        return values
    # A number beyond the range of the coarser type stays a number: the largest.
    with np.errstate(over="ignore"):
        rounded, largest = values.astype(dtype), np.finfo(dtype).max
    beyond = np.isinf(rounded) & np.isfinite(values)
    return np.where(beyond, np.copysign(largest, rounded), rounded) if beyond.any() else rounded


def distinct(values: Column) -> Column:
    """Give the distinct values, ascending. `numpy.unique` alone would load numpy.ma, which takes 50 ms."""
    ordered = np.sort(values)
    return np.asarray(ordered[np.append(True, ordered[1:] != ordered[:-1])[: ordered.size]])


def comparable(points: Column, ordered: Column) -> tuple[Column, Column]:
    """Bring two ascending columns to one dtype in which each comparison is exact."""
    if points.dtype == ordered.dtype:
        return points, ordered
    points, ordered = widened(points), widened(ordered)
    if points.dtype == ordered.dtype:
        return points, ordered
    return points.astype(object), ordered.astype(object)  # Python compares its integers and floats exactly


def widened(ordered: Column) -> Column:
    """Read an ascending column as float64, unless that would round an integer."""
    exact = ordered.dtype.kind == "f" or not ordered.size or (int(ordered[0]) >= -WHOLE and int(ordered[-1]) <= WHOLE)
    return ordered.astype(np.float64, copy=False) if exact else ordered
