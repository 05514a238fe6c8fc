"""Which adapters run: each leaves a file below the artifacts root, locked for as long as it runs."""

import fcntl
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import msgspec

from ..artifacts import Artifacts
from ..audit.actor import host as this_host
from ..errors import FormatError
from ..predictions.records import Arm
from ..storage.atomic import close_quietly, make_folder
from ..storage.paths import is_folder
from ..storage.strict_json import Moment, parse_json, read_bytes, readable, typed
from ..storage.text import shown

_SUFFIX, _LONGEST = ".json", 2**16
_RENEW_S = 5.0
_STALE_S = 30.0  # one of another machine that did not renew its file for so long counts as over
_FORGOTTEN_S = 86_400.0
_ODD = re.compile(r"[^A-Za-z0-9.]")
_EVERY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # of one that listens wherever it can be reached


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter that runs: on which machine, as which process and arm, where it listens, and since when.

    `address` and `port` are None of one that answers nobody: a run over a file, a pipe or a feed.
    """

    host: str
    pid: int
    arm: Arm
    address: str | None = None
    port: int | None = None
    started: Moment

    @property
    def reached(self) -> str:
        """The address by which this machine reaches it, if it answers."""
        address = self.address or ""
        if address in _EVERY and self.host != this_host():
            return self.host
        return _EVERY.get(address, address)

    def __str__(self) -> str:
        """Name it for people."""
        where = "a run over rows" if self.address is None else shown(self.address, self.port)
        return f"process {self.pid} on {self.host} ({self.arm}, {where})"


class Announced:
    """Says that an adapter runs, until the block ends. A file that cannot be written keeps none from running.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    address, port : optional
        Where it listens, if it does.
    """

    def __init__(self, artifacts: Artifacts, arm: Arm, address: str | None = None, port: int | None = None) -> None:
        self._artifacts = artifacts
        self._replica = Replica(
            host=this_host(), pid=os.getpid(), arm=arm, address=address, port=port, started=datetime.now(UTC)
        )
        self._name = f"{_ODD.sub('_', this_host())}-{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._file: int | None = None
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="announced", daemon=True)

    def __enter__(self) -> "Announced":
        """Write the file. It has its name only once it is locked, so that nobody takes it for one left over."""
        path = self._artifacts.running / self._name
        staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            make_folder(path.parent, mode=self._artifacts.directory_mode)
            self._file = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._artifacts.file_mode)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            os.write(self._file, readable(self._replica))
            staged.rename(path)
            self._renewing.start()
        except OSError as error:
            self._drop(staged)
            print(f"modelgates: warning: {path}: {error.strerror}; no drill finds this process", file=sys.stderr)
        return self

    def _renew(self) -> None:
        """Say that it still runs, also while it has nothing to do: locks may not reach another machine."""
        assert self._file is not None
        while not self._over.wait(_RENEW_S):
            with suppress(OSError):
                os.utime(self._file)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take the file away."""
        self._over.set()
        if self._renewing.is_alive():
            self._renewing.join()
        self._drop(self._artifacts.running / self._name)

    def _drop(self, path: Path) -> None:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if self._file is not None:
            close_quietly(self._file)
            self._file = None


def running(artifacts: Artifacts) -> list[Replica]:
    """List the adapters that run, by machine and process; files that others have left over are removed."""
    return sorted(_running(artifacts), key=lambda replica: (replica.host, replica.pid, replica.port or 0))


def _running(artifacts: Artifacts) -> Iterator[Replica]:
    folder = artifacts.running
    for name in sorted(os.listdir(folder)) if is_folder(folder) else ():
        path = folder / name
        if path.suffix != _SUFFIX or name.startswith("."):
            continue
        try:
            replica = typed(parse_json(read_bytes(path, limit=_LONGEST), str(path)), Replica, str(path))
            if _runs(path, replica):
                yield replica
            elif replica.host == this_host() or path.stat().st_mtime < time.time() - _FORGOTTEN_S:
                path.unlink(missing_ok=True)  # one of another machine may only be slow
        except (FormatError, OSError):  # it went meanwhile, or somebody put something else there
            continue


def _runs(path: Path, replica: Replica) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        # Locks of another machine may not reach this one.
        renewed = os.fstat(descriptor).st_mtime
        return replica.host != this_host() and renewed > time.time() - _STALE_S
    finally:
        close_quietly(descriptor)
