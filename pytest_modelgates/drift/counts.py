"""Counts of a sample over a grid of the golden's own order statistics. They are exact, and they add up."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .buckets import Buckets
from .columns import Column, chunks, column, comparable, distinct, widened

POINTS = 16_384
_LARGE = 2**18  # values that were counted from which on a table is worth its making
# The points of a golden of so many values are taken from so many of them.
_LONG, _DRAWN = 2**21, 2**19
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Counts:
    """How many values of a sample lie below and up to each point of a grid, and how many are not finite.

    Parameters
    ----------
    grid : str
        Digest of the grid.
    below, up_to : ndarray of int64, shape (n_points,)
        Finite values less than each point, and at most it [count].
    finite, nan, lowest, highest : int
        Finite values in all; NaN or missing ones; minus and plus infinity [count].
    """

    grid: str
    below: Integers
    up_to: Integers
    finite: int = 0
    nan: int = 0
    lowest: int = 0
    highest: int = 0

    def __add__(self, other: Self) -> "Counts":
        """Count both samples as one.

        Raises
        ------
        StatisticsError
            If they were counted over different grids.
        """
        if self.grid != other.grid:
            raise StatisticsError("counts over the grids of two goldens do not add up: count both over one of them")
        return Counts(
            grid=self.grid,
            below=self.below + other.below,
            up_to=self.up_to + other.up_to,
            finite=self.finite + other.finite,
            nan=self.nan + other.nan,
            lowest=self.lowest + other.lowest,
            highest=self.highest + other.highest,
        )

    @property
    def rows(self) -> int:
        """All values, finite or not."""
        return self.finite + self.missing

    @property
    def missing(self) -> int:
        """Values that are NaN, missing or infinite."""
        return self.nan + self.lowest + self.highest

    @property
    def cells(self) -> Integers:
        """Values below the first point, at it, between it and the next, at that, and so on; shape (2 n_points + 1,)."""
        between = np.ravel([self.below, self.up_to], order="F")
        return np.diff(between, prepend=0, append=self.finite)

    @classmethod
    def of_cells(cls, grid: str, cells: Integers, *, nan: int = 0, lowest: int = 0, highest: int = 0) -> "Counts":
        """Give the counts that have these cells."""
        sums = np.cumsum(cells)
        return cls(
            grid=grid,
            below=sums[:-1:2],
            up_to=sums[1:-1:2],
            finite=int(sums[-1]),
            nan=nan,
            lowest=lowest,
            highest=highest,
        )


@dataclass(frozen=True, eq=False)
class Grid:
    """Values of a golden, ascending, over which other samples are counted.

    Parameters
    ----------
    points : ndarray, shape (n_points,)
        Every distinct value, or so many order statistics, the smallest and the largest among them. No value lies
        between two points that makes up more than its share, 1 / n_points.
    golden : Counts
        The golden's own.
    whole : bool
        Whether every distinct value of the golden is a point, so that nothing of it lies between two.
    """

    points: Column
    golden: Counts
    whole: bool
    _seen: list[int] = field(default_factory=lambda: [0], repr=False)

    @classmethod
    def of(cls, golden: ArrayLike, *, points: int = POINTS) -> "Grid":
        """Take the grid of a golden.

        Parameters
        ----------
        golden : array_like, shape (n,)
            As `columns.column` reads it.
        points : int, optional
            Most points of the grid.

        Raises
        ------
        StatisticsError
            If the golden cannot be read, or none of its values is a finite number.
        """
        values = column(golden, name="golden")
        if values.size >= _LONG and values.dtype == np.float64 and (grid := cls._of_some(values, points)):
            return grid
        ordered = np.sort(values)
        lowest, end, nan = _ends(ordered)
        finite = ordered[lowest:end]
        if not finite.size:
            raise StatisticsError(f"golden has {ordered.size} values, none of them finite: give one that is")
        chosen, whole = _chosen(finite, points)
        below, up_to = (
            np.searchsorted(*comparable(finite, chosen), side=side).astype(np.int64) for side in ("left", "right")
        )
        return cls._with(
            chosen,
            Counts(
                grid="",
                below=below,
                up_to=up_to,
                finite=finite.size,
                nan=ordered.size - nan,
                lowest=lowest,
                highest=nan - end,
            ),
            whole,
        )

    @classmethod
    def _of_some(cls, values: Column, points: int) -> "Grid | None":
        """Take the points of a long golden from a part of it, and count all of it; None if that is not enough."""
        drawn = values[np.random.default_rng(0).integers(0, values.size, _DRAWN)]  # a stride may follow the assets
        finite = np.sort(drawn[np.isfinite(drawn)])
        with np.errstate(over="ignore", invalid="ignore"):
            ends = [values.min(), values.max()]
            if not np.isfinite(ends).all():
                every = values[np.isfinite(values)]
                ends = [every.min(), every.max()] if every.size else []
        if not ends or not finite.size:
            return None
        chosen, whole = _chosen(np.concatenate([ends[:1], finite, ends[1:]]), points)
        draft = cls(chosen, Counts(grid="", below=np.arange(chosen.size), up_to=np.arange(chosen.size) + 1), False)
        if draft._buckets is None:
            return None
        counts = draft.count(values)
        # Values that were not drawn may be few or many: then there is more than one way to choose the points.
        if whole and counts.cells[::2].any():
            return None
        return cls._with(chosen, counts, whole)

    @classmethod
    def _with(cls, points: Column, golden: Counts, whole: bool) -> "Grid":
        content = points.tobytes() + golden.below.tobytes() + golden.up_to.tobytes()
        digest = hashlib.sha256(points.dtype.str.encode() + content).hexdigest()
        return cls(points, replace(golden, grid=digest), whole)

    def none(self) -> Counts:
        """Count nothing yet."""
        zeros = np.zeros(self.points.size, dtype=np.int64)
        return Counts(grid=self.golden.grid, below=zeros, up_to=zeros)

    def count(self, values: ArrayLike) -> Counts:
        """Count a sample, in any order.

        Parameters
        ----------
        values : array_like, shape (m,)
            As `columns.column` reads it. Truth values, integers of any size and floats are compared exactly.

        Returns
        -------
        Counts
            Those of two parts of a sample add up to those of the whole.

        Raises
        ------
        StatisticsError
            If they cannot be read.
        """
        given = column(values, name="current")
        self._seen[0] += given.size
        large = self._seen[0] >= _LARGE  # in all, since the table is kept
        return sum((self._count(chunk, large=large) for chunk in chunks(given)), start=self.none())

    def _count(self, chunk: Column, *, large: bool) -> Counts:
        """Count at most 2^20 values: many of them by a table, if there is one, and others by sorting."""
        if large and self._buckets and (chunk.dtype.kind == "f" or chunk.dtype.itemsize < 8):
            # Not ascontiguousarray alone: a table needs memory that is aligned, and float64.
            number = np.require(chunk, dtype=np.float64, requirements=["C", "A"])
            finite, lost = number, number[:0]
            with np.errstate(over="ignore", invalid="ignore"):
                # NaN and infinity show in the sum; so do numbers near the largest, which does no harm.
                if not np.isfinite(number.sum()):
                    ordinary = np.isfinite(number)
                    finite, lost = number[ordinary], number[~ordinary]
            counts = Counts.of_cells(self.golden.grid, self._buckets.count(finite))
            nan, lowest = int(np.count_nonzero(lost != lost)), int(np.count_nonzero(lost == -np.inf))
            return replace(counts, nan=nan, lowest=lowest, highest=lost.size - nan - lowest)
        ordered = np.sort(chunk)
        first, end, last = _ends(ordered)
        points, ordered = comparable(self.points, ordered[first:end])
        return Counts(
            grid=self.golden.grid,
            below=np.searchsorted(ordered, points, side="left").astype(np.int64),
            up_to=np.searchsorted(ordered, points, side="right").astype(np.int64),
            finite=ordered.size,
            nan=chunk.size - last,
            lowest=first,
            highest=last - end,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the table, which is larger than all else and quickly made."""
        return {name: value for name, value in self.__dict__.items() if name != "_buckets"}

    @cached_property
    def _buckets(self) -> Buckets | None:
        cells = self.golden.cells
        return Buckets.of(self.points, cells[1::2] + cells[:-1:2]) if self.points.dtype == np.float64 else None


def _chosen(ordered: Column, points: int) -> tuple[Column, bool]:
    """Choose points from ascending values, and say whether every distinct one is among them."""
    steps = np.flatnonzero(ordered[1:] != ordered[:-1])  # a step up is the last of its equals
    if whole := steps.size < points:
        chosen = ordered[np.append(steps, ordered.size - 1)]
    else:
        chosen = distinct(ordered[np.linspace(0, ordered.size - 1, points).round().astype(np.intp)])
    return widened(chosen), whole


def _ends(ordered: Column) -> tuple[int, int, int]:
    """Say where the finite values begin and end, and where NaN begins, which numpy sorts last."""
    if ordered.dtype.kind != "f":
        return 0, ordered.size, ordered.size
    kinds = np.array([-np.inf, np.inf, np.nan], dtype=ordered.dtype)
    return (
        int(np.searchsorted(ordered, kinds[0], side="right")),
        int(np.searchsorted(ordered, kinds[1], side="left")),
        int(np.searchsorted(ordered, kinds[2], side="left")),
    )
