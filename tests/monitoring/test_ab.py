"""What an A/B test has come to: outcomes joined by arm, day by day, and what can be told of them."""

import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import ab
from pytest_modelgates.audit.ab import By, Plan
from pytest_modelgates.errors import InsufficientDataError
from pytest_modelgates.model.directory import LocalDirectory
from pytest_modelgates.monitoring.ab import ab_found, difference_of
from pytest_modelgates.predictions.outcomes import add_outcomes
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.registry.store import change_live
from pytest_modelgates.stats.arms import arm_days, difference
from tests.support.ab import plan_of
from tests.support.handmade import Registry, log_predictions, renamed

DAYS, NAMES = 120, 24
RANDOM = np.random.default_rng(35)
RETURNS = 0.01 * RANDOM.standard_normal((DAYS, NAMES))
NOISE = RANDOM.standard_normal((DAYS, NAMES))
KNOWING = np.vstack([RETURNS[1:], NOISE[:1]]) / 0.01 + NOISE  # of the next day's return


class Test:
    """A test that ran: what both arms predicted, and what came of it."""

    __test__ = False

    def __init__(self, registry: Registry, folder: Path, *, share: float = 0.5, by: By = "row") -> None:
        self.registry, self.artifacts, self._folder = registry, registry.artifacts, folder
        plan = plan_of(self.artifacts, registry.live, registry.candidate, share=share, by=by)
        self.plan = msgspec.structs.replace(plan, started=datetime.now(UTC) - timedelta(hours=1))
        ab.start(self.artifacts, self.plan)

    @property
    def keys(self) -> list[str]:
        first = date(2026, 1, 1)
        return [f"{first + timedelta(days=day)}|A{name:02d}" for day in range(DAYS) for name in range(NAMES)]

    def log(self, live: np.ndarray, candidate: np.ndarray, *, days: int = DAYS) -> None:
        """Log each row by the model that it is dealt to."""
        with LocalDirectory(self.artifacts.model(self.registry.live)) as model:
            crc = model.sidecar.schema_crc32
        plan, arms = self.plan, dict[str, list[Prediction]]()
        for key, ours, theirs in zip(self.keys[: days * NAMES], live.ravel(), candidate.ravel(), strict=False):
            dealt = plan.takes(key)
            record = Prediction(
                time=datetime.now(UTC) - timedelta(minutes=1),
                row_key=key,
                model_id=plan.candidate if dealt else plan.live,
                digest=plan.candidate_digest if dealt else plan.live_digest,
                schema_crc32=crc,
                prediction=float(theirs if dealt else ours),
                latency_ms=1.0,
                arm="ab" if dealt else "live",
            )
            arms.setdefault(record.arm, []).append(record)
        for records in arms.values():
            log_predictions(self.artifacts, records)

    def add(self, returns: np.ndarray = RETURNS, *, keys: Sequence[str] | None = None) -> None:
        """Add what came of the rows."""
        path = self._folder / "outcomes.csv"
        lines = [
            f"{key.replace('|', ',')},{value}" for key, value in zip(keys or self.keys, returns.ravel(), strict=True)
        ]
        path.write_text("\n".join(["time,asset,return", *lines]) + "\n")
        add_outcomes(self.artifacts, path, ["time", "asset"], self.registry.rules)


@pytest.fixture
def test(registry: Registry, tmp_path: Path) -> Test:
    """A test that has begun."""
    return Test(registry, tmp_path)


def test_the_difference_is_that_of_the_days_of_each_arm(test: Test) -> None:
    test.log(NOISE, KNOWING)
    test.add()
    found = ab_found(test.artifacts, test.plan)
    taken = np.array([test.plan.takes(key) for key in test.keys]).reshape(DAYS, NAMES)
    with LocalDirectory(test.artifacts.model(test.registry.live)) as model:
        horizon = model.sidecar.horizon
    live = arm_days(np.where(taken, np.nan, NOISE), RETURNS, horizon=horizon)
    candidate = arm_days(np.where(taken, KNOWING, np.nan), RETURNS, horizon=horizon)
    assert found.ic == difference(live.ic, candidate.ic)
    assert found.earned == difference(live.earned, candidate.earned)
    assert (found.live.rows, found.candidate.rows) == (int((~taken).sum()), int(taken.sum()))
    assert (found.state, found.why, found.not_told, found.verdict) == ("runs", None, None, "better")
    assert difference_of(test.artifacts, test.plan) == found.ic


@pytest.mark.parametrize(
    ("live", "candidate", "verdict"),
    [
        pytest.param(KNOWING, -KNOWING, "worse", id="the-opposite"),
        pytest.param(NOISE, KNOWING, "better", id="knowing"),
        pytest.param(KNOWING, KNOWING, "inconclusive", id="one-model"),
    ],
)
def test_it_is_told_which_is_better(test: Test, live: np.ndarray, candidate: np.ndarray, verdict: str) -> None:
    test.log(live, candidate)
    test.add()
    assert ab_found(test.artifacts, test.plan).verdict == verdict


def test_rows_that_the_live_model_answered_in_the_candidates_place_do_not_count(test: Test) -> None:
    test.log(NOISE, KNOWING)
    plan = test.plan
    with LocalDirectory(test.artifacts.model(test.registry.live)) as model:
        crc = model.sidecar.schema_crc32
    instead = [
        Prediction(
            time=datetime.now(UTC) - timedelta(minutes=1),
            row_key=key,
            model_id=plan.live,
            digest=plan.live_digest,
            schema_crc32=crc,
            prediction=1e6 * value,
            latency_ms=1.0,
            arm="live",
        )
        for key, value in zip(test.keys, RANDOM.standard_normal(DAYS * NAMES).tolist(), strict=True)
        if plan.takes(key)
    ]
    test.add()
    before = ab_found(test.artifacts, plan)
    log_predictions(test.artifacts, instead)
    assert ab_found(test.artifacts, plan).ic == before.ic


def test_what_was_scored_before_it_began_or_after_it_ended_does_not_count(test: Test) -> None:
    test.log(NOISE, KNOWING)
    test.add()
    later = msgspec.structs.replace(test.plan, started=datetime.now(UTC))
    found = ab_found(test.artifacts, later)
    assert (found.live.rows, found.candidate.rows, found.ic) == (0, 0, None)
    assert found.not_told == "no outcome is known of the rows that were dealt; see: modelgates outcomes add"
    done = ab.stop(test.artifacts, "seen enough")
    assert done
    ended = ab_found(test.artifacts, done)
    assert (ended.state, ended.why, ended.stopped, ended.verdict) == ("ended", "seen enough", done.stopped, "better")
    early = msgspec.structs.replace(done, stopped=test.plan.started)
    assert ab_found(test.artifacts, early).live.rows == 0


def test_too_few_days_say_how_many_are_needed(test: Test) -> None:
    test.log(NOISE, KNOWING, days=40)
    test.add()
    found = ab_found(test.artifacts, test.plan)
    assert found.not_told
    assert found.not_told.endswith("days on which both arms have outcomes of 5 names or more, at least 50 are needed")
    with pytest.raises(InsufficientDataError, match=rf"^the A/B test {test.plan.name}: \d+ days on which both arms"):
        difference_of(test.artifacts, test.plan)


def test_without_outcomes_it_says_how_to_add_them(test: Test) -> None:
    test.log(NOISE, KNOWING)
    found = ab_found(test.artifacts, test.plan)
    assert found.not_told == "no outcome is known; add what came of the rows: modelgates outcomes add FILE"
    assert found.candidate.rows > 0


def test_a_share_that_leaves_too_few_names_never_says_anything(registry: Registry, tmp_path: Path) -> None:
    test = Test(registry, tmp_path, share=0.05)
    test.log(NOISE, KNOWING)
    test.add()
    said = str(ab_found(test.artifacts, test.plan).not_told)
    assert re.match(r"\d+ days? on which both arms have outcomes of 5 names or more, at least 50 are needed$", said)


def promoted(test: Test) -> None:
    change = test.registry.in_force.intent(
        "promote",
        from_=test.registry.live,
        to=test.registry.candidate,
        digest=test.plan.candidate_digest,
        reason="a test",
        time=datetime.now(UTC),
    )
    change_live(test.artifacts, change)


def another_live(test: Test) -> None:
    other = renamed(test.artifacts.model(test.registry.live), "1700000001")
    with LocalDirectory(other) as model:
        digest = model.verify()
    change = test.registry.in_force.intent(
        "promote", from_=test.registry.live, to=other.name, digest=digest, reason="a test", time=datetime.now(UTC)
    )
    change_live(test.artifacts, change)


def gone(test: Test) -> None:
    shutil.rmtree(test.artifacts.model(test.registry.candidate))


def damaged(test: Test) -> None:
    with (test.artifacts.model(test.registry.candidate) / "model.onnx").open("ab") as file:
        file.write(b" ")


OVER = [
    pytest.param(promoted, "{candidate} is live now", id="promoted"),
    pytest.param(another_live, "1700000001 is live now, and not {live}", id="another-live"),
    pytest.param(gone, "{candidate} is gone: no directory {directory}", id="gone"),
    pytest.param(damaged, "{candidate} is damaged: ", id="damaged"),
]


@pytest.mark.parametrize(("change", "why"), OVER)
def test_a_test_that_is_over_says_why(test: Test, change: Callable[[Test], None], why: str) -> None:
    test.log(NOISE, KNOWING)
    change(test)
    found, plan = ab_found(test.artifacts, test.plan), test.plan
    directory = test.artifacts.model(plan.candidate)
    assert found.state == "over"
    assert str(found.why).startswith(why.format(candidate=plan.candidate, live=plan.live, directory=directory))


def test_a_changed_candidate_is_over(test: Test) -> None:
    changed = msgspec.structs.replace(test.plan, candidate_digest="e" * 64)
    assert ab_found(test.artifacts, changed).why == f"{test.plan.candidate} was changed since the test began"


def test_two_rows_of_a_date_and_asset_cannot_be_told(test: Test) -> None:
    test.log(NOISE, KNOWING)
    test.add(np.append(RETURNS.ravel(), 0.01), keys=[*test.keys, "2026-01-01T12:00|A00"])
    record = Prediction(
        time=datetime.now(UTC) - timedelta(minutes=1),
        row_key="2026-01-01T12:00|A00",
        model_id=test.plan.live,
        digest=test.plan.live_digest,
        schema_crc32="00000000",
        prediction=1.0,
        latency_ms=1.0,
        arm="live",
    )
    log_predictions(test.artifacts, [record])
    assert "two rows are of 2026-01-01 and A00" in str(ab_found(test.artifacts, test.plan).not_told)


def test_a_plan_alone_is_read(registry: Registry) -> None:
    plan: Plan = plan_of(registry.artifacts, registry.live, registry.candidate)
    found = ab_found(Artifacts(registry.artifacts.root), plan)
    assert (found.live.rows, found.candidate.rows, found.verdict) == (0, 0, "inconclusive")
