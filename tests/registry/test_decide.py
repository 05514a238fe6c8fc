"""The pure decision: a report against a model and a policy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.evidence.report import GateRecord, Ledger, Report
from pytest_modelgates.evidence.trust import trust
from pytest_modelgates.model.directory import MANIFEST, SIDECAR
from pytest_modelgates.model.manifest import Manifest
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.registry.decide import Subject, report_reasons
from pytest_modelgates.storage.digests import tree_digest
from pytest_modelgates.storage.strict_json import read_json
from tests.support.handmade import evidence, green_ledger, green_run, inside, record

POLICY = load_policy(None)
NOW = datetime.now(UTC)


def subject_of(directory: Path) -> Subject:
    manifest, sidecar = read_json(directory / MANIFEST, Manifest), read_json(directory / SIDECAR, Sidecar)
    return Subject(directory.name, str(directory), tree_digest(directory), manifest, sidecar)


def reasons(
    directory: Path,
    ledger: Ledger | None = None,
    *,
    exitcode: int = 0,
    policy: Policy = POLICY,
    first: bool = False,
    now: datetime | None = None,
) -> list[str]:
    report = Report(exitcode=exitcode, modelgates=ledger or green_ledger(directory, policy))
    now = now or datetime.now(UTC) + timedelta(seconds=1)
    known = trust(policy, directory)
    found, _ = report_reasons(subject_of(directory), report, policy, known, first=first, now=now, gate="GATE")
    return [str(reason) for reason in found]


def with_gates(directory: Path, *changed: GateRecord, without: tuple[str, ...] = ()) -> Ledger:
    """A green ledger in which some gates are others."""
    run, names = green_run(directory, POLICY), {gate.gate for gate in changed}
    kept = [gate for gate in run.gates if gate.gate not in names and gate.gate not in without]
    return green_ledger(directory, POLICY, run=msgspec.structs.replace(run, gates=(*kept, *changed)))


def test_a_green_report_has_nothing_against_it(packed_once: Path) -> None:
    assert reasons(packed_once) == []


def test_every_required_gate_is_missed_by_name(packed_once: Path) -> None:
    run = msgspec.structs.replace(green_run(packed_once, POLICY), gates=())
    said = reasons(packed_once, green_ledger(packed_once, POLICY, run=run))
    required = POLICY.required_gates(subject_of(packed_once).sidecar)
    assert said == [f"{name} is not in the report → GATE" for name in required]
    assert {"ablation.harmless[price]", "ablation.harmless[fundamental]", "parity.claim"} <= set(required)


def test_a_gate_that_is_there_twice_is_refused(packed_once: Path) -> None:
    twin = record("parity.claim", POLICY)
    ledger = with_gates(packed_once, twin, twin)
    assert reasons(packed_once, ledger) == ["parity.claim is in the report 2 times → GATE"]


def test_a_number_that_was_edited_is_recomputed(packed_once: Path) -> None:
    ledger = with_gates(packed_once, record("significance.p_against", POLICY, 0.8))
    advice = POLICY.slo["significance.p_against"].advice
    assert reasons(packed_once, ledger) == [
        f"significance.p_against failed: measured 0.8 p, limit 0 ≤ · ≤ 0.1 → {advice}"
    ]


def test_a_hard_gate_that_ran_as_a_soft_one_is_refused(packed_once: Path) -> None:
    ledger = with_gates(packed_once, record("parity.claim", POLICY, severity="soft"))
    assert reasons(packed_once, ledger) == ["parity.claim ran as a soft gate, the policy requires it → GATE"]


def test_a_soft_gate_that_fails_is_no_reason(packed_once: Path) -> None:
    assert reasons(packed_once, with_gates(packed_once, record("pnl.turnover", POLICY, 9.0))) == []


def test_hard_gates_that_nobody_requires_count_too(packed_once: Path) -> None:
    failing = record("ablation.harmless[invented]", POLICY, 0.01)
    foreign = msgspec.structs.replace(record("parity.claim", POLICY), gate="team.own")
    said = reasons(packed_once, with_gates(packed_once, record("parity.claim", POLICY), failing, foreign))
    assert said[0].startswith("ablation.harmless[invented] failed: measured 0.01 p")
    assert said[1] == "team.own is no gate that the policy knows → GATE"


def test_no_reference_is_for_the_first_model_alone(packed_once: Path) -> None:
    unmeasured = evidence("drift.psi", POLICY.slo["drift.psi"], state="no reference yet", note="nothing was live")
    ledger = with_gates(packed_once, record("drift.psi", POLICY, evidence=(unmeasured,)))
    assert reasons(packed_once, ledger, first=True) == []
    (said,) = reasons(packed_once, ledger)
    assert said.startswith("drift.psi no reference yet: nothing was live → ")


def test_no_signal_gate_may_plead_that_it_is_the_first(packed_once: Path) -> None:
    unmeasured = evidence("wf.worst_fold", POLICY.slo["wf.worst_fold"], state="no reference yet", note="first")
    ledger = with_gates(packed_once, record("wf.worst_fold", POLICY, evidence=(unmeasured,)))
    assert reasons(packed_once, ledger, first=True)[0].startswith("wf.worst_fold inconclusive: says it has no")


RUNS = [
    pytest.param({"exit_status": 1}, ["ended with 1, the report says 0", "a green run ends with 0"], id="status"),
    pytest.param({"policy_digest": "0" * 64}, ["another policy (registry/policy.toml) than this"], id="other-policy"),
    pytest.param({"finished": NOW + timedelta(days=1)}, ["the report is from the future (2"], id="from-the-future"),
    pytest.param(
        {"started": datetime(2020, 1, 1, tzinfo=UTC)}, ["the run began before the model was packed (2"], id="stale"
    ),
]


@pytest.mark.parametrize(("changes", "said"), RUNS)
def test_the_run_itself_must_be_right(packed_once: Path, changes: dict[str, object], said: list[str]) -> None:
    found = reasons(packed_once, green_ledger(packed_once, POLICY, **changes))
    assert len(found) == len(said)
    for text, part in zip(found, said, strict=True):
        assert part in text


def test_exit_codes_that_disagree_are_refused(packed_once: Path) -> None:
    assert reasons(packed_once, exitcode=1) == ["pytest ended with 0, the report says 1 → GATE"]


def test_files_that_changed_during_the_run_are_refused(packed_once: Path) -> None:
    run = msgspec.structs.replace(green_run(packed_once, POLICY), digest_after="1" * 64)
    said = reasons(packed_once, green_ledger(packed_once, POLICY, run=run))
    assert said == ["the model's files changed while the gates ran → GATE"]


def test_a_report_of_nothing_is_refused(packed_once: Path) -> None:
    ledger = msgspec.structs.replace(green_ledger(packed_once, POLICY), models={})
    assert reasons(packed_once, ledger) == [f"the report is of no model, not of {packed_once.name} → GATE"]


def test_a_policy_that_requires_nothing_promotes_nothing(packed_once: Path, tmp_path: Path) -> None:
    families = sorted({name.partition(".")[0] for name in POLICY.slo})
    file = tmp_path / "policy.toml"
    file.write_text(f"format = 1\nnot_applicable = {families}")
    assert reasons(packed_once, policy=load_policy(file)) == [
        "the policy requires no hard gate, so nothing would be shown → give it hard gates"
    ]


def test_names_in_a_report_forge_no_line_and_reach_no_terminal(packed_once: Path) -> None:
    evil = "x\n\x1b[2Jnothing speaks against it"
    gate = msgspec.structs.replace(green_run(packed_once, POLICY).gates[0], file=evil)
    ledger = with_gates(packed_once, gate, msgspec.structs.replace(gate, gate=evil, file=gate.file))
    found = reasons(
        packed_once, msgspec.structs.replace(ledger, run=msgspec.structs.replace(ledger.run, hooks={"p": (evil,)}))
    )
    assert len(found) > 2
    for reason in found:
        assert reason.isprintable()
        assert r"x\n\x1b[2Jnothing speaks against it" in reason


def test_every_reason_is_given_at_once(packed_once: Path) -> None:
    ledger = with_gates(packed_once, record("wf.worst_fold", POLICY, 0.0), without=("data.finite",))
    ledger = msgspec.structs.replace(ledger, run=msgspec.structs.replace(ledger.run, policy_digest="0" * 64))
    assert len(reasons(packed_once, ledger, exitcode=2)) == 4


NAMES = [name for name, slo in POLICY.slo.items() if slo.severity == "hard" and not slo.each]


@given(name=st.sampled_from(NAMES), value=st.floats())
def test_a_value_promotes_exactly_when_the_policy_holds_it(packed_once: Path, name: str, value: float) -> None:
    changed = record(name, POLICY, evidence=(evidence(name, POLICY.slo[name], value),))
    assert (reasons(packed_once, with_gates(packed_once, changed)) == []) == POLICY.slo[name].contains(value)


def test_the_handmade_values_keep_their_limits() -> None:
    assert all(slo.contains(inside(slo)) for slo in POLICY.slo.values())
