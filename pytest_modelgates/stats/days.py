"""Days and years: the rows of each day, how many of a panel's periods make a year, and where periods are missing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import empty, parts
from .quantiles import labels

DAYS_PER_YEAR = 252
"""Trading days in a year. For other periods ask `periods_per_year`, or the fixture of that name."""

_CALENDAR_YEAR = 365.25
# The share by which the number of periods may differ from what their median spacing makes. Exchanges are open on 243 to
# 261 days of a year, which is within 4 % of 252; a sixth day a week or every other day left out is beyond it.
IRREGULAR = 0.1
# On a day of the week that has rows in fewer weeks than this, the market is closed.
_OPEN = 0.5
# Some markets trade, and some desks rebalance, on so many days of a week; in fewer weeks the others may be missing.
_WEEKS, _LEAST_WEEKS = (2, 3, 4, 6), 8
# Periods that are parts of months or made of them. Third Fridays and months of four or five weeks mostly lie 28 days
# apart, and the 1st and 15th 14, so that by the median alone they would be lunar months and fortnights.
_BY_MONTHS, _NEAR = (1, 2, 3, 4, 6, 12, 24, 36), 0.1


def periods_per_year(times: ArrayLike) -> float:
    """Tell from the times of a panel how many of its periods make a year.

    Parameters
    ----------
    times : array_like of datetime64, shape (n,)
        The times of the rows, in any order; equal ones are one. At least two dates.

    Returns
    -------
    float
        Periods a year. The median spacing d of the distinct dates decides: for days in a row, which weekdays with only
        a weekend between them are, 252, or 365 if weekends are among them; for longer spacing 365.25 / d, rounded, such
        as 52 for weeks. Of that and the numbers of months, half months and the like within a tenth of it, such as 12 or
        24, the nearest to the number of periods in a year counts. Dates that keep to two, three, four or six days of
        the week make 104, 157, 209 or 313. If a date has several times, it is that times the median number of times of
        a date.

    Raises
    ------
    StatisticsError
        If a time is missing or cannot be read, there are fewer than two dates or less than one period a year, or the
        spacing is irregular: the number of times is more than a tenth, and two, from what the result makes of their
        span.

    Notes
    -----
    A mean over periods times this number is a mean a year, and a ratio times its root a ratio a year, for periods that
    do not depend on each other [1]_. 252 is the convention for exchanges, whose year has some 252 sessions; it is kept
    for every calendar of weekdays, so that figures compare.

    References
    ----------
    .. [1] A. W. Lo, The statistics of Sharpe ratios, Financial Analysts Journal 58(4):36, 2002.
    """
    found = calendar(times)
    if found.irregularity > IRREGULAR:
        raise StatisticsError(
            f"{found.spacing}, which makes {found.periods_per_year:g} a year, but there are {found.counted:.3g} a "
            "year: spacing this irregular cannot be annualised; keep one frequency throughout, without long gaps"
        )
    return found.periods_per_year


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The frequency of a panel, how well its times keep it, and the longest gap between two dates.

    `periods_per_year` follows from the median spacing, `counted` from the number of times; `irregularity` is how far
    they are apart, beyond two times [share of the first]. `gap` is the longest distance of neighbouring dates [periods;
    1 if none is missing], between `gap_from` and `gap_to`. `spacing` says the same of the median, for people.
    `before_gaps` holds the position of each distinct date that is followed by a period without rows, `missing` the
    number of such periods, and `first_missing` the date of the first.
    """

    periods_per_year: float
    counted: float
    irregularity: float
    gap: float
    gap_from: np.datetime64
    gap_to: np.datetime64
    spacing: str
    before_gaps: NDArray[np.intp]
    missing: int
    first_missing: np.datetime64 | None


def calendar(times: ArrayLike) -> Calendar:
    """Find the frequency of a panel, and how far its times depart from it.

    Parameters
    ----------
    times : array_like of datetime64, shape (n,)
        As for `periods_per_year`, which says how the frequency is found.

    Returns
    -------
    Calendar
        Its gap is counted in business days, Monday to Friday, if the dates are weekdays in a row; in days if weekends
        are among them; else in multiples of the median spacing.

    Raises
    ------
    StatisticsError
        If a time is missing or cannot be read, or there are fewer than two dates or less than one period a year.
    """
    moments = np.unique(read_times(times))
    dates, times_of_a_date = np.unique(moments.astype("datetime64[D]"), return_counts=True)
    if dates.size < 2:
        raise InsufficientDataError(
            f"{dates.size} dates, at least 2 are needed to tell how far apart they lie", sample=dates.size
        )
    apart = np.diff(dates).astype(np.int64)
    business = np.busday_count(dates[:-1], dates[1:]) if np.is_busday(dates).all() else apart
    # Of two or three dates, a weekend between them may be the median; they are days in a row all the same.
    median = 1.0 if np.median(business) <= 1 else float(np.median(apart))
    years = int((dates[-1] - dates[0]).astype(np.int64)) / _CALENDAR_YEAR
    spacing = f"{moments.size} times lie {median:g} days apart at the median"
    gaps = apart / median
    week, kept = _week(dates)
    # Where the dates keep to no days of the week, the spacing decides.
    between, first = _periods_between(dates, week if median <= 1 or kept else None, median)
    if median > 1:
        per_year = _by_months(_CALENDAR_YEAR / median, (dates.size - 1 + int(between.sum())) / years)
    else:
        # Six weekdays in a row always hold a weekend between them, so only a full week reaches 300 dates a year.
        weekends = not np.is_busday(dates).all()
        per_year = 365 if weekends and (dates.size - 1) / years > 300 else DAYS_PER_YEAR
        if per_year == DAYS_PER_YEAR:
            gaps = np.busday_count(dates[:-1], dates[1:]).astype(np.float64)
    if kept:
        per_year = round(_CALENDAR_YEAR * sum(week) / 7)
        gaps = np.busday_count(dates[:-1], dates[1:], weekmask=week).astype(np.float64)
    if per_year < 1:
        raise StatisticsError(f"{spacing}: less than one a year; no annual figure can be made of that")
    periods = per_year * float(np.median(times_of_a_date))
    before_gaps = np.flatnonzero(between)
    steps = (dates.size - 1) * moments.size / dates.size
    expected = periods * years
    longest = int(gaps.argmax())
    return Calendar(
        periods_per_year=periods,
        counted=steps / years,
        irregularity=max(0.0, abs(steps - expected) - 2) / expected,
        gap=float(gaps[longest]),
        gap_from=dates[longest],
        gap_to=dates[longest + 1],
        spacing=spacing,
        before_gaps=before_gaps,
        missing=int(between.sum()),
        first_missing=first(before_gaps[0]) if before_gaps.size else None,
    )


def _by_months(by_spacing: float, counted: float) -> int:
    """Round the number of periods a year, to months and the like where those are nearer to the number counted."""
    months = [each for each in _BY_MONTHS if abs(each / by_spacing - 1) <= _NEAR]
    return min([round(by_spacing), *months], key=lambda each: abs(each - counted))


def _periods_between(
    dates: NDArray[np.datetime64], week: list[bool] | None, median: float
) -> tuple[NDArray[np.intp], Callable[[np.intp], np.datetime64]]:
    """Count the periods without rows between neighbouring dates, and give a function that names the first of them.

    A period is a day of the week on which the market is open; without such days it is as long as the median spacing.
    """
    if week is None:
        step = np.timedelta64(round(median), "D")
        apart = np.diff(dates).astype(np.int64)
        return np.maximum(np.rint(apart / median).astype(np.intp) - 1, 0), lambda place: dates[place] + step
    after = dates + np.timedelta64(1, "D")
    between = np.busday_count(after[:-1], dates[1:], weekmask=week) if any(week) else np.zeros(dates.size - 1)
    return between.astype(np.intp), lambda place: np.busday_offset(after[place], 0, roll="forward", weekmask=week)


def _week(dates: NDArray[np.datetime64]) -> tuple[list[bool], bool]:
    """Tell the days of the week, from Monday on, on which the market is open, and whether they are its frequency.

    They are if the dates keep to two, three, four or six of them. Otherwise a day on which at least half of the weeks
    have rows is open.
    """
    weekdays = (dates.astype(np.int64) + 3) % 7  # day 0 of numpy is a Thursday; Monday is 0 here
    found, span = np.bincount(weekdays, minlength=7), int((dates[-1] - dates[0]).astype(np.int64))
    seen, weeks = found > 0, span / 7
    kept = dates.size - 1 >= (1 - IRREGULAR) * weeks * seen.sum()
    kept = bool(seen.sum() in _WEEKS and weeks >= _LEAST_WEEKS and kept)
    # As a list of Python's own truth values: numpy does not take its own for a mask in every version.
    return (seen if kept else found >= max(0.5, _OPEN * (span + 1) / 7)).tolist(), kept


def read_times(times: ArrayLike) -> NDArray[np.datetime64]:
    """Read a series of times.

    Parameters
    ----------
    times : array_like of datetime64, shape (n,)
        Times or dates, or text of ISO 8601.

    Returns
    -------
    ndarray of datetime64, shape (n,)

    Raises
    ------
    StatisticsError
        If they cannot be read as times, one is missing, or there are several dimensions.
    """
    try:
        given = np.asarray(times)
        # numpy would take numbers for days since 1970.
        if given.size and given.dtype.kind not in "MOUS":
            raise TypeError(given.dtype)
        if given.dtype.kind != "M":
            given = given.astype("datetime64[us]")
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"times cannot be read as dates ({error}): give datetime64") from error
    if given.ndim != 1:
        raise StatisticsError(f"times have {given.ndim} dimensions, expected 1: give one time a row")
    if missing := int(np.isnat(given).sum()):
        raise StatisticsError(f"{missing} of {given.size} times missing: drop them")
    return given


def rows_by_day(days: ArrayLike, *, rows: int) -> list[NDArray[np.int64]]:
    """Find the rows of each day.

    Parameters
    ----------
    days : array_like, shape (n_rows,)
        The day of each row, ordered like time, rows in any order; of a datetime64 the date counts, whatever the hour.
    rows : int
        Number of rows.

    Returns
    -------
    list of ndarray of int64
        For each day, in ascending order, the positions of its rows, in the order of the rows.

    Raises
    ------
    StatisticsError
        If the number of days is not that of the rows, a day is missing, or days cannot be put in order.
    """
    day = labels(days, rows=rows, name="day")
    if day.dtype.kind == "M":
        day = day.astype("datetime64[D]")
    if not rows:
        return []
    try:
        if bool((day[:-1] <= day[1:]).all()):
            order: NDArray[np.int64] = empty(rows, np.int64)
            for part in parts(rows):
                order[part] = np.arange(part.start, part.stop)
            return np.split(order, np.flatnonzero(day[:-1] != day[1:]) + 1)
        code = np.unique(day, return_inverse=True)[1]
    except TypeError as error:
        raise StatisticsError(f"days cannot be put in order ({error}): give dates or numbers") from error
    # A stable sort leaves the rows of a day in their own order.
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
