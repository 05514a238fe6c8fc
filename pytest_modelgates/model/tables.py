"""Tables that users bring: CSV or Parquet."""

from pathlib import Path

import pandas as pd

from ..errors import FormatError
from ..storage.paths import is_file
from ..storage.text import first_line


def read_table(path: Path) -> "pd.DataFrame":
    """Read a user's table: CSV if the suffix says so, else Parquet."""
    if not is_file(path):
        raise FormatError(f"{path}: no such file")
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except Exception as error:  # pandas and pyarrow share no base for what damaged files make them raise
        raise FormatError(f"{path}: neither CSV nor Parquet ({first_line(error)})") from error
