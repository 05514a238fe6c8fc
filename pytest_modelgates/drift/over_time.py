"""Whether predictions have drifted, asked again and again: a look goes by what looks before it found and spent.

Two questions share one budget of false alarms: are the newest rows unlike the golden, and are all rows together? Who
looks brings the counts, the clock and what the look before left; what this look leaves is for the next.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypedDict

import msgspec
import numpy as np

from ..stats.sequential import BAND, SAMPLE, dkw_radius, look_level, rows_to_see, uniform_radius
from ..storage.strict_json import Moment
from .counts import Counts
from .dependence import worth_like_golden
from .index import contributions
from .summary import Reference, Summary
from .verdict import FEWEST_ROWS

SEEN = 0.1
"""A window holds at least as many rows as show such a distance [share], if they are independent: 0.126 is an index of
0.1."""
_DAY = timedelta(days=1)

By = Literal["window", "all"]


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm: when it was found and by which rows, their number and distance, and beyond which distance it was."""

    time: Moment
    by: By
    since: Moment | None
    rows: int
    distance: float
    limit: float


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What a look leaves for the next.

    Parameters
    ----------
    spent : datetime
        Until when the budget is spent.
    window, mark : datetime or None
        Since when rows are in the longer and in the shorter of the two windows that the next look chooses from; None
        for all of them.
    records : int
        How many records of the model there were in all.
    alarm : Alarm, optional
        The alarm that is on.
    """

    spent: Moment
    window: Moment | None = None
    mark: Moment | None = None
    records: int = 0
    alarm: Alarm | None = None


class Rows(TypedDict):
    """Some rows: since when, how many and what they are worth, their distance, and beyond which it is an alarm.

    `psi` is their index [nat]; None of no row.
    """

    since: datetime | None
    rows: int
    worth: float
    distance: float
    limit: float
    psi: float | None


class OverTime(TypedDict):
    """What a look found.

    `window` is None if every record was there at the look before. `golden` is what the golden may be off by, and
    part of every limit; `level` was spent on the window.
    """

    alarm: Alarm | None
    days_per_false_alarm: float
    window: Rows | None
    all: Rows
    golden: float
    level: float
    dependence: str
    next: Next


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The rows that a look counts: all of them, those since `Next.window`, and those since `Next.mark`.

    `records` of the model are in its log, of rows that were scored again too: by them a look knows if there is a new
    one.
    """

    records: int
    all: Summary
    window: Summary
    mark: Summary


def look(
    reference: Reference,
    seen: Seen,
    before: Next,
    *,
    since: datetime | None,
    now: datetime,
    days_per_alarm: float,
    least: float,
) -> OverTime:
    """Look once more.

    Parameters
    ----------
    reference : Reference
        The golden.
    seen : Seen
    before : Next
        What the look before left; for the first one only since when there is something to spend.
    since : datetime, optional
        Since when `seen.all` was scored: an acknowledgement begins anew.
    now : datetime
    days_per_alarm : float
        At most one false alarm is promised in so many days [days].
    least : float
        No distance below is an alarm, however many rows show it [share].

    Notes
    -----
    An alarm is a distance from the golden beyond what the rows and the golden may be off by chance. It stays on until
    it is acknowledged. For the newest rows that is the inequality of Dvoretzky, Kiefer and Wolfowitz at a level that
    the clock gives, see `stats.sequential.look_level`; for all rows it is one bound that holds at all times, see
    `stats.sequential.uniform_radius`; for the golden it is the first once more, at a level of 5 %, for its whole life.
    So at least 95 goldens in 100 give no more false alarms than promised. Rows of a day count as if they resembled each
    other as the golden's do. Looks are taken to be made when the clock says so: one may look at all rows whenever one
    likes, but one who chooses the moment by the newest rows gets more false alarms from them.

    Values that are NaN, missing or infinite take part: they lie at the ends of the order.
    """
    everything, golden, how = _rows(reference, seen.all, since, least, BAND, all_times=True)
    level, window = 0.0, None
    leaves = Next(spent=before.spent, window=before.window, mark=before.mark, records=seen.records)
    if seen.window.counts.rows and seen.records != before.records:
        level = look_level((now - before.spent) / _DAY, days_per_alarm)
        enough = seen.mark.counts.rows >= rows_to_see(SEEN, level)
        newest, begin = (seen.mark, before.mark) if enough else (seen.window, before.window)
        window, _, _ = _rows(reference, newest, begin, least, level, all_times=False)
        # Budget that a clock seems to give back was spent.
        leaves = msgspec.structs.replace(leaves, spent=max(now, before.spent))
        if enough:
            leaves = msgspec.structs.replace(leaves, window=before.mark, mark=now)
    alarm = before.alarm or _alarm("window", window, now) or _alarm("all", everything, now)
    return {
        "alarm": alarm,
        "days_per_false_alarm": days_per_alarm,
        "window": window,
        "all": everything,
        "golden": golden,
        "level": level,
        "dependence": how,
        "next": msgspec.structs.replace(leaves, alarm=alarm),
    }


def _rows(
    reference: Reference, summary: Summary, since: datetime | None, least: float, level: float, *, all_times: bool
) -> tuple[Rows, float, str]:
    """Measure some rows; and say what the golden may be off by, and how rows of one day were allowed for."""
    of = worth_like_golden(reference.golden, summary)
    n, m = _worth(reference.golden.counts, of.golden), _worth(summary.counts, of.current)
    golden = dkw_radius(n, SAMPLE)
    chance = uniform_radius(m, level, first=FEWEST_ROWS) if all_times else dkw_radius(m, level)
    return (
        {
            "since": since,
            "rows": summary.counts.rows,
            "worth": m,
            "distance": distance_of_all(reference.golden.counts, summary.counts),
            "limit": max(chance + golden, least),
            "psi": _index(reference, summary),
        },
        golden,
        of.how,
    )


def _index(reference: Reference, summary: Summary) -> float | None:
    """Measure the index of some rows; None of no finite value."""
    if not summary.counts.finite:
        return None
    golden, current = (reference.bins.of_counts(counts) for counts in (reference.golden.counts, summary.counts))
    return float(contributions(golden, current).sum())


def _worth(counts: Counts, finite: float) -> float:
    """What all values are worth, if those that are not finite resemble each other as the others do."""
    return counts.rows * finite / counts.finite if counts.finite else float(counts.rows)


def distance_of_all(golden: Counts, current: Counts) -> float:
    """Bound the distance of two distribution functions from below, from counts over one grid.

    Values that are not finite lie at the ends of the order: minus infinity first, infinity and NaN last. NaN if there
    is no value.
    """
    if not current.rows:
        return math.nan
    n, m = golden.rows, current.rows
    # The ends: what is at most minus infinity, what is not above the finite values, what is not NaN.
    apart = [
        golden.lowest / n - current.lowest / m,
        (golden.nan + golden.highest) / n - (current.nan + current.highest) / m,
        golden.nan / n - current.nan / m,
    ]
    for then, now in ((golden.below, current.below), (golden.up_to, current.up_to)):
        difference = (then + golden.lowest) / n - (now + current.lowest) / m
        apart += [difference.max(), difference.min()]
    return float(np.abs(apart).max())


def _alarm(by: By, rows: Rows | None, now: datetime) -> Alarm | None:
    if rows is None or not (rows["distance"] > rows["limit"]):
        return None
    return Alarm(
        time=now, by=by, since=rows["since"], rows=rows["rows"], distance=rows["distance"], limit=rows["limit"]
    )
