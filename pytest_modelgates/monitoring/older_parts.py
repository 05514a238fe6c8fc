"""What the older parts of a log add up to, in one file, so that a look opens the newer ones alone.

A part is older once it is closed and every look to come counts it as a whole. The file names the parts that are in the
sum, and how each lay on the disk. If one of them lies otherwise now, or is gone, the sum does not count, and is made
anew from what is kept beside each part. It may be deleted at any time.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

import msgspec
import numpy as np

from ..drift.kept import NOT_KEPT, Array, KeptSummary
from ..drift.summary import Reference, Summary
from ..errors import FormatError
from ..predictions.counting import NUMBERS, Sample, Tally, tally_of
from ..predictions.parts import Part
from ..storage.strict_json import Moment, read_bytes
from .part_counts import PartCounts, Task

FILE = "older.counts"
_MOST_BYTES = 2**30
Stamp = tuple[int, int, int, int]


class _KeptSum(msgspec.Struct, frozen=True, kw_only=True):
    """What some parts add up to for one model, and in `since` their rows from `begin` on.

    `parts` says how each lay on the disk before it was counted. No row of them was scored from `until` on.
    """

    model: str
    parts: dict[str, Stamp]
    until: Moment
    begin: Moment | None
    summary: KeptSummary
    since: KeptSummary
    numbers: dict[str, int]
    mask: int
    rows: bytes
    times: Array
    format: int = 1


class OlderParts:
    """The sum over older parts, and the tasks of those that are not in it.

    Parameters
    ----------
    tasks : sequence of tasks
        Of all parts of an arm, the oldest first, of one model, and without an end.
    reference : Reference
        The model's golden.
    begin : datetime or None
        From when on rows are counted apart.
    until : datetime or None
        A part is older if no row of it was scored from then on, by which all looks to come begin; None if none is.
    """

    def __init__(
        self, tasks: Sequence[Task], reference: Reference, *, begin: datetime | None, until: datetime | None
    ) -> None:
        self._reference, self._begin, self._until = reference, begin, until
        self._parts = dict[str, Stamp]()
        self._summary, self._since, self._tally = reference.none(), reference.none(), Tally()
        # As they lie before any is counted: one that is changed meanwhile is seen the next time.
        self._stamps = {name_of(part): stamp_of(part.path) for _, part, *_ in tasks} if until else {}
        if tasks and until:
            self._artifacts, newest, window, _ = tasks[-1]
            self._path, self._model = newest.path.parents[1] / FILE, window.digest or ""
            self._take()
        self._taken = len(self._parts)
        self.others = [task for task in tasks if name_of(task[1]) not in self._parts]

    @property
    def counts(self) -> PartCounts:
        """What they add up to; with rows since `begin`, if that is a moment."""
        since = {self._begin: self._since} if self._begin else {}
        return PartCounts(self._summary, tally_of(self._numbers), self._tally.sample, since)

    @property
    def _numbers(self) -> dict[str, int]:
        return {name: getattr(self._tally, name) for name in NUMBERS}

    def add(self, part: Part, counts: PartCounts, since: Summary | None) -> None:
        """Add a part that no look to come tells apart, if it is closed and whole."""
        tally, stamp = counts.tally, self._stamps.get(name_of(part))
        if stamp and tally.closed and tally.complete and part.day != date.min:
            self._parts[name_of(part)] = stamp
            self._summary = self._summary + counts.summary
            self._since = self._since + since if since else self._since
            self._tally.add_part(tally, counts.rows)

    def keep(self) -> None:
        """Write the sum, if there is more in it and this process may."""
        if self._until is None or len(self._parts) == self._taken:
            return
        mask, rows, times = self._tally.sample
        kept = _KeptSum(
            model=self._model,
            parts=self._parts,
            until=self._until,
            begin=self._begin,
            summary=KeptSummary.of(self._summary),
            since=KeptSummary.of(self._since),
            numbers=self._numbers,
            mask=mask,
            rows=rows.astype("<u8").tobytes(),
            times=Array.of(times),
        )
        with suppress(OSError):
            self._artifacts.write(self._path, msgspec.msgpack.encode(kept))

    def _take(self) -> None:
        """Take the sum that was kept, if it is of this model, golden and moment, and of parts as they lie now."""
        with suppress(FormatError, OSError, *NOT_KEPT):
            kept = msgspec.msgpack.decode(read_bytes(self._path, limit=_MOST_BYTES), type=_KeptSum)
            of = (kept.format, kept.model, kept.summary.grid, kept.begin)
            if (
                of == (1, self._model, self._reference.golden.counts.grid, self._begin)
                and {*kept.numbers} == {*NUMBERS}
                and self._until
                and kept.until <= self._until
                and kept.parts.items() <= self._stamps.items()
            ):
                shape = self._reference.grid.points.size, self._reference.bins.edges.size + 1
                summary, since = kept.summary.summary(*shape), kept.since.summary(*shape)
                tally = tally_of(kept.numbers)
                rows = np.frombuffer(kept.rows, dtype="<u8")
                tally.add_part(Tally(), Sample(kept.mask, rows, kept.times.unpacked().astype(np.int64)))
                self._parts, self._summary, self._since, self._tally = dict(kept.parts), summary, since, tally


def name_of(part: Part) -> str:
    """Name a part of an arm, as files that are kept do."""
    return f"{part.day}/{part.path.name}"


def stamp_of(path: Path) -> Stamp | None:
    """Say how a file lies on the disk: no program that writes to it can set the time of its change back."""
    with suppress(OSError):
        found = os.lstat(path)
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return None
