"""The schema of a model: the checksum of its ordered columns, and the matrix that a frame of them becomes."""

import zlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..errors import FormatError
from .sidecar import Sidecar


def schema_crc32(columns: Iterable[tuple[str, str]]) -> str:
    """Checksum ordered columns.

    Parameters
    ----------
    columns : iterable of (name, dtype)
        In column order; dtypes are numpy's names.

    Returns
    -------
    str
        CRC-32 (zlib) of the UTF-8 text ``name:dtype`` joined by newlines, eight hex digits.

    Raises
    ------
    FormatError
        If a name holds a colon or a newline, which would make two schemas look the same.
    """
    pairs = list(columns)
    for name, _ in pairs:
        if ":" in name or "\n" in name:
            raise FormatError(f"column {name!r} holds a colon or a newline; rename it")
    return f"{zlib.crc32(chr(10).join(f'{name}:{dtype}' for name, dtype in pairs).encode()):08x}"


def sidecar_crc32(sidecar: Sidecar) -> str:
    """Checksum the features that a sidecar lists."""
    return schema_crc32((feature.name, feature.dtype) for feature in sidecar.features)


def feature_matrix(frame: pd.DataFrame, sidecar: Sidecar, *, source: str) -> NDArray[np.generic]:
    """Take the features out of a frame, for the gates and for serving alike.

    Parameters
    ----------
    frame : DataFrame
        At least the features, in any order.
    sidecar : Sidecar
        Which columns the features are, and their order.
    source : str
        What messages call the frame.

    Returns
    -------
    ndarray, shape (n_rows, n_features)
        Of the one dtype that all columns fit into.

    Raises
    ------
    FormatError
        If a column is missing or does not hold numbers.
    """
    # Not the frame's own matrix, which is of objects where truth values stand beside numbers.
    return np.column_stack([numeric_column(frame, name, source=source) for name in sidecar.names])


def numeric_column(frame: pd.DataFrame, name: str, *, source: str) -> NDArray[np.generic]:
    """Take a column out of a frame; it must be there and hold numbers."""
    column = named_column(frame, name, source=source)
    require_numbers(name, column.dtype, source=source)
    return np.asarray(column.to_numpy())


def named_column(frame: pd.DataFrame, name: str, *, source: str) -> "pd.Series":
    """Take a column out of a frame; it must be there."""
    if name not in frame:
        raise FormatError(f"{source}: has no column {name!r}; it holds {', '.join(map(str, frame))}")
    return frame[name]


def are_numbers(dtype: object) -> bool:
    """Whether a column of this dtype holds numbers or truth values, and nothing that stands for a missing one."""
    return isinstance(dtype, np.dtype) and dtype.kind in "bfiu"


def require_numbers(name: str, dtype: object, *, source: str) -> None:
    """Raise if a column does not hold numbers."""
    if not are_numbers(dtype):
        raise FormatError(f"{source}: {name} is {dtype}, expected numbers; cast the column before packing or scoring")


def bad_cells(values: NDArray[np.generic], *, nullable: ArrayLike) -> NDArray[np.bool_]:
    """Find infinities, and NaN where there may be none; `nullable` is one truth value, or one for each column."""
    bad: NDArray[np.bool_] = ~np.isfinite(values) & ~(np.isnan(values) & nullable)
    return bad
