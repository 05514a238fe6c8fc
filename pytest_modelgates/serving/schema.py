"""Rows to score, compared with the schema of the model."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..model.features import bad_cells
from ..model.sidecar import Sidecar
from ..predictions.records import CONTENT


def row_keys(frame: pd.DataFrame, sidecar: Sidecar) -> list[str]:
    """Name each row, so that two logs can be paired: by time and asset, and by its content where one of them lacks."""
    parts = [frame[name] for name in sidecar.keys]
    # By its number, a row would share its name with one of the next file; a customer comes again tomorrow.
    if sidecar.asset is None or sidecar.time is None:
        # pandas 2 hashes -0.0 apart from 0, and one NaN apart from another.
        content = pd.util.hash_pandas_object(frame[sidecar.names].fillna(np.nan) + 0, index=False)
        parts.append(content.map(f"{CONTENT}{{:016x}}".format))
    return ["|".join(map(str, row)) for row in zip(*parts, strict=True)]


def row_errors(frame: pd.DataFrame, rows: NDArray[np.generic], sidecar: Sidecar) -> list[str | None]:
    """Say for each row which column keeps it from being scored, if one does; `rows` is its feature matrix."""
    errors = np.full(len(frame), None, dtype=object)
    for row, column in np.argwhere(bad_cells(rows, nullable=sidecar.nullable)):
        errors[row] = f"schema: {sidecar.names[column]} is {rows[row, column]}"
    for name in sidecar.keys:
        key = frame[name].astype(object)
        errors[(key.isna() | (key == "")).to_numpy()] = f"schema: {name} is empty"
    return list(errors)
