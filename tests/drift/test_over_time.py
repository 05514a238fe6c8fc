"""Looks at drift, one after the other: what each spends, sees and leaves for the next."""

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.drift.dependence import worth, worth_like_golden
from pytest_modelgates.drift.over_time import Next, OverTime, Seen, distance_of_all, look
from pytest_modelgates.drift.summary import Reference, Summary
from pytest_modelgates.drift.verdict import as_json
from pytest_modelgates.stats.sequential import MOST, SAMPLE, dkw_radius, uniform_radius

START = datetime(2026, 1, 1, tzinfo=UTC)
GOLDEN = Reference.of(np.random.default_rng(1).standard_normal(5_000))
FIRST = Next(spent=START)


def normal(rows: int, *, seed: int, shift: float = 0.0) -> Summary:
    return GOLDEN.count(np.random.default_rng([2, seed]).standard_normal(rows) + shift)


def looked(
    everything: Summary,
    before: Next = FIRST,
    *,
    window: Summary | None = None,
    mark: Summary | None = None,
    days: float = 1.0,
    reference: Reference = GOLDEN,
    records: int | None = None,
    least: float = 0.05,
) -> OverTime:
    window = everything if window is None else window
    return look(
        reference,
        Seen(
            records=everything.counts.rows if records is None else records,
            all=everything,
            window=window,
            mark=window if mark is None else mark,
        ),
        before,
        since=None,
        now=START + timedelta(days=days),
        days_per_alarm=20,
        least=least,
    )


def test_a_look_allows_for_the_rows_the_golden_and_all_looks() -> None:
    found = looked(normal(1_000, seed=1), days=0.5)
    assert found["alarm"] is None
    assert found["level"] == pytest.approx(0.8 * 0.5 / 20)
    golden = dkw_radius(5_000, SAMPLE)
    assert found["golden"] == golden
    assert found["window"] is not None
    assert found["window"]["limit"] == pytest.approx(golden + dkw_radius(1_000, 0.02))
    assert found["all"]["limit"] == pytest.approx(golden + uniform_radius(1_000, 0.1, first=20))
    assert found["window"]["distance"] == found["all"]["distance"] < 0.05
    assert found["dependence"] == "rows are taken as independent: their days are not known"
    now = START + timedelta(days=0.5)
    assert found["next"] == Next(spent=now, window=None, mark=now, records=1_000)


def test_a_sudden_change_is_found_in_the_newest_rows_and_stays_on() -> None:
    calm, moved = normal(20_000, seed=1), normal(500, seed=2, shift=0.55)
    found = looked(calm + moved, window=moved, mark=moved, days=1 / 1440)
    alarm = found["alarm"]
    assert alarm is not None
    assert (alarm.by, alarm.rows, alarm.since) == ("window", 500, None)
    assert alarm.limit < alarm.distance == pytest.approx(0.22, abs=0.04)
    after = looked(calm + calm, found["next"], window=calm, days=2)
    assert after["alarm"] == after["next"].alarm == alarm


def test_a_slow_change_is_found_in_all_rows() -> None:
    slow = normal(50_000, seed=1, shift=0.2)
    few = normal(50, seed=2, shift=0.2)
    found = looked(slow + few, FIRST, window=few, mark=few, days=1 / 1440)
    assert found["alarm"] is not None
    assert (found["alarm"].by, found["alarm"].rows) == ("all", 50_050)


def test_a_distance_that_matters_to_nobody_is_not_an_alarm() -> None:
    slight = normal(1_000_000, seed=1, shift=0.07)
    assert looked(slight)["alarm"] is None
    assert looked(slight, least=0.0)["alarm"] is not None


def test_the_same_rows_again_spend_nothing() -> None:
    rows = normal(1_000, seed=1)
    first = looked(rows)
    again = looked(rows, first["next"], days=3)
    assert (again["window"], again["level"]) == (None, 0)
    assert again["next"] == first["next"]
    # A row that was scored again is a new record, though rows are as many as before.
    later = looked(rows, again["next"], days=3, records=1_001)
    assert later["level"] == MOST


def test_a_clock_that_was_moved_back_spends_nothing_and_gives_nothing_back() -> None:
    first = looked(normal(1_000, seed=1), days=2)
    back = looked(normal(2_000, seed=1), first["next"], days=1)
    assert back["level"] == 0
    assert back["window"] is not None
    assert back["window"]["limit"] == math.inf
    assert back["next"].spent == first["next"].spent
    assert looked(normal(3_000, seed=1), back["next"], days=2.5)["level"] == pytest.approx(0.8 * 0.5 / 20)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from([-1.0, -0.1, 0.1, 1.0, 9.0]), st.booleans()), min_size=1, max_size=12))
def test_no_order_of_looks_spends_more_than_time_has_passed(steps: list[tuple[float, bool]]) -> None:
    spent, days, latest, records, before = 0.0, 0.0, 0.0, 0, FIRST
    rows = normal(50, seed=1)
    for step, new in steps:
        days, records = days + step, records + new
        latest = max(latest, days)
        found = looked(rows, before, days=days, records=records)
        spent, before = spent + found["level"], found["next"]
    assert spent <= 0.8 * latest / 20 + 1e-9


def test_windows_move_on_once_they_hold_rows_enough() -> None:
    rows = normal(10_000, seed=1)
    first = looked(rows)["next"]
    few, more = normal(100, seed=2), normal(600, seed=3)
    held = looked(rows + few, first, window=rows, mark=few, days=1 + 1 / 1440)
    assert held["window"] is not None
    assert held["window"]["rows"] == 10_000
    assert (held["next"].window, held["next"].mark) == (None, first.mark)
    moved = looked(rows + more, held["next"], window=rows, mark=more, days=1 + 2 / 1440)
    assert moved["window"] is not None
    assert (moved["window"]["rows"], moved["window"]["since"]) == (600, first.mark)
    assert (moved["next"].window, moved["next"].mark) == (first.mark, START + timedelta(days=1 + 2 / 1440))


@pytest.mark.parametrize(
    "values",
    [[np.nan] * 30, [np.inf] * 30, [-np.inf] * 30, [None] * 30],
    ids=["nan", "infinite", "minus-infinite", "missing"],
)
def test_rows_without_a_number_are_an_alarm(values: list[float | None]) -> None:
    found = looked(GOLDEN.count(values))
    assert found["alarm"] is not None
    assert found["alarm"].distance == 1
    json.dumps(msgspec.to_builtins(as_json(found)), allow_nan=False)


def test_no_row_is_not_an_alarm() -> None:
    found = looked(GOLDEN.none())
    assert (found["alarm"], found["window"]) == (None, None)
    written = as_json(found)
    assert written is not None
    assert (written["all"]["distance"], written["all"]["limit"]) == (None, None)
    assert as_json(None) is None


def test_one_row_says_nothing() -> None:
    assert looked(GOLDEN.count([100.0]))["alarm"] is None


def _distance(golden: Iterable[float], current: Iterable[float]) -> float:
    """By the definition, over all values, with NaN last."""
    places = [-math.inf, *sorted({each for each in [*golden, *current] if math.isfinite(each)}), math.inf]
    return max(
        abs(
            sum(each <= place for each in golden) / len([*golden])
            - sum(each <= place for each in current) / len([*current])
        )
        for place in places
    )


VALUES = st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0, math.inf, math.nan]), min_size=1, max_size=12)


@settings(deadline=None)
@given(golden=VALUES, current=VALUES)
def test_the_distance_is_that_of_all_values_in_order(golden: list[float], current: list[float]) -> None:
    golden = [*golden, -1.0, 0.0, 0.5, 2.0]
    reference = Reference.of(golden)
    found = distance_of_all(reference.golden.counts, reference.count(current).counts)
    assert found == pytest.approx(_distance(golden, current))


def test_rows_of_a_day_count_as_much_as_the_goldens_however_far_days_drift() -> None:
    rng = np.random.default_rng(7)
    days = np.datetime64("2024-01-01") + np.arange(400)
    reference = Reference.of(rng.standard_normal(8_000), days=np.repeat(days, 20))
    drifting = rng.standard_normal((100, 20)) + np.linspace(0, 3, 100)[:, None]
    summary = reference.count(drifting.ravel(), days=np.repeat(days[:100], 20))
    of = worth_like_golden(reference.golden, summary)
    assert of.current > 1_500 > 10 * worth(reference.golden, summary).current
    assert of.how.startswith(
        "100 days, whose rows are taken to resemble each other as the golden's do (correlation 0.0"
    )
    undated = Reference.of(rng.standard_normal(8_000))
    again = undated.count(drifting.ravel(), days=np.repeat(days[:100], 20))
    assert worth_like_golden(undated.golden, again) == worth(undated.golden, again)


def test_looks_without_drift_hardly_ever_alarm_though_p_is_often_below_a_twentieth() -> None:
    alarms, rng = 0, np.random.default_rng(11)
    everything = window = mark = GOLDEN.none()
    before = FIRST
    for number in range(1, 1441):  # a day of looks by the minute, of which 1 in 20 days may be wrong
        new = GOLDEN.count(rng.standard_normal(20))
        everything, window, mark = everything + new, window + new, mark + new
        found = looked(everything, before, window=window, mark=mark, days=number / 1440, least=0.0)
        alarms += found["alarm"] is not None
        if found["next"].mark != before.mark:
            window, mark = mark, GOLDEN.none()
        before = found["next"]
    assert alarms == 0
