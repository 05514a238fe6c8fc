"""`modelgates gates`: when each gate ran, was red, was proved, and what became of what it judged."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit.chain import read_log
from pytest_modelgates.cli import main
from pytest_modelgates.evidence.proof import ControlRun, Proof, store_proof
from pytest_modelgates.evidence.report import GateRecord
from pytest_modelgates.evidence.verdict import Verdict
from pytest_modelgates.monitoring.liveness import GateHistory, liveness
from pytest_modelgates.storage.digests import tree_digest
from pytest_modelgates.storage.strict_json import readable
from tests.support.handmade import (
    Registry,
    green_ledger,
    green_report,
    green_run,
    log_predictions,
    predictions,
    record,
    write_report,
)

Capture = pytest.CaptureFixture[str]
NOW = datetime.now(UTC)
PARITY, FOLDS = "parity.max_abs_diff", "wf.worst_fold"


def ran(registry: Registry, model_id: str, *instead: GateRecord, days_ago: float = 0) -> Path:
    """Keep the report of a run in which all gates passed but for those given."""
    finished = datetime.now(UTC) - timedelta(days=days_ago)
    directory = registry.artifacts.model(model_id)
    changed = {each.gate: each for each in instead}
    run = green_run(directory, registry.policy)
    run = msgspec.structs.replace(run, gates=tuple(changed.get(each.gate, each) for each in run.gates))
    ledger = green_ledger(directory, registry.policy, finished=finished, run=run)
    return write_report(registry.artifacts.new_report(model_id, finished), ledger)


def proved(registry: Registry, *gates: str, days_ago: float = 0) -> None:
    trials = [
        ControlRun(gate=gate, twin="broken", verdict=Verdict.FAILED, why="measured", slo=gate, measured=1e9)
        for gate in gates
    ]
    proof = Proof(
        model_id=registry.candidate,
        digest="0" * 64,
        package_digest="0" * 64,
        suite_digest="0" * 64,
        policy_digest="0" * 64,
        created=NOW - timedelta(days=days_ago),
        trials=tuple(trials),
    )
    store_proof(registry.artifacts, registry.candidate, readable(proof), sealed=False)


def history(registry: Registry, gate: str) -> GateHistory:
    found = liveness(registry.artifacts, registry.policy)
    return next(each for each in found.gates if each.gate == gate)


def gates(registry: Registry, *options: str) -> int:
    return main(["gates", "--artifacts", str(registry.artifacts.root), *options])


@pytest.fixture
def unread(registry: Registry) -> Registry:
    """A registry without the reports of its first promotion."""
    for path in registry.artifacts.all_reports.glob("*/*"):
        path.unlink()
    return registry


def test_every_gate_of_the_policy_is_listed_though_nothing_ran(unread: Registry, capsys: Capture) -> None:
    found = liveness(unread.artifacts, unread.policy)
    names = [name for name, slo in unread.policy.slo.items() if slo.gate is None]
    assert [each.gate for each in found.gates] == names
    assert not any(each.unproved for each in found.gates)
    assert gates(unread) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [PARITY, "never", "never", "never", "-", "-"] in rows


def test_the_last_run_red_and_proof_of_a_gate(unread: Registry) -> None:
    ran(unread, unread.live, record(PARITY, unread.policy, 2e-5), days_ago=9)
    ran(unread, unread.candidate, record(PARITY, unread.policy, 1e-6), days_ago=2)
    proved(unread, PARITY, days_ago=5)
    found = history(unread, PARITY)
    assert [round((NOW - time) / timedelta(days=1)) for time in found.times] == [2, 9, 5]
    assert found.verdicts == {unread.live: Verdict.FAILED, unread.candidate: Verdict.PASSED}
    assert found.newest_margins == pytest.approx([-1e-5, 9e-6])
    assert not found.unproved


def test_the_last_verdict_on_a_model_counts(unread: Registry) -> None:
    ran(unread, unread.live, record(PARITY, unread.policy, 2e-5), days_ago=9)
    ran(unread, unread.live, days_ago=8)
    assert history(unread, PARITY).verdicts == {unread.live: Verdict.PASSED}
    assert not liveness(unread.artifacts, unread.policy).refused


def test_a_gate_that_never_failed_and_was_never_proved_is_named(unread: Registry, capsys: Capture) -> None:
    ran(unread, unread.live)
    proved(unread, *(each for each in unread.policy.slo if each != FOLDS))
    assert history(unread, FOLDS).unproved
    assert not history(unread, PARITY).unproved
    assert gates(unread) == 0
    out = capsys.readouterr().out
    assert "Nothing shows that these can fail; modelgates prove DIR tries the hard ones:\n" in out
    named = out.partition("ones:\n")[2]
    assert FOLDS in named
    assert PARITY not in named
    assert all(len(line) <= 80 for line in out.splitlines())


def test_a_green_twin_proves_nothing(unread: Registry) -> None:
    ran(unread, unread.live)
    proved(unread, PARITY)
    path = unread.artifacts.proof(unread.candidate)
    path.write_text(path.read_text().replace('"failed"', '"passed"'))
    assert history(unread, PARITY).unproved


def test_gates_with_parameters_are_listed_by_their_runs(unread: Registry) -> None:
    names = [each.gate for each in liveness(unread.artifacts, unread.policy).gates]
    assert "ablation.harmless" in names
    ran(unread, unread.live)
    names = [each.gate for each in liveness(unread.artifacts, unread.policy).gates]
    assert "ablation.harmless" not in names
    assert any(name.startswith("ablation.harmless[") for name in names)


def test_a_gate_that_the_policy_knows_no_more_is_shown_and_not_judged(unread: Registry) -> None:
    path = ran(unread, unread.live)
    path.write_text(path.read_text().replace(f'"{FOLDS}"', '"own.gone"'))
    found = history(unread, "own.gone")
    assert found.last_ran is not None
    assert found.verdicts == {}


def test_a_model_that_was_let_through_and_rolled_back_is_named(registry: Registry, capsys: Capture) -> None:
    root = ["--artifacts", str(registry.artifacts.root)]
    ran(registry, registry.candidate)
    assert main(["promote", "--report", str(green_report(registry)), *root]) == 0
    assert main(["rollback", registry.live, "--reason", "it loses", *root]) == 0
    capsys.readouterr()
    (found,) = liveness(registry.artifacts, registry.policy).rolled_back
    assert (found.model_id, found.reason) == (registry.candidate, "it loses")
    assert gates(registry) == 0
    assert (
        f"\n{registry.candidate} was rolled back on {NOW:%Y-%m-%d}, and {found.passed} gates had passed it: it loses\n"
        in capsys.readouterr().out
    )


def test_a_refused_model_is_shown_with_what_it_would_have_earned(registry: Registry, capsys: Capture) -> None:
    ran(registry, registry.candidate, record(PARITY, registry.policy, 2e-5))
    assert gates(registry) == 0
    refused = f"\n{registry.candidate} is refused by {PARITY}; in shadow it "
    unknown = "earned what cannot be told: no outcome is known yet; see: modelgates outcomes add\n"
    assert refused + unknown in capsys.readouterr().out
    # Both score 40 days of twenty names, one as they come and one the other way round.
    values = [((7 * (index % 20) + index // 20) % 20 - 9.5) / 1000 for index in range(800)]
    live = read_log(registry.artifacts.promotions)[-1].digest
    digest = tree_digest(registry.artifacts.model(registry.candidate))
    log_predictions(registry.artifacts, predictions(live, [-each for each in values], arm="live"))
    log_predictions(registry.artifacts, predictions(digest, values))
    keys = [each.row_key.split("|") for each in predictions(digest, values)]
    rows = "".join(f"{day},{name},{value}\n" for (day, name), value in zip(keys, values, strict=True))
    outcomes = registry.artifacts.root / "returns.csv"
    outcomes.write_text(f"time,asset,return\n{rows}")
    assert main(["outcomes", "add", str(outcomes), "--artifacts", str(registry.artifacts.root)]) == 0
    capsys.readouterr()
    (found,) = liveness(registry.artifacts, registry.policy).refused
    assert found.why is None
    assert found.earned_more is not None
    assert found.earned_more.value > 0
    assert gates(registry) == 0
    out = capsys.readouterr().out
    assert refused + f"would have earned {found.earned_more.value:.4%} of capital a day more than the live model" in out


def test_a_model_that_went_live_is_not_called_refused(unread: Registry) -> None:
    ran(unread, unread.live, record(PARITY, unread.policy, 2e-5))
    ran(unread, unread.candidate, record(PARITY, unread.policy, 2e-5))
    assert [each.model_id for each in liveness(unread.artifacts, unread.policy).refused] == [unread.candidate]


def test_what_cannot_be_read_is_said(unread: Registry, capsys: Capture) -> None:
    broken = ran(unread, unread.live)
    broken.write_text("{")
    unread.artifacts.proof(unread.candidate).parent.mkdir(exist_ok=True)
    unread.artifacts.proof(unread.candidate).write_text("{")
    assert gates(unread) == 0
    err = capsys.readouterr().err
    assert f"modelgates: not read: {broken}: {broken}: not JSON" in err
    assert f"modelgates: not read: {unread.artifacts.proof(unread.candidate)}: " in err


def test_as_json_it_has_every_model(unread: Registry, capsys: Capture) -> None:
    ran(unread, unread.live)
    assert gates(unread, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    parity = next(each for each in found["gates"] if each["gate"] == PARITY)
    assert parity["verdicts"] == {unread.live: "passed"}
    assert list(found) == ["gates", "rolled_back", "refused", "unread"]


def test_of_a_sealed_and_a_plain_report_of_one_run_one_is_read(unread: Registry) -> None:
    path = ran(unread, unread.live)
    path.with_name(path.name.replace(".json", ".dsse.json")).write_text("{")
    assert not liveness(unread.artifacts, unread.policy).unread


def test_only_what_is_of_the_models_asked_for_is_read(registry: Registry) -> None:
    ran(registry, registry.candidate, record(FOLDS, registry.policy, 0.0))
    every = liveness(registry.artifacts, registry.policy, models=[registry.live, registry.candidate])
    live = liveness(registry.artifacts, registry.policy, models=[registry.live])
    folds, others = (next(each for each in found.gates if each.gate == FOLDS) for found in (every, live))
    assert folds.verdicts[registry.candidate] is Verdict.FAILED
    assert registry.candidate not in others.verdicts
    assert every.refused == ()


def test_a_report_of_a_model_without_an_id_is_named_as_not_read(unread: Registry) -> None:
    directory = unread.artifacts.model(unread.live)
    ledger = green_ledger(directory, unread.policy)
    ledger = msgspec.structs.replace(ledger, models={"</td>": ledger.models[unread.live]})
    path = write_report(unread.artifacts.new_report(unread.live, NOW), ledger)
    found = liveness(unread.artifacts, unread.policy, models=[unread.live])
    assert found.unread == (f"{path}: is of '</td>', which is no model id",)
    assert all(each.last_ran is None for each in found.gates)


def test_what_was_measured_is_kept_of_models_that_are_named_and_of_their_last_run(unread: Registry) -> None:
    policy = unread.policy
    ran(unread, unread.live, record(PARITY, policy, 3e-6), days_ago=1)
    ran(unread, unread.live, record(PARITY, policy, 2e-6))
    named = liveness(unread.artifacts, policy, models=[unread.live])
    (found,) = (each for each in named.gates if each.gate == PARITY)
    assert {model_id: each.value for model_id, each in found.measured.items()} == {unread.live: 2e-6}
    assert history(unread, PARITY).measured == {}
