"""Rollback: back to a model that was live before, if it is byte for byte what it was then.

It is the way out when something is wrong, so it asks for as little as it can: the log's record of that model, and an
end of the log to write behind. Older damage, a link that somebody moved, and what lies in its place do not stop it.
"""

from datetime import UTC, datetime
from pathlib import Path

from ..artifacts import Artifacts, is_id
from ..audit.actor import one_line_reason, why_denied
from ..audit.chain import Abort, append, tail
from ..audit.events import event_of
from ..audit.kinds import RECOVER
from ..audit.writer import finish_interrupted, lock
from ..errors import RefusedError
from ..evidence.seal import load_key
from ..model.directory import verify
from ..storage.lines import first
from .in_force import InForce
from .store import (
    Done,
    append_signed,
    change_live,
    ever_live,
    in_the_links_way,
    is_model,
    link_text,
    past_live,
    set_stray_end_aside,
    sound_tail,
)


def rollback(
    artifacts: Artifacts,
    model_id: str,
    in_force: InForce,
    *,
    reason: str,
    evidence: str | None = None,
    key: Path | None = None,
    instead_of: str | None = None,
) -> Done:
    """Make a former live model live again; parameters as for `promote`.

    `evidence` is the SHA-256 of what it was decided on, such as a watch's finding, and `instead_of` the model that it
    was decided about, which must still be live.

    Raises
    ------
    RefusedError
        If no reason is given, the actor may not, or the model was never live, or is live now, or another one is than
        it was decided about.
    IntegrityError
        If its files are not what they were.
    """
    reason = one_line_reason(reason, "rollback")
    if why := why_denied("roll back", in_force.policy.registry.may_roll_back):
        raise RefusedError(why)
    private = load_key(key) if key else None
    with lock(artifacts, in_force.operations.registry):
        live = live_by_link(artifacts)
        if instead_of not in (None, live):
            raise RefusedError(f"{live or 'nothing'} is live now, and this was decided about {instead_of}; look again")
        # The live model's directory may be gone, which is when a rollback is needed most. So it is not opened here.
        if model_id == live:
            raise RefusedError(_already(artifacts, model_id))
        record = first(ever_live(artifacts, model_id))
        was = record.digest if record else None
        if was is None or not artifacts.disk.is_folder(artifacts.model(model_id)):
            lost = "was never live" if was is None else "is not there any more"
            past = ", ".join(name for name in past_live(artifacts, live) if is_model(artifacts, name))
            where = past or "none; see: modelgates recover"
            raise RefusedError(f"{model_id} {lost}; rollback goes to one of: {where}")
        digest = verify(artifacts.model(model_id))
        if digest != was:
            raise RefusedError(
                f"{model_id} has other bytes ({digest[:12]}…) than when it was live ({was[:12]}…); roll back further"
            )
        repaired = set_stray_end_aside(artifacts)
        obstacles = list(in_the_links_way(artifacts))
        for _, place, aside in obstacles:
            artifacts.disk.rename(place, aside)
        _settle(artifacts, live)
        if repaired:
            append_signed(artifacts, event_of(RECOVER, artifacts.promotions.name, *repaired), private)
        for text, place, _ in obstacles:
            append_signed(artifacts, event_of(RECOVER, place.name, text), private)
        decided = {"evidence_digest": evidence} if evidence else {}
        change = in_force.intent(
            "rollback", from_=live, to=model_id, digest=digest, reason=reason, time=datetime.now(UTC), **decided
        )
        return change_live(artifacts, change, key=private)


def live_by_link(artifacts: Artifacts) -> str | None:
    """Read which model the link names; None if it leads elsewhere, is missing or is not a link."""
    live = link_text(artifacts)
    return live if live and is_id(live) else None


def _settle(artifacts: Artifacts, live: str | None) -> None:
    """Settle a change that was cut short, wherever the link leads now."""
    end = tail(artifacts.log)
    if end.open and live not in (end.open.to, end.open.from_):
        append(artifacts.log, Abort(time=datetime.now(UTC)), after=end.head)
    else:
        finish_interrupted(artifacts)


def _already(artifacts: Artifacts, model_id: str) -> str:
    end = sound_tail(artifacts)
    if end.change_to(model_id):
        return f"{model_id} is live already"
    return (
        f"latest points at {model_id} already, but promotions.log says {end.change.to if end.change else 'nothing'} is "
        f'live; to keep {model_id}: modelgates recover --adopt-link --reason "…"'
    )
