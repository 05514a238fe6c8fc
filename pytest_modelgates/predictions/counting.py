"""Which records of the prediction log count, and what became of every line of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, StatisticsError
from .columns import Columns, microseconds, moment, row_numbers
from .parts import Part, parts
from .reading import MOST_NOTES, Reading, read_columns, read_part
from .records import Arm, Prediction

T = TypeVar("T")

CLOCKS = timedelta(minutes=5)  # by which the clocks of two machines may differ
_SAMPLED = 2**16


class Sample(NamedTuple):
    """Rows by their numbers, of which those are taken that end in the zeros of a mask, and how often each came."""

    mask: int
    rows: NDArray[np.uint64]
    times: NDArray[np.int64]

    @classmethod
    def once(cls, rows: NDArray[np.uint64], mask: int = 0) -> "Sample":
        """Take rows that came once each."""
        return cls(mask, rows, np.ones(rows.size, dtype=np.int64))

    def up_to(self, most: int, mask: int = 0) -> "Sample":
        """Halve the rows until they end in those zeros, too, and are at most so many."""
        mask |= self.mask
        while (kept := self.rows & np.uint64(mask) == 0).sum() > most:
            mask = 2 * mask + 1
        return Sample(mask, self.rows[kept], self.times[kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which records are asked for: of one model, scored from `since` until just before `until`."""

    digest: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def first_day(self) -> date | None:
        """The day whose parts are read first: what was scored as one batch may end after the midnight before it."""
        try:
            return (self.since.astimezone(UTC) - timedelta(days=1)).date() if self.since else None
        except OverflowError:  # no day is before it
            return None

    def holds(self, time: datetime) -> bool:
        """Whether a record that was scored at this time is asked for."""
        return not ((self.since and time < self.since) or (self.until and time >= self.until))


@dataclass(slots=True)
class Tally:
    """What became of every line that was read: they add up to `lines`.

    Parameters
    ----------
    lines : int
        All lines but those that close a part.
    counted : int
        Records that count.
    failed : int
        Rows that could not be scored; the record says why.
    replaced : int
        Predictions of a row that was scored again later, in the same part.
    others : int
        Records of other models.
    outside : int
        Records that were scored outside the window.
    future : int
        Records that were scored more than five minutes from now: a clock is wrong.
    bad : int
        Lines that are not records.
    torn : int
        Parts that end within a line: it is being written, or its writer was killed.
    parts, closed, altered : int
        Parts that were read, those of them that will not change any more, and those that did all the same.
    notes : list of str
        What is wrong, and where; at most 20.
    """

    lines: int = 0
    counted: int = 0
    failed: int = 0
    replaced: int = 0
    others: int = 0
    outside: int = 0
    future: int = 0
    bad: int = 0
    torn: int = 0
    parts: int = 0
    closed: int = 0
    altered: int = 0
    notes: list[str] = field(default_factory=list)
    _rows: "Distinct" = field(default_factory=lambda: Distinct())

    @property
    def repeated(self) -> float:
        """The share of the records that count whose row another part has counted too.

        Exact for up to 65,536 rows, and beyond within some 0.4 points; 0 if none comes again.
        """
        return self._rows.repeated

    def add_rows(self, keys: Iterable[str]) -> None:
        """Take the rows of one part that count, for the share of those that come again."""
        self._rows.add(Sample.once(row_numbers(list(keys))))

    @property
    def sample(self) -> Sample:
        """Those of the rows that are kept for that."""
        return self._rows.sample

    def add_part(self, other: "Tally", rows: Sample) -> None:
        """Add what became of the lines of one part, and a sample of its rows that count."""
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.notes += other.notes[: MOST_NOTES - len(self.notes)]
        self._rows.add(rows)

    @property
    def complete(self) -> bool:
        """Whether no record was lost, changed or dated wrongly, so that totals are what was scored."""
        return not (self.bad or self.altered or self.future)


def tally_of(numbers: Mapping[str, int]) -> Tally:
    """Give the tally that has these numbers, by their names."""
    tally = Tally()
    for name, number in numbers.items():
        setattr(tally, name, number)
    return tally


NUMBERS = [each.name for each in fields(Tally) if each.type is int]


class Distinct:
    """Counts how often rows come again in little memory: beyond so many only those whose number ends in zeros."""

    def __init__(self, most: int = _SAMPLED) -> None:
        self._most, self._new = most, [Sample.once(np.empty(0, dtype=np.uint64))]

    @property
    def repeated(self) -> float:
        """The share of the rows that had come before; exact while all are kept."""
        _, rows, times = self.sample
        return 1 - rows.size / int(times.sum()) if rows.size else 0.0

    def add(self, new: Sample) -> None:
        """Take the rows of one part, or of several."""
        self._new.append(new.up_to(self._most, self._new[-1].mask))
        if sum(each.rows.size for each in self._new) > self._most:
            _ = self.sample

    @property
    def sample(self) -> Sample:
        """All that were taken, for another to take."""
        if len(self._new) > 1:
            self._new = [_added(self._new).up_to(self._most)]
        return self._new[0]


def _added(found: list[Sample]) -> Sample:
    """Add up how often each row came, of samples whose masks ascend."""
    rows = np.concatenate([each.rows for each in found])
    times = np.concatenate([each.times for each in found])
    order = np.argsort(rows)
    rows = rows[order]
    first = np.flatnonzero(np.append(True, rows[1:] != rows[:-1])[: rows.size])
    sums = np.add.reduceat(times[order], first) if first.size else times
    return Sample(found[-1].mask, rows[first], sums)


def count_log(artifacts: Artifacts, arm: Arm, window: Window, tally: Tally) -> Iterator[list[Prediction]]:
    """Read an arm's records that count, part by part, the oldest part first.

    Within a part the last prediction of a row counts. A row that goes by its content may come again: equal ones all
    count. A row that comes again in another part counts again; the tally has the share.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    window : Window
    tally : Tally
        Is added to.

    Yields
    ------
    list of Prediction
        Of one part, in the order in which they were written.
    """
    for part in parts(artifacts, arm, since=window.first_day):
        found = count_part(part, window, tally)
        if found:
            yield found


def count_whole(
    artifacts: Artifacts, arm: Arm, window: Window, tally: Tally | None = None
) -> Iterator[list[Prediction]]:
    """Read as `count_log` does, for a verdict over all records.

    Raises
    ------
    InsufficientDataError
        At the end, if a record was lost, changed or dated wrongly.
    """
    tally = tally or Tally()
    yield from count_log(artifacts, arm, window, tally)
    refuse_incomplete(tally, arm)


def refuse_incomplete(tally: Tally, arm: Arm) -> None:
    """Raise as `count_whole` does if a record was lost, changed or dated wrongly."""
    if not tally.complete:
        raise InsufficientDataError(
            f"the log of {arm} predictions is not whole: {tally.notes[0]}; see: modelgates predictions --arm {arm}"
        )


def count_part(part: Part, window: Window, tally: Tally) -> list[Prediction]:
    """Read the records of one part that count, and add all its lines to the tally."""
    rows = Rows[Prediction]()
    for record in asked_for(part, window, tally, Reading()):
        if record.prediction is not None:
            rows.put(record, record, tally)
    tally.add_rows(key for key, record in rows.last.items() if not record.goes_by_content)
    return list(rows.last.values())


def asked_for(part: Part, window: Window, tally: Tally, reading: Reading) -> Iterator[Prediction]:
    """Read the records of a part that are in the window, those of rows that failed among them."""
    latest = datetime.now(UTC) + CLOCKS
    with _tallied(part, tally, reading):
        for batch in read_part(part, reading):
            for record in batch:
                if window.digest is not None and record.digest != window.digest:
                    tally.others += 1
                elif record.time > latest:
                    tally.future += 1
                    _note_future(part, record.time, reading)
                elif not window.holds(record.time):
                    tally.outside += 1
                else:
                    tally.failed += record.prediction is None
                    yield record


class Read(Protocol):
    """Reads a model's records of a part as `read_columns` does."""

    def __call__(self, part: Part, reading: Reading, model: str) -> Iterator[Columns]:
        """Read on."""


def asked_columns(
    part: Part, window: Window, tally: Tally, reading: Reading, *, read: Read = read_columns
) -> Iterator[Columns]:
    """Read the same as columns; the window names the model."""
    assert window.digest is not None
    latest = microseconds(datetime.now(UTC) + CLOCKS)
    with _tallied(part, tally, reading):
        for found in read(part, reading, window.digest):
            tally.others += found.others
            future, outside = found.time > latest, np.zeros(len(found), dtype=bool)
            for time in found.time[future][:MOST_NOTES].tolist():
                _note_future(part, moment(time), reading)
            if window.since:
                outside |= found.time < microseconds(window.since)
            if window.until:
                outside |= found.time >= microseconds(window.until)
            outside &= ~future
            tally.future += int(np.count_nonzero(future))
            tally.outside += int(np.count_nonzero(outside))
            if (left := future | outside).any():
                found = found.taken(np.flatnonzero(~left))
            tally.failed += int(np.count_nonzero(found.failed))
            yield found


def _note_future(part: Part, time: datetime, reading: Reading) -> None:
    reading.note(f"{part.path}: a record of {time:%Y-%m-%d %H:%M} UTC, which is yet to come")


@contextmanager
def _tallied(part: Part, tally: Tally, reading: Reading) -> Iterator[None]:
    """Add to the tally what became of the lines that are read meanwhile."""
    before, bad, notes = reading.lines - (reading.closing is not None), reading.bad, len(reading.notes)
    yield
    tally.lines += reading.lines - (reading.closing is not None) - before
    tally.bad += reading.bad - bad
    tally.parts += 1
    tally.closed += reading.closing is not None
    tally.torn += reading.torn > 0
    if reading.altered:
        tally.altered += 1
        reading.note(f"{reading.altered}; it was altered")
    tally.notes += reading.notes[notes:][: MOST_NOTES - len(tally.notes)]


class Rows(Generic[T]):
    """The rows of one part, each with what was said of it last."""

    def __init__(self) -> None:
        self.last = dict[str, T]()
        self._alike = Counter[str]()

    def put(self, record: Prediction, value: T, tally: Tally) -> None:
        """Keep a value for the row of a record; the newest stand last."""
        key = record.row_key
        if record.goes_by_content:
            self._alike[key] += 1
            key = f"{key}#{self._alike[key]}"
        again = self.last.pop(key, None) is not None
        tally.replaced += again
        tally.counted += not again
        self.last[key] = value


def values_of(records: Iterable[Iterable[Prediction]]) -> NDArray[np.float64]:
    """Collect the predictions of records that count."""
    chunks = [np.array([record.prediction for record in part], dtype=np.float64) for part in records]
    return np.concatenate([np.empty(0), *chunks])


def days_of(records: Iterable[Prediction]) -> NDArray[np.datetime64] | None:
    """Give the UTC date that each row is of; None if one of them is of no known day."""
    try:
        return np.array([record.day for record in records], dtype="datetime64[D]")
    except StatisticsError:
        return None
