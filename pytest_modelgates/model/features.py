"""The features of a frame as one matrix, and which of its cells no model can score.

Apart from `schema`, since commands that only verify a model wait for neither numpy nor pandas.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FormatError
from ..storage.text import listed
from .sidecar import Sidecar

if TYPE_CHECKING:
    import pandas as pd  # a server takes `bad_cells` alone, and starts in half the time without

    from ..storage.parquet import ParquetRows


def feature_matrix(frame: "pd.DataFrame", sidecar: Sidecar, *, source: str) -> NDArray[np.generic]:
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


def numeric_column(frame: "pd.DataFrame | ParquetRows", name: str, *, source: str) -> NDArray[np.generic]:
    """Take a column out of a frame; it must be there and hold numbers."""
    column = named_column(frame, name, source=source)
    require_numbers(name, column.dtype, source=source)
    return np.asarray(column.to_numpy())


def named_column(frame: "pd.DataFrame | ParquetRows", name: str, *, source: str) -> "pd.Series":
    """Take a column out of a frame; it must be there, once."""
    if name not in frame:
        raise FormatError(f"{source}: has no column {name!r}; it holds {listed(frame, most=20)}")
    column = frame[name]
    if column.ndim > 1:
        raise FormatError(f"{source}: has {column.shape[1]} columns {name!r}; keep one")
    return column


def are_numbers(dtype: object) -> bool:
    """Whether a column of this dtype holds numbers or truth values, and nothing that stands for a missing one."""
    return isinstance(dtype, np.dtype) and dtype.kind in "bfiu"


def require_numbers(name: str, dtype: object, *, source: str) -> None:
    """Raise if a column does not hold numbers."""
    if not are_numbers(dtype):
        raise FormatError(f"{source}: {name} is {dtype}, expected numbers; cast the column first")


def bad_cells(values: NDArray[np.generic], *, nullable: ArrayLike) -> NDArray[np.bool_]:
    """Find infinities, and NaN where there may be none; `nullable` is one truth value, or one for each column."""
    bad: NDArray[np.bool_] = ~np.isfinite(values) & ~(np.isnan(values) & nullable)
    return bad
