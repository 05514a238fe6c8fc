"""Regular files of an open folder, reached by name: no path is joined, no link followed, no pipe waited for."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import FormatError
from .threads import ahead

# Protobuf, and so an ONNX file, cannot hold more.
MAX_FILE_BYTES = 2**31
# A table in Parquet is read a piece at a time.
MAX_TABLE_BYTES = 2**37
NOT_REGULAR = "not a regular file with one name (a link, folder or device)"
_CHUNK = 2**20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe would wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# errno values from opening a symlink, a socket, or a device node without a device.
_ODD = {errno.ELOOP, errno.ENXIO, errno.ENODEV}


def most_bytes(name: str) -> int:
    """How large a file of this name may be [bytes]."""
    return MAX_TABLE_BYTES if name.endswith(".parquet") else MAX_FILE_BYTES


def open_folder(path: Path) -> int:
    """Open a folder, but not through a link; the caller closes the descriptor."""
    return os.open(path, _FOLDER)


def is_regular(entry: os.stat_result) -> bool:
    """Whether this is a regular file that has one name."""
    return stat.S_ISREG(entry.st_mode) and entry.st_nlink == 1


def why_not_regular(entry: os.stat_result) -> str:
    """Say what a file is that is not a regular one with one name, and how to give it one if that is all it lacks."""
    if not stat.S_ISREG(entry.st_mode):
        return NOT_REGULAR
    return (
        f"has {entry.st_nlink} names (hard links, as cp -al makes), so it could change through another; its bytes may "
        "be right, give it a copy of its own: cp -p FILE FILE.copy && mv FILE.copy FILE"
    )


@contextmanager
def open_regular(folder: int, name: str, source: object, *, limit: int = MAX_FILE_BYTES) -> Iterator[BinaryIO]:
    """Open a regular file of an open folder; `source` is what messages call it.

    Raises
    ------
    FormatError
        If it is missing, not a regular file, or larger than `limit` [bytes]; not a byte is read then.
    """
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except FileNotFoundError as error:
        raise FormatError(f"{source}: no such file") from error
    except OSError as error:
        if error.errno not in _ODD:
            raise
        raise FormatError(f"{source}: {NOT_REGULAR}") from error
    try:
        entry = os.fstat(descriptor)
        if not is_regular(entry):
            raise FormatError(f"{source}: {why_not_regular(entry)}")
        if entry.st_size > limit:
            raise FormatError(f"{source}: {entry.st_size} bytes, expected at most {limit}")
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def digest_regular(file: BinaryIO, *, limit: int = MAX_FILE_BYTES) -> str:
    """Digest an open file; one that grows beyond `limit` is not read to its end, so its digest is a wrong one."""
    first = file.read(_CHUNK)
    digest = hashlib.sha256(first)
    if len(first) < _CHUNK:
        return digest.hexdigest()
    left = limit - len(first)
    # Reading takes a sixth of the time, so the next piece is read while one is digested.
    for piece in ahead(iter(lambda: file.read(_CHUNK), b"")):
        if left < 0:
            break
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest()
