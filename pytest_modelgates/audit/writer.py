"""One writer at a time: the registry's lock is taken, and a change that was cut short is settled first.

All that is added to the audit log goes through here, whether it moves the link or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from ..artifacts import Artifacts, checked_id
from ..errors import RegistryError
from .chain import Abort, Commit, append, tail
from .kill import log_kills


class LockRules(Protocol):
    """How the registry's lock is taken."""

    @property
    def lock_timeout_s(self) -> float:
        """How long to wait for it [s]."""

    @property
    def network_file_system(self) -> bool:
        """Whether a registry may lie on a file system of the network."""


@contextmanager
def locked(artifacts: Artifacts, rules: LockRules) -> Iterator[None]:
    """Hold the registry's lock, so that two changes never interleave; first settle what was cut short.

    That is a change without its outcome, and a kill file without its event.

    Raises
    ------
    RegistryError
        If the lock did not come free, or the registry lies where locks do not hold.
    """
    with lock(artifacts, rules):
        finish_interrupted(artifacts)
        log_kills(artifacts)
        yield


def settle(artifacts: Artifacts, rules: LockRules) -> None:
    """Write nothing but what settles something that was cut short; raises as `locked` does."""
    with locked(artifacts, rules):
        pass


@contextmanager
def lock(artifacts: Artifacts, rules: LockRules, *, writes: bool = True) -> Iterator[None]:
    """Hold the registry's lock, and leave a change that was cut short as it is; who does not write makes no file."""
    require_root(artifacts)
    if not writes:
        with artifacts.disk.quiet(artifacts.lock, timeout_s=rules.lock_timeout_s):
            yield
        return
    if not rules.network_file_system:
        for folder in (artifacts.root, artifacts.models):  # models/, where the link lies, may be a mount of its own
            artifacts.disk.refuse_network(folder)
    with artifacts.disk.locked(artifacts.lock, timeout_s=rules.lock_timeout_s, mode=artifacts.file_mode):
        yield


def require_root(artifacts: Artifacts) -> None:
    """Refuse a folder that is not an artifacts root: it would look like an empty registry, and be written to."""
    artifacts.refuse_other_folders()
    disk = artifacts.disk
    if not disk.is_folder(artifacts.root):
        raise RegistryError(f"{artifacts.root}: no such artifacts folder; pack a model first, or give --artifacts")
    # A root that `init` made holds the pointer to its policy before it holds a model.
    if not (disk.is_folder(artifacts.models) or disk.is_there(artifacts.policy)):
        if disk.is_there(artifacts.promotions):
            raise RegistryError(
                f"{artifacts.models}: no such folder, though {artifacts.promotions} is there; put it back from a copy"
            )
        raise RegistryError(
            f"{artifacts.root}: holds no folder `models`, so it is not an artifacts root; "
            "pack a model first, or give --artifacts"
        )


def link_target(artifacts: Artifacts) -> str | None:
    """Read which model `latest` names, whether it is there or not; None before the first promotion.

    Raises
    ------
    RegistryError
        If `latest` is not a link, or what it says is not a model id.
    """
    target = artifacts.disk.link_text(artifacts.latest)
    if target is None:
        if artifacts.disk.is_other(artifacts.latest):
            raise RegistryError(f"{artifacts.latest} is not a symlink; see: modelgates recover")
        return None
    try:
        return checked_id(target)
    except RegistryError as error:
        raise RegistryError(
            f"{artifacts.latest} leads to {target!r}, expected a model beside it; see: modelgates recover"
        ) from error


def finish_interrupted(artifacts: Artifacts) -> None:
    """Settle a change that was cut short: finish it or forget it, as the link says. The caller holds the lock.

    Raises
    ------
    RegistryError
        If the link names neither the model before nor the one after.
    """
    artifacts.log.drop_torn()
    end = tail(artifacts.log)
    change = end.open
    if change is None:
        return
    target = link_target(artifacts)
    if target not in (change.to, change.from_):
        raise RegistryError(
            f"a {change.action} from {change.from_ or 'nothing'} to {change.to} was cut short, and latest points at "
            f"{target or 'nothing'}; see: modelgates recover"
        )
    # The crash may have come before the link's move was durable.
    artifacts.disk.sync(artifacts.models)
    if target == change.to:
        append(artifacts.log, Commit(time=datetime.now(UTC)), mode=artifacts.file_mode, after=end.head)
    else:
        append(artifacts.log, Abort(time=datetime.now(UTC)), after=end.head)
