"""Tables that users bring whole: CSV or Parquet. Unlike a feed, such a file is refused at its first bad row."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..errors import FormatError
from ..storage.parquet import read_frame
from ..storage.paths import is_file
from ..storage.rows import Column
from ..storage.tables import read_bytes, read_header, read_table


def read_user_table(path: Path, columns: Sequence[Column]) -> pd.DataFrame:
    """Read a user's table: CSV if the name ends in .csv or .csv.gz, else Parquet.

    Parameters
    ----------
    path : Path
    columns : sequence of Column
        What the columns of a CSV file must hold; those that are not among them may hold any text.

    Raises
    ------
    FormatError
        If there is no such file, it cannot be read, or a row of CSV is not what its columns say.
    """
    if not is_file(path):  # reading a pipe or a device might never end
        raise FormatError(f"{path}: no such file")
    content = read_bytes(path)
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        if not content.startswith(b"PAR1"):
            raise FormatError(
                f"{path}: neither Parquet by its content nor CSV by its name; give .parquet, .csv or .csv.gz"
            )
        return read_frame(content, path)
    known = {column.name: column for column in columns}
    header = read_header(content, path)
    wanted = [known.get(name, Column(name, "text", nullable=True)) for name in header]
    return pd.DataFrame(read_table(content, wanted, path, strict=True).values)
