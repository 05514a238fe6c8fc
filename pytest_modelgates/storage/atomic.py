"""Files and folders written whole or not at all, and made durable. Knows no file format."""

import ctypes
import errno
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .paths import is_folder, is_there, kind_of

FILE_MODE, FOLDER_MODE = 0o644, 0o755
# From linux/fcntl.h, linux/fs.h and, of macOS, sys/stdio.h.
_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCL = -100, 1, 4
_STAGED = re.compile(r"\.(.+)\.[0-9a-f]{16}")  # a file that is not yet renamed to its place


def write_atomic(path: Path, content: bytes, *, mode: int = FILE_MODE, folder_mode: int = FOLDER_MODE) -> None:
    """Write a file so that readers, and a crash, see either the old content or the new; the umask has no say."""
    make_folder(path.parent, mode=folder_mode)
    # The process id would not do: two threads share it, and so may two containers on one volume.
    staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with naming(path), staged.open("wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException as error:
        staged.unlink(missing_ok=True)
        if isinstance(error, IsADirectoryError):
            raise in_the_way(path) from error
        raise
    sync_folder(path.parent)


def place_of(staged: Path) -> Path:
    """Give the place of a file that `write_atomic` had not yet renamed; of any other file, its own."""
    name = staged.name
    while match := _STAGED.fullmatch(name):  # a kill file is staged twice
        name = match[1]
    return staged.with_name(name)


def in_the_way(path: Path, *, folder: bool = False) -> OSError:
    """Say that something of another kind lies where a file, or a folder, is to be written, and what to do."""
    found = kind_of(path) or "a link that leads nowhere"
    wanted, code = ("a folder", errno.ENOTDIR) if folder else ("a file", errno.EISDIR)
    return OSError(code, f"{found}, expected {wanted}; move it away", str(path))


@contextmanager
def naming(file: object) -> Iterator[None]:
    """Let an error that names no file name this one: writing and syncing do not say which disk is full."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(file)
        raise


def close_quietly(descriptor: int) -> None:
    """Close a descriptor whose data is already durable, or that was only read or locked.

    An error from close() changes nothing, and the descriptor is gone either way.
    """
    with suppress(OSError):
        os.close(descriptor)


def make_folder(path: Path, *, mode: int = FOLDER_MODE) -> None:
    """Make a folder and its missing parents durably, each with this mode whatever the umask."""
    if is_folder(path):
        return
    make_folder(path.parent, mode=mode)
    try:
        path.mkdir()
    except FileExistsError as error:
        if is_folder(path):  # another process made it
            return
        raise in_the_way(path, folder=True) from error
    path.chmod(mode)
    sync_folder(path.parent)


def rename_new(source: Path, target: Path) -> None:
    """Rename to a name that must be free: an ordinary rename would silently replace an empty directory.

    On a file system that cannot refuse this by itself, such as NFS, an empty directory is still replaced.

    Raises
    ------
    FileExistsError
        If anything lies at `target`.
    """
    sys.audit("os.rename", source, target, -1, -1)
    libc, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(source), os.fsencode(target))
    ctypes.set_errno(errno.ENOSYS)
    failed = -1
    if hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE)
    elif hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(*names, _RENAME_EXCL)
    if not failed:
        return
    code = ctypes.get_errno()
    if code not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(code, os.strerror(code), str(target))
    if is_there(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a rename alone may be lost on btrfs."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
