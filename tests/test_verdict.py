"""What the record of one gate amounts to."""

import math

import pytest
from handmade import evidence, phase, record
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.registry.policy import load_policy
from pytest_modelgates.registry.report import GateRecord
from pytest_modelgates.registry.verdict import Verdict, base_name, judge

POLICY = load_policy(None)
P = "significance.p_against"
SLO = POLICY.slo[P]
SETUP, CALL, TEARDOWN = (phase(when) for when in ("setup", "call", "teardown"))
SKIPPED = phase("setup", outcome="skipped", exception="Skipped")


def test_a_gate_that_ran_once_and_kept_its_limit_passed() -> None:
    assert judge(record(P, POLICY), POLICY) == (Verdict.PASSED, "")


JUDGED = [
    pytest.param(record(P, POLICY, 0.11), "failed", "measured 0.11 p, limit 0 ≤ · ≤ 0.1", id="over-the-limit"),
    pytest.param(
        record(P, POLICY, evidence=(evidence(P, SLO, state="measured", value=math.nan),)),
        "failed",
        "measured nan p, limit 0 ≤ · ≤ 0.1",
        id="nan",
    ),
    pytest.param(
        record(P, POLICY, evidence=(evidence(P, SLO, 0.01), evidence(P, SLO, 0.2))),
        "failed",
        "measured 0.2 p",
        id="one-of-two-values-over-the-limit",
    ),
    pytest.param(record(P, POLICY, evidence=()), "not run", f"recorded no evidence for {P}", id="no-evidence"),
    pytest.param(record(P, POLICY, attempts=2), "not run", "ran 2 times, expected once", id="rerun"),
    pytest.param(record(P, POLICY, attempts=0), "not run", "ran 0 times, expected once", id="never-begun"),
    pytest.param(record(P, POLICY, phases=(SETUP, CALL, CALL, TEARDOWN)), "not run", "expected once", id="two-calls"),
    pytest.param(record(P, POLICY, phases=(SKIPPED, TEARDOWN)), "not run", "was skipped", id="skipped"),
    pytest.param(
        record(P, POLICY, phases=(SETUP, phase("call", outcome="skipped", exception="Skipped"), TEARDOWN)),
        "not run",
        "was skipped",
        id="skipped-in-the-call",
    ),
    pytest.param(record(P, POLICY, phases=(SETUP, TEARDOWN)), "not run", "only setup, teardown ran", id="set-up-only"),
    pytest.param(record(P, POLICY, phases=()), "not run", "only nothing ran", id="collected-only"),
    pytest.param(
        record(P, POLICY, phases=(phase("setup", outcome="failed", exception="FormatError"), TEARDOWN)),
        "errored",
        "raised FormatError",
        id="error-in-set-up",
    ),
    pytest.param(
        record(P, POLICY, phases=(SETUP, phase("call", outcome="failed", exception="ValueError"), TEARDOWN)),
        "errored",
        "raised ValueError",
        id="error-in-the-call",
    ),
    pytest.param(
        record(P, POLICY, phases=(SETUP, CALL, phase("teardown", outcome="failed", exception="OSError"))),
        "errored",
        "raised OSError",
        id="error-in-teardown",
    ),
    pytest.param(
        record(P, POLICY, phases=(SETUP, phase("call", outcome="skipped", exception="AssertionError"), TEARDOWN)),
        "failed",
        "raised AssertionError",
        id="expected-to-fail",
    ),
    pytest.param(
        record(P, POLICY, phases=(SETUP, phase("call", outcome="rerun"), TEARDOWN)),
        "not run",
        "call ended as rerun",
        id="foreign-outcome",
    ),
    pytest.param(
        record(P, POLICY, evidence=(evidence(P, SLO, state="inconclusive", note="3 rows"),)),
        "inconclusive",
        "3 rows",
        id="inconclusive",
    ),
    pytest.param(
        record(P, POLICY, evidence=(evidence(P, SLO, state="no reference yet"),)),
        "inconclusive",
        "says it has no reference yet, which only drift and shadow gates need",
        id="a-signal-needs-no-reference",
    ),
    pytest.param(
        record("drift.psi", POLICY, evidence=(evidence("drift.psi", SLO, state="no reference yet", note="first"),)),
        "no reference yet",
        "first",
        id="nothing-to-drift-from",
    ),
    pytest.param(
        record(
            "pnl.exposure",
            POLICY,
            evidence=(evidence("pnl.exposure", POLICY.slo["pnl.exposure"]),),
        ),
        "not run",
        "recorded no evidence for pnl.net_exposure",
        id="half-of-the-evidence",
    ),
]


@pytest.mark.parametrize(("found", "verdict", "why"), JUDGED)
def test_a_gate_is_judged_by_what_it_left(found: GateRecord, verdict: str, why: str) -> None:
    assert judge(found, POLICY)[0] == verdict
    assert why in judge(found, POLICY)[1]


@given(value=st.floats())
def test_only_numbers_within_the_limit_pass_whatever_the_phases_say(value: float) -> None:
    passed = judge(record(P, POLICY, evidence=(evidence(P, SLO, value),)), POLICY)[0] is Verdict.PASSED
    assert passed == (0 <= value <= 0.1)


@given(value=st.floats(0, 1))
def test_the_limit_is_the_policys_whatever_the_evidence_says(value: float) -> None:
    generous = evidence(P, POLICY.slo["wf.worst_fold"], value)
    passed = judge(record(P, POLICY, evidence=(generous,)), POLICY)[0] is Verdict.PASSED
    assert passed == (value <= 0.1)


def test_a_parameter_is_no_part_of_the_limits_name() -> None:
    assert base_name("ablation.harmless[a[b]]") == "ablation.harmless"
    assert judge(record("ablation.harmless[price]", POLICY), POLICY)[0] is Verdict.PASSED
