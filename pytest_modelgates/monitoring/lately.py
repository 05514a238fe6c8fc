"""What the live model did lately, minute by minute: rows, rows without a score, and how long batches took.

What was read of a part once is not read again as long as this is kept; parts that ended before are not opened.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import numpy as np

from ..artifacts import Artifacts
from ..predictions.columns import Columns, moment
from ..predictions.counting import Read, Tally, Window, asked_columns
from ..predictions.parts import JSON_LINES, Part, parts
from ..predictions.reading import Reading, read_columns
from ..predictions.records import Arm
from .looks import may_end_after

_SAMPLED = 1000  # rows with features that are kept
_STEP = math.log(1.02)  # of the latencies that are counted
_MINUTE_US = 60_000_000
_SCHEMA = "schema: "  # begins the error of a row that no model was asked about, as serving writes it


class Sampled(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was served: what it is about, what the model got, and what it said."""

    key: str
    features: list[float | None]
    prediction: float


@dataclass(slots=True)
class Sums:
    """What happened in some minutes.

    Parameters
    ----------
    rows, failed, rejected : int
        All rows, those to which the model gave no finite score, and those that were refused before it.
    batches, slow : int
        Calls of the model, and those that took longer than the limit.
    times : Counter
        Batches by the step of 2 % that their time is in.
    """

    rows: int = 0
    failed: int = 0
    rejected: int = 0
    batches: int = 0
    slow: int = 0
    times: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Sums") -> None:
        """Add those of other minutes."""
        for name in ("rows", "failed", "rejected", "batches", "slow"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.times.update(other.times)

    @property
    def p95_ms(self) -> float:
        """What one batch in twenty took longer than, at most 2 % too long [ms]; NaN without one."""
        left = math.ceil(0.95 * self.batches)
        for step in sorted(self.times):
            left -= self.times[step]
            if left <= 0:
                return math.exp(step * _STEP)
        return math.nan


@dataclass(slots=True)
class _Seen:
    """How far a part was read, and what became of its lines."""

    part: Part
    reading: Reading = field(default_factory=Reading)
    tally: Tally = field(default_factory=Tally)
    last: tuple[int, float] | None = None


class Lately:
    """The newest records of a model in an arm.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    digest : str
        The model's.
    slow_ms : float
        A batch that takes longer is slow [ms].
    sizes : mapping of str to int, optional
        How far another process had read parts, by their names [bytes].
    """

    def __init__(
        self, artifacts: Artifacts, arm: Arm, digest: str, *, slow_ms: float, sizes: Mapping[str, int] | None = None
    ) -> None:
        self.digest, self.slow_ms = digest, slow_ms
        self._artifacts, self._arm = artifacts, arm
        self._sizes = dict(sizes or {})
        self._seen: dict[str, _Seen] = {}
        self._minutes: dict[datetime, Sums] = {}
        self._sample = deque[Sampled](maxlen=_SAMPLED)

    @property
    def sizes(self) -> dict[str, int]:
        """How far each part was read that may still hold records of the window [bytes]."""
        return dict(self._sizes)

    def read(self, since: datetime, *, read: Read = read_columns) -> str | None:
        """Read what is new, forget what was before a moment, and say what the log lacks; None if it is whole.

        Parameters
        ----------
        since : datetime
        read : callable, optional
            Reads a part.

        Raises
        ------
        OSError
            If a part cannot be read.
        """
        window = Window(digest=self.digest, since=since)
        found = parts(self._artifacts, self._arm, since=window.first_day)
        there = {f"{part.day}/{part.name}": part for part in found}
        there = {name: part for name, part in there.items() if may_end_after(part, since)}
        self._seen = {name: seen for name, seen in self._seen.items() if name in there}
        self._sizes = {name: size for name, size in self._sizes.items() if name in there}
        for name, part in there.items():
            seen = self._seen.setdefault(name, _Seen(part))
            if part.path.suffix == JSON_LINES:
                size, before = part.path.stat().st_size, self._sizes.get(name, 0)
                if size < before:
                    seen.tally.altered += 1
                    seen.tally.notes.append(f"{part.path}: {size} bytes, and {before} were read before; it was cut")
                    continue
            for columns in asked_columns(part, window, seen.tally, seen.reading, read=read):
                self._count(columns, seen)
            self._sizes[name] = max(seen.reading.size, self._sizes.get(name, 0))
        self._minutes = {minute: sums for minute, sums in self._minutes.items() if minute >= _minute(since)}
        notes = [note for seen in self._seen.values() if not seen.tally.complete for note in seen.tally.notes]
        return notes[0] if notes else None

    def since(self, time: datetime) -> Sums:
        """Add up what happened from the minute of a moment on."""
        total = Sums()
        for minute, sums in self._minutes.items():
            if minute >= _minute(time):
                total.add(sums)
        return total

    def taken(self) -> list[Sampled]:
        """Take the newest rows whose features were kept, each once."""
        found = list(self._sample)
        self._sample.clear()
        return found

    def _count(self, found: Columns, seen: _Seen) -> None:
        minutes = found.time // _MINUTE_US
        rejected = np.zeros(len(found), dtype=bool)
        for place, record in found.records.items():
            if record.prediction is None:
                rejected[place] = (record.error or "").startswith(_SCHEMA)
            elif record.features is not None:
                row = Sampled(key=record.row_key, features=record.features, prediction=record.prediction)
                self._sample.append(row)
        # The rows of a batch stand together; a row that no model was asked about took no time.
        asked = np.flatnonzero(found.latency_ms > 0)
        times, took = found.time[asked], found.latency_ms[asked]
        before = seen.last or (None, math.nan)
        new = np.ones(asked.size, dtype=bool)
        new[1:] = (times[1:] != times[:-1]) | (took[1:] != took[:-1])
        if asked.size:
            new[0] = before != (times[0], took[0])
            seen.last = (int(times[-1]), float(took[-1]))
        batches = asked[new]
        steps = np.ceil(np.log(found.latency_ms[batches]) / _STEP).astype(np.int64)
        for minute in np.unique(minutes).tolist():
            sums = self._minutes.setdefault(moment(minute * _MINUTE_US), Sums())
            of_it = minutes == minute
            sums.rows += int(np.count_nonzero(of_it))
            sums.rejected += int(np.count_nonzero(rejected & of_it))
            sums.failed += int(np.count_nonzero(found.failed & ~rejected & of_it))
            mine = of_it[batches]
            sums.batches += int(np.count_nonzero(mine))
            sums.slow += int(np.count_nonzero(found.latency_ms[batches[mine]] > self.slow_ms))
            sums.times.update(steps[mine].tolist())


def _minute(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(second=0, microsecond=0)
