"""How far a model's predictions have moved from its golden: PSI, two-sample KS, and the verdict on both.

Only arrays come in here. `golden.py` reads and writes the golden; this module knows of no files, models or tests.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import StatisticsError
from ..stats.quantiles import numbers

MINIMUM_ROWS = 170
"""Fewest values on each side that carry a verdict [count].

With fewer, chance lifts a ten-bin PSI over 0.20 more than once in 20 samples.
"""

Values = NDArray[np.floating[Any]]
Level = Literal["none", "moderate", "significant"]


class KsResult(NamedTuple):
    """Largest distance between two distribution functions, and how often chance alone gives as much."""

    statistic: float
    p_value: float


class PsiReading(TypedDict):
    """The index [nat] and the word for it."""

    value: float
    level: Level


class KsReading(TypedDict):
    """A `KsResult` as it is reported."""

    statistic: float
    p_value: float


class DriftReport(TypedDict):
    """What `detect_drift` found."""

    psi: PsiReading
    ks: KsReading
    overall_drift: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLimits:
    """Where drift begins.

    Parameters
    ----------
    psi_moderate, psi : float, default 0.10 and 0.25
        An index [nat] above the first is moderate, above the second significant, and significant is drift.
    ks_p, ks_distance : float, default 0.05 and 0.05
        The KS test finds drift if p is below the first and the distance at least the second. By p alone it would find
        drift on millions of rows in a shift that changes no trade.

    Raises
    ------
    StatisticsError
        If a limit is NaN (no value is above NaN, so nothing would ever drift) or the two PSI limits are out of order.
    """

    psi_moderate: float = 0.10
    psi: float = 0.25
    ks_p: float = 0.05
    ks_distance: float = 0.05

    def __post_init__(self) -> None:
        ordered = 0 <= self.psi_moderate <= self.psi < math.inf
        if not (ordered and 0 <= self.ks_p <= 1 and 0 <= self.ks_distance <= 1):
            raise StatisticsError(
                f"{self} sets no usable limits: give 0 <= psi_moderate <= psi, and ks_p and ks_distance within [0, 1]"
            )


def population_stability_index(
    reference_counts: ArrayLike, live_counts: ArrayLike, *, pseudocount: float = 0.5
) -> float:
    """Measure the shift between two samples binned alike.

    Parameters
    ----------
    reference_counts, live_counts : array_like of int, shape (n_bins,)
        Values in each bin [count].
    pseudocount : float, default 0.5
        Added to every bin [count], so that an empty bin does not make the index infinite.

    Returns
    -------
    float
        The index [nat], never negative; 0 for equal shares.

    Raises
    ------
    StatisticsError
        If the two were not binned alike, a count is negative, NaN or infinite, a side is empty, the pseudocount is
        negative or not finite, or a bin is empty and the pseudocount 0.

    Notes
    -----
    The index is sum((p - q) ln(p / q)) over the bins, for shares p and q. Without drift it is about (1/n + 1/m) times a
    chi-squared variable of n_bins - 1 degrees of freedom [1]_, so a fixed limit gives false alarms on a small sample.

    References
    ----------
    .. [1] B. Yurdakul and J. Naranjo, Statistical properties of the population stability index, Journal of Risk
       Model Validation 14(4), 2020.
    """
    reference = numbers(reference_counts, name="the reference counts")
    live = numbers(live_counts, name="the live counts")
    if reference.ndim != 1 or reference.shape != live.shape:
        raise StatisticsError(
            f"reference counts have shape {reference.shape}, live counts {live.shape}: bin both with the same edges"
        )
    for name, counts in (("reference", reference), ("live", live)):
        if not (np.isfinite(counts).all() and (counts >= 0).all()):
            raise StatisticsError(
                f"the {name} counts {counts.tolist()} hold a negative, NaN or infinite one: count again"
            )
        if not counts.sum() > 0:
            raise StatisticsError(f"the {name} counts are all 0: give at least one value to each side")
    if not 0 <= pseudocount < math.inf:
        raise StatisticsError(f"the pseudocount is {pseudocount}: give 0 or more")
    if pseudocount == 0 and not (reference * live).all():
        raise StatisticsError("a bin is empty, so the index has no finite value: give a pseudocount above 0")
    # sum((p - q) ln(p / q)), the symmetric divergence whose distribution Yurdakul and Naranjo 2020 derive.
    p, q = ((counts + pseudocount) / (counts + pseudocount).sum() for counts in (reference, live))
    return float(((p - q) * np.log(p / q)).sum())


def psi(golden: ArrayLike, current: ArrayLike, *, bins: int = 10) -> float:
    """Measure the population stability index, binned by the golden's own quantiles.

    Parameters
    ----------
    golden, current : array_like of float, shapes (n,) and (m,)
        Predictions then and now, in any order.
    bins : int, default 10
        Number of bins of equal share in the golden, at least 2. A value that makes up at least 1 / bins of the golden
        is a bin of its own.

    Returns
    -------
    float
        The index [nat], with a pseudocount of 0.5 in every bin.

    Raises
    ------
    StatisticsError
        If a side is empty, not one-dimensional, not numeric, or holds NaN or infinity; if there are fewer than 2 bins.

    Notes
    -----
    The outer bins are open, so an outlier counts as one value and moves an edge by one value at most. Frequent values
    have bins of their own, because the edges of plain quantiles fall together where scores are 0 or 1, constant or
    mostly zero. Score both sides with the same runtime: rounding that breaks the ties of one side alone looks like a
    shift. Where one side is float32, both are compared as float32; otherwise 0.1 would differ from itself.
    """
    then, now = both_samples(golden, current)
    if bins < 2:
        raise StatisticsError(f"bins is {bins}: give 2 or more")
    of_golden = Bins.of(then, bins=bins)
    return index_of(of_golden.count(then), of_golden.count(now))


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of a golden: its frequent values, and between them quantiles of the others."""

    atoms: Values
    edges: Values

    @classmethod
    def of(cls, golden: Values, *, bins: int = 10) -> "Bins":
        """Take about so many bins of equal share; see `psi`."""
        distinct, times = np.unique(golden, return_counts=True)
        atoms = distinct[times * bins >= golden.size]
        between = golden[~np.isin(golden, atoms)]
        # The other values get their share of the bins, so that each of their bins holds about 1 / bins of the golden.
        quantile_bins = max(1, round(bins * between.size / golden.size))
        # These are interior edges only. Each bin is (lower, upper], as in a distribution function, so ties on an edge
        # stay together.
        levels = np.arange(1, quantile_bins) / quantile_bins
        return cls(atoms, np.unique(np.quantile(between, levels)) if levels.size else between[:0])

    @property
    def size(self) -> int:
        """How many there are."""
        return self.atoms.size + self.edges.size + 1

    def count(self, values: Values) -> NDArray[np.int64]:
        """Count values in each bin; counts of two samples add up."""
        ordered = np.sort(values)
        of_atoms = np.searchsorted(ordered, self.atoms, side="right") - np.searchsorted(
            ordered, self.atoms, side="left"
        )
        rest = values[~np.isin(values, self.atoms)]
        between = np.bincount(np.searchsorted(self.edges, rest, side="left"), minlength=self.edges.size + 1)
        return np.concatenate([of_atoms, between])


def index_of(golden: NDArray[np.int64], current: NDArray[np.int64]) -> float:
    """Compute the index from counts in the golden's bins [nat]."""
    # A bin that is empty on both sides would add to the index by its pseudocount alone.
    seen = golden + current > 0
    # If one bin is left, it holds all values of both sides, and the index is 0: the same constant twice.
    return population_stability_index(golden[seen], current[seen])


def ks_test(golden: ArrayLike, current: ArrayLike) -> KsResult:
    """Run the two-sample, two-sided Kolmogorov-Smirnov test.

    Parameters
    ----------
    golden, current : array_like of float, shapes (n,) and (m,)
        Predictions then and now, in any order.

    Returns
    -------
    KsResult
        Largest distance of the two distribution functions [1]_, from 0 to 1, and its p-value.

    Raises
    ------
    StatisticsError
        If a side is empty, not one-dimensional, not numeric, or holds NaN or infinity.

    Notes
    -----
    The p-value takes the values for independent and continuous. Ties make it too large: for 0/1 scores that go from 5 %
    to 8 % on 1,000 rows a side it is 0.76, where Fisher's exact test gives 0.0083. Rows of one day that move together
    make it too small. It is exact up to 10,000 values a side and asymptotic above, as in scipy.

    References
    ----------
    .. [1] N. Smirnov, Table for estimating the goodness of fit of empirical distributions, Annals of Mathematical
       Statistics 19:279, 1948.
    """
    then, now = both_samples(golden, current)
    with warnings.catch_warnings():
        # scipy warns where it falls back to the asymptotic p-value, and the docstring promises that one.
        warnings.filterwarnings("ignore", message=".*Switching to method=asymp.*", category=RuntimeWarning)
        result = stats.ks_2samp(then, now)
    return KsResult(float(result.statistic), float(result.pvalue))


def both_samples(golden: ArrayLike, current: ArrayLike) -> tuple[Values, Values]:
    """Check both sides; where one is float32, both are compared as float32."""
    then, now = checked_sample("golden", golden), checked_sample("current", current)
    if any(getattr(given, "dtype", None) == np.float32 for given in (golden, current)):
        # A double beyond the range of float32 becomes infinite, which still ranks above all other values.
        with np.errstate(over="ignore"):
            return then.astype(np.float32), now.astype(np.float32)
    return then, now


def checked_sample(name: str, given: ArrayLike) -> Values:
    """Check that a side is one finite number a row, and not empty."""
    values = numbers(given, name=name)
    if values.ndim != 1:
        raise StatisticsError(f"{name} has shape {values.shape}, not one dimension: give one prediction a row")
    if not values.size:
        raise StatisticsError(f"{name} is empty: give at least one prediction")
    if bad := int((~np.isfinite(values)).sum()):
        raise StatisticsError(
            f"{name} holds {bad} NaN or infinite of {values.size} values: repair them or count them apart"
        )
    return values
