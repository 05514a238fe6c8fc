"""Nights of parity, hours in shadow, no drift: what promotion asks for besides the gates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.drift.index import critical_value
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.predictions.following import Follower, Recent
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.registry.criteria import night_reasons, shadow_reasons, streak
from pytest_modelgates.registry.nights import Night
from tests.support.handmade import log_predictions, predictions

POLICY = load_policy(None)
NOW = datetime(2026, 3, 3, 6, tzinfo=UTC)
GOLDEN = np.random.default_rng(5).normal(size=2000)
CALM = np.random.default_rng(6).normal(size=500).tolist()


def asking(**changes: float) -> Policy:
    """The packaged policy with other criteria."""
    return msgspec.structs.replace(POLICY, promotion=msgspec.structs.replace(POLICY.promotion, **changes))


def days_ago(*passed: bool | None) -> list[Night]:
    """Nights newest first, today's at the left; None is a night without a run."""
    today = NOW.date()
    return [
        Night(today - timedelta(days=age), "1700000000", parity)
        for age, parity in enumerate(passed)
        if parity is not None
    ]


STREAKS = [
    pytest.param((), 0, id="no-night"),
    pytest.param((True, True, True), 3, id="up-to-today"),
    pytest.param((None, True, True), 2, id="up-to-yesterday"),
    pytest.param((None, None, True, True), 0, id="ended-the-day-before"),
    pytest.param((True, None, True), 1, id="a-gap"),
    pytest.param((True, False, True), 1, id="a-failure-within"),
    pytest.param((False, True, True), 0, id="failed-today"),
]


@pytest.mark.parametrize(("found", "length"), STREAKS)
def test_a_streak_is_unbroken_and_recent(found: tuple[bool | None, ...], length: int) -> None:
    assert streak(days_ago(*found), today=NOW.date()) == length


@pytest.mark.parametrize(
    ("found", "waits"),
    [((), True), ((True,), True), ((True, False, True), True), ((None, None, False), True), ((False, True), False)],
)
def test_only_a_streak_that_was_just_broken_lacks_more_than_time(found: tuple[bool | None, ...], waits: bool) -> None:
    (reason,) = night_reasons(days_ago(*found), asking(parity_nights=9), today=NOW.date(), repair="again")
    assert reason.waits == waits
    assert reason.text.endswith("the last one broke the streak") == (not waits)


@given(found=st.lists(st.sampled_from([True, False, None]), max_size=12))
def test_a_streak_is_what_counting_by_hand_gives(found: list[bool | None]) -> None:
    begin = 1 if found and found[0] is None else 0
    run = 0
    while begin + run < len(found) and found[begin + run]:
        run += 1
    assert streak(days_ago(*found), today=NOW.date()) == run


@given(found=st.lists(st.booleans(), max_size=10), more=st.lists(st.booleans(), max_size=5))
def test_older_nights_never_shorten_a_streak(found: list[bool], more: list[bool]) -> None:
    assert streak(days_ago(*found, *more), today=NOW.date()) >= streak(days_ago(*found), today=NOW.date())


def test_too_few_nights_are_a_reason() -> None:
    (reason,) = night_reasons(days_ago(True, True), POLICY, today=NOW.date(), repair="R")
    assert str(reason) == "2 consecutive UTC nights with ONNX parity, the policy asks for 7 (parity_nights) → R"
    assert night_reasons(days_ago(*[True] * 7), POLICY, today=NOW.date(), repair="R") == []
    assert night_reasons([], asking(parity_nights=0), today=NOW.date(), repair="R") == []


def recent(records: list[Prediction]) -> Recent | None:
    """What a follower makes of records that were logged."""
    with TemporaryDirectory() as folder:
        artifacts = Artifacts(Path(folder))
        artifacts.models.mkdir()
        if records:
            log_predictions(artifacts, records)
        return Follower(artifacts, "shadow", "0" * 64, hours=24).read()


def shadow(records: list[Prediction], policy: Policy = POLICY) -> list[str]:
    return [str(reason) for reason in shadow_reasons(recent(records), GOLDEN, policy, repair="R")]


def test_a_calm_day_in_shadow_is_no_reason() -> None:
    assert shadow(predictions("0" * 64, CALM)) == []


def test_hours_count_from_the_first_record_to_the_last() -> None:
    assert shadow(predictions("0" * 64, CALM, hours=23.5)) == [
        "23.5 h of shadow records, the policy asks for 24 h (shadow_hours) → R"
    ]


def test_an_error_within_the_hours_is_a_reason() -> None:
    records = predictions("0" * 64, [*CALM[:250], None, None, *CALM[250:]])
    assert shadow(records) == ["2 shadow records with an error, the last: schema: x is nan → R"]


def test_an_error_before_the_hours_is_forgiven() -> None:
    records = predictions("0" * 64, [None, *CALM], hours=24.2)
    assert shadow(records) == []


def test_a_schema_reject_is_an_error() -> None:
    (reject,) = predictions("0" * 64, [None], row_key="*", error="schema: columns a, b; the model takes b, a")
    assert shadow([*predictions("0" * 64, CALM), reject]) == [
        "1 shadow records with an error, the last: schema: columns a, b; the model takes b, a → R"
    ]


def test_slow_answers_are_a_reason() -> None:
    quick, slow = predictions("0" * 64, CALM), predictions("0" * 64, CALM[:30], latency_ms=201.0)
    assert shadow([*quick, *slow]) == ["shadow latency p95 201.0 ms, limit 0 < · ≤ 200 → R"]
    assert shadow([*quick, *slow[:20]]) == [], "p95 lets a few be slow"


def test_moved_predictions_are_a_reason() -> None:
    (reason,) = shadow(predictions("0" * 64, [value + 2 for value in CALM]))
    assert reason.startswith("drift in shadow: PSI ")
    assert reason.endswith(", must be below 0.25 (drift_psi) → R")


def test_a_waiver_of_the_gate_does_not_cover_promotion_itself_and_the_reason_says_so() -> None:
    moved = predictions("0" * 64, [value + 2 for value in CALM])
    (reason,) = shadow_reasons(recent(moved), GOLDEN, POLICY, repair="R", drift_waived=True)
    assert str(reason).endswith(", must be below 0.25 (drift_psi); the waiver of drift.psi covers the gate alone → R")


def test_the_psi_must_stay_below_its_limit() -> None:
    values = predictions("0" * 64, [value + 2 for value in CALM])
    at_the_limit = float(shadow(values)[0].split("PSI ")[1].split(",")[0])
    assert shadow(values, asking(drift_psi=at_the_limit - 0.01)) != []
    assert shadow(values, asking(drift_psi=at_the_limit + 0.01)) == []


def test_too_few_rows_cannot_show_that_nothing_drifts() -> None:
    assert shadow(predictions("0" * 64, CALM[:60])) == [
        f"drift in shadow cannot be measured: without drift, 60 values against {len(GOLDEN)} reach a PSI of "
        f"{critical_value(10, len(GOLDEN), 60):.2f} once in twenty times, beyond the limit of 0.25: give more rows → R"
    ]
    assert shadow(predictions("0" * 64, CALM[:100] * 2, row_key="the same")) == [
        "drift in shadow cannot be measured: current has 1 finite value, too few to tell: give at least 20 → R"
    ]


def test_zero_switches_a_criterion_off() -> None:
    assert shadow([], asking(drift_psi=0)) == ["the candidate has no record in shadow; the policy asks for 24 h → R"]
    assert shadow([], asking(shadow_hours=0)) == [
        "the candidate has no record in shadow; the policy asks for rows enough to measure drift from → R"
    ]
    assert shadow([], asking(shadow_hours=0, drift_psi=0)) == []


def test_no_record_at_all_is_one_reason() -> None:
    assert shadow([]) == [
        "the candidate has no record in shadow; the policy asks for 24 h and rows enough to measure drift from → R"
    ]


def test_records_of_other_models_do_not_count() -> None:
    assert recent(predictions("1" * 64, CALM)) is None
