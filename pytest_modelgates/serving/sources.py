"""Where rows to score come from: a CSV file, plain or .gz."""

from pathlib import Path

from ..errors import FormatError
from ..model.sidecar import Sidecar
from ..storage.rows import Column
from ..storage.tables import Table, read_bytes, read_header, read_table
from ..storage.text import cut, listed, printable


def read_csv(path: Path, sidecar: Sidecar) -> Table:
    """Read rows: the keys (time, asset) as text, and the features.

    Raises
    ------
    FormatError
        If the columns are not the keys and the features in the sidecar's order. A row that cannot be scored is among
        the rejected ones.
    """
    content = read_bytes(path)
    columns = columns_of(sidecar)
    found, wanted = read_header(content, path), [column.name for column in columns]
    if found != wanted:
        columns_found = printable(listed(map(cut, found), most=100))
        raise FormatError(f"{path}: columns {columns_found}; the model takes {', '.join(wanted)}")
    return read_table(content, columns, path)


def columns_of(sidecar: Sidecar) -> list[Column]:
    """Name the columns that a row to score has, in order."""
    keys = [Column(name, "time" if name == sidecar.time else "text") for name in sidecar.keys]
    return keys + [Column(feature.name, feature.dtype, feature.nullable) for feature in sidecar.features]
