"""Deleting old models: never the live one, the one before it, a candidate, or one that is tested or that is read."""

import re
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from ..artifacts import Artifacts
from ..audit.ab import read_plan
from ..audit.writer import lock, locked
from ..errors import FormatError, RegistryError
from ..policy.operations import LockRules
from ..storage.disk import Disk
from ..storage.text import counted
from .store import model_ids, past_live, state

TRASH, STAGING = ".trash-", ".staging-"
_DAY_S = 86_400  # no write takes so long
EARLIER_FILE = re.compile(r"[0-9a-f]{64}\.parquet")


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted, or would be."""

    name: str
    size: int
    """Of its files [bytes]."""


@dataclass(slots=True)
class Collected:
    """What was deleted, or would be; what was kept, and why; and what could not be deleted, and why."""

    removed: list[Removed] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def collect(artifacts: Artifacts, rules: LockRules, *, keep: int, dry_run: bool = False) -> Collected:
    """Delete models older than the live one but for the newest `keep`, and what killed commands left behind.

    Of the goldens that were in force before a model's own, the newest `keep` stay too.

    Parameters
    ----------
    artifacts : Artifacts
    rules : LockRules
    keep : int
        How many of the models that could be deleted stay, the newest first; and of each model's earlier goldens.
    dry_run : bool
        Delete nothing.

    Returns
    -------
    Collected
        Models, oldest first, then goldens that are in force no more, then leftovers. A folder that a process holds
        open is kept. One that cannot be deleted does not stop the rest.

    Raises
    ------
    RegistryError
        If link and log disagree: then it is unknown which models may go.
    """
    if keep < 0:
        raise RegistryError(f"cannot keep {keep} models; give 0 or more")
    found, disk = Collected(), artifacts.disk
    with lock(artifacts, rules, writes=False) if dry_run else locked(artifacts, rules):
        if not disk.is_folder(artifacts.models):
            return found
        models = [artifacts.models / name for name in _expendable(artifacts, keep, found)]
        for path in [*models, *_old_goldens(artifacts, keep, found), *_leftovers(artifacts, found)]:
            name = path.name if path.parent == artifacts.models else str(path.relative_to(artifacts.root))
            try:
                with disk.unread(path) if disk.is_folder(path) else nullcontext(enter_result=True) as free:
                    if free:
                        size = disk.size(path)
                        if not dry_run:
                            _delete(disk, path)
                        found.removed.append(Removed(name, size))
                    elif disk.is_there(path):
                        found.kept.append((name, "a process has it open"))
            except FileNotFoundError:  # a pack has just renamed its staging folder
                continue
            except OSError as error:
                place = f" ({error.filename})" if error.filename else ""
                found.failed.append((name, f"{error.strerror or error}{place}"))
    return found


def _expendable(artifacts: Artifacts, keep: int, found: Collected) -> list[str]:
    live, ids = state(artifacts).live, model_ids(artifacts)
    if live is None:
        found.kept += [(name, "a candidate, as nothing was promoted yet") for name in ids]
        return []
    try:
        plan = read_plan(artifacts)
    except (FormatError, OSError) as error:
        found.kept += [(name, "live" if name == live else f"it may be in an A/B test: {error}") for name in ids]
        return []
    tested = {plan.live, plan.candidate} if plan else set[str]()
    # A rollback would go to this model.
    with closing(past_live(artifacts, live)) as past:
        previous = next((name for name in past if name in ids), None)
    older = [name for name in ids if int(name) < int(live) and name not in {previous, *tested}]
    going = older[: max(0, len(older) - keep)]
    why: dict[str | None, str] = dict.fromkeys(older, f"among the newest {keep}")
    why |= dict.fromkeys(tested, "in an A/B test")
    why |= {previous: "was live before", live: "live"}
    # A model newer than the live one is still a candidate.
    found.kept += [(name, why.get(name, "a candidate, newer than the live one")) for name in ids if name not in going]
    return going


def _old_goldens(artifacts: Artifacts, keep: int, found: Collected) -> list[Path]:
    """Find the files of goldens that were in force before; what no list names is kept, since a list may be lost."""
    folder = artifacts.earlier_goldens
    there = (
        {Path(name).stem: folder / name for name in artifacts.disk.files(folder) if EARLIER_FILE.fullmatch(name)}
        if artifacts.disk.is_folder(folder)
        else {}
    )
    if not there:
        return []
    from ..drift.versions import golden_metadata  # here, since it brings NumPy along

    try:
        goldens = golden_metadata(artifacts.golden).goldens.values()
    except FormatError as error:
        found.kept.append((f"{folder.name} goldens", f"nobody can tell whose they are: {error}"))
        return []
    old, stay = dict[str, None](), {golden.sha256 for golden in goldens}
    for golden in goldens:
        names = list(dict.fromkeys(each.sha256 for each in reversed(golden.history)))
        stay.update(names[:keep])
        old |= dict.fromkeys(reversed(names[keep:]))
    if unlisted := there.keys() - old.keys() - stay:
        why = f"not in {artifacts.golden_metadata.name}; delete by hand what you do not need"
        found.kept.append((counted(len(unlisted), "file") + f" in {folder.relative_to(artifacts.root)}", why))
    return [there[name] for name in old if name in there and name not in stay]


def _leftovers(artifacts: Artifacts, found: Collected) -> list[Path]:
    """Find what killed commands left: folders of models, and files that were not yet renamed to their place."""
    there = artifacts.disk.folders(artifacts.models)
    folders = [artifacts.models / name for name in there if name.startswith((TRASH, STAGING))]

    def unseen(place: Path, why: str) -> None:
        found.failed.append((str(place.relative_to(artifacts.root)), why))

    begun = artifacts.disk.unfinished(
        artifacts.root, apart=artifacts.models, before=time.time() - _DAY_S, unseen=unseen
    )
    files = [path for path, of in begun if artifacts.keeps(of) or of.is_relative_to(artifacts.all_reports)]
    return [*sorted(folders), *sorted(files)]


def _delete(disk: Disk, path: Path) -> None:
    trash = path
    # Rename a folder first, so that a reader sees a whole model or none.
    if disk.is_folder(path) and not path.name.startswith(TRASH):
        # This model may have been deleted once, restored by hand, and its old trash not yet removed.
        places = (path.with_name(f"{TRASH}{path.name}-{number}") for number in count())
        trash = next(place for place in places if not disk.is_there(place))
        disk.rename(path, trash)
        disk.sync(trash.parent)
    disk.remove(trash)
