"""What the parts of the prediction log add up to. A closed part is read once, and an open one is read on.

Beside each part lies a file of what was counted of it, for one model and its golden. It may be deleted at any time.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

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
    format: int = 1


def count_parts(
    artifacts: Artifacts, arm: Arm, digest: str, reference: Reference, tally: Tally
) -> Iterator[tuple[Part, Summary]]:
    """Count the predictions of a model, part by part, the oldest part first.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    digest : str
        The model's.
    reference : Reference
        Its golden.
    tally : Tally
        Is added to.
    """
    for part in parts(artifacts, arm):
        yield part, _count(artifacts, part, digest, reference, tally)


def _count(artifacts: Artifacts, part: Part, model: str, reference: Reference, tally: Tally) -> Summary:
    kept = _kept(part, model, reference)
    if kept and _is_of(part, kept):
        tally.add_part(tally_of(kept.numbers), (kept.mask, kept.sample.unpacked().tolist()))
        return _summary_in(kept, reference)
    reading, own, rows = Reading(), Tally(), np.empty(0, dtype=_ROW)
    if kept and kept.rows and part.path.suffix == JSON_LINES:
        at = resumed(part, lines=kept.lines, size=kept.size, digest=kept.digest)
        if at:
            # Every part is counted once, as what it is now.
            own = tally_of(kept.numbers | dict.fromkeys(("parts", "closed", "torn"), 0))
            reading, rows = at, _rows_of(kept.rows)
    new = _read(asked_for(part, Window(digest=model), own, reading))
    rows, before = np.concatenate([rows, new]), rows.size
    last = _last(rows)
    own.replaced += rows.size - last.size
    own.counted = last.size
    summary = _summary_of(last, reference)
    distinct = Distinct(_SAMPLED)
    distinct.add_numbers(last["row"][~last["alike"]].tolist())
    tally.add_part(own, distinct.sample)
    # A reading with something wrong is made again, to say what. A part of version 0.1 is soon moved.
    if own.complete and part.day != date.min and (new.size or reading.closing or not before):
        _keep(artifacts, part, model, reading, own, summary, distinct, last)
    return summary


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


def _read(records: Iterable[Prediction]) -> Rows:
    found = [
        (row_number(record.row_key), record.prediction, _day(record), record.goes_by_content)
        for record in records
        if record.prediction is not None
    ]
    return np.array(found, dtype=_ROW)


def _day(record: Prediction) -> int:
    try:  # not `suppress`, which takes as long as all the rest
        return record.day.toordinal() - EPOCH
    except StatisticsError:
        return _UNDATED


def _last(rows: Rows) -> Rows:
    """Leave the last prediction of each row, where something names it."""
    named = np.flatnonzero(~rows["alike"])[::-1]
    keep = rows["alike"].copy()
    keep[named[np.unique(rows["row"][named], return_index=True)[1]]] = True
    last: Rows = rows[keep]
    return last


def _summary_of(rows: Rows, reference: Reference) -> Summary:
    if not rows.size:
        return reference.none()
    dated = not (rows["day"] == _UNDATED).any()
    return reference.count(rows["value"], days=rows["day"] if dated else None)


def _keep(
    artifacts: Artifacts,
    part: Part,
    model: str,
    reading: Reading,
    own: Tally,
    summary: Summary,
    distinct: Distinct,
    rows: Rows,
) -> None:
    """Write what was counted, if this process may; otherwise it is counted again next time."""
    mask, sample = distinct.sample
    with suppress(OSError):
        size, changed = _stamp(part)
        kept = _KeptPart(
            model=model,
            summary=KeptSummary.of(summary),
            numbers={name: getattr(own, name) for name in NUMBERS},
            mask=mask,
            sample=Array.of(np.array(sample, dtype=np.uint64)),
            closing=reading.closing.sha256 if reading.closing else None,
            lines=reading.lines,
            size=size if reading.closing else reading.size,
            changed=changed,
            digest=reading.digest,
            rows=None if reading.closing else Array.of(np.frombuffer(rows.tobytes(), dtype=np.uint8)),
        )
        artifacts.write(_place(part), msgspec.msgpack.encode(kept))
