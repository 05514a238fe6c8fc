"""Files written whole or not at all, strict JSON, and digests. Knows no file format of its own."""

import ctypes
import errno
import hashlib
import json
import math
import os
import re
import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..errors import FormatError
from .plain import digest_plain, open_folder, open_plain

T = TypeVar("T")

FILE_MODE, FOLDER_MODE = 0o644, 0o755
# From linux/fcntl.h, linux/fs.h and, of macOS, sys/stdio.h.
_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCL = -100, 1, 4
MAX_JSON_BYTES = 64 * 2**20
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
MAX_DIGITS = 640  # the fewest that a Python may be set to read


def write_whole(path: Path, content: bytes, *, mode: int = FILE_MODE, folder_mode: int = FOLDER_MODE) -> None:
    """Write a file so that readers, and a crash, see either the old content or the new; the umask has no say."""
    make_folder(path.parent, mode=folder_mode)
    # Not the process id: two threads share it, and so may two containers on one volume.
    staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with staged.open("wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def close_quietly(descriptor: int) -> None:
    """Close what was synced, or only read or locked: an error changes nothing about that, and closed it is."""
    with suppress(OSError):
        os.close(descriptor)


def make_folder(path: Path, *, mode: int = FOLDER_MODE) -> None:
    """Make a folder and those above it that are missing, durably, each with this mode whatever the umask."""
    if path.is_dir():
        return
    make_folder(path.parent, mode=mode)
    try:
        path.mkdir()
    except FileExistsError:  # by another process meanwhile, or a file, over which the next step stumbles
        return
    path.chmod(mode)
    sync_folder(path.parent)


def rename_new(source: Path, target: Path) -> None:
    """Rename where nothing lies yet: a plain rename would replace an empty directory without a word.

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
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a rename alone is lost on btrfs."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(content: bytes) -> str:
    """Digest some bytes, as hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """Digest a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(folder: Path) -> str:
    """Digest every file of a folder: its names and its bytes.

    For a flat folder of plain files, none of them hidden, it is what ``LC_ALL=C sha256sum * | sha256sum`` prints.
    """
    return listing_digest(listing(folder))


def listing(folder: Path) -> dict[str, str]:
    """Digest each plain file of a folder, by name; what is none, or larger than any, is not opened or not read."""
    descriptor = open_folder(folder)
    try:
        return {name: _digest_in(descriptor, name) for name in os.listdir(descriptor)}
    finally:
        os.close(descriptor)


def _digest_in(folder: int, name: str) -> str:
    try:
        with open_plain(folder, name, name) as file:
            return digest_plain(file)
    except FormatError:
        return "not a file"


def listing_digest(files: Mapping[str, str]) -> str:
    """Digest a listing of digests, in the order of the names' bytes."""
    lines = [f"{files[name]}  {name}\n" for name in sorted(files, key=os.fsencode)]
    return sha256("".join(lines).encode("utf-8", "surrogateescape"))


def canonical(value: Any) -> bytes:
    """Encode a value as JSON that is the same for the same value: sorted keys, no spaces, no NaN."""
    plain = msgspec.to_builtins(value)
    return (
        json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()


def readable(value: Any) -> bytes:
    """Encode a value as indented JSON for files that people open."""
    plain = msgspec.to_builtins(value)
    return (json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parse_json(content: bytes, source: str) -> Any:
    """Parse JSON strictly: UTF-8, no duplicate key, no NaN or infinity, no more bytes than a cap.

    Raises
    ------
    FormatError
        With `source`, what is wrong there and under which key.
    """
    if len(content) > MAX_JSON_BYTES:
        raise FormatError(f"{source}: more than {MAX_JSON_BYTES} bytes of JSON, which is the most that is read")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            (twice, _), *_ = Counter(key for key, _ in pairs).most_common()
            raise FormatError(f"{source}: key {twice!r} appears twice; keep one")
        return found

    suspect = []

    def whole(text: str) -> float:
        return int(text) if len(text) <= MAX_DIGITS else real("Infinity")

    def real(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            suspect.append(text)
        return number

    try:
        text = content.decode("utf-8")
        value = json.loads(text, parse_int=whole, parse_float=real, parse_constant=real, object_pairs_hook=unique)
        # Looking at every place costs more than reading; it is worth it only where there is one to name.
        if suspect or _SURROGATE.search(text):
            for place in _odd_places(value, "$"):
                raise FormatError(f"{source}: {printable(place)}; mend it or leave the key out")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: not JSON in UTF-8 ({error})") from error
    return value


def _odd_places(value: Any, place: str) -> Iterator[str]:
    """Find numbers that JSON does not know or Python does not read, and text that UTF-8 does not know."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _odd_places(key, f"{place}, a key")
            yield from _odd_places(item, f"{place}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _odd_places(item, f"{place}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"NaN, infinity or too large a number at `{place}`"
    elif isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        yield f"half a surrogate pair at `{place}`"


def printable(text: str) -> str:
    """Escape what would break a line or a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def first_line(error: Exception) -> str:
    """What a foreign library says of an error, in a line; its kind if it says nothing."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0])


def typed(value: Any, kind: type[T], source: str) -> T:
    """Convert parsed JSON or TOML to a type; an unknown key or a wrong type is an error that names it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"{source}: {printable(str(error))}") from error


def read_bytes(path: Path, *, limit: int = MAX_JSON_BYTES) -> bytes:
    """Read a file that must be there; `limit` is the most that it may hold [bytes]."""
    if not path.is_file():  # a pipe or a device in its place would be read for ever
        raise FormatError(f"{path}: no such file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise FormatError(f"{path}: {size} bytes, expected at most {limit}")
        return file.read(size)


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file strictly as a type."""
    return typed(parse_json(read_bytes(path), str(path)), kind, str(path))
