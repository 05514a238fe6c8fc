"""Which files of code a run loaded that belong to nothing installed, each digested before it was executed."""

import ast
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

from ..evidence.installed import Kind, installed
from ..evidence.trust import PACKAGE
from ..storage.digests import sha256_of
from ..storage.paths import is_folder

# The digest of what is not a file, such as a module inside an archive: nothing has it.
NO_FILE = "0" * 64
# What this package measures with, beside the standard library; `test` is also what repositories call their tests.
MEASURES = {"_pytest", "msgspec", "numpy", "onnx", "onnxruntime", "pandas", "pluggy", "pyarrow", "pytest", "scipy"}
_NAMES = MEASURES | sys.stdlib_module_names - {"test"}


@cache
def foreign(file: str, *, recorded: bool = True) -> bool:
    """Whether a file of code belongs neither to this package nor to anything installed."""
    if file.startswith(f"{PACKAGE}{os.sep}") and not file.startswith(f"{PACKAGE / 'gates'}{os.sep}"):
        return False
    if installed().place(file, recorded=recorded).kind not in (Kind.STRANGER, Kind.EDITABLE):
        return False
    with suppress(OSError):  # what cannot be seen may hold code
        # pytest's importlib mode makes modules of folders, which have no code of their own.
        return not is_folder(Path(file))
    return True


class Loaded:
    """The foreign files that this process loaded: a finder that stands before all others and leaves the work to them.

    A file may also be handed to one of Python's own loaders without being looked for, so these are watched too.

    Attributes
    ----------
    digests : dict of str to str
        SHA-256 of each file, by its path, as it was before its code ran.
    in_place : set of str
        Those that stand in the place of what this package measures with.
    """

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.in_place: set[str] = set()
        self._by: dict[str, set[str]] = {}
        self._executed: dict[str, list[ModuleType]] = {}
        self._loaders = pytest.MonkeyPatch()
        self._seen: set[str] = set()
        for name, module in list(sys.modules.items()):
            # A virtual environment's own start files are in no RECORD, so here the location is enough.
            if (file := _file_of(module)) and foreign(file, recorded=False):
                self._note(file, name)
        self._seen = set(sys.modules)
        sys.meta_path.insert(0, self)
        for loader in (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader):
            self._loaders.setattr(loader, "exec_module", self._watched(loader.exec_module))

    def close(self) -> None:
        """Stop watching."""
        self._loaders.undo()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Let the other finders find a module, and digest its file before it is executed."""
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find else None
            if spec is not None:
                if spec.has_location and spec.origin and foreign(spec.origin):
                    self._note(spec.origin, name)
                    self._by.setdefault(_importer(sys._getframe(1)), set()).add(name)
                return spec
        return None

    def _watched(self, execute: Callable[[Any, ModuleType], None]) -> Callable[[Any, ModuleType], None]:
        """Digest a file before a loader executes it."""

        def exec_module(loader: Any, module: ModuleType) -> None:
            if foreign(loader.path):
                self._note(loader.path, executed=True)
                self._executed.setdefault(_importer(sys._getframe(1)), []).append(module)
            execute(loader, module)

        return exec_module

    def _note(self, file: str, name: str = "", *, executed: bool = False) -> None:
        file = os.path.realpath(file)
        if name.partition(".")[0] in _NAMES:
            self.in_place.add(file)
        if file not in self.digests:
            self.digests[file] = digest_of(file)
        elif executed and digest_of(file) != self.digests[file]:  # what ran is both, and neither alone
            self.digests[file] = NO_FILE

    def look_again(self) -> dict[str, str]:
        """Note what was loaded past the finder, and return all."""
        for name in sys.modules.keys() - self._seen:
            self._seen.add(name)
            if (file := _file_of(sys.modules.get(name))) and foreign(file):
                self._note(file, name)
        return self.digests

    def used_by(self, module: ModuleType) -> set[str]:
        """Find the foreign files that a module imports, and those that these import; not its own."""
        todo, found = [module], dict[str, None]()
        while todo:
            current = todo.pop()
            file = os.path.realpath(_file_of(current) or "")
            if file in found:
                continue
            found[file] = None
            names = [*_imports(file, current.__package__ or ""), *self._by.get(file, ())]
            modules = [*map(sys.modules.get, names), *self._executed.get(file, ())]
            todo += [each for each in modules if each and (place := _file_of(each)) and foreign(place)]
        return set(list(found)[1:])


def digest_of(file: str) -> str:
    """Digest a file of code; what cannot be read has a digest that no file has."""
    try:
        return sha256_of(Path(file))
    except OSError:
        return NO_FILE


def parsed(file: Path) -> ast.Module:
    """Parse a file of code; one that cannot be, since it changed after it was loaded, is as if it were empty."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _file_of(module: object) -> str | None:
    """Where a module was loaded from. Lazy modules are not asked, because asking would load them."""
    known = getattr(module, "__dict__", {})
    file = known.get("__file__")
    return file if isinstance(file, str) and known.get("__name__") != "__main__" else None


def _importer(frame: FrameType | None) -> str:
    """Name the nearest foreign file on the stack: the one whose import it is."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<") and foreign(file):
            return os.path.realpath(file)
        frame = frame.f_back
    return ""


@cache
def _imports(file: str, package: str) -> tuple[str, ...]:
    """List the modules that the import statements of a file may load, wherever they stand in it."""
    return tuple(dict.fromkeys([*_with_parents(package), *_named(parsed(Path(file)), package)]))


def _named(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            try:
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # more dots than folders
                continue
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    """A module and the packages around it, whose `__init__.py` run first."""
    parts = name.split(".") if name else []
    return (".".join(parts[: index + 1]) for index in range(len(parts)))
