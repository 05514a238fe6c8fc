"""Arrays larger than memory: large ones lie in a file without a name, of which the system keeps what is in use."""

import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .atomic import naming

# Arrays of fewer bytes stay in memory.
_LARGE = 2**25
# Values that are worked on at a time: they fit the cache.
_PART = 2**17


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Make an array whose values are yet to be written.

    Raises
    ------
    OSError
        If the disk of temporary files has no room for it.
    """
    size = math.prod(np.atleast_1d(shape).tolist()) * np.dtype(dtype).itemsize
    if size < _LARGE:
        return np.empty(shape, dtype)
    with naming(tempfile.gettempdir()), tempfile.TemporaryFile(prefix="modelgates-") as file:
        if hasattr(os, "posix_fallocate"):  # a disk that fills up later would end the process by a signal
            os.posix_fallocate(file.fileno(), 0, size)
        else:  # macOS
            os.ftruncate(file.fileno(), size)
        return np.ndarray(shape, dtype, buffer=mmap.mmap(file.fileno(), size))


def free_bytes() -> int:
    """Tell how much room the disk of temporary files has."""
    return shutil.disk_usage(tempfile.gettempdir()).free


def parts(rows: int, width: int = 1) -> Iterator[slice]:
    """Cut rows of so many values each into parts that fit the cache, of two rows at least if there are two.

    numpy adds up a single long row in another order than one of several, and so to other last bits.
    """
    count = max(1, min(rows // 2, rows * width // _PART))
    return (slice(rows * part // count, rows * (part + 1) // count) for part in range(count))


def in_parts(function: Callable[..., NDArray[Any]], *arrays: NDArray[Any]) -> NDArray[Any]:
    """Apply a function of rows to some rows at a time: so nothing that it makes on its way is as large as they are.

    Parameters
    ----------
    function : callable
        Of as many arrays as are given; each row of what it returns must depend on the same row of these alone.
    arrays : ndarray
        Of as many rows each.
    """
    rows, width = len(arrays[0]), math.prod(arrays[0].shape[1:])
    result: NDArray[Any] | None = None
    for part in parts(rows, width):
        found = function(*(array[part] for array in arrays))
        if result is None:
            result = np.ascontiguousarray(found) if len(found) == rows else empty((rows, *found.shape[1:]), found.dtype)
        result[part] = found
    assert result is not None
    return result


def groups(codes: NDArray[np.int64], most: int = 2**21) -> Iterator[NDArray[np.intp]]:
    """Give the rows of some codes at a time, in ascending order of codes: so many rows, or those of one code."""
    ends, low = np.cumsum(np.bincount(codes)), 0
    while low < len(ends):
        before = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield np.flatnonzero((codes >= low) & (codes < high))
        low = high
