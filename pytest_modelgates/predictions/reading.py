"""Reading a part of the prediction log: in batches, from an offset, past lines that are not records."""

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..errors import FormatError
from ..storage.lines import LONGEST, first, lines_from_end
from ..storage.paths import is_file, is_link, is_there, kind_of
from ..storage.text import counted, first_line
from .columns import ROOM, Columns, columns_of
from .parts import PARQUET, Closing, Part, closing_of, is_closing
from .records import NOT_A_RECORD, Prediction, encode_predictions

_BLOCK, _LARGE, _ROWS = 2**18, 2**22, 1000
MOST_NOTES = 20
CLOSING = b"closing"  # in the metadata of a part in Parquet: the line that closed it
_CLOSES = b'{"closed":'  # begins that line
_MISSING = {"prediction": None}

_decoder = msgspec.json.Decoder(Prediction)


@dataclass(slots=True)
class Reading:
    """How far a part was read, and what was found there that is not a record.

    Parameters
    ----------
    lines, size : int
        Whole lines and bytes that were read.
    torn : int
        Bytes after the last newline: of a line that is being written, or was when its writer ended.
    bad : int
        Lines that are neither a record nor the one that closes the part.
    altered : str, optional
        How the part differs from what the line that closes it says.
    closing : Closing, optional
        The line that closes the part, once it was read.
    notes : list of str
        What is wrong, and where; at most 20.
    """

    lines: int = 0
    size: int = 0
    torn: int = 0
    bad: int = 0
    altered: str | None = None
    closing: Closing | None = None
    notes: list[str] = field(default_factory=list)
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        """SHA-256 of the lines that were read."""
        return str(self._digest.hexdigest())

    def copy(self) -> "Reading":
        """Give another that goes on from here."""
        return replace(self, notes=list(self.notes), _digest=self._digest.copy())

    def go_to(self, other: "Reading") -> None:
        """Stand where another does."""
        at = other.copy()
        for name in ("lines", "size", "torn", "bad", "altered", "closing", "notes", "_digest"):
            setattr(self, name, getattr(at, name))

    def note(self, text: str) -> None:
        """Keep a note, unless there are many already."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text)


def read_part(part: Part, reading: Reading) -> Iterator[list[Prediction]]:
    """Read the records of a part in batches, from where an earlier reading ended.

    Parameters
    ----------
    part : Part
    reading : Reading
        Moves along. A new one reads from the beginning.

    Yields
    ------
    list of Prediction
        At most 256 KiB of lines.
    """
    packed = _packed(part, reading)
    if packed:
        yield from _read_parquet(packed, reading)
    elif packed is None:
        for block, size in _blocks(part, reading, _BLOCK):
            yield _records(bytes(memoryview(block)[:size]), part, reading)


def read_columns(
    part: Part, reading: Reading, model: str, *, until: int | None = None, keys: bool = False
) -> Iterator[Columns]:
    """Read the records of a model as `read_part` does, as columns.

    Parameters
    ----------
    part : Part
    reading : Reading
        Moves along. A new one reads from the beginning.
    model : str
        Its digest.
    until : int, optional
        Where a line ends that is the last to be read [bytes]; by default all are read.
    keys : bool, default False
        Whether to take the rows' keys, too.
    """
    packed = _packed(part, reading)
    if packed:
        for records in _read_parquet(packed, reading):
            yield Columns.of(records, model, keys=keys)
    elif packed is None:
        for block, size in _blocks(part, reading, _LARGE, until=until):
            # Beside the line that closes a part, all others would be read one by one.
            last = block.rfind(b"\n", 0, size - 1) + 1
            cut = last if block.startswith(_CLOSES, last) else size
            if cut:
                yield _columns(block, cut, part, reading, model, keys=keys)
            if cut < size:
                rest = bytes(memoryview(block)[cut:size])
                yield Columns.of(_records(rest, part, reading), model, keys=keys)


def _columns(block: bytearray, size: int, part: Part, reading: Reading, model: str, *, keys: bool) -> Columns:
    lines = memoryview(block)[:size]
    found = None if reading.closing else columns_of(block, model, size=size, keys=keys)
    if found is None:
        return Columns.of(_records(bytes(lines), part, reading), model, keys=keys)
    reading.lines += len(found) + found.others
    reading.size += size
    reading._digest.update(lines)
    return found


def _packed(part: Part, reading: Reading) -> Path | Literal[False] | None:
    """Give the Parquet that a part was turned into; None if it is lines, and False if it cannot be read."""
    packed = part.path.with_suffix(PARQUET)
    place = packed if is_there(packed) else part.path
    if is_there(place) and (is_link(place) or not is_file(place)):
        found = "a link" if is_link(place) else kind_of(place)
        reading.note(f"{place}: {found}, expected a part of the log, which is a file; put it back, or move it away")
        reading.bad += 1
        return False
    return packed if is_file(packed) else None  # it may have become so since the parts were listed


def _blocks(part: Part, reading: Reading, size: int, *, until: int | None = None) -> Iterator[tuple[bytearray, int]]:
    """Read whole lines, so many bytes at a time; who takes them moves the reading along.

    They are the first bytes of memory that is used again for the next ones, and has room for `columns_of` behind them.
    """
    # A link or a pipe in the place of a part is not followed, nor waited for.
    descriptor = os.open(part.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        file.seek(reading.size)
        left = math.inf if until is None else max(0, until - reading.size)
        block, rest = bytearray(LONGEST + size + ROOM), 0
        while read := file.readinto(memoryview(block)[rest : rest + int(min(size, left))]):
            left -= read
            whole = block.rfind(b"\n", rest, rest + read) + 1
            if whole:
                yield block, whole
            last, rest = rest + read, rest + read - whole
            block[:rest] = block[whole:last]
            if rest > LONGEST:
                reading.note(f"{part.path}, line {reading.lines + 1}: longer than {LONGEST} bytes; not read further")
                reading.bad += 1
                return
        reading.torn = rest


def _records(block: bytes, part: Part, reading: Reading) -> list[Prediction]:
    """Decode whole lines: all at once, or one by one if one of them is not a record."""
    try:
        found = _decoder.decode_lines(block)
    except NOT_A_RECORD:
        return _one_by_one(block, part, reading)
    lines = block.count(b"\n")
    if len(found) != lines or reading.closing:  # blank lines are read over, and nothing may follow a closing line
        return _one_by_one(block, part, reading)
    reading.lines += lines
    reading.size += len(block)
    reading._digest.update(block)
    return found


def _one_by_one(block: bytes, part: Part, reading: Reading) -> list[Prediction]:
    found = list[Prediction]()
    for line in block.removesuffix(b"\n").split(b"\n"):
        record = _record_or_closing(line, part, reading)
        if isinstance(record, Prediction):
            found.append(record)
        elif isinstance(record, Closing):
            reading.closing = record
            _compare(record, part.path, reading)
        else:
            reading.bad += 1
        reading.lines += 1
        reading.size += len(line) + 1
        reading._digest.update(line + b"\n")
    return found


def _record_or_closing(line: bytes, part: Part, reading: Reading) -> Prediction | Closing | None:
    where = f"{part.path}, line {reading.lines + 1}"
    if reading.closing:
        reading.note(f"{where}: after the line that closes the part, where nothing may be")
        return None
    try:
        return _decoder.decode(line)
    except NOT_A_RECORD as error:
        if is_closing(line):
            return closing_of(line)
        reading.note(f"{where}: not a record of a prediction ({first_line(error)})")
        return None


def _compare(closing: Closing, path: Path, reading: Reading) -> None:
    """Compare a part with the line that closes it."""
    if closing.closed != reading.lines:
        reading.altered = f"{path}: {counted(reading.lines, 'line')}, its last line says {closing.closed}"
    elif closing.sha256 != reading.digest:
        reading.altered = f"{path}: its lines do not have the digest that its last line gives"


def _read_parquet(path: Path, reading: Reading) -> Iterator[list[Prediction]]:
    """Read a part that was turned into Parquet, from the row where an earlier reading ended."""
    import pyarrow as pa  # here, since most parts are lines, and it takes long to load
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            closing = closing_of((file.schema_arrow.metadata or {})[CLOSING])
            before = reading.lines
            for batch in file.iter_batches(batch_size=_ROWS):
                rows = [{key: value for key, value in row.items() if value is not None} for row in batch.to_pylist()]
                found = msgspec.convert([_MISSING | row for row in rows], list[Prediction])
                if (skipped := min(before, len(found))) < len(found):
                    new = found[skipped:]
                    reading.lines += len(new)
                    reading._digest.update(encode_predictions(new))
                    yield new
                before -= skipped
    except (pa.ArrowException, OSError, KeyError, *NOT_A_RECORD) as error:
        reading.altered = f"{path}: not what compact made of a part ({first_line(error)})"
        return
    if reading.closing is None:
        _compare(closing, path, reading)
        reading.closing = closing
        reading.lines += 1  # as if it were read


def closing_on_disk(part: Part) -> Closing | None:
    """Read how a part was closed, from its end alone; None if it is open or cannot be read."""
    packed = part.path.with_suffix(PARQUET)
    with suppress(OSError, KeyError, FormatError, ValueError, *NOT_A_RECORD):
        if not is_file(packed):
            return closing_of(first(lines_from_end(part.path)) or b"")
        import pyarrow.parquet as pq

        return closing_of((pq.read_schema(packed).metadata or {})[CLOSING])
    return None


def resumed(part: Part, *, lines: int, size: int, digest: str) -> Reading | None:
    """Take up a reading that ended after so many bytes of lines; None if these have another digest now."""
    reading, left = Reading(lines=lines, size=size), size
    with suppress(OSError), part.path.open("rb") as file:
        while left and (block := file.read(min(left, _BLOCK))):
            reading._digest.update(block)
            left -= len(block)
    return reading if not left and reading.digest == digest else None
