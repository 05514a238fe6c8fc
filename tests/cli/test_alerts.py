"""What people are told, by services on this machine, and that no decision ever depends on it."""

import fcntl
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_modelgates.audit import kill as switch
from pytest_modelgates.audit.kinds import KILL, TRIP
from pytest_modelgates.cli import main
from pytest_modelgates.monitoring import alerts
from pytest_modelgates.monitoring.outbox import read_state
from pytest_modelgates.monitoring.triggers import Finding
from pytest_modelgates.policy.operations import Mode
from pytest_modelgates.registry.store import live_change
from tests.support.handmade import Registry, golden_of, green_report, log_predictions, predictions
from tests.support.webhooks import Webhook, webhook

Capture = pytest.CaptureFixture[str]
# A machine under load starts processes slowly; what a service does to the time is tried with less.
PATIENT = "[alerts]\ntimeout_s = 60\n"


@pytest.fixture
def service() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


def routes(registry: Registry, *rows: str, rules: str = PATIENT) -> None:
    text = rules + "".join(f"[[alerts.route]]\n{row}\n" for row in rows)
    # The registry's own place, whatever --policy says.
    place = registry.artifacts.named.parent / "registry" / "operations.toml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)


def json_url(service: Webhook, path: str = "") -> str:
    return f'url = "json://127.0.0.1:{service.port}/{path}"'


def run(registry: Registry, *words: str) -> int:
    given = ["--policy", str(registry.policy_file)] if words[0] in ("promote", "rollback", "drift-check") else []
    return main([*words, "--artifacts", str(registry.artifacts.root), *given])


def promote(registry: Registry) -> int:
    return run(registry, "promote", "--report", str(green_report(registry)))


def test_a_breach_of_a_model_that_is_live_no_more_is_told_and_over(registry: Registry, service: Webhook) -> None:
    """As when the watch finds a breach, rolls back, and then sends."""
    routes(registry, json_url(service))
    assert run(registry, "alert", "send") == 0
    service.taken.clear()
    assert promote(registry) == 0
    service.taken.clear()
    alerts.breached(registry.artifacts, registry.candidate, breach("failed"), on=True)
    rollback = ["rollback", registry.live, "--reason", "the watch found failed"]
    assert run(registry, *rollback) == 0
    what = f"model: {registry.candidate} is beyond a limit, failed"
    assert service.titles[0].endswith("3 alerts") or what in service.titles
    said = "\n".join(f"{content['title']}\n{content['message']}" for _, content in service.taken)
    assert what in said
    assert f"over: {what}" in said
    assert not read_state(registry.artifacts).firing


def test_breaches_of_one_model_are_told_apart_and_end_as_they_began(registry: Registry, service: Webhook) -> None:
    routes(registry, f'alertmanager = "http://127.0.0.1:{service.port}"')
    live = registry.live
    alerts.breached(registry.artifacts, live, breach("failed"), on=True)
    alerts.breached(registry.artifacts, live, breach("latency", mode="warn"), on=True)
    alerts.drifted(registry.artifacts, live, "far", drift=True)
    assert run(registry, "alert", "send") == 0
    service.taken.clear()
    alerts.breached(registry.artifacts, live, breach("latency"), on=False)
    assert run(registry, "alert", "send") == 0
    ended = [each for each in service.alerts if datetime.fromisoformat(each["endsAt"]) <= datetime.now(UTC)]
    assert [(each["labels"]["trigger"], each["labels"]["severity"]) for each in ended] == [("watch-latency", "warning")]
    on = {each.id for each in read_state(registry.artifacts).firing.values() if each.kind == "breach"}
    assert on == {f"breach:watch-failed:{live}", f"breach:drift:{live}"}


def breach(trigger: str, *, mode: Mode = "act") -> Finding:
    return Finding(trigger=trigger, mode=mode, verdict="breach", text="12 % of 300 rows", beyond=True)


def test_a_promotion_a_rollback_and_a_kill_are_told_once_each(
    registry: Registry, service: Webhook, capsys: Capture
) -> None:
    routes(registry, json_url(service))
    assert run(registry, "alert", "send") == 0  # the first promotion, which is of today
    service.taken.clear()
    assert promote(registry) == 0
    assert run(registry, "rollback", registry.live, "--reason", "it drifts") == 0
    assert run(registry, "kill", "--reason", "wrong scores") == 0
    assert run(registry, "kill", "--reason", "once more") == 0
    assert run(registry, "unkill", "--reason", "mended") == 0
    assert run(registry, "alert", "send") == 0
    assert service.titles == [
        f"model: {registry.candidate} is live, in place of {registry.live}",
        f"model: rolled back to {registry.live}, in place of {registry.candidate}",
        "model: every arm was killed",
        "over: model: every arm was killed",
    ]
    assert [content["type"] for _, content in service.taken] == ["info", "warning", "failure", "success"]
    assert "it drifts" in service.taken[1][1]["message"]
    captured = capsys.readouterr()
    assert captured.out.endswith("nothing to send\n")
    assert captured.err == ""


def test_alertmanager_is_told_what_is_on_and_when_it_is_over(
    registry: Registry, service: Webhook, capsys: Capture
) -> None:
    routes(registry, f'alertmanager = "http://ada:p%40ss@127.0.0.1:{service.port}/am/"\nkinds = ["kill", "rollback"]')
    assert run(registry, "kill", "--arm", "shadow", "--reason", "wrong scores") == 0
    (on,) = service.alerts
    labels = {"alertname": "ModelKilled", "model": "model", "arm": "shadow", "severity": "critical"}
    assert on["labels"] == labels
    assert on["annotations"]["summary"] == "model: arm shadow was killed"
    assert datetime.fromisoformat(on["endsAt"]) > datetime.now(UTC) + timedelta(days=29)
    assert service.taken[0][0] == "/am/api/v2/alerts"
    assert service.headers[0]["Authorization"] == "Basic YWRhOnBAc3M="  # ada:p@ss
    assert run(registry, "alert", "send") == 0
    assert service.alerts[1]["labels"] == labels, "Alertmanager may have been restarted"
    assert capsys.readouterr().out.endswith("nothing to send\n"), "and takes no place of a message"
    assert run(registry, "unkill", "--arm", "shadow", "--reason", "repaired") == 0
    over = service.alerts[2]
    assert over["labels"] == labels
    assert over["startsAt"] == on["startsAt"] < over["endsAt"] <= datetime.now(UTC).isoformat()
    assert promote(registry) == 0
    assert run(registry, "alert", "send") == 0
    assert len(service.alerts) == 3, "a kind that was not asked for, and nothing that is on"
    assert run(registry, "rollback", registry.live, "--reason", "x") == 0
    once = service.alerts[3]
    assert once["labels"]["model_id"] == registry.live
    assert datetime.fromisoformat(once["endsAt"]) < datetime.now(UTC) + timedelta(hours=1)


def test_a_refusal_is_told_once_with_its_reasons_and_a_dry_run_tells_nothing(
    registry: Registry, service: Webhook
) -> None:
    routes(registry, json_url(service) + '\nkinds = ["refusal"]')
    report = green_report(registry, finished=datetime.now(UTC) - timedelta(days=400))
    words = ["promote", "--report", str(report)]
    before = registry.state()
    assert run(registry, *words, "--dry-run") == 1
    assert service.taken == []
    assert run(registry, *words) == 1
    assert run(registry, *words) == 1
    (told,) = (content for _, content in service.taken)
    assert told["title"] == f"model: {registry.candidate} is not promoted"
    assert "the report is" in told["message"]
    assert registry.state() == before


def test_a_trip_goes_out_with_alert_send_and_a_kill_file_removed_by_hand_ends_it(
    registry: Registry, service: Webhook, capsys: Capture
) -> None:
    routes(registry, json_url(service) + '\nkinds = ["trip"]')
    tripped = switch.kill(registry.artifacts, "live", "0.7 of 300 rows were rejected", TRIP)  # as an adapter does
    assert run(registry, "alert", "send") == 0
    tripped.path.unlink()
    assert run(registry, "alert", "send") == 0
    assert service.titles == ["model: arm live was tripped", "over: model: arm live was tripped"]
    assert "0.7 of 300 rows" in service.taken[0][1]["message"]
    assert service.taken[1][1]["message"] == "its kill file is not there any more"
    assert capsys.readouterr().out == "1 message sent\n" * 2


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


UNREACHED = "the service cannot be reached, or did not take it"
FAULTS = {
    "down": ('url = "json://s3cret@127.0.0.1:{closed}"', "route 1 (json): " + UNREACHED),
    "down-alertmanager": (
        'alertmanager = "http://u:s3cret@127.0.0.1:{closed}"',
        "route 1 (alertmanager): Connection refused",
    ),
    "500": ('url = "json://127.0.0.1:{port}/500/s3cret"', "route 1 (json): HTTP 500"),
    "redirected": ('alertmanager = "http://127.0.0.1:{port}/302"', "route 1 (alertmanager): HTTP 302"),
    "wrong-url": (
        'url = "nosuch://s3cret"',
        "route 1 (nosuch): not a URL that Apprise can use; its services: https://github.com/caronc/apprise",
    ),
    "no-variable": (
        'url = "json://$NO_SUCH_NAME@127.0.0.1/s3cret"',
        "route 1 (json): the environment variable NO_SUCH_NAME is not set, or empty",
    ),
    "hangs": (
        'url = "json://127.0.0.1:{port}/hang/s3cret"',
        "route 1 (json): no answer in time; see [alerts] timeout_s",
    ),
    "no-extra": (
        'url = "json://s3cret@127.0.0.1:{port}"',
        "route 1 (json): apprise is not installed; run: pip install 'pytest-modelgates[alerts]'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_decision_depends_on_what_becomes_of_its_alert(
    registry: Registry,
    service: Webhook,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    route, said = FAULTS[fault]
    rules = "[alerts]\ntimeout_s = 1\n" if fault == "hangs" else PATIENT
    routes(registry, route.format(closed=closed_port(), port=service.port), rules=rules)
    if fault == "no-extra":
        (tmp_path / "apprise.py").write_text("raise ModuleNotFoundError\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert promote(registry) == 0
    assert registry.artifacts.latest.readlink().name == registry.candidate
    note = f"modelgates: alerts: {said}; {{}} left for the next command, or for: modelgates alert send\n"
    assert capsys.readouterr().err == note.format("2 alerts")  # of the promotion before, too
    if fault in ("hangs", "down"):
        assert run(registry, "rollback", registry.live, "--reason", "x") == 0
        assert run(registry, "kill", "--reason", "x") == 0
        assert run(registry, "alert", "send") == 1
        shown = capsys.readouterr()
        assert shown.err == "".join(note.format(f"{count} alerts") for count in (3, 4)) + note.format(
            "4 alerts"
        ).replace("alerts: ", "", 1)
        assert "every arm was killed" in shown.out
        assert shown.out.endswith("0 messages sent\n")
    kept = b"".join(path.read_bytes() for path in registry.artifacts.alerts.rglob("*") if path.is_file())
    assert b"s3cret" not in kept
    # What waited goes out once there is a way, in one message.
    monkeypatch.delenv("PYTHONPATH", raising=False)
    routes(registry, json_url(service))
    assert run(registry, "alert", "send") == 0


def test_what_waited_goes_out_in_one_message_as_soon_as_there_is_a_way(
    registry: Registry, service: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes(registry, 'url = "json://127.0.0.1:$PORT/"')
    monkeypatch.setenv("PORT", str(closed_port()))
    assert promote(registry) == 0
    assert run(registry, "kill", "--reason", "wrong scores") == 0
    monkeypatch.setenv("PORT", str(service.port))
    assert run(registry, "alert", "send") == 0
    assert run(registry, "alert", "send") == 0
    (told,) = (content for _, content in service.taken)
    assert (told["title"], told["type"]) == ("3 alerts", "failure")
    lines = told["message"].splitlines()
    assert [line.partition(": by ")[0] for line in lines[:2]] == [
        f"model: {registry.live} is live, in place of nothing",
        f"model: {registry.candidate} is live, in place of {registry.live}",
    ]
    assert "wrong scores" in lines[2]


def test_an_alert_that_nobody_took_is_given_up_at_the_stated_age_and_said(registry: Registry, capsys: Capture) -> None:
    rules = PATIENT + "give_up_h = 1e-7\n"
    routes(registry, f'alertmanager = "http://127.0.0.1:{closed_port()}"\nkinds = ["kill"]', rules=rules)
    assert run(registry, "kill", "--reason", "x") == 0
    capsys.readouterr()
    assert run(registry, "unkill", "--reason", "x") == 0
    said = "modelgates: alerts: given up after 1e-07 h: model: every arm was killed; route 1 (alertmanager): "
    assert capsys.readouterr().err.startswith(said)


def test_processes_at_once_tell_each_event_once(registry: Registry, service: Webhook) -> None:
    routes(registry, json_url(service) + '\nkinds = ["kill"]')
    command = [sys.executable, "-m", "pytest_modelgates", "kill", "--artifacts", str(registry.artifacts.root)]
    arms = ["a", "b", "c"]
    started = [
        subprocess.Popen(
            [*command, "--arm", arm, "--reason", "x"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for arm in arms
    ]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert run(registry, "alert", "send") == 0
    told = "\n".join(f"{content['title']} {content['message']}" for _, content in service.taken)
    assert [told.count(f"arm {arm} was killed by") + told.count(f"arm {arm} was killed: by") for arm in arms] == [
        1,
        1,
        1,
    ]


def test_a_sender_that_hangs_keeps_nobody_from_stopping(registry: Registry, service: Webhook, capsys: Capture) -> None:
    routes(registry, json_url(service) + '\nkinds = ["kill"]', rules="[alerts]\ntimeout_s = 0.1\n")
    registry.artifacts.alerts.mkdir()
    with (registry.artifacts.alerts / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(registry, "kill", "--reason", "x") == 0
    said = capsys.readouterr().err
    assert said.startswith("modelgates: alerts are not sent: ")
    assert "is held by another process; waited 0.05 s" in said
    assert said.endswith("; they wait for: modelgates alert send\n")
    routes(registry, json_url(service) + '\nkinds = ["kill"]')
    assert run(registry, "alert", "send") == 0
    assert service.titles == ["model: every arm was killed"]


def test_a_route_takes_so_many_messages_an_hour_but_every_kill(
    registry: Registry, service: Webhook, capsys: Capture
) -> None:
    routes(registry, json_url(service), rules=PATIENT + "per_hour = 1\n")
    assert promote(registry) == 0
    assert run(registry, "rollback", registry.live, "--reason", "x") == 0
    assert run(registry, "kill", "--reason", "x") == 0
    assert service.titles == ["2 alerts", "model: every arm was killed"]
    capsys.readouterr()
    assert run(registry, "alert", "send") == 0
    assert capsys.readouterr().out == "nothing to send; 1 alert left, because a route had its 1 an hour\n"


def test_a_test_message_goes_by_every_route(
    registry: Registry, service: Webhook, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", f"json://127.0.0.1:{service.port}/")
    routes(
        registry,
        'url = "$HOOK"\nkinds = ["kill"]',
        f'alertmanager = "http://127.0.0.1:{service.port}"',
        'url = "json://$NO_SUCH_NAME/"',
    )
    assert run(registry, "alert", "test") == 1
    assert capsys.readouterr().out.splitlines() == [
        "route 1 (url): sent",
        "route 2 (alertmanager): sent",
        "route 3 (json): not sent: the environment variable NO_SUCH_NAME is not set, or empty",
    ]
    assert service.titles == ["a test of modelgates"]
    assert service.alerts[0]["labels"]["alertname"] == "ModelgatesTest"


def test_without_a_route_nothing_is_sent_kept_or_imported(registry: Registry, capsys: Capture) -> None:
    code = (
        "import sys; from pytest_modelgates.cli import main; "
        "assert main(sys.argv[1:]) == 0; "
        "loaded = {'apprise', 'pytest_modelgates.monitoring.alerts'} & {*sys.modules}; assert not loaded, loaded"
    )
    root = str(registry.artifacts.root)
    subprocess.run([sys.executable, "-c", code, "kill", "--reason", "x", "--artifacts", root], check=True)
    assert run(registry, "alert", "send") == 0
    assert capsys.readouterr().out == "nothing to send: operations.toml has no [[alerts.route]]\n"
    assert run(registry, "alert", "test") == 1
    assert capsys.readouterr().err == (
        "modelgates: no route for alerts; add one to operations.toml: [[alerts.route]] with url or alertmanager\n"
    )
    assert not registry.artifacts.alerts.exists()


def test_a_damaged_state_is_said_and_begun_anew(registry: Registry, service: Webhook, capsys: Capture) -> None:
    routes(registry, json_url(service))
    assert run(registry, "alert", "send") == 0
    state = registry.artifacts.alerts / "state.json"
    state.write_text("{")
    assert run(registry, "kill", "--reason", "x") == 0
    said = capsys.readouterr().err
    assert said.startswith(f"modelgates: alerts: {state}: ")
    assert said.endswith("; begun anew, so alerts of the last 24 h may come twice\n")
    assert service.titles[-1] == "2 alerts"


def test_where_nothing_can_be_kept_an_alert_goes_out_all_the_same(
    registry: Registry, service: Webhook, capsys: Capture
) -> None:
    routes(registry, json_url(service) + '\nkinds = ["kill"]')
    (registry.artifacts.alerts / "state.json").mkdir(parents=True)  # no file can take its place
    assert run(registry, "kill", "--reason", "x") == 0
    assert service.titles == ["model: every arm was killed"]
    said = capsys.readouterr().err
    assert (
        "; what was sent may be sent again, since that cannot be kept: a folder, expected a file; move it away" in said
    )


def test_a_damaged_log_keeps_no_kill_from_being_told(registry: Registry, service: Webhook, capsys: Capture) -> None:
    routes(registry, json_url(service))
    registry.artifacts.promotions.write_text("not a record\n")
    assert run(registry, "kill", "--reason", "x") == 0
    assert service.titles == ["model: every arm was killed"]
    assert "what happened before cannot be told: " in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_a_note(registry: Registry, service: Webhook, capsys: Capture) -> None:
    routes(registry, json_url(service))
    registry.artifacts.alerts.write_text("a file in the way")
    assert promote(registry) == 0
    assert registry.artifacts.latest.readlink().name == registry.candidate
    assert capsys.readouterr().err.startswith("modelgates: alerts are not sent: ")


def test_a_fault_of_ours_is_a_note_too(
    registry: Registry, service: Webhook, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes(registry, json_url(service))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pytest_modelgates.monitoring.alerts.send", broken)
    assert run(registry, "kill", "--reason", "x") == 0
    assert capsys.readouterr().err == "modelgates: alerts are not sent: ZeroDivisionError; please report this\n"


def test_a_drift_lasts_until_a_check_without_it_or_another_live_model(registry: Registry, service: Webhook) -> None:
    routes(registry, json_url(service) + '\nkinds = ["breach"]')
    for drift in (True, True, False, False, True):
        alerts.drifted(registry.artifacts, registry.live, "PSI 0.4", drift=drift)
        assert run(registry, "alert", "send") == 0
    assert promote(registry) == 0
    title = f"model: the predictions of {registry.live} have drifted"
    assert service.titles == [title, f"over: {title}", title, f"over: {title}"]
    assert service.taken[-1][1]["message"] == f"{registry.candidate} is live now"


def test_only_what_the_live_model_does_now_is_told(registry: Registry, service: Webhook, tmp_path: Path) -> None:
    routes(registry, json_url(service) + '\nkinds = ["breach"]')
    digest = live_change(registry.artifacts).digest
    golden = golden_of(registry.artifacts.model(registry.live))
    calm, moved = golden[:600], [value + 1 for value in golden[:600]]
    scores = tmp_path / "scores.csv"
    log_predictions(registry.artifacts, predictions(digest, moved, arm="blue"))
    past = datetime.now(UTC) - timedelta(days=9)
    log_predictions(registry.artifacts, predictions(digest, calm, arm="live", end=past))
    scores.write_text("prediction\n" + "\n".join(map(str, moved)))
    until = f"--until={(past + timedelta(days=1)).isoformat()}"
    assert run(registry, "drift-check", "--arm", "blue") == 1
    assert run(registry, "drift-check", str(scores)) == 1
    assert run(registry, "drift-check", "--model", registry.live, "--arm", "blue") == 1
    assert service.titles == []
    log_predictions(registry.artifacts, predictions(digest, moved, arm="live"))
    assert run(registry, "drift-check") == 1
    title = f"model: the predictions of {registry.live} have drifted"
    assert [said.removeprefix(title) for said in service.titles] == [""]
    assert run(registry, "drift-check", until) == 0, "it was calm then"
    scores.write_text("prediction\n" + "\n".join(map(str, golden)))
    assert run(registry, "drift-check", str(scores)) == 0
    assert len(service.titles) == 1, "what was calm then, or elsewhere, does not end it"


def test_an_arm_that_was_stopped_again_is_on_again_for_alertmanager(registry: Registry, service: Webhook) -> None:
    routes(registry, f'alertmanager = "http://127.0.0.1:{service.port}"\nkinds = ["kill"]')
    assert run(registry, "kill", "--reason", "one") == 0
    registry.artifacts.kill("all").unlink()
    switch.kill(registry.artifacts, "all", "two", KILL)
    assert run(registry, "alert", "send") == 0
    first, over, again = service.alerts
    assert over["endsAt"] <= datetime.now(UTC).isoformat() < first["endsAt"]
    assert again["labels"] == first["labels"]
    assert "two" in again["annotations"]["description"]
    assert run(registry, "unkill", "--reason", "x") == 0
    assert run(registry, "alert", "send") == 0
    assert len(service.alerts) == 4


@pytest.mark.parametrize("given", ["nosuch", "{root}", "{root}/models"])
def test_what_is_not_a_model_directory_is_refused_without_an_alert(
    registry: Registry, service: Webhook, capsys: Capture, given: str
) -> None:
    routes(registry, json_url(service))
    assert run(registry, "promote", given.format(root=registry.artifacts.root)) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert service.taken == []
    assert [*registry.artifacts.named.parent.rglob("alerts")] == []


def test_broken_operations_are_said_once_and_stop_no_kill(registry: Registry, capsys: Capture) -> None:
    routes(registry, 'url = "s3cret"')
    place = registry.artifacts.named.parent / "registry" / "operations.toml"
    said = f"{place}: url is not an address; write one such as json://host/path, or $NAME - at `$.alerts.route[0]`"
    assert run(registry, "kill", "--reason", "x") == 0
    assert capsys.readouterr().err == f"modelgates: alerts are not sent: {said}; they wait for: modelgates alert send\n"
    assert run(registry, "alert", "send") == 1
    assert capsys.readouterr().err == f"modelgates: {said}\n"


def test_policy_show_names_a_route_without_its_address(registry: Registry, capsys: Capture) -> None:
    routes(registry, 'url = "json://s3cret"\nkinds = ["kill"]', 'alertmanager = "http://s3cret"')
    for words in ([], ["--json"]):
        assert run(registry, "policy", "show", *words) == 0
        shown = capsys.readouterr().out
        assert "s3cret" not in shown
    assert run(registry, "policy", "show") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    first = lines.index("[[alerts.route]]")
    assert lines[first : first + 6] == [
        "[[alerts.route]]",
        'url = "…" operations.toml:4',
        'kinds = ["kill"] operations.toml:5',
        "",
        "[[alerts.route]]",
        'alertmanager = "…" operations.toml:7',
    ]
