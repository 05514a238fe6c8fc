"""The nights of the stored reports: which reports count for a night, and which only against it."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.evidence.results import results_of
from pytest_modelgates.evidence.seal import SEALED_SUFFIX, generate_key, load_key, seal, statement
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.sections import EvidenceRules
from pytest_modelgates.registry.criteria import streak
from pytest_modelgates.registry.nights import Night, nights
from pytest_modelgates.storage.digests import listing
from tests.support.handmade import green_ledger, green_run, record, write_report

POLICY = load_policy(None)
NOW = datetime(2026, 3, 3, 6, tzinfo=UTC)


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
        other: float = 0.0,
        only: str = "",
        named: int | None = None,
    ) -> Path:
        """Store a report of `age` days ago, under the name of another day if `named`."""
        then = NOW.replace(hour=hour) - timedelta(days=age)
        run, measured = green_run(self.model, POLICY), record("parity.max_abs_diff", POLICY, parity)
        others = {each.gate: each for each in (measured, record("schema.columns", POLICY, other))}
        gates = (others.get(gate.gate, gate) for gate in run.gates)
        run = msgspec.structs.replace(run, gates=tuple(gate for gate in gates if gate.gate.startswith(only)))
        ledger = green_ledger(self.model, POLICY, finished=then, run=run)
        stamp = then + timedelta(days=age - named) if named is not None else then
        return write_report(
            self.artifacts.new_report(model_id, stamp),
            msgspec.structs.replace(ledger, models={model_id: run}),
        )

    def seal(self, plain: Path, key: Path, **said: Any) -> None:
        """Seal a report beside the plain one; what `said` does not give is what its gates amount to."""
        ledger = read_report(plain).report.modelgates
        (run,) = ledger.models.values()
        own = results_of(run, POLICY, day=NOW.date())
        said = {"result": own.result, "passed": own.passed, "warned": own.warned, "failed": own.failed} | said
        content = statement(listing(self.model), {}, {"report": json.loads(plain.read_bytes())}, **said)
        plain.with_name(plain.stem + SEALED_SUFFIX).write_bytes(seal(content, load_key(key)))

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
    reports.seal(plain, tmp_path / "key.pem")
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


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"result": "FAILED"}, id="failed-without-a-gate"),
        pytest.param({"result": "FAILED", "failed": ["parity.claim"]}, id="failed-by-parity"),
        pytest.param({"passed": []}, id="parity-is-not-listed"),
        pytest.param({"passed": [], "warned": ["parity.claim"]}, id="parity-was-warned-of"),
    ],
)
def test_a_sealed_report_whose_seal_says_otherwise_is_no_night_of_parity(
    reports: Reports, tmp_path: Path, said: dict[str, Any]
) -> None:
    public = generate_key(tmp_path / "key.pem")
    plain = reports.add(0)
    reports.seal(plain, tmp_path / "key.pem", **said)
    plain.unlink()
    policy = msgspec.structs.replace(POLICY, evidence=msgspec.structs.replace(POLICY.evidence, keys=(public,)))
    assert streak(nights(reports.artifacts, policy, now=NOW), today=NOW.date()) == 0


def test_a_sealed_report_that_honestly_failed_by_another_gate_is_a_night_of_parity(
    reports: Reports, tmp_path: Path
) -> None:
    public = generate_key(tmp_path / "key.pem")
    plain = reports.add(0, other=9.0)
    reports.seal(plain, tmp_path / "key.pem")
    plain.unlink()
    policy = msgspec.structs.replace(POLICY, evidence=msgspec.structs.replace(POLICY.evidence, keys=(public,)))
    assert streak(nights(reports.artifacts, policy, now=NOW), today=NOW.date()) == 1


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
