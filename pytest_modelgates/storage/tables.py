"""Tables of text: CSV as RFC 4180 has it, plain or .gz, read strictly and without pandas.

A row is one line, so one that is spoiled cannot touch the next. What a cell may be is in `rows`.
"""

import codecs
import gzip
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from .rows import LONGEST_LINE, REALS, TEXTS, BadRowError, Column, Converted, columns_at_once, fields_of, values_of
from .text import counted, cut, first_line

MAX_BYTES = 2**31  # of a table
# Numbers as text shrink to a third. What shrinks far more is a bomb, and refused beyond the first 64 MiB.
MAX_RATIO, FREE_BYTES = 100, 2**26
MOST_REJECTED = 2**20  # rows that are remembered; beyond, and if most rows are such, this is another file
_BLOCK = 2**20
_COMMA, _NEWLINE = b",\n"
_STRANGE = (b'"', b"\r", b"\0")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is none: its line (the header is line 1), the column if one is to blame, and why.

    `texts` are its cells of text and time, or nothing where they cannot be told.
    """

    line: int
    column: str | None
    why: str
    texts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"line {self.line}: {self.why}"


class Block(NamedTuple):
    """Rows that follow each other, column by column; those of real numbers again side by side, if they were so read."""

    columns: list[NDArray[Any]]
    reals: NDArray[np.float64] | None


@dataclass(frozen=True)
class Table:
    """The sound rows of a table, column by column, and the others with their reasons.

    `lines` says where in the file each sound row lies. Its `blocks` follow each other.
    """

    columns: tuple[Column, ...]
    lines: NDArray[np.int64]
    blocks: list[Block]
    rejected: list[Rejected]

    @property
    def values(self) -> dict[str, NDArray[Any]]:
        """Every column in one piece. Numbers are as they are written: int64 or float64."""
        return self.values_of(*(column.name for column in self.columns))

    def values_of(self, *names: str) -> dict[str, NDArray[Any]]:
        """Give some of the columns, as `values` gives all."""
        place_of = {column.name: place for place, column in enumerate(self.columns)}
        return {name: np.concatenate([block.columns[place_of[name]] for block in self.blocks]) for name in names}

    def matrix(self) -> NDArray[np.generic]:
        """Lay the numbers out in the order of the columns, in the one dtype that all kinds fit into."""
        kinds = {place: column.kind for place, column in enumerate(self.columns) if column.kind not in TEXTS}
        dtype = np.result_type(*kinds.values()) if kinds else np.dtype(np.float32)
        rows = np.empty((len(self.lines), len(kinds)), dtype=dtype)
        written = {place: np.result_type(*(block.columns[place] for block in self.blocks)) for place in kinds}
        alike, end = {*kinds.values()} == {dtype.name}, 0
        for columns, reals in self.blocks if kinds else ():
            begin, end = end, end + len(columns[0])
            if alike and reals is not None:
                rows[begin:end] = reals
                continue
            for position, (place, kind) in enumerate(kinds.items()):
                rows[begin:end, position] = columns[place].astype(written[place], copy=False).astype(kind, copy=False)
        return rows


def read_bytes(path: Path) -> bytes:
    """Read the bytes of a table; those of a `.gz` file are decompressed.

    Raises
    ------
    FormatError
        If there are too many, or the file is not what `gzip` writes.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if path.suffix.lower() != ".gz":
            return _bounded(file, MAX_BYTES, f"{path}: ", at_once=size)
        most = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * size))
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _bounded(unpacked, most, f"{path}: decompressed ")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            why = first_line(error)
            raise FormatError(f"{path}: not a whole .gz file ({why}); write or fetch it again") from error


def _bounded(file: BufferedIOBase, most: int, source: str, *, at_once: int = 0) -> bytes:
    pieces, total = list[bytes](), 0
    # A read of all that is admitted would ask for its memory at once, so it asks for what the file says that it holds.
    while piece := file.read(max(_BLOCK, min(at_once, most) + 1)):
        total += len(piece)
        if total > most:
            raise FormatError(f"{source}more than {most} bytes, the most that is read of such a file; give fewer rows")
        pieces.append(piece)
    return b"".join(pieces)


def read_header(content: bytes, source: object) -> list[str]:
    """Read the names of the columns.

    Raises
    ------
    FormatError
        If there is no header, it is not CSV in UTF-8, or two columns have one name; the message names `source`.
    """
    return _header(content, source)[0]


def _header(content: bytes, source: object) -> tuple[list[str], int]:
    """Read the names of the columns, and where the rows begin."""
    # A byte order mark says no more than that this is UTF-8.
    begin = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    end = content.find(b"\n", begin)
    line = content[begin:] if end < 0 else content[begin:end].removesuffix(b"\r")
    if not line:
        raise FormatError(f"{source}: no header; the first line names the columns")
    try:
        names = [field.decode() for field in fields_of(line)]
    except BadRowError as error:
        raise FormatError(f"{source}, line 1: not the header of a CSV file, plain or .gz ({error})") from error
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise FormatError(f"{source}: two columns are called {cut(twice[0])!r}; keep one, or rename one")
    return names, len(content) if end < 0 else end + 1


def read_table(content: bytes, columns: Sequence[Column], source: object, *, strict: bool = False) -> Table:
    """Read columns of a table, all rows at once; takes and raises what `read_pieces` does."""
    pieces = list(read_pieces(content, columns, source, strict=strict))
    return Table(
        pieces[0].columns,
        np.concatenate([piece.lines for piece in pieces]),
        [block for piece in pieces for block in piece.blocks],
        [row for piece in pieces for row in piece.rejected],
    )


def read_pieces(content: bytes, columns: Sequence[Column], source: object, *, strict: bool = False) -> Iterator[Table]:
    """Read columns of a table, some rows at a time.

    Parameters
    ----------
    content : bytes
        The file.
    columns : sequence of Column
        Those that are wanted. One that the header does not name is left out; the others are not looked at, but every
        row must have as many fields as the header.
    source : object
        What messages call the file.
    strict : bool, default False
        The first row that is not one raises.

    Yields
    ------
    Table
        About 1 MiB of lines. Of a table without a line there is one piece, too.

    Raises
    ------
    FormatError
        If the header cannot be read, or hardly a row of a large file.
    """
    names, start = _header(content, source)
    place_of = {name: place for place, name in enumerate(names)}
    wanted = tuple(column for column in columns if column.name in place_of)
    places = [place_of[column.name] for column in wanted]
    by_place, sound, refused = dict(zip(places, wanted, strict=True)), 0, 0
    for block, numbers in _blocks(content, start):
        regular, bad = _regular(block, len(numbers), by_place, len(names)), list[Rejected]()
        if regular is not None:
            read, reals = regular
        else:
            numbers, cells, bad = _divided(block, numbers, len(names))
            reals = None
            read = [values_of(cells[place :: len(names)], column) for place, column in zip(places, wanted, strict=True)]
        spoiled = _spoiled(wanted, read, numbers)
        rejected = sorted([*bad, *spoiled.values()], key=lambda each: each.line)
        if strict and rejected:
            raise FormatError(f"{source}, {rejected[0]}")
        refused += len(rejected)
        if refused > max(MOST_REJECTED, sound):
            raise FormatError(
                f"{source}: {refused} of the lines up to {rejected[-1].line} are not rows, such as {rejected[0]}"
            )
        kept = np.delete(np.arange(len(numbers)), list(spoiled)) if spoiled else slice(None)
        lines = numbers[kept]
        sound += len(lines)
        yield Table(
            wanted,
            lines,
            [Block([values[kept] for values, _ in read], None if reals is None else reals[kept])],
            rejected,
        )
    if start >= len(content):  # a table without a line
        nothing = Block([values_of([], column)[0] for column in wanted], None)
        yield Table(wanted, np.empty(0, dtype=np.int64), [nothing], [])


def _blocks(content: bytes, start: int) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
    r"""Divide what follows the header into blocks of lines that end with \n, with the number of each line."""
    number = 2
    while start < len(content):
        end = content.find(b"\n", start + _BLOCK) + 1 or len(content)
        block = content[start:end]
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        if not block.endswith(b"\n"):
            block += b"\n"
        after = number + int(np.count_nonzero(np.frombuffer(block, np.uint8) == _NEWLINE))  # `count` takes longer
        yield block, np.arange(number, after)
        start, number = end, after


def _regular(
    block: bytes, rows: int, wanted: Mapping[int, Column], width: int
) -> tuple[list[Converted], NDArray[np.float64] | None] | None:
    """Convert a block with real numbers of which each line is a row, and no field quoted; None if it may be another."""
    if not any(column.kind in REALS for column in wanted.values()):
        return None
    if len(block) > LONGEST_LINE or any(mark in block for mark in _STRANGE) or not _is_utf8(block):
        return None
    marks = np.frombuffer(block, np.uint8)
    after = marks == _COMMA
    after |= marks == _NEWLINE
    found = np.flatnonzero(after)
    if len(found) != rows * width or (marks[found[width - 1 :: width]] != _NEWLINE).any():
        return None
    if width == 1 and (np.diff(found, prepend=-1) == 1).any():  # blank lines, not empty cells
        return None
    ends = found.reshape(rows, width)
    if (found_at_once := columns_at_once(block, ends, wanted)) is None:
        return None
    converted, reals = found_at_once

    def cells(place: int) -> list[bytes]:
        begins = ends[:, place - 1] + 1 if place else np.append(0, ends[:-1, -1] + 1)
        return [block[begin:end] for begin, end in zip(begins.tolist(), ends[:, place].tolist(), strict=True)]

    return [converted.get(place) or values_of(cells(place), column) for place, column in wanted.items()], reals


def _divided(
    block: bytes, numbers: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], list[bytes], list[Rejected]]:
    """Divide lines into fields, all in one list, with the number of each line; those that are not a row come apart."""
    block = block.removesuffix(b"\n")
    lines = block.split(b"\n")
    ordinary = not any(mark in block for mark in _STRANGE) and _is_utf8(block)
    if ordinary and all(lines) and {line.count(b",") for line in lines} == {width - 1}:
        return numbers, block.replace(b"\n", b",").split(b","), []
    sound, cells, bad = list[int](), list[bytes](), list[Rejected]()
    for number, line in zip(numbers.tolist(), lines, strict=True):
        try:
            fields = _row(line, width)
        except BadRowError as error:
            bad.append(Rejected(number, None, str(error)))
        else:
            sound.append(number)
            cells += fields
    return np.array(sound, dtype=np.int64), cells, bad


def _row(line: bytes, width: int) -> list[bytes]:
    """Divide a line into as many fields as the header has."""
    if not line:
        raise BadRowError(f"a blank line, expected {counted(width, 'field')}; delete it")
    fields = fields_of(line)
    if len(fields) != width:
        raise BadRowError(f"{counted(len(fields), 'field')}, the header has {width}")
    return fields


def _is_utf8(block: bytes) -> bool:
    if block.isascii():  # at half the price
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _spoiled(wanted: Sequence[Column], read: Sequence[Converted], numbers: NDArray[np.int64]) -> dict[int, Rejected]:
    """Find the rows with a cell that is refused; the first such column is to blame."""
    texts = [converted for column, converted in zip(wanted, read, strict=True) if column.kind in TEXTS]
    spoiled = dict[int, Rejected]()
    for column, (_, whys) in zip(wanted, read, strict=True):
        for row, why in whys.items():
            if row not in spoiled:
                known = () if any(row in bad for _, bad in texts) else tuple(values[row] for values, _ in texts)
                spoiled[row] = Rejected(int(numbers[row]), column.name, why, known)
    return spoiled
