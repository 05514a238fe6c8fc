"""Which gates a run consists of: their names, severities, families and models."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from ..artifacts import Artifacts, checked_id
from ..errors import FormatError, IntegrityError, ModelgatesError
from ..evidence.verdict import base_name
from ..model.directory import LocalDirectory
from ..model.sidecar import Sidecar, Task
from ..policy.families import family_of
from ..policy.limits import Severity
from ..policy.policy import Policy
from ..registry.in_force import InForce, for_acting
from ..storage.digests import tree_digest
from ..storage.paths import is_folder
from .gate import Gate

GATE = pytest.StashKey[Gate]()
ATTEMPTS = pytest.StashKey[int]()

PACKAGED = "packaged default"
UNREADABLE = "unreadable-sidecar"


def checked_model_dirs(given: Iterable[str]) -> list[Path]:
    """Resolve every `--model-dir` once, so that a link that moves during the run changes nothing."""
    directories: list[Path] = []
    for name in given:
        try:
            directory = Path(os.path.realpath(name))  # `resolve` raises on a link to itself
            if not is_folder(directory):
                raise pytest.UsageError(f"--model-dir={name}: no such directory")
            checked_id(directory.name)
        except ModelgatesError as error:
            raise pytest.UsageError(f"--model-dir={name}: {error}") from error
        except OSError as error:
            raise pytest.UsageError(f"--model-dir={name}: {error.strerror}: {error.filename}") from error
        if directory.name in {other.name for other in directories}:
            raise pytest.UsageError(f"--model-dir={name}: model {directory.name} is given twice")
        directories.append(directory)
    return directories


def in_force_of(config: pytest.Config) -> InForce:
    """Find and read the policy as the command line does, from the models' own registry."""
    asked = Path(config.option.policy) if config.option.policy else None
    try:
        found = [for_acting(Artifacts.of(Path(given)), asked) for given in config.option.model_dir]
    except ModelgatesError as error:
        raise pytest.UsageError(str(error)) from error
    places = list(dict.fromkeys(each.place.file for each in found))
    if len(places) > 1:
        named = ", ".join(str(place or PACKAGED) for place in places)
        raise pytest.UsageError(
            f"the models belong to registries of different policies ({named}); run each alone, or give --policy"
        )
    return found[0]


def read_first(directory: Path) -> tuple[str, Sidecar | None]:
    """Digest a model directory and read its sidecar; refuse the run if this user may not."""
    try:
        return tree_digest(directory), read_sidecar(directory)
    except OSError as error:
        what = f"{error.strerror}: {error.filename}; let the user who runs the gates read every file of it"
        raise pytest.UsageError(f"--model-dir={directory}: {what}") from error


def read_sidecar(directory: Path) -> Sidecar | None:
    """Read the sidecar of a model; None if it cannot be read, so that its gates run and fail."""
    try:
        with LocalDirectory(directory) as model:
            return model.sidecar
    except (FormatError, IntegrityError):
        return None


def feature_groups(sidecar: Sidecar | None) -> list[str]:
    """List the feature groups of a model; one stand-in if its sidecar cannot be read."""
    # Without a group its gates would be an empty parameter set, which pytest skips and calls green.
    return list(sidecar.groups) if sidecar else [UNREADABLE]


def identity(item: pytest.Item) -> str | None:
    """A gate's declared name and its parameters other than the model; None for a test that is not a gate."""
    marker = item.get_closest_marker("gate")
    if marker is None:
        return None
    if len(marker.args) != 1 or not isinstance(marker.args[0], str) or "." not in marker.args[0]:
        raise pytest.UsageError(f'{item.nodeid}: write @pytest.mark.gate("family.name")')
    callspec = getattr(item, "callspec", None)
    values = [str(value) for key, value in (callspec.params if callspec else {}).items() if key != "model_dir"]
    return marker.args[0] + (f"[{'-'.join(values)}]" if values else "")


def severity(item: pytest.Item) -> Severity:
    """A gate's severity, from its closest marker; its keywords would match names of folders and parameters too."""
    hard = next((marker.name == "hard" for marker in item.iter_markers() if marker.name in ("hard", "soft")), False)
    return "hard" if hard else "soft"


def prepare(
    items: list[pytest.Item], policy: Policy, tasks: Mapping[str, Task | None], config: pytest.Config
) -> list[pytest.Item]:
    """Give every gate its severity, family and group as markers; return those that do not apply or were not wanted."""
    not_applicable, gates, only = [], 0, config.option.only_gate
    for item in items:
        name = identity(item)
        if name is None:
            continue
        gates += 1
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if "model_dir" not in params:
            raise pytest.UsageError(
                f"{item.nodeid}: gate {name} asks for nothing of the model; it needs the fixture `gate`"
            )
        model_id = params["model_dir"].name
        if not policy.applies(name, tasks[model_id]) or (only and f"{model_id}:{name}" not in only):
            not_applicable.append(item)
            continue
        try:
            wanted = policy.limit(base_name(name)).severity
        except ModelgatesError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from error
        # The policy decides the severity, so that no gate file can soften a hard gate.
        item.own_markers = [marker for marker in item.own_markers if marker.name not in ("hard", "soft")]
        item.add_marker(wanted)
        family = name.partition(".")[0]
        # A team's own family becomes known only here, and --strict-markers refuses a marker that is not declared.
        config.addinivalue_line("markers", f"{family}: {family_of(name).about}")
        for mark in dict.fromkeys([family, family_of(name).group or family]):
            item.add_marker(mark)
    if shard := config.option.gate_shard:
        not_applicable += _of_other_shards([item for item in items if item not in not_applicable], shard)
    if not gates:
        raise pytest.UsageError(
            "--model-dir was given, but no gate was collected; look at the paths given and at addopts"
        )
    return not_applicable


def _of_other_shards(items: list[pytest.Item], shard: str) -> list[pytest.Item]:
    """Find the gates that other shards run: dealt in turn by model and name, whatever else is selected."""
    number, total = map(int, shard.split("/"))
    gates = [((_model_of(item), name), item) for item in items if (name := identity(item))]
    names = sorted({key for key, _ in gates})
    return [item for key, item in gates if names.index(key) % total != number - 1]


def _model_of(item: pytest.Item) -> str:
    return str(item.callspec.params["model_dir"].name)  # type: ignore[attr-defined]  # every gate has one by now
