"""What happened to the registry and moved no link, kept in the same chain as its changes."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..artifacts import Artifacts
from ..audit.events import event_of
from ..audit.head import Head
from ..audit.writer import locked
from ..evidence.seal import load_key
from ..policy.operations import LockRules
from .store import append_signed


def record_event(
    artifacts: Artifacts,
    rules: LockRules,
    *,
    kind: str,
    subject: str,
    reason: str,
    evidence: str | None = None,
    key: Path | None = None,
) -> Head:
    """Add an event to the audit log, under the registry's lock; a change that was cut short is settled before it.

    Parameters
    ----------
    artifacts : Artifacts
    rules : LockRules
    kind : str
        What happened: one of `audit.kinds.KINDS`, which says what subject and evidence are.
    subject : str
        What it happened to, such as a model's id.
    reason : str
        For people.
    evidence : str, optional
        SHA-256 of what shows it.
    key : Path, optional
        The private key that signs the event, and so the log up to it.

    Returns
    -------
    Head
        The new end of the log.

    Raises
    ------
    RefusedError
        If no reason is given.
    RegistryError
        If the lock did not come free, or the record is too long.
    """
    event = event_of(kind, subject, reason, evidence)
    private = load_key(key) if key else None
    with locked(artifacts, rules):
        return append_signed(artifacts, msgspec.structs.replace(event, time=datetime.now(UTC)), private)
