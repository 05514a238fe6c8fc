"""The registry on disk: which model is live, and the one step that changes it, whole or not at all.

The link decides, and the log is written around its move: intent, move, commit, each durable before the next begins.
"""

import errno
import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..artifacts import Artifacts, checked_id, is_id
from ..audit.chain import (
    OTHER_WRITER,
    Abort,
    Commit,
    Event,
    Intent,
    Tail,
    adoption,
    append,
    committed,
    signed_content,
    stray_end,
    tail,
)
from ..audit.head import Head
from ..audit.lock import locked_file, quiet_file, refuse_network
from ..errors import ModelgatesError, RegistryError
from ..evidence.seal import sign
from ..model.directory import MODEL
from ..policy.operations import LockRules
from ..storage.atomic import sync_folder
from ..storage.digests import sha256, sha256_of
from ..storage.lines import drop_end, drop_torn_line, read_end
from ..storage.paths import is_file, is_folder, is_link, is_there

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ONNX_LINK = f"latest/{MODEL}"


@dataclass(frozen=True, slots=True)
class State:
    """What link and log say together: what is live, by which change, and which change is under way or was cut short."""

    live: str | None
    change: Intent | None
    open: Intent | None


@dataclass(frozen=True, slots=True)
class Done:
    """A change that took place, and the end of the log after it."""

    change: Intent
    head: Head


@contextmanager
def locked(artifacts: Artifacts, rules: LockRules) -> Iterator[None]:
    """Hold the registry's lock, so that two changes never interleave; first settle a change that was cut short.

    Raises
    ------
    RegistryError
        If the lock did not come free, or the registry lies where locks do not hold.
    """
    with lock(artifacts, rules):
        finish_interrupted(artifacts)
        yield


@contextmanager
def lock(artifacts: Artifacts, rules: LockRules, *, writes: bool = True) -> Iterator[None]:
    """Hold the registry's lock, and leave a change that was cut short as it is; who does not write makes no file."""
    require_root(artifacts)
    if not writes:
        with quiet_file(artifacts.lock, timeout_s=rules.lock_timeout_s):
            yield
        return
    if not rules.network_file_system:
        for folder in (artifacts.root, artifacts.models):  # models/, where the link lies, may be a mount of its own
            refuse_network(folder)
    with locked_file(artifacts.lock, timeout_s=rules.lock_timeout_s, mode=artifacts.file_mode):
        yield


def require_root(artifacts: Artifacts) -> None:
    """Refuse a folder that is not an artifacts root: it would look like an empty registry, and be written to."""
    artifacts.refuse_other_folders()
    if not is_folder(artifacts.root):
        raise RegistryError(f"{artifacts.root}: no such artifacts folder; pack a model first, or give --artifacts")
    # A root that `init` made holds the pointer to its policy before it holds a model.
    if not (is_folder(artifacts.models) or is_there(artifacts.policy)):
        if is_there(artifacts.promotions):
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
    try:
        target = os.readlink(artifacts.latest)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise RegistryError(f"{artifacts.latest} is not a symlink; see: modelgates recover") from error
    try:
        return checked_id(target)
    except RegistryError as error:
        raise RegistryError(
            f"{artifacts.latest} leads to {target!r}, expected a model beside it; see: modelgates recover"
        ) from error


def link_text(path: Path) -> str | None:
    """Read a link's text, unchecked; None if there is no link."""
    return os.readlink(path) if is_link(path) else None


def live_id(artifacts: Artifacts) -> str | None:
    """Read which model is live; None before the first promotion.

    Raises
    ------
    RegistryError
        If `latest` is not a link, or does not lead to a model directory beside it.
    """
    target = link_target(artifacts)
    if target is not None and not is_folder(artifacts.model(target)):
        raise RegistryError(f"{artifacts.latest} points at {target}, which is not there; roll back to a model that is")
    return target


def state(artifacts: Artifacts) -> State:
    """Read link and log as of one moment, though a change may be under way.

    Raises
    ------
    RegistryError
        If they name different models.
    """
    # A change writes to the log before and after it moves the link. If the log's end is the same before and after we
    # read the link, both belong to the same moment.
    log, target, after = tail(artifacts.promotions), link_target(artifacts), tail(artifacts.promotions)
    while after != log:
        log, target, after = after, link_target(artifacts), tail(artifacts.promotions)
    logged = log.change.to if log.change else None
    if target not in (logged, log.open.to if log.open else logged):
        raise RegistryError(
            f"promotions.log says {logged or 'nothing'} is live, latest points at {target or 'nothing'}: somebody "
            "moved the link or lost the log; see: modelgates recover"
        )
    return State(target, log.change_to(target), log.open)


def is_first(artifacts: Artifacts) -> bool:
    """Whether nothing was ever promoted here: no change in the log and no `latest`. One alone is refused."""
    return state(artifacts).live is None


def logs(artifacts: Artifacts) -> Iterator[Path]:
    """List the audit log and those that it replaced when a link was adopted, if they are what they were then."""
    path: Path | None = artifacts.promotions
    while path:
        yield path
        first = adoption(path)
        before = set_aside(artifacts, first.evidence) if first and first.evidence else None
        path = before if before and is_file(before) and first and sha256_of(before) == first.evidence else None


def set_aside(artifacts: Artifacts, digest: str) -> Path:
    """Where an audit log with this digest lies once another was begun."""
    return artifacts.promotions.with_name(f"{artifacts.promotions.name}.{digest[:16]}")


def went_live(artifacts: Artifacts, to: str | None = None) -> Generator[Intent, None, None]:
    """Read changes that took place, the newest first, past damage and through logs that were set aside.

    What needs the order of all changes must verify the log first.
    """
    for path in logs(artifacts):
        yield from committed(path, to)


def past_live(artifacts: Artifacts, live: str | None) -> Generator[str, None, None]:
    """Yield the other models that were live, the latest first and each once. Logs are read only as far as needed."""
    seen = {live}
    with closing(went_live(artifacts)) as found:
        for change in found:
            if change.to not in seen:
                seen.add(change.to)
                yield change.to


def change_live(artifacts: Artifacts, change: Intent, *, key: "Ed25519PrivateKey | None" = None) -> Done:
    """Move the link and write the log: both, or neither. The caller holds the lock.

    After a crash the next holder of the lock finds an intent without an outcome, and settles it as the link says.
    """
    intent = append(artifacts.promotions, change, mode=artifacts.file_mode)
    try:
        require_end(artifacts, intent)
        point_latest_at(artifacts, change.to)
        return Done(change, _commit(artifacts, key, intent))
    except BaseException:
        # If putting the link back fails as well, the next holder of the lock settles the change. And if another process
        # has written since, it has settled ours, and the link is its business.
        with suppress(OSError, ModelgatesError):
            if tail(artifacts.promotions).head == intent:
                _point(artifacts, change.from_)
                append(artifacts.promotions, Abort(time=datetime.now(UTC)), after=intent)
        raise


def require_end(artifacts: Artifacts, head: Head) -> None:
    """Refuse to go on if the log does not end where this process left it."""
    if tail(artifacts.promotions).head != head:
        raise RegistryError(OTHER_WRITER.format(artifacts.promotions))


def _commit(artifacts: Artifacts, key: "Ed25519PrivateKey | None", intent: Head) -> Head:
    return append_signed(artifacts, Commit(time=datetime.now(UTC)), key, after=intent)


def append_signed(
    artifacts: Artifacts, record: Commit | Event, key: "Ed25519PrivateKey | None", *, after: Head | None = None
) -> Head:
    """Append a record that vouches for the log up to here, if there is a key. The caller holds the lock."""
    if key:
        end = tail(artifacts.promotions).head
        record = msgspec.structs.replace(record, n=end.n + 1, prev=end.digest)
        record = msgspec.structs.replace(record, signature=sign(signed_content(record), key))
    return append(artifacts.promotions, record, mode=artifacts.file_mode, after=after)


def finish_interrupted(artifacts: Artifacts) -> None:
    """Settle a change that was cut short: finish it or forget it, as the link says. The caller holds the lock.

    Raises
    ------
    RegistryError
        If the link names neither the model before nor the one after.
    """
    drop_torn_line(artifacts.promotions)
    end = tail(artifacts.promotions)
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
    sync_folder(artifacts.models)
    if target == change.to:
        _commit(artifacts, None, end.head)
    else:
        append(artifacts.promotions, Abort(time=datetime.now(UTC)), after=end.head)


def sound_tail(artifacts: Artifacts) -> Tail:
    """Read the end of the log as if no lines that are not records followed on it."""
    stray = stray_end(artifacts.promotions)
    return tail(artifacts.promotions, skip=stray.lines if stray else 0)


def set_stray_end_aside(artifacts: Artifacts) -> tuple[str, str] | None:
    """Move lines at the log's end that are not records to a file of their own. The caller holds the lock.

    Returns
    -------
    tuple of str, or None
        In words what was done, and the digest of the lines.
    """
    path = artifacts.promotions
    drop_torn_line(path)
    stray = stray_end(path)
    if stray is None:
        return None
    content = read_end(path, stray.size)
    digest = sha256(content)
    artifacts.write(path.with_name(f"{path.name}.stray-{digest[:16]}"), content)
    drop_end(path, stray.size)
    return stray.in_words(path, digest), digest


def point_latest_at(artifacts: Artifacts, model_id: str) -> None:
    """Point `latest` at a model in one atomic, durable step."""
    # `latest.onnx` leads through `latest` and never changes. It comes first, so that nothing is left to fail once
    # `latest` has moved.
    if onnx_link_broken(artifacts):
        _link(artifacts.latest_onnx, ONNX_LINK)
    _point(artifacts, model_id)
    if os.readlink(artifacts.latest) != model_id:
        raise OSError(errno.EIO, f"Does not point at {model_id} after the link was moved", str(artifacts.latest))


def onnx_link_broken(artifacts: Artifacts) -> bool:
    """Whether `latest.onnx`, which servers open, does not lead through `latest`."""
    return not (is_link(artifacts.latest_onnx) and os.readlink(artifacts.latest_onnx) == ONNX_LINK)


def _point(artifacts: Artifacts, model_id: str | None) -> None:
    if model_id is None:
        artifacts.latest.unlink(missing_ok=True)
    else:
        _link(artifacts.latest, model_id)
    sync_folder(artifacts.models)


def staged_link(path: Path) -> Path:
    """Where a link is made before it is moved to its place; a fixed name will do, as the lock admits one writer."""
    return path.with_name(f".{path.name}.new")


def _link(path: Path, target: str) -> None:
    staged = staged_link(path)
    if is_folder(staged) and not is_link(staged):
        raise RegistryError(f"{staged}: a folder, where the link is made before it is moved; see: modelgates recover")
    if is_folder(path) and not is_link(path):
        raise RegistryError(f"{path}: a folder, expected a link; see: modelgates recover")
    staged.unlink(missing_ok=True)
    staged.symlink_to(target)
    staged.replace(path)


def model_ids(artifacts: Artifacts) -> list[str]:
    """List the id of every model directory, oldest first."""
    if not is_folder(artifacts.models):
        return []
    with os.scandir(artifacts.models) as entries:
        return sorted(
            (entry.name for entry in entries if is_id(entry.name) and entry.is_dir(follow_symlinks=False)), key=int
        )


def is_model(directory: Path) -> bool:
    """Whether a path is a directory, not a link to one, and named as a model."""
    return is_id(directory.name) and is_folder(directory) and not is_link(directory)


def live_change(artifacts: Artifacts) -> Intent:
    """Find the change by which the live model went live: it holds the model's id, and its digest at that time."""
    found = state(artifacts)
    if found.change is None:
        raise RegistryError(f"nothing is live under {artifacts.models}: promote a model first")
    return found.change
