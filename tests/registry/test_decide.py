"""The pure decision: every reason against a promotion, from facts made by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.evidence.report import GateRecord, Ledger
from pytest_modelgates.evidence.trust import trust
from pytest_modelgates.model.directory import MANIFEST, SIDECAR, LocalDirectory
from pytest_modelgates.model.manifest import Manifest
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.registry.decide import Damaged, Facts, decide
from pytest_modelgates.storage.digests import tree_digest
from pytest_modelgates.storage.strict_json import read_json
from tests.support.handmade import (
    LENIENT,
    evidence,
    green_ledger,
    green_run,
    inside,
    phase,
    record,
    stored_report,
)

SHIPPED = load_policy(None)
# Without nights, hours in shadow and drift, so that reports alone are judged.
POLICY = msgspec.structs.replace(
    SHIPPED,
    promotion=msgspec.structs.replace(SHIPPED.promotion, parity_nights=0, shadow_hours=0, drift_psi=0),
)
NOW = datetime.now(UTC)


def facts_of(directory: Path, ledger: Ledger, policy: Policy, *, exitcode: int = 0, **changes: object) -> Facts:
    """What a promoter would know of a model that nothing but its report may speak against."""
    facts = Facts(
        model_id=directory.name,
        directory=directory,
        digest=tree_digest(directory),
        manifest=read_json(directory / MANIFEST, Manifest),
        sidecar=read_json(directory / SIDECAR, Sidecar),
        golden=np.empty(0),
        live="1700000000",
        stored=stored_report(ledger, exitcode=exitcode),
        trusted=trust(policy, directory),
    )
    return replace(facts, **changes)


def gate_of(directory: Path) -> str:
    """The command that a refusal names where another run is the repair."""
    return f"pytest --model-dir={directory}"


def reasons(
    directory: Path,
    ledger: Ledger | None = None,
    *,
    exitcode: int = 0,
    policy: Policy = POLICY,
    first: bool = False,
    now: datetime | None = None,
) -> list[str]:
    now, live = now or datetime.now(UTC) + timedelta(seconds=1), None if first else "1700000000"
    facts = facts_of(directory, ledger or green_ledger(directory, policy), policy, exitcode=exitcode, live=live)
    return [str(reason) for reason in decide(facts, policy, now=now).reasons]


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
    required = POLICY.required_gates(read_json(packed_once / SIDECAR, Sidecar))
    assert said == [f"{', '.join(required)} is not in the report → {gate_of(packed_once)}"]
    assert {"ablation.harmless[price]", "ablation.harmless[fundamental]", "parity.claim"} <= set(required)


def test_a_gate_that_is_there_twice_is_refused(packed_once: Path) -> None:
    twin = record("parity.claim", POLICY)
    ledger = with_gates(packed_once, twin, twin)
    assert reasons(packed_once, ledger) == [f"parity.claim is in the report 2 times → {gate_of(packed_once)}"]


def test_a_number_that_was_edited_is_recomputed(packed_once: Path) -> None:
    ledger = with_gates(packed_once, record("significance.p_against", POLICY, 0.8))
    advice = POLICY.slo["significance.p_against"].advice
    assert reasons(packed_once, ledger) == [
        f"significance.p_against failed: measured 0.8 p, limit 0 ≤ · ≤ 0.1 → {advice}"
    ]


def test_a_hard_gate_that_ran_as_a_soft_one_is_refused(packed_once: Path) -> None:
    ledger = with_gates(packed_once, record("parity.claim", POLICY, severity="soft"))
    assert reasons(packed_once, ledger) == [
        f"parity.claim ran as a soft gate, the policy requires it → {gate_of(packed_once)}"
    ]


def test_a_soft_gate_that_fails_is_no_reason(packed_once: Path) -> None:
    assert reasons(packed_once, with_gates(packed_once, record("pnl.turnover", POLICY, 9.0))) == []


def test_hard_gates_that_nobody_requires_count_too(packed_once: Path) -> None:
    failing = record("ablation.harmless[invented]", POLICY, 0.01)
    own = msgspec.structs.replace(record("parity.claim", POLICY), gate="team.own")
    said = reasons(packed_once, with_gates(packed_once, record("parity.claim", POLICY), failing, own))
    assert said[0].startswith("ablation.harmless[invented] failed: measured 0.01 p")
    assert said[1] == f"team.own is not a gate that the policy knows → {gate_of(packed_once)}"


def test_no_reference_is_for_the_first_model_alone(packed_once: Path) -> None:
    unmeasured = evidence("drift.psi", POLICY.slo["drift.psi"], state="no reference yet", note="nothing was live")
    ledger = with_gates(packed_once, record("drift.psi", POLICY, evidence=(unmeasured,)))
    assert reasons(packed_once, ledger, first=True) == []
    (said,) = reasons(packed_once, ledger)
    assert said.startswith("drift.psi no reference yet: nothing was live → ")


def test_one_missing_shadow_run_is_one_reason(packed_once: Path) -> None:
    lacking = evidence("drift.psi", POLICY.slo["drift.psi"], state="inconclusive", note="0 rows")
    ledger = with_gates(packed_once, record("drift.psi", POLICY, evidence=(lacking,)))
    (said,) = reasons(packed_once, ledger)
    assert said == (
        "the candidate has no record in shadow; drift.psi could not be measured → modelgates shadow --onnx "
        f"{packed_once / 'model.onnx'} --csv {packed_once.parents[1] / 'live_data.csv'}; then {gate_of(packed_once)}"
    )


def test_a_gate_that_measured_nothing_is_run_again_and_its_model_is_left_alone(packed_once: Path) -> None:
    lacking = evidence("wf.worst_fold", POLICY.slo["wf.worst_fold"], state="inconclusive", note="3 days")
    ledger = with_gates(packed_once, record("wf.worst_fold", POLICY, evidence=(lacking,)))
    assert reasons(packed_once, ledger) == [f"wf.worst_fold inconclusive: 3 days → {gate_of(packed_once)}"]


BREAKS = [
    pytest.param({}, "raised ZeroDivisionError, which fails the run: a soft gate that breaks does", id="breaks"),
    pytest.param(
        {"strict_soft": True}, "raised ZeroDivisionError, which fails the run: --strict-soft lets it", id="strict"
    ),
]


@pytest.mark.parametrize(("changes", "why"), BREAKS)
def test_a_soft_gate_that_fails_the_run_is_named(packed_once: Path, changes: dict[str, object], why: str) -> None:
    phases = (phase("setup"), phase("call", outcome="failed", exception="ZeroDivisionError"), phase("teardown"))
    ledger = with_gates(packed_once, record("pnl.turnover", POLICY, phases=phases, evidence=()))
    run = msgspec.structs.replace(ledger.run, exit_status=1, **changes)
    found = reasons(packed_once, msgspec.structs.replace(ledger, run=run), exitcode=1)
    assert found == [
        f"pytest ended with 1, a green run ends with 0 → {gate_of(packed_once)}",
        f"pnl.turnover errored: {why} → {gate_of(packed_once)}",
    ]


@pytest.mark.parametrize(
    ("tests", "named"), [(["failed", "error", "passed"], True), (["passed"], False), (None, False)]
)
def test_tests_that_fail_beside_the_gates_are_named(packed_once: Path, tests: list[str] | None, named: bool) -> None:
    ledger = green_ledger(packed_once, POLICY, exit_status=1)
    facts = facts_of(packed_once, ledger, POLICY, exitcode=1)
    beside = tests and [{"nodeid": f"test_{outcome}", "outcome": outcome} for outcome in tests]
    stored = replace(facts.stored, parsed={**facts.stored.parsed, "tests": beside})
    found = decide(replace(facts, stored=stored), POLICY, now=datetime.now(UTC) + timedelta(seconds=1)).reasons
    assert ("test_failed, test_error failed beside the gates" in [reason.text for reason in found]) is named


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


@pytest.mark.parametrize("minutes", [0, 4.9, 5.1])
def test_clocks_of_two_machines_may_differ_by_five_minutes(packed_once: Path, minutes: float) -> None:
    ahead, packed = timedelta(minutes=minutes), LocalDirectory(packed_once).manifest.created
    now = datetime.now(UTC)
    early = green_ledger(packed_once, POLICY, started=packed - ahead, finished=now)
    late = green_ledger(packed_once, POLICY, finished=now + ahead)
    for ledger, said in ((early, "the run began before the model was packed"), (late, "the report is from the future")):
        found = reasons(packed_once, ledger, now=now)
        assert [said in reason for reason in found] == ([True] if minutes > 5 else [])


@pytest.mark.parametrize(("changes", "said"), RUNS)
def test_the_run_itself_must_be_right(packed_once: Path, changes: dict[str, object], said: list[str]) -> None:
    found = reasons(packed_once, green_ledger(packed_once, POLICY, **changes))
    assert len(found) == len(said)
    for text, part in zip(found, said, strict=True):
        assert part in text


def test_exit_codes_that_disagree_are_refused(packed_once: Path) -> None:
    assert reasons(packed_once, exitcode=1) == [f"pytest ended with 0, the report says 1 → {gate_of(packed_once)}"]


def test_files_that_changed_during_the_run_are_refused(packed_once: Path) -> None:
    run = msgspec.structs.replace(green_run(packed_once, POLICY), digest_after="1" * 64)
    said = reasons(packed_once, green_ledger(packed_once, POLICY, run=run))
    assert said == [f"the model's files changed while the gates ran → {gate_of(packed_once)}"]


def test_a_report_of_nothing_is_refused(packed_once: Path) -> None:
    ledger = msgspec.structs.replace(green_ledger(packed_once, POLICY), models={})
    assert reasons(packed_once, ledger) == [
        f"the report is of no model, not of {packed_once.name} → {gate_of(packed_once)}"
    ]


def test_a_policy_that_requires_nothing_promotes_nothing(packed_once: Path, tmp_path: Path) -> None:
    families = sorted({name.partition(".")[0] for name in POLICY.slo})
    file = tmp_path / "policy.toml"
    file.write_text(f"not_applicable = {families}\n{LENIENT}")
    nothing = "the policy requires no hard gate, so nothing would be shown → add hard gates to the policy"
    assert reasons(packed_once, policy=load_policy(file)) == [nothing]
    run = msgspec.structs.replace(green_run(packed_once, POLICY), gates=(record("parity.claim", POLICY, 1.0),))
    policy = load_policy(file)
    failed, said = reasons(packed_once, green_ledger(packed_once, policy, run=run), policy=policy)
    assert (failed.partition(":")[0], said) == ("parity.claim failed", nothing)


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
    gate = POLICY.slo[name].gate or name
    values = {other: value if other == name else None for other in POLICY.slos_of(gate)}
    changed = record(gate, POLICY, evidence=tuple(evidence(slo, POLICY.slo[slo], each) for slo, each in values.items()))
    assert (reasons(packed_once, with_gates(packed_once, changed)) == []) == POLICY.slo[name].contains(value)


def test_the_handmade_values_keep_their_limits() -> None:
    assert all(slo.contains(inside(slo)) for slo in POLICY.slo.values())


def test_a_damaged_model_is_refused_for_that_alone() -> None:
    damage = ("model.onnx: 5 bytes, the manifest says 6", "sidecar.json is missing")
    decision = decide(Damaged(model_id="1700000001", live=None, problems=damage), POLICY, now=NOW)
    assert [str(reason) for reason in decision.reasons] == [f"{line} → pack it again" for line in damage]


def test_every_other_reason_follows_those_of_the_report(packed_once: Path) -> None:
    policy = msgspec.structs.replace(SHIPPED, evidence=msgspec.structs.replace(SHIPPED.evidence, proof=True))
    facts = facts_of(packed_once, green_ledger(packed_once, policy), policy, exitcode=1, live=packed_once.name)
    facts = replace(facts, denied="Eve may not promote; the policy lets Ada")
    shadow = f"modelgates shadow --onnx {packed_once}/model.onnx --csv {packed_once.parents[1] / 'live_data.csv'}"
    lacks = "the candidate has no record in shadow"
    assert [str(reason) for reason in decide(facts, policy, now=datetime.now(UTC)).reasons] == [
        f"pytest ended with 0, the report says 1 → {gate_of(packed_once)}",
        f"nothing proves that the gates can fail on this model → modelgates prove {packed_once}",
        f"{packed_once.name} is live already → modelgates status",
        f"{facts.denied} → ask one of them, or add the actor to [registry] may_promote in the policy",
        f"0 consecutive UTC nights with ONNX parity, the policy asks for 7 (parity_nights) "
        f"→ {gate_of(packed_once)} every night",
        f"{lacks}; the policy asks for 24 h and rows enough to measure drift from → {shadow}",
    ]


def test_the_first_model_owes_no_nights_but_an_untouched_log(packed_once: Path) -> None:
    facts = facts_of(packed_once, green_ledger(packed_once, SHIPPED), SHIPPED, live=None)
    now = datetime.now(UTC)
    assert decide(facts, SHIPPED, now=now).reasons == []
    (reason,) = decide(replace(facts, log_problems=("record 2 is lost",)), SHIPPED, now=now).reasons
    assert str(reason) == "record 2 is lost → put promotions.log and latest back from a copy"


@pytest.mark.parametrize(("live", "refused"), [("model", False), (None, False), ("bonds", True)])
def test_a_model_of_another_name_does_not_follow_the_live_one(
    good_model: Path, live: str | None, refused: bool
) -> None:
    facts = facts_of(good_model, green_ledger(good_model, POLICY), POLICY, live_name=live)
    names = "it is called 'model', and the live model 'bonds'; one artifacts root has one name"
    reason = f"{names} → pack it into a root of its own"
    assert (reason in map(str, decide(facts, POLICY, now=NOW).reasons)) is refused
