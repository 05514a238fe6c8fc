"""Where rows to score come from: a CSV file."""

import warnings
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
        If the columns are not the keys and the features in the sidecar's order, or hold what is no number.
    """
    expected = [*sidecar.keys, *sidecar.names]
    dtypes = dict.fromkeys(sidecar.keys, "str") | {entry.name: entry.dtype for entry in sidecar.features}
    # pandas 2 wraps what does not fit 32 bits.
    narrow = [entry.name for entry in sidecar.features if entry.dtype == "int32"]
    try:
        with warnings.catch_warnings(), np.errstate(over="ignore"):
            # Rows with a field too many: pandas would shift or drop a column and only warn.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                dtype=dtypes | dict.fromkeys(narrow, "int64"),
                index_col=False,
                # An asset may be called NA.
                keep_default_na=False,
                na_values=dict.fromkeys(sidecar.names, MISSING),
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not CSV ({str(error).strip()})") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}: a feature holds what is no number of its dtype ({error})") from error
    if list(frame) != expected:
        raise FormatError(f"{path}: columns {', '.join(map(str, frame))}; the model takes {', '.join(expected)}")
    for name in narrow:
        if (frame[name] != frame[name].astype("int32")).any():
            raise FormatError(f"{path}: a feature holds what is no number of its dtype ({name} does not fit 32 bits)")
    return frame.astype(dict.fromkeys(narrow, "int32"))
