"""Parquet, bounded by its footer before anything of it is decoded: whole, or a column or some rows at a time."""

import io
import resource
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from tempfile import gettempdir
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import FormatError, ModelgatesError, UnreadableError
from .scratch import empty, free_bytes
from .text import first_line, printable

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Content = bytes | io.RawIOBase

# What gates may use unless operations.toml says otherwise.
_MEMORY = 16 * 2**30
_BYTES_EACH = 8  # of a value, such as a float64
_PIECE = 2**16  # rows decoded at a time


def read_parquet(content: Content, source: object, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all columns or some.

    Parameters
    ----------
    content : bytes or file
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
    return _read(_open(content, source), source, columns)


def read_frame(content: Content, source: object, *, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Read all columns or some as a frame; see `read_parquet`."""
    return _frame(read_parquet(content, source, columns=columns), source)


class ParquetRows:
    """The rows of a Parquet file: its columns by name, each decoded when it is asked for, and rows in pieces.

    It stands in for a frame that is larger than memory: it has the same names, dtypes, columns and length.

    Parameters
    ----------
    content : bytes or file
    source : object
        What messages call it.

    Raises
    ------
    UnreadableError
        If it is not Parquet, or two columns have one name; later also if what is asked for cannot be decoded, or its
        values at 8 bytes each exceed a quarter of the memory that this process may use.
    """

    def __init__(self, content: Content, source: object) -> None:
        self._file, self._source = _open(content, source), source
        empty = self._as_frame(self._file.schema_arrow.empty_table())
        self._names = list(empty)
        # Only these keep their dtype whatever values are missing.
        self._dtypes = {name: dtype for name, dtype in empty.dtypes.items() if getattr(dtype, "kind", "O") == "f"}

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> "pd.Series":
        import pandas as pd

        if not isinstance(dtype := self.dtype(name), np.dtype) or dtype.kind not in "biufmM":
            return self.read([name])[name]
        values, start = empty(len(self), dtype), 0
        for piece in self.pieces([name]):
            values[start : (start := start + len(piece))] = piece[name].to_numpy()
        return pd.Series(values, name=name, copy=False)

    def dtype(self, name: str) -> object:
        """The dtype of a column; where it depends on whether values are missing, the column is read."""
        import pandas as pd

        if name not in self._dtypes:
            found = {str(piece[name].dtype): piece[name].iloc[:0] for piece in self._pieces([name])}
            self._dtypes[name] = pd.concat([*found.values()]).dtype if found else self.read([name])[name].dtype
        return self._dtypes[name]

    def require_room(self, memory: int, scratch: int) -> None:
        """Refuse more rows than there is room for, at so many bytes each of memory, and of the disk for `scratch`."""
        if len(self) > (most := _memory() // memory):
            raise UnreadableError(
                f"{self._source}: {len(self)} rows, expected at most {most}: each takes some {memory} bytes of the "
                f"memory that may be used, however few its columns; give fewer rows, or allow more: {_ALLOW}"
            )
        if len(self) > (most := free_bytes() // 2 // scratch):
            raise UnreadableError(
                f"{self._source}: {len(self)} rows, expected at most {most}: each takes some {scratch} bytes of "
                f"{gettempdir()}, of which half of what is free may be used; give fewer rows, or set TMPDIR to a "
                "folder of a larger disk"
            )

    @property
    def dtypes(self) -> dict[str, object]:
        """The dtype of each column by its name."""
        return {name: self.dtype(name) for name in self}

    def read(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Read all columns or some at once, without the row labels that a file may bring."""
        return self._as_frame(_read(self._file, self._source, columns))

    def pieces(self, columns: Sequence[str]) -> "Iterator[pd.DataFrame]":
        """Read some columns of a row group at a time, or of a part of one."""
        dtypes = {name: self.dtype(name) for name in columns}
        for frame in self._pieces(columns):
            yield frame.astype({name: dtype for name, dtype in dtypes.items() if frame[name].dtype != dtype})

    def _pieces(self, columns: Sequence[str]) -> "Iterator[pd.DataFrame]":
        footer, most, groups = self._file.metadata, _memory() // 4, range(self._file.num_row_groups)
        for group in groups:
            if (size := _decoded_bytes(footer, columns, [group])) > most:
                raise UnreadableError(
                    f"{self._source}: row group {group} has {size} bytes when decoded, expected at most {most}, a "
                    "quarter of the memory that may be used; write smaller row groups, such as with "
                    f"row_group_size=100_000, or allow more: {_ALLOW}"
                )
        for group in groups:
            # Groups are not read together, for many columns of as many rows as a piece has might be more than a group.
            batches = self._file.iter_batches(_PIECE, row_groups=[group], columns=list(columns), use_threads=False)
            while (batch := _reading(self._source, partial(next, batches, None))) is not None:
                yield self._as_frame(pa.Table.from_batches([batch]))

    def _as_frame(self, table: pa.Table) -> "pd.DataFrame":
        return _frame(table, self._source).reset_index(drop=True)


_ALLOW = "[hermetic] memory_gib in operations.toml for a hermetic run, else ulimit -d"


def _open(content: Content, source: object) -> pq.ParquetFile:
    # Without pyarrow's threads: one that lets go of `content` while Python ends would abort the process.
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    opened = _reading(source, lambda: pq.ParquetFile(file, pre_buffer=False))
    names = _reading(source, lambda: opened.schema_arrow.names)
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise _no_parquet(source, ValueError(f"two columns are called {printable(twice[0])!r}"))
    return opened


def _read(file: pq.ParquetFile, source: object, columns: Sequence[str] | None) -> pa.Table:
    size, most = _reading(source, lambda: _decoded_bytes(file.metadata, columns)), _memory() // 4
    if size > most:
        raise UnreadableError(
            f"{source}: {size} bytes when decoded, expected at most {most}, a quarter of the memory that may be used; "
            f"give fewer rows, or allow more: {_ALLOW}"
        )
    return _reading(source, lambda: file.read(columns, use_threads=False))


def _frame(table: pa.Table, source: object) -> "pd.DataFrame":
    return _reading(source, lambda: table.to_pandas(use_threads=False))


def _reading(source: object, read: Callable[[], T]) -> T:
    try:
        return read()
    except ModelgatesError:  # of the file itself, whose bytes have changed
        raise
    except Exception as error:  # pyarrow raises ArrowInvalid, OSError and others on damaged files
        if isinstance(error, OSError) and error.errno:  # of the disk
            raise
        raise _no_parquet(source, error) from error


def _memory() -> int:
    """How much memory this process may use [bytes]."""
    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS))
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=_MEMORY)


def _no_parquet(source: object, error: Exception) -> FormatError:
    return UnreadableError(f"{source}: cannot be read as Parquet ({first_line(error)})")


def _decoded_bytes(footer: pq.FileMetaData, columns: Sequence[str] | None, groups: Sequence[int] | None = None) -> int:
    """Count the values of the columns; a list has more than its column has rows, so each chunk says how many."""
    values = 0
    for group in map(footer.row_group, range(footer.num_row_groups) if groups is None else groups):
        for chunk in map(group.column, range(group.num_columns)):
            path = chunk.path_in_schema
            if columns is None or any(path == name or path.startswith(f"{name}.") for name in columns):
                values += max(group.num_rows, chunk.num_values)
    return values * _BYTES_EACH
