"""The population stability index, from counts over a grid: its bins, what each adds, and what chance makes of it."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .columns import Column, chunks, column, comparable, distinct
from .counts import Counts, Grid, Integers

PSEUDOCOUNT = 0.5
LEVEL = 0.05  # of the critical value
_FEWEST = 20  # values of the golden in a bin of those that are not frequent, where there are enough
_BLOCK = 2**16


def contributions(
    reference: NDArray[Any], live: NDArray[Any], *, pseudocount: float = PSEUDOCOUNT
) -> NDArray[np.float64]:
    """Say what each bin of two samples adds to the index [nat]; a bin that is empty on both sides adds nothing.

    Parameters
    ----------
    reference, live : ndarray of int, shape (n_bins,)
        Values in each bin [count].
    pseudocount : float, default 0.5
        Added to every bin [count], so that an empty bin does not make the index infinite.

    Notes
    -----
    The index is sum((p - q) ln(p / q)) over the bins, for shares p and q. Without drift it is about (1/n + 1/m) times a
    chi-squared variable of n_bins - 1 degrees of freedom [1]_, so a fixed limit gives false alarms on a small sample.

    References
    ----------
    .. [1] B. Yurdakul and J. Naranjo, Statistical properties of the population stability index, Journal of Risk
       Model Validation 14(4), 2020.
    """
    seen = np.asarray(reference + live > 0)  # by its pseudocount alone, an empty one would add something
    p, q = ((counts + pseudocount) * seen for counts in (reference, live))
    p, q = p / p.sum(), q / q.sum()
    parts = np.zeros(seen.shape)
    parts[seen] = (p[seen] - q[seen]) * np.log(p[seen] / q[seen])
    return parts


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """The bins of a golden: its frequent values, and quantiles of the others.

    Parameters
    ----------
    edges : ndarray of int, shape (n_edges,)
        Where the cells of the grid are cut, ascending: 2 i cuts below point i, and 2 i + 1 above it.
    of_piece : ndarray of int, shape (n_edges + 1,)
        The bin of each piece between two edges. First are the frequent values, in their order.
    frequent : ndarray, shape (n_frequent,)
        Values that make up at least 1 / bins of the golden.
    thresholds : ndarray, shape (n_edges,)
        The points at which the edges lie.
    between : ndarray, shape (n_bins - n_frequent - 1,)
        The points that part the bins of the others.
    """

    edges: NDArray[np.intp]
    of_piece: NDArray[np.intp]
    frequent: Column
    thresholds: Column
    between: Column

    @property
    def size(self) -> int:
        """How many there are."""
        return self.frequent.size + self.between.size + 1

    @property
    def names(self) -> list[str]:
        """What each bin holds, in words."""
        ends = [f"{end:.4g}" for end in self.between.tolist()]
        others = [f"{low} to {high}" for low, high in pairwise(ends)]
        others = [f"up to {ends[0]}", *others, f"above {ends[-1]}"] if ends else ["others"]
        return [f"{value:.4g}" for value in self.frequent.tolist()] + others

    @classmethod
    def of(cls, grid: Grid, *, bins: int = 10) -> "Bins":
        """Take so many bins of a golden.

        Values that make up a share of at least 1 / bins are bins of their own. The others have as many bins of equal
        share as would hold twenty of them each, at most `bins` and at least as many as are their share of `bins`.
        """
        cells = grid.golden.cells
        heavy = np.flatnonzero(cells[1::2] * bins >= grid.golden.finite)
        rest = cells.copy()
        rest[2 * heavy + 1] = 0
        sums = np.cumsum(rest)
        others = int(sums[-1])
        wanted = max(1, min(bins, others // _FEWEST), round(bins * others / grid.golden.finite))
        # The k-th edge is the first with at least k shares of the others below it; there must be some above it too.
        edges = np.searchsorted(sums, np.arange(1, wanted) * others / wanted)
        edges = distinct(edges[sums[np.minimum(edges, sums.size - 1)] < others]) if others else edges[:0]
        cuts = distinct(np.concatenate([edges, 2 * heavy, 2 * heavy + 1]))
        # A frequent value may lie within a bin of the others; then both pieces of that bin count together.
        first_cells = np.append(0, cuts + 1)
        of_piece = np.searchsorted(edges, first_cells, side="left") + heavy.size
        of_piece[np.searchsorted(cuts, 2 * heavy, side="left") + 1] = np.arange(heavy.size)
        return cls(cuts, of_piece, grid.points[heavy], grid.points[cuts // 2], grid.points[edges // 2])

    def of_counts(self, counts: Counts) -> Integers:
        """Count in each bin, from counts over the grid."""
        sums = np.cumsum(counts.cells)
        return self.of_pieces(np.diff(sums[self.edges], prepend=0, append=counts.finite))

    def of_values(self, values: ArrayLike) -> tuple[Integers, int]:
        """Count in each bin, and what is NaN, missing or infinite, by comparing each value with each edge.

        It gives what `of_counts` gives, and is faster than to count over the grid.
        """
        given = column(values, name="current")
        sums, finite = [0] * self.edges.size, 0
        sides = [
            (compare, np.flatnonzero(self.edges % 2 == side)) for side, compare in enumerate((np.less, np.less_equal))
        ]
        memory = np.empty(_BLOCK * self.edges.size, dtype=bool)  # that is used again is in the processor's cache
        with np.errstate(over="ignore", invalid="ignore"):
            for chunk in chunks(given, size=_BLOCK):
                lowest, numbers_here = 0, chunk.size
                # NaN and infinity show in the sum; so do numbers near the largest, which does no harm.
                if chunk.dtype.kind == "f" and not math.isfinite(chunk.sum()):
                    lowest = int(np.count_nonzero(chunk == -np.inf))
                    numbers_here = int(np.count_nonzero(chunk < np.inf)) - lowest
                finite += numbers_here
                points, chunk = _unordered(self.thresholds, chunk)
                for compare, places in sides:
                    found = memory[: places.size * chunk.size].reshape(places.size, chunk.size)
                    compare(chunk, _at(points[places], chunk.dtype, compare)[:, None], out=found)
                    for place, each in zip(places.tolist(), found, strict=True):
                        sums[place] += int(np.count_nonzero(each)) - lowest
        return self.of_pieces(np.diff(sums, prepend=0, append=finite)), given.size - finite

    def of_pieces(self, pieces: Integers) -> Integers:
        """Count in each bin, from counts in each piece."""
        counts = np.zeros(self.size, dtype=np.int64)
        np.add.at(counts, self.of_piece, pieces)
        return counts


def _at(points: Column, dtype: np.dtype[Any], compare: np.ufunc) -> Column:
    """Give edges as floats of fewer bits, the last ones up to them or the first from them on; others as they are.

    No number of so few bits lies between the two, so that each is on the same side of both.
    """
    if dtype != np.float32 or points.dtype != np.float64:
        return points  # numpy compares them as the wider of the two
    near = points.astype(dtype)
    beyond, way = (near > points, -np.inf) if compare is np.less_equal else (near < points, np.inf)
    return np.where(beyond, np.nextafter(near, dtype.type(way)), near)


def _unordered(points: Column, values: Column) -> tuple[Column, Column]:
    """Bring edges and values to a dtype in which each comparison is exact."""
    if values.dtype.kind == "f" and points.dtype == np.float64:
        return points, values
    return comparable(points, np.sort(values))


def critical_value(bins: int, n: float, m: float, *, level: float = LEVEL) -> float:
    """Give the index that chance alone exceeds at a level, for two samples from one distribution [nat].

    Parameters
    ----------
    bins : int
    n, m : float
        Independent values on each side [count].
    level : float, default 0.05

    Returns
    -------
    float
        (1/n + 1/m) times the upper quantile of chi-squared with bins - 1 degrees of freedom [1]_; 0 for one bin, and
        infinity if a side has no value.

    References
    ----------
    .. [1] B. Yurdakul and J. Naranjo, Statistical properties of the population stability index, Journal of Risk
       Model Validation 14(4), 2020.
    """
    if bins < 2:
        return 0.0
    return chi_squared_quantile(level, bins - 1) * (1 / n + 1 / m) if n > 0 and m > 0 else math.inf


def chi_squared_tail(x: float, degrees: int) -> float:
    """Give the probability that chi-squared with so many degrees of freedom, at least 1, exceeds x.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.4.4 and 26.4.5.
    """
    half = x / 2
    if degrees % 2:
        tail, term, last = math.erfc(math.sqrt(half)), math.exp(-half) * math.sqrt(4 * half / math.pi), 3
    else:
        tail, term, last = 0.0, math.exp(-half), 2
    for k in range(last, degrees + 1, 2):
        tail += term
        term *= x / k
    return min(1.0, tail)


def chi_squared_quantile(level: float, degrees: int) -> float:
    """Give the value that chi-squared exceeds with this probability, to the last digit but one."""
    low, high = 0.0, 1.0
    while chi_squared_tail(high, degrees) > level:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if chi_squared_tail(middle, degrees) > level else (low, middle)
    return high
