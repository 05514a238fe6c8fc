"""What no prediction tells: that none came, or that the model or its golden is old. Pure: times in, findings out."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from ..policy.limits import Bounds
from ..policy.operations import AgeRules, DrillRules, SilenceRules
from .triggers import Finding, inconclusive

NO_CURE = ("silence", "stale_model", "stale_golden", "drill", "shadow")
"""Triggers that no rollback helps against: they are told, and never acted on."""
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


def deadlines(
    rules: SilenceRules, closes: Mapping[date, datetime] | None = None, *, now: datetime
) -> tuple[datetime, datetime] | None:
    """Give the last deadline that has passed, and the one before it; None if there is none in any week.

    Parameters
    ----------
    rules : SilenceRules
    closes : mapping of date to datetime, optional
        When each session closes of the exchange that the rules name.
    now : datetime
    """
    passed, day, holidays = set[datetime](), now.astimezone(UTC).date(), set(rules.holidays)
    # Two of them lie within a week and a day, or a week a holiday more; exchanges were closed for months.
    for _ in range(15 + 7 * len(holidays) + 366 * (closes is not None)):
        if _WEEKDAYS[day.weekday()] in rules.weekdays and day not in holidays and (closes is None or day in closes):
            due = {_due(clock, day, closes) for clock in rules.by}
            passed |= {each for each in due if each <= now}
        day -= _DAY
    last = sorted(passed)[-2:]
    return (last[1], last[0]) if len(last) > 1 else None


def _due(clock: str, day: date, closes: Mapping[date, datetime] | None) -> datetime:
    minutes = clock.removeprefix("close+")
    if closes is not None and minutes != clock:
        return closes[day] + timedelta(minutes=int(minutes))
    return datetime.combine(day, time.fromisoformat(clock), tzinfo=UTC)


def silence(
    rules: SilenceRules, due: tuple[datetime, datetime] | None, newest: datetime | None, *, live: datetime
) -> Finding:
    """Say whether a prediction is there that was due.

    Parameters
    ----------
    rules : SilenceRules
    due : (datetime, datetime) or None
        From `deadlines`.
    newest : datetime or None
        When the last row was scored, whatever came of it.
    live : datetime
        Since when the model is live.
    """
    if due is None:
        return inconclusive("silence", rules.mode, "by names no time of day at which a prediction is due")
    deadline, before = due
    if newest is not None and newest > before:
        text, silent = f"the last row was scored at {_said(newest)}", False
    elif live > before:
        text = f"live only since {_said(live)}, which is after {_said(before)}"
        return inconclusive("silence", rules.mode, text)
    else:
        last = f"the last at {_said(newest)}" if newest else "none at all"
        text, silent = f"no row since {_said(before)}, due by {_said(deadline)}; {last}", True
    return Finding(
        trigger="silence",
        mode=rules.mode,
        verdict="breach" if silent else "clean",
        text=text,
        limit=f"by {', '.join(rules.by)}",
        beyond=silent,
    )


def age(trigger: str, rules: AgeRules, since: datetime | None, what: str, *, now: datetime) -> Finding:
    """Say whether something is older than it may be; `what` says of it since when."""
    if not rules.limit_days:
        return inconclusive(trigger, rules.mode, "limit_days is 0, which does not ask")
    if since is None:
        return inconclusive(trigger, rules.mode, "its age is not known")
    days = max((now - since) / _DAY, 0.0)
    old = days > rules.limit_days
    return Finding(
        trigger=trigger,
        mode=rules.mode,
        verdict="breach" if old else "clean",
        text=f"{days:.1f} days since {what}, limit ≤ {rules.limit_days:g}",
        value=days,
        unit="days",
        limit=f"≤ {rules.limit_days:g}",
        beyond=old,
    )


def overdue_drill(
    rules: DrillRules, limit: Bounds, proved: datetime | None, *, live: datetime, now: datetime
) -> Finding:
    """Say whether the kill switch was proved too long ago; without any drill, time counts since the model is live."""
    days = max((now - (proved or live)) / _DAY, 0.0)
    late = not limit.contains(days)
    since = "a drill proved the kill switch" if proved else "the model is live, and no drill has proved the kill switch"
    return Finding(
        trigger="drill",
        mode=rules.mode,
        verdict="breach" if late else "clean" if proved else "inconclusive",
        text=f"{days:.1f} days since {since}, limit {limit}; see: modelgates kill --drill",
        value=days,
        unit="days",
        limit=str(limit),
        beyond=late,
    )


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
