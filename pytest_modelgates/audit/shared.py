"""The log that machines share: changes of the link that count for all, chained, a record an object of the bucket.

Each machine keeps a copy, a record a line. What only one machine is concerned with stays in its own log.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from ..errors import FormatError
from ..storage.digests import Sha256, sha256
from ..storage.lines import first
from ..storage.strict_json import canonical, typed
from .chain import EMPTY, Intent, Line, Record, Unknown, decoded, lines
from .head import Head

FOLDER, TAG = "log", "shared"
_ANEW = '; it is a copy of the bucket\'s log, so take that instead: modelgates pull --anew --reason "…"'


class Shared(Record, frozen=True, forbid_unknown_fields=True, kw_only=True, tag=TAG):
    """A change that counts for every machine; `signature` vouches for it and for all that it is chained to.

    `change` is what the machine that made it wrote into its own log, without its place there. `manifest` is the SHA-256
    of the model's manifest, which names its files. No two records have the same `nonce`, so that who wrote one knows it
    again.
    """

    change: Intent
    manifest: Sha256
    nonce: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A record of the shared log and its place; of a kind that only a later version knows, `record` is None."""

    head: Head
    prev: str | None
    record: Shared | None


def name_of(n: int) -> str:
    """Name the object that holds a record."""
    return f"{FOLDER}/{n:012}.json"


def without_place(change: Intent) -> Intent:
    """Take a change out of a machine's own log."""
    return msgspec.structs.replace(change, n=0, prev=None, shared=msgspec.UNSET)


def placed(line: bytes, place: str) -> Placed:
    """Read a record, which must be byte for byte as it was written.

    Raises
    ------
    FormatError
        If it is not a record of a shared log.
    """
    found = decoded(line, place)
    if not isinstance(found, Unknown):
        raise FormatError(f"{place}: a record of one machine's own log, expected one that machines share")
    return Placed(Head(found.n, sha256(line)), found.prev, _shared(found, place))


def _shared(found: Unknown, place: str) -> Shared | None:
    return typed(found.content, Shared, place) if found.kind == TAG else None


def end_of(copy: Path) -> Head:
    """Read where a copy ends."""
    found = first(records(copy))
    return found.head if found else EMPTY


def records(copy: Path) -> Generator[Placed, None, None]:
    """Read a copy, the newest record first.

    Raises
    ------
    FormatError
        If it is not a chain of such records.
    """
    with closing(_lines(copy)) as found:
        for record, digest in found:
            if not isinstance(record, Unknown):
                raise FormatError(f"{copy}: record {record.n} is of one machine's own log{_ANEW}")
            yield Placed(Head(record.n, digest), record.prev, _shared(record, f"{copy}, record {record.n}"))


def _lines(copy: Path) -> Generator[tuple[Line, str], None, None]:
    try:
        with closing(lines(copy)) as found:
            yield from found
    except FormatError as error:
        raise FormatError(str(error).removesuffix("; see: modelgates recover") + _ANEW) from error


def changes(copy: Path) -> Generator[tuple[Head, Shared], None, None]:
    """Read the changes that a copy holds, the newest first."""
    with closing(records(copy)) as found:
        for each in found:
            if each.record:
                yield each.head, each.record


def signed_content(record: Shared) -> bytes:
    """Give the bytes that the signature of a record in its place covers: the record without it."""
    unsigned = canonical(msgspec.structs.replace(record, signature=None))[:-1]
    return f"modelgates shared {Head(record.n, sha256(unsigned))}".encode()
