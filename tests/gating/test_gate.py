"""What a gate records with: limits, evidence, messages."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import InsufficientDataError, NoReference, PolicyError
from pytest_modelgates.gating.gate import Gate
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy

PARITY = "parity.max_abs_diff"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(None)


def failure(gate: Gate, *arguments: object, **more: object) -> str:
    with pytest.raises(pytest.fail.Exception) as caught:
        gate.check(*arguments, **more)
    return str(caught.value)


def test_a_value_within_its_limit_is_recorded_with_the_limit(policy: Policy) -> None:
    gate = Gate("pnl.exposure", policy)
    gate.check(0.5, sample=3)
    gate.check(0.01, slo="pnl.net_exposure")
    first, second = gate.evidence
    assert (first.slo, first.value, first.at_least, first.at_most, first.unit, first.sample) == (
        "pnl.exposure",
        0.5,
        0,
        1,
        "gross",
        3,
    )
    assert (second.slo, second.at_least, second.at_most) == ("pnl.net_exposure", -0.05, 0.05)


def test_a_value_beyond_its_limit_is_recorded_too_and_says_what_to_do(policy: Policy) -> None:
    gate = Gate("latency.onnx_p95_ms", policy)
    assert failure(gate, 61.23456, rounds=200, spread=1.23456) == (
        "latency.onnx_p95_ms: measured 61.23 ms, limit 0 < · ≤ 60, rounds 200, spread 1.235\n"
        "make the model smaller, or measure on a quieter machine"
    )
    assert gate.evidence[0].value == 61.23456


def test_several_values_are_all_recorded_before_any_fails(policy: Policy) -> None:
    gate = Gate("pnl.exposure", policy)
    with pytest.raises(pytest.fail.Exception) as caught:
        gate.check_each({"pnl.exposure": 2, "pnl.net_exposure": 0.01, "pnl.largest_weight": 0.5}, sample=9, first=1)
    assert str(caught.value).splitlines() == [
        "pnl.exposure: measured 2 gross, limit 0 ≤ · ≤ 1, first 1",
        policy.limit("pnl.exposure").advice,
        "pnl.largest_weight: measured 0.5 weight, limit 0 ≤ · ≤ 0.2",
        policy.limit("pnl.largest_weight").advice,
    ]
    assert [(shown.slo, shown.value, shown.sample, shown.detail) for shown in gate.evidence] == [
        ("pnl.exposure", 2, 9, {"first": 1}),
        ("pnl.net_exposure", 0.01, 9, {}),
        ("pnl.largest_weight", 0.5, 9, {}),
    ]
    Gate("pnl.exposure", policy).check_each({"pnl.exposure": 1, "pnl.net_exposure": 0})


def test_numbers_of_single_slos_go_with_these(policy: Policy) -> None:
    gate = Gate("pnl.exposure", policy)
    with pytest.raises(pytest.fail.Exception) as caught:
        gate.check_each(
            {"pnl.exposure": 2, "pnl.net_exposure": 0.01, "pnl.largest_weight": 0.5},
            by_slo={"pnl.exposure": {"day": "2020-01-02"}, "pnl.largest_weight": {"first": "A07"}},
            names=9,
        )
    assert "pnl.exposure: measured 2 gross, limit 0 ≤ · ≤ 1, names 9, day 2020-01-02\n" in str(caught.value)
    assert "pnl.largest_weight: measured 0.5 weight, limit 0 ≤ · ≤ 0.2, first A07\n" in str(caught.value)
    assert [shown.detail for shown in gate.evidence] == [{"names": 9, "day": "2020-01-02"}, {}, {"first": "A07"}]


def test_what_was_not_asked_is_recorded_in_words_and_still_keeps_its_limit(policy: Policy) -> None:
    gate = Gate("pnl.exposure", policy)
    gate.check(0.5, not_asked="nothing is held")
    values = {"pnl.exposure": 0.5, "pnl.net_exposure": 0, "pnl.largest_weight": 0}
    gate.check_each(values, not_asked={"pnl.net_exposure": "one side alone", "pnl.largest_weight": None})
    why = [shown.not_asked for shown in gate.evidence]
    assert why == ["nothing is held", None, "one side alone", None]
    # Words do not open a gate.
    with pytest.raises(pytest.fail.Exception, match=r"^pnl\.exposure: measured 2 gross, limit 0 ≤ · ≤ 1\n"):
        gate.check(2, not_asked="nothing is held")


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, np.float32("nan")], ids=["nan", "up", "down", "numpy"]
)
def test_what_is_not_finite_fails_and_is_recorded_as_nothing(policy: Policy, value: float) -> None:
    gate = Gate("pnl.after_costs", policy)
    assert f"measured {float(value):.4g} /year, limit > 0" in failure(
        gate, value, also=math.nan, interval=(0, math.inf)
    )
    assert (gate.evidence[0].value, gate.evidence[0].detail, gate.evidence[0].interval) == (None, {"also": None}, None)


@pytest.mark.parametrize("value", [True, False, np.False_, np.array(False)], ids=repr)
def test_whether_it_is_so_is_not_a_measurement(policy: Policy, value: float) -> None:
    gate = Gate("pnl.exposure", policy)
    for check in (gate.check, lambda value: gate.check_each({"pnl.exposure": value})):
        with pytest.raises(TypeError, match=r"^measured (True|False), expected a number: give what was measured"):
            check(value)
    assert gate.evidence == []


def test_what_is_judged_is_what_is_recorded(policy: Policy) -> None:
    gate = Gate("pnl.largest_weight", policy)
    # In float32 it would be 0.2, the limit; as it is recorded it is more.
    assert failure(gate, np.float32(0.2)).startswith("pnl.largest_weight: measured 0.2 weight, limit 0 ≤ · ≤ 0.2\n")
    assert gate.evidence[0].value > 0.2


@given(value=st.floats())
def test_a_check_passes_exactly_within_the_bounds(value: float) -> None:
    gate = Gate(PARITY, load_policy(None))
    if 0 <= value <= 1e-5:
        gate.check(value)
    else:
        failure(gate, value)
    assert len(gate.evidence) == 1


def test_numbers_of_numpy_become_plain_ones(policy: Policy) -> None:
    gate = Gate(PARITY, policy)
    gate.check(
        np.float32(0),
        sample=np.int64(3),
        interval=(np.float64(0), np.float64(1)),
        rows=np.int32(4),
        share=np.float64(0.5),
        word="w",
        none=None,
    )
    (shown,) = gate.evidence
    assert [type(entry) for entry in (shown.value, shown.sample, *shown.interval, *shown.detail.values())] == [
        float,
        int,
        float,
        float,
        int,
        float,
        str,
        type(None),
    ]


def test_a_parameter_is_measured_against_the_limit_of_its_family(policy: Policy) -> None:
    gate = Gate("ablation.harmless[price]", policy)
    assert failure(gate, 0.05).startswith("ablation.harmless: measured 0.05 p, limit 0.1 < · ≤ 1\n")
    assert gate.evidence[0].slo == "ablation.harmless"


def test_no_offenders_pass_with_a_zero_as_evidence(policy: Policy) -> None:
    gate = Gate("data.finite", policy)
    gate.check_none([])
    assert (gate.evidence[0].value, gate.evidence[0].at_most, gate.evidence[0].note) == (0, 0, None)


def test_offenders_are_counted_and_the_first_five_named(policy: Policy) -> None:
    gate = Gate("data.unique_keys", policy)
    with pytest.raises(pytest.fail.Exception) as caught:
        gate.check_none([f"row {number}" for number in range(7)])
    assert str(caught.value) == (
        "data.unique_keys: measured 7 rows, limit ≤ 0: row 0; row 1; row 2; row 3; row 4; and 2 more\n"
        "keep one row per day and asset"
    )
    assert gate.evidence[0].note == "row 0; row 1; row 2; row 3; row 4; and 2 more"


def test_offenders_with_hostile_names_are_escaped(policy: Policy) -> None:
    gate = Gate("data.unique_keys", policy)
    with pytest.raises(pytest.fail.Exception, match=r"limit ≤ 0: a\\x1b\[2J\\n\\udcff\n"):
        gate.check_none(["a\x1b[2J\n\udcff"])
    assert gate.evidence[0].note == "a\\x1b[2J\\n\\udcff"


def test_what_could_not_be_measured_is_inconclusive_and_fails(policy: Policy) -> None:
    gate = Gate("latency.onnx_p95_ms", policy)
    with pytest.raises(InsufficientDataError, match=r"^no clock$") as caught:
        gate.inconclusive("no clock", sample=0)
    assert gate.record_unmeasured(caught.value) == "latency.onnx_p95_ms: inconclusive: no clock"
    assert gate.evidence[0].sample == 0
    assert (gate.evidence[0].state, gate.evidence[0].value, gate.evidence[0].note) == ("inconclusive", None, "no clock")


def test_without_a_reference_a_gate_neither_passes_nor_fails(policy: Policy) -> None:
    gate = Gate("drift.psi", policy)
    with pytest.raises(NoReference, match=r"^nothing was ever live$") as caught:
        gate.no_reference("nothing was ever live")
    assert gate.record_unmeasured(caught.value) == "drift.psi: no reference yet: nothing was ever live"
    assert (gate.evidence[0].state, gate.evidence[0].value) == ("no reference yet", None)


def test_an_unknown_limit_says_which_table_to_add(policy: Policy) -> None:
    gate = Gate(PARITY, policy)
    with pytest.raises(PolicyError) as caught:
        gate.check(0, slo="mine.answer")
    assert str(caught.value) == (
        "no SLO 'mine.answer' in the policy; add [slo.\"mine.answer\"] with its bounds, unit, severity and advice"
    )
    assert gate.evidence == []
