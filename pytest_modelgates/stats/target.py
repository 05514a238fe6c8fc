"""Whether a panel's target is the return that the panel's own daily returns make over the horizon."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import empty, in_parts, parts
from .markets import closed_days
from .ranks import Matrix, daily_matrix, daily_rank_ic, same_shape

RIGHT_LEAD = 1
"""The lead of the first return that a target holds [days]: the position of a score is entered a day after it."""

# How far from the right lead others are tried [days]. Dates that are off are off by a day or two, or by the horizon.
_REACH = 3
# Decimals that a compounded return keeps: the order in which a desk multiplied must not break a tie.
_DECIMALS = 12
# Below this share of rows with all of their returns, what can be compared need not stand for the rest.
_LEAST_SHARE = 0.5
# A day on which at least so many names are compared, and the correlation is below this part of the median, is broken.
_NAMES, _BROKEN = 5, 0.7
# Leads whose correlations differ by less are the same.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetAgreement:
    """How far a target ranks the names of a day like the returns that it should be made of.

    `rank_corr` is the mean rank correlation by day at the right lead, over `days` days; `worst_day` is the index of the
    day on which it is lowest. `broken` counts the days with five names or more on which it is below 0.7 of its median.
    `lead` is the lead at which it is largest [days], and `largest` the correlation there.
    """

    rank_corr: float
    lead: int
    largest: float
    worst_day: int
    broken: int
    days: int


def compounded(returns: ArrayLike, *, horizon: int, lead: int = RIGHT_LEAD) -> Matrix:
    """Compound each asset's daily returns over a horizon.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share]; NaN means that the asset has no row that day.
    horizon : int
        Number of days compounded [days].
    lead : int, default 1
        Days from the day to the first return [days]; below 0 for returns of the past.

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        Row t is the product of 1 + return over rows t + lead to t + lead + horizon - 1, less 1 [share], to twelve
        decimals. It is NaN if any of these is missing or lies outside the panel.

    Raises
    ------
    StatisticsError
        If the returns are not a matrix, one is infinite, or the horizon is below 1.
    """
    if horizon < 1:
        raise StatisticsError(f"horizon is {horizon} days, expected at least 1")
    daily = daily_matrix(returns, "returns")
    total: Matrix = empty(daily.shape)
    first, last = max(0, -lead), min(len(daily), len(daily) - horizon + 1 - lead)
    last = max(first, last)
    total[:first], total[last:] = np.nan, np.nan
    # A part of fewer days than the horizon would multiply most of them again and again.
    for part in parts(-(-(last - first) // horizon), horizon * daily.shape[1]) if first < last else ():
        start, stop = first + part.start * horizon, min(last, first + part.stop * horizon)
        product = _products(1 + daily[start + lead : stop + lead + horizon - 1], horizon) - 1
        np.round(product, _DECIMALS, out=total[start:stop])
    return total


def _products(growth: Matrix, horizon: int) -> Matrix:
    """Multiply over each window of so many rows, by windows of 1, 2, 4, … rows: log2(horizon) passes."""
    windows = len(growth) - horizon + 1
    product, done, size = np.ones((windows, growth.shape[1])), 0, 1
    while True:
        if horizon & size:
            product = product * growth[done : done + windows]
            done += size
        if 2 * size > horizon:
            return product
        growth = growth[:-size] * growth[size:]
        size *= 2


def target_agreement(target: ArrayLike, returns: ArrayLike, *, horizon: int) -> TargetAgreement:
    """Compare a target with the returns over the horizon, at the right lead and at others.

    Parameters
    ----------
    target : array_like of float, shape (n_days, n_assets)
        The return over the horizon, or what ranks the names of a day alike, such as that return in excess of the day's
        mean; NaN means that the asset has no row that day.
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share], NaN as above.
    horizon : int
        How far the target looks ahead [days].

    Returns
    -------
    TargetAgreement
        Spearman's correlation of each day's target with the compounded returns of rows t + 1 to t + horizon, and the
        lead at which it is largest. Leads are compared on the days that both have. The last `horizon` days have no
        such returns and are left out, and so is a name on the days that its own returns do not cover. If they cover
        fewer than half of the rows, days on which a whole market is closed count as returns of 0.

    Raises
    ------
    InsufficientDataError
        If no day can be compared, or fewer than half of the rows that lie a horizon before the panel's end.
    StatisticsError
        If a matrix has another shape, a value is infinite, or the horizon is below 1.
    """
    wanted, daily = daily_matrix(target, "target"), daily_matrix(returns, "returns")
    same_shape(wanted, daily, "target and returns")
    right = compounded(daily, horizon=horizon)
    early = np.isfinite(wanted[: max(0, len(daily) - horizon)])
    covered = np.isfinite(right[: len(early)]) & early
    if covered.sum() < _LEAST_SHARE * early.sum():
        # Over a long horizon some market is closed on a day; what it holds earns nothing then.
        daily = in_parts(lambda shut, some: np.where(shut, 0.0, some), closed_days(daily), daily)
        right = compounded(daily, horizon=horizon)
        covered = np.isfinite(right[: len(early)]) & early
    ic = daily_rank_ic(wanted, right)
    days = int(np.isfinite(ic).sum())
    if not days:
        raise InsufficientDataError(
            f"no day of {len(daily)} has returns of {horizon} days after it to compare its target with: pack a panel "
            "longer than the horizon",
            sample=0,
        )
    if covered.sum() < _LEAST_SHARE * early.sum():
        raise InsufficientDataError(
            f"{covered.sum()} of {early.sum()} rows have all {horizon} returns after them to compare their target "
            "with, expected at least half: pack rows of names for as long as they trade",
            sample=int(covered.sum()),
        )
    own = float(np.nanmean(ic))
    many = (np.isfinite(wanted) & np.isfinite(right)).sum(axis=1) >= _NAMES
    best, lead = _ROUNDING, RIGHT_LEAD
    # Where the target ranks as it should, no other lead can rank it better.
    for other in _other_leads(horizon) if own < 1 - _ROUNDING else ():
        gain = daily_rank_ic(wanted, compounded(daily, horizon=horizon, lead=other)) - ic
        if np.isfinite(gain).any() and (found := float(np.nanmean(gain))) > best:
            best, lead = found, other
    return TargetAgreement(
        rank_corr=own,
        lead=lead,
        largest=own if lead == RIGHT_LEAD else own + best,
        worst_day=int(np.nanargmin(ic)),
        broken=int((many & (ic < _BROKEN * np.nanmedian(ic))).sum()),
        days=days,
    )


def _other_leads(horizon: int) -> list[int]:
    near = range(RIGHT_LEAD - _REACH, RIGHT_LEAD + _REACH + 1)
    return sorted({*near, RIGHT_LEAD - horizon, RIGHT_LEAD + horizon} - {RIGHT_LEAD})
