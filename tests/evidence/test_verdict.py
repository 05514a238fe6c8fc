"""What the record of one gate amounts to, and what many verdicts amount to."""

import itertools
import math
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.evidence.report import GateRecord
from pytest_modelgates.evidence.verdict import Verdict, base_name, combine, judge, promotes
from pytest_modelgates.policy.load import load_policy
from tests.support.handmade import evidence, phase, record

POLICY = load_policy(None)
P = "significance.p_against"
SLO = POLICY.slo[P]
SETUP, CALL, TEARDOWN = (phase(when) for when in ("setup", "call", "teardown"))
SKIPPED = phase("setup", outcome="skipped", exception="Skipped")


def test_a_gate_that_ran_once_and_kept_its_limit_passed() -> None:
    assert judge(record(P, POLICY), POLICY) == (Verdict.PASSED, "")


TOO_LITTLE = phase("setup", outcome="failed", exception="InsufficientDataError")

TWO_CALLS = "has 2 reports of its call, expected one; a gate takes no subtests"

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
    pytest.param(record(P, POLICY, phases=(SETUP, CALL, CALL, TEARDOWN)), "not run", TWO_CALLS, id="two-calls"),
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
        record(
            P, POLICY, phases=(phase("setup", outcome="failed", exception="FormatError", message="a\x1b"), TEARDOWN)
        ),
        "errored",
        "raised FormatError: a\\x1b",
        id="error-that-says-something",
    ),
    pytest.param(
        record(P, POLICY, evidence=(evidence(P, SLO, 0.2, detail={"fold": "2016", "n": 3, "why": None}),)),
        "failed",
        "measured 0.2 p, limit 0 ≤ · ≤ 0.1, fold 2016",
        id="what-was-found-is-named",
    ),
    pytest.param(
        record(P, POLICY, evidence=(evidence(P, SLO, 0.2, note="row 3; row 9", detail={"starts": "2016"}),)),
        "failed",
        "measured 0.2 p, limit 0 ≤ · ≤ 0.1: row 3; row 9",
        id="offenders-are-named",
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
        record(P, POLICY, phases=(TOO_LITTLE, TEARDOWN), evidence=(evidence(P, SLO, state="inconclusive", note="3"),)),
        "inconclusive",
        "3",
        id="inconclusive-in-a-fixture",
    ),
    pytest.param(
        record(P, POLICY, phases=(TOO_LITTLE, CALL, TEARDOWN)),
        "not run",
        "raised InsufficientDataError in set-up and recorded no evidence of it",
        id="green-after-a-fixture-had-too-little",
    ),
    pytest.param(
        record(P, POLICY, phases=(SETUP, CALL, phase("teardown", exception="InsufficientDataError"))),
        "errored",
        "raised InsufficientDataError",
        id="too-little-in-teardown",
    ),
    pytest.param(
        record(P, POLICY, evidence=(evidence(P, SLO, state="no reference yet"),)),
        "inconclusive",
        "which only gates of drift, shadow and ab, pnl.reconciled and safety.kill_drill need",
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


# The truth table: what the verdict of the row and that of the column amount to.
TABLE = """
                 | passed           no reference yet inconclusive not run errored failed
passed           | passed           no reference yet inconclusive not run errored failed
no reference yet | no reference yet no reference yet inconclusive not run errored failed
inconclusive     | inconclusive     inconclusive     inconclusive not run errored failed
not run          | not run          not run          not run      not run errored failed
errored          | errored          errored          errored      errored errored failed
failed           | failed           failed           failed       failed  failed  failed
"""
WORDS = re.compile("|".join(Verdict))
HEADING, *ROWS = (line.partition("|") for line in TABLE.strip("\n").splitlines())
PAIRS = [
    pytest.param(row.strip(), column, wanted, id=f"{row.strip()}+{column}".replace(" ", "-"))
    for row, _, cells in ROWS
    for column, wanted in zip(WORDS.findall(HEADING[2]), WORDS.findall(cells), strict=True)
]
VERDICTS = st.lists(st.sampled_from(list(Verdict)))


def test_the_table_is_of_every_pair() -> None:
    assert sorted(pair.values[:2] for pair in PAIRS) == sorted(itertools.product(Verdict, Verdict))


@pytest.mark.parametrize(("one", "other", "wanted"), PAIRS)
def test_two_verdicts_amount_to_what_the_table_says(one: str, other: str, wanted: str) -> None:
    assert combine([Verdict(one), Verdict(other)]) == wanted


@pytest.mark.parametrize("verdict", Verdict)
def test_one_verdict_is_itself(verdict: Verdict) -> None:
    assert combine([verdict]) is verdict


def test_nothing_is_vacuously_true() -> None:
    assert combine([]) is Verdict.NOT_RUN
    assert not promotes(combine([]), POLICY, first=True)


@given(verdicts=VERDICTS.filter(len), data=st.data())
def test_neither_order_nor_grouping_nor_repetition_matters(verdicts: list[Verdict], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(verdicts)))
    parts = [part for part in (verdicts[:cut], verdicts[cut:]) if part]
    assert combine(map(combine, parts)) is combine(verdicts)
    assert combine(data.draw(st.permutations(verdicts)) + verdicts) is combine(verdicts)


PROMOTE = [
    pytest.param("passed", True, True, id="passed"),
    pytest.param("no reference yet", False, True, id="no-reference-yet"),
    *(pytest.param(word, False, False, id=word) for word in ("inconclusive", "not run", "errored", "failed")),
]


@pytest.mark.parametrize(("verdict", "later", "first"), PROMOTE)
def test_only_passed_promotes_bar_what_the_policy_says_for_the_first(verdict: str, later: bool, first: bool) -> None:
    stern = msgspec.structs.replace(
        POLICY, promotion=msgspec.structs.replace(POLICY.promotion, first_without_reference=False)
    )
    assert promotes(Verdict(verdict), POLICY, first=False) is later
    assert promotes(Verdict(verdict), POLICY, first=True) is first
    assert promotes(Verdict(verdict), stern, first=True) is later


@given(verdicts=VERDICTS, first=st.booleans())
def test_several_promote_exactly_if_there_are_some_and_each_does(verdicts: list[Verdict], first: bool) -> None:
    each = [promotes(verdict, POLICY, first=first) for verdict in verdicts]
    assert promotes(combine(verdicts), POLICY, first=first) == (bool(each) and all(each))
