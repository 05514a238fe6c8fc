"""Waivers: one hard gate, one model's bytes, one owner, one end date; shown wherever the model is."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit.chain import read_log
from pytest_modelgates.cli import main
from pytest_modelgates.errors import PolicyError
from pytest_modelgates.evidence.report import Ledger, Phase
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.policy.sections import Waiver
from pytest_modelgates.registry.decide import decide
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.storage.digests import tree_digest
from tests.registry.test_decide import POLICY, facts_of
from tests.support.gate_runs import ledger_of, outcomes, own_gate, report_of, run
from tests.support.handmade import (
    Registry,
    golden_of,
    green_ledger,
    green_run,
    log_predictions,
    modelgates,
    predictions,
    record,
    write_report,
)

ROW = """
[[waiver]]
gate = "{gate}"
digest = "{digest}"
reason = "the exchange changed its tick size"
owner = "Ada Lovelace"
until = {until}
"""


def today() -> date:
    """Ask anew: the suite may run past midnight."""
    return datetime.now(UTC).date()


def waived(directory: Path, *, days: int = 0, gate: str = "drift.psi", digest: str | None = None) -> Policy:
    """The packaged policy with one waiver that ends in some days."""
    row = Waiver(
        gate=gate,
        digest=digest or tree_digest(directory),
        reason="the exchange changed its tick size",
        owner="Ada Lovelace",
        until=today() + timedelta(days=days),
    )
    return msgspec.structs.replace(POLICY, waiver=(row,))


def missed(directory: Path, policy: Policy, **changes: object) -> Ledger:
    """A ledger in which drift.psi alone missed its limit; `changes` replace fields of its record."""
    run = green_run(directory, policy)
    bad = record("drift.psi", policy, 0.9, **changes)
    gates = tuple(bad if gate.gate == "drift.psi" else gate for gate in run.gates)
    return green_ledger(directory, policy, run=msgspec.structs.replace(run, gates=gates))


def judged(directory: Path, policy: Policy, ledger: Ledger) -> tuple[list[str], list[Waiver]]:
    now = datetime.now(UTC) + timedelta(seconds=1)
    decision = decide(facts_of(directory, ledger, policy), policy, now=now)
    return [reason.text for reason in decision.reasons], list(decision.waivers)


def test_a_waived_gate_that_missed_is_admitted_and_named(packed_once: Path) -> None:
    policy = waived(packed_once)
    assert judged(packed_once, policy, missed(packed_once, policy)) == ([], [policy.waiver[0]])


def test_a_waiver_that_is_not_needed_is_not_named(packed_once: Path) -> None:
    policy = waived(packed_once)
    assert judged(packed_once, policy, green_ledger(packed_once, policy)) == ([], [])


def test_an_expired_waiver_is_refused_with_its_date(packed_once: Path) -> None:
    policy = waived(packed_once, days=-1)
    (text,), rows = judged(packed_once, policy, missed(packed_once, policy))
    assert rows == []
    assert text == (
        f"drift.psi failed: measured 0.9 nat, limit 0 ≤ · ≤ 0.25; its waiver ended on {today() - timedelta(days=1)}"
    )


@pytest.mark.parametrize(
    "other", [pytest.param({"digest": "0" * 64}, id="other-bytes"), pytest.param({"gate": "drift.ks"}, id="other-gate")]
)
def test_a_waiver_of_something_else_does_not_count(packed_once: Path, other: dict[str, str]) -> None:
    policy = waived(packed_once, **other)
    assert judged(packed_once, policy, missed(packed_once, policy))[0] == [
        "drift.psi failed: measured 0.9 nat, limit 0 ≤ · ≤ 0.25"
    ]


def test_a_gate_that_did_not_run_cannot_be_waived(packed_once: Path) -> None:
    policy = waived(packed_once)
    phases = (Phase(when="setup", outcome="passed", duration_s=0.0, exception=None),)
    (text,), rows = judged(packed_once, policy, missed(packed_once, policy, phases=phases))
    assert text.startswith("drift.psi not run: ")
    assert rows == []


@pytest.mark.parametrize("days", [pytest.param(0, id="last-day"), pytest.param(-1, id="expired")])
def test_a_run_shows_the_waiver_and_is_green_until_it_ends(pytester: pytest.Pytester, days: int) -> None:
    model = own_gate(pytester, severity="hard")
    row = ROW.format(gate="mine.answer", digest=tree_digest(model), until=today() + timedelta(days=days))
    policy = pytester.path / "registry" / "policy.toml"
    policy.write_text(policy.read_text() + row)
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    if days < 0:
        assert (int(result.ret), outcomes(result)) == (1, {"failed": 1})
        return
    assert (int(result.ret), outcomes(result)) == (0, {"xfailed": 1})
    result.stdout.fnmatch_lines(
        [
            "mine.answer *hard 2 x *WAIVED",
            "mine.answer WAIVED: measured 2 x, limit ≤ 1 → give less",
            f"mine.answer waived until {today()} by Ada Lovelace: the exchange changed its tick size",
        ]
    )
    assert report_of(model)["tests"][0]["outcome"] == "xfailed"
    shown = f"mine.answer waived until {today()} by Ada Lovelace: the exchange changed its tick size"
    assert ledger_of(model).models[model.name].waivers == (shown,)


def test_a_run_is_red_if_what_is_waived_did_not_run(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="pytest.skip('waived')")
    policy = pytester.path / "registry" / "policy.toml"
    policy.write_text(policy.read_text() + ROW.format(gate="mine.answer", digest=tree_digest(model), until=today()))
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert (int(result.ret), outcomes(result)) == (1, {"skipped": 1})
    result.stdout.fnmatch_lines(["mine.answer not run: was skipped"])
    assert ledger_of(model).models[model.name].waivers == ()


def test_log_status_and_summary_keep_the_waiver(registry: Registry) -> None:
    directory = registry.artifacts.model(registry.candidate)
    row = ROW.format(gate="drift.psi", digest=tree_digest(directory), until=today())
    registry.policy_file.write_text(registry.policy_file.read_text() + row)
    report = write_report(registry.artifacts.root / "waived.json", missed(directory, registry.policy))
    promote(registry.artifacts, registry.candidate, report, registry.in_force, reason="urgent")
    shown = f"drift.psi waived until {today()} by Ada Lovelace: the exchange changed its tick size"
    assert read_log(registry.artifacts.promotions)[-1].waivers == (shown,)
    summary = json.loads(registry.artifacts.attestation(registry.candidate, signed=False).read_bytes())
    assert summary["predicate"]["verifiedLevels"] == ["MODELGATES_WAIVED:drift.psi"]
    assert f"    {shown}" in modelgates("log", "--artifacts", registry.artifacts.root).stdout.splitlines()
    assert shown in modelgates("status", "--artifacts", registry.artifacts.root).stdout.splitlines()


def test_promotion_says_that_the_waiver_of_drift_does_not_cover_its_own_criterion(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = registry.artifacts.model(registry.candidate)
    row = ROW.format(gate="drift.psi", digest=tree_digest(directory), until=today())
    registry.policy_file.write_text(
        registry.policy_file.read_text().replace("drift_psi = 0\n", "drift_psi = 0.25\n") + row
    )
    report = write_report(registry.artifacts.root / "waived.json", missed(directory, registry.policy))
    moved = [value + 9 for value in golden_of(directory)[:200]]
    log_predictions(registry.artifacts, predictions(tree_digest(directory), moved, model_id=registry.candidate))
    assert main(["promote", "--report", str(report), "--artifacts", str(registry.artifacts.root)]) == 1
    assert "(drift_psi); the waiver of drift.psi covers the gate alone → modelgates shadow" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["gate", "digest", "reason", "owner", "until"])
def test_a_waiver_without_one_of_its_five_keys_is_refused(tmp_path: Path, key: str) -> None:
    row = ROW.format(gate="drift.psi", digest="0" * 64, until=today())
    policy = tmp_path / "policy.toml"
    policy.write_text("format = 1\n" + "\n".join(line for line in row.splitlines() if not line.startswith(f"{key} ")))
    with pytest.raises(PolicyError, match=f"missing required field `{key}`"):
        load_policy(policy)
