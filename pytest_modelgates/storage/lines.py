"""Logs: files of lines that are appended whole and read from the end. Knows nothing of what a line says."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import FormatError
from .atomic import FILE_MODE, close_quietly, make_folder, sync_folder

BLOCK, LONGEST = 2**14, 2**20


def append_atomic(path: Path, content: bytes, *, durable: bool = False, mode: int = FILE_MODE) -> None:
    """Append lines to a log: all of them or none, never mixed with those of another process.

    Parameters
    ----------
    path : Path
    content : bytes
        Whole lines, each with its newline.
    durable : bool
        Wait until they survive a power cut.
    mode : int
        Of a new file, whatever the umask.
    """
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        # A write may be cut short (disk, quota), so order among processes takes a lock; closing releases it.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if not size:
            os.fchmod(descriptor, mode)  # the umask took some of it away
        # What a power cut left without its newline must not swallow the first line of ours.
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        wanted = b"\n" + content if torn else content
        rest = memoryview(wanted)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
                if os.pread(descriptor, len(wanted), size) != wanted:
                    raise OSError(errno.EIO, "What was written is not there; do not trust this disk", str(path))
                if not size:
                    sync_folder(path.parent)
        except BaseException:
            os.ftruncate(descriptor, size)
            raise
    finally:
        close_quietly(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open a log, None if there is none; no link is followed, for what it leads to might be cut and written to."""
    try:
        # Without O_NONBLOCK a pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise FormatError(f"{path}: a link, expected the log itself; put the log back") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FormatError(f"{path}: a folder or pipe, expected a regular file; put the log back")
        yield descriptor
    finally:
        close_quietly(descriptor)


def lines_from_end(path: Path, *, settled: bool = False) -> Iterator[bytes]:
    """Read whole lines without their newlines, the last one first and no more than is asked for; no file has none.

    Parameters
    ----------
    path : Path
    settled : bool, default False
        Wait for whoever appends: what is being written may yet be taken back.

    Raises
    ------
    FormatError
        At a line longer than any that was ever written.
    """
    with _opened(path) as descriptor:
        if descriptor is None:
            return
        if settled:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        start, rest = os.fstat(descriptor).st_size, b""
        if settled:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        ended = False  # what follows the last newline is no line yet
        while start:
            size = min(BLOCK, start)
            start -= size
            rest, *whole = (os.pread(descriptor, size, start) + rest).split(b"\n")
            if whole:
                yield from reversed(whole if ended else whole[:-1])
                ended = True
            if len(rest) > LONGEST:
                raise _too_long(path)
        if ended:
            yield rest


def _too_long(path: Path) -> FormatError:
    return FormatError(f"{path}: a line of more than {LONGEST} bytes, which nobody wrote; put the log back")


def torn_bytes(path: Path) -> int:
    """Count what an interrupted write left behind the last newline [bytes].

    Raises
    ------
    FormatError
        If it is more than any write.
    """
    with _opened(path) as descriptor:
        if descriptor is None:
            return 0
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, LONGEST + 1, max(0, size - LONGEST - 1))
    count = len(tail) - tail.rfind(b"\n") - 1
    if count > LONGEST:
        raise _too_long(path)
    return count


def drop_torn_line(path: Path) -> None:
    """Cut off what an interrupted write left behind the last newline."""
    if count := torn_bytes(path):
        os.truncate(path, path.stat().st_size - count)
