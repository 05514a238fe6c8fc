"""The manifest: which files a model directory holds, their sizes and digests, and where the model came from."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

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
    """The content of `manifest.json`; `audit_head` is the digest of the audit log's last line at packing."""

    format: Literal[1] = 1
    id: str
    created: Moment
    lineage: Lineage
    audit_head: Sha256 | None
    files: dict[str, FileEntry]
