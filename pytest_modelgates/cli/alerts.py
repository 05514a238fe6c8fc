"""Verbs that tell people what happened, `alert send` and `alert test`, and what other verbs do of that at their end."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..artifacts import Artifacts
from ..errors import ModelgatesError, RefusedError
from ..storage.text import counted, first_line
from .options import ARTIFACTS, Verbs, artifacts_of, model_directory, note, operations_of

if TYPE_CHECKING:
    from ..policy.operations import AlertRules

NO_ROUTE = "no route for alerts; add one to operations.toml: [[alerts.route]] with url or alertmanager"


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    alert = verbs.noun("alert", "Send the alerts that wait, or a test message.")
    alert.add("send", send, ARTIFACTS)
    alert.add("test", test, ARTIFACTS)


def send(arguments: argparse.Namespace) -> int:
    """Send every alert that was not sent yet, such as those of trips; ends with 1 if one could not be sent.

    Let cron or a loop run it. It also tells Alertmanager once more of what is still on.
    """
    artifacts = artifacts_of(arguments)
    rules = operations_of(artifacts).alerts
    if not rules.route:
        print("nothing to send: operations.toml has no [[alerts.route]]")
        return 0
    from ..monitoring.alerts import in_words
    from ..monitoring.alerts import send as send_all

    sent = send_all(artifacts, rules, again=True)
    words = f"{counted(sent.messages, 'message')} sent" if sent.messages else "nothing to send"
    if sent.failed or sent.odd:
        note(in_words(sent))
        words = f"{counted(sent.messages, 'message')} sent"
    elif sent.waiting:
        words += f"; {counted(sent.waiting, 'alert')} left, because a route had its {rules.per_hour} an hour"
    print(words)
    return 1 if sent.failed or sent.odd else 0


def test(arguments: argparse.Namespace) -> int:
    """Send a test message by every route, and say what became of each; ends with 1 if one was not taken."""
    artifacts = artifacts_of(arguments)
    rules = operations_of(artifacts).alerts
    if not rules.route:
        raise RefusedError(NO_ROUTE)
    from ..monitoring.alerts import model_name, try_routes
    from ..registry.store import link_text

    results = try_routes(rules, model_name(artifacts, link_text(artifacts)))
    for name, problem in results.items():
        print(f"{name}: {'not sent: ' + problem if problem else 'sent'}")
    return 1 if any(results.values()) else 0


def happened(artifacts: Artifacts, put: Callable[[ModuleType], None]) -> None:
    """Leave an alert of what the audit log does not hold, if there is a route; it cannot fail the command."""
    try:
        if operations_of(artifacts).alerts.route:
            from ..monitoring import alerts

            put(alerts)
    except (ModelgatesError, OSError) as error:
        note(f"an alert is lost: {first_line(error)}")


def announce(
    arguments: argparse.Namespace, refusal: ModelgatesError | None, artifacts: Artifacts, rules: "AlertRules"
) -> None:
    """Send the alerts of the command that has just ended."""
    if not rules.route:
        return
    from ..monitoring import alerts

    if hasattr(arguments, "report") and refusal:
        model_id = Path(arguments.model).resolve().name if arguments.model else _model_of(artifacts, arguments)
        happened(artifacts, lambda alerts: alerts.refused(artifacts, model_id, str(refusal)))
    sent = alerts.send(artifacts, rules)
    if sent.failed or sent.odd:
        note(f"alerts: {alerts.in_words(sent)}")


def acted_on(arguments: argparse.Namespace) -> Artifacts | None:
    """Find the registry that a verb which announces has acted on; None if the verb itself found none."""
    of_directory = hasattr(arguments, "report") and arguments.model and not arguments.report
    with suppress(ModelgatesError):  # the command itself has said what is wrong with the folder
        return model_directory(arguments)[1] if of_directory else artifacts_of(arguments)
    return None


def _model_of(artifacts: Artifacts, arguments: argparse.Namespace) -> str:
    """Find the model of a report that was refused, if the report can say it."""
    from ..evidence.report import read_report
    from ..registry.in_force import for_looking
    from ..registry.promote import model_of

    try:
        keys = for_looking(artifacts, arguments.policy).policy.evidence.keys
        return model_of(read_report(arguments.report, keys=keys))
    except (ModelgatesError, OSError):
        return ""
