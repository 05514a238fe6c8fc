"""The whole audit log, read from its beginning: what is wrong with it, and how far that is known already."""

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from ..artifacts import Artifacts
from ..errors import FormatError
from ..storage.digests import Sha256, sha256
from ..storage.disk import Log, log_of
from ..storage.strict_json import Moment, canonical, read_json
from .chain import EMPTY, Abort, Commit, Event, Intent, Line, Unknown, adoption, decoded
from .head import Head

CLOCKS_DIFFER = (
    "record {n} is of {time:%Y-%m-%d %H:%M:%S} UTC, {back} before the record before it: a clock was set back, or two "
    "machines' clocks differ; log --at may be wrong around it"
)
TOLERANCE = timedelta(minutes=5)  # of clocks that are set well
MOST_NOTES, MOST_PROBLEMS = 8, 100
WORTH_BYTES = 2**16  # a shorter log is read in milliseconds


class Verified(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far a log was verified, and what is needed to go on from there.

    The log's beginning is the same if its bytes have this digest. They need not be read while the file is the one that
    was verified and nobody has changed it since: no call of a user sets back its `changed` time.
    """

    size: int
    sha256: Sha256
    n: int
    digest: Sha256
    open: bool
    time: Moment
    notes: tuple[str, ...]
    inode: int
    changed: int

    def is_of(self, entry: os.stat_result) -> bool:
        """Whether nobody has changed the file since."""
        return (self.size, self.inode, self.changed) == (entry.st_size, entry.st_ino, entry.st_ctime_ns)


@dataclass(slots=True)
class Chain:
    """What reading a whole log found."""

    end: Head = EMPTY
    signed: list[Commit | Event] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    held: set[Head] = field(default_factory=set)
    """Of the heads that were asked for, those that the log still has."""
    notes: list[str] = field(default_factory=list)
    """What is odd and breaks no chain."""
    stray: int | None = None
    """If the log ends in lines that are not records: how many of the problems are older than those."""
    verified: Verified | None = None
    """Of a log that is sound."""
    _size: int = 0
    _open: bool = False
    _previous: Line | None = None
    _time: datetime | None = None

    @property
    def older_problems(self) -> list[str]:
        """The problems that remain once the lines at the end that are not records are set aside."""
        return self.problems[: self.stray]

    def _go_on_from(self, known: Verified) -> None:
        self.end, self.notes = Head(known.n, known.digest), list(known.notes)
        self._size, self._open, self._time = known.size, known.open, known.time

    def _take(self, line: bytes) -> None:
        """Compare the next line with what is before it."""
        number, before = self.end.n + 1, self.end.digest
        self.end = Head(number, sha256(line))
        self._size += len(line) + 1
        try:
            record = decoded(line, f"line {number}")
        except FormatError as error:
            self.stray = len(self.problems) if self.stray is None else self.stray
            self._say(str(error))
            return
        self.stray = None
        if (record.n, record.prev) != (number, before):
            self._say(f"line {number}: record {record.n} does not follow on the line before it")
        elif isinstance(record, Commit | Abort) != self._open:
            # Nothing comes between an intent and its outcome, and no outcome without an intent.
            last = _tag(self._previous) if self._previous else "intent" if self._open else "nothing"
            self._say(f"line {number}: {_tag(record)} after {last}")
        if isinstance(record, Commit | Event) and record.signature:
            self.signed.append(record)
        if not isinstance(record, Event | Unknown):
            self._open = isinstance(record, Intent)
        if self._time and record.time < self._time - TOLERANCE and len(self.notes) < MOST_NOTES:
            back = timedelta(seconds=round((self._time - record.time).total_seconds()))
            self.notes.append(CLOCKS_DIFFER.format(n=record.n, time=record.time, back=back))
        self._previous, self._time = record, record.time

    def _say(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def read_chain(log: Path | Log, *, heads: Collection[Head] = (), known: Verified | None = None) -> Chain:
    """Read the whole log, a line at a time, and compare every line with the one before it.

    A cut tail and a chain that was written anew do not show here: compare the digests with a head that was kept
    elsewhere. What a crash left after the last newline does not count as a line.

    Parameters
    ----------
    log : Path or Log
    heads : collection of Head
        Heads that were kept elsewhere, to be looked for.
    known : Verified, optional
        How far the log was verified before. If it still begins so, only the rest is decoded, and the signatures of its
        beginning are not listed.
    """
    log = log_of(log)
    entry = log.entry()
    if known and entry and known.is_of(entry) and not heads:
        found = Chain(verified=known)
        found._go_on_from(known)
        return found
    return (known and _read(log, entry, heads, known)) or _read(log, entry, heads, None) or Chain()


def _read(log: Log, entry: os.stat_result | None, heads: Collection[Head], known: Verified | None) -> Chain | None:
    """Read the log; None if it does not begin as it is known to."""
    found, digest = Chain(), hashlib.sha256()
    size, numbers = 0, {head.n for head in heads}
    for number, line in enumerate(log.from_start(), start=1):
        digest.update(line)
        digest.update(b"\n")
        size += len(line) + 1
        if number in numbers and (head := Head(number, sha256(line))) in heads:
            found.held.add(head)
        if known is None or size > known.size:
            found._take(line)
        elif size == known.size:
            if digest.hexdigest() != known.sha256:
                return None
            found._go_on_from(known)
    if known and size < known.size:
        return None
    time, last = found._time, found.end.digest
    if entry and time and last and not found.problems and size == entry.st_size:
        found.verified = Verified(
            size=size,
            sha256=digest.hexdigest(),
            n=found.end.n,
            digest=last,
            open=found._open,
            time=time,
            notes=tuple(found.notes),
            inode=entry.st_ino,
            changed=entry.st_ctime_ns,
        )
    return found


def _tag(record: Line) -> str:
    return repr(record.kind) if isinstance(record, Unknown) else type(record).__name__.lower()


def remembered(artifacts: Artifacts) -> Verified | None:
    """Read how far the log was verified; None if that is not known."""
    try:
        return read_json(artifacts.verified, Verified)
    except (FormatError, OSError):  # it is only there to save time
        return None


def remember(artifacts: Artifacts, found: Chain) -> None:
    """Keep how far the log was verified, if that is news, worth it for its length, and possible."""
    if found.verified and found.verified.size > WORTH_BYTES and found.verified != remembered(artifacts):
        with suppress(OSError):
            artifacts.write(artifacts.verified, canonical(found.verified))


def logs(artifacts: Artifacts) -> Iterator[Log]:
    """List the audit log and those that it replaced when a link was adopted, if they are what they were then."""
    log: Log | None = artifacts.log
    while log:
        yield log
        first, log = adoption(log), None
        if first and first.evidence and artifacts.disk.is_file(path := set_aside(artifacts, first.evidence)):
            before = artifacts.disk.log(path)
            log = before if before.sha256() == first.evidence else None


def set_aside(artifacts: Artifacts, digest: str) -> Path:
    """Where an audit log with this digest lies once another was begun."""
    return artifacts.promotions.with_name(f"{artifacts.promotions.name}.{digest[:16]}")
