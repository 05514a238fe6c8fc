"""A model directory: bytes by name, and whether they are what its manifest lists; and the one on a local disk.

The local one is opened once: whatever happens to its path, all that is hashed and loaded is from one directory.
"""

import errno
import fcntl
import os
import weakref
from abc import abstractmethod
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

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


class ModelDirectory(Protocol):
    """The files of one model: their bytes by name, and whether they are what its manifest lists.

    Whatever reads a model takes one of these. An implementation says where the files lie, as `LocalDirectory` does for
    a disk: it subclasses this, sets the attributes, and defines the abstract methods. How they are checked is written
    here, once for all. A file that was read or digested once must stay the same, so that what is loaded after `verify`
    is what was verified; so an implementation gives `noted` the digest of whatever it hands out.

    Attributes
    ----------
    model_id : str
    digests : dict of str
        SHA-256 of every file that was read or digested so far, by its name: of all after `verify`.
    """

    model_id: str
    digests: dict[str, str]

    @abstractmethod
    def close(self) -> None:
        """Let the files go: they may be deleted now."""

    @abstractmethod
    def entries(self) -> dict[str, os.stat_result]:
        """Say what lies there now: its kind and size, by name; what a link leads to does not count."""

    @abstractmethod
    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        """Read a file of at most `limit` bytes.

        Raises
        ------
        FormatError
            If it is missing, not a regular file, or too large.
        IntegrityError
            If its bytes are not those of the first time.
        """

    @abstractmethod
    def panel_file(self) -> DigestedFile:
        """Open the panel, which may be larger than memory; it can be read after the directory is closed.

        Raises as `read` does.
        """

    @abstractmethod
    def digest(self, name: str, size: int, *, keep: bool) -> str:
        """Give the SHA-256 of a file of at most `size` bytes, which stays in memory if it is to be kept."""

    def place(self, name: str) -> str:
        """Say in a message where a file lies."""
        return f"{self.model_id}/{name}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def verified(self, name: str) -> bytes:
        """Read a file, and refuse it unless its bytes are those that the manifest lists."""
        return self._as_listed(name, self.read)

    def verified_panel(self) -> DigestedFile:
        """Open the panel, and refuse it unless its bytes are those that the manifest lists."""
        return self._as_listed(PANEL, lambda _: self.panel_file())

    def _as_listed(self, name: str, take: Callable[[str], T]) -> T:
        entry = self.manifest.files.get(name)
        if entry is not None:
            content = take(name)
            if self.digests[name] == entry.sha256:
                return content
        raise IntegrityError(f"{self.model_id}: {name} is not the file that {MANIFEST} lists; run modelgates verify")

    def json(self, name: str, kind: type[T], *, limit: int = MAX_JSON_BYTES) -> T:
        """Read a JSON file strictly as a type."""
        source = self.place(name)
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
        found = self.entries()
        problems = [f"{name}: missing" for name in FILES if name not in found]
        unexpected = sorted(set(found) - set(FILES))
        problems += [f"{printable(name)}: does not belong in a model directory" for name in unexpected]
        odd = [name for name in FILES if name in found and not is_regular(found[name])]
        return problems + [f"{name}: {why_not_regular(found[name])}" for name in odd]

    def digest_problems(self, *, keep: Collection[str] = ()) -> list[str]:
        """Compare size and SHA-256 of every file with the manifest; a file of another size is not read."""
        manifest, found, problems = self.manifest, self.entries(), []
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
            elif (digest := self.digest(name, entry.size, keep=name in keep)) != entry.sha256:
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
        return listing_digest(self.digests)

    def _schema_problems(self) -> list[str]:
        stated, crc = self.sidecar.schema_crc32, sidecar_crc32(self.sidecar)
        return [] if crc == stated else [f"{SIDECAR}: schema_crc32 {stated}, its features give {crc}"]

    def noted(self, name: str, digest: str) -> str:
        """Take note of a file's digest.

        Raises
        ------
        IntegrityError
            If it was another one the first time.
        """
        if self.digests.setdefault(name, digest) != digest:
            raise IntegrityError(f"{self.model_id}: {name} changed while it was in use; leave a packed model alone")
        return digest


class LocalDirectory(ModelDirectory):
    """One model directory on a disk, opened once; a shared lock on it tells garbage collection that it is in use.

    Every file is reached through the open directory.

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
        self.digests: dict[str, str] = {}
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

    def close(self) -> None:
        """Close the directory, which releases its lock."""
        self._close()

    def place(self, name: str) -> str:
        """Name the path."""
        return str(self.directory / name)

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        """Read a file; bytes that `verify` kept are handed over once, without a second read."""
        kept = self._kept.pop(name, None)
        if kept is not None and len(kept) <= limit:
            return kept
        with open_regular(self._folder, name, self.directory / name, limit=limit) as file:
            # read(n) allocates n bytes up front, so it gets the file's size and not the limit.
            content = file.read(os.fstat(file.fileno()).st_size + 1)
        self.noted(name, sha256(content))
        return content

    def panel_file(self) -> DigestedFile:
        """Open the panel; see `ModelDirectory`."""
        if kept := self._kept_panel:
            self._kept_panel = None
            return kept
        source = self.directory / PANEL
        with open_regular(self._folder, PANEL, source, limit=most_bytes(PANEL)) as file:
            opened = DigestedFile(file.fileno(), f"{self.model_id}: {PANEL}")
        self.noted(PANEL, opened.sha256)
        return opened

    def entries(self) -> dict[str, os.stat_result]:
        """Say what lies there now; see `ModelDirectory`."""
        found = {}
        for name in os.listdir(self._folder):
            with suppress(FileNotFoundError):
                found[name] = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        return found

    def digest(self, name: str, size: int, *, keep: bool) -> str:
        """Give the SHA-256 of a file; see `ModelDirectory`."""
        limit = min(size, most_bytes(name))
        if keep and name == PANEL:
            self._kept_panel = None  # of an earlier call
            self._kept_panel = self.panel_file()
            return self.digests[name]
        if keep:
            self._kept.pop(name, None)  # of an earlier call, and perhaps no longer what lies there
            self._kept[name] = self.read(name, limit=limit)
            return self.digests[name]
        with open_regular(self._folder, name, self.directory / name, limit=limit) as file:
            return self.noted(name, digest_regular(file, limit=size))


def verify(directory: Path) -> str:
    """Return the digest of a sound model directory; see `ModelDirectory.verify`."""
    with LocalDirectory(directory) as model:
        return model.verify()
