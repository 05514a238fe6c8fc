"""The code that a run was made of: which files, what they held when they were loaded, and what became of them."""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from ..evidence.installed import Kind, installed
from ..storage.digests import sha256_of
from .doubles import named_twice
from .loaded import Loaded, digest_of
from .origins import foreign_files


class CodeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What one process saw of the code around one phase of one gate; files go by their paths.

    `loaded` are digests of files that belong to nothing installed, each sent once, or again if it was loaded as
    another; `uses` are those that the gate is made of besides its own; `twice` says what the gate's file names more
    than once.
    """

    loaded: dict[str, str] = {}
    uses: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()


class Watch:
    """What one process loads, until it is closed."""

    def __init__(self) -> None:
        self._loaded = Loaded()
        self._sent: dict[str, str] = {}
        self._read: set[Path] = set()

    def close(self) -> None:
        """Stop watching."""
        self._loaded.close()

    def seen(self, item: pytest.Item, when: str) -> CodeSeen:
        """Say what is new at a phase of a gate: at its set-up, and at its end, because it may import while it runs."""
        if when == "call":
            return CodeSeen()
        digests = self._loaded.look_again()
        new = {file: digest for file, digest in digests.items() if self._sent.get(file) != digest}
        self._sent |= new
        twice = named_twice(item) if item.path not in self._read else []
        self._read.add(item.path)
        module, function = getattr(item, "module", None), getattr(item, "function", None)
        uses = (self._loaded.used_by(module) if module else set()) | foreign_files(function) | self._loaded.in_place
        return CodeSeen(loaded=new, uses=tuple(sorted(uses - {os.path.realpath(item.path)})), twice=tuple(twice))


class Code:
    """The code of a whole run, from whichever processes it was loaded in."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._files: dict[str, Path] = {}
        self._edited: set[str] = set()
        self._twice: dict[str, tuple[str, ...]] = {}
        self._places: dict[str, str] = {}
        self._taken: set[str] = set()
        self.changed: tuple[str, ...] = ()

    def add(self, seen: CodeSeen, gate_file: Path) -> str:
        """Add what one process saw, and return the name of the gate's file."""
        for file, digest in seen.loaded.items():
            # Each worker loads a file by itself, and may have found another one.
            if self._digests.setdefault(file, digest) != digest:
                self._edited.add(file)
        # By two folders, so that the same suite has the same digest wherever it lies.
        place = "/".join(gate_file.parts[-2:])
        if self._files.setdefault(place, gate_file) != gate_file:
            place = str(gate_file)
            self._files[place] = gate_file
        if seen.twice:
            self._twice[place] = seen.twice
        file = os.path.realpath(gate_file)
        if file not in self._digests:  # an installed gate file, which the watch passes over
            self._digests[file] = sha256_of(gate_file)
        return place

    def close(self, used: Iterable[str], *, all_count: bool) -> None:
        """Name every file, now that no further gate file can ask for a name, and digest again those that count."""
        self._places = {os.path.realpath(path): place for place, path in self._files.items()}
        self._taken = set(self._files)
        asked = set(self._digests) if all_count else {*used, *self._places} & self._digests.keys()
        changed = {file for file in asked if digest_of(file) != self._digests[file]} | (asked & self._edited)
        self.changed = tuple(sorted(map(self.place, changed)))

    def place(self, file: str) -> str:
        """Name a file as it is called wherever it lies; what is not a path has its name already."""
        if not os.path.isabs(file):
            return file
        if file not in self._places:
            found, short = installed().place(file), "/".join(Path(file).parts[-2:])
            name = found.name if found.kind is Kind.EDITABLE else file if short in self._taken else short
            self._places[file] = name
            self._taken.add(name)
            # A conftest that another one of its name replaced was never seen.
            self._digests.setdefault(file, digest_of(file))
        return self._places[file]

    @property
    def suite(self) -> dict[str, str]:
        """Digests of the files that gates were collected from."""
        return {place: self._digests[os.path.realpath(path)] for place, path in self._files.items()}

    @property
    def modules(self) -> dict[str, str]:
        """Digests of every other file that belongs to nothing installed."""
        named = {self.place(file): digest for file, digest in sorted(self._digests.items())}
        return {place: digest for place, digest in named.items() if place not in self._files}

    @property
    def twice(self) -> tuple[str, ...]:
        """What gate files name more than once, one line a file."""
        return tuple(f"{place} defines {' and '.join(what)}" for place, what in sorted(self._twice.items()))
