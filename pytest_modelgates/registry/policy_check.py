"""What is wrong with a registry's policy and operations.toml, in the files and against what lies around them."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from ..artifacts import Artifacts
from ..errors import MissingExtraError, PolicyError, UsageError
from ..evidence.declared import declared_gates
from ..evidence.seal import KEY_PREFIX
from ..evidence.trust import shipped_gates
from ..policy.calendars import closes
from ..policy.check import Problem, Source, check_operations, check_policy, read_source, which_file
from ..policy.misfits import did_you_mean
from ..policy.operations import NAME
from ..policy.place import find_place
from ..policy.policy import Policy
from ..storage.paths import is_file, is_folder, is_there, kind_of
from ..storage.text import printable
from ..storage.toml_positions import Keys
from .in_force import why_unclear

PUBLIC_KEY = re.compile(KEY_PREFIX + "[0-9a-f]{64}")
Found = tuple[Keys, str]


@dataclass(slots=True)
class Checked:
    """Which files were read, and what was found, in the order of the files and their lines."""

    files: list[str] = field(default_factory=list)
    found: list[Problem] = field(default_factory=list)

    @property
    def problems(self) -> int:
        """How many of them ask for something."""
        return sum(not problem.note for problem in self.found)

    def take(self, source: Source) -> None:
        """Add a file with what was found in it."""
        self.files.append(source.file)
        self.found += sorted(source.problems)


def check_registry(artifacts: Artifacts, *, today: date, key: Path | None = None) -> Checked:
    """Check the policy and the operations.toml of a registry; `key` is the private key that commands would take."""
    checked, place = Checked(), find_place(artifacts)
    if problem := why_unclear(artifacts, place):
        checked.found.append(Problem(display(artifacts.policy), 0, 0, problem))
    operations = {}
    if place.operations:
        source = read_source(place.operations, display(place.operations))
        operations = _operations(source, today)
        checked.take(source)
    if place.file and is_there(place.file):
        source = read_source(place.file, display(place.file))
        if source.readable:
            check_around(source, check_policy(source, operations), place.repository, today)
        checked.take(source)
    if key and not is_file(key):
        checked.found.append(
            Problem("$MODELGATES_KEY", 0, 0, f"{printable(str(key))}: no such file; make one: modelgates keygen FILE")
        )
    return checked


def check_file(artifacts: Artifacts, path: Path, *, today: date) -> Checked:
    """Check one file, a policy or an operations.toml.

    Raises
    ------
    UsageError
        If there is no such file.
    """
    if not is_file(path):
        found = f"{kind}, expected a file" if (kind := kind_of(path)) else "no such file"
        raise UsageError(f"{path}: {found}; give a policy or an operations.toml")
    checked, source = Checked(), read_source(path, display(path))
    if source.readable and which_file(path, source.tables) == "operations":
        _operations(source, today)
    elif source.readable:
        beside = path.with_name(NAME)
        operations = check_operations(read_source(beside, str(beside))) if is_file(beside) else {}
        check_around(source, check_policy(source, operations), find_place(artifacts, path).repository, today)
    checked.take(source)
    return checked


def _operations(source: Source, today: date) -> dict[str, Any]:
    """Add the problems of an operations.toml, and whether the exchange is known whose calendar it names."""
    tables, keys = check_operations(source), ("watch", "silence", "calendar")
    if name := tables.get("watch", {}).get("silence", {}).get("calendar"):
        try:
            closes(name, today.year)
        except PolicyError as error:
            source.add(keys, str(error))
        except MissingExtraError as error:
            source.add(keys, f"[watch.silence] calendar was not checked: {error}", note=True)
    return tables


def check_around(source: Source, policy: Policy, root: Path, today: date) -> None:
    """Add to a policy's source what is well said and still suspicious, given the files around it and the day."""
    rows = source.tables.get("waiver")
    for keys, text in (
        *_missing_files(policy, root),
        *_waivers(rows if isinstance(rows, list) else [], policy, today),
        *_gates(policy, root),
        *_sealing(source, policy),
    ):
        source.add(keys, text)
    if not policy.registry.may_promote:
        source.add(("registry", "may_promote"), "[registry] may_promote is empty: everybody may promote", note=True)


def _missing_files(policy: Policy, root: Path) -> Iterator[Found]:
    rules = policy.evidence
    for name, folders in (("suites", rules.suites), ("modules", rules.modules)):
        for index, folder in enumerate(folders):
            if not is_folder(root / folder):
                yield (
                    ("evidence", name, index),
                    f"[evidence] {name}: no folder {printable(str(root / folder))}; fix the path",
                )
    for index, plugin in enumerate(rules.plugins):
        if plugin.endswith(".py") and not is_file(root / plugin):
            yield (
                ("evidence", "plugins", index),
                f"[evidence] plugins: no file {printable(str(root / plugin))}; fix the path",
            )
    for name, slo in policy.slo.items():
        for twin in slo.twins:
            file = twin.partition(":")[0]
            if ":" in twin and not is_file(root / file):
                yield ("slo", name, "twin"), f'[slo."{name}"] twin: no file {printable(str(root / file))}; fix the path'


def _waivers(rows: list[Any], policy: Policy, today: date) -> Iterator[Found]:
    """Look at the rows as they stand in the file: the policy holds only those that fit, and counts them anew."""
    gates = [name for name, slo in policy.slo.items() if slo.gate is None]
    for index, row in enumerate(row if isinstance(row, dict) else {} for row in rows):
        name, until = row.get("gate"), None
        if isinstance(name, str) and name.partition("[")[0] not in gates:
            like = did_you_mean(name, gates)
            yield ("waiver", index, "gate"), f"[[waiver]] gate: the policy has no gate {name!r}; {like}"
        with suppress(msgspec.ValidationError):
            until = msgspec.convert(row.get("until"), date)
        if until and until < today:
            yield ("waiver", index, "until"), f"[[waiver]] until: expired on {until}; take the row out, or renew it"


def _gates(policy: Policy, root: Path) -> Iterator[Found]:
    own = [root / name for name in policy.evidence.suites if is_folder(root / name)]
    declared = declared_gates([shipped_gates(), *own])
    if not declared.complete:
        return
    for name, slo in policy.slo.items():
        if slo.gate is None and name not in declared.gates:
            what = "hard, so no model can be promoted, but" if slo.severity == "hard" else "measured by nothing:"
            like = did_you_mean(name, declared.gates)
            like = f"; {like}" if like.startswith("did") else ""
            text = f"is {what} no suite has this gate; name its folder in [evidence] suites{like}"
            yield ("slo", name), f'[slo."{name}"] {text}'


def _sealing(source: Source, policy: Policy) -> Iterator[Found]:
    rules = policy.evidence
    for index, key in enumerate(rules.keys):
        if not PUBLIC_KEY.fullmatch(key):
            text = f"{printable(key)!r} is not an Ed25519 public key; list what modelgates keygen printed"
            yield ("evidence", "keys", index), f"[evidence] keys: {text}"
    if rules.level == "sealed" and not rules.keys and ("evidence", "keys") not in source.wrong:
        yield ("evidence", "level"), '[evidence] level: "sealed", and keys lists none, so nothing can be promoted'


def display(path: Path) -> str:
    """Name a file as one would type it here."""
    absolute = os.path.abspath(path)
    here = os.getcwd()
    return printable(os.path.relpath(absolute, here) if Path(absolute).is_relative_to(here) else absolute)
