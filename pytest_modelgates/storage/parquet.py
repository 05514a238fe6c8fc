"""Parquet from its bytes: bounded by its footer before anything of it is decoded."""

import io
import resource
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import FormatError
from .text import first_line, printable

if TYPE_CHECKING:
    import pandas as pd

# What gates may use unless operations.toml says otherwise.
_MEMORY = 16 * 2**30
_BYTES_EACH = 8  # of a value, such as a float64


def read_parquet(content: bytes, source: object, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all columns or some.

    Parameters
    ----------
    content : bytes
        The file.
    source : object
        What messages call it.
    columns : sequence of str, optional
        Those that are read; one that the file lacks is left out.

    Raises
    ------
    FormatError
        If it is not Parquet, two columns have one name, or its values at 8 bytes each exceed a quarter of the memory
        that this process may use: a hermetic run has its own limit, any other that of the shell, else 16 GiB.
    """
    try:
        # Without pyarrow's threads: one that lets go of `content` while Python ends would abort the process.
        file = pq.ParquetFile(io.BytesIO(content), pre_buffer=False)
        if twice := [name for name, times in Counter(file.schema_arrow.names).items() if times > 1]:
            raise ValueError(f"two columns are called {printable(twice[0])!r}")
        size, most = _decoded_bytes(file.metadata, columns), _memory() // 4
        if size <= most:
            return file.read(columns, use_threads=False)
    except Exception as error:  # pyarrow raises ArrowInvalid, OSError and others on damaged files
        raise _no_parquet(source, error) from error
    raise FormatError(
        f"{source}: {size} bytes when decoded, expected at most {most}, a quarter of the memory that may be used; "
        "give fewer rows, or allow more: [hermetic] memory_gib in operations.toml for a hermetic run, else ulimit -v"
    )


def _memory() -> int:
    """How much memory this process may use [bytes]."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return _MEMORY if limit == resource.RLIM_INFINITY else limit


def read_frame(content: bytes, source: object, *, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Read all columns or some as a frame; see `read_parquet`."""
    table = read_parquet(content, source, columns=columns)
    try:
        return table.to_pandas(use_threads=False)
    except Exception as error:  # of values that pandas cannot hold
        raise _no_parquet(source, error) from error


def count_rows(content: bytes, source: object) -> int:
    """Count the rows by the footer."""
    try:
        return int(pq.read_metadata(io.BytesIO(content)).num_rows)
    except Exception as error:  # as above
        raise _no_parquet(source, error) from error


def _no_parquet(source: object, error: Exception) -> FormatError:
    return FormatError(f"{source}: cannot be read as Parquet ({first_line(error)})")


def _decoded_bytes(footer: pq.FileMetaData, columns: Sequence[str] | None) -> int:
    """Count the values of the columns; a list has more than its column has rows, so each chunk says how many."""
    values = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            path = chunk.path_in_schema
            if columns is None or any(path == name or path.startswith(f"{name}.") for name in columns):
                values += max(group.num_rows, chunk.num_values)
    return values * _BYTES_EACH
