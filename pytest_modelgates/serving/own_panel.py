"""A model on rows of its own panel, before it serves: whether it scores as the gates saw it, in batches of any size."""

import numpy as np
from numpy.typing import NDArray

from ..errors import IntegrityError
from ..model.first_rows import ROWS, rows_kept
from ..model.sidecar import REFERENCE
from .adapter import Adapter

_BATCHES = (1, 2, 3, 8, 32, 256)
_FAR = 1e-3  # of a score, far beyond what parity admits


def rows_of_panel(adapter: Adapter) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read the first rows of the model's own panel, and what the native model said of them."""
    first = adapter.first_rows()
    return rows_kept(first, adapter.sidecar) if first.rows else _rows_in_file(adapter)


def _rows_in_file(adapter: Adapter) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    from pyarrow import parquet  # here, since it is long to load, and few models need it

    names = adapter.sidecar.names
    with parquet.ParquetFile(adapter.panel_file()) as file:
        rows = next(file.iter_batches(ROWS, columns=[*names, REFERENCE], use_threads=False)).to_pydict()
    dtype = np.result_type(*(feature.dtype for feature in adapter.sidecar.features))
    native = np.array(rows.pop(REFERENCE), dtype=np.float64)
    return np.column_stack([np.array(rows[name], dtype=dtype) for name in names]), native


def refuse_other_scores(adapter: Adapter, rows: NDArray[np.generic], native: NDArray[np.float64]) -> None:
    """Score rows, and compare them with what the native model said of them.

    Raises
    ------
    IntegrityError
        If a score is missing or far off: then this machine does not run the model as the gates saw it.
    """
    if not np.allclose(adapter.tried(rows), native, rtol=_FAR, atol=_FAR * np.abs(native).max(initial=0)):
        raise IntegrityError(f"{adapter.model_id}: scores its own panel otherwise than the native model; gate it again")


def scores_alike_in_every_batch(adapter: Adapter, rows: NDArray[np.generic]) -> bool:
    """Whether rows have the same scores to the last bit alone and in batches, on this machine."""
    alone, *others = (
        np.concatenate([adapter.tried(rows[start : start + size]) for start in range(0, len(rows), size)])
        for size in _BATCHES
    )
    return all(np.array_equal(alone, scores, equal_nan=True) for scores in others)
