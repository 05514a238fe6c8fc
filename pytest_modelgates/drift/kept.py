"""Counts as bytes: what was counted once is kept in a file, for as long as what it was counted of stays the same."""

import zlib
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from .counts import Counts, Grid, Integers
from .index import Bins
from .summary import Reference, Summary

NOT_KEPT = (msgspec.DecodeError, zlib.error, ValueError, TypeError)
_MOST_BYTES = 2**28  # of an array when it is unpacked


class Array(msgspec.Struct, frozen=True, array_like=True):
    """An array of numbers, packed."""

    dtype: str
    shape: tuple[int, ...]
    packed: bytes

    @classmethod
    def of(cls, values: NDArray[Any]) -> "Array":
        """Pack an array."""
        values = values.astype(values.dtype.newbyteorder("<"))
        return cls(values.dtype.str, values.shape, zlib.compress(values.tobytes(), 1))

    def unpacked(self) -> NDArray[Any]:
        """Unpack it.

        Raises
        ------
        ValueError
            If it is larger than any that was packed, or not of its shape.
        """
        content = zlib.decompressobj().decompress(self.packed, _MOST_BYTES)
        return np.frombuffer(content, dtype=np.dtype(self.dtype)).reshape(self.shape)


def _of_counts(counts: Integers) -> Array:
    """Pack counts in the smallest integers that hold them."""
    return Array.of(counts.astype(np.min_scalar_type(counts.max(initial=0))))


class KeptSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A `Summary`: its cells, its days and their pieces."""

    grid: str
    cells: Array
    nan: int
    lowest: int
    highest: int
    days: tuple[int, ...]
    pieces: Array
    undated: int

    @classmethod
    def of(cls, summary: Summary) -> "KeptSummary":
        """Pack a summary."""
        counts, days = summary.counts, sorted(summary.days)
        pieces = np.array([summary.days[day] for day in days], dtype=np.int64)
        return cls(
            grid=counts.grid,
            cells=_of_counts(counts.cells),
            nan=counts.nan,
            lowest=counts.lowest,
            highest=counts.highest,
            days=tuple(days),
            pieces=_of_counts(pieces),
            undated=summary.undated,
        )

    def summary(self, points: int, pieces_of_a_day: int | None = None) -> Summary:
        """Unpack it, for a grid of so many points.

        Raises
        ------
        ValueError
            As `Array.unpacked` does, or if it is of another grid or of other bins.
        """
        pieces = self.pieces.unpacked().astype(np.int64)
        widths = {each.size for each in pieces} - {pieces_of_a_day or pieces.shape[-1]}
        if self.cells.shape != (2 * points + 1,) or widths:
            raise ValueError("counts in another number of cells")
        counts = Counts.of_cells(
            self.grid,
            self.cells.unpacked().astype(np.int64),
            nan=self.nan,
            lowest=self.lowest,
            highest=self.highest,
        )
        return Summary(counts=counts, days=dict(zip(self.days, pieces, strict=True)), undated=self.undated)


class KeptReference(msgspec.Struct, frozen=True, kw_only=True):
    """A `Reference`, and the name of the golden that it was prepared from, such as the digest of its file."""

    golden: str
    points: Array
    whole: bool
    summary: KeptSummary
    format: int = 1


def keep_reference(reference: Reference, golden: str) -> bytes:
    """Give a reference as bytes, with the name of its golden, by which it is found to be that golden's."""
    kept = KeptReference(
        golden=golden,
        points=Array.of(reference.grid.points),
        whole=reference.grid.whole,
        summary=KeptSummary.of(reference.golden),
    )
    return msgspec.msgpack.encode(kept)


def kept_reference(content: bytes, golden: str) -> Reference:
    """Read a reference.

    Raises
    ------
    FormatError
        If it is not one, or of another golden.
    """
    try:
        kept = msgspec.msgpack.decode(content, type=KeptReference)
        if kept.format != 1 or kept.golden != golden:
            raise FormatError("counts of another golden, or in another format: count again")
        points = kept.points.unpacked()
        summary = kept.summary.summary(points.size)
    except NOT_KEPT as error:
        raise FormatError(f"not counts of a golden ({error}): count again") from error
    grid = Grid(points.astype(points.dtype.newbyteorder("=")), summary.counts, kept.whole)
    bins = Bins.of(grid)
    if any(pieces.size != bins.edges.size + 1 for pieces in summary.days.values()):
        raise FormatError("not counts of a golden (its days have other bins): count again")
    return Reference(grid, bins, summary)
