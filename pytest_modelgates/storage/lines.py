"""Logs: files of lines that are appended whole and read from the end. Knows nothing of what a line says."""

import errno
import fcntl
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from ..errors import FormatError
from .atomic import FILE_MODE, close_quietly, in_the_way, make_folder, naming, sync_folder
from .paths import is_link

T = TypeVar("T")

_NO_FILE = "a folder, pipe or socket, expected a regular file"
BLOCK, LONGEST, READ_AHEAD = 2**14, 2**20, 2**18


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
        Permissions of a new file, whatever the umask.
    """
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ENXIO) and not (error.errno == errno.ENOENT and is_link(path)):
            raise
        raise in_the_way(path) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise in_the_way(path)
        # A full disk or a quota may cut a write short, so processes take turns by a lock; closing releases it.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if not size:
            os.fchmod(descriptor, mode)  # os.open applied the umask
        # A power cut may have left a line without its newline, and our first line must not be joined to it.
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        wanted = b"\n" + content if torn else content
        rest = memoryview(wanted)
        try:
            with naming(path):
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                if durable:
                    os.fsync(descriptor)
            if durable:
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
    """Open a log, or give None if it is missing; a link is not followed, since its target might be cut."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise in_the_way(path.parent, folder=True) from error
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        found = "a link, expected the log itself" if error.errno == errno.ELOOP else _NO_FILE
        raise FormatError(f"{path}: {found}; see: modelgates recover") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FormatError(f"{path}: {_NO_FILE}; see: modelgates recover")
        yield descriptor
    finally:
        close_quietly(descriptor)


def first(items: Generator[T, None, None]) -> T | None:
    """Take the first item, and end the generator here and now.

    One that is only dropped closes its file while it is being deleted, where Python swallows a Ctrl-C.
    """
    with closing(items):
        return next(items, None)


def lines_from_end(path: Path, *, holding: bytes = b"", after_writers: bool = False) -> Generator[bytes, None, None]:
    """Read whole lines without their newlines, the last one first, in blocks as they are asked for.

    A missing file has no lines.

    Parameters
    ----------
    path : Path
    holding : bytes, optional
        Leave out lines without these bytes; blocks without them are not split into lines, which saves most of the time.
    after_writers : bool, default False
        Wait for a process that is appending, since it may yet take back what it wrote.

    Raises
    ------
    FormatError
        If a line is longer than any that is written.
    """
    with _opened(path) as descriptor:
        if descriptor is None:
            return
        if after_writers:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        start, rest = os.fstat(descriptor).st_size, b""
        if after_writers:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        ended = False  # what follows the last newline is not a line yet
        while start:
            size = min(BLOCK, start)
            start -= size
            block = os.pread(descriptor, size, start) + rest
            if holding in block:
                rest, *whole = block.split(b"\n")
                yield from (line for line in reversed(whole if ended else whole[:-1]) if holding in line)
            else:
                rest = block.partition(b"\n")[0]
            ended = ended or len(rest) < len(block)
            if len(rest) > LONGEST:
                raise _too_long(path)
        if ended and holding in rest:
            yield rest


def lines_from_start(path: Path) -> Generator[bytes, None, None]:
    """Read whole lines without their newlines, the first one first; otherwise as `lines_from_end`."""
    with _opened(path) as descriptor:
        if descriptor is None:
            return
        rest = b""
        while block := os.read(descriptor, READ_AHEAD):
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
            if len(rest) > LONGEST:
                raise _too_long(path)


def count_lines(path: Path) -> int:
    """Count the newlines of a log."""
    with _opened(path) as descriptor:
        count = 0
        while descriptor is not None and (block := os.read(descriptor, READ_AHEAD)):
            count += block.count(b"\n")
        return count


def _too_long(path: Path) -> FormatError:
    return FormatError(
        f"{path}: a line of more than {LONGEST} bytes, longer than any that is written; see: modelgates recover"
    )


def torn_bytes(path: Path) -> int:
    """Count the bytes after the last newline, which an interrupted write left.

    Raises
    ------
    FormatError
        If there are more than any write leaves.
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
    """Cut off the bytes after the last newline, which an interrupted write left."""
    if count := torn_bytes(path):
        drop_end(path, count)


def read_end(path: Path, count: int) -> bytes:
    """Read the last bytes of a log."""
    with path.open("rb") as file:
        file.seek(-count, os.SEEK_END)
        return file.read()


def drop_end(path: Path, count: int) -> None:
    """Cut off the last bytes of a log."""
    try:
        os.truncate(path, path.stat().st_size - count)
    except PermissionError as error:
        why = f"{error.strerror}, to cut off what follows the last record; if it is append-only, chattr -a it first"
        raise PermissionError(error.errno, why, str(path)) from error
