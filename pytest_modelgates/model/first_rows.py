"""The first rows of a panel, which `parity.json` keeps: a server scores them without reading the panel."""

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from .sidecar import FirstRows, Sidecar

ROWS = 256
_MOST_BYTES = 2**24  # of rows that have very many features


def kept_rows(features: NDArray[np.generic], native: NDArray[np.float64], sidecar: Sidecar) -> FirstRows:
    """Keep the first rows, as many as are small enough.

    Parameters
    ----------
    features : ndarray, shape (n_rows, n_features)
        In sidecar order.
    native : ndarray, shape (n_rows,)
        The native model's scores.
    sidecar : Sidecar
    """
    dtype = _dtype(sidecar)
    most = min(ROWS, _MOST_BYTES // (dtype.itemsize * len(sidecar.features)))
    rows = np.array(features[:most], dtype=dtype)
    if rows.dtype.kind == "f":
        rows[np.isnan(rows)] = np.nan  # there are many, and a file gives back one
    return FirstRows(rows=rows.tobytes(), native=native[:most].astype("<f8").tobytes())


def rows_kept(first: FirstRows, sidecar: Sidecar) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Give features, shape (n_rows, n_features), and native scores, shape (n_rows,), of the rows that were kept.

    Raises
    ------
    FormatError
        If a row is cut short, or they are not as many as the scores.
    """
    dtype, count = _dtype(sidecar), len(first.native) // 8
    size = dtype.itemsize * len(sidecar.features)
    if (len(first.rows), len(first.native)) != (size * count, 8 * count):
        raise FormatError(
            f"parity.json: first has {len(first.rows)} bytes of rows and {len(first.native)} of native scores, "
            f"expected {size} and 8 for each row; pack the model again"
        )
    rows = np.frombuffer(first.rows, dtype=dtype).reshape(count, len(sidecar.features))
    return rows, np.frombuffer(first.native, dtype="<f8")


def _dtype(sidecar: Sidecar) -> "np.dtype[np.generic]":
    dtype: np.dtype[np.generic] = np.result_type(*(feature.dtype for feature in sidecar.features))
    return dtype.newbyteorder("<")
