"""Gains in the common metrics from how often each row was drawn, without a copy of the rows that were.

Knows of no resampling and no verdict: `baseline` draws, and asks here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Series = NDArray[np.float64]
Codes = NDArray[np.int64]
WeightedGain = Callable[[NDArray[Any]], float]

OF_CLASSES = ("roc_auc", "neg_log_loss", "neg_brier_score")
_EPSILON = float(np.finfo(np.float64).eps)


def weighted_gain(
    name: str, truth: Series, model: Series, baseline: Series, *, labels: bool, unit: Codes
) -> WeightedGain | None:
    """Prepare the gain of a model over its baseline, in a metric of scikit-learn, as a function of what was drawn.

    Parameters
    ----------
    name : str
        The name of the scorer.
    truth, model, baseline : ndarray of float, shape (n_rows,)
        The true values, and the predictions of each of the two.
    labels : bool
        Whether predictions are probabilities of class 1, and a metric of values sees class 1 from 0.5 on.
    unit : ndarray of int, shape (n_rows,)
        What each row is drawn with, counted from 0: its own place, or that of its day.

    Returns
    -------
    callable or None
        Takes how often each unit was drawn, shape (n_units,), and returns the gain [unit of the metric]; NaN where only
        the metric itself can tell, as with one class. None for a metric that needs the rows.

    Notes
    -----
    A mean of losses needs one sum a unit, so a resample is a product of two vectors. The area under the ROC curve is
    the share of pairs, one row of each class, that the scores order rightly, ties counting half [1]_. With rows sorted
    once, that is a running count of one class summed over the other. Both are the metric of the rows drawn, not an
    approximation.

    References
    ----------
    .. [1] D. Bamber, The area above the ordinal dominance graph and the area below the receiver operating
       characteristic graph, Journal of Mathematical Psychology 12:387, 1975.
    """
    if name in OF_CLASSES and not np.isin(truth, (0.0, 1.0)).all():
        return None
    if name == "roc_auc":
        ours = _auc(truth, model, unit)
        if baseline.min() == baseline.max():  # half of all pairs, whatever was drawn
            return lambda drawn: ours(drawn) - 0.5
        theirs = _auc(truth, baseline, unit)
        return lambda drawn: ours(drawn) - theirs(drawn)
    if labels and name not in OF_CLASSES:
        model, baseline = ((chance >= 0.5).astype(np.float64) for chance in (model, baseline))
    found = _parts(name, truth, model, baseline)
    if found is None:
        return None
    rows, combine = found
    parts = np.stack([np.bincount(unit, weights=row) for row in (np.ones_like(truth), *rows)])

    def gain(drawn: NDArray[Any]) -> float:
        return combine(*(parts @ drawn.astype(np.float64)).tolist())

    return gain


def _parts(
    name: str, truth: Series, model: Series, baseline: Series
) -> tuple[list[Series], Callable[..., float]] | None:
    """Series whose sums over the rows drawn give the gain, and how; the first sum given is the number of rows."""

    def saved(loss: Callable[[Series], Series]) -> Series:
        return loss(baseline) - loss(model)

    match name:
        case "neg_mean_absolute_error":
            return [saved(lambda p: np.abs(truth - p))], _mean
        case "neg_mean_squared_error":
            return [saved(lambda p: (truth - p) ** 2)], _mean
        case "accuracy":
            return [saved(lambda p: (truth != p).astype(np.float64))], _mean
        case "neg_brier_score":
            return [saved(lambda p: (truth - p) ** 2), truth], _mean_of_two_classes
        case "neg_log_loss":
            return [saved(lambda p: _log_loss(truth, p)), truth], _mean_of_two_classes
        case "neg_root_mean_squared_error":
            return [(truth - baseline) ** 2, (truth - model) ** 2], lambda n, b, m: (b / n) ** 0.5 - (m / n) ** 0.5
        case "r2":
            # About its own mean first, or the spread below would be the small difference of two large sums.
            centred = truth - truth.mean()
            return [saved(lambda p: (truth - p) ** 2), centred, centred**2], _share_of_spread
    return None


def _mean(rows: float, saved: float) -> float:
    return saved / rows


def _mean_of_two_classes(rows: float, saved: float, ones: float) -> float:
    return saved / rows if 0 < ones < rows else float("nan")


def _share_of_spread(rows: float, saved: float, total: float, squares: float) -> float:
    # The difference of two R2 = 1 - sum(w (y - p)^2) / sum(w (y - mean)^2); the latter is the same for both.
    spread = squares - total**2 / rows
    return saved / spread if spread > 1e-9 * squares else float("nan")


def _log_loss(truth: Series, chance: Series) -> Series:
    # scikit-learn's own clipping, so that a chance of 0 or 1 costs as much.
    one, zero = (np.clip(p, _EPSILON, 1 - _EPSILON) for p in (chance, 1 - chance))
    loss: Series = -(xlogy(truth, one) + xlogy(1 - truth, zero))
    return loss


def _auc(truth: Series, scores: Series, unit: Codes) -> WeightedGain:
    zeros, ones = (rows[np.argsort(scores[rows])] for rows in (np.flatnonzero(truth == c) for c in (0, 1)))
    # For each row of class 1, the rows of class 0 that score less, and those that score no more.
    below, up_to = (np.searchsorted(scores[zeros], scores[ones], side=side) for side in ("left", "right"))
    tied = not np.array_equal(below, up_to)
    unit_of_zeros, unit_of_ones = unit[zeros], unit[ones]
    running = np.zeros(zeros.size + 1, dtype=np.int64)

    def auc(drawn: NDArray[Any]) -> float:
        of_zeros, of_ones = drawn[unit_of_zeros], drawn[unit_of_ones]
        np.cumsum(of_zeros, out=running[1:])
        pairs = 2 * int(running[-1]) * int(of_ones.sum(dtype=np.int64))
        if not pairs:
            return float("nan")
        won = running[below]
        won += running[up_to] if tied else won
        return int(np.einsum("i,i->", won, of_ones)) / pairs

    return auc
