"""Quiet nights, hours in shadow, no drift: what promotion asks for besides the gates."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.evidence.seal import SEALED_SUFFIX, generate_key, load_key, seal, statement
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.policy.sections import EvidenceRules
from pytest_modelgates.predictions.records import Prediction, read_predictions
from pytest_modelgates.registry.criteria import night_reasons, shadow_reasons, streak
from pytest_modelgates.registry.nights import Night, nights
from pytest_modelgates.storage.digests import listing
from tests.support.handmade import green_ledger, green_run, log_predictions, predictions, record, write_report

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
    assert str(reason) == "2 consecutive UTC nights with ONNX parity, the policy asks for 7 → R"
    assert night_reasons(days_ago(*[True] * 7), POLICY, today=NOW.date(), repair="R") == []
    assert night_reasons([], asking(parity_nights=0), today=NOW.date(), repair="R") == []


class Reports:
    """Stored reports of gate runs."""

    def __init__(self, root: Path, model: Path) -> None:
        self.artifacts, self.model = Artifacts(root / "artifacts"), model

    def add(
        self,
        age: int,
        *,
        model_id: str = "1700000000",
        hour: int = 2,
        parity: float = 0.0,
        only: str = "",
        named: int | None = None,
    ) -> Path:
        """Store a report of `age` days ago, under the name of another day if `named`."""
        then = NOW.replace(hour=hour) - timedelta(days=age)
        run, measured = green_run(self.model, POLICY), record("parity.max_abs_diff", POLICY, parity)
        gates = (measured if gate.gate == measured.gate else gate for gate in run.gates)
        run = msgspec.structs.replace(run, gates=tuple(gate for gate in gates if gate.gate.startswith(only)))
        ledger = green_ledger(self.model, POLICY, finished=then, run=run)
        stamp = then + timedelta(days=age - named) if named is not None else then
        return write_report(
            self.artifacts.new_report(model_id, stamp),
            msgspec.structs.replace(ledger, models={model_id: run}),
        )

    @property
    def streak(self) -> int:
        """How many nights in a row."""
        return streak(nights(self.artifacts, POLICY, now=NOW), today=NOW.date())


@pytest.fixture
def reports(tmp_path: Path, packed_once: Path) -> Reports:
    """No report yet."""
    return Reports(tmp_path, packed_once)


def test_nights_are_read_from_the_stored_reports(reports: Reports) -> None:
    assert reports.streak == 0
    for age in range(3):
        reports.add(age)
    assert nights(reports.artifacts, POLICY, now=NOW) == [
        Night(date(2026, 3, 3 - age), "1700000000", True) for age in range(3)
    ]
    reports.add(1, hour=3, parity=1.0)
    assert reports.streak == 1
    reports.add(1, hour=4)
    assert reports.streak == 3, "the last run of a night counts"


def test_the_newest_candidate_of_a_night_counts(reports: Reports) -> None:
    for age in range(3):
        reports.add(age)
    reports.add(1, model_id="1700000009", hour=1, parity=1.0)
    assert reports.streak == 1


def test_a_run_without_parity_says_nothing_about_it(reports: Reports) -> None:
    for age in range(3):
        reports.add(age)
    reports.add(1, hour=5, only="wf.")
    assert reports.streak == 3
    reports.add(1, model_id="1700000009", hour=5, only="wf.")
    assert reports.streak == 1, "the newest candidate of that night never showed parity"


def test_a_run_with_only_some_parity_gates_is_none(reports: Reports) -> None:
    reports.add(0)
    reports.add(1, only="parity.claim")
    assert reports.streak == 1


def test_a_report_copied_to_other_nights_is_of_its_own_night(reports: Reports) -> None:
    reports.add(0)
    for night in range(1, 8):
        reports.add(0, named=night)
    assert reports.streak == 1


def test_a_report_that_cannot_be_read_is_a_night_without_parity(reports: Reports) -> None:
    for age in range(3):
        report = reports.add(age)
    report.write_bytes(b"\0")
    assert reports.streak == 2


def test_a_sealed_report_counts_if_a_listed_key_signed_it_else_the_plain_one_beside_it(
    reports: Reports, tmp_path: Path
) -> None:
    public = generate_key(tmp_path / "key.pem")
    plain = reports.add(0)
    predicate = {"report": json.loads(plain.read_bytes())}
    content = statement(listing(reports.model), predicate, result="PASSED")
    sealed = seal(content, load_key(tmp_path / "key.pem"))
    plain.with_name(plain.stem + SEALED_SUFFIX).write_bytes(sealed)
    assert reports.streak == 1, "nobody listed the key"
    strict = msgspec.structs.replace(POLICY.evidence, keys=(public,), level="sealed")

    def of_policy(rules: EvidenceRules) -> int:
        policy = msgspec.structs.replace(POLICY, evidence=rules)
        return streak(nights(reports.artifacts, policy, now=NOW), today=NOW.date())

    assert of_policy(strict) == 1
    plain.unlink()
    assert reports.streak == 0
    for level in ("any", "sealed"):
        assert of_policy(msgspec.structs.replace(strict, level=level)) == 1


def test_where_seals_are_asked_for_a_plain_report_only_speaks_against_its_night(reports: Reports) -> None:
    rules = msgspec.structs.replace(POLICY.evidence, level="sealed")
    policy = msgspec.structs.replace(POLICY, evidence=rules)
    reports.add(0)
    assert reports.streak == 1
    assert [night.parity for night in nights(reports.artifacts, policy, now=NOW)] == [False]


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("notes/20260303.json", id="no-model"),
        pytest.param("1700000000/20260230T000000Z.json", id="no-day"),
        pytest.param("1700000000/２０２６０３０３T000000Z.json", id="full-width-digits"),
        pytest.param("1700000000/99991231T000000Z.json", id="from-the-future"),
        pytest.param("1700000000/notes.json", id="no-time"),
        pytest.param("1700000000/20200101T000000Z.json", id="long-ago"),
    ],
)
def test_what_else_lies_among_the_reports_is_passed_over(reports: Reports, place: str) -> None:
    for age in range(3):
        reports.add(age)
    file = reports.artifacts.root / "reports" / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}")
    assert reports.streak == 3


def shadow(records: list[Prediction], policy: Policy = POLICY) -> list[str]:
    return [str(reason) for reason in shadow_reasons(records, GOLDEN, policy, repair="R")]


def test_a_calm_day_in_shadow_is_no_reason() -> None:
    assert shadow(predictions("0" * 64, CALM)) == []


def test_hours_count_from_the_first_record_to_the_last() -> None:
    assert shadow(predictions("0" * 64, CALM, hours=23.5)) == ["23.5 h of shadow records, the policy asks for 24 h → R"]


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
    assert reason.endswith(", must be below 0.25 → R")


def test_the_psi_must_stay_below_its_limit() -> None:
    values = predictions("0" * 64, [value + 2 for value in CALM])
    at_the_limit = float(shadow(values)[0].split("PSI ")[1].split(",")[0])
    assert shadow(values, asking(drift_psi=at_the_limit - 0.01)) != []
    assert shadow(values, asking(drift_psi=at_the_limit + 0.01)) == []


def test_too_few_rows_cannot_show_that_nothing_drifts() -> None:
    assert shadow(predictions("0" * 64, CALM[:169])) == [
        "drift in shadow cannot be measured: 169 rows scored, at least 170 are needed → R"
    ]
    assert shadow(predictions("0" * 64, CALM[:100] * 2, row_key="the same")) == [
        "drift in shadow cannot be measured: 1 rows scored, at least 170 are needed → R"
    ]


def test_zero_switches_a_criterion_off() -> None:
    assert len(shadow([])) == 2
    assert len(shadow([], asking(drift_psi=0))) == 1
    assert len(shadow([], asking(shadow_hours=0))) == 1
    assert shadow([], asking(shadow_hours=0, drift_psi=0)) == []


def test_records_of_other_models_do_not_count(tmp_path: Path) -> None:
    log = tmp_path / "shadow" / "predictions.jsonl"
    log_predictions(log, predictions("1" * 64, CALM))
    assert len(shadow(list(read_predictions(log, digest="0" * 64)))) == 2
