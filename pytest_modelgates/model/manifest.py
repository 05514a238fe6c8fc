"""The manifest: which files a model directory holds, their sizes and digests, and where the model came from."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from .files import last_line, parse_json, sha256, typed

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one file must be."""

    sha256: Sha256
    size: Annotated[int, msgspec.Meta(ge=0)]


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model was made from: a commit or digest of the code and of the data, and library versions."""

    code: str | None = None
    data: str | None = None
    libraries: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `manifest.json`; `audit_head` is where the audit log ended at packing, see `head_of`."""

    format: Literal[1] = 1
    id: str
    created: Moment
    lineage: Lineage
    audit_head: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,15}:[0-9a-f]{64}\Z")] | None
    files: dict[str, FileEntry]


class _Numbered(msgspec.Struct):
    n: Annotated[int, msgspec.Meta(ge=1)]


def head_of(log: Path) -> str | None:
    """Read where the audit log ends: the number of its last line, a colon, its SHA-256; None if it is empty."""
    line = last_line(log)
    if line is None:
        return None
    return f"{typed(parse_json(line, str(log)), _Numbered, str(log)).n}:{sha256(line)}"
