"""Rows to score, compared with the schema of the model."""

import numpy as np
import pandas as pd

from ..model.sidecar import Sidecar


def row_keys(frame: pd.DataFrame, sidecar: Sidecar) -> list[str]:
    """Name each row, so that two logs can be paired: by time and asset, or by its content if the sidecar names none."""
    parts = [frame[name] for name in sidecar.keys]
    if sidecar.asset is None:  # a row's number would name another row in the next file
        # pandas 2 hashes -0.0 apart from 0, and one NaN apart from another.
        content = pd.util.hash_pandas_object(frame[sidecar.names].fillna(np.nan) + 0, index=False)
        parts.append(content.map("{:016x}".format))
    return ["|".join(map(str, row)) for row in zip(*parts, strict=True)]


def row_errors(frame: pd.DataFrame, sidecar: Sidecar) -> list[str | None]:
    """Say for each row which column keeps it from being scored, if one does."""
    errors: list[str | None] = [None] * len(frame)
    for feature in sidecar.features:
        values = frame[feature.name].to_numpy()
        bad = np.isinf(values) if feature.nullable else ~np.isfinite(values)
        for row in np.flatnonzero(bad):
            errors[row] = f"schema: {feature.name} is {values[row]}"
    for name in sidecar.keys:
        for index, value in enumerate(frame[name]):
            if value == "":
                errors[index] = f"schema: {name} is empty"
    return errors
