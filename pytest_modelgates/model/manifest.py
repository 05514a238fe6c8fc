"""The manifest: which files a model directory holds, their sizes and digests, and where the model came from."""

import stat
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..errors import FormatError, IntegrityError
from .files import last_line, parse_json, printable, read_bytes, read_json, sha256, sha256_of, tree_digest, typed
from .layout import FILES, MANIFEST, SIDECAR
from .sidecar import Sidecar, sidecar_crc32

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
    audit_head: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]*:[0-9a-f]{64}\Z")] | None
    files: dict[str, FileEntry]


class _Numbered(msgspec.Struct):
    n: Annotated[int, msgspec.Meta(ge=1)]


def head_of(log: Path) -> str | None:
    """Read where the audit log ends: the number of its last line, a colon, its SHA-256; None if it is empty."""
    line = last_line(log)
    if line is None:
        return None
    return f"{typed(parse_json(line, str(log)), _Numbered, str(log)).n}:{sha256(line)}"


def file_set_problems(directory: Path) -> list[str]:
    """Compare the names in a model directory with the fixed set; only regular files may lie there."""
    found = {entry.name: entry.lstat() for entry in directory.iterdir()}
    problems = [f"{name}: missing" for name in FILES if name not in found]
    foreign = sorted(set(found) - set(FILES))
    problems += [f"{printable(name)}: does not belong in a model directory" for name in foreign]
    for name in FILES:
        if name in found and not (stat.S_ISREG(found[name].st_mode) and found[name].st_nlink == 1):
            problems.append(f"{name}: not a plain file with one name (a link, folder or device)")
    return problems


def digest_problems(directory: Path, manifest: Manifest) -> list[str]:
    """Compare size and SHA-256 of every file with the manifest."""
    problems = []
    if manifest.id != directory.name:
        problems.append(f"{MANIFEST}: written for model {printable(manifest.id)}, found in {directory.name}")
    expected = set(FILES) - {MANIFEST}
    if set(manifest.files) != expected:
        odd = printable(", ".join(sorted(set(manifest.files) ^ expected)))
        problems.append(f"{MANIFEST}: must list every other file and nothing else; look at {odd}")
    for name in sorted(expected & set(manifest.files)):
        entry, path = manifest.files[name], directory / name
        if not path.is_file():
            problems.append(f"{name}: missing")
        elif (size := path.stat().st_size) != entry.size:
            problems.append(f"{name}: {size} bytes, the manifest says {entry.size}")
        elif (digest := sha256_of(path)) != entry.sha256:
            problems.append(f"{name}: SHA-256 {digest[:12]}…, the manifest says {entry.sha256[:12]}…")
    return problems


def problems_of(directory: Path) -> list[str]:
    """List everything that is wrong with a model directory: file set, sizes, SHA-256, manifest, schema CRC."""
    if not directory.is_dir():
        return [f"{directory}: no such directory"]
    problems = file_set_problems(directory)
    if problems:
        return problems
    try:
        problems += digest_problems(directory, read_json(directory / MANIFEST, Manifest))
    except FormatError as error:
        problems.append(str(error))
    try:
        sidecar = read_json(directory / SIDECAR, Sidecar)
        if (crc := sidecar_crc32(sidecar)) != sidecar.schema_crc32:
            problems.append(f"{SIDECAR}: schema_crc32 {sidecar.schema_crc32}, its features give {crc}")
    except FormatError as error:
        problems.append(str(error))
    return problems


def verify(directory: Path) -> str:
    """Return the digest of a sound model directory.

    Raises
    ------
    IntegrityError
        With one line for each problem.
    """
    problems = problems_of(directory)
    if problems:
        raise IntegrityError("\n".join(f"{directory.name}: {problem}" for problem in problems))
    return tree_digest(directory)


def verified_bytes(directory: Path, name: str) -> bytes:
    """Read one file and check those very bytes against the manifest, so that what is used is what was hashed."""
    entry = read_json(directory / MANIFEST, Manifest).files.get(name)
    content = read_bytes(directory / name)
    if entry is None or sha256(content) != entry.sha256:
        raise IntegrityError(f"{directory.name}: {name} is not the file that {MANIFEST} lists; run modelgates verify")
    return content
