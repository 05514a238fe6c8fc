"""Where rows to score come from: a CSV file."""

import io
import warnings
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import FormatError
from ..model.sidecar import Sidecar

MISSING = ["", "nan", "NaN", "NA"]


def read_csv(path: Path, sidecar: Sidecar) -> pd.DataFrame:
    """Read rows.

    Returns
    -------
    DataFrame
        The keys (time, asset) as text, the features with the sidecar's dtypes.

    Raises
    ------
    FormatError
        If the columns are not the keys and the features in the sidecar's order, or a value is not of its dtype.
    """
    dtypes = dict.fromkeys(sidecar.keys, "str") | {feature.name: feature.dtype for feature in sidecar.features}
    try:
        return _read(path, dtypes)
    except (ValueError, TypeError, OverflowError) as error:
        text = _read(path, dict.fromkeys(dtypes, "str"))
        problem = next(filter(None, (_misfit(text[[name]], dtype) for name, dtype in dtypes.items())), str(error))
        raise FormatError(f"{path}, {problem}; fix the row or leave it out") from error


def _read(source: Path | io.StringIO, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Read exactly these columns; a value that is not of its dtype raises whatever pandas raises."""
    # pandas would wrap a value that does not fit 32 bits.
    narrow = [name for name, dtype in dtypes.items() if dtype == "int32"]
    try:
        with warnings.catch_warnings(), np.errstate(over="ignore"):
            # Rows with a field too many: pandas would shift or drop a column and only warn.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                source,
                dtype=dict(dtypes) | dict.fromkeys(narrow, "int64"),
                index_col=False,
                # An asset may be called NA, so only features have words for a missing value.
                keep_default_na=False,
                na_values={name: MISSING for name, dtype in dtypes.items() if dtype != "str"},
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        raise FormatError(f"{source}: not CSV ({str(error).strip()})") from error
    if list(frame) != list(dtypes):
        raise FormatError(f"{source}: columns {', '.join(map(str, frame))}; the model takes {', '.join(dtypes)}")
    cast = frame.astype(dict.fromkeys(narrow, "int32"))
    if (cast[narrow] != frame[narrow]).any(axis=None):
        raise OverflowError("a value does not fit 32 bits")
    return cast


def _misfit(values: pd.DataFrame, dtype: str) -> str | None:
    """Find the first value of a column that is not of its dtype; the reader itself says which prefix it accepts."""
    (name,) = values
    count = bisect_left(range(len(values) + 1), True, key=lambda rows: not _fits(values.head(rows), dtype))
    if count > len(values):
        return None
    article = "an" if dtype.startswith("i") else "a"
    return f"row {count}: column {name} holds {values[name][count - 1]!r}, which is not {article} {dtype}"


def _fits(values: pd.DataFrame, dtype: str) -> bool:
    try:
        _read(io.StringIO(values.to_csv(index=False)), dict.fromkeys(values, dtype))
    except (ValueError, TypeError, OverflowError):
        return False
    return True
