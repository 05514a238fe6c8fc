"""`drift-check` looked at over time: its exit codes, its JSON, and the acknowledgement of an alarm."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from pytest_modelgates.audit.chain import Event, read_history
from pytest_modelgates.cli import main
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.storage.digests import sha256
from tests.support.handmade import Registry, golden_of, log_predictions, predictions

Capture = pytest.CaptureFixture[str]


def asked(registry: Registry, *arguments: object) -> int:
    words = ["drift-check", *map(str, arguments), "--artifacts", str(registry.artifacts.root)]
    return main([*words, "--policy", str(registry.policy_file)])


def log(registry: Registry, *, share: float = 0.0, rows: int = 600) -> None:
    """Score rows, of which a share lies far away."""
    drawn = np.random.default_rng(8).choice(golden_of(registry.artifacts.model(registry.live)), rows)
    drawn[: round(share * rows)] += 1
    records = predictions(live_change(registry.artifacts).digest, drawn.tolist(), arm="live")
    log_predictions(registry.artifacts, records)


def test_a_look_is_in_words_and_in_json_and_the_verdict_stays_what_it_was(registry: Registry, capsys: Capture) -> None:
    log(registry)
    assert asked(registry) == asked(registry, "--over-time") == 0
    first, second = capsys.readouterr().out.split(f"{registry.live}: no drift")[1:]
    said = "  over time: no alarm; at most one false alarm in 20 days is promised\n"
    assert said in first
    assert said in second
    assert "\n    no new row\n    all 600 rows: distance 0." in second
    assert asked(registry, "--json") == 0
    over_time = json.loads(capsys.readouterr().out)["over_time"]
    assert set(over_time) == {
        "alarm",
        "days_per_false_alarm",
        "window",
        "all",
        "golden",
        "level",
        "dependence",
        "next",
    }
    assert (over_time["alarm"], over_time["window"], over_time["days_per_false_alarm"]) == (None, None, 20)
    assert asked(registry, "--json", "--last", 100) in (0, 1)
    assert json.loads(capsys.readouterr().out)["over_time"] is None


def test_an_alarm_over_time_ends_with_one_where_it_is_asked_for(registry: Registry, capsys: Capture) -> None:
    log(registry, share=0.5)
    assert asked(registry, "--over-time") == 1
    assert "  over time: ALARM since " in capsys.readouterr().out
    log(registry, rows=12_000)  # together they have not drifted; the alarm stays
    assert asked(registry) == 0
    assert "  over time: ALARM since " in capsys.readouterr().out
    assert asked(registry, "--over-time") == 1


def test_an_alarm_is_acknowledged_once_and_for_a_reason(registry: Registry, capsys: Capture) -> None:
    assert asked(registry, "--acknowledge", "--reason", "seen") == 1
    assert capsys.readouterr().err == (
        f"modelgates: {registry.live}: no alarm over time is on, so there is nothing to acknowledge; "
        "look first: modelgates drift-check --over-time\n"
    )
    log(registry, share=0.5)
    assert asked(registry, "--over-time") == 1
    (line,) = registry.artifacts.drift_checks.read_bytes().splitlines()
    capsys.readouterr()
    assert asked(registry, "--acknowledge") == 1
    assert 'a record of kind acknowledge needs a reason: --reason "…"' in capsys.readouterr().err
    assert asked(registry, "--acknowledge", "--reason", "a new feed") == 0
    said = f"{registry.live}: the alarm over time is acknowledged; rows count from now on\n"
    assert capsys.readouterr().out == said
    event = read_history(registry.artifacts.promotions)[-1]
    assert isinstance(event, Event)
    assert (event.kind, event.subject, event.reason) == ("acknowledge", f"drift of {registry.live}", "a new feed")
    assert event.evidence == sha256(line)
    assert asked(registry, "--over-time") == 0
    assert "    all 0 rows since 20" in capsys.readouterr().out
    assert asked(registry, "--acknowledge", "--reason", "again") == 1
    assert "no alarm over time is on since it was acknowledged at 20" in capsys.readouterr().err


def test_few_rows_are_inconclusive_and_not_an_alarm(registry: Registry, capsys: Capture) -> None:
    log(registry, rows=40)
    assert (asked(registry), asked(registry, "--over-time")) == (1, 0)
    assert "INCONCLUSIVE" in capsys.readouterr().out


def test_people_are_told_of_an_alarm_over_time_where_it_is_asked_for(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    alerts = SimpleNamespace(drifted=lambda _, model_id, text, *, drift: told.append((model_id, drift, text)))
    monkeypatch.setattr("pytest_modelgates.cli.drift.happened", lambda _, put: put(alerts))
    log(registry, share=0.5)
    asked(registry, "--over-time")
    log(registry, rows=12_000)
    asked(registry)
    asked(registry, "--over-time")
    assert [each[:2] for each in told] == [(registry.live, drift) for drift in (True, False, True)]
    assert "\n  over time: ALARM since " in told[2][2]


def test_the_budget_is_a_setting(registry: Registry, capsys: Capture) -> None:
    log(registry)
    registry.policy_file.with_name("operations.toml").write_text("format = 1\n[drift]\ndays_per_false_alarm = 2.5\n")
    assert asked(registry) == 0
    assert "at most one false alarm in 2.5 days is promised" in capsys.readouterr().out


def test_what_cannot_go_together_or_cannot_be_kept_is_refused(registry: Registry, capsys: Capture) -> None:
    log(registry)
    assert asked(registry, "--over-time", "--last", 100) == 2
    assert "--last means nothing beside --over-time; leave it out" in capsys.readouterr().err
    assert asked(registry, "--reason", "x") == 2
    assert "--reason and --key are for --acknowledge; give it too" in capsys.readouterr().err
    assert asked(registry, "--acknowledge", "--reason", "x", "--over-time", "a.csv") == 2
    assert "--over-time and FILE means nothing beside --acknowledge; leave it out" in capsys.readouterr().err
    registry.artifacts.drift_checks.mkdir(parents=True)
    assert asked(registry) == 0
    assert "  over time: not judged, " in capsys.readouterr().out
    assert asked(registry, "--over-time") == 1
    assert "modelgates: over time: not judged, " in capsys.readouterr().err


def test_a_look_over_time_that_cannot_be_written_fails(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    log(registry)
    monkeypatch.setattr("pytest_modelgates.monitoring.checks.append_atomic", full)
    assert asked(registry) == 0
    assert "this check is not in " in capsys.readouterr().err
    assert asked(registry, "--over-time") == 3


def test_no_look_loads_scipy(registry: Registry) -> None:
    log(registry)
    script = (
        "import sys; from pytest_modelgates.cli import main\n"
        f"code = main(['drift-check', '--over-time', '--artifacts', {str(registry.artifacts.root)!r}])\n"
        "print('RAN', code, *sorted({'scipy', 'sklearn', 'onnxruntime', 'pytest'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "RAN 0"


def test_a_line_without_a_look_from_before_is_read_over(registry: Registry) -> None:
    log(registry)
    assert asked(registry) == 0
    path = registry.artifacts.drift_checks
    old = msgspec.json.decode(path.read_bytes())
    del old["over_time"]
    path.write_bytes(msgspec.json.encode(old) + b"\n")
    assert asked(registry) == 0
    assert json.loads(path.read_text().splitlines()[-1])["over_time"]["window"]["rows"] == 600


@pytest.mark.integration
def test_a_reader_that_has_gone_loses_no_check(registry: Registry) -> None:
    log(registry)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pytest_modelgates", "drift-check", "--artifacts", registry.artifacts.root]
    subprocess.run(command, stdout=writing, stderr=subprocess.DEVNULL, check=False)
    os.close(writing)
    assert len(registry.artifacts.drift_checks.read_text().splitlines()) == 1
