"""What is wrong within a policy or an operations.toml: everything at once, each with its line and column."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from ..errors import FormatError
from ..storage.paths import kind_of
from ..storage.strict_json import read_bytes
from ..storage.toml import parse_toml
from ..storage.toml_positions import Keys, Positions
from .load import complete, contradictions, over_default
from .misfits import UNKNOWN, Misfit, is_known, misfits, named, without
from .operations import NAME, Operations, misplaced, without_moved
from .policy import Policy
from .toml import over, packaged

_BY_GATE = ("gate", "severity")  # a contradiction here is one with the row of the gate that measures it
Which = Literal["policy", "operations"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong in a file, or a note that asks for nothing; `line` and `column` count from 1, 0 is none."""

    file: str
    line: int
    column: int
    text: str
    note: bool = False

    def __str__(self) -> str:
        """Write it as compilers do, so that editors find the place."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {'note: ' if self.note else ''}{self.text}"


@dataclass(slots=True)
class Source:
    """A file as it was read, and what was found in it so far; what is not TOML has no tables.

    `wrong` are the keys whose own value does not fit: what follows from them is not known.
    """

    file: str
    tables: dict[str, Any] = field(default_factory=dict)
    positions: Positions = field(default_factory=lambda: Positions(""))
    problems: list[Problem] = field(default_factory=list)
    wrong: set[Keys] = field(default_factory=set)
    readable: bool = True

    def add(self, keys: Keys, text: str, *, note: bool = False) -> None:
        """Add a problem where a key stands, or its table; leave it out if the key's own value does not fit."""
        if _of_key(keys) in self.wrong:
            return
        placed = any(keys[:length] in self.positions for length in range(1, len(keys) + 1))
        line, column = self.positions.of(keys) if placed else (0, 0)
        self.problems.append(Problem(self.file, line, column, text, note))


def read_source(path: Path, name: str) -> Source:
    """Read a file; `name` is what problems call it."""
    try:
        if kind_of(path) is None:
            raise FormatError(f"{path}: no such file")
        content = read_bytes(path)
    except FormatError as error:
        why = str(error).removeprefix(f"{path}: ")
        return Source(name, problems=[Problem(name, 0, 0, why)], readable=False)
    try:
        tables = parse_toml(content)
    except FormatError as error:
        return Source(name, problems=[_not_toml(name, content, error)], readable=False)
    return Source(name, tables, Positions(content.decode()))


def which_file(path: Path, tables: dict[str, Any]) -> Which:
    """Tell a policy from an operations.toml: by its name, else by its keys; a policy if both would do."""
    if path.name in (NAME, "policy.toml"):
        return "operations" if path.name == NAME else "policy"
    keys: list[Keys] = [(name,) for name in tables]
    keys += [(name, key) for name, table in tables.items() if isinstance(table, dict) for key in table]
    operates, judges = (sum(is_known(key, kind) for key in keys) for kind in (Operations, Policy))
    return "operations" if operates > judges else "policy"


def check_operations(source: Source) -> dict[str, Any]:
    """Add every problem of an operations.toml to its source; give its tables without them."""
    return _fitting(source, source.tables, _over_packaged, Operations)[0]


def check_policy(source: Source, operations: dict[str, Any]) -> Policy:
    """Add every problem of a policy to its source; give the policy that it makes without them.

    Parameters
    ----------
    source : Source
    operations : dict
        The tables of the operations.toml beside it.
    """
    own, moved = without_moved(source.tables)
    moved, _ = _fitting(source, moved, _over_packaged, Operations)
    for keys, text in misplaced(moved, operations, Path(source.file)):
        source.add(keys, text)
    kept, wrong = _fitting(source, own, over_default, Policy)
    policy = complete(over_default(kept), source.file)
    # What depends on a row that is wrong itself is not known.
    doubtful = {keys[1] for keys in wrong if keys[0] == "slo" and len(keys) > 1}
    for keys, text in contradictions(policy):
        if keys[0] == "slo" and doubtful & {keys[1], policy.slo[str(keys[1])].gate if keys[-1] in _BY_GATE else None}:
            continue
        source.add(keys, text)
    return policy


def _of_key(keys: Keys) -> Keys:
    return keys[:-1] if isinstance(keys[-1], int) else keys


def _over_packaged(own: dict[str, Any]) -> dict[str, Any]:
    return over(packaged(NAME), own)


def _fitting(
    source: Source, tables: dict[str, Any], merged: Callable[[dict[str, Any]], dict[str, Any]], kind: type[Any]
) -> tuple[dict[str, Any], list[Keys]]:
    """Add what does not fit a type to its source; give the tables without it, and the places that were left out."""
    everything = merged(tables)
    wrong = list(misfits(everything, kind))
    other, place = (Policy, "the policy") if kind is Operations else (Operations, NAME)
    for keys, text in wrong:
        if text.startswith(UNKNOWN) and is_known(keys, other):
            text = f"it belongs in {place}"
        elif keys[0] == "slo":
            text = _of_slo(keys, everything["slo"], text)
        source.add(keys, f"{named(keys, everything)}: {text}")
    source.wrong |= {_of_key(keys) for keys, _ in wrong}
    left: list[Misfit] = wrong
    while left:  # where a needed key goes, its table must go too
        tables = without(tables, (keys for keys, _ in left))
        left = list(misfits(merged(tables), kind))
    return tables, [keys for keys, _ in wrong]


def _of_slo(keys: Keys, rows: Any, text: str) -> str:
    """Add to a problem of an SLO what is likely meant."""
    name = str(keys[1]) if len(keys) > 1 else ""
    if len(keys) == 2 and isinstance(rows[name], dict):
        whole = [other for other, row in rows.items() if isinstance(row, dict) and "unit" in row]
        like = get_close_matches(name, whole, 1)
        return f"{text}; or did you mean {like[0]!r}?" if like else text
    if len(keys) == 3 and "." not in name and isinstance(rows[name][keys[2]], dict):
        return f'an SLO is named within quotes: [slo."{name}.{keys[2]}"]'
    return text


def _not_toml(name: str, content: bytes, error: FormatError) -> Problem:
    """Find where a parser gave up, by what it says."""
    text = str(error)
    if content.startswith(codecs.BOM_UTF8):
        return Problem(name, 1, 1, f"not TOML: {text}")
    if isinstance(error.__cause__, UnicodeDecodeError):
        before = content[: error.__cause__.start].decode()
        return Problem(name, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1, "not TOML: it is not UTF-8")
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)", text)
    if place is None:
        return Problem(name, 0, 0, f"not TOML: {text}")
    lines = content.decode().split("\n")
    line, column = (int(place[1]), int(place[2])) if place[1] else (len(lines), len(lines[-1]) + 1)
    return Problem(name, line, column, f"not TOML: {text.replace(place[0], '')}")
