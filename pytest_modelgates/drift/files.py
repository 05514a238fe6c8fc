"""Columns of predictions in files: which files are meant, what pieces they have, and the counts of a piece."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from ..errors import FormatError, ModelgatesError
from ..storage.paths import is_file, is_folder, is_there, kind_of, walk
from ..storage.rows import Column
from ..storage.tables import read_bytes, read_header, read_table
from ..storage.text import first_line
from .batches import count_array, field_of, float_of, no_column
from .columns import rounded
from .summary import Reference, Summary

if TYPE_CHECKING:
    import pyarrow as pa

Form = Literal["CSV", "Parquet", "Arrow", "Arrow stream"]
_MAGIC: dict[bytes, Form] = {b"PAR1": "Parquet", b"ARROW1": "Arrow", b"\xff\xff\xff\xff": "Arrow stream"}
_STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"
_BATCH = 2**20  # rows that are decoded at once
_PIECE = 2**22  # rows from which on a piece of a file ends
_BUFFER = 2**20  # bytes of a column that are read at once, so that a row group may be of any size


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A file, or consecutive row groups of it.

    Parameters
    ----------
    path : Path
    column : str
        The column of predictions.
    form : str
    size : int
        Of the file, when it was listed [bytes].
    precision : dtype, optional
        Of the column, if it holds floats.
    groups : tuple of int, optional
        The first row group, and the one after the last.
    rows : int, optional
        In these row groups.
    """

    path: Path
    column: str
    form: Form
    size: int
    precision: np.dtype[Any] | None = None
    groups: tuple[int, int] | None = None
    rows: int | None = None


def find_files(names: Iterable[str]) -> list[Path]:
    """List the files that are meant, in order; one that is named more than once is there once.

    Parameters
    ----------
    names : iterable of str
        Files; patterns such as ``scores/2026-*/*.parquet``, in which ``**`` stands for folders of any depth; folders,
        of which every file at any depth is meant. What begins with . or _, such as _SUCCESS, is left out unless named.

    Raises
    ------
    FormatError
        If a name leads to no file, or to something other than a file.
    """
    found = dict[tuple[int, int], Path]()
    for path in (path for name in names for path in _matches(name)):
        if not is_file(path):
            raise FormatError(f"{path}: {kind_of(path) or 'a link to nothing'}, expected a file of predictions")
        entry = path.stat()
        found.setdefault((entry.st_dev, entry.st_ino), path)
    return list(found.values())


def _matches(name: str) -> list[Path]:
    if is_there(Path(name)):
        return _below(Path(name))
    if not glob.has_magic(name):
        raise FormatError(f"{name}: no such file; give files, folders, or a pattern such as 'scores/**/*.parquet'")
    for folder in Path(name).parents:  # glob passes over those that it may not list
        for place in filter(is_folder, map(Path, glob.glob(str(folder), recursive=True))):
            os.scandir(place).close()
        if not glob.has_magic(str(folder)):
            break
    matches = sorted(map(Path, glob.glob(name, recursive=True)))
    meant = [match for match in matches if not any(map(_is_apart, {*match.parts} - {*Path(name).parts}))]
    if meant:
        return [path for match in meant for path in _below(match)]
    raise FormatError(f"{name}: no file has such a name; see: ls {name.partition('*')[0].rpartition('/')[0] or '.'}")


def _below(path: Path) -> list[Path]:
    """List the files in a folder, at any depth; or the path itself if it is none."""
    if not is_folder(path):
        return [path]
    found = list[Path]()
    for folder, folders, names in walk(path):
        folders[:] = (name for name in folders if not _is_apart(name))
        found += [Path(folder, name) for name in names if not _is_apart(name)]
    if not found:
        raise FormatError(f"{path}: a folder without a file; give one that holds predictions")
    return sorted(found)


def _is_apart(name: str) -> bool:
    """Whether engines leave a name out: what is temporary or hidden, and marks such as _SUCCESS."""
    return name.startswith((".", "_"))


def pieces_of(path: Path, column: str) -> list[Piece]:
    """Say what pieces a file has that can be counted apart, without reading its rows.

    Parameters
    ----------
    path : Path
        CSV if its name ends in .csv or .csv.gz; otherwise its content says what it is.
    column : str

    Raises
    ------
    FormatError
        If it is none of Parquet, Arrow and CSV, cannot be read, or has no such column of numbers.
    """
    with _opened(path) as (file, size):
        if path.name.lower().endswith((".csv", ".csv.gz")):
            return [Piece(path=path, column=column, form="CSV", size=size, precision=np.dtype(np.float64))]
        begin = file.read(8)
        form = next((form for magic, form in _MAGIC.items() if begin.startswith(magic)), None)
        if form is None:
            what = "an empty file" if not begin else "neither Parquet nor Arrow by its content, nor CSV by its name"
            raise FormatError(f"{path}: {what}; give .parquet, .arrow, .csv or .csv.gz")
        file.seek(0)
        with _explained(path, form):
            if form == "Parquet":
                return _row_groups(path, column, file, size)
            if form == "Arrow stream":
                _require_end(path, file)
            precision = float_of(field_of(_reader(file, form).schema, column, path))
            return [Piece(path=path, column=column, form=form, size=size, precision=precision)]


def _row_groups(path: Path, column: str, file: BinaryIO, size: int) -> list[Piece]:
    import pyarrow.parquet as pq

    footer = pq.ParquetFile(file)
    precision = float_of(field_of(footer.schema_arrow, column, path))
    rows = [footer.metadata.row_group(group).num_rows for group in range(footer.metadata.num_row_groups)]
    pieces, begin = list[Piece](), 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or sum(rows[begin:end]) >= _PIECE:
            pieces.append(
                Piece(
                    path=path,
                    column=column,
                    form="Parquet",
                    size=size,
                    precision=precision,
                    groups=(begin, end),
                    rows=sum(rows[begin:end]),
                )
            )
            begin = end
    return pieces


def count_piece(reference: Reference, task: tuple[Piece, np.dtype[Any] | None]) -> Summary:
    """Count the predictions in a piece; floats that have more bits than the dtype beside it are rounded to it.

    Raises
    ------
    FormatError
        If it cannot be read, or is not what was listed.
    FileNotFoundError
        If the file is gone.
    """
    piece, precision = task
    with _opened(piece.path) as (file, size):
        if size != piece.size:
            raise FormatError(f"{piece.path}: {size} bytes, {piece.size} when it was listed: let it be written first")
        if piece.form == "CSV":
            values = _csv_column(piece)
            return reference.count(rounded(values, precision)) if values.size else reference.none()
        total = reference.none()
        with _explained(piece.path, piece.form):
            for array in _arrays(piece, file):
                total = total + count_array(reference, array, precision)
        if piece.rows is not None and piece.rows != total.counts.rows:
            raise FormatError(f"{piece.path}: {total.counts.rows} rows, its footer says {piece.rows}; write it again")
    return total


def _csv_column(piece: Piece) -> np.ndarray:
    content = read_bytes(piece.path)
    if piece.column not in (names := read_header(content, piece.path)):
        raise no_column(names, piece.column, piece.path)
    wanted = [Column(piece.column, "float64", nullable=True)]
    return np.asarray(read_table(content, wanted, piece.path, strict=True).values[piece.column])


def _arrays(piece: Piece, file: BinaryIO) -> Iterator[pa.Array]:
    if piece.form == "Parquet":
        import pyarrow.parquet as pq

        assert piece.groups is not None
        batches = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER).iter_batches(
            _BATCH, row_groups=range(*piece.groups), columns=[piece.column], use_threads=False
        )
    else:
        place = _reader(file, piece.form).schema.names.index(piece.column)
        reader = _reader(file, piece.form, place)
        batches = map(reader.get_batch, range(reader.num_record_batches)) if piece.form == "Arrow" else reader
    return (batch.column(0) for batch in batches)


def _reader(file: BinaryIO, form: Form, *only: int) -> Any:
    import pyarrow as pa

    file.seek(0)
    options = pa.ipc.IpcReadOptions(included_fields=list(only), use_threads=False)
    return (pa.ipc.open_file if form == "Arrow" else pa.ipc.open_stream)(file, options=options)


def _require_end(path: Path, file: BinaryIO) -> None:
    file.seek(-len(_STREAM_END), os.SEEK_END)
    if file.read() != _STREAM_END:
        raise FormatError(f"{path}: an Arrow stream without its end: let it be written first, or write it again")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file, and give its size; a pipe in its place is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        entry = os.fstat(descriptor)
        if not stat.S_ISREG(entry.st_mode):
            raise FormatError(f"{path}: {kind_of(path)}, expected a file of predictions")
        yield file, entry.st_size


@contextmanager
def _explained(path: Path, form: Form) -> Iterator[None]:
    """Name the file in what its library says of it."""
    try:
        yield
    except (ModelgatesError, MemoryError):
        raise
    except Exception as error:  # pyarrow raises ArrowInvalid, OSError and others on damaged files
        raise FormatError(f"{path}: cannot be read as {form} ({first_line(error)})") from error


def coarsest(pieces: Sequence[Piece]) -> np.dtype[Any] | None:
    """Give the float dtype of the fewest bits among columns; None if none of them holds floats."""
    return min((each.precision for each in pieces if each.precision), key=lambda dtype: dtype.itemsize, default=None)
