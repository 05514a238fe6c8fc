"""The kill switch on disk: while a kill file lies below the artifacts root, nothing is predicted for its arm.

The file comes first, so that a log which cannot be written keeps nobody from stopping. The next holder of the
registry's lock adds the event that the log lacks.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from ..artifacts import ALL_ARMS, Artifacts
from ..errors import FormatError, RefusedError, RegistryError
from ..storage.atomic import FILE_MODE, rename_new, sync_folder
from ..storage.digests import sha256
from ..storage.disk import Log
from ..storage.paths import is_file, is_link, is_there
from ..storage.strict_json import Moment, parse_json, read_bytes, readable, typed
from ..storage.text import printable
from .actor import LONGEST_ACTOR, LONGEST_REASON, host, one_line_reason, printable_actor
from .chain import Event, append, lines
from .events import event_of
from .kinds import KILL, TRIP, UNKILL

_LONGEST = 2**16
_CLOCKS = timedelta(hours=1)  # by which those of two machines may differ


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """What a kill file says: who stopped an arm, when and why."""

    time: Moment
    actor: str
    host: str
    reason: str
    kind: Literal["kill", "trip"]


@dataclass(frozen=True, slots=True)
class Killed:
    """An arm that is stopped, and what its kill file says; `digest` is that of the file, if it is one."""

    arm: str
    path: Path
    kill: Kill
    digest: str | None

    @property
    def way_on(self) -> str:
        """The command that lets the arm go on."""
        return f'modelgates unkill{"" if self.arm == ALL_ARMS else f" --arm {self.arm}"} --reason "…"'

    def __str__(self) -> str:
        """Say it on one line."""
        what = "was tripped" if self.kill.kind == TRIP else "was killed"
        who = f"{printable(self.kill.actor)} on {printable(self.kill.host)}"
        when, why = f"{self.kill.time:%Y-%m-%d %H:%M:%S} UTC", printable(self.kill.reason)
        return f"{'every arm' if self.arm == ALL_ARMS else f'arm {self.arm}'} {what} by {who} at {when}: {why}"


def kill(artifacts: Artifacts, arm: str, reason: str, kind: Literal["kill", "trip"]) -> Killed:
    """Stop an arm, or all; one that is stopped already keeps its file. The log is not touched.

    On a disk that is full the file may be empty, which stops as well as any.

    Raises
    ------
    RefusedError
        If no reason is given.
    OSError
        If no file can be made.
    """
    path = artifacts.kill(arm)
    _write(artifacts, path, one_line_reason(reason, "kill"), kind)
    return read_kill(arm, path)


@contextmanager
def drilling(artifacts: Artifacts, reason: str) -> Iterator[Killed]:
    """Stop every arm while the body runs, however it ends. The caller holds the lock, so that no event is written.

    The file has a name of its own, so that who really stops an arm meanwhile finds none that is about to go. If this
    process is ended by force, the file stays, and the next writer of the log adds its event.

    Raises
    ------
    RegistryError
        If the file cannot be removed, or is another one by then: what it stops is still stopped.
    """
    path, why, ours = artifacts.kill_of_drill, one_line_reason(reason, "drill"), None
    try:  # also what ends this process while it writes must leave nothing behind
        _write(artifacts, path, why, KILL)
        ours = read_kill(ALL_ARMS, path)
        yield ours
    finally:
        try:
            if ours and read_kill(ALL_ARMS, path).digest != ours.digest:
                raise OSError("somebody else wrote it meanwhile")
            path.unlink(missing_ok=ours is None)
        except OSError as error:
            raise RegistryError(
                f"{path}: cannot be removed ({error.strerror or error}), so every arm is still stopped; to go on: "
                'modelgates unkill --reason "…"'
            ) from error
        sync_folder(path.parent)


def _write(artifacts: Artifacts, path: Path, why: str, kind: Literal["kill", "trip"]) -> None:
    record = Kill(time=datetime.now(UTC), actor=printable_actor(), host=host(), reason=why, kind=kind)
    if not is_there(path):
        # Of killers at once the first one's file stays: one that took its place might be removed by an unkill of it.
        staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            artifacts.write(staged, readable(record))
            rename_new(staged, path)
            sync_folder(path.parent)
        except OSError:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
            with suppress(OSError):
                staged.unlink(missing_ok=True)


def killed(artifacts: Artifacts) -> list[Killed]:
    """List every arm that is stopped; `all` comes first."""
    return [read_kill(arm, path) for arm, path in artifacts.killed()]


def read_kill(arm: str, path: Path) -> Killed:
    """Read a kill file; of one that was made by hand, its owner and its time are what is known."""
    try:
        content = read_bytes(path, limit=_LONGEST)
    except (FormatError, OSError):
        return Killed(arm, path, _made_by_hand(path), None)
    try:
        record = typed(parse_json(content, str(path)), Kill, str(path))
    except FormatError:
        record = _made_by_hand(path)
    return Killed(arm, path, record, sha256(content))


def _made_by_hand(path: Path) -> Kill:
    owner, time = "somebody", datetime.now(UTC)
    with suppress(OSError):
        found = path.lstat()
        owner, time = f"uid {found.st_uid}", datetime.fromtimestamp(found.st_mtime, UTC)
    return Kill(time=time, actor=owner, host=host(), reason=f"{path} lies there, made by hand", kind=KILL)


def log_kills(artifacts: Artifacts) -> None:
    """Add the events that the audit log lacks of the kill files that lie there. The caller holds the lock."""
    for each in killed(artifacts):
        if each.digest is None or _is_logged(artifacts.log, each):
            continue
        said = each.kill
        # Whatever somebody wrote into the file, it must bar nobody from writing the log.
        event = Event(
            time=said.time,
            actor=printable(said.actor)[:LONGEST_ACTOR],
            host=printable(said.host)[:LONGEST_ACTOR],
            kind=said.kind,
            subject=each.arm,
            evidence=each.digest,
            reason=printable(" ".join(said.reason.split()))[:LONGEST_REASON] or "no reason given",
        )
        append(artifacts.log, event, mode=artifacts.file_mode)


def _is_logged(log: Log, each: Killed) -> bool:
    """Whether the event is in the log; it cannot be older than the kill file, unless that is of the future."""
    now = datetime.now(UTC)
    with closing(lines(log)) as found:
        for record, _ in found:
            if isinstance(record, Event) and record.subject == each.arm and record.evidence == each.digest:
                return record.kind != UNKILL  # the same bytes, put back from a copy, stop anew
            if record.time < each.kill.time - _CLOCKS <= now:
                break
    return False


def unkill(artifacts: Artifacts, arm: str, reason: str) -> None:
    """Let an arm go on: the event first, and then the file goes. The caller holds the lock.

    Raises
    ------
    RefusedError
        If no reason is given, or the arm has no kill file of its own.
    RegistryError
        If what lies there is no file.
    """
    paths = [path for named, path in artifacts.killed() if named == arm]
    if not paths:
        stopped = ", ".join(each.arm for each in killed(artifacts)) or "none"
        raise RefusedError(f"{arm} is not killed; killed: {stopped}")
    if odd := [path for path in paths if is_link(path) or not is_file(path)]:
        raise RegistryError(f"{odd[0]}: not a file, though it stops {arm}; remove it by hand")
    for path in paths:
        append(
            artifacts.log,
            event_of(UNKILL, arm, reason, read_kill(arm, path).digest),
            mode=artifacts.file_mode,
        )
        path.unlink()
        sync_folder(path.parent)
