"""Alerts: what happened is read from the audit log, the kill files and the outbox, and goes out by the team's routes.

Nothing here decides anything. An alert that cannot be sent waits for the next command, up to a stated age.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from ..artifacts import ALL_ARMS, Artifacts, is_id
from ..audit.chain import Event, Intent, Line, Unknown, lines, took_place
from ..audit.kill import Killed, killed
from ..audit.kinds import KILL, TRIP, UNKILL
from ..errors import FormatError, ModelgatesError
from ..model.directory import LocalDirectory
from ..policy.operations import AlertRoute, AlertRules
from ..registry.store import link_text
from ..storage.atomic import make_folder
from ..storage.digests import sha256
from ..storage.lock import locked_file
from ..storage.text import counted, listed, printable
from .delivery import Message, deliver
from .outbox import Alert, State, keys_of, left, put, read_state, write_state

if TYPE_CHECKING:
    from .triggers import Finding

LONGEST = 2000  # of the text of one alert [character]
_ONCE = timedelta(minutes=15)  # how long Alertmanager shows what happened once
_LASTS = timedelta(days=30)  # and what is on, unless it hears more
NAMES = {
    "breach": "ModelBreach",
    "refusal": "ModelRefused",
    "promotion": "ModelPromoted",
    "rollback": "ModelRolledBack",
    "kill": "ModelKilled",
    "trip": "ModelTripped",
}


@dataclass(slots=True)
class Sent:
    """What became of the alerts: how many routes took them, and what is to be said of the others, by route."""

    messages: int = 0
    failed: list[str] = field(default_factory=list)
    waiting: int = 0
    """Alerts that the next command tries to send."""
    odd: list[str] = field(default_factory=list)
    """What else went wrong: alerts that were given up, a log or state that cannot be read."""


def send(artifacts: Artifacts, rules: AlertRules, *, again: bool = False) -> Sent:
    """Send everything that happened and was not sent yet.

    Parameters
    ----------
    artifacts : Artifacts
    rules : AlertRules
        With at least one route.
    again : bool, default False
        Tell Alertmanager once more of what is still on: it forgets that when it starts anew.

    Returns
    -------
    Sent

    Raises
    ------
    RegistryError
        If another process is sending for half the time that this may take.
    OSError
        If there is no place for the state, or the process that sends cannot be started.
    """
    until = time.monotonic() + rules.timeout_s
    make_folder(artifacts.alerts, mode=artifacts.directory_mode)
    lock = artifacts.alerts / ".lock"
    with locked_file(lock, timeout_s=rules.timeout_s / 2, mode=artifacts.file_mode):
        sent, now, routes = Sent(), datetime.now(UTC), keys_of(rules.route)
        state = _state(artifacts, sent, rules)
        old = state.forget(now, routes, timedelta(hours=rules.give_up_h))
        sent.odd += [f"given up after {rules.give_up_h:g} h: {item.alert.title}" for item in old]
        taken = _take_up(artifacts, state, routes, rules, now, sent)
        with suppress(OSError):  # on a full disk an alert goes out all the same
            write_state(artifacts, state)
            for path in taken:
                path.unlink()
        pending = {key: _pending(state, key, rules) for key in routes}
        firing = list(state.firing.values()) if again else []
        messages, problems = _messages(routes, pending, firing, now)
        results = problems | (deliver(messages, until - time.monotonic()) if messages else {})
        names = {key: name_of(route, number) for number, (key, route) in enumerate(routes.items(), start=1)}
        sent.failed += [f"{names[key]}: {problem}" for key, problem in results.items() if problem]
        for key in (key for key, problem in results.items() if problem is None and pending[key]):
            sent.messages += 1
            state.told(key, pending[key], now)
        sent.waiting = len(state.waiting)
        try:
            write_state(artifacts, state)
        except OSError as error:
            sent.odd.append(f"what was sent may be sent again, since that cannot be kept: {error.strerror}")
    return sent


def _messages(
    routes: dict[str, AlertRoute], pending: dict[str, list[Alert]], firing: list[Alert], now: datetime
) -> tuple[list[Message], dict[str, str | None]]:
    """Make one message for each route, of what waits for it, and for Alertmanager of what is on as well."""
    messages: list[Message] = []
    problems: dict[str, str | None] = {}
    for key, route in routes.items():
        alerts = pending[key]
        if route.alertmanager is not None:
            alerts = [each for each in firing if route.takes(each.kind) and each not in alerts] + alerts
        if alerts:
            try:
                messages.append(message_of(key, route, alerts, now))
            except FormatError as error:
                problems[key] = str(error)
    return messages, problems


def try_routes(rules: AlertRules, model: str) -> dict[str, str | None]:
    """Send a test message by every route; tell for each, by its name, None or why it was not taken."""
    now, messages = datetime.now(UTC), []
    results: dict[str, str | None] = {}
    names = {str(number): name_of(route, number) for number, route in enumerate(rules.route, start=1)}
    test = Alert(
        id="test",
        kind="promotion",
        model=model,
        arm="live",
        severity="info",
        title="a test of modelgates",
        text="This is a test: nothing happened.",
        time=now,
    )
    for key, route in zip(names, rules.route, strict=True):
        try:
            messages.append(message_of(key, route, [test], now, name="ModelgatesTest"))
        except FormatError as error:
            results[key] = str(error)
    results |= deliver(messages, rules.timeout_s) if messages else {}
    return {name: results[key] for key, name in names.items()}


def name_of(route: AlertRoute, number: int) -> str:
    """Name a route without its address: its place in operations.toml and its service."""
    return f"route {number} ({route.service})"


def refused(artifacts: Artifacts, model_id: str, why: str) -> None:
    """Leave the alert that a promotion was refused; the audit log has no record of it."""
    name = model_name(artifacts, model_id)
    text = why if len(why) <= LONGEST else f"{why[:LONGEST]}…"
    title = f"{name}: {model_id or 'a model'} is not promoted"
    put(
        artifacts,
        _alert("refusal", f"refusal:{model_id}:{sha256(why.encode())[:16]}", name, model_id, "warning", title, text),
    )


def drifted(artifacts: Artifacts, model_id: str, text: str, *, drift: bool) -> None:
    """Leave the alert that the live model's predictions have drifted, or that they do not any more."""
    _breach(artifacts, model_id, "drift", f"the predictions of {model_id} have drifted", text, on=drift)


def gates_failed(artifacts: Artifacts, model_id: str, text: str, *, failed: bool) -> None:
    """Leave the alert that the live model fails its gates, or that it does not any more."""
    _breach(artifacts, model_id, "gates", f"the live model, {model_id}, fails its gates", text, on=failed)


def breached(artifacts: Artifacts, model_id: str, found: "Finding", *, on: bool) -> None:
    """Leave the alert that the watch found a breach of the live model, or that it does not any more."""
    if found.trigger == "drift":
        title = f"the predictions of {model_id} have drifted"
    else:
        title = f"{model_id} is beyond a limit, {found.trigger}"
    # What else looks, such as drift-check, has alerts of its own, and ends only those.
    _breach(artifacts, model_id, f"watch-{found.trigger}", title, found.text, on=on, warning=found.mode == "warn")


def _breach(
    artifacts: Artifacts, model_id: str, what: str, title: str, text: str, *, on: bool, warning: bool = False
) -> None:
    """Leave the alert that something is wrong with the live model until the same is put again as over."""
    name, severity = model_name(artifacts, model_id), "warning" if warning else "critical"
    key, title = f"breach:{what}:{model_id}", f"{name}: {title}"
    alert = _alert("breach", key, name, model_id, severity, title, text, lasts=True)
    put(artifacts, alert if on else alert.ended(alert.time, text))


def model_name(artifacts: Artifacts, model_id: str | None) -> str:
    """Read what a model is called; `model` if that is not known."""
    if model_id and is_id(model_id):
        with suppress(ModelgatesError, OSError), LocalDirectory(artifacts.model(model_id)) as model:
            return model.sidecar.name
    return "model"


def message_of(key: str, route: AlertRoute, alerts: list[Alert], now: datetime, *, name: str | None = None) -> Message:
    """Make what a route is sent for some alerts.

    Raises
    ------
    FormatError
        If its address needs a variable that is not set.
    """
    try:
        address = Template(route.address).substitute({key: value for key, value in os.environ.items() if value})
    except KeyError as error:
        raise FormatError(f"the environment variable {error.args[0]} is not set, or empty") from None
    if route.alertmanager is not None:
        return Message(route=key, address=address, alerts=[_for_alertmanager(each, now, name) for each in alerts])
    if len(alerts) == 1:
        title, text = alerts[0].title, alerts[0].text
    else:
        title, text = f"{len(alerts)} alerts", listed((f"{each.title}: {each.text}" for each in alerts), between="\n")
    worst = max((_MOODS.index(_mood(each)) for each in alerts), default=0)
    return Message(route=key, address=address, title=title, text=text, mood=_MOODS[worst])


_MOODS = ("success", "info", "warning", "failure")


def _mood(alert: Alert) -> str:
    return "success" if alert.over else {"critical": "failure"}.get(alert.severity, alert.severity)


def _for_alertmanager(alert: Alert, now: datetime, name: str | None) -> dict[str, Any]:
    ends = alert.over or now + (_LASTS if alert.lasts else _ONCE)
    labels = {
        "alertname": name or NAMES[alert.kind],
        "model": alert.model,
        "arm": alert.arm,
        "severity": alert.severity,
        **({"model_id": alert.model_id} if alert.model_id else {}),
        **({"trigger": alert.id.split(":")[1]} if alert.kind == "breach" else {}),  # several may be on at once
    }
    return {
        "labels": labels,
        "annotations": {"summary": alert.title, "description": alert.text},
        "startsAt": alert.time.isoformat(),
        "endsAt": ends.isoformat(),
    }


def _state(artifacts: Artifacts, sent: Sent, rules: AlertRules) -> State:
    try:
        return read_state(artifacts)
    except FormatError as error:
        sent.odd.append(f"{error}; begun anew, so alerts of the last {rules.give_up_h:g} h may come twice")
        return State()


def _pending(state: State, key: str, rules: AlertRules) -> list[Alert]:
    """What a route is to be told now; one that had its messages of this hour is told only what is critical."""
    found = [item.alert for item in state.waiting if key in item.routes]
    full = len(state.sent.get(key, ())) >= rules.per_hour
    return [alert for alert in found if alert.severity == "critical"] if full else found


def _take_up(
    artifacts: Artifacts,
    state: State,
    routes: dict[str, AlertRoute],
    rules: AlertRules,
    now: datetime,
    sent: Sent,
) -> list[Path]:
    """Take up all that happened since the last time; give the files of the outbox that are dealt with."""
    seen, horizon = state.seen, now - timedelta(hours=rules.give_up_h)
    records, state.seen, odd = _news(artifacts, seen, horizon)
    sent.odd += odd
    names: dict[str | None, str] = {}

    def name(model_id: str | None) -> str:
        return names.setdefault(model_id, model_name(artifacts, model_id))

    live = link_text(artifacts)
    for record, digest in records:
        if isinstance(record, Intent):
            for on in [each for each in state.firing.values() if each.kind == "breach" and each.model_id != record.to]:
                state.take(on.ended(record.time, f"{record.to} is live now"), routes, now)
            if record.action != "adopt":
                state.take(_of_change(record, digest, name(record.to)), routes, now)
        elif record.kind in (KILL, TRIP):
            said = f"{_who(record)}: {record.reason}"
            alert = _of_kill(record.kind, record.subject, record.evidence, name(live), record.time, said)
            state.take(alert, routes, now)
        elif record.kind == UNKILL:
            keys = {_key_of_kill(kind, record.subject, record.evidence) for kind in (KILL, TRIP)}
            for on in [state.firing[key] for key in keys & {*state.firing}]:
                state.take(on.ended(record.time, f"{_who(record)}: {record.reason}"), routes, now)
    _take_up_kills(killed(artifacts), state, lambda alert: state.take(alert, routes, now, anew=True), name(live), now)
    found = list(left(artifacts))
    sent.odd += [f"{path}: not an alert; deleted" for path, content in found if content is None]
    for each in sorted((content for _, content in found if content), key=lambda content: content.time):
        state.take(each, routes, now, anew=each.lasts)
        # It may have been left before the change that ended it, such as the rollback that it led to.
        if each.kind == "breach" and not each.over and each.model_id != live:
            state.take(each.ended(now, f"{live or 'nothing'} is live now"), routes, now)
    return [path for path, _ in found]


def _take_up_kills(
    stopped: Iterable[Killed], state: State, take: Callable[[Alert], None], name: str, now: datetime
) -> None:
    """Take up kill files whose event the log lacks, as one that a trip made does, and those that somebody removed."""
    on = []
    for each in stopped:
        said = each.kill
        on.append(_of_kill(said.kind, each.arm, each.digest, name, said.time, str(each)))
    there = {alert.id for alert in on}
    gone = [alert for alert in state.firing.values() if alert.kind in (KILL, TRIP) and alert.id not in there]
    # Alertmanager knows an arm that was stopped again by the same labels, and believes what it is told last.
    for alert in [*(alert.ended(now, "its kill file is not there any more") for alert in gone), *on]:
        take(alert)


def _news(
    artifacts: Artifacts, seen: str | None, horizon: datetime
) -> tuple[list[tuple[Intent | Event, str]], str | None, list[str]]:
    """Read what the log has behind the record `seen`, the oldest first; of one never looked at, what is not too old."""
    found: list[tuple[Intent | Event | Unknown, str]] = []
    odd: list[str] = []
    try:
        for each in took_place(_behind(artifacts, seen, horizon)):
            found.append(each)  # what was read before the log is damaged is told
    except (FormatError, OSError) as error:
        odd.append(f"what happened before cannot be told: {error}")
    known = [(record, digest) for record, digest in reversed(found) if not isinstance(record, Unknown)]
    return [each for each in known if each[0].time >= horizon], found[0][1] if found else seen, odd


def _behind(artifacts: Artifacts, seen: str | None, horizon: datetime) -> Iterator[tuple[Line, str]]:
    with closing(lines(artifacts.log)) as records:
        for record, digest in records:
            if digest == seen or (seen is None and record.time < horizon):
                return
            yield record, digest


def _of_change(change: Intent, digest: str, name: str) -> Alert:
    before = f"in place of {change.from_ or 'nothing'}"
    if change.action == "promote":
        kind, severity, title = "promotion", "info", f"{name}: {change.to} is live, {before}"
    else:
        kind, severity, title = "rollback", "warning", f"{name}: rolled back to {change.to}, {before}"
    text = f"{_who(change)}: {change.reason}"
    return _alert(kind, f"change:{digest}", name, change.to, severity, title, text, time=change.time)


def _of_kill(kind: str, arm: str, digest: str | None, name: str, time: datetime, text: str) -> Alert:
    what = "was tripped" if kind == TRIP else "was killed"
    title = f"{name}: {'every arm' if arm == ALL_ARMS else f'arm {arm}'} {what}"
    key = _key_of_kill(kind, arm, digest)
    return _alert(kind, key, name, "", "critical", title, text, arm=arm, time=time, lasts=True)


def _key_of_kill(kind: str, arm: str, digest: str | None) -> str:
    return f"{kind}:{arm}:{digest or '-'}"


def _who(record: Intent | Event) -> str:
    return f"by {record.actor} on {record.host} at {record.time:%Y-%m-%d %H:%M:%S} UTC"


def _alert(
    kind: Any,
    key: str,
    model: str,
    model_id: str,
    severity: Any,
    title: str,
    text: str,
    *,
    arm: str = "live",
    time: datetime | None = None,
    lasts: bool = False,
) -> Alert:
    return Alert(
        id=key,
        kind=kind,
        model=model,
        model_id=model_id,
        arm=arm,
        severity=severity,
        title=printable(title),
        text=text,
        time=time or datetime.now(UTC),
        lasts=lasts,
    )


def in_words(sent: Sent) -> str:
    """Say on one line what was not sent."""
    waits = f"; {counted(sent.waiting, 'alert')} left for the next command, or for: modelgates alert send"
    return "; ".join([*sent.odd, *sent.failed]) + (waits if sent.failed and sent.waiting else "")
