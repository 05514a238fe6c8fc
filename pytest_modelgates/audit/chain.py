"""The audit log: a chain of JSON lines, appended and never rewritten.

An intent is written before a change, its outcome after it. Each line holds the digest of the line before, so that an
edited, lost or swapped line shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..artifacts import ModelId
from ..errors import FormatError, RegistryError
from ..storage.digests import Sha256, sha256
from ..storage.lines import LONGEST, append_atomic, lines_from_end
from ..storage.strict_json import Moment, canonical
from ..storage.text import first_line
from .head import Head


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="record"):
    """The fields of every line. `append` sets `n`, which counts from 1, and `prev`, the digest of the line before."""

    n: Annotated[int, msgspec.Meta(ge=0)] = 0
    prev: Sha256 | None = None
    time: Moment


class Intent(Record, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="intent", rename={"from_": "from"}):
    """A promotion or rollback that is about to move the link."""

    actor: str
    host: str
    action: Literal["promote", "rollback"]
    from_: ModelId | None
    to: ModelId
    digest: Sha256
    report_digest: Sha256 | None
    sealed_by: str | None = None
    waivers: tuple[str, ...] = ()
    reason: str


class Commit(Record, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="commit"):
    """The link was moved; `signature` covers the intent before it, and so every line that it is chained to."""

    signature: str | None = None


class Abort(Record, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="abort"):
    """The link was not moved, or was moved back."""


Line = Intent | Commit | Abort
_decoder = msgspec.json.Decoder(Line)


EMPTY = Head(0, None)


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log: `open` is an intent without an outcome, `change` the last change that took place."""

    head: Head
    open: Intent | None
    change: Intent | None

    def change_to(self, model_id: str | None) -> Intent | None:
        """Find the change, finished or not, that would have made a model live."""
        return next((found for found in (self.open, self.change) if found and found.to == model_id), None)


def decoded(line: bytes, place: str) -> Line:
    """Decode a line, which must be byte for byte as `append` writes it."""
    try:
        record: Line = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{place}: not a record of the audit log ({first_line(error)}); put the log back") from error
    if canonical(record) != line + b"\n":
        raise FormatError(f"{place}: not as it was written; put the log back")
    return record


def lines(path: Path) -> Iterator[tuple[Line, str]]:
    """Read records with their digests, the newest first, as they are asked for; a torn last line does not count.

    Raises
    ------
    FormatError
        At the first line that is not a record, or not the one that the line after it was chained to.
    """
    after: Line | None = None
    for back, line in enumerate(lines_from_end(path), start=1):
        record, digest = decoded(line, f"{path}, line {back} from the end"), sha256(line)
        if after is not None and (record.n, digest) != (after.n - 1, after.prev):
            raise FormatError(f"{path}: the chain breaks before record {after.n}; see: modelgates log --verify")
        yield record, digest
        after = record
    if after is not None and (after.n, after.prev) != (1, None):
        raise FormatError(f"{path}: begins with record {after.n}, so the lines before it are lost; put the log back")


def tail(path: Path) -> Tail:
    """Read the end of the log, back to the last change that took place."""
    end: Head | None = None
    opened: Intent | None = None
    outcome: Line | None = None
    for record, digest in lines(path):
        if end is None:
            end, opened = Head(record.n, digest), record if isinstance(record, Intent) else None
        if isinstance(record, Intent) and isinstance(outcome, Commit):
            return Tail(end, opened, record)
        outcome = record
    return Tail(end or EMPTY, opened, None)


def changes(path: Path) -> Iterator[Intent]:
    """Read promotions and rollbacks that took place, the newest first, as they are asked for."""
    outcome: Line | None = None
    for record, _ in lines(path):
        if isinstance(record, Intent) and isinstance(outcome, Commit):
            yield record
        outcome = record


def read_log(path: Path) -> list[Intent]:
    """Read every promotion and rollback that took place, oldest first."""
    return list(changes(path))[::-1]


def live_at(path: Path, moment: datetime) -> Intent | None:
    """Find the change that had made its model live at a moment."""
    return next((change for change in changes(path) if change.time <= moment), None)


def append(path: Path, record: Line, *, mode: int = 0o644) -> Head:
    """Append a record as the next link of the chain, durably; if that fails, the log is unchanged.

    Returns
    -------
    Head
        The new end of the log.

    Raises
    ------
    RegistryError
        If the record is too long to be read again.
    """
    last = next(((line.n, digest) for line, digest in lines(path)), (0, None))
    record = msgspec.structs.replace(record, n=last[0] + 1, prev=last[1])
    content = canonical(record)
    if len(content) > LONGEST:
        raise RegistryError(f"a record of {len(content)} bytes, expected at most {LONGEST}: give a shorter reason")
    append_atomic(path, content, durable=True, mode=mode)
    return Head(record.n, sha256(content[:-1]))


def committed(intent: Head) -> bytes:
    """Give the bytes that a commit's signature covers."""
    return f"modelgates commit {intent}".encode()


@dataclass(frozen=True, slots=True)
class Chain:
    """A whole log: the digest of each line, the commits, and what is wrong."""

    digests: list[str]
    commits: list[Commit]
    problems: list[str]

    def holds(self, head: Head) -> bool:
        """Whether the log still has the record that a head names."""
        return head.n <= len(self.digests) and self.digests[head.n - 1] == head.digest


def read_chain(path: Path) -> Chain:
    """Read the whole log and compare every line with the one before it.

    A cut tail and a chain that was written anew do not show here: compare the digests with a head that was kept
    elsewhere. What a crash left after the last newline does not count as a line.
    """
    found = Chain([], [], [])
    previous: Line | None = None
    for number, line in enumerate(reversed([*lines_from_end(path)]), start=1):
        try:
            record = decoded(line, f"line {number}")
        except FormatError as error:
            found.problems.append(str(error))
        else:
            prev = found.digests[-1] if found.digests else None
            if (record.n, record.prev) != (number, prev):
                found.problems.append(f"line {number}: record {record.n} does not follow on the line before it")
            elif isinstance(record, Intent) == isinstance(previous, Intent):
                found.problems.append(
                    f"line {number}: {_tag(record)} after {_tag(previous) if previous else 'nothing'}"
                )
            if isinstance(record, Commit):
                found.commits.append(record)
            previous = record
        found.digests.append(sha256(line))
    return found


def _tag(record: Line) -> str:
    return type(record).__name__.lower()
