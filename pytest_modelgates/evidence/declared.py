"""Which gates the files of a suite declare, read from their text: no test is imported or run."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..storage.paths import walk


@dataclass(frozen=True, slots=True)
class Declared:
    """The gates that files declare; `complete` says whether each mark names its gate in plain text."""

    gates: frozenset[str]
    complete: bool


def declared_gates(folders: Iterable[Path]) -> Declared:
    """Read every ``@pytest.mark.gate("family.name")`` below these folders."""
    names: list[str | None] = []
    for folder in folders:
        for place, _, found in walk(folder):
            names += (mark for name in found if name.endswith(".py") for mark in _marks(Path(place, name)))
    return Declared(frozenset(name for name in names if name is not None), None not in names)


def _marks(path: Path) -> Iterator[str | None]:
    """Yield the gate of each mark of a file; None for one that only running the file would tell."""
    try:
        content = path.read_bytes()
        nodes = list(ast.walk(ast.parse(content))) if b"gate" in content else []
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        yield None
        return
    for node in nodes:
        if isinstance(node, ast.Call) and _is_mark(node.func):
            first = node.args[0] if node.args else None
            yield first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _is_mark(called: ast.expr) -> bool:
    """Whether this is ``pytest.mark.gate`` or ``mark.gate``."""
    if not (isinstance(called, ast.Attribute) and called.attr == "gate"):
        return False
    holder = called.value
    return (holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")) == "mark"
