"""How often looks at drift raise an alarm where there is none, and how soon where there is some.

Run by itself it prints the tables of docs/statistics.md: ``python -m tests.calibration.over_time_sweep``. Every run has
a seed of its own, so that the same versions print the same tables.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pytest_modelgates.drift.over_time import Next, Seen, look
from pytest_modelgates.drift.smirnov import kolmogorov_tail
from pytest_modelgates.drift.summary import Reference, Summary
from tests.calibration.drift_sweep import mostly_zero

Scores = NDArray[np.float64]
SEED = 30
DAYS_PER_ALARM = 20
START = datetime(2026, 1, 1, tzinfo=UTC)
# A shift of a normal score whose index is 0.3, in standard deviations.
SHIFT = 0.5477


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A golden, and rows that come look by look.

    There are `looks_a_day` looks a day, and `rows` come between two of them. `rho` is the correlation of two rows of
    one day, `persistence` that of what two days in a row have in common. Without `dated` nobody is told the days.
    """

    rows: int
    looks_a_day: int
    golden_days: int = 750
    names: int = 20
    rho: float = 0.0
    persistence: float = 0.0
    dated: bool = True
    score: Callable[[Scores], Scores] = np.asarray


def one_digit(values: Scores) -> Scores:
    """Round to one digit, so that many values tie."""
    return np.round(values, 1)


STREAMS = {
    "every minute, 500 rows, independent": Stream(rows=500, looks_a_day=1440, dated=False),
    "every minute, 20 rows, independent": Stream(rows=20, looks_a_day=1440, dated=False),
    "every minute, 20 rows, against 500": Stream(rows=20, looks_a_day=1440, golden_days=25, dated=False),
    "every minute, 20 rows, one digit": Stream(rows=20, looks_a_day=1440, dated=False, score=one_digit),
    "every minute, 20 rows, 97 % zeros": Stream(rows=20, looks_a_day=1440, dated=False, score=mostly_zero),
    "every hour, 20 rows, correlation 0.3": Stream(rows=20, looks_a_day=24, names=480, golden_days=250, rho=0.3),
    "every night, 500 rows, independent": Stream(rows=500, looks_a_day=1, names=500, golden_days=250),
    "every night, 20 rows, correlation 0.3": Stream(rows=20, looks_a_day=1, rho=0.3),
    "every night, 20 rows, correlation 0.6": Stream(rows=20, looks_a_day=1, rho=0.6),
    "every night, 20 rows, correlation 0.3, days 0.5": Stream(rows=20, looks_a_day=1, rho=0.3, persistence=0.5),
    "every night, 500 rows, correlation 0.6": Stream(rows=500, looks_a_day=1, names=500, golden_days=250, rho=0.6),
}
# What has been said of such rows so far: that they are independent.
UNTOLD = {"every night, 20 rows, correlation 0.6, untold": Stream(rows=20, looks_a_day=1, rho=0.6, dated=False)}


class _Source:
    """Gives the rows of one look after the other."""

    def __init__(self, stream: Stream, rng: np.random.Generator) -> None:
        self._stream, self._rng = stream, rng
        self._common = rng.standard_normal()

    def day_begins(self) -> None:
        kept = self._stream.persistence
        self._common = kept * self._common + np.sqrt(1 - kept**2) * self._rng.standard_normal()

    def rows(self, count: int, shift: float = 0.0) -> Scores:
        rho = self._stream.rho
        own = self._rng.standard_normal(count)
        return self._stream.score(np.sqrt(rho) * self._common + np.sqrt(1 - rho) * own + shift)


@dataclass(frozen=True)
class Alarms:
    """Alarms of either kind, those that p below 0.05 would have given, and days that were watched."""

    window: int
    all: int
    plain: int
    days: float
    first: int | None  # the look of the first alarm


def watch(
    stream: Stream,
    *,
    looks: int,
    run: int,
    shift: Callable[[int], float] = lambda _: 0.0,
    once: bool = False,
    least: float = 0.0,
) -> Alarms:
    """Look so many times; each alarm is acknowledged at once, or with `once` ends it."""
    rng = np.random.default_rng([SEED, run, stream.rows, stream.looks_a_day])
    source = _Source(stream, rng)
    then, days = [], np.repeat(np.arange(stream.golden_days), stream.names).astype("datetime64[D]")
    for _ in range(stream.golden_days):
        source.day_begins()
        then.append(source.rows(stream.names))
    reference = Reference.of(np.concatenate(then), days=days if stream.dated else None)
    found = {"window": 0, "all": 0}
    plain, first = 0, None
    none = reference.none()
    everything, window, mark = none, none, none
    now, before, since = START, Next(spent=START), None
    for number in range(looks):
        now = START + timedelta(days=(number + 1) / stream.looks_a_day)
        day = stream.golden_days + 1000 + number // stream.looks_a_day
        if number % stream.looks_a_day == 0:
            source.day_begins()
        values = source.rows(stream.rows, shift(number))
        dates = np.full(values.size, day).astype("datetime64[D]")
        new = reference.count(values, days=dates if stream.dated else None)
        everything, window, mark = everything + new, window + new, mark + new
        seen = Seen(records=everything.counts.rows, all=everything, window=window, mark=mark)
        result = look(reference, seen, before, since=since, now=now, days_per_alarm=DAYS_PER_ALARM, least=least)
        plain += _plain(reference, new)
        if alarm := result["alarm"]:
            found[alarm.by] += 1
            first = number if first is None else first
            if once:
                break
            everything, window, mark, since = none, none, none, now
            before = Next(spent=now, window=now, mark=now)
            continue
        if result["next"].mark != before.mark:
            window, mark = mark, none
        before = result["next"]
    return Alarms(found["window"], found["all"], plain, (number + 1) / stream.looks_a_day, first)


def _plain(reference: Reference, new: Summary) -> bool:
    """Whether the rows of one look have p below 0.05, taken as independent."""
    golden, current = reference.golden.counts, new.counts
    far = np.abs(golden.up_to / golden.finite - current.up_to / current.finite).max()
    return kolmogorov_tail(far * np.sqrt(golden.finite * current.finite / (golden.finite + current.finite))) < 0.05


def false_alarms(stream: Stream, *, looks: int, runs: int) -> Alarms:
    """Add up the alarms of so many runs without drift."""
    each = [watch(stream, looks=looks, run=run) for run in range(runs)]
    return Alarms(*(sum(getattr(one, name) for one in each) for name in ("window", "all", "plain", "days")), None)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A shift that comes at a look, at once or by so many standard deviations a day, and when it is looked for."""

    stream: Stream
    after: int
    most: int
    shift: float = SHIFT
    a_day: float | None = None

    def at(self, number: int) -> float:
        """Give the shift at a look [standard deviations]."""
        if number < self.after:
            return 0.0
        return self.shift if self.a_day is None else self.a_day * (number - self.after) / self.stream.looks_a_day


_MINUTES, _FEW = STREAMS["every minute, 500 rows, independent"], STREAMS["every minute, 20 rows, independent"]
_NIGHTS, _DEPENDENT = (
    STREAMS["every night, 500 rows, independent"],
    STREAMS["every night, 20 rows, correlation 0.3"],
)
DRIFTS = {
    "index 0.3 at noon; every minute, 500 rows": Drift(stream=_MINUTES, after=720, most=1440),
    "index 0.3 at noon; every minute, 20 rows": Drift(stream=_FEW, after=720, most=1440),
    "index 0.1 at noon; every minute, 20 rows": Drift(stream=_FEW, after=720, most=2880, shift=0.3175),
    "index 0.3 after 30 days; every night, 500 rows": Drift(stream=_NIGHTS, after=30, most=60),
    "index 0.3 after 30 days; every night, 20 rows, correlation 0.3": Drift(stream=_DEPENDENT, after=30, most=600),
    "index 0.02 from the first row on; every minute, 20 rows": Drift(stream=_FEW, after=0, most=4000, shift=0.1414),
    "index 0.03 at noon; every minute, 20 rows": Drift(stream=_FEW, after=720, most=4000, shift=0.1732),
    "index 0.05 from the first row on; every night, 20 rows, correlation 0.3": Drift(
        stream=_DEPENDENT, after=0, most=1500, shift=0.2236
    ),
    "0.1 deviations a day; every minute, 20 rows": Drift(stream=_FEW, after=720, most=8640, a_day=0.1),
    "0.01 deviations a day; every night, 500 rows": Drift(stream=_NIGHTS, after=30, most=600, a_day=0.01),
    "0.01 deviations a day; every night, 20 rows, correlation 0.3": Drift(
        stream=_DEPENDENT, after=30, most=600, a_day=0.01
    ),
}


def delays(drift: Drift, *, runs: int) -> tuple[list[float], list[str]]:
    """Say after how many looks with drift each run had its first alarm (infinitely many if none), and by what."""
    waited, by = list[float](), list[str]()
    for run in range(1000, 1000 + runs):
        found = watch(drift.stream, looks=drift.after + drift.most, run=run, shift=drift.at, once=True, least=0.05)
        late = np.inf if found.first is None else found.first - drift.after + 1
        if late > 0:  # otherwise the alarm was false
            waited.append(late)
            by.append("window" if found.window else "all" if found.all else "none")
    return waited, by


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--looks", type=int, default=10_000)
    arguments.add_argument("--delays", type=int, default=20)
    given = arguments.parse_args()
    print("| looks and rows | days | promised | newest | all | p below 0.05 |")
    print("|---|---|---|---|---|---|")
    for name, stream in (STREAMS | UNTOLD).items():
        of = false_alarms(stream, looks=given.looks, runs=given.runs)
        print(
            f"| {name} | {of.days:,.0f} | {of.days / DAYS_PER_ALARM:,.1f} | {of.window} | {of.all} | {of.plain:,} |",
            flush=True,
        )
    print("\n| drift | looks until the alarm: median | 9 in 10 | by the newest |\n|---|---|---|---|")
    for name, drift in DRIFTS.items():
        waited, by = delays(drift, runs=given.delays)
        middle, most = (np.quantile(waited, share, method="higher") for share in (0.5, 0.9))
        print(f"| {name} | {middle:g} | {most:g} | {by.count('window')} of {len(by)} |", flush=True)


if __name__ == "__main__":
    main()
