"""`ab start`, `ab status` and `ab stop`, as people type them."""

import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit import ab
from pytest_modelgates.audit.ab import read_plan
from pytest_modelgates.audit.kill import kill, unkill
from pytest_modelgates.cli import main
from pytest_modelgates.evidence.report import StoredReport, read_report
from tests.monitoring.test_ab import KNOWING, NOISE, Test
from tests.support.ab import plan_of
from tests.support.handmade import Registry, edited, green_report, log_predictions, predictions

START = ("--share", "0.1", "--reason", "a canary")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(each) for each in arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def start(registry: Registry, *more: object) -> list[object]:
    directory = registry.artifacts.model(registry.candidate)
    return ["ab", "start", directory, "--report", green_report(registry), "--policy", registry.policy_file, *more]


def narrow(text: str) -> bool:
    return all(len(line) <= 80 for line in text.splitlines())


def test_a_test_begins_and_ends(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--artifacts", registry.artifacts.root)
    latest = registry.artifacts.latest.readlink()
    status, out, err = run(capsys, *start(registry, *START))
    plan = read_plan(registry.artifacts)
    assert plan
    assert (status, err) == (0, "")
    assert out == (
        f"{plan.name}: {registry.candidate} beside {registry.live}, 10% of the rows\n"
        "  logged as ab; what serves takes it up within some seconds; see: modelgates ab status\n"
    )
    assert (plan.candidate, plan.live, plan.share, plan.by, plan.reason) == (
        registry.candidate,
        registry.live,
        0.1,
        "row",
        "a canary",
    )
    assert f"\n{plan}\n" in run(capsys, "status", *place)[1]
    status, out, _ = run(capsys, "ab", "status", *place)
    assert status == 0
    assert re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d|[0-9a-f]{16}", "…", out).splitlines() == [
        f"{plan.name}: from … UTC",
        f"  live  {registry.live} (sha256:…)  0 rows",
        f"  ab    {registry.candidate} (sha256:…)  0 rows, 10% dealt by row",
        "  no outcome is known; add what came of the rows: modelgates outcomes add FILE",
        "  inconclusive: no difference of IC can be told",
    ]
    assert narrow(out)
    status, out, _ = run(capsys, "ab", "stop", "--reason", "seen enough", *place)
    assert (status, out) == (
        0,
        f"{plan.name}: ended; all rows go to the live model within some seconds\n"
        "  what it has come to: modelgates ab status\n",
    )
    assert re.search(rf"^{plan.name}: from .* until .* UTC$", run(capsys, "ab", "status", *place)[1], re.MULTILINE)
    status, out, _ = run(capsys, "log", "--kind", "ab-start,ab-stop", *place)
    assert status == 0
    assert "a canary" in out
    assert "seen enough" in out
    assert registry.artifacts.latest.readlink() == latest


def test_the_difference_is_shown_in_words(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = Test(registry, tmp_path)
    test.log(NOISE, KNOWING)
    test.add()
    status, out, _ = run(capsys, "ab", "status", "--artifacts", registry.artifacts.root)
    assert status == 0
    lines = out.splitlines()
    number = r"[+-]\d\.\d{4}"
    assert re.fullmatch(r"  candidate less live, a day, over \d+ days; 95 % at all times:", lines[3])
    assert re.fullmatch(rf"    IC     {number} \({number} to {number}\)", lines[4])
    assert re.fullmatch(rf"    return {number}% \({number}% to {number}%\) of gross exposure, before costs", lines[5])
    assert lines[6:] == ["  better: the candidate's IC is higher than the live model's"]
    assert narrow(out)
    found = json.loads(run(capsys, "ab", "status", "--json", "--artifacts", registry.artifacts.root)[1])
    assert (found["verdict"], found["state"], found["plan"]["share"]) == ("better", "runs", 0.5)
    assert found["ic"]["lower"] > 0
    shutil.rmtree(registry.artifacts.model(registry.candidate))
    said = run(capsys, "ab", "status", "--artifacts", registry.artifacts.root)[1].splitlines()
    assert said[1].startswith(f"  no row is dealt any more: {registry.candidate} is gone: no directory ")
    assert said[2] == '  to end it: modelgates ab stop --reason "…"'


def test_nothing_was_tested_yet(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--artifacts", registry.artifacts.root)
    said = 'no A/B test was made here; modelgates ab start DIRECTORY --share 0.1 --reason "…"\n'
    assert run(capsys, "ab", "status", *place)[:2] == (0, said)
    assert run(capsys, "ab", "status", "--json", *place)[:2] == (0, "null\n")
    assert run(capsys, "ab", "stop", "--reason", "why", *place)[::2] == (
        1,
        "modelgates: no A/B test runs; see: modelgates ab status\n",
    )


def test_what_keeps_a_model_from_promotion_keeps_it_from_a_test(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = start(registry, *START)
    edited(arguments[4], "modelgates", "run", "exit_status", value=1)  # type: ignore[arg-type]
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith(f"modelgates: {registry.candidate} answers no live row, as it could not be promoted:\n  ")
    assert "a green run ends with 0" in err
    assert read_plan(registry.artifacts) is None


def test_without_a_report_the_hard_gates_are_run_first(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, report = registry.artifacts.model(registry.candidate), green_report(registry)
    asked = []

    def run_gates(*asked_for: object, selection: list[str], **_: object) -> tuple[Path, StoredReport]:
        asked.append((asked_for[0], selection))
        return report, read_report(report)

    monkeypatch.setattr("pytest_modelgates.cli.gates.run_gates_as_read", run_gates)
    status, out, err = run(capsys, "ab", "start", directory, *START, "--policy", registry.policy_file)
    plan = read_plan(registry.artifacts)
    assert (status, err) == (0, "")
    assert out.splitlines()[:2] == [f"kept: {report}", str(plan)]
    assert asked == [(directory, ["-m", "hard"])]


@pytest.mark.parametrize("arm", ["ab", "live", "all"])
def test_a_candidate_that_is_stopped_takes_no_row_which_status_says(
    registry: Registry, capsys: pytest.CaptureFixture[str], arm: str
) -> None:
    ab.start(registry.artifacts, plan_of(registry.artifacts, registry.live, registry.candidate))
    stopped = kill(registry.artifacts, arm, "the scores are wrong", "kill")
    place = ("--artifacts", registry.artifacts.root)
    said = run(capsys, "ab", "status", *place)[1].splitlines()
    option = "" if arm == "all" else f" --arm {arm}"
    why = f'{stopped}; to go on: modelgates unkill{option} --reason "…"'
    assert said[1] == f"  no row is dealt: {why}"
    found = json.loads(run(capsys, "ab", "status", "--json", *place)[1])
    assert (found["state"], found["why"]) == ("stopped", why)
    unkill(registry.artifacts, arm, "they are right")
    assert json.loads(run(capsys, "ab", "status", "--json", *place)[1])["state"] == "runs"


def test_no_test_begins_while_its_arm_is_killed(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = kill(registry.artifacts, "ab", "the last candidate was wrong", "kill")
    status, _, err = run(capsys, *start(registry, *START))
    assert (status, err) == (
        1,
        f"modelgates: {registry.candidate} could answer no row: {stopped}; to let the arm go on: "
        'modelgates unkill --arm ab --reason "…"\n',
    )
    assert read_plan(registry.artifacts) is None
    unkill(registry.artifacts, "ab", "another one")
    kill(registry.artifacts, "shadow", "of no matter here", "kill")
    assert run(capsys, *start(registry, *START))[0] == 0


def test_a_candidate_without_a_row_is_said(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(registry.artifacts, registry.live, registry.candidate)
    plan = msgspec.structs.replace(plan, started=plan.started - timedelta(hours=1))
    ab.start(registry.artifacts, plan)
    records = predictions(plan.live_digest, [1.0] * 40, hours=0.5, arm="live")
    log_predictions(registry.artifacts, records)
    said = run(capsys, "ab", "status", "--artifacts", registry.artifacts.root)[1].splitlines()
    assert said[3] == "  the candidate has answered no row; what serves says why on stderr"


def test_the_live_model_is_not_tested_beside_itself(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    report = green_report(registry, registry.live)
    directory = registry.artifacts.model(registry.live)
    status, _, err = run(capsys, "ab", "start", directory, "--report", report, "--policy", registry.policy_file, *START)
    assert status == 1
    assert f"{registry.live} is live already" in err


def test_without_a_live_model_there_is_nothing_to_test_beside(
    empty_registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, *start(empty_registry, *START))
    assert (status, err) == (
        1,
        f"modelgates: nothing is live, so there is nothing to test {empty_registry.candidate} beside; promote a "
        "model: modelgates promote\n",
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param(
            ("--share", "1", "--reason", "all"),
            "a share of 1: give one above 0, at most 0.5; to give a candidate all rows, promote it",
            id="all",
        ),
        pytest.param(("--share", "nan", "--reason", "x"), "a share of nan: give one above 0, at most 0.5", id="nan"),
        pytest.param(("--share", "0.1"), 'an A/B test needs a reason: --reason "…"', id="no-reason"),
    ],
)
@pytest.mark.parametrize("report", [True, False], ids=["with a report", "before gates are run"])
def test_a_start_that_makes_no_sense_is_refused(
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    why: str,
    report: bool,
) -> None:
    asked = start(registry, *options)
    if not report:
        asked[3:5] = []
        monkeypatch.setattr("pytest_modelgates.cli.gates.run_gates", lambda *_, **__: pytest.fail("gates were run"))
    status, _, err = run(capsys, *asked)
    assert status == 1
    assert why in err
    assert read_plan(registry.artifacts) is None


def test_a_second_test_is_refused(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ab.start(registry.artifacts, plan_of(registry.artifacts, registry.live, registry.candidate))
    monkeypatch.setattr("pytest_modelgates.cli.gates.run_gates", lambda *_, **__: pytest.fail("gates were run"))
    for asked in (start(registry, *START), [*start(registry)[:3], "--policy", registry.policy_file, *START]):
        status, _, err = run(capsys, *asked)
        assert status == 1
        assert 'stop it first: modelgates ab stop --reason "…"' in err


@pytest.mark.parametrize("started", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"])
def test_a_test_that_began_at_the_ends_of_time_is_read(
    registry: Registry, capsys: pytest.CaptureFixture[str], started: str
) -> None:
    plan = plan_of(registry.artifacts, registry.live, registry.candidate)
    registry.artifacts.ab.write_text(json.dumps(json.loads(msgspec.json.encode(plan)) | {"started": started}))
    place = ("--artifacts", registry.artifacts.root)
    assert run(capsys, "ab", "status", *place)[0] == 0
    assert run(capsys, "predictions", "--since", "0001-01-01", *place)[0] == 0


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_stop_does_not_take_away_is_to_be_removed_by_hand(
    registry: Registry, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None]
) -> None:
    make(registry.artifacts.ab)
    for words in (("status",), ("stop", "--reason", "x")):
        status, _, err = run(capsys, "ab", *words, "--artifacts", registry.artifacts.root)
        assert status == 1
        assert err.endswith("remove it by hand\n")


def test_a_damaged_file_of_an_old_test_is_said_and_passed_over(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts = registry.artifacts
    ab.start(artifacts, plan_of(artifacts, registry.live, registry.candidate))
    done = ab.stop(artifacts, "seen enough")
    assert done
    (artifacts.ended_abs / "ab-x.json").write_text("{}")
    status, out, err = run(capsys, "ab", "status", "--artifacts", artifacts.root)
    assert (status, out.split(":")[0]) == (0, done.plan.name)
    assert err.startswith(f"modelgates: warning: passed over {artifacts.ended_abs / 'ab-x.json'}: ")
    assert err.count("\n") == 1


def test_a_damaged_plan_is_said_and_taken_away(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    registry.artifacts.ab.write_text("{")
    place = ("--artifacts", registry.artifacts.root)
    status, _, err = run(capsys, "ab", "status", *place)
    assert status == 1
    assert err.endswith('; take it away: modelgates ab stop --reason "…"\n')
    status, out, _ = run(capsys, "status", *place)
    assert status == 1
    assert 'take it away: modelgates ab stop --reason "…"' in out
    status, out, err = run(capsys, "ab", "stop", "--reason", "damaged", *place)
    assert (status, out) == (0, "nothing is dealt any more\n")
    assert err == f"modelgates: warning: {registry.artifacts.ab} held no plan; it is taken away\n"
