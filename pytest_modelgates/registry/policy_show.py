"""The policy and the operations in force, with the place that each value comes from."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from ..artifacts import Artifacts
from ..policy.check import Source, read_source
from ..policy.operations import NAME, without_moved
from ..policy.policy import Policy
from ..policy.sources import Layer, Value, values
from ..policy.toml import packaged
from ..storage.paths import is_there
from ..storage.text import printable
from .in_force import InForce
from .policy_check import display

WIDTH = 56  # of a value; the rest of 80 columns is for its source


@dataclass(frozen=True, slots=True)
class Shown:
    """A file with what is in force by it. `file` is None if it is the packaged one alone."""

    file: str | None
    found: str
    digest: str
    values: Sequence[Value]


def show_policy(artifacts: Artifacts, in_force: InForce, asked: Path | None) -> Shown:
    """Give the values of the policy in force; `asked` is the one that was asked for."""
    file = in_force.place.file
    source = _read(file)
    layers = [
        Layer(None, packaged("default.toml")),
        Layer(source.file, without_moved(source.tables)[0], source.positions),
    ]
    pointed = f"named by {display(artifacts.policy)}" if is_there(artifacts.policy) else "beside the artifacts"
    found = "given by --policy" if asked else pointed
    of_policy = list(values(in_force.policy, layers))
    return Shown(source.file or None, found if file else "", in_force.policy.digest, of_policy)


def show_operations(in_force: InForce) -> Shown:
    """Give the values of the operations in force."""
    file, policy = in_force.place.operations, in_force.place.own
    own, older = _read(file), _read(policy)
    layers = [
        Layer(None, packaged(NAME)),
        Layer(older.file, without_moved(older.tables)[1], older.positions),
        Layer(own.file, own.tables, own.positions),
    ]
    found = [_without_secrets(value) for value in values(in_force.operations, layers)]
    return Shown(own.file or None, "beside the registry's policy" if file else "", in_force.operations.digest, found)


def _without_secrets(value: Value) -> Value:
    """Leave out the address of a route for alerts."""
    if value.key[:2] == ("alerts", "route") and value.key[-1] in ("url", "alertmanager"):
        return replace(value, value="…")
    return value


def in_words(what: str, shown: Shown) -> Iterator[str]:
    """Write a file and its values as lines of at most 80 columns, unless a name is longer."""
    yield f"{what}: {shown.file}, {shown.found}" if shown.file else f"{what}: the packaged one alone"
    yield f"  sha256:{shown.digest}"
    rows = [value for value in shown.values if value.key[0] != "slo"]
    for table, inside in groupby(rows, key=lambda value: value.key[:-1]):
        if table:
            name = ".".join(str(name) for name in table if isinstance(name, str))
            yield from ("", f"[[{name}]]" if isinstance(table[-1], int) else f"[{name}]")
        for value in inside:
            first, *more = textwrap.wrap(
                printable(f"{value.key[-1]} = {_toml(value.value)}"), WIDTH, subsequent_indent="    "
            )
            yield from (f"{first:{WIDTH}}  {value.source}", *more)


def limits_in_words(policy: Policy, shown: Shown) -> Iterator[str]:
    """Write every SLO as a line: name, severity, limit with its unit, and where a team's file sets any of it."""
    yield from ("", "[slo]")
    by_name: dict[str, list[Value]] = {}
    for value in shown.values:
        if value.key[0] == "slo":
            by_name.setdefault(str(value.key[1]), []).append(value)
    for name, of_slo in by_name.items():
        slo = policy.slo[name]
        own = [value for value in of_slo if value.file]
        source = (
            min(own, key=lambda value: value.line or 0) if own else next((v for v in of_slo if v.computed), of_slo[0])
        )
        yield printable(f"{name:28}  {slo.severity}  {f'{slo} {slo.unit}':26}  {source.source}")


def _read(path: Path | None) -> Source:
    return read_source(path, display(path)) if path else Source("")


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return str(value)
