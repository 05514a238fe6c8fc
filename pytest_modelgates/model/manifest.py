"""The manifest: which files a model directory holds, their sizes and digests, and where the model came from."""

import importlib.metadata
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..errors import FormatError
from .files import parse_json, sha256, typed
from .logs import lines_from_end

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
HEAD = r"^[1-9][0-9]{0,15}:[0-9a-f]{64}\Z"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: how many lines, and the digest of the last. Kept elsewhere, it shows a log that was cut."""

    n: int
    digest: str | None

    def __str__(self) -> str:
        """The form in which it is printed and asked for."""
        return f"{self.n}:{self.digest or 'empty'}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read that form again."""
        if not re.match(HEAD, text):
            raise FormatError(f"{text!r} is no head as promote prints it: a number, a colon, a SHA-256")
        number, _, digest = text.partition(":")
        return cls(int(number), digest)


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one file must be."""

    sha256: Sha256
    size: Annotated[int, msgspec.Meta(ge=0)]

    @classmethod
    def of(cls, content: bytes) -> "FileEntry":
        """Write down what a file is."""
        return cls(sha256=sha256(content), size=len(content))


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model was made from: a commit or digest of the code and of the data, and library versions."""

    code: str | None = None
    data: str | None = None
    libraries: dict[str, str]


def installed(names: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of those libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `manifest.json`; `audit_head` is where the audit log ended at packing, see `head_of`."""

    format: Literal[1] = 1
    id: str
    created: Moment
    lineage: Lineage
    audit_head: Annotated[str, msgspec.Meta(pattern=HEAD)] | None
    files: dict[str, FileEntry]


class _Numbered(msgspec.Struct):
    n: Annotated[int, msgspec.Meta(ge=1)]


def head_of(log: Path) -> str | None:
    """Read where the audit log ends, as a `Head` is printed; None if it is empty."""
    line = next(lines_from_end(log, settled=True), None)
    if line is None:
        return None
    return str(Head(typed(parse_json(line, str(log)), _Numbered, str(log)).n, sha256(line)))
