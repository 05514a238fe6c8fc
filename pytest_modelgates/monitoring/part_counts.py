"""What the parts of the prediction log add up to. A closed part is read once, and an open one is read on.

Beside each part lies a file of what was counted of it, for one model and its golden. It may be deleted at any time.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..drift.kept import NOT_KEPT, KeptSummary
from ..drift.summary import Reference, Summary
from ..errors import FormatError
from ..predictions.columns import UNDATED, Columns, microseconds, moment
from ..predictions.counting import NUMBERS, Read, Sample, Tally, Window, asked_columns, tally_of
from ..predictions.parts import JSON_LINES, Part, parts
from ..predictions.reading import Reading, closing_on_disk, read_columns, resumed
from ..predictions.records import Arm
from ..storage.strict_json import read_bytes

SUFFIX = ".counts"
EPOCH = date(1970, 1, 1).toordinal()
_MOST_BYTES = 2**30
_SAMPLED = 2**13  # rows of a part that are kept, to tell how many come again in another
_ROW = np.dtype([("row", "<u8"), ("value", "<f8"), ("day", "<i8"), ("time", "<i8"), ("alike", "?")])
Rows = NDArray[Any]


class PartCounts(NamedTuple):
    """What was counted of a part: predictions, what became of its lines, and a sample of its rows.

    `since` has the predictions that were scored from each of some moments on.
    """

    summary: Summary
    tally: Tally
    rows: Sample
    since: Mapping[datetime, Summary] = MappingProxyType({})


Span = tuple[datetime, datetime]  # when the first and the last record of the model was scored
Task = tuple[Artifacts, Part, Window, tuple[datetime, ...]]


class _KeptPart(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of a part for one model, and of which bytes.

    `closing` is the digest in the line that closes the part. Of an open one, `lines`, `size` and `digest` say how far
    it was read, and `rows` holds what was read: a row that is scored again replaces the one before.
    """

    model: str
    summary: KeptSummary
    numbers: dict[str, int]
    mask: int
    sample: bytes
    closing: str | None
    lines: int
    size: int
    changed: int
    digest: str
    rows: bytes | None
    span: Span | None = None
    format: int = 2


def tasks_of(artifacts: Artifacts, arm: Arm, window: Window) -> list[Task]:
    """List the parts that may hold records of the window, the oldest first, as `count_part` takes them."""
    return [(artifacts, part, window, ()) for part in parts(artifacts, arm, since=window.first_day)]


def count_part(reference: Reference, task: Task, *, read: Read = read_columns) -> PartCounts:
    """Count the predictions of a model in a part.

    Parameters
    ----------
    reference : Reference
        The model's golden.
    task : tuple of Artifacts, Part, Window, and moments
        The window names the model. Of the whole part, rows are also counted from each of the moments on.
    read : callable, optional
        Reads a part.
    """
    artifacts, part, window, moments = task
    assert window.digest is not None
    whole, span, rows = _whole(artifacts, part, window.digest, reference, read)
    tally = whole.tally
    if moments and tally.counted:
        since = _since(moments, whole.summary, span, rows, reference, lambda: _all_rows(part, window, read))
        whole = whole._replace(since=since)
    found = tally.counted + tally.replaced + tally.failed
    if not found or (window.since, window.until) == (None, None) or (span and all(map(window.holds, span))):
        return whole
    if span and ((window.until and span[0] >= window.until) or (window.since and span[1] < window.since)):
        outside = dataclasses.replace(tally, counted=0, replaced=0, failed=0, outside=found)
        return PartCounts(reference.none(), outside, Sample.once(np.empty(0, dtype=np.uint64)))
    own = Tally()
    rows, _ = _read(asked_columns(part, window, own, Reading(), read=read))
    return _counted(_last(rows, own), own, reference)


def _since(
    moments: Iterable[datetime],
    whole: Summary,
    span: Span | None,
    rows: Rows | None,
    reference: Reference,
    read: Callable[[], Rows],
) -> dict[datetime, Summary]:
    """Count the rows that were scored from each moment on; what is kept of a closed part is not by the hour."""
    found = dict[datetime, Summary]()
    for time in moments:
        if span and time <= span[0]:
            found[time] = whole
        elif not span or time <= span[1]:
            rows = read() if rows is None else rows
            found[time] = _summary_of(rows[rows["time"] >= microseconds(time)], reference)
    return found


def _all_rows(part: Part, window: Window, read: Read) -> Rows:
    own = Tally()
    return _last(_read(asked_columns(part, Window(digest=window.digest), own, Reading(), read=read))[0], own)


def add_parts(found: Iterable[PartCounts], reference: Reference, tally: Tally) -> Summary:
    """Add up what was counted of parts; the tally is added to."""
    total = reference.none()
    for part in found:
        total = total + part.summary
        tally.add_part(part.tally, part.rows)
    return total


def _whole(
    artifacts: Artifacts, part: Part, model: str, reference: Reference, read: Read
) -> tuple[PartCounts, Span | None, Rows | None]:
    """Count all of a part, or take what was kept of it; its rows are there if it was read."""
    kept, counted = _kept(part, model, reference) or (None, None)
    if kept and counted and _is_of(part, kept):
        return counted, kept.span, None
    reading, own, rows, span = Reading(), Tally(), np.empty(0, dtype=_ROW), None
    if kept and kept.rows is not None and part.path.suffix == JSON_LINES:
        at = resumed(part, lines=kept.lines, size=kept.size, digest=kept.digest)
        if at:
            # Every part is counted once, as what it is now.
            own = tally_of(kept.numbers | dict.fromkeys(("parts", "closed", "torn"), 0))
            reading, rows, span = at, _rows_of(kept.rows), kept.span
    known, before = span is not None or not (own.counted + own.replaced + own.failed), rows.size
    new, of_new = _read(asked_columns(part, Window(digest=model), own, reading, read=read))
    ends = [*(span or ()), *(of_new or ())]
    span = (min(ends), max(ends)) if known and ends else None
    last = _last(np.concatenate([rows, new]) if rows.size else new, own)
    counted = _counted(last, own, reference)
    # A reading with something wrong is made again, to say what. A part of version 0.1 is soon moved.
    if own.complete and part.day != date.min and (new.size or reading.closing or not before):
        _keep(artifacts, part, model, reading, counted, last, span)
    return counted, span, last


def _counted(last: Rows, own: Tally, reference: Reference) -> PartCounts:
    return PartCounts(_summary_of(last, reference), own, Sample.once(last["row"][~last["alike"]]).up_to(_SAMPLED))


def _kept(part: Part, model: str, reference: Reference) -> tuple[_KeptPart, PartCounts] | None:
    """Read what was counted of a part, if it was for this model and its golden."""
    with suppress(FormatError, OSError, *NOT_KEPT):
        kept = msgspec.msgpack.decode(read_bytes(_place(part), limit=_MOST_BYTES), type=_KeptPart)
        of = (kept.format, kept.model, kept.summary.grid)
        if of == (2, model, reference.golden.counts.grid) and {*kept.numbers} == {*NUMBERS}:
            # These raise if arrays are damaged.
            summary = kept.summary.summary(reference.grid.points.size, reference.bins.edges.size + 1)
            sample = np.frombuffer(kept.sample, dtype="<u8")
            if kept.rows is not None:
                _rows_of(kept.rows)
            return kept, PartCounts(summary, tally_of(kept.numbers), Sample.once(sample, kept.mask))
    return None


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


def _rows_of(kept: bytes) -> Rows:
    rows: Rows = np.frombuffer(kept, dtype=_ROW)
    return rows


def _read(found: Iterable[Columns]) -> tuple[Rows, Span | None]:
    """Read the rows that have a prediction, and when the first and the last of all was scored."""
    blocks, ends = [np.empty(0, dtype=_ROW)], list[int]()
    for columns in found:
        if len(columns):
            ends += [int(columns.time.min()), int(columns.time.max())]
        scored = ~columns.failed
        block = np.empty(np.count_nonzero(scored), dtype=_ROW)
        for name, of in (("row", "row"), ("value", "prediction"), ("day", "day"), ("time", "time"), ("alike", "alike")):
            values = getattr(columns, of)
            block[name] = values if block.size == values.size else values[scored]
        blocks.append(block)
    return np.concatenate(blocks), (moment(min(ends)), moment(max(ends))) if ends else None


def _last(rows: Rows, own: Tally) -> Rows:
    """Leave the last prediction of each row, where something names it."""
    last: Rows = rows
    named = rows["row"][~rows["alike"]]
    if _any_twice(named):
        places = np.flatnonzero(~rows["alike"])[::-1]
        keep = rows["alike"].copy()
        keep[places[np.unique(named[::-1], return_index=True)[1]]] = True
        last = rows[keep]
    own.replaced += rows.size - last.size
    own.counted = last.size
    return last


def _any_twice(numbers: NDArray[np.uint64]) -> bool:
    """Say whether a number comes again; their last bits are as good as random."""
    size = 2 ** (4 * numbers.size).bit_length()
    place = (numbers & np.uint64(size - 1)).astype(np.intp)
    last = np.empty(size, dtype=np.intp)  # what is at a place that no number has is not looked at
    last[place] = np.arange(numbers.size)
    newest = last[place]
    earlier = np.flatnonzero(newest != np.arange(numbers.size))  # another has its place
    ordered = np.sort(numbers[earlier])
    return bool((numbers[earlier] == numbers[newest[earlier]]).any() or (ordered[1:] == ordered[:-1]).any())


def _summary_of(rows: Rows, reference: Reference) -> Summary:
    if not rows.size:
        return reference.none()
    undated = rows["day"] == UNDATED
    if not undated.any():
        return reference.count(rows["value"], days=rows["day"])
    found, dated = reference.count(rows["value"][undated]), rows[~undated]
    return found + reference.count(dated["value"], days=dated["day"]) if dated.size else found


def _keep(
    artifacts: Artifacts, part: Part, model: str, reading: Reading, counted: PartCounts, rows: Rows, span: Span | None
) -> None:
    """Write what was counted, if this process may; otherwise it is counted again next time."""
    mask, sample, _ = counted.rows
    with suppress(OSError):
        size, changed = _stamp(part)
        kept = _KeptPart(
            model=model,
            summary=KeptSummary.of(counted.summary),
            numbers={name: getattr(counted.tally, name) for name in NUMBERS},
            mask=mask,
            sample=sample.astype("<u8").tobytes(),
            closing=reading.closing.sha256 if reading.closing else None,
            lines=reading.lines,
            size=size if reading.closing else reading.size,
            changed=changed,
            digest=reading.digest,
            rows=None if reading.closing else rows.tobytes(),
            span=span,
        )
        artifacts.write(_place(part), msgspec.msgpack.encode(kept))
