"""Drift of a column of categories: their shares, and which are new or gone."""

import math
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..errors import StatisticsError
from .index import chi_squared_tail, contributions, critical_value
from .verdict import FEWEST_ROWS, DriftLimits

_EXPECTED = 5.0  # values of a category below which the chi-squared distribution does not hold; they are pooled


class CategoryReport(TypedDict):
    """What was found of a column of categories; `new` and `gone` have the shares that they have, or had."""

    overall_drift: bool | None
    reasons: list[str]
    psi: float
    critical: float
    statistic: float
    p_value: float
    distance: float
    new: dict[str, float]
    gone: dict[str, float]
    missing: tuple[float, float]
    dependence: str


def compare_categories(
    golden: Sequence[Any], current: Sequence[Any], *, limits: DriftLimits | None = None
) -> CategoryReport:
    """Say whether the shares of categories have drifted.

    Parameters
    ----------
    golden, current : sequence of str or None, lengths n and m
        Categories then and now; None and NaN are missing, which is a category of its own.
    limits : DriftLimits, optional
        Where drift begins: of the PSI, and of the p-value and the largest difference of a share.

    Returns
    -------
    dict
        ``overall_drift`` is True, False, or None if there is too little to tell.

    Raises
    ------
    StatisticsError
        If a side is empty.

    Notes
    -----
    The p-value is that of Pearson's chi-squared test of homogeneity [1]_ over rows taken as independent. Categories of
    which fewer than five values are expected on a side are taken as one.

    References
    ----------
    .. [1] K. Pearson, On the criterion, Philosophical Magazine 50:157, 1900; A. Agresti, Categorical Data Analysis,
       3rd ed., Wiley, 2013, section 3.2.
    """
    limits = limits or DriftLimits()
    names, then, now = _counted(golden, current)
    n, m = int(then.sum()), int(now.sum())
    value, seen = float(contributions(then, now).sum()), names.size
    critical = critical_value(seen, n, m)
    statistic, p = chi_squared_test(then, now)
    apart = np.abs(then / n - now / m)
    distance = float(apart.max())
    new, gone = (
        {str(names[k]): float(of[k] / of.sum()) for k in np.flatnonzero((of > 0) & (other == 0))}
        for of, other in ((now, then), (then, now))
    )
    missing = names == _MISSING
    reasons = []
    if value > max(limits.psi, critical):
        reasons.append(f"PSI {value:.3f} is above {limits.psi:g}")
    if p < limits.ks_p and distance >= limits.ks_distance:
        worst = int(apart.argmax())
        reasons.append(f"{names[worst]} is {now[worst] / m:.1%}, was {then[worst] / n:.1%} (p {p:.3g})")
    doubt = None
    if min(n, m) < FEWEST_ROWS:
        reasons, doubt = [], f"{min(n, m)} values, too few to tell: give at least {FEWEST_ROWS}"
    elif critical > limits.psi and not reasons:
        doubt = f"without drift, so few values reach a PSI of {critical:.2f} once in twenty times: give more"
    return {
        "overall_drift": True if reasons else None if doubt else False,
        "reasons": reasons or ([doubt] if doubt else []),
        "psi": value,
        "critical": critical,
        "statistic": statistic,
        "p_value": p,
        "distance": distance,
        "new": new,
        "gone": gone,
        "missing": (float(then[missing].sum() / n), float(now[missing].sum() / m)),
        "dependence": "rows are taken as independent: categories are compared without their days",
    }


_MISSING = "(missing)"


def _counted(
    golden: Sequence[Any], current: Sequence[Any]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Count each category on both sides, in the order of their names."""
    sides = []
    for name, given in (("golden", golden), ("current", current)):
        texts = [_MISSING if each is None or each != each else str(each) for each in given]
        if not texts:
            raise StatisticsError(f"{name} is empty: give at least one category")
        sides.append(np.array(texts, dtype=object))
    names, place = np.unique(np.concatenate(sides), return_inverse=True)
    then, now = (np.bincount(part, minlength=names.size) for part in np.split(place, [sides[0].size]))
    return names, then, now


def chi_squared_test(then: NDArray[np.int64], now: NDArray[np.int64]) -> tuple[float, float]:
    """Give Pearson's statistic and its p-value, for counts of the same categories on two sides."""
    table = np.array([then, now], dtype=np.float64)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    rare = expected.min(axis=0) < _EXPECTED
    if rare.sum() > 1:
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
        expected = np.column_stack([expected[:, ~rare], expected[:, rare].sum(axis=1)])
    if table.shape[1] < 2:
        return 0.0, 1.0
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, chi_squared_tail(statistic, table.shape[1] - 1) if math.isfinite(statistic) else 1.0
