"""Which goldens there are: `metadata.json` names, by model, the one in force and those that were before it."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..errors import FormatError
from ..storage.digests import Sha256
from ..storage.paths import is_there
from ..storage.strict_json import Moment, parse_json, read_bytes, typed

METADATA = "metadata.json"
DIGITS = 16
"""Of a digest that people see [count]; so many name a version."""

_FORMAT = 2
Origin = Literal["panel", "log", "hand"]


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    rows: Annotated[int, msgspec.Meta(ge=1)]
    sha256: Sha256
    saved: Moment
    digest: Sha256 | None


class Version(_Saved, frozen=True, kw_only=True):
    """One golden of a model.

    Parameters
    ----------
    rows : int
    sha256 : str
        Of its file.
    saved : datetime
        When it was put in force.
    digest : str or None
        Of the model whose golden it is; None if it was not known.
    origin : str
        Where its predictions are from: a model's ``panel``, the live ``log``, or set by ``hand``.
    of : str or None
        Digest of the model that made the predictions; None if it is not known.
    """

    origin: Origin = "hand"
    of: Sha256 | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return f"sha256:{self.sha256[:DIGITS]}"

    @property
    def made_for(self) -> str | None:
        """Digest of the model that its predictions are of, else of the one whose golden it was made."""
        return self.of or self.digest

    @property
    def source(self) -> str:
        """Where it is from, in words."""
        return {"panel": "the panel", "log": "the live log", "hand": "set by hand"}[self.origin]


class Golden(Version, frozen=True, kw_only=True):
    """A model's golden in force, and those that were in force before it, the oldest first."""

    history: tuple[Version, ...] = ()

    @property
    def in_force(self) -> Version:
        """The one in force alone."""
        return Version(**{name: getattr(self, name) for name in Version.__struct_fields__})

    @property
    def versions(self) -> list[Version]:
        """All of them, the newest first."""
        return [self.in_force, *reversed(self.history)]


class _Format1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What version 0.1 wrote: one golden a model, whose `digest` is null if it was set by hand."""

    format: Literal[1]
    goldens: dict[str, _Saved] = {}


class GoldenMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `metadata.json`: every golden, by model id; and where the checks against them are listed."""

    format: Literal[2] = 2
    goldens: dict[str, Golden] = {}
    checks: Literal["../drift/checks.jsonl"] = "../drift/checks.jsonl"


def golden_metadata(folder: str | Path = "artifacts/golden") -> GoldenMetadata:
    """Read which goldens there are; a missing file lists none.

    Raises
    ------
    FormatError
        If the file is damaged, or in a format that only a later version reads.
    """
    path = Path(folder) / METADATA
    if not is_there(path):
        return GoldenMetadata()
    try:
        content = parse_json(read_bytes(path), str(path))
        number = content.get("format") if isinstance(content, dict) else None
        if number == 1:
            return _of_format_1(typed(content, _Format1, str(path)))
        if not (isinstance(number, int) and number > _FORMAT):
            return typed(content, GoldenMetadata, str(path))
    except FormatError as error:
        raise FormatError(
            f"{error}; put it back from a copy, or begin anew: mv {path} {path}.moved && modelgates golden set ID"
        ) from error
    raise FormatError(
        f"{path}: in format {number}, expected at most {_FORMAT}; use the version that wrote it, or newer"
    )


def _of_format_1(found: _Format1) -> GoldenMetadata:
    def golden(each: _Saved) -> Golden:
        return Golden(
            rows=each.rows,
            sha256=each.sha256,
            saved=each.saved,
            digest=each.digest,
            origin="panel" if each.digest else "hand",
            of=each.digest,
        )

    return GoldenMetadata(goldens={model_id: golden(each) for model_id, each in found.goldens.items()})
