"""The audit log: a chain of JSON lines, appended and never rewritten.

An intent is written before a change, its outcome after it. Each line holds the digest of the line before, so that an
edited, lost or swapped line shows. Events stand between changes, move no link, and are chained as they are.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ..artifacts import ModelId
from ..errors import FormatError, RegistryError
from ..storage.digests import Sha256, sha256
from ..storage.disk import Log, log_of
from ..storage.lines import LONGEST, first
from ..storage.strict_json import TOO_DEEP, Moment, canonical, parse_json
from ..storage.text import first_line
from .head import HEAD, Head
from .kinds import ADOPTED, Action


@dataclass(frozen=True, slots=True)
class PolicyKept:
    """What the log keeps of the policy that a change was made under."""

    policy_digest: str
    policy_file: str | None
    """None for the packaged policy."""
    may_roll_back: tuple[str, ...]

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.policy_file or 'packaged default'} sha256:{self.policy_digest[:16]}"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="record"):
    """The fields of every line. `append` sets `n`, which counts from 1, and `prev`, the digest of the line before."""

    n: Annotated[int, msgspec.Meta(ge=0)] = 0
    prev: Sha256 | None = None
    time: Moment


class Intent(Record, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="intent", rename={"from_": "from"}):
    """A promotion or rollback that is about to move the link; `adopt` begins a log anew with the link as it is."""

    actor: str
    host: str
    action: Action
    from_: ModelId | None
    to: ModelId
    digest: Sha256
    report_digest: Sha256 | None
    sealed_by: str | None = None
    waivers: tuple[str, ...] = ()
    policy_digest: Sha256 | msgspec.UnsetType = msgspec.UNSET  # logs of 0.1 hold none of these four
    policy_file: str | msgspec.UnsetType | None = msgspec.UNSET
    may_roll_back: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    way_back: Sha256 | msgspec.UnsetType | None = msgspec.UNSET  # the model that a rollback was rehearsed to
    evidence_digest: Sha256 | msgspec.UnsetType = msgspec.UNSET  # what it was decided on besides the report
    shared: Annotated[str, msgspec.Meta(pattern=HEAD)] | msgspec.UnsetType = msgspec.UNSET  # the bucket's record of it
    reason: str

    @property
    def policy(self) -> "PolicyKept | None":
        """The policy that it was made under; None if the record is of a version that kept none."""
        if self.policy_digest is msgspec.UNSET:
            return None
        names = self.may_roll_back if self.may_roll_back is not msgspec.UNSET else ()
        return PolicyKept(self.policy_digest, self.policy_file or None, names)


class Commit(Record, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="commit"):
    """The link was moved; `signature` covers the intent before it, and so every line that it is chained to."""

    signature: str | None = None


class Abort(Record, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="abort"):
    """The link was not moved, or was moved back."""


class Event(Record, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="event"):
    """Something worth auditing that moves no link; `signature` vouches for it and for all that it is chained to.

    `kind` is one of `KINDS`, or a word of a later version. `subject` is what it happened to, and `evidence` the digest
    of what shows it.
    """

    actor: str
    host: str
    kind: str
    subject: str
    evidence: Sha256 | None
    reason: str
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A record of a kind that only a later version knows: it keeps its place and is shown, and moves no link."""

    n: int
    prev: str | None
    time: datetime
    kind: str
    content: dict[str, Any]


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a record of any version holds."""

    record: str
    n: Annotated[int, msgspec.Meta(ge=1)]
    prev: Sha256 | None
    time: Moment


Written = Intent | Commit | Abort | Event
Line = Written | Unknown
_decoder = msgspec.json.Decoder(Written)
_KNOWN = ("intent", "commit", "abort", "event")


EMPTY = Head(0, None)
OTHER_WRITER = (
    "{}: another process wrote to it while this one held the lock, so its .lock was deleted or replaced; nothing more "
    "is written here; see: modelgates status"
)


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
        record = _known_or_unknown(line, place)
        written = canonical(plain(record))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{place}: {_seen(line)}not a record of the audit log ({first_line(error)})") from error
    except RecursionError as error:
        raise FormatError(f"{place}: {TOO_DEEP}") from error
    if written != line + b"\n":
        raise FormatError(f"{place}: {_seen(line)}not as it was written")
    return record


def _seen(line: bytes) -> str:
    """Say what people and disks leave in a log, in their words."""
    if not line.strip():
        return "a blank line, "
    if not line.strip(b"\0"):
        return "zeros, as a disk leaves them after a power cut, "
    return "a line end of two bytes (CR and LF), " if line.endswith(b"\r") else ""


def _known_or_unknown(line: bytes, place: str) -> Line:
    try:
        known: Written = _decoder.decode(line)
    except msgspec.ValidationError:
        found = msgspec.json.decode(line, type=_Place)
        if found.record in _KNOWN:
            raise
        content = parse_json(line, place)
        return Unknown(n=found.n, prev=found.prev, time=found.time, kind=found.record, content=content)
    return known


def plain(record: Line) -> Any:
    """What a record is in the log, to be encoded as JSON."""
    return record.content if isinstance(record, Unknown) else record


def lines(log: Path | Log, *, skip: int = 0) -> Generator[tuple[Line, str], None, None]:
    """Read records with their digests, the newest first, as they are asked for; a torn last line does not count.

    Parameters
    ----------
    log : Path or Log
    skip : int, default 0
        Read as if this many lines at the end were not there.

    Raises
    ------
    FormatError
        At the first line that is not a record, or not the one that the line after it was chained to.
    """
    after: Line | None = None
    log = log_of(log)
    with closing(log.from_end()) as found:
        for back, line in enumerate(found):
            if back < skip:
                continue
            try:
                record, digest = decoded(line, "line"), sha256(line)
            except FormatError as error:
                # Counting reads the whole log, so it is done only for the message.
                number, what = log.count() - back, str(error).removeprefix("line: ")
                raise FormatError(f"{log}, line {number}: {what}; see: modelgates recover") from error
            if after is not None and (record.n, digest) != (after.n - 1, after.prev):
                raise FormatError(f"{log}: the chain breaks before record {after.n}; see: modelgates recover")
            yield record, digest
            after = record
    if after is not None and (after.n, after.prev) != (1, None):
        raise FormatError(
            f"{log}: begins with record {after.n}, so the lines before it are lost; see: modelgates recover"
        )


def committed(log: Path | Log, to: str | None = None) -> Generator[Intent, None, None]:
    """Read changes that took place, the newest first, past whatever else is wrong with the log.

    Each is believed by itself: a whole record, followed by the commit that is chained to it. Damage before, between and
    behind them ends nothing.

    Parameters
    ----------
    log : Path or Log
    to : str, optional
        Only those that made this model live.
    """
    after, wanted = b"", f'"to":"{to}"'.encode() if to else b'"record":"intent"'
    # What lies before a line that never ends is lost.
    with suppress(FormatError), closing(log_of(log).from_end()) as found:
        for line in map(_plain_end, found):
            # Decoding takes a hundred times as long as this, and a log may hold millions of lines.
            if wanted in line and sha256(line).encode() in after:
                with suppress(FormatError):
                    change, outcome = decoded(line, "change"), decoded(after, "outcome")
                    if isinstance(change, Intent) and isinstance(outcome, Commit) and to in (None, change.to):
                        yield change
            after = line


def _plain_end(line: bytes) -> bytes:
    return line.removesuffix(b"\r")  # an editor may have changed the ends of all lines


@dataclass(frozen=True, slots=True)
class Stray:
    """Lines at the end of a log that are not records: how many, from which number on, their size, and what they are."""

    lines: int
    first: int
    size: int
    what: str

    def in_words(self, path: Path, digest: str) -> str:
        """Say where they go."""
        return (
            f"move the {self.size} bytes at the end of {path.name}, from line {self.first} on ({self.what}), to "
            f"{path.name}.stray-{digest[:16]}"
        )


def stray_end(log: Path | Log) -> Stray | None:
    """Find what follows the last record; None if nothing does, or if no line is a record."""
    log, count, size, what = log_of(log), 0, 0, ""
    with closing(log.from_end()) as found:
        for line in found:
            try:
                decoded(line, "line")
            except FormatError as error:
                what = str(error).removeprefix("line: ")
            else:
                return Stray(count, log.count() - count + 1, size, what) if count else None
            count, size = count + 1, size + len(line) + 1
    return None


def tail(log: Path | Log, *, skip: int = 0) -> Tail:
    """Read the end of the log, back to the last change that took place; `skip` as for `lines`."""
    end: Head | None = None
    opened: Intent | None = None
    outcome: Line | None = None
    with closing(lines(log, skip=skip)) as found:
        for record, digest in found:
            end = end or Head(record.n, digest)
            if isinstance(record, Event | Unknown):
                continue
            if outcome is None:
                opened = record if isinstance(record, Intent) else None
            if isinstance(record, Intent) and isinstance(outcome, Commit):
                return Tail(end, opened, record)
            outcome = record
    return Tail(end or EMPTY, opened, None)


def changes(log: Path | Log) -> Generator[Intent, None, None]:
    """Read promotions and rollbacks that took place, the newest first, as they are asked for."""
    with closing(happened(log)) as found:
        yield from (record for record in found if isinstance(record, Intent))


def happened(log: Path | Log) -> Generator[Intent | Event | Unknown, None, None]:
    """Read what took place, the newest first, as it is asked for; a change stands where it began."""
    with closing(lines(log)) as found:
        yield from (record for record, _ in took_place(found))


def took_place(records: Iterable[tuple[Line, str]]) -> Iterator[tuple[Intent | Event | Unknown, str]]:
    """Leave of records, the newest first, and their digests those of what took place, as `happened` does."""
    outcome: Line | None = None
    for record, digest in records:
        if isinstance(record, Event | Unknown):
            yield record, digest
            continue
        if isinstance(record, Intent) and isinstance(outcome, Commit):
            yield record, digest
        outcome = record


def adoption(log: Path | Log) -> Event | None:
    """Find the record by which a log was begun anew from the link; None if it began otherwise."""
    with suppress(FormatError):
        line = first(log_of(log).from_start())
        record = decoded(line, "line 1") if line else None
        if isinstance(record, Event) and record.kind == ADOPTED:
            return record
    return None


def chained(*records: Written) -> bytes:
    """Give the lines of a log that holds these records alone."""
    lines, prev = b"", None
    for number, record in enumerate(records, start=1):
        line = canonical(msgspec.structs.replace(record, n=number, prev=prev))
        lines, prev = lines + line, sha256(line[:-1])
    return lines


def read_log(log: Path | Log) -> list[Intent]:
    """Read every promotion and rollback that took place, oldest first."""
    return list(changes(log))[::-1]


def read_history(log: Path | Log) -> list[Intent | Event | Unknown]:
    """Read everything that took place, oldest first: changes, events, and what only a later version knows."""
    return list(happened(log))[::-1]


def live_at(log: Path | Log, moment: datetime) -> Intent | None:
    """Find the change that had made its model live at a moment."""
    with closing(changes(log)) as found:
        return next((change for change in found if change.time <= moment), None)


def append(log: Path | Log, record: Record, *, mode: int = 0o644, after: Head | None = None) -> Head:
    """Append a record as the next link of the chain, durably; if that fails, the log is unchanged.

    Parameters
    ----------
    log : Path or Log
    record : Record
        Such as an intent.
    mode : int
        Permissions of a new log.
    after : Head, optional
        Where the log must end: the outcome of a change belongs behind its own intent.

    Returns
    -------
    Head
        The new end of the log.

    Raises
    ------
    RegistryError
        If the record is too long to be read again, or another process has written although this one has the lock.
    """
    log = log_of(log)
    before, digest = first(lines(log)) or (None, None)
    end = Head(before.n, digest) if before else EMPTY
    if (after and end != after) or (isinstance(record, Intent | Event) and isinstance(before, Intent)):
        raise RegistryError(OTHER_WRITER.format(log))
    record = msgspec.structs.replace(record, n=before.n + 1 if before else 1, prev=digest)
    content = canonical(record)
    if len(content) > LONGEST:
        raise RegistryError(f"a record of {len(content)} bytes, expected at most {LONGEST}: give a shorter reason")
    log.append(content, mode=mode)
    return Head(record.n, sha256(content[:-1]))


def signed_content(record: Commit | Event) -> bytes:
    """Give the bytes that the signature of a record in its place covers, and so all that it is chained to.

    A commit says nothing that the intent before it does not. An event says more, so it is signed as it stands, without
    its signature.
    """
    if isinstance(record, Commit):
        return f"modelgates commit {Head(record.n - 1, record.prev)}".encode()
    unsigned = canonical(msgspec.structs.replace(record, signature=None))[:-1]
    return f"modelgates event {Head(record.n, sha256(unsigned))}".encode()
