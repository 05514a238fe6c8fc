"""What this interpreter has installed: the standard library, distributions by their RECORD, editable ones by folder.

Where code comes from is looked up here and never read off a path, since any folder may be called site-packages.
"""

import csv
import os
import site
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from ..storage.paths import is_folder

CODE = (".py", ".so", ".pyc")


class Kind(IntEnum):
    """Where a file of code belongs, the least trusted kind first."""

    STRANGER = 0
    EDITABLE = 1
    INSTALLED = 2
    LIBRARY = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file of code belongs, and the name that is the same on every machine.

    An installed package goes by its import name, a file of an editable install by its distribution and its path there,
    a file of the standard library by its last folder and its name, and a stranger by its whole path.
    """

    kind: Kind
    name: str


class _Origin(msgspec.Struct):
    """What pip writes beside a distribution that was installed from a folder: `direct_url.json`."""

    url: str
    dir_info: dict[str, bool] = {}


class Installed:
    """The places of one interpreter, read once."""

    def __init__(self, locations: list[str], libraries: list[str]) -> None:
        self._libraries = _spellings(libraries)
        self._locations = _spellings(locations)
        self._recorded: set[str] = set()
        self._unrecorded: set[str] = set()
        self.editable: dict[str, Path] = {}
        for location in map(os.path.realpath, locations):
            recorded = set(self._read(location))
            self._recorded |= recorded
            if not recorded:
                # A Linux distribution keeps no RECORD of its own packages, in folders that only root can write to.
                self._unrecorded.add(location + os.sep)

    def _read(self, location: str) -> Iterator[str]:
        """Read what each distribution of a location recorded, and note which are editable."""
        for name in os.listdir(location) if is_folder(Path(location)) else ():
            if not name.endswith(".dist-info"):
                continue
            folder = os.path.join(location, name)
            try:
                text = Path(folder, "RECORD").read_text("utf-8")
            except OSError:
                continue
            if "/direct_url.json," in text and (source := _editable_from(Path(folder, "direct_url.json"))):
                self.editable[name.partition("-")[0]] = source
            for line in text.splitlines():
                file = next(csv.reader([line]))[0] if line.startswith('"') else line.partition(",")[0]
                if file.endswith(CODE):
                    yield os.path.join(location, file)

    def place(self, file: str, *, recorded: bool = True) -> Place:
        """Say where a file belongs; with `recorded` false its location is enough, whatever a RECORD says.

        A virtual environment's own start files are in no RECORD.
        """
        if not os.path.isabs(file):  # "<string>": compiled from text
            return Place(Kind.STRANGER, file)
        # Most files are found as they are spelt, and to follow their links would take most of the time.
        if place := self._spelt(os.path.normpath(file), recorded=recorded):
            return place
        real = os.path.realpath(file)
        if place := self._spelt(real, recorded=recorded):
            return place
        for name, folder in self.editable.items():
            if Path(real).is_relative_to(folder):
                return Place(Kind.EDITABLE, f"{name}:{Path(real).relative_to(folder)}")
        return Place(Kind.STRANGER, real)

    def _spelt(self, file: str, *, recorded: bool) -> Place | None:
        """Find a file in a location or a library, by one spelling of its path."""
        for location, true in self._locations.items():
            if file.startswith(location):
                inside = file.removeprefix(location)
                if not recorded or true in self._unrecorded or true + inside in self._recorded:
                    return Place(Kind.INSTALLED, inside.partition(os.sep)[0].partition(".")[0])
                return Place(Kind.STRANGER, os.path.realpath(file))
        for library in self._libraries:
            inside = file.removeprefix(library)
            # Other environments' packages often lie below the standard library.
            if inside != file and not inside.startswith(("site-packages", "dist-packages")):
                return Place(Kind.LIBRARY, os.sep.join(file.split(os.sep)[-2:]))
        return None


@cache
def installed() -> Installed:
    """Look up what is installed here, once."""
    paths = sysconfig.get_paths()
    locations = [*site.getsitepackages(), paths["purelib"], paths["platlib"]]
    if site.ENABLE_USER_SITE:
        locations.append(site.getusersitepackages())
    return Installed(list(dict.fromkeys(locations)), [paths["stdlib"], paths["platstdlib"]])


def _spellings(folders: list[str]) -> dict[str, str]:
    """Both spellings of each folder, as named and as it really lies, and what it really is."""
    real = {folder: os.path.realpath(folder) + os.sep for folder in folders}
    return {os.path.abspath(folder) + os.sep: true for folder, true in real.items()} | {
        true: true for true in real.values()
    }


def _editable_from(file: Path) -> Path | None:
    """The folder that a distribution was installed from, if it is editable."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_Origin)
    except (OSError, msgspec.DecodeError):
        return None
    if not found.dir_info.get("editable"):
        return None
    return Path(os.path.realpath(unquote(urlsplit(found.url).path)))
