"""Rollback: back to a model that was live before, if it is byte for byte what it was then."""

import socket
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from ..artifacts import Artifacts
from ..audit.chain import Intent, changes
from ..errors import RefusedError
from ..evidence.seal import load_key
from ..model.directory import verify
from ..storage.paths import is_folder
from .actor import actor, one_line_reason, why_denied
from .in_force import InForce
from .store import Done, change_live, locked, past_live, state


def rollback(artifacts: Artifacts, model_id: str, in_force: InForce, *, reason: str, key: Path | None = None) -> Done:
    """Make a former live model live again; parameters as for `promote`.

    Raises
    ------
    RefusedError
        If no reason is given, the actor may not, or the model was never live, or is live now.
    IntegrityError
        If its files are not what they were.
    """
    reason = one_line_reason(reason, "rollback")
    if why := why_denied("roll back", in_force.policy.registry.may_roll_back):
        raise RefusedError(why)
    private = load_key(key) if key else None
    with locked(artifacts, in_force.operations.registry):
        # The live model's directory may be gone, which is when a rollback is needed most. So it is not opened here.
        live = state(artifacts).live
        if model_id == live:
            raise RefusedError(f"{model_id} is live already")
        was = next((change.digest for change in changes(artifacts.promotions) if change.to == model_id), None)
        if was is None or not is_folder(artifacts.model(model_id)):
            lost = "was never live" if was is None else "is not there any more"
            past = ", ".join(name for name in past_live(artifacts, live) if is_folder(artifacts.model(name)))
            raise RefusedError(f"{model_id} {lost}; rollback goes to one of: {past or 'none'}")
        digest = verify(artifacts.model(model_id))
        if digest != was:
            raise RefusedError(
                f"{model_id} has other bytes ({digest[:12]}…) than when it was live ({was[:12]}…); roll back further"
            )
        change = Intent(
            time=datetime.now(UTC),
            actor=actor(),
            host=socket.gethostname(),
            action="rollback",
            from_=live,
            to=model_id,
            digest=digest,
            report_digest=None,
            **asdict(in_force.kept),
            reason=reason,
        )
        return change_live(artifacts, change, key=private)
