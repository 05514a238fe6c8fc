"""`modelgates nightly`: what is due every night, what becomes of each, and the exit status."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import ab
from pytest_modelgates.audit.chain import read_log
from pytest_modelgates.audit.writer import locked
from pytest_modelgates.cli import main, nightly
from pytest_modelgates.errors import HermeticError
from pytest_modelgates.evidence.report import GateRecord, StoredReport, read_report
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.registry.store import live_id
from pytest_modelgates.serving.drill import Drill, Shown, record_drill
from pytest_modelgates.serving.running import Announced
from tests.cli.test_paper import predicted, traded
from tests.support.ab import plan_of
from tests.support.handmade import (
    Registry,
    golden_of,
    green_ledger,
    green_run,
    log_predictions,
    modelgates,
    predictions,
    record,
    renamed,
    write_report,
)
from tests.support.webhooks import webhook

Capture = pytest.CaptureFixture[str]
NIGHTS = "format = 1\n[promotion]\nparity_nights = 2\nshadow_hours = 0\ndrift_psi = 0\n"


@pytest.fixture
def quick_gates(monkeypatch: pytest.MonkeyPatch) -> dict[str, GateRecord | Exception]:
    """Gates that pass at once, but for the records and errors that a test puts here by the model's id."""
    instead: dict[str, GateRecord | Exception] = {}

    def run(
        directory: Path, artifacts: Artifacts, in_force: object, *, key: Path | None, selection: object
    ) -> tuple[Path, StoredReport]:
        policy, found = in_force.policy, instead.get(directory.name)
        if isinstance(found, Exception):
            raise found
        gates = green_run(directory, policy)
        if found:
            gates = msgspec.structs.replace(
                gates, gates=tuple(found if each.gate == found.gate else each for each in gates.gates)
            )
        status = 1 if found else 0
        ledger = green_ledger(directory, policy, run=gates, exit_status=status)
        path = write_report(artifacts.new_report(directory.name, datetime.now(UTC)), ledger, exitcode=status)
        return path, read_report(path)

    monkeypatch.setattr(nightly, "run_gates_as_read", run)
    return instead


def night(registry: Registry, *options: str) -> int:
    return main(["nightly", "--artifacts", str(registry.artifacts.root), *options])


def summary_of(capsys: Capture) -> dict[str, str]:
    """What was said of each thing that was due, spaces apart."""
    lines = capsys.readouterr().out.partition("modelgates nightly, ")[2].splitlines()[1:]
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith("    "):
            found[list(found)[-1]] += "\n" + line.strip()
        else:
            what, _, text = line.strip().partition("  ")
            found[what] = " ".join(text.split())
    return found


@pytest.mark.usefixtures("quick_gates")
def test_without_promote_it_says_that_nothing_speaks_against_the_candidate(registry: Registry, capsys: Capture) -> None:
    before = registry.state()
    assert night(registry) == 0
    found = summary_of(capsys)
    assert list(found) == ["live", "drift", "reconcile", "drill", "candidate", "promotion", "retention"]
    assert found["live"].startswith(f"good {registry.live}: ")
    assert found["drift"].startswith(f"not measured no prediction of {registry.live}, which is live, in ")
    assert found["reconcile"].startswith("not measured ")
    assert "nothing was booked on paper yet; run: modelgates paper --prices FILE" in found["reconcile"]
    assert found["drill"] == (
        "not measured a drill of the kill switch is due, and no server runs that could show anything"
    )
    assert found["promotion"] == f"good nothing speaks against {registry.candidate}: modelgates nightly --promote"
    assert found["retention"] == "good nothing is old enough to be deleted"
    assert registry.state() == before


@pytest.mark.usefixtures("quick_gates")
def test_with_promote_the_candidate_goes_live_and_the_next_night_has_no_candidate(
    registry: Registry, capsys: Capture
) -> None:
    assert night(registry, "--promote") == 0
    change = read_log(registry.artifacts.promotions)[-1]
    said = summary_of(capsys)["promotion"]
    assert said.startswith(f"good {registry.candidate} is live, in place of {registry.live}; audit log: ")
    assert (change.action, change.to, change.reason) == (
        "promote",
        registry.candidate,
        "nightly: every criterion holds",
    )
    assert isinstance(change.way_back, str)
    assert night(registry, "--promote") == 0
    assert list(summary_of(capsys)) == ["live", "drift", "reconcile", "drill", "retention"]


@pytest.mark.usefixtures("quick_gates")
def test_a_model_that_was_live_before_is_no_candidate(registry: Registry, capsys: Capture) -> None:
    assert night(registry, "--promote") == 0
    root = ["--artifacts", str(registry.artifacts.root)]
    assert main(["rollback", registry.live, "--reason", "it loses", *root]) == 0
    capsys.readouterr()
    assert night(registry, "--promote") == 0
    assert "candidate" not in summary_of(capsys)
    assert live_id(registry.artifacts) == registry.live


@pytest.mark.usefixtures("quick_gates")
def test_a_candidate_that_lacks_only_nights_waits(registry: Registry, capsys: Capture) -> None:
    registry.policy_file.write_text(NIGHTS)
    assert night(registry, "--promote") == 0
    said = summary_of(capsys)["promotion"]
    assert said.startswith(f"waits {registry.candidate} is not promoted:\n1 consecutive UTC nights with ONNX parity")
    assert live_id(registry.artifacts) == registry.live


def test_failing_gates_are_named_and_told(
    registry: Registry, quick_gates: dict[str, GateRecord | Exception], capsys: Capture
) -> None:
    operations = registry.policy_file.with_name("operations.toml")
    wrong = record("parity.max_abs_diff", registry.policy, 0.5)
    with webhook() as service:
        route = f'[[alerts.route]]\nurl = "json://127.0.0.1:{service.port}/"\n'
        operations.write_text(f"format = 1\n[alerts]\ntimeout_s = 60\n{route}")
        quick_gates[registry.candidate] = wrong
        assert night(registry) == 1
        service.taken.clear()  # nobody asked for a promotion yet, so none was refused
        capsys.readouterr()
        assert night(registry, "--promote") == 1
        found = summary_of(capsys)
        assert found["candidate"].startswith(f"BAD {registry.candidate}: ")
        assert "failed: parity.max_abs_diff (reports/" in found["candidate"]
        assert found["promotion"].startswith(f"BAD {registry.candidate} is not promoted:\npytest ended with 1")
        assert live_id(registry.artifacts) == registry.live
        quick_gates |= {registry.live: wrong}
        assert night(registry) == 1
        del quick_gates[registry.live]
        assert night(registry) == 1
    failing = f"model: the live model, {registry.live}, fails its gates"
    assert service.titles == [f"model: {registry.candidate} is not promoted", failing, f"over: {failing}"]


def test_an_error_of_one_step_does_not_stop_the_next(
    registry: Registry, quick_gates: dict[str, GateRecord | Exception], capsys: Capture
) -> None:
    quick_gates[registry.live] = HermeticError("the gates left no report (exit 137):\nkilled")
    assert night(registry, "--promote") == 1
    found = summary_of(capsys)
    assert found["live"] == "BAD the gates left no report (exit 137):\nkilled"
    assert live_id(registry.artifacts) == registry.candidate
    quick_gates[registry.candidate] = OSError(28, "No space left on device", "reports/x.json")
    assert night(registry) == 3
    assert summary_of(capsys)["live"] == "ERROR No space left on device: reports/x.json"


def test_a_registry_without_a_model_is_refused(registry: Registry, capsys: Capture) -> None:
    for path in (registry.artifacts.latest, registry.artifacts.latest_onnx, registry.artifacts.latest_id):
        path.unlink(missing_ok=True)
    assert night(registry) == 1
    assert capsys.readouterr().err == (
        f"modelgates: {registry.artifacts.root}: no live model and no candidate, so there is nothing to gate; "
        "pack a model, or restore the artifacts\n"
    )


@pytest.mark.usefixtures("quick_gates")
@pytest.mark.parametrize(
    ("move", "outcome", "status"), [(0.0, "good", 0), (5.0, "BAD", 1)], ids=["as-the-golden", "moved"]
)
def test_drift_of_the_live_model_is_looked_for(
    registry: Registry, move: float, outcome: str, status: int, capsys: Capture
) -> None:
    directory = registry.artifacts.model(registry.live)
    with_digest = {"model_id": registry.live, "arm": "live"}
    digest = read_log(registry.artifacts.promotions)[-1].digest
    values = [value + move for value in golden_of(directory)[:800]]
    log_predictions(registry.artifacts, predictions(digest, values, **with_digest))
    assert night(registry) == status
    assert summary_of(capsys)["drift"].startswith(f"{outcome} {registry.live}: ")
    assert registry.artifacts.drift_checks.is_file()


@pytest.mark.usefixtures("quick_gates")
def test_an_alarm_over_time_is_told_unless_the_watch_looks(registry: Registry, capsys: Capture) -> None:
    digest = read_log(registry.artifacts.promotions)[-1].digest
    golden = golden_of(registry.artifacts.model(registry.live))[:800]
    words = ["--artifacts", str(registry.artifacts.root)]
    log_predictions(registry.artifacts, predictions(digest, golden, model_id=registry.live, arm="live"))
    assert night(registry) == 0
    assert "over time: no alarm" in summary_of(capsys)["drift"]
    assert main(["watch", *words]) == 0
    capsys.readouterr()
    assert night(registry) == 0
    assert "over time" not in summary_of(capsys)["drift"]


@pytest.mark.usefixtures("quick_gates")
def test_the_ledger_on_paper_is_reconciled(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    assert traded(registry, tmp_path) == 0
    capsys.readouterr()
    night(registry)
    said = summary_of(capsys)["reconcile"]
    assert said.startswith("good 2 days on paper, booked ")
    assert said.endswith("% of capital after costs, as the gates simulate them")
    (part,) = parts(registry.artifacts, "live")
    operations = registry.policy_file.with_name("operations.toml")
    operations.write_text("format = 1\n[retention]\nprediction_days = 30\n")
    night(registry)  # the ledger is of years ago, so all of it lies before what is kept
    assert summary_of(capsys)["reconcile"].startswith("not measured ")
    operations.unlink()
    assert part.path.exists()
    log_predictions(registry.artifacts, predicted(registry, sign=-1.0))  # other scores of days that are booked
    assert night(registry) == 1
    said = summary_of(capsys)["reconcile"]
    assert said.startswith("BAD 2 days on paper")
    assert "after costs, differs: signal\n2024-01-02 A" in said


@pytest.mark.usefixtures("quick_gates")
def test_the_kill_switch_is_drilled_when_that_is_due(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    reasons: list[str] = []

    def drilled(artifacts: Artifacts, rules: LockRules, *, reason: str) -> Drill:
        reasons.append(reason)
        now = datetime.now(UTC)
        took = 0.02 if len(reasons) > 1 else None
        shown = Shown(server="here", model="m", stopped_s=took, resumed_s=took, why=None if took else "went on")
        found = Drill(began=now, ended=now, actor="me", servers=(shown,))
        with locked(artifacts, rules):
            record_drill(artifacts, found)
        return found

    monkeypatch.setattr(nightly, "drilled", drilled)
    with Announced(registry.artifacts, "live", "127.0.0.1", 80):
        assert night(registry) == 1
        said = "0 of 1 server refused a row while killed and came back\nNOT PROVED  here: went on"
        assert summary_of(capsys)["drill"] == f"BAD {said}"
        assert night(registry) == 0
        said = "1 of 1 server refused a row while killed and came back\n"
        assert summary_of(capsys)["drill"].startswith(f"good {said}proved  here: ")
        assert night(registry) == 0
        assert summary_of(capsys)["drill"] == "good the kill switch was proved 0 days ago"
    assert reasons == ["nightly", "nightly"]


@pytest.mark.usefixtures("quick_gates")
def test_a_night_ends_no_run_over_rows(registry: Registry, capsys: Capture) -> None:
    with Announced(registry.artifacts, "live"):
        assert night(registry) == 0
    said = summary_of(capsys)["drill"]
    assert said.startswith("not measured a drill of the kill switch is due, and would end process ")
    assert said.endswith("(live, a run over rows); see: kill --drill --end-runs")


@pytest.mark.usefixtures("quick_gates")
def test_a_log_that_is_not_whole_is_no_missing_measurement(registry: Registry, capsys: Capture) -> None:
    digest = read_log(registry.artifacts.promotions)[-1].digest
    log_predictions(registry.artifacts, predictions(digest, [0.1] * 100, model_id=registry.live, arm="live"))
    (part,) = parts(registry.artifacts, "live")
    part.path.write_bytes(part.path.read_bytes().replace(b"0.1", b"0.2", 1))
    assert night(registry) == 1
    assert summary_of(capsys)["drift"].startswith("BAD the log of live predictions is not whole: ")


@pytest.mark.usefixtures("quick_gates")
def test_the_summary_is_appended_in_markdown(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert night(registry) == 0
    assert night(registry, "--summary", str(tmp_path / "other.md")) == 0
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("### modelgates nightly, ")
    assert "| what | outcome | |\n|---|---|---|\n| live | good | " in text
    assert "| retention | good | nothing is old enough to be deleted |\n" in text
    assert (tmp_path / "other.md").read_text().count("###") == 1


def test_no_text_breaks_out_of_a_cell() -> None:
    line = nightly.Line("live", "BAD", "a|b <script>\n`x` **y** [z](u)\x1b[0m")
    assert nightly._markdown("t", [line]).splitlines()[-2] == (
        r"| live | BAD | a\|b &lt;script&gt;<br>\`x\` \*\*y\*\* \[z\](u)\\x1b\[0m |"
    )


def aged(artifacts: Artifacts, model_id: str, days: int, content: bytes = b"{}") -> Path:
    path = artifacts.new_report(model_id, datetime.now(UTC) - timedelta(days=days))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.usefixtures("quick_gates")
def test_old_reports_go_but_for_those_that_decided_something(registry: Registry, capsys: Capture) -> None:
    registry.policy_file.with_name("operations.toml").write_text("format = 1\n[retention]\nreport_days = 30\n")
    artifacts, live = registry.artifacts, registry.live
    (first,) = artifacts.reports(live).glob("*.json")
    decisive = aged(artifacts, live, 100, first.read_bytes())
    sealed = decisive.with_name(decisive.name.replace(".json", ".dsse.json"))
    sealed.write_bytes(b"{}")
    page = decisive.with_suffix(".html")
    page.write_text("")
    old, young = aged(artifacts, live, 31), aged(artifacts, live, 29)
    old.with_suffix(".html").write_text("")
    other = artifacts.reports(live) / "notes.json"
    other.write_text("{}")
    assert night(registry) == 0
    went = [old.with_suffix(".html"), old]
    assert (
        summary_of(capsys)["retention"] == f"good deleted {', '.join(str(x.relative_to(artifacts.root)) for x in went)}"
    )
    assert not any(path.exists() for path in went)
    assert all(path.exists() for path in (decisive, sealed, page, young, other))


@pytest.mark.usefixtures("quick_gates")
def test_old_models_and_their_goldens_go_by_the_setting_and_candidates_stay(
    registry: Registry, capsys: Capture
) -> None:
    operations, models = registry.policy_file.with_name("operations.toml"), registry.artifacts.models
    refused = str(int(registry.live) - 1)
    renamed(models / registry.candidate, refused)
    assert night(registry) == 0
    assert summary_of(capsys)["retention"] == "good nothing is old enough to be deleted"
    operations.write_text("format = 1\n[retention]\nmodels = 0\n")
    assert night(registry) == 0
    assert summary_of(capsys)["retention"] == f"good deleted {refused}"
    assert sorted(path.name for path in models.iterdir() if path.name.isdigit()) == sorted(
        [registry.live, registry.candidate]
    )


@pytest.mark.usefixtures("quick_gates")
def test_reports_of_the_nights_of_a_streak_stay_whatever_the_setting(registry: Registry, capsys: Capture) -> None:
    registry.policy_file.write_text(NIGHTS.replace("= 2", "= 40"))
    registry.policy_file.with_name("operations.toml").write_text("format = 1\n[retention]\nreport_days = 1\n")
    kept, gone = (aged(registry.artifacts, registry.live, days) for days in (41, 43))
    night(registry)
    assert kept.exists()
    assert not gone.exists()


@pytest.mark.usefixtures("quick_gates")
def test_old_parts_of_the_log_go_once_they_are_closed(registry: Registry, capsys: Capture) -> None:
    registry.policy_file.with_name("operations.toml").write_text("format = 1\n[retention]\nprediction_days = 10\n")
    artifacts = registry.artifacts
    for days in (30, 20, 1):
        end = datetime.now(UTC) - timedelta(days=days)
        log_predictions(artifacts, predictions("0" * 64, [0.1, 0.2], hours=0.0, end=end, arm="shadow"))
    first, second, third = (part.path for part in parts(artifacts, "shadow"))
    first.with_suffix(".counts").write_bytes(b"counted")
    lines = second.read_bytes().splitlines(keepends=True)
    second.write_bytes(b"".join(lines[:-1]))  # its writer was killed
    assert date.fromisoformat(second.parent.name) < date.today() - timedelta(days=10)
    night(registry)
    assert not first.exists()
    assert not first.with_suffix(".counts").exists()
    assert second.exists()
    assert third.exists()


@pytest.mark.usefixtures("quick_gates")
def test_parts_since_an_ab_test_began_stay_while_it_runs(registry: Registry, capsys: Capture) -> None:
    registry.policy_file.with_name("operations.toml").write_text("format = 1\n[retention]\nprediction_days = 10\n")
    artifacts = registry.artifacts
    for days in (30, 20):
        end = datetime.now(UTC) - timedelta(days=days)
        log_predictions(artifacts, predictions("0" * 64, [0.1, 0.2], hours=0.0, end=end, arm="ab"))
    before, within = (part.path for part in parts(artifacts, "ab"))
    plan = plan_of(artifacts, registry.live, registry.candidate)
    ab.start(artifacts, msgspec.structs.replace(plan, started=datetime.now(UTC) - timedelta(days=25)))
    night(registry)
    assert not before.exists()
    assert within.exists()
    artifacts.ab.write_text("damaged")
    night(registry)
    assert within.exists()
    assert "retention  BAD " in capsys.readouterr().out
    ab.stop(artifacts, "enough")
    night(registry)
    assert not within.exists()


@pytest.mark.integration
def test_a_night_with_the_real_gates(registry: Registry) -> None:
    artifacts = registry.artifacts
    registry.policy_file.write_text(NIGHTS)
    values = golden_of(artifacts.model(registry.live))[:800]
    digest = read_log(artifacts.promotions)[-1].digest
    log_predictions(artifacts, predictions(digest, values, model_id=registry.live, arm="live"))
    done = modelgates("nightly", "--promote", cwd=artifacts.root.parent)
    assert f"  live       good          {registry.live}: " in done.stdout, done.stdout + done.stderr
    # The gates of drift on the live model look at what it predicted live.
    newest = max(artifacts.reports(registry.live).glob("*.json"))
    records = read_report(newest).report.modelgates.models[registry.live].gates
    states = {each.slo: (each.state, each.sample, each.note) for record in records for each in record.evidence}
    assert states["drift.psi"] == ("measured", 800, None)
    no_other = "this is the live model, and there is no other to compare it with"
    assert states["shadow.rank_corr"] == ("no reference yet", None, no_other)
    assert len([*artifacts.reports(registry.candidate).glob("*.json")]) == 1
    # The candidate never ran in shadow, and only somebody who runs it can change that.
    assert f"  promotion  BAD           {registry.candidate} is not promoted:" in done.stdout
    assert done.returncode == 1


@pytest.mark.integration
def test_the_live_model_whose_predictions_go_elsewhere_has_no_reference_of_drift(registry: Registry) -> None:
    directory = registry.artifacts.model(registry.live)
    done = modelgates("gate", directory, cwd=registry.artifacts.root.parent)
    assert "drift.psi no reference: this is the live model, and it has predicted nothing yet" in done.stdout
    assert done.returncode == 0


@pytest.mark.usefixtures("quick_gates")
def test_what_cannot_be_deleted_does_not_stop_the_rest(registry: Registry, capsys: Capture) -> None:
    registry.policy_file.with_name("operations.toml").write_text(
        "format = 1\n[retention]\nreport_days = 30\nprediction_days = 10\n"
    )
    artifacts, now = registry.artifacts, datetime.now(UTC)
    os.mkfifo(artifacts.new_report(registry.live, now - timedelta(days=50)))  # nothing waits for its writer
    old = aged(artifacts, registry.live, 31)
    for days in (40, 30, 0):
        log_predictions(artifacts, predictions("0" * 64, [0.1], end=now - timedelta(days=days), arm="live"))
    first, second, _ = (part.path for part in parts(artifacts, "live"))
    (stays := first.with_suffix(".folder")).mkdir()
    assert night(registry) == 3
    names = [str(path.relative_to(artifacts.root)) for path in (old, first, second)]
    name = stays.relative_to(artifacts.root)
    said = summary_of(capsys)["retention"]
    assert said.startswith("ERROR deleted ")
    assert all(each in said for each in names)
    assert f"; {name} cannot be deleted: " in said
    assert not any(path.exists() for path in (old, first, second))
