"""A model directory, opened once: whatever happens to its path, all that is hashed and loaded is from one directory."""

import errno
import fcntl
import os
import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from ..errors import FormatError, GoneError, IntegrityError
from ..storage.digested_file import DigestedFile
from ..storage.digests import listing_digest, sha256
from ..storage.regular_files import (
    MAX_FILE_BYTES,
    digest_regular,
    is_regular,
    most_bytes,
    open_folder,
    open_regular,
    why_not_regular,
)
from ..storage.strict_json import MAX_JSON_BYTES, parse_json, typed
from ..storage.text import printable
from .manifest import Manifest
from .schema import sidecar_crc32
from .sidecar import Sidecar

T = TypeVar("T")

MODEL = "model.onnx"
SIDECAR = "sidecar.json"
PARITY = "parity.json"
BENCH = "bench.json"
CHANGES = "CHANGES.md"
PANEL = "evaluation.parquet"
MANIFEST = "manifest.json"
FILES = (MODEL, SIDECAR, PARITY, BENCH, CHANGES, PANEL, MANIFEST)
MAX_MANIFEST_BYTES = 2**20
# errno values from file systems that cannot lock directories.
_NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class ModelDirectory:
    """One model directory, opened once; a shared lock on it tells garbage collection that it is in use.

    Every file is reached through the open directory. A file that was read or digested once must stay the same, so what
    is loaded after `verify` is what was verified.

    Parameters
    ----------
    directory : Path
        The directory itself, not a link to it.

    Raises
    ------
    GoneError
        If there is no such directory, or it is moved away while it is being opened.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.model_id = directory, directory.name
        self._digests: dict[str, str] = {}
        self._kept: dict[str, bytes] = {}
        self._kept_panel: DigestedFile | None = None
        gone = GoneError(f"{directory}: no such directory")
        try:
            self._folder = open_folder(directory)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            raise gone from error
        self._close = weakref.finalize(self, os.close, self._folder)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_SH)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        # Garbage collection may have moved it away before we had the lock.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(directory), os.fstat(self._folder)):
                return
        raise gone

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory, which releases its lock."""
        self._close()

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        """Read a file of at most `limit` bytes.

        Bytes that `verify` kept are handed over once, without a second read.

        Raises
        ------
        FormatError
            If it is missing, not a regular file, or too large.
        IntegrityError
            If its bytes are not those of the first time.
        """
        kept = self._kept.pop(name, None)
        if kept is not None and len(kept) <= limit:
            return kept
        with open_regular(self._folder, name, self.directory / name, limit=limit) as file:
            # read(n) allocates n bytes up front, so it gets the file's size and not the limit.
            content = file.read(os.fstat(file.fileno()).st_size + 1)
        self._note(name, sha256(content))
        return content

    def verified(self, name: str) -> bytes:
        """Read a file, and refuse it unless its bytes are those that the manifest lists."""
        return self._as_listed(name, self.read)

    def panel_file(self) -> DigestedFile:
        """Open the panel, which may be larger than memory; it can be read after the directory is closed.

        Raises
        ------
        FormatError
            If it is missing, not a regular file, or too large.
        IntegrityError
            If its bytes are not those of the first time.
        """
        if kept := self._kept_panel:
            self._kept_panel = None
            return kept
        source = self.directory / PANEL
        with open_regular(self._folder, PANEL, source, limit=most_bytes(PANEL)) as file:
            opened = DigestedFile(file.fileno(), f"{self.model_id}: {PANEL}")
        self._note(PANEL, opened.sha256)
        return opened

    def verified_panel(self) -> DigestedFile:
        """Open the panel, and refuse it unless its bytes are those that the manifest lists."""
        return self._as_listed(PANEL, lambda _: self.panel_file())

    def _as_listed(self, name: str, take: Callable[[str], T]) -> T:
        entry = self.manifest.files.get(name)
        if entry is not None:
            content = take(name)
            if self._digests[name] == entry.sha256:
                return content
        raise IntegrityError(f"{self.model_id}: {name} is not the file that {MANIFEST} lists; run modelgates verify")

    def json(self, name: str, kind: type[T], *, limit: int = MAX_JSON_BYTES) -> T:
        """Read a JSON file strictly as a type."""
        source = str(self.directory / name)
        return typed(parse_json(self.read(name, limit=limit), source), kind, source)

    @cached_property
    def manifest(self) -> Manifest:
        """What the files must be."""
        return self.json(MANIFEST, Manifest, limit=MAX_MANIFEST_BYTES)

    @cached_property
    def sidecar(self) -> Sidecar:
        """Schema and metadata."""
        return self.json(SIDECAR, Sidecar)

    def file_set_problems(self) -> list[str]:
        """Compare the names in the directory with the fixed set; only regular files may lie there."""
        found = self._entries()
        problems = [f"{name}: missing" for name in FILES if name not in found]
        unexpected = sorted(set(found) - set(FILES))
        problems += [f"{printable(name)}: does not belong in a model directory" for name in unexpected]
        odd = [name for name in FILES if name in found and not is_regular(found[name])]
        return problems + [f"{name}: {why_not_regular(found[name])}" for name in odd]

    def digest_problems(self, *, keep: Collection[str] = ()) -> list[str]:
        """Compare size and SHA-256 of every file with the manifest; a file of another size is not read."""
        manifest, found, problems = self.manifest, self._entries(), []
        if manifest.id != self.model_id:
            problems.append(f"{MANIFEST}: written for model {printable(manifest.id)}, found in {self.model_id}")
        expected = set(FILES) - {MANIFEST}
        if set(manifest.files) != expected:
            odd = printable(", ".join(sorted(set(manifest.files) ^ expected)))
            problems.append(f"{MANIFEST}: must list every other file and nothing else; look at {odd}")
        for name in sorted(expected & set(manifest.files)):
            entry = manifest.files[name]
            if name not in found:
                problems.append(f"{name}: missing")
            elif (size := found[name].st_size) != entry.size:
                problems.append(f"{name}: {size} bytes, the manifest says {entry.size}")
            elif (digest := self._digest(name, entry.size, keep=name in keep)) != entry.sha256:
                problems.append(f"{name}: SHA-256 {digest[:12]}…, the manifest says {entry.sha256[:12]}…")
        return problems

    def problems(self, *, keep: Collection[str] = ()) -> list[str]:
        """List everything that is wrong: file set, sizes, SHA-256, manifest, schema CRC."""
        problems = self.file_set_problems()
        if problems:
            return problems
        for look in (partial(self.digest_problems, keep={*keep, SIDECAR}), self._schema_problems):
            try:
                problems += look()
            except FormatError as error:
                problems.append(str(error))
        return problems

    def verify(self, *, keep: Collection[str] = ()) -> str:
        """Return the digest of a sound model directory; every file is digested once.

        Parameters
        ----------
        keep : collection of str
            Files that will be read next; their bytes stay in memory, so that they are not read and digested again.

        Raises
        ------
        IntegrityError
            With one line for each problem.
        """
        problems = self.problems(keep=keep)
        if problems:
            raise IntegrityError("\n".join(f"{self.model_id}: {problem}" for problem in problems))
        return listing_digest(self._digests)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of every file that was read or digested so far, by its name: of all after `verify`."""
        return dict(self._digests)

    def _schema_problems(self) -> list[str]:
        stated, crc = self.sidecar.schema_crc32, sidecar_crc32(self.sidecar)
        return [] if crc == stated else [f"{SIDECAR}: schema_crc32 {stated}, its features give {crc}"]

    def _entries(self) -> dict[str, os.stat_result]:
        found = {}
        for name in os.listdir(self._folder):
            with suppress(FileNotFoundError):
                found[name] = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        return found

    def _digest(self, name: str, size: int, *, keep: bool) -> str:
        limit = min(size, most_bytes(name))
        if keep and name == PANEL:
            self._kept_panel = None  # of an earlier call
            self._kept_panel = self.panel_file()
            return self._digests[name]
        if keep:
            self._kept.pop(name, None)  # of an earlier call, and perhaps no longer what lies there
            self._kept[name] = self.read(name, limit=limit)
            return self._digests[name]
        with open_regular(self._folder, name, self.directory / name, limit=limit) as file:
            return self._note(name, digest_regular(file, limit=size))

    def _note(self, name: str, digest: str) -> str:
        if self._digests.setdefault(name, digest) != digest:
            raise IntegrityError(f"{self.model_id}: {name} changed while it was in use; leave a packed model alone")
        return digest


def verify(directory: Path) -> str:
    """Return the digest of a sound model directory; see `ModelDirectory.verify`."""
    with ModelDirectory(directory) as model:
        return model.verify()
