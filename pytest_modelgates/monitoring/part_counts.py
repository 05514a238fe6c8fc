"""What the parts of the prediction log add up to. A closed part is read once, and an open one is read on.

Beside each part lies a file of what was counted of it, for one model and its golden. It may be deleted at any time.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..drift.kept import NOT_KEPT, Array, KeptSummary
from ..drift.summary import Reference, Summary
from ..errors import FormatError, StatisticsError
from ..predictions.counting import NUMBERS, Distinct, Tally, Window, asked_for, row_number, tally_of
from ..predictions.parts import JSON_LINES, Part, parts
from ..predictions.reading import Reading, closing_on_disk, resumed
from ..predictions.records import Arm, Prediction
from ..storage.strict_json import read_bytes

SUFFIX = ".counts"
EPOCH = date(1970, 1, 1).toordinal()
_MOST_BYTES = 2**30
_SAMPLED = 2**13  # rows of a part that are kept, to tell how many come again in another
_UNDATED = int(np.iinfo(np.int64).min)
_ROW = np.dtype([("row", "u8"), ("value", "f8"), ("day", "i8"), ("alike", "?")])
Rows = NDArray[Any]


class PartCounts(NamedTuple):
    """What was counted of a part: predictions, what became of its lines, and a sample of its rows."""

    summary: Summary
    tally: Tally
    rows: tuple[int, list[int]]


Span = tuple[datetime, datetime]  # when the first and the last record of the model was scored
Task = tuple[Artifacts, Part, Window]


class _KeptPart(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of a part for one model, and of which bytes.

    `closing` is the digest in the line that closes the part. Of an open one, `lines`, `size` and `digest` say how far
    it was read, and `rows` holds what was read: a row that is scored again replaces the one before.
    """

    model: str
    summary: KeptSummary
    numbers: dict[str, int]
    mask: int
    sample: Array
    closing: str | None
    lines: int
    size: int
    changed: int
    digest: str
    rows: Array | None
    span: Span | None = None
    format: int = 1


def tasks_of(artifacts: Artifacts, arm: Arm, window: Window) -> list[Task]:
    """List the parts that may hold records of the window, the oldest first, as `count_part` takes them."""
    return [(artifacts, part, window) for part in parts(artifacts, arm, since=window.first_day)]


def count_part(reference: Reference, task: Task) -> PartCounts:
    """Count the predictions of a model in a part.

    Parameters
    ----------
    reference : Reference
        The model's golden.
    task : tuple of Artifacts, Part and Window
        The window names the model.
    """
    artifacts, part, window = task
    assert window.digest is not None
    whole, span = _whole(artifacts, part, window.digest, reference)
    tally = whole.tally
    found = tally.counted + tally.replaced + tally.failed
    if not found or (window.since, window.until) == (None, None) or (span and all(map(window.holds, span))):
        return whole
    if span and ((window.until and span[0] >= window.until) or (window.since and span[1] < window.since)):
        outside = replace(tally, counted=0, replaced=0, failed=0, outside=found)
        return PartCounts(reference.none(), outside, (0, []))
    own = Tally()
    rows, _ = _read(asked_for(part, window, own, Reading()))
    return _counted(_last(rows, own), own, reference)


def add_parts(found: Iterable[PartCounts], reference: Reference, tally: Tally) -> Summary:
    """Add up what was counted of parts; the tally is added to."""
    total = reference.none()
    for part in found:
        total = total + part.summary
        tally.add_part(part.tally, part.rows)
    return total


def _whole(artifacts: Artifacts, part: Part, model: str, reference: Reference) -> tuple[PartCounts, Span | None]:
    """Count all of a part, or take what was kept of it."""
    kept = _kept(part, model, reference)
    if kept and _is_of(part, kept):
        rows_kept = (kept.mask, kept.sample.unpacked().tolist())
        return PartCounts(_summary_in(kept, reference), tally_of(kept.numbers), rows_kept), kept.span
    reading, own, rows, span = Reading(), Tally(), np.empty(0, dtype=_ROW), None
    if kept and kept.rows and part.path.suffix == JSON_LINES:
        at = resumed(part, lines=kept.lines, size=kept.size, digest=kept.digest)
        if at:
            # Every part is counted once, as what it is now.
            own = tally_of(kept.numbers | dict.fromkeys(("parts", "closed", "torn"), 0))
            reading, rows, span = at, _rows_of(kept.rows), kept.span
    known, before = span is not None or not (own.counted + own.replaced + own.failed), rows.size
    new, of_new = _read(asked_for(part, Window(digest=model), own, reading))
    ends = [*(span or ()), *(of_new or ())]
    span = (min(ends), max(ends)) if known and ends else None
    last = _last(np.concatenate([rows, new]), own)
    counted = _counted(last, own, reference)
    # A reading with something wrong is made again, to say what. A part of version 0.1 is soon moved.
    if own.complete and part.day != date.min and (new.size or reading.closing or not before):
        _keep(artifacts, part, model, reading, counted, last, span)
    return counted, span


def _counted(last: Rows, own: Tally, reference: Reference) -> PartCounts:
    distinct = Distinct(_SAMPLED)
    distinct.add_numbers(last["row"][~last["alike"]].tolist())
    return PartCounts(_summary_of(last, reference), own, distinct.sample)


def _kept(part: Part, model: str, reference: Reference) -> _KeptPart | None:
    """Read what was counted of a part, if it was for this model and its golden."""
    with suppress(FormatError, OSError, *NOT_KEPT):
        kept = msgspec.msgpack.decode(read_bytes(_place(part), limit=_MOST_BYTES), type=_KeptPart)
        of = (kept.format, kept.model, kept.summary.grid)
        if of == (1, model, reference.golden.counts.grid) and {*kept.numbers} == {*NUMBERS}:
            _summary_in(kept, reference)  # raises if its arrays are damaged
            kept.sample.unpacked()
            if kept.rows:
                _rows_of(kept.rows)
            return kept
    return None


def _summary_in(kept: _KeptPart, reference: Reference) -> Summary:
    return kept.summary.summary(reference.grid.points.size, reference.bins.edges.size + 1)


def _place(part: Part) -> Path:
    return part.path.with_suffix(SUFFIX)


def _is_of(part: Part, kept: _KeptPart) -> bool:
    """Whether a part is closed and still what was counted."""
    closing = closing_on_disk(part) if kept.closing else None
    if closing is None or closing.sha256 != kept.closing:
        return False
    # What compact made of it has the same closing line.
    return part.path.suffix != JSON_LINES or (kept.size, kept.changed) == _stamp(part)


def _stamp(part: Part) -> tuple[int, int]:
    """Size of a part, and when it changed last [ns]."""
    found = part.path.stat()
    return found.st_size, found.st_mtime_ns


def _rows_of(packed: Array) -> Rows:
    rows: Rows = np.frombuffer(packed.unpacked().tobytes(), dtype=_ROW)
    return rows


def _read(records: Iterable[Prediction]) -> tuple[Rows, Span | None]:
    """Read the rows that have a prediction, and when the first and the last of all was scored."""
    found, first, last = [], None, None
    for record in records:
        time = record.time
        if first is None or last is None:
            first = last = time
        elif time > last:
            last = time
        elif time < first:
            first = time
        if record.prediction is not None:
            found.append((row_number(record.row_key), record.prediction, _day(record), record.goes_by_content))
    return np.array(found, dtype=_ROW), (first, last) if first and last else None


def _day(record: Prediction) -> int:
    try:  # not `suppress`, which takes as long as all the rest
        return record.day.toordinal() - EPOCH
    except StatisticsError:
        return _UNDATED


def _last(rows: Rows, own: Tally) -> Rows:
    """Leave the last prediction of each row, where something names it."""
    named = np.flatnonzero(~rows["alike"])[::-1]
    keep = rows["alike"].copy()
    keep[named[np.unique(rows["row"][named], return_index=True)[1]]] = True
    last: Rows = rows[keep]
    own.replaced += rows.size - last.size
    own.counted = last.size
    return last


def _summary_of(rows: Rows, reference: Reference) -> Summary:
    if not rows.size:
        return reference.none()
    dated = not (rows["day"] == _UNDATED).any()
    return reference.count(rows["value"], days=rows["day"] if dated else None)


def _keep(
    artifacts: Artifacts, part: Part, model: str, reading: Reading, counted: PartCounts, rows: Rows, span: Span | None
) -> None:
    """Write what was counted, if this process may; otherwise it is counted again next time."""
    mask, sample = counted.rows
    with suppress(OSError):
        size, changed = _stamp(part)
        kept = _KeptPart(
            model=model,
            summary=KeptSummary.of(counted.summary),
            numbers={name: getattr(counted.tally, name) for name in NUMBERS},
            mask=mask,
            sample=Array.of(np.array(sample, dtype=np.uint64)),
            closing=reading.closing.sha256 if reading.closing else None,
            lines=reading.lines,
            size=size if reading.closing else reading.size,
            changed=changed,
            digest=reading.digest,
            rows=None if reading.closing else Array.of(np.frombuffer(rows.tobytes(), dtype=np.uint8)),
            span=span,
        )
        artifacts.write(_place(part), msgspec.msgpack.encode(kept))
