"""How far shadow and live agree on the rows that both have scored."""

from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import ArrayLike

from pytest_modelgates.errors import InsufficientDataError, RegistryError, StatisticsError
from pytest_modelgates.monitoring.compare import Latencies, compare
from pytest_modelgates.monitoring.compare import agreement as compare_parts
from pytest_modelgates.predictions.outcomes import add_outcomes
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.stats.agreement import DailyAgreement
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import Registry, log_predictions, predictions


def agreement(first: dict[str, float], second: dict[str, float]) -> DailyAgreement:
    """Compare two logs of one part each."""
    parts = ([records_of(scores)] for scores in (first, second))
    return compare_parts(*parts)


def records_of(scores: dict[str, float]) -> list[Prediction]:
    drawn = predictions("0" * 64, scores.values())
    return [msgspec.structs.replace(record, row_key=key) for key, record in zip(scores, drawn, strict=True)]


def scored(values: ArrayLike) -> dict[str, float]:
    """Name twenty rows a day."""
    return at([f"2024-01-{day:02d}" for day in range(1, 32)], values)


def at(times: list[str], values: ArrayLike) -> dict[str, float]:
    """Name twenty rows a time."""
    return {f"{times[row // 20]}|A{row % 20}": float(value) for row, value in enumerate(np.ravel(values))}


def test_a_model_agrees_with_itself_and_not_with_its_opposite() -> None:
    values = np.random.default_rng(1).standard_normal(500)
    same, opposite = (agreement(scored(values), scored(other)) for other in (values, -values))
    assert (same.mean, same.lower, same.overlap) == pytest.approx((1, 1, 1))
    assert (opposite.mean, opposite.lower, opposite.overlap) == pytest.approx((-1, -1, 0))


def test_only_rows_that_both_scored_count() -> None:
    values = np.random.default_rng(2).standard_normal(500)
    more = {f"{day}|NEW": 9.0 for day in ("2024-01-01", "2024-01-02", "2026-01-01")}
    found = agreement(scored(values) | more, {**scored(2 * values), "2025-01-01|A1": -9.0})
    assert (found.mean, found.days, found.rows) == (pytest.approx(1), 25, 500)


def test_rows_are_the_same_whichever_way_their_moment_is_written() -> None:
    values = np.random.default_rng(2).standard_normal(500)
    days = [f"2024-01-{day:02d}T01:00+01:00" for day in range(1, 32)]
    found = agreement(scored(values), at(days, 2 * values))
    assert (found.mean, found.rows) == (pytest.approx(1), 500)


def test_rows_are_compared_within_their_day_alone() -> None:
    a, b = np.repeat(np.arange(25.0), 20) + np.random.default_rng(3).random((2, 500))
    assert agreement(scored(a), scored(b)).lower < 0.2


@pytest.mark.parametrize(
    ("times", "found"),
    [
        pytest.param([f"2024-01-02 {hour:02d}:00" for hour in range(24)], 1, id="hours-of-one-date"),
        pytest.param([f"2024-01-02T{hour:02d}:00-05:00" for hour in range(24)], 2, id="hours-of-one-date-in-new-york"),
        pytest.param(
            [f"2024-01-{day:02d}T{time}" for day in range(1, 13) for time in ("16:00Z", "17:30Z")], 12, id="two-closes"
        ),
    ],
)
def test_a_day_is_a_date_however_many_times_it_has(times: list[str], found: int) -> None:
    values = np.random.default_rng(5).standard_normal(20 * len(times))
    with pytest.raises(InsufficientDataError) as refused:
        agreement(at(times, values), at(times, values))
    assert str(refused.value) == (
        f"{found} days with two rows or more, at least 20 are needed: score more days by both"
    )


def test_days_are_in_order_of_time_however_they_are_written() -> None:
    days = [date(2024, 1, 1) + timedelta(days=day) for day in range(40)]
    values = np.random.default_rng(6).standard_normal(800)
    other = values + np.repeat(np.arange(40) % 20 > 9, 20) * np.random.default_rng(7).standard_normal(800)
    extended, basic = (
        agreement(*(at([format(day, form) for day in days], scores) for scores in (values, other)))
        for form in ("%Y-%m-%dT16:00Z", "%Y%m%d")
    )
    assert extended == basic
    with pytest.raises(StatisticsError, match=r"row '01/01/2024\|A0' begins with no time of ISO 8601"):
        agreement(*(at([format(day, "%d/%m/%Y") for day in days], scores) for scores in (values, other)))


def test_rows_that_name_nothing_are_left_out() -> None:
    values = np.random.default_rng(8).standard_normal(500)
    nameless = {"content:0123": 9.0, "hashed:4567|content:0123": 9.0}
    assert agreement(scored(values) | nameless, scored(values) | nameless) == agreement(scored(values), scored(values))


@pytest.mark.parametrize("shared", [0, 1])
def test_too_few_shared_rows_say_what_to_do(shared: int) -> None:
    with pytest.raises(StatisticsError) as refused:
        agreement({"2024-01-01|a": 1.0, "2024-01-01|b": 2.0}, {"2024-01-01|a" if shared else "2024-01-01|c": 1.0})
    assert str(refused.value) == (
        f"{shared} rows were scored by both models, at least 2 are needed; serve and shadow the same CSV"
    )


def test_logs_are_paired_by_row_and_by_the_bytes_of_the_models(registry: Registry) -> None:
    artifacts, candidate = registry.artifacts, registry.artifacts.model(registry.candidate)
    values = [float(value) for value in range(500)]
    log_predictions(artifacts, predictions(live_change(artifacts).digest, values, arm="live"))
    log_predictions(artifacts, predictions("1" * 64, values[::-1], arm="live"))
    log_predictions(artifacts, predictions(tree_digest(candidate), values[:415]))
    found = compare(artifacts, registry.policy, candidate)
    agreed = found.agreement
    assert (agreed.lower, agreed.days, agreed.rows, found.agrees) == (pytest.approx(1), 21, 415, True)
    assert (agreed.flipped, agreed.largest, found.earned_more) == (0, 0, None)
    assert found.latency_ms == found.live_latency_ms == (pytest.approx(1, rel=0.02), pytest.approx(1, rel=0.02))


def test_signs_and_the_largest_difference_are_told_and_a_candidate_that_differs_does_not_agree(
    registry: Registry,
) -> None:
    artifacts, candidate = registry.artifacts, registry.artifacts.model(registry.candidate)
    values = np.random.default_rng(5).standard_normal(500)
    changed = np.where(np.arange(500) % 4 == 0, -values, values)
    log_predictions(artifacts, predictions(live_change(artifacts).digest, values.tolist(), arm="live"))
    log_predictions(artifacts, predictions(tree_digest(candidate), changed.tolist(), latency_ms=20.0))
    found = compare(artifacts, registry.policy, candidate)
    assert (found.agrees, found.agreement.flipped) == (False, 0.25)
    assert found.agreement.largest == pytest.approx(2 * np.abs(values[::4]).max())
    assert found.latency_ms[1] == pytest.approx(20, rel=0.02)


def test_what_cannot_be_told_of_outcomes_leaves_the_rest(registry: Registry, tmp_path: Path) -> None:
    artifacts, candidate = registry.artifacts, registry.artifacts.model(registry.candidate)
    values = [float(value) for value in range(500)]
    log_predictions(artifacts, predictions(live_change(artifacts).digest, values, arm="live"))
    log_predictions(artifacts, predictions(tree_digest(candidate), values))
    (tmp_path / "one.csv").write_text("time,asset,return\n2024-01-01,A00,0.1\n")
    add_outcomes(artifacts, tmp_path / "one.csv", ["time", "asset"], registry.rules)
    found = compare(artifacts, registry.policy, candidate)
    assert (found.agreement.rows, found.earned_more) == (500, None)
    assert found.not_earned == "1 dates, at least 2 are needed to tell how far apart they lie"


def test_latencies_are_counted_within_two_percent() -> None:
    times = np.random.default_rng(6).lognormal(1, 2, 5000)
    records = [
        msgspec.structs.replace(record, latency_ms=time)
        for record, time in zip(predictions("0" * 64, [0.5] * 5000), times.tolist(), strict=True)
    ]
    latencies = Latencies()
    assert list(latencies.seen([records[:4000], records[4000:]])) == [records[:4000], records[4000:]]
    assert latencies.quantiles() == pytest.approx(np.quantile(times, [0.5, 0.95], method="inverted_cdf"), rel=0.021)


def test_an_unknown_candidate_is_refused(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="1700000000 is unknown: no directory"):
        compare(registry.artifacts, registry.policy, registry.artifacts.model("1700000000"))


def test_without_a_live_model_there_is_nothing_to_compare_with(empty_registry: Registry) -> None:
    with pytest.raises(RegistryError, match=r"nothing is live under .*: promote a model first"):
        compare(
            empty_registry.artifacts, empty_registry.policy, empty_registry.artifacts.model(empty_registry.candidate)
        )


def test_a_link_without_its_log_is_refused(registry: Registry) -> None:
    registry.artifacts.promotions.unlink()
    with pytest.raises(RegistryError, match=r"promotions\.log says nothing is live"):
        live_change(registry.artifacts)
