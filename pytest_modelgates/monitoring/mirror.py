"""What is live, as MLflow shows it: read from the audit log once it is committed. Nothing here decides anything.

What MLflow does not take is left for the next command, and undoes nothing.
"""

import time
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal

import msgspec

from ..artifacts import Artifacts
from ..audit.chain import Intent, changes, lines, took_place
from ..errors import FormatError, GoneError, IntegrityError
from ..model.directory import LocalDirectory
from ..model.manifest import Source
from ..policy.operations import MlflowRules
from ..storage.atomic import make_folder
from ..storage.digests import Sha256
from ..storage.lock import locked_file
from ..storage.paths import is_there
from ..storage.strict_json import canonical, read_json
from ..storage.text import first_line, listed, printable
from .child import answer_of
from .to_mlflow import Became, Version, Wanted


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the server at `address` was told: all records of the audit log up to `seen`; `names` have the alias."""

    format: Literal[1] = 1
    address: str
    seen: Sha256 | None = None
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Mirrored:
    """What MLflow was told: what it did, what it cannot be told, and why it was not told, if it was not."""

    done: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    problem: str | None = None


def mirror(artifacts: Artifacts, rules: MlflowRules, *, again: bool = False) -> Mirrored:
    """Tell MLflow of every change that was committed since it was told last.

    The version that a model was packed from gets tags, the one that is live the alias.

    Parameters
    ----------
    artifacts : Artifacts
    rules : MlflowRules
        With a server.
    again : bool, default False
        Look once more at the alias and the tags of what is live, which somebody may have changed there.

    Returns
    -------
    Mirrored

    Raises
    ------
    FormatError
        If the log is damaged, so that nobody can tell what is live.
    RegistryError
        If another process mirrors for half the time that this may take.
    OSError
        If there is no place for the state, or the process that asks cannot be started.
    """
    assert rules.address is not None
    mirrored, until = Mirrored(), time.monotonic() + rules.timeout_s
    if not again and not _behind(artifacts, _state(artifacts, rules.address, mirrored).seen)[0]:
        return mirrored  # without a lock: at the end of most commands nothing is new
    make_folder(artifacts.mlflow, mode=artifacts.directory_mode)
    with locked_file(artifacts.mlflow / ".lock", timeout_s=rules.timeout_s / 2, mode=artifacts.file_mode):
        state = _state(artifacts, rules.address, mirrored)
        found, end = _behind(artifacts, state.seen)
        if not found and again:
            with closing(changes(artifacts.log)) as all_of_them:
                found = [*islice(all_of_them, 1)]
        wanted, names = _wanted(artifacts, rules.alias, found, state, mirrored)
        if wanted.versions or wanted.aliased:
            became = _told(wanted, until - time.monotonic())
            mirrored.done += map(printable, became.done)
            mirrored.odd += [f"{printable(each)} is not there, so it is not mirrored" for each in became.absent]
            mirrored.problem = became.problem and printable(became.problem)
        if mirrored.problem is None:
            try:
                artifacts.write(_state_file(artifacts), canonical(State(address=rules.address, seen=end, names=names)))
            except OSError as error:
                mirrored.odd.append(f"what was told will be told again, since that cannot be kept: {error.strerror}")
    return mirrored


def _wanted(
    artifacts: Artifacts, alias: str, found: list[Intent], state: State, mirrored: Mirrored
) -> tuple[Wanted, tuple[str, ...]]:
    """Say how things must be after some changes, the newest first, and which names have the alias then."""
    sources: dict[str, Source | None] = {}
    for change in found:  # what counts of a model is its last change
        if change.to not in sources:
            sources[change.to] = _source(artifacts, change, state.address, mirrored)
    tags: dict[tuple[str, str], dict[str, str]] = {}
    for change in reversed(found):
        if source := sources[change.to]:
            of_version = tags.setdefault((source.name, source.version), {})
            of_version |= {"modelgates.id": change.to, "modelgates.model_digest": change.digest}
            if change.report_digest is not None:
                of_version["modelgates.report_digest"] = change.report_digest
    live = sources[found[0].to] if found else None
    if found and live is None:
        mirrored.done.append(f"{found[0].to} is live, and no version of {state.address}")
    known = {*state.names, *(source.name for source in sources.values() if source)}
    wanted = Wanted(
        address=state.address,
        alias=alias,
        versions=[Version(name=name, version=version, tags=its) for (name, version), its in tags.items()],
        aliased={name: live.version if live and live.name == name else None for name in sorted(known)},
    )
    return wanted, (live.name,) if live else ()


def _source(artifacts: Artifacts, change: Intent, address: str, mirrored: Mirrored) -> Source | None:
    """Read where the model that went live came from; None if not from this server, or if nobody can tell."""
    try:
        with LocalDirectory(artifacts.model(change.to)) as model:
            source = model.manifest.lineage.source
            if isinstance(source, msgspec.UnsetType) or source.uri != address:
                return None
            if model.verify() != change.digest:
                raise IntegrityError("its bytes are not those that went live")
            return source
    except GoneError:
        return None  # deleted since
    except (IntegrityError, FormatError) as error:
        mirrored.odd.append(f"{change.to} is not mirrored: {first_line(error)}")
        return None


def _told(wanted: Wanted, timeout_s: float) -> Became:
    said, status = answer_of("pytest_modelgates.monitoring.to_mlflow", msgspec.json.encode(wanted), timeout_s)
    if status is None:
        return Became(problem="no answer in time; see [mlflow] timeout_s")
    try:
        return msgspec.json.decode(said, type=Became)
    except msgspec.DecodeError:
        return Became(problem=f"the process that asks it ended with {status}")


def _behind(artifacts: Artifacts, seen: str | None) -> tuple[list[Intent], str | None]:
    """Read the changes that were committed behind the record `seen`, the newest first, and what to go on from."""
    with closing(lines(artifacts.log)) as records:
        found = [*took_place(takewhile(lambda each: each[1] != seen, records))]
    return [record for record, _ in found if isinstance(record, Intent)], found[0][1] if found else seen


def _state(artifacts: Artifacts, address: str, mirrored: Mirrored) -> State:
    """Read what this server was told; what another was told does not count."""
    path, new = _state_file(artifacts), State(address=address)
    try:
        state = read_json(path, State) if is_there(path) else new
    except FormatError as error:
        mirrored.odd = [f"{error}; begun anew"]
        return new
    return state if state.address == address else new


def _state_file(artifacts: Artifacts) -> Path:
    return artifacts.mlflow / "state.json"


def in_words(mirrored: Mirrored) -> str:
    """Say on one line what MLflow was not told."""
    waits = [f"{mirrored.problem}; left for the next command, or for: modelgates mlflow mirror"]
    return listed([*mirrored.odd, *(waits if mirrored.problem else [])], between="; ")
