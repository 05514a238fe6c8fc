"""The registry on disk: which model is live, and the one atomic step that changes it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RegistryError
from ..model.files import sync_folder
from ..model.layout import MODEL, Artifacts, checked_id
from .audit import check_agreement, read_log


@contextmanager
def locked(artifacts: Artifacts) -> Iterator[None]:
    """Hold the registry's lock, so that two changes never interleave."""
    artifacts.root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(artifacts.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def live_id(artifacts: Artifacts) -> str | None:
    """Read which model `latest` points at; None before the first promotion.

    Raises
    ------
    RegistryError
        If `latest` is no link, or leads anywhere but to a model directory beside it.
    """
    try:
        target = os.readlink(artifacts.latest)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RegistryError(f"{artifacts.latest} is not a symlink; move away what lies in its place") from error
    if not artifacts.model(checked_id(target)).is_dir():
        raise RegistryError(f"{artifacts.latest} points at {target}, which is not there; roll back to a model that is")
    return target


def is_first(artifacts: Artifacts) -> bool:
    """Whether nothing was ever promoted here: no entry in the log and no `latest`; one without the other is refused."""
    entries, live = read_log(artifacts.promotions), live_id(artifacts)
    check_agreement(entries, live)
    return live is None


def flip(artifacts: Artifacts, model_id: str) -> None:
    """Point `latest` at a model in one atomic, durable step."""
    _link(artifacts.latest, model_id)
    if not (artifacts.latest_onnx.is_symlink() and os.readlink(artifacts.latest_onnx) == f"latest/{MODEL}"):
        _link(artifacts.latest_onnx, f"latest/{MODEL}")
    sync_folder(artifacts.models)
    if os.readlink(artifacts.latest) != model_id:
        raise RegistryError(
            f"{artifacts.latest} does not point at {model_id} after the flip; is another program moving it?"
        )


def _link(path: Path, target: str) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    staged.symlink_to(target)
    staged.replace(path)


def model_ids(artifacts: Artifacts) -> list[str]:
    """Every model directory's id, oldest first."""
    if not artifacts.models.is_dir():
        return []
    return sorted(
        (
            entry.name
            for entry in artifacts.models.iterdir()
            if entry.is_dir() and not entry.is_symlink() and entry.name.isdecimal()
        ),
        key=int,
    )
