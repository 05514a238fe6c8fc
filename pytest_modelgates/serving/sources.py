"""Where rows to score come from: a CSV file, plain or .gz."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from ..model.sidecar import Sidecar
from ..storage.rows import Column
from ..storage.tables import Rejected, read_bytes, read_header, read_table
from ..storage.text import cut, listed, printable
from .scorer import Rows, named_rows


@dataclass(frozen=True, slots=True)
class CsvRows:
    """The rows of a CSV file, with the line of each, and the lines that are none."""

    rows: Rows
    lines: NDArray[np.int64]
    rejected: list[Rejected]

    def batches(self, size: int) -> Iterator[Rows]:
        """Divide the rows."""
        rows = self.rows
        for start in range(0, len(rows.keys), size):
            batch = slice(start, start + size)
            yield Rows(rows.keys[batch], rows.matrix[batch], rows.times[batch])


def read_csv(path: Path, sidecar: Sidecar) -> CsvRows:
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
    table = read_table(content, columns, path)
    names = {name: table.values[name].tolist() for name in sidecar.keys}
    return CsvRows(named_rows(names, table.matrix(), sidecar), table.lines, table.rejected)


def columns_of(sidecar: Sidecar) -> list[Column]:
    """Name the columns that a row to score has, in order."""
    keys = [Column(name, "time" if name == sidecar.time else "text") for name in sidecar.keys]
    return keys + [Column(feature.name, feature.dtype, feature.nullable) for feature in sidecar.features]
