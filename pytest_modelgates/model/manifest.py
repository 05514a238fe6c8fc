"""The manifest: which files a model directory holds, their sizes and digests, and where the model came from."""

import platform
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from ..audit.head import HEAD
from ..storage.digests import Sha256, sha256
from ..storage.strict_json import Moment


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The size and digest that one file must have."""

    sha256: Sha256
    size: Annotated[int, msgspec.Meta(ge=0)]

    @classmethod
    def of(cls, content: bytes) -> "FileEntry":
        """Describe the content of a file."""
        return cls(sha256=sha256(content), size=len(content))


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The version of a registered model of MLflow that a model was packed from.

    `uri` is the address of the server, `flavour` that of what was loaded, and `sha256` digests the listing of all files
    that the server gave.
    """

    store: Literal["mlflow"] = "mlflow"
    uri: str
    name: str
    version: str
    run_id: str | None
    flavour: str
    sha256: Sha256

    def __str__(self) -> str:
        """Name it as MLflow does."""
        return f"models:/{self.name}/{self.version}"


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model was made from: a commit or digest of the code and of the data, and library versions.

    `source` is where it was packed from, if not from a file.
    """

    code: str | None = None
    data: str | None = None
    libraries: dict[str, str]
    source: Source | msgspec.UnsetType = msgspec.UNSET  # earlier versions know none


def installed(names: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of those libraries that are installed."""
    import importlib.metadata  # here, since it takes long to load, and a server needs it not

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
