"""What no prediction tells: deadlines by day and hour, and ages."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from pytest_modelgates.errors import PolicyError
from pytest_modelgates.monitoring.silence import age, deadlines, overdue_drill, silence
from pytest_modelgates.policy.calendars import closes
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import AgeRules, DrillRules, SilenceRules

WORKDAYS = ("mon", "tue", "wed", "thu", "fri")


def rules(*by: str, weekdays: tuple[str, ...] = WORKDAYS) -> SilenceRules:
    return SilenceRules(mode="dry_run", by=by, weekdays=weekdays)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# 2026-11-30 is a Monday.
DUE = [
    pytest.param(("18:30",), "2026-12-01T18:29", "2026-11-30T18:30", "2026-11-27T18:30", id="before today's"),
    pytest.param(("18:30",), "2026-12-01T18:30", "2026-12-01T18:30", "2026-11-30T18:30", id="at today's"),
    pytest.param(("18:30",), "2026-11-29T12:00", "2026-11-27T18:30", "2026-11-26T18:30", id="on a Sunday"),
    pytest.param(("20:00", "15:00"), "2026-11-30T15:01", "2026-11-30T15:00", "2026-11-27T20:00", id="two a day"),
]


@pytest.mark.parametrize(("by", "now", "deadline", "before"), DUE)
def test_the_deadline_that_passed_last_counts_from_the_one_before(
    by: tuple[str, ...], now: str, deadline: str, before: str
) -> None:
    assert deadlines(rules(*by), now=at(now)) == (at(deadline), at(before))


HOLIDAYS = [
    pytest.param(WORKDAYS, ["2026-11-30"], "2026-11-27T18:30", "2026-11-26T18:30", id="one day"),
    pytest.param(WORKDAYS, ["2026-11-27", "2026-11-28"], "2026-11-30T18:30", "2026-11-26T18:30", id="between"),
    pytest.param(
        WORKDAYS,
        [f"2026-11-{day}" for day in range(10, 31)],
        "2026-11-09T18:30",
        "2026-11-06T18:30",
        id="weeks",
    ),
    pytest.param(("mon",), ["2026-11-30", "2026-11-23"], "2026-11-16T18:30", "2026-11-09T18:30", id="one day a week"),
]


@pytest.mark.parametrize(("weekdays", "holidays", "deadline", "before"), HOLIDAYS)
def test_on_a_holiday_nothing_is_due(
    weekdays: tuple[str, ...], holidays: list[str], deadline: str, before: str
) -> None:
    asked = msgspec.structs.replace(
        rules("18:30", weekdays=weekdays), holidays=tuple(date.fromisoformat(day) for day in holidays)
    )
    assert deadlines(asked, now=at("2026-12-01T12:00")) == (at(deadline), at(before))


# The New York Stock Exchange's own calendar: nyse.com/markets/hours-calendars, and its notice of 30 December 2024
# of the day of mourning. It closes at 16:00 there, on 2024-11-29 at 13:00.
SESSIONS = [
    pytest.param("2025-01-10T12:00", ("2025-01-08T21:30", "2025-01-07T21:30"), id="the day of mourning 2025-01-09"),
    pytest.param("2025-04-20T12:00", ("2025-04-17T20:30", "2025-04-16T20:30"), id="Good Friday 2025-04-18"),
    pytest.param("2024-11-29T18:29", ("2024-11-27T21:30", "2024-11-26T21:30"), id="before an early close"),
    pytest.param("2024-11-29T18:30", ("2024-11-29T18:30", "2024-11-27T21:30"), id="after it, and Thanksgiving"),
    pytest.param("2025-07-04T23:00", ("2025-07-03T17:30", "2025-07-02T20:30"), id="Independence Day, and its eve"),
    pytest.param("2025-03-10T20:30", ("2025-03-10T20:30", "2025-03-07T21:30"), id="from winter to summer time"),
    pytest.param("2026-01-01T23:00", ("2025-12-31T21:30", "2025-12-30T21:30"), id="a new year"),
]


def in_new_york(*by: str, **more: object) -> SilenceRules:
    return msgspec.structs.replace(rules(), by=by, calendar="XNYS", **more)


@pytest.mark.parametrize(("now", "due"), SESSIONS)
def test_a_prediction_is_due_after_the_session_of_the_exchange(now: str, due: tuple[str, str]) -> None:
    sessions = closes("XNYS", at(now).year)
    assert deadlines(in_new_york("close+30"), sessions, now=at(now)) == (at(due[0]), at(due[1]))


def test_a_time_of_day_is_due_on_days_of_trade_alone_that_the_list_does_not_name() -> None:
    """An early close leaves it where it is: what came before it counts."""
    sessions, asked = closes("XNYS", 2025), in_new_york("21:30")
    assert deadlines(asked, closes("XNYS", 2024), now=at("2024-11-29T21:30")) == (
        at("2024-11-29T21:30"),
        at("2024-11-27T21:30"),
    )
    assert deadlines(asked, sessions, now=at("2025-01-10T12:00")) == (at("2025-01-08T21:30"), at("2025-01-07T21:30"))
    listed = in_new_york("21:30", holidays=(date(2025, 1, 8),))
    assert deadlines(listed, sessions, now=at("2025-01-10T12:00")) == (at("2025-01-07T21:30"), at("2025-01-06T21:30"))
    mondays = in_new_york("21:30", weekdays=("mon",))  # of which 2025-01-20 is Martin Luther King's
    assert deadlines(mondays, sessions, now=at("2025-01-21T12:00")) == (at("2025-01-13T21:30"), at("2025-01-06T21:30"))


def test_an_exchange_that_is_not_known_is_refused_and_the_library_is_loaded_where_one_is_named() -> None:
    unknown = r"^\[watch.silence\] calendar: 'XNYSE' is no exchange of exchange_calendars; did you mean XNYS\?$"
    with pytest.raises(PolicyError, match=unknown):
        closes("XNYSE", 2025)
    unrecorded = (
        r"exchange_calendars [0-9.]+ does not give the sessions of XBOM to the end of 2090 \(.*\); upgrade it, or "
    )
    with pytest.raises(PolicyError, match=rf"^\[watch.silence\] calendar: {unrecorded}list the days in holidays$"):
        closes("XBOM", 2090)
    unnamed = "import sys; from pytest_modelgates.monitoring.watch import refuse_without_calendar as refuse\n"
    unnamed += "from pytest_modelgates.policy.operations import load_operations\n"
    unnamed += "refuse(load_operations(None, policy=None)[0]); sys.exit('exchange_calendars' in sys.modules)"
    subprocess.run([sys.executable, "-c", unnamed], check=True)


def test_where_no_time_or_no_day_is_named_nothing_is_due() -> None:
    now = at("2026-12-01T18:29")
    assert deadlines(rules(), now=now) is None
    assert deadlines(rules("18:30", weekdays=()), now=now) is None
    assert deadlines(rules("18:30", weekdays=("mon",)), now=now) == (at("2026-11-30T18:30"), at("2026-11-23T18:30"))
    assert silence(rules(), None, None, live=now).verdict == "inconclusive"


DEADLINE, BEFORE = at("2026-12-01T18:30"), at("2026-11-30T18:30")
SAID = [
    pytest.param("2026-12-01T17:00", "clean", "the last row was scored at 2026-12-01 17:00 UTC", id="in time"),
    pytest.param("2026-12-01T19:00", "clean", "the last row was scored at 2026-12-01 19:00 UTC", id="late, and there"),
    pytest.param(
        "2026-11-30T18:00",
        "breach",
        "no row since 2026-11-30 18:30 UTC, due by 2026-12-01 18:30 UTC; the last at 2026-11-30 18:00 UTC",
        id="silent",
    ),
    pytest.param(
        None,
        "breach",
        "no row since 2026-11-30 18:30 UTC, due by 2026-12-01 18:30 UTC; none at all",
        id="never a word",
    ),
]


@pytest.mark.parametrize(("newest", "verdict", "text"), SAID)
def test_a_silence_is_no_row_between_two_deadlines(newest: str | None, verdict: str, text: str) -> None:
    found = silence(rules("18:30"), (DEADLINE, BEFORE), at(newest) if newest else None, live=at("2026-01-01"))
    assert (found.verdict, found.text, found.mode) == (verdict, text, "dry_run")


def test_a_model_that_went_live_since_owes_nothing_yet() -> None:
    found = silence(rules("18:30"), (DEADLINE, BEFORE), None, live=at("2026-12-01T09:00"))
    assert (found.verdict, found.text) == (
        "inconclusive",
        "live only since 2026-12-01 09:00 UTC, which is after 2026-11-30 18:30 UTC",
    )


def test_an_age_is_held_against_its_days() -> None:
    now, asked = at("2026-12-01"), AgeRules(mode="warn", limit_days=30)
    old = age("stale_model", asked, now - timedelta(days=31), "it was trained", now=now)
    assert (old.verdict, old.text, old.value) == ("breach", "31.0 days since it was trained, limit ≤ 30", 31)
    assert age("stale_model", asked, now - timedelta(days=30), "it was trained", now=now).verdict == "clean"
    unknown = age("stale_golden", asked, None, "it was made", now=now)
    assert (unknown.verdict, unknown.text) == ("inconclusive", "its age is not known")
    unasked = AgeRules(mode="warn", limit_days=0)
    assert age("stale_model", unasked, None, "", now=now).text == "limit_days is 0, which does not ask"


@pytest.mark.parametrize(
    ("days", "verdict", "text"),
    [
        (92, "clean", "92.0 days since a drill proved the kill switch, limit 0 ≤ · ≤ 92; see: modelgates kill --drill"),
        (
            93,
            "breach",
            "93.0 days since a drill proved the kill switch, limit 0 ≤ · ≤ 92; see: modelgates kill --drill",
        ),
    ],
)
def test_a_drill_is_overdue_by_the_limit_of_the_gate(days: float, verdict: str, text: str) -> None:
    now, limit = at("2026-12-01"), load_policy(None).limit("safety.kill_drill")
    asked = DrillRules(mode="dry_run")
    found = overdue_drill(asked, limit, now - timedelta(days=days), live=now - timedelta(days=500), now=now)
    assert (found.verdict, found.text, found.beyond) == (verdict, text, verdict == "breach")


def test_without_any_drill_the_days_count_since_the_model_is_live() -> None:
    now, limit = at("2026-12-01"), load_policy(None).limit("safety.kill_drill")
    young, old = (
        overdue_drill(DrillRules(mode="warn"), limit, None, live=now - timedelta(days=days), now=now)
        for days in (2, 93)
    )
    assert (young.verdict, old.verdict, old.mode) == ("inconclusive", "breach", "warn")
    assert old.text == (
        "93.0 days since the model is live, and no drill has proved the kill switch, limit 0 ≤ · ≤ 92; see: "
        "modelgates kill --drill"
    )
