"""Whether a single feature gives a target away: it is the target, a code of it, or missing where it holds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from .quantiles import finite_series, numbers
from .ranks import Series, daily_rank_ic, same_shape

# The fewest rows with a value, and of either class, on which a single feature is compared with a target.
_ROWS = 20
# So many values, or bins of them, have a mean target each.
_BINS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Giveaway:
    """The feature that alone tells most of a target, and how much: an AUC, or the size of a rank correlation."""

    value: float
    column: str | None


def giveaway(features: Mapping[str, ArrayLike], outcome: ArrayLike, *, classes: bool) -> Giveaway:
    """Find the single feature that gives most of the target away.

    Parameters
    ----------
    features : mapping of str to array_like of float, shape (n_rows,)
        Name and values of each feature; each is asked for once, and let go. NaN means that there is no value; that
        there is none is looked at as a feature of its own.
    outcome : array_like of float, shape (n_rows,)
        The target: 0 or 1 if there are classes.
    classes : bool
        Whether the outcome is a class.

    Returns
    -------
    Giveaway
        For classes the larger of AUC and 1 - AUC [1]_, otherwise the size of Spearman's correlation, ties averaged. A
        feature with fewer than 20 values, or 20 of either class, is left out; 0 if all are. From 2,000 values on, a
        feature is also replaced by the mean target of the other half of the rows that have its value, or lie in its bin
        of 50, so that a code, or the size of a target without its sign, is seen.

    Raises
    ------
    StatisticsError
        If the outcome is not finite, or the features do not have as many rows.

    References
    ----------
    .. [1] J. A. Hanley and B. J. McNeil, The meaning and use of the area under a receiver operating characteristic
       (ROC) curve, Radiology 143:29, 1982.
    """
    target = finite_series(outcome, name="outcome")
    alone = _auc if classes else _rank_correlation
    best, found = 0.0, None
    for name, values in features.items():
        column = numbers(values, name=name)
        same_shape(column, target, f"{name} and outcome")
        there = ~np.isnan(column)
        candidates = [(name, alone(column[there], target[there]))]
        if candidates[0][1] and there.sum() >= 2 * _ROWS * _BINS:
            candidates.append((name, alone(_usual_target(column[there], target[there]), target[there])))
        if not there.all():
            candidates.append((f"whether {name} is missing", alone(there.astype(np.float64), target)))
        for what, value in candidates:
            if value > best:
                best, found = value, what
    return Giveaway(value=best, column=found)


def _usual_target(column: Series, target: Series) -> Series:
    """Replace a column by the mean target of the rows like it in the other half: a code need not be in order."""
    values, code = np.unique(column, return_inverse=True)
    if values.size > _BINS:
        code = np.searchsorted(np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1]), column)
    # Rows may be in order, such as by time or class: halves are drawn.
    half = np.random.default_rng(1).random(column.size) < 0.5
    usual = np.empty(column.size)
    for told, by in ((half, ~half), (~half, half)):
        count = np.bincount(code[by], minlength=_BINS)
        total = np.bincount(code[by], weights=target[by], minlength=_BINS)
        mean = float(target[by].mean())
        usual[told] = np.where(count > 0, total / np.maximum(count, 1), mean)[code[told]]
    return usual


def _auc(column: Series, target: Series) -> float:
    positive = target == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if min(ones, zeros) < _ROWS:
        return 0.0
    # Hanley and McNeil 1982: the AUC is the Mann-Whitney statistic over the number of pairs.
    auc = (float(rankdata(column)[positive].sum()) - ones * (ones + 1) / 2) / (ones * zeros)
    return max(auc, 1 - auc)


def _rank_correlation(column: Series, target: Series) -> float:
    if column.size < _ROWS:
        return 0.0
    ic = daily_rank_ic(column[np.newaxis], target[np.newaxis])[0]
    return min(1.0, abs(float(ic))) if np.isfinite(ic) else 0.0
