"""Counts that were kept are those that were made, or are refused."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.drift.kept import Array, KeptReference, KeptSummary, keep_reference, kept_reference
from pytest_modelgates.drift.summary import Reference, Summary
from pytest_modelgates.errors import FormatError

DIGEST = "0" * 64
VALUES = st.lists(st.floats(-2, 2) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=80)


def as_lists(summary: Summary) -> list[Any]:
    days = {day: pieces.tolist() for day, pieces in summary.days.items()}
    counts = summary.counts
    return [counts.grid, counts.cells.tolist(), counts.nan, counts.lowest, counts.highest, days, summary.undated]


@settings(deadline=None)
@given(golden=VALUES, current=VALUES, dated=st.booleans())
def test_what_was_kept_is_what_was_counted(golden: list[float], current: list[float], dated: bool) -> None:
    days = np.arange(len(golden)) // 7 if dated else None
    reference = Reference.of([*golden, np.nan], days=None if days is None else np.append(days, 0))
    again = kept_reference(keep_reference(reference, DIGEST), DIGEST)
    assert again.grid.points.tolist() == reference.grid.points.tolist()
    assert again.grid.points.dtype == reference.grid.points.dtype
    assert again.bins.names == reference.bins.names
    assert as_lists(again.golden) == as_lists(reference.golden)
    summary = reference.count(current, days=np.arange(len(current)))
    assert as_lists(KeptSummary.of(summary).summary(reference.grid.points.size)) == as_lists(summary)
    assert as_lists(again.count(current, days=np.arange(len(current)))) == as_lists(summary)


def test_large_integers_are_kept_exactly() -> None:
    reference = Reference.of([2**53, 2**53 + 1])
    assert kept_reference(keep_reference(reference, DIGEST), DIGEST).grid.points.tolist() == [2**53, 2**53 + 1]


def spoiled(**changes: Any) -> bytes:
    reference = Reference.of(np.arange(100.0), days=np.arange(100) // 10)
    kept = msgspec.msgpack.decode(keep_reference(reference, DIGEST), type=KeptReference)
    summary = msgspec.structs.replace(kept.summary, **changes.pop("summary", {}))
    return msgspec.msgpack.encode(msgspec.structs.replace(kept, summary=summary, **changes))


BAD = [
    pytest.param(b"", "not counts of a golden", id="empty"),
    pytest.param(b"\xc1", "not counts of a golden", id="noise"),
    pytest.param(spoiled(golden="1" * 64), "counts of another golden, or in another format", id="another-golden"),
    pytest.param(spoiled(format=2), "counts of another golden, or in another format", id="a-later-format"),
    pytest.param(spoiled(points=Array.of(np.arange(9.0))), "counts in another number of cells", id="other-points"),
    pytest.param(spoiled(points=Array("<f8", (100,), b"x")), "not counts of a golden", id="not-packed"),
    pytest.param(spoiled(points=Array("<f8", (7,), Array.of(np.arange(9.0)).packed)), "cannot reshape", id="shape"),
    pytest.param(spoiled(points=Array("O", (1,), Array.of(np.arange(9.0)).packed)), "not counts", id="objects"),
    pytest.param(
        spoiled(summary={"pieces": Array.of(np.ones((10, 3), dtype=np.int64))}), "its days have other bins", id="bins"
    ),
    pytest.param(spoiled(summary={"days": (1, 2)}), "not counts of a golden", id="fewer-days"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_what_is_not_counts_of_this_golden_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        kept_reference(content, DIGEST)
