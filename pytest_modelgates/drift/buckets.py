"""A table that finds the cell of a grid in which a number lies, without sorting: where it can, and exactly."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SIZE = 2**16
_BLOCK = 2**16
# A golden of which more than this share lies in crowded buckets is counted by sorting.
_MOST_CROWDED = 0.4
# Buckets are as wide as suits all points but for such a share on either side.
_TRIMMED = (0.0, 0.001, 0.01)
_FREQUENT = 0.05
_WHOLE = 2.0**52  # from which on numbers are whole, and their last binary digits count them


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Buckets of numbers, each of which holds one point of the grid at most, or is crowded.

    The bucket of a number never falls as the number rises, so that a number lies above all points of lower buckets and
    below all points of higher ones, whatever rounding did. A comparison with the first point that is not in a lower
    bucket tells the rest.

    Parameters
    ----------
    points : ndarray of float64, shape (n_points,)
    scale, offset : float
        Buckets a unit, and what then makes whole numbers of them; 1 and 0 for the numbers as they are.
    lowest, shift : int
        Binary digits where the first bucket ends, and how many of them are left out.
    lower : ndarray of int32, shape (n_buckets,)
        Points in lower buckets; n_points + 1 if the bucket is crowded.
    frequent : ndarray of int
        Points in crowded buckets that make up a twentieth of the golden or more.
    """

    points: Floats
    scale: float
    offset: float
    lowest: int
    shift: int
    lower: NDArray[np.int32]
    frequent: NDArray[np.intp]

    @classmethod
    def of(cls, points: Floats, mass: NDArray[np.int64]) -> "Buckets | None":
        """Take the buckets that suit a grid best; None if most of the golden lies in crowded ones of any kind.

        Parameters
        ----------
        points : ndarray of float64, shape (n_points,)
        mass : ndarray of int, shape (n_points,)
            Values of the golden at each point, and between it and the one before.
        """
        found = []
        for share in _TRIMMED:
            edge = int(points.size * share)
            low, high = float(points[edge]), float(points[-1 - edge])
            with np.errstate(over="ignore", divide="ignore"):
                scale = float(np.float64(_SIZE - 1) / (high - low))
                offset = _WHOLE - low * scale
            if 0 < scale < np.inf and abs(offset) < np.inf:
                found.append(cls._with(points, scale, offset, _digits(_WHOLE), 0))
            if low > 0:
                span = _digits(high) - _digits(low)
                found.append(
                    cls._with(points, 1.0, 0.0, _digits(low), max(0, span.bit_length() - _SIZE.bit_length() + 1))
                )
        light = np.where(mass < _FREQUENT * mass.sum(), mass, 0)  # the others are counted one by one
        crowded = [int(light[each._is_crowded(points)].sum()) for each in found]
        if not found or min(crowded) > _MOST_CROWDED * mass.sum():
            return None
        best = found[int(np.argmin(crowded))]
        return replace(best, frequent=np.flatnonzero((light < mass) & best._is_crowded(points)))

    @classmethod
    def _with(cls, points: Floats, scale: float, offset: float, lowest: int, shift: int) -> "Buckets":
        none = np.empty(0, dtype=np.int64)
        new = cls(points, scale, offset, lowest, shift, none.astype(np.int32), none)
        of_point = np.minimum(new._bucket(points), _SIZE - 1)
        held = np.bincount(of_point, minlength=_SIZE)
        return replace(new, lower=np.where(held > 1, points.size + 1, np.cumsum(held) - held).astype(np.int32))

    def _is_crowded(self, values: Floats) -> NDArray[np.bool_]:
        """Say which values lie in a crowded bucket."""
        return self.lower.take(self._bucket(values), mode="clip") > self.points.size

    def _bucket(self, values: Floats, memory: Floats | None = None) -> NDArray[np.int64]:
        """Say in which bucket each number lies; all behind the last are of the last."""
        with np.errstate(over="ignore"):
            number = np.multiply(values, self.scale, out=memory)
        number += self.offset
        # Positive numbers rise as their binary digits do; all others come before them.
        digits: NDArray[np.int64] = number.view(np.int64)
        np.maximum(digits, self.lowest, out=digits)
        digits -= self.lowest
        if self.shift:
            digits >>= self.shift
        return digits

    def count(self, values: Floats) -> NDArray[np.int64]:
        """Count finite numbers in each cell: below the first point, at it, between it and the next, and so on."""
        from_on, at = np.zeros(self.points.size + 2, dtype=np.int64), np.zeros(self.points.size + 1, dtype=np.int64)
        rest = []
        # Memory that is used again is in the processor's cache.
        places, true = np.empty(_BLOCK, dtype=np.int32), np.empty(_BLOCK, dtype=bool)
        numbers, points = np.empty((2, _BLOCK))
        ends = np.append(self.points, [np.inf, np.inf])
        for start in range(0, values.size, _BLOCK):
            block = values[start : start + _BLOCK]
            place, point, found = places[: block.size], points[: block.size], true[: block.size]
            self.lower.take(self._bucket(block, numbers[: block.size]), out=place, mode="clip")
            ends.take(place, out=point, mode="clip")
            # How many points are at most the number.
            place += np.greater_equal(block, point, out=found)
            counts = np.bincount(place, minlength=from_on.size)
            if counts[-1]:
                rest.append(block[place == from_on.size - 1])
            from_on += counts
            if np.equal(block, point, out=found).any():
                at += np.bincount(place[found], minlength=at.size)
        cells = np.empty(2 * self.points.size + 1, dtype=np.int64)
        cells[1::2] = at[1:]
        cells[::2] = from_on[:-1] - at
        return cells + self._count_crowded(np.concatenate(rest)) if rest else cells

    def _count_crowded(self, values: Floats) -> NDArray[np.int64]:
        cells = np.zeros(2 * self.points.size + 1, dtype=np.int64)
        for place in self.frequent:
            others = values[values != self.points[place]]
            cells[2 * place + 1] = values.size - others.size
            values = others
        values = np.sort(values)  # then each is found near the one before
        cell = np.searchsorted(self.points, values, side="left") + np.searchsorted(self.points, values, side="right")
        return cells + np.bincount(cell, minlength=cells.size)


def _digits(number: float) -> int:
    """Give the binary digits of a number as an integer."""
    return int(np.array([number]).view(np.int64)[0])
