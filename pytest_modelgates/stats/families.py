"""Whether two panels are of the same market data, whatever their targets, horizons, names and kinds of return."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from ..storage.scratch import groups, parts

Hashes = NDArray[np.uint64]
Days = NDArray[np.int64]

# A peak is the largest return of its asset among so many rows before and after it.
REACH = 10
# So many of the largest and of the smallest returns around a peak are its shape.
EXTREMES = 3
# They are told apart by this share of their range at least; what is closer, rounding could put in another order.
APART = 1e-3
# Returns within this range say nothing, such as those of a name whose trading is halted [share].
FLAT = 1e-5
# So many hashes are kept at most, which is all of 500 names over 40 years.
MOST = 1 << 16
# Panels that share this part of their hashes are one family.
SHARED = 0.25


def market_hashes(times: NDArray[np.datetime64], assets: NDArray[np.int64], returns: NDArray[np.float64]) -> Hashes:
    """Hash the shapes that the returns of each asset have around their peaks.

    Parameters
    ----------
    times : ndarray of datetime64, shape (n_rows,)
        Only the day counts.
    assets : ndarray of int, shape (n_rows,)
        Which asset each row is of; what it is called does not count.
    returns : ndarray of float, shape (n_rows,)
        Return from that day to the next [any unit]; a row without a finite one is left out.

    Returns
    -------
    ndarray of uint64, shape (n_hashes,)
        Ascending, each once, the smallest 65,536 if there are more. The order of the rows does not count.

    Notes
    -----
    A peak is a return that is larger than those of the ten rows before it and after it. Its shape is how far the second
    and third largest and the three smallest of these 21 lie from it, in trading days, in their order; it is hashed with
    the month of the peak, by the finaliser of SplitMix64 [1]_. So only the order of returns counts, as in an ordinal
    pattern [2]_, and only of those that stand apart: rounding, logarithms, a constant or a dividend leave it. All this
    is done twice, for the returns and for their distance from the mean of the day. Of many hashes the smallest are
    kept, which are the same ones of every panel [3]_.

    References
    ----------
    .. [1] G. L. Steele, D. Lea and C. H. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    .. [2] C. Bandt and B. Pompe, Permutation entropy: a natural complexity measure for time series, Physical Review
       Letters 88:174102, 2002.
    .. [3] A. Broder, On the resemblance and containment of documents, SEQUENCES 1997.
    """
    known = np.isfinite(returns)
    if not known.any():
        return np.empty(0, dtype=np.uint64)
    dates = np.unique(
        np.concatenate([np.unique(times[part][known[part]].astype("datetime64[D]")) for part in parts(len(times))])
    )

    def by_asset() -> Iterator[tuple[Days, Days, NDArray[np.float64]]]:
        """Of some assets at a time: the place of each row among the dates, its asset, and its return."""
        for rows in groups(assets):
            rows = rows[known[rows]]
            place = np.searchsorted(dates, times[rows].astype("datetime64[D]"))
            order = np.lexsort((place, assets[rows]))
            yield place[order], assets[rows[order]], np.clip(returns[rows[order]], -1e9, 1e9)

    totals, counts = np.zeros((2, dates.size))
    for place, _, values in by_asset():
        np.add.at(totals, place, values)
        counts += np.bincount(place, minlength=dates.size)
    mean, months = totals / counts, dates.astype("datetime64[M]").astype(np.int64)
    periods, found = _periods(dates.astype(np.int64)), list[Hashes]()
    for place, asset, values in by_asset():
        found += [_peaks(asset, months[place], periods[place], each) for each in (values, values - mean[place])]
    return np.unique(np.concatenate(found))[:MOST]


def one_family(one: Hashes, other: Hashes) -> bool:
    """Whether two panels are of the same data: a quarter of the hashes of the smaller one are in the other.

    A panel without hashes could be of any data, and counts as such.
    """
    # Where one was cut to its smallest hashes, the larger ones of the other have nothing to be found among.
    last = min((hashes[-1] for hashes in (one, other) if hashes.size >= MOST), default=None)
    if last is not None:
        one, other = (hashes[: np.searchsorted(hashes, last, side="right")] for hashes in (one, other))
    shared = np.intersect1d(one, other, assume_unique=True).size
    return bool(shared >= SHARED * min(one.size, other.size))


def _periods(dates: Days) -> NDArray[np.float64]:
    """Number dates so that neighbours are 1 apart where none is missing, whatever the weekdays that are traded.

    So a stamp that is a day later, in days or in trading days, leaves every distance as it was.
    """
    weekday = (dates + 3) % 7  # 0 is Monday: day 0 was a Thursday
    rows = np.bincount(weekday, minlength=7)
    before = np.append(0, np.cumsum(10 * rows >= rows.max()))
    numbers = (dates + 3) // 7 * before[-1] + before[weekday]
    step = np.median(np.diff(numbers)) if dates.size > 1 else 1.0
    numbered: NDArray[np.float64] = numbers / max(1.0, float(step))
    return numbered


def _peaks(assets: Days, months: Days, periods: NDArray[np.float64], values: NDArray[np.float64]) -> Hashes:
    rows = np.arange(REACH, len(values) - REACH)
    largest = maximum_filter1d(values, 2 * REACH + 1)[rows] if rows.size else np.empty(0)
    rows = rows[(values[rows] == largest) & (assets[rows - REACH] == assets[rows + REACH])]
    around = rows[:, np.newaxis] + np.arange(-REACH, REACH + 1)
    order = np.argsort(values[around], axis=1, kind="stable")
    # One more at either end: the last of the extremes must stand apart from what is none.
    ends = np.concatenate([order[:, : EXTREMES + 1], order[:, -EXTREMES - 1 :]], axis=1)
    around = np.take_along_axis(around, ends, axis=1)
    gaps = np.delete(np.diff(values[around], axis=1), EXTREMES, axis=1)
    spread = np.ptp(values[around], axis=1) if rows.size else np.empty(0)
    clear = (spread > FLAT) & (gaps > APART * spread[:, np.newaxis]).all(axis=1)
    rows, around = rows[clear], np.delete(around[clear], [EXTREMES, EXTREMES + 1], axis=1)
    # The last of them is the peak itself.
    distances = np.rint(periods[around[:, :-1]] - periods[rows][:, np.newaxis]).astype(np.int64)
    hashes = _mixed(months[rows].astype(np.uint64))
    for distance in distances.T:
        hashes = _mixed(hashes + distance.astype(np.uint64))
    return hashes


def _mixed(values: Hashes) -> Hashes:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
