"""Drift of two samples, and of parts that are added up, so that a log of any length takes little memory."""

from collections.abc import Mapping
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from ..errors import StatisticsError
from .columns import Column, alike, column
from .frames import Correction, FrameReport, compare_frames, is_frame
from .index import contributions
from .smirnov import exact_distance, exact_tail, is_exact, limit_tail, ties_of
from .summary import Reference, Summary
from .verdict import DriftLimits, DriftReport, judge


class KsResult(NamedTuple):
    """Largest distance between two distribution functions, and how often chance alone gives as much."""

    statistic: float
    p_value: float


class RunningDrift:
    """How far the predictions that were added so far have moved from their golden.

    Parameters
    ----------
    golden : array_like, shape (n,), or Reference
        Predictions then.
    limits : DriftLimits, optional
        Where drift begins; by default the limits of `DriftLimits()`.

    Raises
    ------
    StatisticsError
        If the golden cannot be read as numbers.

    Notes
    -----
    Only integers are kept, see `counts`. They add up to those of all predictions at once, whatever the parts.
    """

    def __init__(self, golden: ArrayLike | Reference, *, limits: DriftLimits | None = None) -> None:
        self.reference = golden if isinstance(golden, Reference) else Reference.of(golden)
        self.summary = self.reference.none()
        self._limits = limits or DriftLimits()

    @property
    def rows(self) -> int:
        """How many were added."""
        return self.summary.counts.rows

    def add(self, current: ArrayLike | Summary, *, days: ArrayLike | None = None) -> None:
        """Add predictions, in any order, or what was counted of them.

        Raises
        ------
        StatisticsError
            If they cannot be read as numbers; then none is added.
        """
        new = current if isinstance(current, Summary) else self.reference.count(current, days=days)
        self.summary = self.summary + new

    def report(self) -> DriftReport:
        """Say whether what was added has drifted; see `detect_drift`.

        Raises
        ------
        StatisticsError
            If nothing was added.
        """
        if not self.rows:
            raise StatisticsError("current is empty: give at least one prediction")
        return judge(self.reference, self.summary, self._limits)


@overload
def detect_drift(
    golden: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    golden_days: ArrayLike | None = None,
    days: ArrayLike | None = None,
    limits: DriftLimits | None = None,
    correction: Correction = "bh",
) -> FrameReport: ...


@overload
def detect_drift(
    golden: ArrayLike,
    current: ArrayLike,
    *,
    golden_days: ArrayLike | None = None,
    days: ArrayLike | None = None,
    limits: DriftLimits | None = None,
    correction: Correction = "bh",
) -> DriftReport: ...


def detect_drift(
    golden: Any,
    current: Any,
    *,
    golden_days: ArrayLike | None = None,
    days: ArrayLike | None = None,
    limits: DriftLimits | None = None,
    correction: Correction = "bh",
) -> DriftReport | FrameReport:
    """Say whether the current predictions have drifted from their golden.

    Parameters
    ----------
    golden, current : array_like, shapes (n,) and (m,)
        Predictions then and now, in any order: truth values, integers or floats. What is None, NaN, infinite or masked
        is counted apart. Or two frames with the same columns, or mappings of names to columns: of numbers, or of
        categories.
    golden_days, days : array_like of datetime64, shapes (n,) and (m,), optional
        The day that each row is of. Rows of one day resemble each other, and without their days they are taken as
        independent.
    limits : DriftLimits, optional
        Where drift begins; by default the limits of `DriftLimits()`.
    correction : str, default "bh"
        How p-values of the columns of a frame are adjusted for their number: ``bh``, ``holm`` or ``none``.

    Returns
    -------
    dict
        ``overall_drift`` is True, False, or None if there is too little to tell; ``reasons`` says why. The numbers are
        in ``psi`` (``value``, ``level``, ``critical``, ``rest``, ``bins``), ``ks`` (``statistic``, ``p_value``),
        ``missing``, ``rows``; ``dependence`` says how rows of one day were allowed for, and ``literal`` what the plain
        rule says: a PSI above its limit, or p below its level, over rows taken as independent. If no current value is
        finite, the numbers of PSI and KS are NaN. Of frames, ``columns`` holds as much of each column, the worst first,
        and ``drifted`` their names.

    Raises
    ------
    StatisticsError
        If a side is empty, not one-dimensional or not numeric, or no value of the golden is finite.

    Notes
    -----
    Drift is any of these: a PSI above its limit, of all values or of those that are not frequent, if it is also above
    what chance exceeds once in twenty times [1]_; a KS test beyond both of its limits; a share of missing values, or of
    those that are not frequent, that has moved by more than chance explains and more than `DriftLimits` allows.

    References
    ----------
    .. [1] B. Yurdakul and J. Naranjo, Statistical properties of the population stability index, Journal of Risk
       Model Validation 14(4), 2020.
    """
    if is_frame(golden) or is_frame(current):
        return compare_frames(
            golden,
            current,
            golden_days=golden_days,
            days=days,
            limits=limits or DriftLimits(),
            correction=correction,
        )
    then, now = alike(column(golden, name="golden"), column(current, name="current"))
    reference = Reference.of(then, days=golden_days)
    summary = reference.count(now, days=days)
    counts, exact, last = summary.counts, None, None
    if counts.finite:
        exact = exact_distance(reference.grid, then, now, counts)
        if is_exact(reference.grid.golden.finite, counts.finite):
            last = ties_of(then, now)
    return judge(reference, summary, limits or DriftLimits(), exact=exact, last=last)


def psi(golden: ArrayLike, current: ArrayLike, *, bins: int = 10) -> float:
    """Measure the population stability index, binned by the golden's own quantiles.

    Parameters
    ----------
    golden, current : array_like, shapes (n,) and (m,)
        Predictions then and now, in any order.
    bins : int, default 10
        Number of bins of equal share in the golden, at least 2. A value that makes up at least 1 / bins of the golden
        is a bin of its own, and the others have bins enough to be told apart.

    Returns
    -------
    float
        The index [nat], with a pseudocount of 0.5 in every bin.

    Raises
    ------
    StatisticsError
        If a side is empty, not one-dimensional, not numeric, or holds NaN or infinity, which `detect_drift` counts
        apart; if there are fewer than 2 bins.

    Notes
    -----
    The outer bins are open, so an outlier counts as one value and moves an edge by one value at most. Frequent values
    have bins of their own, because the edges of plain quantiles fall together where scores are 0 or 1, constant or
    mostly zero. Score both sides with the same runtime: rounding that breaks the ties of one side alone looks like a
    shift. Where one side is of fewer bits, such as float32, both are compared so; otherwise 0.1 would differ from
    itself.
    """
    then, now = _finite_samples(golden, current)
    reference = Reference.of(then, bins=bins)
    counts, _ = reference.bins.of_values(now)
    return float(contributions(reference.bins.of_counts(reference.grid.golden), counts).sum())


def ks_test(golden: ArrayLike, current: ArrayLike) -> KsResult:
    """Run the two-sample, two-sided Kolmogorov-Smirnov test.

    Parameters
    ----------
    golden, current : array_like, shapes (n,) and (m,)
        Predictions then and now, in any order.

    Returns
    -------
    KsResult
        Largest distance of the two distribution functions [1]_, from 0 to 1, and its p-value.

    Raises
    ------
    StatisticsError
        If a side is empty, not one-dimensional, not numeric, or holds NaN or infinity, which `detect_drift` counts
        apart.

    Notes
    -----
    The p-value is exact for up to 10^8 products of n and m and 20,000 values in all, ties included [2]_: for 0/1 values
    in samples of one size it is that of Fisher's exact test. Beyond, it is the limit for large samples, in which values
    that make up half a percent tie. It takes rows as independent; those of one day that move together make it too
    small.

    References
    ----------
    .. [1] N. Smirnov, Table for estimating the goodness of fit of empirical distributions, Annals of Mathematical
       Statistics 19:279, 1948.
    .. [2] G. Schroeer and D. Trenkler, Exact and randomization distributions of Kolmogorov-Smirnov tests two or three
       samples, Computational Statistics and Data Analysis 20:185, 1995.
    """
    then, now = _finite_samples(golden, current)
    reference = Reference.of(then)
    counts = reference.grid.count(now)
    statistic = exact_distance(reference.grid, then, now, counts)
    n, m = then.size, now.size
    if is_exact(n, m):
        return KsResult(statistic, exact_tail(statistic, n, m, ties_of(then, now)))
    root = float(np.sqrt(n / (n + m) * m))
    return KsResult(statistic, limit_tail(statistic * root, reference.grid.golden.cells + counts.cells))


def _finite_samples(golden: ArrayLike, current: ArrayLike) -> tuple[Column, Column]:
    then, now = alike(column(golden, name="golden"), column(current, name="current"))
    for name, values in (("golden", then), ("current", now)):
        if values.dtype.kind == "f" and (bad := int((~np.isfinite(values)).sum())):
            raise StatisticsError(
                f"{name} holds {bad} NaN or infinite of {values.size} values: repair them, or count them apart "
                "with detect_drift"
            )
    return then, now
