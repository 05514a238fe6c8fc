"""SHA-256 of bytes, files, and folders."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from ..errors import FormatError
from .regular_files import digest_regular, most_bytes, open_folder, open_regular


def sha256(content: bytes) -> str:
    """Digest some bytes, as hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """Digest a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(folder: Path) -> str:
    """Digest every file of a folder: its names and its bytes.

    For a flat folder of regular files, none of them hidden, it is what ``LC_ALL=C sha256sum * | sha256sum`` prints.
    """
    return listing_digest(listing(folder))


def listing(folder: Path) -> dict[str, str]:
    """Digest each regular file of a folder, by name; anything else, and too large a file, is listed as not a file."""
    descriptor = open_folder(folder)
    try:
        return {name: _digest_in(descriptor, name) for name in os.listdir(descriptor)}
    finally:
        os.close(descriptor)


def _digest_in(folder: int, name: str) -> str:
    try:
        with open_regular(folder, name, name, limit=most_bytes(name)) as file:
            return digest_regular(file, limit=most_bytes(name))
    except FormatError:
        return "not a file"


def listing_digest(files: Mapping[str, str]) -> str:
    """Digest a listing of digests, in the order of the names' bytes."""
    lines = [f"{files[name]}  {name}\n" for name in sorted(files, key=os.fsencode)]
    return sha256("".join(lines).encode("utf-8", "surrogateescape"))


Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
