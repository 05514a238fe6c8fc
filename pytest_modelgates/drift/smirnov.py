"""The two-sample Kolmogorov-Smirnov test, from counts: its distance, and p-values that are right where values tie."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .columns import Column, chunks, comparable, distinct
from .counts import Counts, Grid, Integers

# Up to so many products of the two sizes, and so many values in all, the p-value is exact.
MOST_PRODUCTS, MOST_VALUES = 10**8, 20_000
_INTERVALS = 3  # in which a second look at the values searches
_BLOCK, _SORTED = 2**15, 2**17
# A value with at least this share of both samples is taken as one that ties; the others as continuous.
_ATOM = 0.005
_LEAST, _SMALL = 1e-10, 0.15


class Distance(NamedTuple):
    """The largest distance of two distribution functions: not less than one number, and not more than the other."""

    lower: float
    upper: float


def distance(golden: Counts, current: Counts) -> Distance:
    """Bound the largest distance of two distribution functions from counts over one grid.

    Notes
    -----
    At a point, and just below one, both functions are known. Between two points neither leaves the range that it has
    there, so the bounds are apart by the largest share of the golden between two points at most, and equal if there
    is nothing between them.
    """
    # In whole numbers: n m times the distance.
    n, m = golden.finite, current.finite
    (then_below, then), (now_below, now) = (
        (_scaled(each.below, times, n * m), _scaled(each.up_to, times, n * m))
        for each, times in ((golden, m), (current, n))
    )
    lower = max(int(np.abs(then - now).max()), int(np.abs(then_below - now_below).max()))
    between = max(
        int((then_below[1:] - now[:-1]).max(initial=0)), int((now_below[1:] - then[:-1]).max(initial=0)), lower
    )
    return Distance(lower / (n * m), between / (n * m))


def _scaled(counts: Integers, times: int, largest: int) -> NDArray[Any]:
    return counts * times if largest < 2**62 else counts.astype(object) * times  # beyond, Python's own integers


def exact_distance(grid: Grid, golden: Column, current: Column, counts: Counts) -> float:
    """Find the largest distance by a second look at the values between those points where it may lie."""
    found = distance(grid.golden, counts)
    if found.lower == found.upper:
        return found.lower
    return _searched(grid, golden, current, counts, found.lower, (0, 0), (grid.golden.finite, counts.finite))


def _searched(
    grid: Grid,
    golden: Column,
    current: Column,
    counts: Counts,
    best: float,
    before: tuple[int, int],
    sizes: tuple[int, int],
) -> float:
    """Look between the points of a grid, before which so many of each sample lie, for a distance above the best."""
    (n, m), (left, left_now) = sizes, before
    then, then_below = ((left + each) / n for each in (grid.golden.up_to, grid.golden.below))
    now, now_below = ((left_now + each) / m for each in (counts.up_to, counts.below))
    best = max(best, float(np.abs(then - now).max()), float(np.abs(then_below - now_below).max()))
    between = np.maximum(then_below[1:] - now[:-1], now_below[1:] - then[:-1])
    candidates = np.flatnonzero((between > best) & (grid.golden.cells[2:-1:2] > 0))
    if not candidates.size:
        return best
    # Each interval is looked for among all values, so neighbours are joined across their shortest gaps.
    gaps = np.sort(np.argsort(np.diff(candidates))[::-1][: _INTERVALS - 1])
    firsts, lasts = candidates[np.append(0, gaps + 1)], candidates[np.append(gaps, candidates.size - 1)]
    intervals = list(zip(grid.points[firsts], grid.points[lasts + 1], strict=True))
    for first, x, y in zip(firsts, _between(golden, intervals), _between(current, intervals), strict=True):
        start = (left + int(grid.golden.up_to[first]), left_now + int(counts.up_to[first]))
        finer = min(x.size, y.size) > 0 and 2 * x.size < golden.size and x.dtype == y.dtype == np.float64
        if finer and x.size + y.size > _SORTED:
            inner = Grid.of(x)
            best = _searched(inner, x, y, inner.count(y), best, start, sizes)
            continue
        x, y = np.sort(x), np.sort(y)
        at = distinct(np.concatenate([x, y]))
        f, g = start[0] + np.searchsorted(x, at, side="right"), start[1] + np.searchsorted(y, at, side="right")
        best = max(best, float(np.abs(f / n - g / m).max(initial=0.0)))
    return best


def _between(values: Column, intervals: Sequence[tuple[float, float]]) -> list[Column]:
    """Take the values in each interval between two others, in any order."""
    taken = [[np.empty(0)] for _ in intervals]
    above, below = np.empty((2, _BLOCK), dtype=bool)
    for chunk in chunks(values, size=_BLOCK):
        for (low, high), found in zip(intervals, taken, strict=True):
            if chunk.dtype.kind == "f":
                inside = np.greater(chunk, low, out=above[: chunk.size])
                inside &= np.less(chunk, high, out=below[: chunk.size])
                if inside.any():  # hardly ever, and to take values costs more than all else
                    found.append(chunk[inside].astype(np.float64))
            else:
                _, ordered = comparable(np.array([low, high]), np.sort(chunk))
                found.append(ordered[np.searchsorted(ordered, low, "right") : np.searchsorted(ordered, high, "left")])
    return [np.concatenate(found) for found in taken]


def ties_of(golden: Column, current: Column) -> NDArray[np.bool_]:
    """Say of each place in the pooled order of finite values whether it is the last of its equals."""
    pooled = np.sort(np.concatenate(comparable(*(np.sort(each[_finite(each)]) for each in (golden, current)))))
    return np.append(pooled[1:] != pooled[:-1], True)


def _finite(values: Column) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(values)) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)


def ties_in(golden: Counts, current: Counts) -> NDArray[np.bool_]:
    """Say the same from counts; values between two points are taken for different."""
    pooled = golden.cells + current.cells
    last = np.ones(int(pooled.sum()), dtype=bool)
    ends = np.cumsum(pooled)
    tied = pooled[1::2] > 1
    for start, end in zip(ends[:-1:2][tied], ends[1::2][tied], strict=True):
        last[start : end - 1] = False
    return last


def is_exact(n: float, m: float) -> bool:
    """Whether the p-value of samples of such sizes is exact."""
    return n * m <= MOST_PRODUCTS and n + m <= MOST_VALUES


def exact_tail(statistic: float, n: int, m: int, last: NDArray[np.bool_]) -> float:
    """Give the probability of at least such a distance, for two samples from one distribution.

    Parameters
    ----------
    statistic : float
        The distance.
    n, m : int
        Values on each side [count].
    last : ndarray of bool, shape (n + m,)
        Which places in the pooled order are the last of equal values.

    Returns
    -------
    float
        The share of all ways in which the pooled values could have fallen to the two samples that are as far apart or
        farther [1]_. For values of two kinds and equal sizes that is Fisher's exact test.

    References
    ----------
    .. [1] G. Schroeer and D. Trenkler, Exact and randomization distributions of Kolmogorov-Smirnov tests two or three
       samples, Computational Statistics and Data Analysis 20:185, 1995; as ks.test of R 4.2 and later does.
    """
    n, m = min(n, m), max(n, m)
    size, reached = n + m, round(statistic * n * m)  # the distance is a whole number of 1 / (n m)
    if reached <= 0:
        return 1.0
    # far[i + 1]: how likely the distance was reached, if i of the first k values are of the first sample. Outside
    # low to high it is 1, since there the distance is reached now.
    far, number = np.ones(n + 2), np.arange(n + 1, dtype=np.float64)
    far[1] = 0.0
    low = high = 0
    for k, checked in enumerate(last.tolist(), start=1):
        low, high = max(low, k - m), min(high + 1, n)
        # The k-th value is one of the i with probability i / k.
        here, before = far[low + 1 : high + 2], far[low : high + 1]
        far[low + 1 : high + 2] = here + (number[low : high + 1] / k) * (before - here)
        if checked:
            # i / n and (k - i) / m are less than the distance apart between these.
            inner_low, inner_high = (k * n - reached) // size + 1, -((-k * n - reached) // size) - 1
            if inner_low > low:
                far[low + 1 : min(inner_low, high + 1) + 1] = 1.0
                low = inner_low
            if inner_high < high:
                far[max(inner_high, low - 1) + 2 : high + 2] = 1.0
                high = inner_high
            if low > high:
                return 1.0
    return float(far[n + 1])


def limit_tail(scaled: float, pooled: Integers) -> float:
    """Give the probability that a Brownian bridge leaves plus or minus `scaled`, where it can be seen.

    Parameters
    ----------
    scaled : float
        The distance times the root of n m / (n + m).
    pooled : ndarray of int, shape (2 n_points + 1,)
        The cells of both samples together: between points the bridge is seen all the time, and within a value that ties
        it is not.

    Returns
    -------
    float
        The tail of Kolmogorov's distribution [1]_ if no value ties that is half a percent of both. With such values
        less, down to that of a normal variable for values of two kinds. Below 1e-10 it is an upper bound.

    References
    ----------
    .. [1] N. Smirnov, Table for estimating the goodness of fit of empirical distributions, Annals of Mathematical
       Statistics 19:279, 1948.
    """
    bound = kolmogorov_tail(scaled)
    steps = _steps(pooled / pooled.sum())
    if len(steps) == 1 or bound < _LEAST or scaled < _SMALL:
        return bound
    nodes, weights = np.polynomial.legendre.leggauss(40 + math.ceil(45 * scaled))
    y, weights = scaled * nodes, scaled * weights
    inside: NDArray[np.float64] | None = None  # the density of a walk that never left
    for time, ties in steps[:-1]:
        seen = None if ties else scaled
        if inside is None:
            inside = _moved(np.zeros(1), y, time, seen)[0]
        else:
            inside = (weights * inside) @ _moved(y, y, time, seen)
    assert inside is not None
    time, ties = steps[-1]
    home = (weights * inside) @ _moved(y, np.zeros(1), time, None if ties else scaled)[:, 0]
    stayed = float(home) * math.sqrt(2 * math.pi)  # given that it ends at 0, as a bridge does
    return min(bound, 1 - stayed) if 1 - stayed > _LEAST else min(bound, _LEAST)


def _steps(shares: NDArray[np.float64]) -> list[tuple[float, bool]]:
    """Cut time from 0 to 1 into stretches that are seen all the time and jumps that are not, in order."""
    steps, seen = list[tuple[float, bool]](), 0.0
    heavy = 2 * np.flatnonzero(shares[1::2] >= _ATOM) + 1
    sums = np.concatenate([[0.0], np.cumsum(shares)])
    begin = 0.0
    for place in heavy:
        seen = float(sums[place]) - begin
        if seen >= _ATOM:
            steps.append((seen, False))
            begin += seen
        steps.append((float(sums[place + 1]) - begin, True))  # what is too short for a stretch goes with it
        begin = float(sums[place + 1])
    if 1 - begin >= _ATOM or not steps:
        steps.append((1 - begin, False))
    else:
        steps[-1] = (steps[-1][0] + 1 - begin, True)
    return steps


def _moved(x: NDArray[np.float64], y: NDArray[np.float64], time: float, wall: float | None) -> NDArray[np.float64]:
    """Density of moving from x to y in a time, or of doing so without touching a wall on either side."""
    if wall is None:
        return np.asarray(np.exp(-((y - x[:, None]) ** 2) / (2 * time)) / math.sqrt(2 * math.pi * time))
    # By reflection: the images of x in both walls, with alternating signs.
    most = math.ceil((2 * wall + 9 * math.sqrt(time)) / (2 * wall))
    images = ((-1) ** k * _moved((-1) ** k * x + 2 * k * wall, y, time, None) for k in range(-most, most + 1))
    return np.asarray(np.sum(list(images), axis=0))


def kolmogorov_tail(scaled: float) -> float:
    """Give the probability that a Brownian bridge leaves plus or minus `scaled` at any time."""
    if scaled <= 0:
        return 1.0
    if scaled < 1:  # the same sum by Poisson's formula, which converges where the other does not
        odd = np.arange(1, 20, 2)
        return 1 - math.sqrt(2 * math.pi) / scaled * float(np.exp(-((odd * math.pi) ** 2) / (8 * scaled**2)).sum())
    k = np.arange(1, 30)
    return min(1.0, float(2 * ((-1.0) ** (k - 1) * np.exp(-2 * (k * scaled) ** 2)).sum()))


def share_p_value(then: float, n: float, now: float, m: float) -> float:
    """Give the probability that two shares are at least so far apart, if they are of one population.

    Parameters
    ----------
    then, n, now, m : float
        How many of n, and of m. Exact where all are whole and there are at most a million of n and m together.

    Returns
    -------
    float
        1 if a side is empty.
    """
    if not (n > 0 and m > 0) or then / n == now / m:
        return 1.0
    apart = abs(then / n - now / m)
    if n + m <= 10**6 and all(float(each).is_integer() for each in (then, n, now, m)):
        some = int(then + now)
        k = np.arange(max(0, some - int(m)), min(int(n), some) + 1, dtype=np.float64)
        # Hypergeometric: the ratio of neighbours, summed from the left in logarithms.
        ratios = np.log((n - k[:-1]) * (some - k[:-1]) / ((k[:-1] + 1) * (m - some + k[:-1] + 1)))
        logs = np.concatenate([[0.0], np.cumsum(ratios)])
        weights = np.exp(logs - logs.max())
        far = np.abs(k / n - (some - k) / m) >= apart * (1 - 1e-12)
        return float(weights[far].sum() / weights.sum())
    pooled = (then + now) / (n + m)
    return math.erfc(apart / math.sqrt(2 * pooled * (1 - pooled) * (1 / n + 1 / m)))
