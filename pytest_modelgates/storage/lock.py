"""The registry's lock: one writer at a time, which the others can name. Readers take no lock."""

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..errors import RegistryError
from .atomic import close_quietly
from .paths import is_there
from .text import printable

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "lustre", "glusterfs", "fuse.glusterfs")
MOUNTS = Path("/proc/self/mountinfo")
PAUSE_S = 0.02


@contextmanager
def locked_file(path: Path, *, timeout_s: float, mode: int = 0o644) -> Iterator[None]:
    """Lock a file, which is never deleted: otherwise two processes could hold locks on two files of one name.

    Parameters
    ----------
    path : Path
        Made if it is not there; a symlink in its place is not followed.
    timeout_s : float
        How long to wait for the process that holds it [s].
    mode : int
        Permissions of a new file, whatever the umask.

    Raises
    ------
    RegistryError
        If the lock does not come free in time, which names the process that holds it, or something else lies there.
    """
    until = time.monotonic() + timeout_s
    descriptor = _opened(path, mode)
    try:
        _take(descriptor, path, timeout_s, until)
        while not _is_named(descriptor, path):  # somebody deleted the file while we waited for it
            close_quietly(descriptor)
            descriptor = _opened(path, mode)
            _take(descriptor, path, timeout_s, until)
        name = printable(os.uname().nodename)
        holder = f"process {os.getpid()} on {name}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        with suppress(OSError):  # only a hint for those who wait; the lock works without it
            if not os.fstat(descriptor).st_size:
                os.fchmod(descriptor, mode)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder.encode(), 0)
        try:
            yield
        finally:
            with suppress(OSError):  # what holds it next need not be a modelgates, which writes who it is
                os.pwrite(descriptor, b"\n", 0)
                os.ftruncate(descriptor, 1)
    finally:
        close_quietly(descriptor)


@contextmanager
def quiet_file(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Keep writers out without writing: a reader waits for the one that holds the lock, and needs no file to be made.

    Raises
    ------
    RegistryError
        As for `locked_file`.
    """
    if not is_there(path):  # nobody ever changed anything here
        yield
        return
    descriptor = _opened(path, 0, os.O_RDONLY)
    try:
        _take(descriptor, path, timeout_s, time.monotonic() + timeout_s, fcntl.LOCK_SH)
        yield
    finally:
        close_quietly(descriptor)


def _opened(path: Path, mode: int, access: int = os.O_RDWR | os.O_CREAT) -> int:
    try:
        # Without O_NONBLOCK, a pipe that lies there would be waited for.
        descriptor = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ELOOP, errno.ENXIO):
            raise
        raise no_lock(path) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    close_quietly(descriptor)
    raise no_lock(path)


def no_lock(path: Path) -> RegistryError:
    """Say that what lies there is no lock."""
    return RegistryError(
        f"{path}: a folder, link or pipe, expected the registry's lock, which is a file; while no modelgates runs "
        f"here, move it away: mv {path} {path}.moved"
    )


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether the path still leads to the open file: a lock on a deleted file keeps nobody back."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _take(descriptor: int, path: Path, timeout_s: float, until: float, kind: int = fcntl.LOCK_EX) -> None:
    # A lockf lock would be lost when any descriptor of the file is closed, and would not keep threads apart.
    while True:
        try:
            return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                holder = os.pread(descriptor, 200, 0).decode("ascii", "backslashreplace").strip() or "another process"
                raise RegistryError(
                    f"{path} is held by {holder}; waited {timeout_s:g} s: let it end, or end it, then try again; "
                    "never delete the file"
                ) from None
            time.sleep(PAUSE_S)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock right now."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        close_quietly(descriptor)
    return False


def file_system(path: Path, mounts: bytes) -> str:
    """Find the type of the file system that a path lies on.

    Parameters
    ----------
    path : Path
        Absolute, without links.
    mounts : bytes
        The content of ``/proc/self/mountinfo``, see proc(5): field 5 is the mount point, the one after ``-`` the type.

    Returns
    -------
    str
        Such as ``"ext4"``; empty if no mount point leads to the path.
    """
    found, longest = b"", 0
    # The lines stay bytes: a name need not be UTF-8, and may contain what str.split takes for a space.
    for fields in (line.split(b" ") for line in mounts.split(b"\n") if line):
        point = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), fields[4]).rstrip(b"/") + b"/"
        if (os.fsencode(path) + b"/").startswith(point) and len(point) >= longest:
            found, longest = fields[fields.index(b"-") + 1], len(point)
    return found.decode("ascii", "backslashreplace")


def refuse_network(root: Path) -> None:
    """Refuse a registry on a network file system, whose locks and renames promise less.

    Raises
    ------
    RegistryError
        If it lies on one; a system that does not say is taken to be local.
    """
    if not is_there(MOUNTS):  # not Linux
        return
    kind = file_system(root.resolve(), MOUNTS.read_bytes())
    if kind in NETWORK:
        raise RegistryError(
            f"{root} lies on {kind}, a network file system, whose locks do not hold when a server is lost; keep the "
            "registry on a local disk, or set network_file_system = true under [registry] in registry/operations.toml"
        )
