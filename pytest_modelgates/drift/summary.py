"""What is kept of a sample of predictions: its counts over the golden's grid, and its bins day by day. Both add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .columns import Column, column, rounded
from .counts import Counts, Grid, Integers
from .index import Bins

FEWEST_DAYS = 20
"""With fewer days, how much rows of one day resemble each other is taken from the golden [count]."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Summary:
    """A sample of predictions in integers.

    Parameters
    ----------
    counts : Counts
        Over the grid.
    days : mapping of int to ndarray of int64, shape (n_pieces,)
        Finite values in each piece of the bins, by the day that the rows are of [days since 1970].
    undated : int
        Rows that are of no known day.
    """

    counts: Counts
    days: Mapping[int, Integers] = field(default_factory=dict)
    undated: int = 0

    def __add__(self, other: Self) -> "Summary":
        """Take both samples as one; raises as the sum of their counts does."""
        days = dict(self.days)
        for day, pieces in other.days.items():
            days[day] = days[day] + pieces if day in days else pieces
        return Summary(counts=self.counts + other.counts, days=days, undated=self.undated + other.undated)

    @property
    def by_day(self) -> NDArray[np.int64] | None:
        """Finite values of each day in each piece, the oldest day first; None if most rows are of no known day."""
        if not self.days or 2 * self.undated > self.counts.rows:
            return None
        return np.array([self.days[day] for day in sorted(self.days)])


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A golden, prepared once, that samples are counted for and compared with."""

    grid: Grid
    bins: Bins
    golden: Summary

    @classmethod
    def of(cls, golden: ArrayLike, *, days: ArrayLike | None = None, bins: int = 10) -> "Reference":
        """Prepare a golden.

        Parameters
        ----------
        golden : array_like, shape (n,)
            Predictions then, in any order.
        days : array_like of datetime64, shape (n,), optional
            The day that each row is of.
        bins : int, default 10
            Bins of equal share, at least 2.

        Raises
        ------
        StatisticsError
            If the golden or the days cannot be read, no value is finite, or there are fewer than two bins.
        """
        if bins < 2:
            raise StatisticsError(f"bins is {bins}: give 2 or more")
        grid = Grid.of(golden)
        of_grid = Bins.of(grid, bins=bins)
        values = column(golden, name="golden")
        dated = {} if days is None else _of_days(of_grid, values, read_days(days, values.size, name="golden"))
        undated = values.size if days is None else 0
        return cls(grid, of_grid, Summary(counts=grid.golden, days=dated, undated=undated))

    def none(self) -> Summary:
        """Count nothing yet."""
        return Summary(counts=self.grid.none())

    def count(self, values: ArrayLike, *, days: ArrayLike | None = None) -> Summary:
        """Count a sample.

        Parameters
        ----------
        values : array_like, shape (m,)
            In any order.
        days : array_like of datetime64, shape (m,), optional
            The day that each row is of.

        Raises
        ------
        StatisticsError
            If the values or the days cannot be read.
        """
        given = column(values, name="current")
        counts = self.grid.count(given)
        if days is None:
            return Summary(counts=counts, undated=given.size)
        return Summary(counts=counts, days=_of_days(self.bins, given, read_days(days, given.size, name="current")))


def has_precision(reference: Reference, precision: np.dtype[Any]) -> bool:
    """Whether no point of a golden's grid would be rounded to floats of so many bits."""
    points = reference.grid.points
    return bool(np.array_equal(rounded(points, precision), points))


def read_days(days: ArrayLike, rows: int, *, name: str) -> NDArray[np.int64]:
    """Read one day a row, as days since 1970.

    Raises
    ------
    StatisticsError
        If there is not one a row, or one is missing.
    """
    try:
        given = np.asarray(days).astype("datetime64[D]")
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"the days of {name} cannot be read ({error}): give one date a row") from error
    if given.shape != (rows,) or np.isnat(given).any():
        raise StatisticsError(f"{name} has {rows} rows and days of shape {given.shape}: give one date a row")
    return given.astype(np.int64)


def _of_days(bins: Bins, values: Column, days: NDArray[np.int64]) -> dict[int, Integers]:
    """Count the finite values of each day in each piece of the bins."""
    number = values.astype(np.float64)  # how rows of one day resemble each other is an estimate, which rounding keeps
    finite = np.isfinite(number)
    if not finite.all():
        number, days = number[finite], days[finite]
    begins = np.append(True, days[1:] != days[:-1])[: days.size]  # rows of a day mostly stand together
    found, place = np.unique(days[begins], return_inverse=True)
    width = bins.edges.size + 1
    cell = (width * place)[np.cumsum(begins) - 1]
    for edge, threshold in zip(bins.edges.tolist(), bins.thresholds.astype(np.float64).tolist(), strict=True):
        cell += number > threshold if edge % 2 else number >= threshold
    counts = np.bincount(cell, minlength=found.size * width).reshape(found.size, width)
    return dict(zip(found.tolist(), counts.astype(np.int64), strict=True))
