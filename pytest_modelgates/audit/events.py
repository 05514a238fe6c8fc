"""The record of something that happens now, by the user of this process."""

from datetime import UTC, datetime

from ..storage.text import printable
from .actor import actor, host, one_line_reason
from .chain import Event
from .kinds import KINDS


def event_of(kind: str, subject: str, reason: str, evidence: str | None = None) -> Event:
    """Make the record of something that happens now, by this actor; see `Event`.

    Raises
    ------
    RefusedError
        If no reason is given, or the actor is not a name.
    """
    assert kind in KINDS, kind
    return Event(
        time=datetime.now(UTC),
        actor=actor(),
        host=host(),
        kind=kind,
        subject=printable(subject),
        evidence=evidence,
        reason=one_line_reason(reason, f"record of kind {kind}"),
    )
