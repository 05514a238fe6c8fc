"""What a registry asks of where it lies, as protocols; and the file system of this machine, which answers.

Promote, rollback, recover, gc and status lock one file, move one link, write one log and look after folders of models.
They ask all of that of a `Disk`, and its `Log`. The bytes of a model come from a `ModelDirectory`; what else lies below
the root (reports, goldens, predictions and so on) are ordinary files, read and written as such.
"""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import RegistryError
from . import lines, lock, paths
from .atomic import FILE_MODE, place_of, sync_folder, write_atomic
from .digests import sha256_of
from .regular_files import open_folder


class Log(Protocol):
    """A log: whole lines that are only ever appended, and what a crash may leave behind the last of them.

    What the chain of records rests on is `append`: when it returns, the lines survive a power cut, and when it raises,
    the log is as it was. Its text, `str`, is what messages call the log.
    """

    def append(self, content: bytes, *, mode: int = FILE_MODE) -> None:
        """Append whole lines, all of them or none, durably; `mode` are the permissions of a new log."""

    def from_end(self, *, holding: bytes = b"", after_writers: bool = False) -> Generator[bytes, None, None]:
        """Read whole lines, the last one first, as they are asked for; see `storage.lines.lines_from_end`."""

    def from_start(self) -> Generator[bytes, None, None]:
        """Read whole lines, the first one first."""

    def count(self) -> int:
        """Count the lines."""

    def torn(self) -> int:
        """Count the bytes after the last newline, which an interrupted write left."""

    def drop_torn(self) -> None:
        """Cut them off."""

    def end(self, count: int) -> bytes:
        """Read the last bytes."""

    def drop_end(self, count: int) -> None:
        """Cut off the last bytes."""

    def sha256(self) -> str:
        """Give the digest of the whole log."""

    def entry(self) -> os.stat_result | None:
        """Give size, inode and time of the last change, by which the log is known again; None for what has none."""


class Disk(Protocol):
    """Where a registry lies.

    What a promotion rests on is `point`, beside the log: every reader of the link finds the old text or the new one,
    never none, and when it returns the new one survives a power cut. And on `locked`: of all processes that change a
    registry one at a time holds it, and one that ends, however it ends, holds it no more.
    """

    def locked(self, path: Path, *, timeout_s: float, mode: int) -> AbstractContextManager[None]:
        """Keep every other process out; raises RegistryError if the lock does not come free in time."""

    def quiet(self, path: Path, *, timeout_s: float) -> AbstractContextManager[None]:
        """Keep writers out, without writing."""

    def is_locked(self, path: Path) -> bool:
        """Whether a process holds the lock right now."""

    def refuse_network(self, folder: Path) -> None:
        """Raise RegistryError if the folder lies where locks cannot be relied on."""

    def link_text(self, path: Path) -> str | None:
        """Read a link's text, unchecked; None if there is no link."""

    def point(self, path: Path, text: str | None) -> None:
        """Make a link say this, or be gone, in one atomic and durable step."""

    def sync(self, folder: Path) -> None:
        """Make the names in a folder durable."""

    def log(self, path: Path) -> Log:
        """Give a log, which need not be there yet."""

    def is_there(self, path: Path) -> bool:
        """Whether the path names anything; a link counts, wherever it leads."""

    def is_link(self, path: Path) -> bool:
        """Whether the path is a link."""

    def is_file(self, path: Path) -> bool:
        """Whether the path leads to a regular file."""

    def is_folder(self, path: Path) -> bool:
        """Whether the path leads to a folder."""

    def is_other(self, path: Path) -> bool:
        """Whether something lies there that is not a link."""

    def folders(self, path: Path) -> list[str]:
        """Name the folders in a folder, in any order; links are left out."""

    def files(self, path: Path) -> list[str]:
        """Name the regular files in a folder, in any order; links are left out."""

    def unread(self, folder: Path) -> AbstractContextManager[bool]:
        """Keep readers from opening a folder; False if one has it open, or it is gone."""

    def size(self, path: Path) -> int:
        """Add up the files that lie there [bytes]."""

    def write(self, path: Path, content: bytes, *, mode: int, folder_mode: int) -> None:
        """Write a file, whole or not at all, durably."""

    def unfinished(
        self, folder: Path, *, apart: Path, before: float, unseen: Callable[[Path, str], None]
    ) -> Iterator[tuple[Path, Path]]:
        """Find what `write` had begun, and where it was to be: below a folder but for one, last changed before a time.

        A folder that cannot be listed is given to `unseen`, with the reason.
        """

    def keep_as(self, path: Path, other: Path) -> None:
        """Give a file a second name; raises FileExistsError if something has it."""

    def rename(self, path: Path, other: Path) -> None:
        """Move what lies there, in one atomic step."""

    def remove(self, path: Path) -> None:
        """Delete a file, or a folder with all in it."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log in a file of this machine; each method is the function of `storage.lines` that it calls."""

    path: Path

    def __str__(self) -> str:
        """Name the path."""
        return str(self.path)

    def append(self, content: bytes, *, mode: int = FILE_MODE) -> None:
        """Append whole lines."""
        lines.append_atomic(self.path, content, durable=True, mode=mode)

    def from_end(self, *, holding: bytes = b"", after_writers: bool = False) -> Generator[bytes, None, None]:
        """Read whole lines, the last one first."""
        return lines.lines_from_end(self.path, holding=holding, after_writers=after_writers)

    def from_start(self) -> Generator[bytes, None, None]:
        """Read whole lines, the first one first."""
        return lines.lines_from_start(self.path)

    def count(self) -> int:
        """Count the lines."""
        return lines.count_lines(self.path)

    def torn(self) -> int:
        """Count what an interrupted write left."""
        return lines.torn_bytes(self.path)

    def drop_torn(self) -> None:
        """Cut it off."""
        lines.drop_torn_line(self.path)

    def end(self, count: int) -> bytes:
        """Read the last bytes."""
        return lines.read_end(self.path, count)

    def drop_end(self, count: int) -> None:
        """Cut off the last bytes."""
        lines.drop_end(self.path, count)

    def sha256(self) -> str:
        """Give the digest of the file."""
        return sha256_of(self.path)

    def entry(self) -> os.stat_result | None:
        """Give what the file system says of it."""
        try:
            entry = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return entry if stat.S_ISREG(entry.st_mode) else None


def log_of(place: Path | Log) -> Log:
    """Give a log; a path is that of one on this machine."""
    return LogFile(place) if isinstance(place, Path) else place


class LocalDisk:
    """The file system of this machine."""

    locked = staticmethod(lock.locked_file)
    quiet = staticmethod(lock.quiet_file)
    is_locked = staticmethod(lock.is_locked)
    refuse_network = staticmethod(lock.refuse_network)
    sync = staticmethod(sync_folder)
    is_there = staticmethod(paths.is_there)
    is_link = staticmethod(paths.is_link)
    is_file = staticmethod(paths.is_file)
    is_folder = staticmethod(paths.is_folder)
    write = staticmethod(write_atomic)

    def log(self, path: Path) -> Log:
        """Give the log in a file."""
        return LogFile(path)

    def is_other(self, path: Path) -> bool:
        """Whether something lies there that is not a link."""
        return paths.is_there(path) and not paths.is_link(path)

    def link_text(self, path: Path) -> str | None:
        """Read a link's text."""
        try:
            return os.readlink(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL):
                raise
            return None

    def point(self, path: Path, text: str | None) -> None:
        """Move a link that is made beside its place, since a link cannot be changed."""
        if text is None:
            path.unlink(missing_ok=True)
        else:
            staged = staged_link(path)
            for place, what in ((staged, "where the link is made before it is moved"), (path, "expected a link")):
                if paths.is_folder(place) and not paths.is_link(place):
                    raise RegistryError(f"{place}: a folder, {what}; see: modelgates recover")
            staged.unlink(missing_ok=True)
            staged.symlink_to(text)
            staged.replace(path)
        sync_folder(path.parent)

    def folders(self, path: Path) -> list[str]:
        """Name the folders in a folder."""
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def files(self, path: Path) -> list[str]:
        """Name the regular files in a folder."""
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]

    @contextmanager
    def unread(self, folder: Path) -> Iterator[bool]:
        """Lock a folder, so that no reader opens it."""
        try:
            descriptor = open_folder(folder)
        except FileNotFoundError:
            yield False
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free = True
            except BlockingIOError:
                free = False
            yield free
        finally:
            os.close(descriptor)

    def size(self, path: Path) -> int:
        """Add up the files that lie there [bytes]."""
        if not paths.is_folder(path):
            return path.lstat().st_size
        return sum(Path(place, name).lstat().st_size for place, _, names in paths.walk(path) for name in names)

    def unfinished(
        self, folder: Path, *, apart: Path, before: float, unseen: Callable[[Path, str], None]
    ) -> Iterator[tuple[Path, Path]]:
        """Find what `write` had begun."""

        def unlisted(error: OSError) -> None:
            unseen(Path(error.filename), error.strerror or str(error))

        for place, below, names in os.walk(folder, onerror=unlisted):
            below[:] = [name for name in below if Path(place, name) != apart]
            for path in (Path(place, name) for name in names):
                if (of := place_of(path)) != path:
                    with suppress(FileNotFoundError):  # it has just been renamed to its place
                        if path.lstat().st_mtime < before:
                            yield path, of

    def keep_as(self, path: Path, other: Path) -> None:
        """Give a file a second name."""
        os.link(path, other)

    def rename(self, path: Path, other: Path) -> None:
        """Move what lies there."""
        path.rename(other)

    def remove(self, path: Path) -> None:
        """Delete a file, or a folder with all in it."""
        if paths.is_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink()


def staged_link(path: Path) -> Path:
    """Where a link is made before it is moved to its place; a fixed name will do, as the lock admits one writer."""
    return path.with_name(f".{path.name}.new")


LOCAL: Disk = LocalDisk()
