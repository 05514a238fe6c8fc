"""What a day is, and how many of a panel's periods make a year."""

import re
from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.days import IRREGULAR, calendar, periods_per_year, rows_by_day
from pytest_modelgates.stats.holdings import evaluate_positions
from pytest_modelgates.stats.portfolio import paper_pnl

Times = NDArray[np.datetime64]


def weekly(weekmask: str, periods: int) -> Times:
    return pd.bdate_range("2015-01-05", periods=periods, freq="C", weekmask=weekmask).to_numpy()


def every(frequency: str, periods: int, start: str = "2015-01-01") -> Times:
    """Times of one frequency, by pandas' name for it."""
    return pd.date_range(start, periods=periods, freq=frequency).to_numpy()


def tens(years: int) -> Times:
    """Give the 1st, 11th and 21st of each month."""
    return np.array(
        [f"{2015 + n // 12}-{n % 12 + 1:02d}-{day}" for n in range(12 * years) for day in ("01", "11", "21")], "M8[D]"
    )


def exchange_days() -> Times:
    """Business days of seven years without some nine holidays a year, and without two weeks of unrest."""
    days = every("B", 1827)
    holidays = np.random.default_rng(3).choice(days, 63, replace=False)
    return np.setdiff1d(days, [*holidays, *days[1000:1010]])


def sessions(periods: int, hours: range) -> Times:
    """Hourly times of business days."""
    days = every("B", periods).astype("datetime64[h]")
    return (days[:, np.newaxis] + np.array(hours, dtype="timedelta64[h]")).ravel()


KNOWN = [
    pytest.param(every("B", 400), 252, id="business-days"),
    pytest.param(exchange_days(), 252, id="an-exchange-with-holidays"),
    pytest.param(every("C", 5, "2024-01-01"), 252, id="one-week"),
    pytest.param(every("B", 2, "2024-01-05"), 252, id="friday-and-monday"),
    pytest.param(every("B", 3, "2024-01-04"), 252, id="three-days-over-a-weekend"),
    pytest.param(every("B", 3, "2024-01-05"), 252, id="three-days-from-a-friday"),
    pytest.param(every("D", 400), 365, id="all-days"),
    pytest.param(np.delete(every("D", 400), [3, 90, 91, 200]), 365, id="all-days-but-four"),
    pytest.param(every("W-FRI", 100), 52, id="weeks"),
    pytest.param(weekly("Mon Wed Fri", 300), 157, id="three-days-a-week"),
    pytest.param(weekly("Tue Thu", 300), 104, id="two-days-a-week"),
    pytest.param(weekly("Mon Tue Wed Thu", 600), 209, id="monday-to-thursday"),
    pytest.param(weekly("Mon Tue Wed Thu Fri Sat", 600), 313, id="monday-to-saturday"),
    pytest.param(np.delete(weekly("Tue Fri", 300), [3, 90, 91, 200]), 104, id="two-days-a-week-but-four"),
    pytest.param(
        np.where(np.arange(100) % 13, 0, -1) + every("W-FRI", 100).astype("datetime64[D]"), 52, id="a-holiday"
    ),
    pytest.param(every("2W", 60), 26, id="fortnights"),
    pytest.param(every("SME", 60), 24, id="half-months"),
    pytest.param(every("MS", 40), 12, id="first-days-of-months"),
    pytest.param(every("ME", 40), 12, id="last-days-of-months"),
    pytest.param(every("BME", 40), 12, id="last-business-days-of-months"),
    pytest.param(every("WOM-3FRI", 60), 12, id="third-fridays"),
    pytest.param(np.delete(every("WOM-3FRI", 60), [20, 21]), 12, id="third-fridays-but-two"),
    pytest.param(every("28D", 60), 13, id="lunar-months"),
    pytest.param(np.delete(every("28D", 60), [3, 20, 40, 50]), 13, id="lunar-months-but-four"),
    pytest.param(np.delete(every("2W", 80), [3, 20, 40, 50]), 26, id="fortnights-but-four"),
    pytest.param(np.datetime64("2015-01-02") + np.cumsum([28, 28, 35] * 20), 12, id="months-of-four-or-five-weeks"),
    pytest.param(tens(3), 36, id="thirds-of-months"),
    pytest.param(every("QE", 40), 4, id="quarters"),
    pytest.param(every("YE", 40), 1, id="years"),
    pytest.param(every("h", 24 * 100), 24 * 365, id="all-hours"),
    pytest.param(every("h", 2000, "2015-01-01 13:00"), 24 * 365, id="all-hours-from-noon"),
    pytest.param(sessions(100, range(10, 17)), 7 * 252, id="hours-of-sessions"),
    pytest.param(sessions(100, range(10, 17, 6)), 2 * 252, id="open-and-close"),
]


@pytest.mark.parametrize(("times", "periods"), KNOWN)
def test_a_year_has_as_many_periods_as_the_panel_says(times: Times, periods: int) -> None:
    assert periods_per_year(times) == periods
    shuffled = np.random.default_rng(1).permutation(np.repeat(times, 3))
    assert periods_per_year(shuffled.astype("datetime64[us]")) == periods


def without(times: Times, start: int, stop: int) -> Times:
    """Leave some times out."""
    return np.concatenate([times[:start], times[stop:]])


GAPS = [
    pytest.param(every("B", 400), 1, id="business-days"),
    pytest.param(without(every("B", 1500), 500, 509), 10, id="nine-business-days-closed"),
    pytest.param(without(every("B", 1500), 500, 510), 11, id="ten-business-days-closed"),
    pytest.param(without(every("B", 1305), 522, 783), 262, id="a-year-cut-out"),
    pytest.param(without(every("D", 400), 100, 112), 13, id="twelve-of-all-days"),
    pytest.param(without(weekly("Mon Wed Fri", 300), 100, 109), 10, id="nine-of-three-days-a-week"),
    pytest.param(without(every("W-FRI", 200), 100, 103), 4, id="three-weeks"),
    pytest.param(without(every("ME", 100), 50, 52), 92 / 31, id="two-months"),
    pytest.param(without(sessions(400, range(10, 17)), 70, 140), 11, id="ten-days-of-hours"),
    # 10 September 2001, a Monday, and 17 September.
    pytest.param(np.setdiff1d(every("B", 900, "2000-01-03"), every("B", 4, "2001-09-11")), 5, id="september-2001"),
]


@pytest.mark.parametrize(("times", "periods"), GAPS)
def test_the_longest_gap_is_counted_in_periods(times: Times, periods: float) -> None:
    found = calendar(times)
    assert found.gap == pytest.approx(periods)
    dates = np.unique(times.astype("datetime64[D]"))
    assert dates[list(dates).index(found.gap_from) + 1] == found.gap_to
    if periods > 1:
        steps = np.diff(dates)
        assert found.gap_to - found.gap_from == steps.max()


SUNDAY_TO_THURSDAY = np.arange("2020-01-05", "2021-01-05", dtype="datetime64[D]")
SUNDAY_TO_THURSDAY = SUNDAY_TO_THURSDAY[np.is_busday(SUNDAY_TO_THURSDAY, weekmask="Sun Mon Tue Wed Thu")]
MISSING: list[object] = [
    pytest.param(every("B", 300), [], 0, None, id="weekdays"),
    pytest.param(np.delete(every("B", 300, "2020-01-01"), [10, 11, 40]), [9, 37], 3, "2020-01-15", id="weekdays-gone"),
    pytest.param(np.delete(every("D", 300, "2020-01-01"), [10]), [9], 1, "2020-01-11", id="a-day-of-seven"),
    pytest.param(np.delete(SUNDAY_TO_THURSDAY, [5]), [4], 1, "2020-01-12", id="a-sunday"),
    pytest.param(np.delete(every("W-FRI", 60, "2020-01-03"), [7, 8]), [6], 2, "2020-02-21", id="weeks"),
    pytest.param(every("ME", 60), [], 0, None, id="months"),
    # A row too many makes up for none that is missing.
    pytest.param(
        np.sort([*np.delete(every("ME", 60, "2020-01-01"), 10), np.datetime64("2023-03-05")]),
        [9],
        1,
        "2020-12-01",
        id="a-month-for-a-week",
    ),
]


@pytest.mark.parametrize(("times", "places", "missing", "first"), MISSING)
def test_periods_without_rows_are_counted_and_the_first_is_named(
    times: Times, places: list[int], missing: int, first: str | None
) -> None:
    found = calendar(times)
    assert (found.before_gaps.tolist(), found.missing) == (places, missing)
    assert found.first_missing == (None if first is None else np.datetime64(first))


@pytest.mark.parametrize(("times", "periods"), KNOWN)
def test_the_calendar_counts_what_annual_figures_use(times: Times, periods: int) -> None:
    found = calendar(times)
    assert found.periods_per_year == periods
    assert found.counted == pytest.approx(periods, rel=IRREGULAR + 3 / len(np.unique(times)))
    assert 0 <= found.irregularity <= IRREGULAR


def test_irregular_times_have_a_calendar_though_no_annual_figure() -> None:
    found = calendar(every("B", 400)[::2])
    assert (found.periods_per_year, found.counted) == (183, pytest.approx(130, abs=1))
    assert found.irregularity > IRREGULAR


REFUSED: list[object] = [
    pytest.param(
        lambda: every("B", 400)[::2],
        "200 times lie 2 days apart at the median, which makes 183 a year, but there are 130 a year: spacing this "
        "irregular cannot be annualised; keep one frequency throughout, without long gaps",
        id="every-other-business-day",
    ),
    pytest.param(
        lambda: np.random.default_rng(2).choice(every("B", 1000), 700, replace=False),
        "which makes 252 a year, but there are 183 a year",
        id="days-left-out-at-random",
    ),
    pytest.param(
        lambda: np.delete(every("B", 1000), slice(300, 560)),
        "740 times lie 1 days apart at the median, which makes 252 a year, but there are 193 a year",
        id="a-year-cut-out",
    ),
    pytest.param(
        lambda: np.concatenate([every("B", 300), every("W-FRI", 200, "2016-03-01")]), "a year", id="days-then-weeks"
    ),
    pytest.param(
        lambda: np.concatenate([every("D", 300), every("h", 4000, "2016-03-01")]), "a year", id="days-then-hours"
    ),
    pytest.param(
        lambda: every("4YE", 10), "10 times lie 1461 days apart at the median: less than one a year", id="leap-years"
    ),
    pytest.param(lambda: ["NaT", "2024-01-01"], "1 of 2 times missing: drop them", id="missing"),
    pytest.param(lambda: [1.0, 2.0], "times cannot be read as dates (float64)", id="numbers"),
    pytest.param(lambda: [["2024-01-01"]], "times have 2 dimensions, expected 1", id="matrix"),
    pytest.param(lambda: ["yesterday", "today"], "times cannot be read as dates", id="words"),
]


@pytest.mark.parametrize(("times", "message"), REFUSED)
def test_what_has_no_frequency_is_refused(times: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=re.escape(message)):
        periods_per_year(times())


@pytest.mark.parametrize("times", [[], ["2024-01-01"], ["2024-01-01T10", "2024-01-01T11"]])
def test_one_date_tells_no_frequency(times: list[str]) -> None:
    message = f"{min(len(times), 1)} dates, at least 2 are needed to tell how far apart they lie"
    with pytest.raises(InsufficientDataError, match=message):
        periods_per_year(times)


def test_dates_of_python_are_read_as_well() -> None:
    assert periods_per_year([date(2024, month, 1) for month in range(1, 13)]) == 12


FREQUENCIES = {"business-days": "B", "all-days": "D", "weeks": "W-FRI", "months": "ME"}


@pytest.mark.parametrize("name", FREQUENCIES)
def test_one_process_has_one_sharpe_ratio_and_one_borrow_a_year_however_it_is_sampled(name: str) -> None:
    """A drift of 10 % and a volatility of 20 % a year, half of the capital borrowed at 3 % a year."""
    start, stop = pd.Timestamp("1900-01-01"), pd.Timestamp("2200-01-01")
    times = pd.date_range(start, stop, freq=FREQUENCIES[name]).to_numpy()
    random = np.random.default_rng(8)
    # One Brownian motion on all days. A business day has the calendar's share of it, as a year of returns has.
    days = np.diff(times) / np.timedelta64(1, "D") / 365.25
    returns = 0.10 * days + 0.20 * np.sqrt(days) * random.standard_normal(days.size)
    market = np.stack([returns, -returns], axis=1)
    position = np.full(market.shape, 0.5) * [1, -1]
    year = periods_per_year(times[:-1])
    costs = Costs(borrow_bps_per_year=300, days_per_year=year)
    held = evaluate_positions(position, market, cost_bps=costs)
    free = paper_pnl(evaluate_positions(position, market, cost_bps=0), days_per_year=year)
    # Three standard errors of a ratio over 300 years; a year of 252 days is 3.5 % short of weekdays without holidays.
    assert free.sharpe == pytest.approx(0.5, abs=3 / np.sqrt(300) + 0.01)
    assert free.sharpe_error == pytest.approx(1 / np.sqrt(300), rel=0.05)
    assert year * held.cost.mean() == pytest.approx(0.5 * 0.03)
    assert held.cost.sum() / 300 == pytest.approx(0.5 * 0.03, rel=0.04)


@pytest.mark.parametrize("unit", ["h", "s", "us", "ns"])
def test_rows_of_one_date_are_one_day(unit: str) -> None:
    times = every("h", 48).astype(f"datetime64[{unit}]")
    assert [rows.tolist() for rows in rows_by_day(times, rows=48)] == [list(range(24)), list(range(24, 48))]


@pytest.mark.parametrize(
    ("days", "message"),
    [
        pytest.param([1, 2], "3 rows, days of shape (2,): give one day a row", id="lengths"),
        pytest.param([1.0, np.nan, 2.0], "1 of 3 days missing: drop their rows", id="nan"),
        pytest.param(np.array(["2024-01-01", "NaT", "NaT"], dtype="datetime64[D]"), "2 of 3 days missing", id="nat"),
        pytest.param([1, "a", None], "days cannot be put in order", id="mixed"),
    ],
)
def test_rows_whose_day_is_unknown_are_refused(days: object, message: str) -> None:
    with pytest.raises(StatisticsError, match=re.escape(message)):
        rows_by_day(days, rows=3)
