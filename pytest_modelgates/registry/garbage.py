"""Deleting old models: never the live one, the one before it, a candidate, or one that somebody reads."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ..artifacts import Artifacts
from ..errors import RegistryError
from ..policy.operations import LockRules
from ..storage.atomic import sync_folder
from ..storage.paths import is_folder, is_there
from ..storage.regular_files import open_folder
from .store import locked, model_ids, past_live, state

TRASH, STAGING = ".trash-", ".staging-"


@dataclass(frozen=True, slots=True)
class Removed:
    """A folder that was deleted, or would be."""

    name: str
    size: int
    """Of its files [bytes]."""


def collect(artifacts: Artifacts, rules: LockRules, *, keep: int, dry_run: bool = False) -> list[Removed]:
    """Delete models older than the live one but for the newest `keep`, and what killed commands left behind.

    Parameters
    ----------
    artifacts : Artifacts
    rules : LockRules
    keep : int
        How many of the models that could be deleted stay, the newest first.
    dry_run : bool
        Delete nothing.

    Returns
    -------
    list of Removed
        Models, oldest first, then leftovers. A folder that a process holds open is left alone.

    Raises
    ------
    RegistryError
        If link and log disagree: then it is unknown which models may go.
    """
    if keep < 0:
        raise RegistryError(f"cannot keep {keep} models; give 0 or more")
    removed = []
    with locked(artifacts, rules):
        if not is_folder(artifacts.models):
            return []
        for name in [*_expendable(artifacts, keep), *_leftovers(artifacts.models)]:
            with _unread(artifacts.models / name) as free:
                if not free:
                    continue
                removed.append(Removed(name, _size(artifacts.models / name)))
                if not dry_run:
                    _delete(artifacts.models / name)
    return removed


def _expendable(artifacts: Artifacts, keep: int) -> list[str]:
    live = state(artifacts).live
    if live is None:
        return []  # all of them are candidates
    ids = model_ids(artifacts)
    # A rollback would go to this model.
    previous = next((name for name in past_live(artifacts, live) if name in ids), None)
    # A model newer than the live one is still a candidate.
    older = [name for name in ids if int(name) < int(live) and name != previous]
    return older[: max(0, len(older) - keep)]


def _leftovers(models: Path) -> list[str]:
    with os.scandir(models) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.startswith((TRASH, STAGING)) and entry.is_dir(follow_symlinks=False)
        )


@contextmanager
def _unread(directory: Path) -> Iterator[bool]:
    """Lock a directory, so that no reader opens it; False if one already has, or the directory is gone."""
    try:
        descriptor = open_folder(directory)
    except FileNotFoundError:  # a pack has just renamed its staging folder
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        yield free
    finally:
        os.close(descriptor)


def _size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if not is_folder(path))


def _delete(directory: Path) -> None:
    # Rename first, so that a reader sees a whole model or none.
    trash = directory
    if not directory.name.startswith(TRASH):
        # This model may have been deleted once, restored by hand, and its old trash not yet removed.
        places = (directory.with_name(f"{TRASH}{directory.name}-{number}") for number in count())
        trash = next(place for place in places if not is_there(place))
        directory.rename(trash)
        sync_folder(trash.parent)
    shutil.rmtree(trash)
