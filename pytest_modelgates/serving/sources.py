"""Where rows to score come from: a CSV file, plain or .gz, lines of JSON, or messages of either."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, RequestError
from ..model.sidecar import Sidecar
from ..storage.rows import Column
from ..storage.tables import Rejected, Table, read_bytes, read_header, read_pieces, read_table
from ..storage.text import cut, listed, printable
from .named import refuse_repeated, rows_of
from .protocol import NOT_JSON, said_of
from .scorer import Rows, named_rows

_PIECE, LONGEST_LINE = 2**16, 2**20  # bytes
_object = msgspec.json.Decoder(dict[str, Any]).decode


class Message(NamedTuple):
    """A row as a feed brings it.

    Parameters
    ----------
    request : str
        The stream and the place in it, as the log keeps them.
    content : bytes
    label : str
        What an error calls it, such as `message 17`.
    sequence : int, optional
        By which it is known again, if it could come twice.
    """

    request: str
    content: bytes
    label: str
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to score, with the line of each, and the lines among them that are none.

    What comes from a feed has `messages`, and the line of a row is the number of its message, from 1 on.
    """

    rows: Rows
    lines: list[int]
    rejected: list[Rejected]
    messages: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Rows of a CSV file, with the line of each, and the lines that are none."""

    rows: Rows
    lines: NDArray[np.int64]
    rejected: list[Rejected]

    def batches(self, size: int) -> Iterator[Batch]:
        """Divide the rows; lines that are none come with the rows before which they stand, the last by themselves."""
        rows, rejected = self.rows, deque(self.rejected)
        for start in range(0, len(rows.keys), size):
            batch = slice(start, start + size)
            lines, before = self.lines[batch].tolist(), list[Rejected]()
            while rejected and rejected[0].line < lines[-1]:
                before.append(rejected.popleft())
            yield Batch(Rows(rows.keys[batch], rows.matrix[batch], rows.times[batch]), lines, before)
        if rejected:
            yield Batch(Rows([], rows.matrix[:0], []), [], list(rejected))


def read_csv(path: Path, sidecar: Sidecar, *, reorder: bool = False) -> Iterator[CsvRows]:
    """Read rows, some at a time: the keys (time, asset) as text, and the features.

    Raises
    ------
    FormatError
        If `check_header` does, or `read_pieces`. A row that cannot be scored is among the rejected ones.
    """
    content = read_bytes(path)
    check_header(content, sidecar, path, reorder=reorder)
    for piece in read_pieces(content, columns_of(sidecar), path):
        yield CsvRows(_named(piece, sidecar), piece.lines, piece.rejected)


def _named(table: Table, sidecar: Sidecar) -> Rows:
    names = {name: values.tolist() for name, values in table.values_of(*sidecar.keys).items()}
    return named_rows(names, table.matrix(), sidecar)


def check_header(content: bytes, sidecar: Sidecar, source: object, *, reorder: bool) -> None:
    """Refuse a CSV file that has other columns than rows to score have.

    Raises
    ------
    FormatError
        If the columns are not the keys and the features, or, unless `reorder`, not in the sidecar's order.
    """
    found, wanted = read_header(content, source), [column.name for column in columns_of(sidecar)]
    same = sorted(found) == sorted(wanted)
    if found != wanted and not (reorder and same):
        columns = printable(listed(map(cut, found), most=100))
        advice = "; put them in that order, or set serving.reorder in operations.toml" if same else ""
        raise FormatError(f"{source}: columns {columns}; the model takes {', '.join(wanted)}{advice}")


def columns_of(sidecar: Sidecar) -> list[Column]:
    """Name the columns that a row to score has, in order."""
    keys = [Column(name, "time" if name == sidecar.time else "text") for name in sidecar.keys]
    return keys + [Column(feature.name, feature.dtype, feature.nullable) for feature in sidecar.features]


def read_json_lines(descriptor: int, sidecar: Sidecar) -> Iterator[Batch]:
    """Read a JSON object a line, with the columns of the model's CSV files; what has come is a batch, and none waits.

    Parameters
    ----------
    descriptor : int
        Of a pipe or a file; reading ends with it.
    sidecar : Sidecar
    """
    os.set_blocking(descriptor, True)
    number, rest, skipping = 0, b"", False
    while piece := os.read(descriptor, _PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        if lines and skipping:
            lines, skipping, number = lines[1:], False, number + 1
        if lines:
            yield _batch(lines, number, sidecar)
        number += len(lines)
        if skipping:
            rest = b""
        elif len(rest) > LONGEST_LINE:
            long = Rejected(number + 1, None, f"more than {LONGEST_LINE} bytes; end each row with a newline")
            yield Batch(rows_of([], sidecar), [], [long])
            rest, skipping = b"", True
    if rest:
        yield _batch([rest], number, sidecar)


def read_messages(messages: Sequence[Message], sidecar: Sidecar) -> Batch:
    """Read messages, each a JSON object as `read_json_lines` takes it."""
    short, long = _by_length(messages)
    found = _batch([message.content for message in short.values()], 0, sidecar)
    return _of_feed(found, [*short], long, messages)


def read_csv_messages(messages: Sequence[Message], sidecar: Sidecar, *, header: bytes) -> Batch:
    """Read messages, each a line of a CSV file with its end, as `read_csv` takes it, below the header of that file."""
    short, long = _by_length(messages)
    content = b"".join([header, *(message.content for message in short.values())])
    table = read_table(content, columns_of(sidecar), "the rows")
    rejected = [replace(row, line=row.line - 1) for row in table.rejected]
    return _of_feed(Batch(_named(table, sidecar), (table.lines - 1).tolist(), rejected), [*short], long, messages)


def _by_length(messages: Sequence[Message]) -> tuple[dict[int, Message], list[Rejected]]:
    """Divide messages, by their numbers, into those that can be a row and those that are too long to be one."""
    short = {number: message for number, message in enumerate(messages, 1) if len(message.content) <= LONGEST_LINE}
    why = f"more than {LONGEST_LINE} bytes"
    return short, [Rejected(number, None, why) for number in range(1, len(messages) + 1) if number not in short]


def _of_feed(found: Batch, numbers: list[int], long: list[Rejected], messages: Sequence[Message]) -> Batch:
    """Number what was found as its messages are, and name the message that brought each row."""
    lines = [numbers[line - 1] for line in found.lines]
    rejected = [replace(row, line=numbers[row.line - 1]) for row in found.rejected]
    requests: list[str | None] = [messages[line - 1].request for line in lines]
    return Batch(found.rows._replace(requests=requests), lines, [*rejected, *long], messages)


def _batch(lines: list[bytes], before: int, sidecar: Sidecar) -> Batch:
    found, rejected = dict[int, dict[str, Any]](), list[Rejected]()
    for number, line in enumerate(lines, start=before + 1):
        try:
            found[number] = _object(line)
            refuse_repeated(line, sidecar)
        except NOT_JSON as error:
            rejected.append(Rejected(number, None, f"not a JSON object ({said_of(error)})"))
        except RequestError as error:
            del found[number]
            rejected.append(Rejected(number, None, str(error)))
    try:
        return Batch(rows_of([*found.values()], sidecar), [*found], rejected)
    except RequestError:
        pass
    # At least one of them cannot be scored.
    rows = dict[int, Rows]()
    for number, values in found.items():
        try:
            rows[number] = rows_of([values], sidecar)
        except RequestError as error:
            texts = tuple(str(values[key]) for key in sidecar.keys if isinstance(values.get(key), str))
            known = texts if len(texts) == len(sidecar.keys) else ()
            rejected.append(Rejected(number, None, str(error).removeprefix("row 0: "), known))
    joined = Rows.joined([*rows.values()]) if rows else rows_of([], sidecar)
    return Batch(joined, [*rows], sorted(rejected, key=attrgetter("line")))
