"""Parts of the prediction log. Each has one writer; closed, it ends in a line with its count and checksum for good."""

import fcntl
import hashlib
import itertools
import math
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType

import msgspec

from ..artifacts import ALL_ARMS, Artifacts
from ..audit.writer import LockRules, lock
from ..errors import FormatError
from ..storage.atomic import close_quietly, make_folder, naming, rename_new, sync_folder
from ..storage.digests import Sha256, sha256_of
from ..storage.lines import LONGEST, append_atomic, count_lines, drop_torn_line, first, lines_from_end
from ..storage.paths import is_file, is_folder, is_link, is_there
from .records import NOT_A_RECORD, Arm, Prediction, checked_arm, is_arm

JSON_LINES, PARQUET = ".jsonl", ".parquet"
_DAY = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_ODD = re.compile(r"[^A-Za-z0-9.]")
_PROBED = 2**16  # bytes, as many as some hundred records take


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of a closed part: how many lines are before it, and the digest of their bytes."""

    closed: int
    sha256: Sha256


closing_of = msgspec.json.Decoder(Closing).decode


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A file of the prediction log: the day it was begun on, when its first record was scored, and its name."""

    day: date
    begun: datetime
    name: str
    path: Path = field(compare=False)


def parts(artifacts: Artifacts, arm: Arm, *, since: date | None = None) -> list[Part]:
    """List the parts of an arm, oldest first; those begun before the day `since` are left out."""
    plain = artifacts.newest_parts.get(arm)
    found = [Part(day, _begun(path), path.stem, path) for day, path in _files(artifacts, arm, since)]
    if plain and _is_part(plain):  # a log of version 0.1 that nobody has written to since
        found.append(Part(date.min, datetime.min.replace(tzinfo=UTC), plain.name, plain))
    return sorted(found)


def arms(artifacts: Artifacts) -> list[Arm]:
    """List the arms that have records, in the order of their names; a folder that no arm can be called is left out."""
    names = os.listdir(artifacts.predictions) if is_folder(artifacts.predictions) else []
    named = [name for name in names if is_arm(name)]
    plain = [arm for arm, path in artifacts.newest_parts.items() if _is_part(path)]
    return sorted({*plain, *(arm for arm in named if next(_files(artifacts, arm), None))})


def _files(artifacts: Artifacts, arm: Arm, since: date | None = None) -> Iterator[tuple[date, Path]]:
    """List the files that are parts, with the day of their folder."""
    folder = artifacts.predictions / checked_arm(arm)
    for day in sorted(os.listdir(folder)) if is_folder(folder) else ():
        if not _DAY.match(day) or (since and day < since.isoformat()):
            continue
        names = [Path(name) for name in os.listdir(folder / day)]
        # While a part is turned into Parquet it lies there twice; the one that is whole is read.
        packed = {name.stem for name in names if name.suffix == PARQUET}
        for name in names:
            wanted = name.suffix == PARQUET or (name.suffix == JSON_LINES and name.stem not in packed)
            # A link or a pipe in place of a part is listed too, and what reads it says that the log is not whole.
            if wanted and is_there(folder / day / name):
                yield date.fromisoformat(day), folder / day / name


def _is_part(path: Path) -> bool:
    return is_file(path) and not is_link(path)


def _begun(path: Path) -> datetime:
    """When the first record of a part was scored, so that parts of several writers come in the order of time.

    `compact` gives it to a part in Parquet as the time of its last change.
    """
    with suppress(*NOT_A_RECORD, OSError):
        if path.suffix == JSON_LINES and is_file(path):
            with path.open("rb") as file:
                return msgspec.json.decode(file.readline(LONGEST), type=Prediction).time
    with suppress(OSError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.max.replace(tzinfo=UTC)


class PartWriter:
    """Writes the records of one arm: between two of them it takes no lock, opens no file and asks the disk nothing.

    A part is closed when it is full, when the UTC date changes, and by `close`. What was written survives the end of
    the process, however it ends; a power cut may take what the disk had not kept, and closed parts are kept.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    rules : LockRules
        How the registry's lock is taken, under which a log of version 0.1 becomes a part.
    part_bytes : float, optional
        Where another part is begun [bytes]. What readers hold in memory is in proportion to it.
    """

    def __init__(self, artifacts: Artifacts, arm: Arm, rules: LockRules, *, part_bytes: float = math.inf) -> None:
        if arm == ALL_ARMS:
            raise FormatError(f"{arm!r} is every arm, and none can be called so; give a name such as live or shadow")
        self.arm = checked_arm(arm)
        self._artifacts, self._rules, self._limit = artifacts, rules, part_bytes
        self._encode = msgspec.json.Encoder().encode_lines
        self._file: int | None = None
        self._day = date.min
        self._size = self._count = 0
        self._digest = hashlib.sha256()
        self._newest, self._rows = b"", 0  # what can be taken back, which the digest is still without; its records
        self._prefix = f"{_ODD.sub('_', os.uname().nodename) or 'host'}-{os.getpid()}"

    @property
    def place(self) -> Path:
        """The link to the newest part, or the folder of an arm that has none."""
        return self._artifacts.newest_parts.get(self.arm, self._artifacts.predictions / self.arm)

    def write(self, records: Sequence[Prediction]) -> None:
        """Append records, in order.

        Raises
        ------
        OSError
            If the disk takes only a part of them; then none of them is in the log.
        """
        if not records:
            return
        content, day = self._encode(records), records[0].time.date()
        if self._file is None or day != self._day or self._size + len(content) > self._limit:
            self.close()
            self._begin(day)
        self._append(content)
        self._digest.update(self._newest)
        self._newest, self._rows = content, len(records)
        self._count += self._rows

    def look(self) -> None:
        """Let a part go that somebody deleted, for what is written into it is lost; the next record begins another."""
        if self._file is not None and not os.fstat(self._file).st_nlink:
            file, self._file = self._file, None
            close_quietly(file)

    def probe(self) -> None:
        """Write a little beside the log, where nobody sees it; raises OSError as `write` would on a full disk."""
        folder = self._artifacts.predictions
        make_folder(folder, mode=self._artifacts.directory_mode)
        with naming(folder), tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBED))

    def take_back(self) -> None:
        """Take back what `write` appended just now, as if it had not been called; once, and before the part is closed.

        Raises
        ------
        OSError
            If it cannot be taken back; then it is still in the log.
        """
        assert self._file is not None, "the part was closed since"
        os.ftruncate(self._file, self._size - len(self._newest))
        self._size, self._count = self._size - len(self._newest), self._count - self._rows
        self._newest, self._rows = b"", 0

    def close(self) -> None:
        """Close the part that is open, durably; the next record begins another."""
        if self._file is None:
            return
        try:
            self._digest.update(self._newest)
            closing = Closing(closed=self._count, sha256=self._digest.hexdigest())
            self._append(msgspec.json.encode(closing) + b"\n")
            os.fsync(self._file)
        finally:
            file, self._file = self._file, None
            close_quietly(file)

    def __enter__(self) -> "PartWriter":
        """Give the writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def _append(self, content: bytes) -> None:
        assert self._file is not None
        try:
            done = os.write(self._file, content)
            while done < len(content):  # a disk that is nearly full
                done += os.write(self._file, content[done:])
        except BaseException:
            os.ftruncate(self._file, self._size)  # nobody else writes here
            with naming(self.place):  # here, since it costs nothing where all goes well
                raise
        self._size += len(content)

    def _begin(self, day: date) -> None:
        adopt_plain_log(self._artifacts, self.arm, self._rules)
        folder = self._artifacts.predictions / self.arm / day.isoformat()
        make_folder(folder, mode=self._artifacts.directory_mode)
        for number in itertools.count():
            path = folder / f"{self._prefix}-{number}{JSON_LINES}"
            with suppress(FileExistsError):
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
                break
        assert self._file is not None
        os.fchmod(self._file, self._artifacts.file_mode)
        fcntl.flock(self._file, fcntl.LOCK_EX)  # held until the end, so that others can tell a dead writer
        self._day, self._size, self._count, self._digest = day, 0, 0, hashlib.sha256()
        self._newest, self._rows = b"", 0
        sync_folder(folder)
        if link := self._artifacts.newest_parts.get(self.arm):
            _point(link, path, mode=self._artifacts.directory_mode)


def _point(link: Path, path: Path, *, mode: int) -> None:
    make_folder(link.parent, mode=mode)
    staged = link.with_name(f".{link.name}.{secrets.token_hex(8)}")
    staged.symlink_to(os.path.relpath(path, link.parent))
    try:
        staged.replace(link)
    except OSError:
        staged.unlink()
        raise


def adopt_plain_log(artifacts: Artifacts, arm: Arm, rules: LockRules) -> None:
    """Make a log that version 0.1 kept in one file a closed part, under the registry's lock."""
    plain = artifacts.newest_parts.get(arm)
    if plain is None or not is_file(plain) or is_link(plain):
        return
    with lock(artifacts, rules):
        if not is_file(plain) or is_link(plain):  # another writer did it
            return
        close_part(plain, mode=artifacts.file_mode)
        folder = artifacts.predictions / arm / f"{_last_day(plain):%Y-%m-%d}"
        make_folder(folder, mode=artifacts.directory_mode)
        for number in itertools.count():
            with suppress(FileExistsError):
                rename_new(plain, folder / f"plain-0-{number}{JSON_LINES}")
                break
        sync_folder(folder)
        sync_folder(plain.parent)


def close_part(path: Path, *, mode: int) -> None:
    """Close a part that its writer left open: cut off what follows the last line, and add the line that closes it."""
    drop_torn_line(path)
    last = first(lines_from_end(path))
    if last is not None and is_closing(last):
        return
    closing = Closing(closed=count_lines(path), sha256=sha256_of(path))
    append_atomic(path, msgspec.json.encode(closing) + b"\n", durable=True, mode=mode)


def is_closing(line: bytes) -> bool:
    """Whether a line is one that closes a part."""
    try:
        closing_of(line)
    except NOT_A_RECORD:
        return False
    return True


def _last_day(path: Path) -> date:
    """The day of the newest record in a log; that of its last change if there is none."""
    for line in lines_from_end(path):
        with suppress(*NOT_A_RECORD):
            return msgspec.json.decode(line, type=Prediction).time.astimezone(UTC).date()
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
