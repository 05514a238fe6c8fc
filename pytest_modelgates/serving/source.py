"""Rows to score, from a CSV file, held against the schema of the model."""

from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import FormatError
from ..model.sidecar import Sidecar


def read_csv(path: Path, sidecar: Sidecar) -> pd.DataFrame:
    """Read rows.

    Returns
    -------
    DataFrame
        Time and asset as text, the features with the sidecar's dtypes.

    Raises
    ------
    FormatError
        If the columns are not time, asset and the features in the sidecar's order, or hold what is no number.
    """
    expected = [sidecar.time, sidecar.asset, *sidecar.names]
    dtypes = {feature.name: feature.dtype for feature in sidecar.features}
    try:
        frame = pd.read_csv(path, dtype={sidecar.time: str, sidecar.asset: str})
    except FileNotFoundError as error:
        raise FormatError(f"{path}: no such file") from error
    except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
        raise FormatError(f"{path}: not CSV ({error})") from error
    if list(frame) != expected:
        raise FormatError(f"{path}: columns {', '.join(map(str, frame))}; the model takes {', '.join(expected)}")
    try:
        return frame.astype(dtypes)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{path}: a feature holds what is no number ({error})") from error


def row_keys(frame: pd.DataFrame, sidecar: Sidecar) -> list[str]:
    """Name each row by time and asset, so that two logs can be paired."""
    return [f"{time}|{asset}" for time, asset in zip(frame[sidecar.time], frame[sidecar.asset], strict=True)]


def row_errors(frame: pd.DataFrame, sidecar: Sidecar) -> list[str | None]:
    """Say for each row which feature keeps it from being scored, if one does."""
    errors: list[str | None] = [None] * len(frame)
    for feature in sidecar.features:
        values = frame[feature.name].to_numpy()
        bad = np.isinf(values) if feature.nullable else ~np.isfinite(values)
        for row in np.flatnonzero(bad):
            errors[row] = f"schema: {feature.name} is {values[row]}"
    return errors
