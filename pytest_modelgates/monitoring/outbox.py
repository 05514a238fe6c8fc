"""What is known of alerts below the artifacts root: those that wait for a route, those that are not over.

One process at a time holds the state, by a lock of its own. What the audit log does not hold, such as a refusal, is put
into the outbox as a file, for which nobody needs the lock.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from ..artifacts import Artifacts
from ..errors import FormatError
from ..policy.operations import AlertKind, AlertRoute
from ..storage.digests import sha256
from ..storage.paths import entries, is_there
from ..storage.strict_json import Moment, canonical, read_json

Severity = Literal["info", "warning", "critical"]


class Alert(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that people must know. What `lasts` is on until an alert of the same `id` says when it was `over`."""

    id: str
    kind: AlertKind
    model: str
    model_id: str = ""
    arm: str
    severity: Severity
    title: str
    text: str
    time: Moment
    lasts: bool = False
    over: Moment | None = None

    def ended(self, time: datetime, text: str) -> "Alert":
        """Say that it is over, and why."""
        return msgspec.structs.replace(self, over=max(time, self.time), title=f"over: {self.title}", text=text)


class Waiting(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An alert, and the routes that it was not sent by yet."""

    alert: Alert
    routes: list[str]
    since: Moment


class State(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """All that is known. `seen` is the digest of the last record of the audit log that was looked at.

    `known` holds what was taken up lately and must not be again, `sent` when each route took its last messages.
    """

    format: Literal[1] = 1
    seen: str | None = None
    known: dict[str, Moment] = {}
    firing: dict[str, Alert] = {}
    waiting: list[Waiting] = []
    sent: dict[str, list[Moment]] = {}

    def take(self, alert: Alert, routes: dict[str, AlertRoute], now: datetime, *, anew: bool = False) -> None:
        """Take up an alert, unless it is known; `anew` says that it is on again."""
        if alert.over:
            if not (on := self.firing.pop(alert.id, None)):
                return
            # Alertmanager ends what has the labels with which it began.
            alert = msgspec.structs.replace(alert, severity=on.severity)
        elif alert.id in self.firing or (alert.id in self.known and not anew):
            return
        elif alert.lasts:
            self.firing[alert.id] = alert
        self.known[alert.id] = now
        if keys := [key for key, route in routes.items() if route.takes(alert.kind)]:
            self.waiting.append(Waiting(alert=alert, routes=keys, since=now))

    def forget(self, now: datetime, routes: Iterable[str], give_up: timedelta) -> list[Waiting]:
        """Drop what is too old, and routes that are gone; give what was given up."""
        there = set(routes)
        for item in self.waiting:
            item.routes = [key for key in item.routes if key in there]
            item.since = min(item.since, now)
        old = [item for item in self.waiting if item.routes and item.since < now - give_up]
        self.waiting = [item for item in self.waiting if item.routes and item.since >= now - give_up]
        # A log that is read anew is read back to the same age.
        self.known = {key: time for key, time in self.known.items() if time >= now - 2 * give_up}
        hour = now - timedelta(hours=1)
        # What lies in the future was written before the clock was set back.
        self.sent = {
            key: [time for time in times if hour <= time <= now] for key, times in self.sent.items() if key in there
        }
        return old

    def told(self, route: str, alerts: Iterable[Alert], now: datetime) -> None:
        """Note that a route took these."""
        taken = list(alerts)
        for item in self.waiting:
            if item.alert in taken and route in item.routes:
                item.routes.remove(route)
        self.waiting = [item for item in self.waiting if item.routes]
        self.sent.setdefault(route, []).append(now)


def keys_of(routes: Iterable[AlertRoute]) -> dict[str, AlertRoute]:
    """Name each route for the state, so that another order of the file changes nothing."""
    return {sha256(canonical(route))[:16]: route for route in routes}


def put(artifacts: Artifacts, alert: Alert) -> None:
    """Leave an alert that the audit log does not hold; the next process that sends takes it up."""
    artifacts.write(_outbox(artifacts) / f"{secrets.token_hex(8)}.json", canonical(alert))


def left(artifacts: Artifacts) -> Iterator[tuple[Path, Alert | None]]:
    """Read the outbox; what cannot be read there is None."""
    folder = _outbox(artifacts)
    for path in entries(folder, "[!.]*.json"):
        alert = None
        with suppress(FormatError):
            alert = read_json(path, Alert)
        yield path, alert


def read_state(artifacts: Artifacts) -> State:
    """Read the state; a new one before the first alert.

    Raises
    ------
    FormatError
        If it is damaged.
    """
    path = state_file(artifacts)
    return read_json(path, State) if is_there(path) else State()


def write_state(artifacts: Artifacts, state: State) -> None:
    """Keep the state."""
    artifacts.write(state_file(artifacts), canonical(state))


def state_file(artifacts: Artifacts) -> Path:
    """Where the state lies."""
    return artifacts.alerts / "state.json"


def _outbox(artifacts: Artifacts) -> Path:
    return artifacts.alerts / "outbox"
