"""The registry on disk: which model is live, and the one step that changes it, whole or not at all."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RegistryError
from ..model.files import canonical, read_bytes, read_json, sync_folder, write_whole
from ..model.layout import MODEL, Artifacts, checked_id
from .audit import Entry, append_entry, check_agreement, drop_torn_line, read_log

PENDING = ".pending.json"


@contextmanager
def locked(artifacts: Artifacts) -> Iterator[None]:
    """Hold the registry's lock, so that two changes never interleave; first settle one that was cut short."""
    if not artifacts.root.is_dir():
        raise RegistryError(f"{artifacts.root}: no such artifacts folder; pack a model first, or give --artifacts")
    descriptor = os.open(artifacts.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _settle(artifacts)
        yield
    finally:
        os.close(descriptor)


def interrupted(artifacts: Artifacts) -> bool:
    """Whether a change is under way or was cut short."""
    return (artifacts.root / PENDING).exists()


def link_target(artifacts: Artifacts) -> str | None:
    """Read which model `latest` names, whether it is there or not; None before the first promotion.

    Raises
    ------
    RegistryError
        If `latest` is no link, or its text is no model id.
    """
    try:
        target = os.readlink(artifacts.latest)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise RegistryError(f"{artifacts.latest} is not a symlink; move away what lies in its place") from error
    try:
        return checked_id(target)
    except RegistryError as error:
        raise RegistryError(f"{artifacts.latest} leads to {target!r}, expected a model beside it") from error


def live_id(artifacts: Artifacts) -> str | None:
    """Read which model is live; None before the first promotion.

    Raises
    ------
    RegistryError
        If `latest` is no link, or leads anywhere but to a model directory beside it.
    """
    target = link_target(artifacts)
    if target is not None and not artifacts.model(target).is_dir():
        raise RegistryError(f"{artifacts.latest} points at {target}, which is not there; roll back to a model that is")
    return target


def is_first(artifacts: Artifacts) -> bool:
    """Whether nothing was ever promoted here: no entry in the log and no `latest`; one without the other is refused."""
    entries, live = read_log(artifacts.promotions), live_id(artifacts)
    check_agreement(entries, live)
    return live is None


def switch(artifacts: Artifacts, entry: Entry) -> None:
    """Move the link and write the log: both, or neither. The caller holds the lock.

    The entry is first put down as pending; whoever takes the lock after a crash finds it and finishes or forgets it.
    """
    pending = artifacts.root / PENDING
    write_whole(pending, canonical(entry))
    try:
        flip(artifacts, entry.to)
        append_entry(artifacts.promotions, entry)
    except BaseException:
        if read_log(artifacts.promotions)[-1:] != [entry]:
            _point(artifacts, entry.from_)
        pending.unlink()
        raise
    with suppress(OSError):  # done is done; whoever takes the lock next finds it finished
        pending.unlink()


def _settle(artifacts: Artifacts) -> None:
    pending = artifacts.root / PENDING
    if not pending.exists():
        return
    entry = read_json(pending, Entry)
    drop_torn_line(artifacts.promotions)
    if link_target(artifacts) == entry.to and read_log(artifacts.promotions)[-1:] != [entry]:
        append_entry(artifacts.promotions, entry)
    pending.unlink()


def flip(artifacts: Artifacts, model_id: str) -> None:
    """Point `latest` at a model in one atomic, durable step."""
    # First the link through `latest`, which never changes: once `latest` has moved, nothing is left to fail.
    if not (artifacts.latest_onnx.is_symlink() and os.readlink(artifacts.latest_onnx) == f"latest/{MODEL}"):
        _link(artifacts.latest_onnx, f"latest/{MODEL}")
    _point(artifacts, model_id)
    if os.readlink(artifacts.latest) != model_id:
        raise RegistryError(
            f"{artifacts.latest} does not point at {model_id} after the flip; is another program moving it?"
        )


def _point(artifacts: Artifacts, model_id: str | None) -> None:
    if model_id is None:
        artifacts.latest.unlink(missing_ok=True)
    else:
        _link(artifacts.latest, model_id)
    sync_folder(artifacts.models)


def _link(path: Path, target: str) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    staged.symlink_to(target)
    staged.replace(path)


def newest_id(artifacts: Artifacts) -> str | None:
    """Read the id of the newest packed candidate; None before the first one."""
    if not artifacts.latest_id.exists():
        return None
    try:
        return checked_id(read_bytes(artifacts.latest_id).decode("ascii").strip())
    except (UnicodeDecodeError, RegistryError) as error:
        raise RegistryError(f"{artifacts.latest_id}: holds no model id; write the newest one into it") from error


def model_ids(artifacts: Artifacts) -> list[str]:
    """Every model directory's id, oldest first."""
    if not artifacts.models.is_dir():
        return []
    return sorted((entry.name for entry in artifacts.models.iterdir() if is_model(entry)), key=int)


def is_model(directory: Path) -> bool:
    """Whether a path is a directory, not a link to one, and named as a model."""
    try:
        checked_id(directory.name)
    except RegistryError:
        return False
    return directory.is_dir() and not directory.is_symlink()
