"""Where the policy of a registry lies. It belongs to the artifacts root, never to the folder one calls from."""

import os
from dataclasses import dataclass
from pathlib import Path

from ..artifacts import Artifacts
from ..errors import FormatError, PolicyError
from ..storage.paths import is_file, is_there
from ..storage.strict_json import read_bytes
from ..storage.text import printable
from .operations import NAME, Operations, load_operations

NEIGHBOUR = Path("registry") / "policy.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a registry's policy was found.

    Parameters
    ----------
    file : Path or None
        The policy to use; None for the packaged one.
    operations : Path or None
        The operations.toml to use: the one beside the registry's own policy, whichever policy was asked for.
    own : Path or None
        The registry's own policy.
    repository : Path
        The folder that the policy's suites, modules and plugins are relative to.
    problem : str or None
        Why the registry's own policy cannot be told, unless another was asked for.
    """

    file: Path | None
    operations: Path | None
    own: Path | None
    repository: Path
    problem: str | None = None

    @property
    def source(self) -> str | None:
        """The policy's path as people know it, relative to the repository if it lies there; None for the packaged."""
        if self.file is None:
            return None
        inside = self.file.is_relative_to(self.repository)
        return printable(str(self.file.relative_to(self.repository) if inside else self.file))


def find_place(artifacts: Artifacts, asked: Path | None = None) -> Place:
    """Find the policy of a registry.

    The order: the one asked for; the one that the pointer ``<root>/policy`` names; ``registry/policy.toml`` beside the
    root as it was named; else the packaged policy.

    Parameters
    ----------
    artifacts : Artifacts
    asked : Path, optional
        A policy that overrides the registry's own.

    Raises
    ------
    PolicyError
        If there is no such file as the one asked for.
    """
    if asked is not None and not is_file(asked):
        raise PolicyError(f"{asked}: no such policy file")
    # A dangling link is a policy that got lost, and the packaged one must not take its place unnoticed.
    beside = artifacts.named.parent / NEIGHBOUR
    own, problem = beside if is_there(beside) else None, None
    if is_there(artifacts.policy):
        try:
            pointed = _pointed(artifacts)
            there = is_there(pointed)
        except (FormatError, PolicyError, ValueError, OSError) as error:  # ValueError: no text, or a null byte in it
            problem = f"{artifacts.policy}: cannot be followed ({error}); write {_line_for(artifacts)} into it"
        else:
            if not there:
                problem = (
                    f"{artifacts.policy} names {pointed}, which is not there; put it back, or give --policy, "
                    f"or write the new place into {artifacts.policy}, relative to its folder"
                )
            elif own and os.path.realpath(own) != os.path.realpath(pointed):
                problem = f"{artifacts.policy} names {pointed}, but {own} lies beside the root; give one as --policy"
            own = pointed
    file = Path(os.path.abspath(asked)) if asked is not None else own
    operations = (own or beside).with_name(NAME)
    return Place(
        file=file,
        operations=operations if is_there(operations) else None,
        own=own,
        repository=file.parent.parent if file and file.parent.name == NEIGHBOUR.parent.name else artifacts.named.parent,
        problem=problem if asked is None else None,
    )


def keeps(artifacts: Artifacts, path: Path) -> bool:
    """Whether a file written to a path would lie where the registry keeps its own: a policy and operations.toml too.

    Some write through a link that lies there, and some replace it, so both places count.
    """
    own = find_place(artifacts).own or artifacts.named.parent / NEIGHBOUR
    files = {os.path.realpath(own), os.path.realpath(own.with_name(NAME))}
    places = (Path(os.path.realpath(path.parent)) / path.name, Path(os.path.realpath(path)))
    return any(artifacts.keeps(place) or str(place) in files for place in places)


def operations_at(artifacts: Artifacts) -> Operations:
    """Read how a registry is operated, for what only writes down; a policy that is broken or lost does not bar that."""
    place = find_place(artifacts)
    try:
        return load_operations(place.operations, policy=place.own)[0]
    except PolicyError:
        return load_operations(None, policy=None)[0]


def _pointed(artifacts: Artifacts) -> Path:
    """Read the pointer. It is followed from the root as it was named, so that a linked root finds its repository."""
    lines = read_bytes(artifacts.policy, limit=4096).decode().splitlines()
    name = lines[0].strip() if len(lines) == 1 else ""
    if not name:
        raise PolicyError(f"{len(lines)} lines, expected one")
    if os.path.isabs(name):
        raise PolicyError("an absolute path, expected one relative to its folder")
    return Path(os.path.normpath(artifacts.named / name))


def _line_for(artifacts: Artifacts) -> str:
    return os.path.relpath(artifacts.named.parent / NEIGHBOUR, artifacts.named)
