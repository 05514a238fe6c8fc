"""Drift that no distribution shows: values handed to the wrong assets, or that stand still for each of them."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from ..errors import StatisticsError
from ..stats.quantiles import labels
from ..stats.ranks import centred_ranks
from .columns import column
from .summary import FEWEST_DAYS, read_days
from .verdict import DriftLimits

Matrix = NDArray[np.float64]

_ASSETS = 5  # that two days need in common
# By which a rank correlation must have moved to matter; that of the assets wanders more, where features last.
_MATERIAL, _OTHER_ASSETS = 0.1, 0.3
_WINDOWS = 3  # of the golden, from which on they say how much is usual
_SURE = 1 - 1e-9  # a correlation of 1 has no transform


@dataclass(frozen=True, slots=True, eq=False)
class ByAsset:
    """A feature as a matrix, shape (n_days, n_assets); NaN where an asset has no value.

    Parameters
    ----------
    values : ndarray
    assets : tuple of str
        What the columns are, in the order of their names.
    """

    values: Matrix
    assets: tuple[str, ...]

    @classmethod
    def of(cls, values: ArrayLike, *, assets: ArrayLike, days: ArrayLike) -> "ByAsset":
        """Lay out one value a row; the last counts where an asset has two on a day.

        Raises
        ------
        StatisticsError
            If there is not one value, asset and day a row.
        """
        given = column(values, name="values").astype(np.float64)
        names, place = np.unique(labels(assets, name="asset", rows=given.size).astype(str), return_inverse=True)
        found, day = np.unique(read_days(days, given.size, name="values"), return_inverse=True)
        matrix = np.full((found.size, names.size), np.nan)
        matrix[day, place] = given
        return cls(matrix, tuple(names.tolist()))


class Moved(TypedDict):
    """A number then and now, and how often chance alone puts the two so far apart; NaN if it cannot be told."""

    golden: float
    current: float
    p_value: float


class JointReport(TypedDict):
    """What `compare_by_asset` found."""

    overall_drift: bool | None
    reasons: list[str]
    persistence: Moved
    still: Moved
    identity: Moved


def compare_by_asset(golden: ByAsset, current: ByAsset, *, limits: DriftLimits | None = None) -> JointReport:
    """Say whether a feature still belongs to its assets, and still moves.

    Parameters
    ----------
    golden, current : ByAsset
        At least 21 days of each.
    limits : DriftLimits, optional
        The level of the p-values is `ks_p`, and the share of values that stand still may move by `ks_distance`.

    Returns
    -------
    dict
        ``persistence`` is the mean rank correlation of a day with the day before, ``still`` the share of assets whose
        value is that of the day before, and ``identity`` the rank correlation of the assets' mean ranks with those of
        the golden. ``overall_drift`` is None if there are too few days or assets to tell.

    Raises
    ------
    StatisticsError
        If the two have fewer than five assets in common.

    Notes
    -----
    Each mean over days is compared with those of windows of the golden, as long as the current sample and beside each
    other, by Student's t for one more observation: what days share that follow on each other is in them. A golden that
    holds fewer than three windows is compared by Welch's test, with Bartlett's weights, whose p-values are too small
    where a feature lasts for weeks. A day on which all assets have one value has correlation 0 with the day before.

    Identity is compared in the same way, by Fisher's transform: that of each window with the rest of the golden, but
    for the windows beside it, which resemble it where a feature lasts.
    """
    limits = limits or DriftLimits()
    common = sorted({*golden.assets} & {*current.assets})
    if len(common) < _ASSETS:
        raise StatisticsError(f"golden and current have {len(common)} assets in common: give at least {_ASSETS}")
    then, now = (each.values[:, [each.assets.index(name) for name in common]] for each in (golden, current))
    (bound, still), (bound_now, still_now) = _steps(then), _steps(now)
    persistence, resting = _compared(bound, bound_now), _compared(still, still_now)
    identity = _identity(then, now)
    reasons = []
    if persistence["p_value"] < limits.ks_p and abs(persistence["golden"] - persistence["current"]) >= _MATERIAL:
        reasons.append(f"rank correlation with the day before is {_then_and_now(persistence)}")
    if resting["p_value"] < limits.ks_p and abs(resting["golden"] - resting["current"]) >= limits.ks_distance:
        reasons.append(f"the share of assets whose value did not move is {_then_and_now(resting)}")
    lost = identity["golden"] - identity["current"]
    # Where each asset has no rank of its own, there is none to lose.
    if identity["p_value"] < limits.ks_p and min(identity["golden"], lost) >= _OTHER_ASSETS:
        reasons.append(f"rank correlation of the assets with those of the golden is {_then_and_now(identity)}")
    untold = all(math.isnan(each["p_value"]) for each in (persistence, resting))
    if untold and not reasons:
        reasons.append(f"fewer than {FEWEST_DAYS} steps from day to day on a side are too few to tell: give more days")
        return _report(None, reasons, persistence, resting, identity)
    return _report(bool(reasons), reasons, persistence, resting, identity)


def _report(drift: bool | None, reasons: list[str], persistence: Moved, still: Moved, identity: Moved) -> JointReport:
    return {
        "overall_drift": drift,
        "reasons": reasons,
        "persistence": persistence,
        "still": still,
        "identity": identity,
    }


def _then_and_now(of: Moved) -> str:
    return f"{of['current']:.2f}, was {of['golden']:.2f} (p {of['p_value']:.3g})"


def _correlation(x: Matrix, y: Matrix) -> float:
    """Give Spearman's correlation over what both have; NaN if that is too little, or does not vary."""
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < _ASSETS:
        return math.nan
    a, b = (centred_ranks(each[both][None, :])[0] for each in (x, y))
    scale = math.sqrt(float((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else math.nan


def _steps(values: Matrix) -> tuple[Matrix, Matrix]:
    """Give the rank correlation of each day with the day before, and the share of assets that did not move."""
    bound, still = np.full((2, max(0, len(values) - 1)), np.nan)
    for place, (before, after) in enumerate(pairwise(values)):
        both = np.isfinite(before) & np.isfinite(after)
        if both.sum() >= _ASSETS:
            found = _correlation(before, after)
            bound[place] = 0.0 if math.isnan(found) else found
            still[place] = np.mean((before == after)[both])
    return bound[np.isfinite(bound)], still[np.isfinite(still)]


def _compared(then: Matrix, now: Matrix) -> Moved:
    """Compare two means over days."""
    if min(then.size, now.size) < FEWEST_DAYS:
        return {"golden": _mean(then), "current": _mean(now), "p_value": math.nan}
    windows = then.size // now.size
    if windows >= _WINDOWS:
        usual = then[: windows * now.size].reshape(windows, now.size).mean(axis=1)
        p = 2 * float(stdtr(windows - 1, -abs(_unusual(usual, _mean(now)))))
    else:
        error = math.sqrt(_variance(then) + _variance(now))
        apart = abs(_mean(then) - _mean(now))
        p = math.erfc(apart / error / math.sqrt(2)) if error else float(apart == 0)
    return {"golden": _mean(then), "current": _mean(now), "p_value": p}


def _unusual(usual: Matrix, found: float) -> float:
    """Give Student's t of one more observation."""
    apart, error = found - float(usual.mean()), float(usual.std(ddof=1)) * math.sqrt(1 + 1 / usual.size)
    return apart / error if error else math.copysign(math.inf, apart) if apart else 0.0


def _mean(values: Matrix) -> float:
    return float(values.mean()) if values.size else math.nan


def _variance(values: Matrix) -> float:
    """Give the variance of a mean, with Bartlett's weights; at least that of independent days."""
    n, off = values.size, values - values.mean()
    lags = int(4 * (n / 100) ** (2 / 9))
    own = float(off @ off)
    both = own + sum(2 * (1 - lag / (lags + 1)) * float(off[lag:] @ off[:-lag]) for lag in range(1, lags + 1))
    return max(own, both) / n / (n - 1)


def _identity(then: Matrix, now: Matrix) -> Moved:
    """Compare the assets' mean ranks with those of the golden, and windows of the golden with its rest."""
    ranks, ranks_now = (_ranked(each) for each in (then, now))
    length, days = len(now), len(then)
    found = _correlation(_mean_rank(ranks), _mean_rank(ranks_now))
    if length < FEWEST_DAYS or days < _WINDOWS * length:
        return {"golden": math.nan, "current": found, "p_value": math.nan}
    own = []
    for start in range(0, days - length + 1, length):
        rest = np.concatenate([ranks[: max(0, start - length)], ranks[start + 2 * length :]])
        own.append(_correlation(_mean_rank(ranks[start : start + length]), _mean_rank(rest)))
    usual = np.array(own)[np.isfinite(own)]
    if usual.size < _WINDOWS or not math.isfinite(found):
        return {"golden": _mean(usual), "current": found, "p_value": math.nan}
    then_z, now_z = np.arctanh(np.clip(usual, -_SURE, _SURE)), math.atanh(min(max(found, -_SURE), _SURE))
    return {"golden": _mean(usual), "current": found, "p_value": float(stdtr(usual.size - 1, _unusual(then_z, now_z)))}


def _ranked(values: Matrix) -> Matrix:
    """Rank each day's values about 0, from -1/2 to 1/2."""
    ranks = np.full(values.shape, np.nan)
    for day, row in enumerate(values):
        there = np.isfinite(row)
        if there.sum() >= _ASSETS:
            ranks[day, there] = centred_ranks(row[there][None, :])[0] / there.sum()
    return ranks


def _mean_rank(ranks: Matrix) -> Matrix:
    count = np.isfinite(ranks).sum(axis=0)
    return np.where(count > 0, np.nansum(ranks, axis=0) / np.maximum(count, 1), np.nan)
