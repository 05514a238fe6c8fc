"""Files written whole or not at all, strict JSON, and digests. Knows no file format of its own."""

import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from ..errors import FormatError

T = TypeVar("T")

MAX_JSON_BYTES = 64 * 2**20


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that readers, and a crash, see either the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a rename alone is lost on btrfs."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_line(path: Path, line: str) -> None:
    """Append one line to a log, durably and in one write, so that lines of two writers never mix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_line_digest(path: Path) -> str | None:
    """Digest the last line of a log, reading no more than its tail; None if there is no line."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2**16))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    return sha256(lines[-1]) if lines else None


def sha256(content: bytes) -> str:
    """Digest some bytes, as hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """Digest a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(folder: Path) -> str:
    """Digest every file of a folder: its names and its bytes.

    For a flat folder of plain files it is what ``LC_ALL=C sha256sum * | sha256sum`` prints.
    """
    lines = []
    for entry in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
        regular = stat.S_ISREG(entry.lstat().st_mode)
        lines.append(f"{sha256_of(entry) if regular else 'not a file'}  {entry.name}\n")
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
        With `source` and what is wrong there.
    """
    if len(content) > MAX_JSON_BYTES:
        raise FormatError(f"{source}: {len(content)} bytes of JSON, at most {MAX_JSON_BYTES} are read")

    def refuse_constant(text: str) -> NoReturn:
        raise FormatError(f"{source}: {text} is not a number that JSON knows; write null or leave the key out")

    def finite(text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else refuse_constant(text)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise FormatError(f"{source}: key {twice!r} appears twice; keep one")
        return dict(pairs)

    try:
        return json.loads(
            content.decode("utf-8"), parse_constant=refuse_constant, parse_float=finite, object_pairs_hook=unique
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: not JSON in UTF-8 ({error})") from error


def typed(value: Any, kind: type[T], source: str) -> T:
    """Convert parsed JSON or TOML to a type; an unknown key or a wrong type is an error that names it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"{source}: {error}") from error


def read_bytes(path: Path) -> bytes:
    """Read a file that must be there."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise FormatError(f"{path}: no such file") from error


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file strictly as a type."""
    return typed(parse_json(read_bytes(path), str(path)), kind, str(path))
