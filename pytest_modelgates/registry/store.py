"""The registry on disk: which model is live, and the one step that changes it, whole or not at all.

The link decides, and the log is written around its move: intent, move, commit, each durable before the next begins.
"""

import errno
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..artifacts import Artifacts, is_id
from ..audit import ab, shared
from ..audit.chain import (
    OTHER_WRITER,
    Abort,
    Commit,
    Event,
    Intent,
    Tail,
    append,
    committed,
    signed_content,
    stray_end,
    tail,
)
from ..audit.head import Head
from ..audit.whole import logs
from ..audit.writer import link_target
from ..errors import FormatError, ModelgatesError, RegistryError
from ..evidence.seal import sign
from ..model.directory import MODEL
from ..storage.digests import sha256
from ..storage.disk import staged_link

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


def link_text(artifacts: Artifacts) -> str | None:
    """Read what `latest` says, unchecked; None if there is no link."""
    return artifacts.disk.link_text(artifacts.latest)


def live_id(artifacts: Artifacts) -> str | None:
    """Read which model is live; None before the first promotion.

    Raises
    ------
    RegistryError
        If `latest` is not a link, or does not lead to a model directory beside it.
    """
    target = link_target(artifacts)
    if target is not None and not artifacts.disk.is_folder(artifacts.model(target)):
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
    log, target, after = tail(artifacts.log), link_target(artifacts), tail(artifacts.log)
    while after != log:
        log, target, after = after, link_target(artifacts), tail(artifacts.log)
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


def went_live(artifacts: Artifacts, to: str | None = None) -> Generator[Intent, None, None]:
    """Read changes that took place, the newest first, past damage and through logs that were set aside.

    What needs the order of all changes must verify the log first.
    """
    for log in logs(artifacts):
        yield from committed(log, to)


def ever_live(artifacts: Artifacts, to: str | None = None) -> Generator[Intent, None, None]:
    """Read changes as `went_live` does, and then those that a shared bucket knows of, on whichever machine."""
    yield from went_live(artifacts, to)
    with suppress(FormatError), closing(shared.changes(artifacts.shared)) as found:
        yield from (record.change for _, record in found if to in (None, record.change.to))


def past_live(artifacts: Artifacts, live: str | None) -> Generator[str, None, None]:
    """Yield the other models that were live, the latest first and each once. Logs are read only as far as needed."""
    seen = {live}
    with closing(ever_live(artifacts)) as found:
        for change in found:
            if change.to not in seen:
                seen.add(change.to)
                yield change.to


def change_live(
    artifacts: Artifacts,
    change: Intent,
    *,
    key: "Ed25519PrivateKey | None" = None,
    decide: Callable[[], None] | None = None,
) -> Done:
    """Move the link and write the log: both, or neither. The caller holds the lock.

    `decide` is asked between the intent and the move, and raises if the change is not to be: a bucket has the last word
    where machines share one.

    After a crash the next holder of the lock finds an intent without an outcome, and settles it as the link says. An
    A/B test ends before, whatever becomes of the change. If it cannot be ended, its plan is of another change, by which
    no row is dealt.
    """
    if artifacts.disk.is_there(artifacts.ab):
        with suppress(OSError, ModelgatesError):
            ab.stop(artifacts, f"{change.to} goes live ({change.action})")
    intent = append(artifacts.log, change, mode=artifacts.file_mode)
    try:
        require_end(artifacts, intent)
        if decide:
            decide()
        point_latest_at(artifacts, change.to)
        return Done(change, _commit(artifacts, key, intent))
    except BaseException:
        # If putting the link back fails as well, the next holder of the lock settles the change. And if another process
        # has written since, it has settled ours, and the link is its business.
        with suppress(OSError, ModelgatesError):
            if tail(artifacts.log).head == intent:
                artifacts.disk.point(artifacts.latest, change.from_)
                append(artifacts.log, Abort(time=datetime.now(UTC)), after=intent)
        raise


def require_end(artifacts: Artifacts, head: Head) -> None:
    """Refuse to go on if the log does not end where this process left it."""
    if tail(artifacts.log).head != head:
        raise RegistryError(OTHER_WRITER.format(artifacts.promotions))


def _commit(artifacts: Artifacts, key: "Ed25519PrivateKey | None", intent: Head) -> Head:
    return append_signed(artifacts, Commit(time=datetime.now(UTC)), key, after=intent)


def append_signed(
    artifacts: Artifacts, record: Commit | Event, key: "Ed25519PrivateKey | None", *, after: Head | None = None
) -> Head:
    """Append a record that vouches for the log up to here, if there is a key. The caller holds the lock."""
    if key:
        end = tail(artifacts.log).head
        record = msgspec.structs.replace(record, n=end.n + 1, prev=end.digest)
        record = msgspec.structs.replace(record, signature=sign(signed_content(record), key))
    return append(artifacts.log, record, mode=artifacts.file_mode, after=after)


def sound_tail(artifacts: Artifacts) -> Tail:
    """Read the end of the log as if no lines that are not records followed on it."""
    stray = stray_end(artifacts.log)
    return tail(artifacts.log, skip=stray.lines if stray else 0)


def set_stray_end_aside(artifacts: Artifacts) -> tuple[str, str] | None:
    """Move lines at the log's end that are not records to a file of their own. The caller holds the lock.

    Returns
    -------
    tuple of str, or None
        In words what was done, and the digest of the lines.
    """
    path, log = artifacts.promotions, artifacts.log
    log.drop_torn()
    stray = stray_end(log)
    if stray is None:
        return None
    content = log.end(stray.size)
    digest = sha256(content)
    artifacts.write(path.with_name(f"{path.name}.stray-{digest[:16]}"), content)
    log.drop_end(stray.size)
    return stray.in_words(path, digest), digest


def in_the_links_way(artifacts: Artifacts) -> Generator[tuple[str, Path, Path], None, None]:
    """Find what lies where a link is, or is made: in words what to do, the place, and a free name beside it."""
    places, disk = (artifacts.latest, artifacts.latest_onnx), artifacts.disk
    for place in (*places, *map(staged_link, places)):
        if disk.is_other(place) and (place in places or disk.is_folder(place)):
            aside = place.with_name(f"{place.name}.moved-{time.time_ns()}")
            yield f"move what lies in the place of {place.name} to {aside}", place, aside


def point_latest_at(artifacts: Artifacts, model_id: str) -> None:
    """Point `latest` at a model in one atomic, durable step."""
    # `latest.onnx` leads through `latest` and never changes. It comes first, so that nothing is left to fail once
    # `latest` has moved.
    if onnx_link_broken(artifacts):
        artifacts.disk.point(artifacts.latest_onnx, ONNX_LINK)
    artifacts.disk.point(artifacts.latest, model_id)
    if link_text(artifacts) != model_id:
        raise OSError(errno.EIO, f"Does not point at {model_id} after the link was moved", str(artifacts.latest))


def onnx_link_broken(artifacts: Artifacts) -> bool:
    """Whether `latest.onnx`, which servers open, does not lead through `latest`."""
    return artifacts.disk.link_text(artifacts.latest_onnx) != ONNX_LINK


def model_ids(artifacts: Artifacts) -> list[str]:
    """List the id of every model directory, oldest first."""
    disk = artifacts.disk
    names = disk.folders(artifacts.models) if disk.is_folder(artifacts.models) else []
    return sorted(filter(is_id, names), key=int)


def is_model(artifacts: Artifacts, model_id: str) -> bool:
    """Whether a name is that of a directory, not of a link to one, and a model's."""
    directory, disk = artifacts.models / model_id, artifacts.disk
    return is_id(model_id) and disk.is_folder(directory) and not disk.is_link(directory)


def live_change(artifacts: Artifacts) -> Intent:
    """Find the change by which the live model went live: it holds the model's id, and its digest at that time."""
    found = state(artifacts)
    if found.change is None:
        raise RegistryError(f"nothing is live under {artifacts.models}: promote a model first")
    return found.change
