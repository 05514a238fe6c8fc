"""Drift from counts that add up, so that a log of any length is compared with its golden in little memory."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..errors import InsufficientDataError
from .distances import (
    MINIMUM_ROWS,
    Bins,
    DriftLimits,
    DriftReport,
    KsResult,
    Level,
    Values,
    both_samples,
    checked_sample,
    index_of,
    ks_test,
)

_EXACT = 10_000  # values a side up to which scipy computes the p-value exactly


class RunningDrift:
    """How far the predictions that were added so far have moved from their golden.

    Parameters
    ----------
    golden : array_like of float, shape (n,)
        Predictions then, at least `MINIMUM_ROWS`.
    limits : DriftLimits, optional
        Where drift begins; by default the limits of `DriftLimits()`.

    Raises
    ------
    StatisticsError
        If the golden is not one-dimensional, not numeric, too small, or holds NaN or infinity.

    Notes
    -----
    The largest distance of two distribution functions lies at a value of the golden, or just below one: between two of
    them the golden's does not move, and the other only rises. So the counts of predictions below and up to each value
    of the golden are enough, and they add up [1]_.

    References
    ----------
    .. [1] W. J. Conover, Practical nonparametric statistics, 3rd ed., Wiley, 1999, section 6.3.
    """

    def __init__(self, golden: ArrayLike, *, limits: DriftLimits | None = None) -> None:
        self._golden = _enough("golden", checked_sample("golden", golden))
        self._limits = limits or DriftLimits()
        self._bins = Bins.of(self._golden)
        self._binned = np.zeros(self._bins.size, dtype=np.int64)
        self._grid, times = np.unique(self._golden, return_counts=True)
        self._then = np.cumsum(times)
        self._below, self._up_to = np.zeros((2, self._grid.size), dtype=np.int64)
        self.rows = 0

    def add(self, current: ArrayLike) -> None:
        """Add predictions, in any order.

        Raises
        ------
        StatisticsError
            If they are not one-dimensional or not numeric, or one is NaN or infinite; then none is added.
        """
        values = np.sort(checked_sample("current", current))
        self._binned += self._bins.count(values)
        self._below += np.searchsorted(values, self._grid, side="left")
        self._up_to += np.searchsorted(values, self._grid, side="right")
        self.rows += values.size

    def report(self) -> DriftReport:
        """Say whether what was added has drifted; see `detect_drift`.

        Raises
        ------
        InsufficientDataError
            If fewer than `MINIMUM_ROWS` predictions were added.
        """
        limits, (statistic, p_value) = self._limits, self._ks()
        index = index_of(self._bins.count(self._golden), self._binned)
        level: Level = "none" if index <= limits.psi_moderate else "moderate" if index <= limits.psi else "significant"
        return {
            "psi": {"value": index, "level": level},
            "ks": {"statistic": statistic, "p_value": p_value},
            "overall_drift": index > limits.psi or (p_value < limits.ks_p and statistic >= limits.ks_distance),
        }

    def _ks(self) -> KsResult:
        if self.rows < MINIMUM_ROWS:
            raise _too_few("current", self.rows)
        n = self._golden.size
        if max(n, self.rows) <= _EXACT:
            # The test depends on the order of the values alone: any with these counts give its result.
            now = np.diff(np.ravel([self._below, self._up_to], order="F"), prepend=0, append=self.rows)
            places = np.arange(self._grid.size) * 2 + 1
            return ks_test(np.repeat(places, np.diff(self._then, prepend=0)), np.repeat(np.arange(now.size), now))
        up_to = np.abs(self._then / n - self._up_to / self.rows)
        below = np.abs(np.concatenate([[0], self._then[:-1]]) / n - self._below / self.rows)
        statistic = float(max(up_to.max(), below.max()))
        return KsResult(statistic, float(stats.kstwo.sf(statistic, round(n * self.rows / (n + self.rows)))))


def _enough(name: str, sample: Values) -> Values:
    if sample.size < MINIMUM_ROWS:
        raise _too_few(name, sample.size)
    return sample


def _too_few(name: str, size: int) -> InsufficientDataError:
    return InsufficientDataError(
        f"{name} has {size} values, too few to tell drift from chance: give at least {MINIMUM_ROWS}"
    )


def detect_drift(golden: ArrayLike, current: ArrayLike, *, limits: DriftLimits | None = None) -> DriftReport:
    """Say whether the current predictions have drifted from their golden.

    Parameters
    ----------
    golden, current : array_like of float, shapes (n,) and (m,)
        Predictions then and now, in any order, at least `MINIMUM_ROWS` of each.
    limits : DriftLimits, optional
        Where drift begins; by default the limits of `DriftLimits()`.

    Returns
    -------
    dict
        ``{'psi': {'value', 'level'}, 'ks': {'statistic', 'p_value'}, 'overall_drift'}``. The level is ``'none'``,
        ``'moderate'`` or ``'significant'``; drift is a significant PSI, or a KS test beyond both of its limits.

    Raises
    ------
    StatisticsError
        If a side has too few values for a verdict, or is refused by `psi`.
    """
    then, now = both_samples(golden, current)
    running = RunningDrift(then, limits=limits)
    running.add(now)
    return running.report()
