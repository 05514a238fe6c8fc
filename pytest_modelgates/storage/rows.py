"""What a row and a cell of a table may be. Nothing is guessed: a cell is of its column's kind, or it is refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .text import cut

Kind = Literal["text", "time", "bool", "float32", "float64", "int32", "int64"]
TEXTS = ("text", "time")
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
_IN_REALS = _IN_REAL + b","
_json_reals = msgspec.json.Decoder(list[float]).decode
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
        # Days and assets repeat, so each is looked at once, and kept once.
        texts = {cell: cell.decode() for cell in set(cells)}
        good = {cell for cell, text in texts.items() if (text and column.kind == "text") or is_time(text)}
        good |= {b""} if column.nullable else set()
        bad = {row: _why(cell, column) for row, cell in enumerate(cells) if cell not in good}
        return np.array([texts[cell] for cell in cells], dtype=object), bad
    values = _at_once(cells, column)
    return (values, {}) if values is not None else _one_by_one(cells, column)


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
        # As an integer -0 would lose its sign.
        if not any(mark in joined for mark in (b".", b"e", b"E", b"-0")):
            whole = np.array(list(map(int, cells)), dtype=np.int64)
            return whole if _fits(whole, column) else None
    except (ValueError, OverflowError):
        pass  # an empty cell, or too large a number
    if column.kind.startswith("int"):
        return None
    values = _reals(cells, nullable=column.nullable)
    return values if values is not None and _fits(values, column) else None


def _reals(cells: Sequence[bytes], *, nullable: bool) -> NDArray[np.float64] | None:
    """Convert real numbers; JSON writes most of them alike, and its parser is many times faster than `float`."""
    if (values := _from_json(b",".join(cells))) is not None:
        return values
    try:
        numbers = map(float, [cell or b"nan" for cell in cells] if nullable else cells)
        return np.fromiter(numbers, np.float64, len(cells))
    except ValueError:
        return None


def _from_json(written: bytes) -> NDArray[np.float64] | None:
    """Convert numbers between commas; None if one is not as JSON has it: an empty cell, .5, +1, or -0 without a point.

    Of -0, JSON's parser would lose the sign.
    """
    try:
        values = np.array(_json_reals(b"[%b]" % written), dtype=np.float64)
    except msgspec.DecodeError:
        return None
    return None if not written or (not values.all() and b"-0," in written + b",") else values


def reals_of(rows: Sequence[bytes], kind: Kind, *, columns: int) -> NDArray[np.float64] | None:
    """Convert rows of real numbers between commas at once; None if one of them must be looked at by itself."""
    written = b",".join(rows)
    if not kind.startswith("float") or written.translate(None, _IN_REALS):
        return None
    values = _from_json(written)
    if values is None or values.size != len(rows) * columns or not _fits(values, Column("", kind)):
        return None
    values = values.reshape(len(rows), columns)
    # A column that may be written as whole numbers is one of integers.
    return None if (values == np.rint(values)).all(axis=0).any() else values


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
