"""What a row and a cell of a table may be. Nothing is guessed: a cell is of its column's kind, or it is refused."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .text import cut

Kind = Literal["text", "time", "bool", "float32", "float64", "int32", "int64"]
TEXTS, REALS = ("text", "time"), ("float32", "float64")
# The values of a column's cells, and why some are refused; their values mean nothing.
Converted = tuple[NDArray[Any], dict[int, str]]

# One field and what ends it. A quote may only stand around a whole field, or twice within quotes (RFC 4180).
_FIELD = re.compile(rb'(?:"((?:[^"]|"")*+)"|([^",]*+))(?:,|\Z)')
_REAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(rb"[+-]?[0-9]+")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ](?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_IN_REAL = b"0123456789+-.eE"
_TRUTH = {b"True": True, b"TRUE": True, b"true": True, b"False": False, b"FALSE": False, b"false": False}
_NOTHING = {b"na", b"nan", b"n/a", b"none", b"null", b"nil", b"-", b"?", b"#n/a"}
_EXPECTED = {
    "time": "a date or time of ISO 8601, such as 2020-01-31 or 2020-01-31T09:30:00",
    "bool": "True or False",
    "float32": "a number",
    "float64": "a number",
    "int32": "a whole number",
    "int64": "a whole number",
}
LONGEST_LINE = 2**24
_FEW = 64  # rows
_WIDE = {"bool": np.bool_, "int32": np.int64, "int64": np.int64}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: what its cells are, and whether one may be empty."""

    name: str
    kind: Kind
    nullable: bool = False


class BadRowError(Exception):
    """A row is refused; the text says why, for a message that begins with the place."""


def fields_of(line: bytes) -> list[bytes]:
    """Divide a line, without its end, into fields.

    Raises
    ------
    BadRowError
        If it holds a quote, a NUL or a carriage return where none may stand, is not UTF-8, or has no end in sight.
    """
    if len(line) > LONGEST_LINE:
        raise BadRowError(f"{len(line)} bytes, expected at most {LONGEST_LINE} in a line")
    if b"\0" in line:
        raise BadRowError("a NUL byte; save the file as text in UTF-8")
    if b"\r" in line:
        raise BadRowError("a carriage return inside the line; a line ends with \\n or \\r\\n")
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise BadRowError(f"byte {error.start + 1} is not UTF-8; save the file as text in UTF-8") from error
    if b'"' not in line:
        return line.split(b",")
    found, place = list[bytes](), 0
    while field := _FIELD.match(line, place):
        quoted, plain = field.groups()
        found.append(plain if quoted is None else quoted.replace(b'""', b'"'))
        place = field.end()
        if place == len(line):
            return [*found, b""] if line.endswith(b",", field.start()) else found
    if line.startswith(b'"', place) and line.count(b'"', place) % 2:
        raise BadRowError("a quote is not closed before the line ends; a row is one line")
    raise BadRowError("a quote inside a field; write the whole field in quotes, and each quote in it twice")


def values_of(cells: Sequence[bytes], column: Column) -> Converted:
    """Convert the cells of a column.

    Parameters
    ----------
    cells : sequence of bytes
        In UTF-8, without the quotes around them.
    column : Column

    Returns
    -------
    ndarray
        One value a cell. Text and times stay as they are written. Numbers are float64, or int64 if each is written
        as a whole one; an empty cell is NaN.
    dict of int to str
        Which cells are refused, and why. Their values mean nothing.
    """
    if column.kind in TEXTS:
        numbers = {cell: number for number, cell in enumerate(dict.fromkeys(cells))}
        which = np.fromiter(map(numbers.__getitem__, cells), np.intp, len(cells))
        return _texts([cell.decode() for cell in numbers], which, column)
    values = _at_once(cells, column)
    return (values, {}) if values is not None else _one_by_one(cells, column)


def _texts(distinct: Sequence[str], which: NDArray[np.integer[Any]], column: Column) -> Converted:
    """Give each cell its text. Days and assets repeat, so each is looked at once, and kept once."""
    sound = is_time if column.kind == "time" else bool
    wrong = {number: text for number, text in enumerate(distinct) if not sound(text) and (text or not column.nullable)}
    rows = np.flatnonzero(np.isin(which, [*wrong])).tolist() if wrong else []
    return np.array(distinct, dtype=object)[which], {row: _why(wrong[which[row]].encode(), column) for row in rows}


def is_time(text: str) -> bool:
    """Whether this is a date or a time of ISO 8601, in its extended form."""
    if _TIME.fullmatch(text) is None:  # Python also takes weeks, and digits without hyphens
        return False
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo:
            found.astimezone(UTC)  # days are those of UTC, which ends with the years 1 and 9999
    except (ValueError, OverflowError):
        return False
    return True


def _at_once(cells: Sequence[bytes], column: Column) -> NDArray[Any] | None:
    """Convert a column of which every cell is sound; None if one may not be."""
    if column.kind == "bool":
        return np.array([_TRUTH[cell] for cell in cells], dtype=np.bool_) if _TRUTH.keys() >= set(cells) else None
    joined = b"".join(cells)
    # What float() accepts of these bytes alone is a number as _REAL has it: no spaces, underscores or words.
    if joined.translate(None, _IN_REAL):
        return None
    try:
        # As an integer the -0 of a real number would lose its sign.
        signed = () if column.kind in _WIDE else (b"-0",)
        if not any(mark in joined for mark in (b".", b"e", b"E", *signed)):
            whole = np.array(list(map(int, cells)), dtype=np.int64)
            return whole if _fits(whole, column) else None
    except (ValueError, OverflowError):
        pass  # an empty cell, or too large a number
    if column.kind.startswith("int"):
        return None
    try:
        numbers = map(float, [cell or b"nan" for cell in cells] if column.nullable else cells)
        values = np.fromiter(numbers, np.float64, len(cells))
    except ValueError:
        return None
    return values if _fits(values, column) else None


def columns_at_once(
    content: bytes, ends: NDArray[np.intp], columns: Mapping[int, Column]
) -> tuple[dict[int, Converted], NDArray[np.float64] | None] | None:
    """Convert columns of real numbers and of text at once, to what `values_of` makes of each.

    Parameters
    ----------
    content : bytes
        Cells in UTF-8, each with one byte after it.
    ends : ndarray of int, shape (n_rows, n_columns)
        Where each cell ends.
    columns : mapping of int to Column
        Those that are wanted, by their places.

    Returns
    -------
    dict of int to Converted
        By their places, without those that must be looked at cell by cell. None in place of all if these may be any.
    ndarray of float64, or None
        All columns of real numbers side by side, if none of them must be.
    """
    import pyarrow as pa  # here, since it takes long to load

    real = [place for place, column in columns.items() if column.kind in REALS]
    # Arrow's cells lie end to end. So a byte between two of ours is one too, null like all that is not to be read.
    edges = np.zeros(2 * ends.size + 1, dtype=np.int32)
    edges[1::2] = ends.ravel()
    np.add(edges[1::2], 1, out=edges[2::2])
    missing = (edges[:-1:2] == edges[1::2]).reshape(ends.shape)
    read = np.zeros((*ends.shape, 2), dtype=bool)
    together = slice(real[0], real[-1] + 1) if real == [*range(real[0], real[-1] + 1)] else real
    read[:, together, 0] = ~missing[:, together]
    bits, *buffers = (pa.py_buffer(each) for each in (np.packbits(read, bitorder="little"), edges, content))
    try:
        found = pa.Array.from_buffers(pa.string(), read.size, [bits, *buffers]).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    # It takes what `_REAL` has, or less, and the words for NaN and infinity.
    values = np.frombuffer(found.buffers()[1], np.float64)[: read.size : 2].reshape(ends.shape)
    values, missing = np.ascontiguousarray(values[:, together]), missing[:, together]
    with np.errstate(over="ignore"):
        held = np.isfinite(values.astype(np.float32))
    if missing.any() or not held.all():
        values[missing] = np.nan
        wide = np.array([columns[place].kind == "float64" for place in real])
        held = np.where(missing, [columns[place].nullable for place in real], held | (wide & np.isfinite(values)))
    # A column that may be written as whole numbers is one of integers; most show in a few rows that they are not.
    broken = (values[:_FEW] != np.rint(values[:_FEW])).any(axis=0)
    sound = held.all(axis=0) & (broken if broken.all() else (values != np.rint(values)).any(axis=0))
    converted: dict[int, Converted] = {
        place: (values[:, column], {}) for column, place in enumerate(real) if sound[column]
    }
    cells, first = pa.Array.from_buffers(pa.string(), read.size, [None, *buffers]), np.arange(len(ends)) * read[0].size
    for place, column in columns.items():
        if column.kind in TEXTS:
            texts = cells.take(pa.array(first + 2 * place)).dictionary_encode()
            converted[place] = _texts(texts.dictionary.to_pylist(), texts.indices.to_numpy(), column)
    return converted, values if sound.all() else None


def _fits(values: NDArray[Any], column: Column) -> bool:
    """Whether the column's kind can hold all values, NaN apart."""
    if column.kind.startswith("int"):
        limits = np.iinfo(column.kind)
        return bool(((values >= limits.min) & (values <= limits.max)).all())
    with np.errstate(over="ignore"):
        return not np.isinf(values.astype(column.kind)).any()


def _one_by_one(cells: Sequence[bytes], column: Column) -> Converted:
    """Convert a column cell by cell, to find those that are refused."""
    values: NDArray[Any] = np.zeros(len(cells), dtype=_WIDE.get(column.kind, np.float64))
    bad = {}
    for row, cell in enumerate(cells):
        found = _at_once([cell], column)
        if found is None:
            bad[row] = _why(cell, column)
        else:
            values[row] = found[0]
    return values, bad


def _why(cell: bytes, column: Column) -> str:
    """Say why a cell is refused."""
    place = f"column {cut(column.name)!r}"
    if not cell:
        return f"{place} is empty" + ("" if column.kind in TEXTS else ", and it may not be missing")
    shown = repr(cut(cell.decode()))
    # What is refused although it is a number of the right form is out of range.
    form = {"i": _WHOLE, "f": _REAL}.get(column.kind[0])
    if form is not None and form.fullmatch(cell):
        return f"{place} holds {shown}, which {column.kind} cannot hold"
    hint = "; a missing value is an empty field" if cell.strip().lower() in _NOTHING else ""
    return f"{place} holds {shown}, expected {_EXPECTED[column.kind]}{hint}"
