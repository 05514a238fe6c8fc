"""Beginning the audit log anew from the link, in the open: the way on when the log is lost, damaged or contradicted."""

import errno
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..artifacts import Artifacts
from ..audit.actor import one_line_reason, why_denied
from ..audit.chain import Commit, chained, signed_content
from ..audit.events import event_of
from ..audit.kinds import ADOPTED
from ..audit.whole import set_aside
from ..audit.writer import link_target, lock
from ..drift.versions import golden_metadata
from ..errors import ModelgatesError, RefusedError
from ..evidence.seal import load_key, sign
from ..model.directory import LocalDirectory, verify
from ..storage.digests import sha256
from ..storage.lines import first
from ..storage.text import first_line
from .golden import give_golden, panel_predictions
from .in_force import InForce
from .recover import diagnose
from .store import went_live


def adopt_link(artifacts: Artifacts, in_force: InForce, *, reason: str, key: Path | None = None) -> list[str]:
    """Begin a new log in which the model that the link names is live; the log before is kept beside it.

    Its first record is an event with the digests of the model and of the log before, so that this shows for good.
    Rollback still finds the records of that log.

    Returns
    -------
    list of str
        What was done, in words; empty if log and link agree, and there is nothing to adopt.

    Raises
    ------
    RefusedError
        If no reason is given, the actor may not roll back, there is no link, or the model has other bytes than when it
        went live.
    IntegrityError
        If the model is damaged.
    """
    reason = one_line_reason(reason, "recover --adopt-link")
    if why := why_denied("adopt the link", in_force.policy.registry.may_roll_back):
        raise RefusedError(why)
    private = load_key(key) if key else None
    with lock(artifacts, in_force.operations.registry):
        if not diagnose(artifacts).contradicted:
            return []
        model_id, path = link_target(artifacts), artifacts.promotions
        if model_id is None:
            raise RefusedError(
                f"{artifacts.latest} is missing, so there is nothing to adopt; lead it to the model that should be "
                f"live: ln -s ID {artifacts.latest}"
            )
        digest = verify(artifacts.model(model_id))
        record = first(went_live(artifacts, model_id))
        was = record.digest if record else digest
        if digest != was:
            raise RefusedError(
                f"{model_id} has other bytes ({digest[:12]}…) than when it went live ({was[:12]}…); put its directory "
                "back from a copy, or lead latest to another model"
            )
        did = []
        before = None
        disk = artifacts.disk
        if disk.is_file(path) and not disk.is_link(path):
            before = artifacts.log.sha256()
            aside = set_aside(artifacts, before)
            with suppress(FileExistsError):  # a crash came between this and the next step
                disk.keep_as(path, aside)
            if not disk.is_file(aside):  # the trials of the log before would be lost with it
                raise OSError(errno.EIO, "The log before was not kept", str(aside))
            did.append(f"keep the log before, sha256:{before}, as {aside}")
        elif disk.is_there(path):
            aside = path.with_name(f"{path.name}.moved-{int(time.time())}")
            disk.rename(path, aside)
            did.append(f"move what lies in the place of {path.name} to {aside}")
        disk.sync(path.parent)
        now = datetime.now(UTC)
        event = event_of(ADOPTED, f"{model_id} sha256:{digest}", reason, before)
        change = in_force.intent("adopt", from_=None, to=model_id, digest=digest, reason=reason, time=now)
        commit = Commit(time=now)
        if private:
            end = chained(event, change)
            placed = msgspec.structs.replace(commit, n=3, prev=sha256(end.split(b"\n")[1]))
            commit = msgspec.structs.replace(commit, signature=sign(signed_content(placed), private))
        artifacts.write(path, chained(event, change, commit))
        return [*did, f"begin a new log in which {model_id} is live", *_give_golden(artifacts, model_id, digest)]


def _give_golden(artifacts: Artifacts, model_id: str, digest: str) -> Iterator[str]:
    """Save the golden of a model that has none, since no promotion did; without it, adoption stands all the same."""
    try:
        if model_id not in golden_metadata(artifacts.golden).goldens:
            with LocalDirectory(artifacts.model(model_id)) as model:
                values = panel_predictions(model)
            give_golden(artifacts, model_id, values, digest)
            yield f"save the golden of {model_id}"
    except (ModelgatesError, OSError) as error:
        yield f"leave {model_id} without a golden ({first_line(error)}); set one: modelgates golden set {model_id}"
