"""Limits on a position: how to keep them, and what that costs."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import in_parts
from .costs import Costs
from .holdings import Holdings, evaluate_positions
from .quantiles import finite_series
from .ranks import Matrix, Series, daily_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The largest weight of a name, gross exposure and net exposure, each in size [share of capital].

    Raises
    ------
    StatisticsError
        If a limit of weight or gross is not above 0, or that of net is below 0.
    """

    weight: float = math.inf
    gross: float = math.inf
    net: float = math.inf

    def __post_init__(self) -> None:
        if not (self.weight > 0 and self.gross > 0 and self.net >= 0):
            raise StatisticsError(
                f"caps of weight {self.weight}, gross {self.gross}, net {self.net}: "
                "expected weight and gross above 0, net at least 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capped:
    """A position within its caps.

    `holdings` is the capped position, followed day by day. `days` counts the days on which a cap bound. `cost` is the
    mean net return that the caps took [share of capital a day]; it is negative if they saved money.
    """

    holdings: Holdings
    days: int
    cost: float


def within(position: ArrayLike, caps: Caps) -> Matrix:
    """Shrink positions until they keep the caps.

    Parameters
    ----------
    position : array_like of float, shape (n_days, n_assets)
        Weights [share of capital].
    caps : Caps
        The limits to keep.

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        Names beyond the largest weight are cut to it, then the longer of the two sides is scaled down until the net
        exposure fits, then both until the gross one does. No weight grows or changes its sign.

    Raises
    ------
    StatisticsError
        If the position is not a matrix or not finite.
    """
    given = daily_matrix(position, "position")
    if bad := int(np.isnan(given).sum()):
        raise StatisticsError(f"position has {bad} NaN values, expected 0 where nothing is held")
    return in_parts(lambda some: _within(some, caps), given)


def _within(given: Matrix, caps: Caps) -> Matrix:
    # Each step only shrinks weights, so that it cannot break a cap that an earlier step has enforced.
    cut = np.clip(given, -caps.weight, caps.weight)
    long, short = (np.maximum(side, 0.0).sum(axis=1, keepdims=True) for side in (cut, -cut))
    # |long - short| <= net. Only the longer side can exceed the other by more than that, so at most one
    # of the two rounds changes anything, whichever comes first.
    for sign, side, other in ((1, long, short), (-1, short, long)):
        allowed = np.minimum(side, other + caps.net)
        scale = np.divide(allowed, side, out=np.ones_like(side), where=side > 0)
        cut = np.where(sign * cut > 0, cut * scale, cut)
    gross = np.abs(cut).sum(axis=1, keepdims=True)
    scaled: Matrix = cut * np.divide(caps.gross, gross, out=np.ones_like(gross), where=gross > caps.gross)
    return scaled


def slowed(wanted: ArrayLike, before: ArrayLike, most: float, *, closing: ArrayLike | None = None) -> Series:
    """Shrink the trades of one day until their turnover keeps a limit.

    Parameters
    ----------
    wanted, before : array_like of float, shape (n_assets,)
        The position that is asked for, and the one that is held [share of capital].
    most : float
        The largest turnover, the sum of the sizes of all trades [share of capital].
    closing : array_like of bool, shape (n_assets,), optional
        Names whose trade is made whole whatever the turnover, such as those without a market.

    Returns
    -------
    ndarray of float64, shape (n_assets,)
        The position between the two that is nearest to what is wanted: all other trades are scaled by one factor.

    Raises
    ------
    StatisticsError
        If a position is not finite, shapes differ, or the limit is below 0 or NaN.
    """
    target, held = (
        finite_series(side, name=name, at_least=0) for side, name in ((wanted, "wanted"), (before, "before"))
    )
    forced = np.zeros(target.shape, dtype=bool) if closing is None else np.asarray(closing, dtype=bool)
    if not target.shape == held.shape == forced.shape:
        raise StatisticsError(
            f"wanted, before and closing are of {target.size}, {held.size} and {forced.size} names: align them"
        )
    if not most >= 0:
        raise StatisticsError(f"a turnover of at most {most}, expected at least 0")
    trades = target - held
    left = max(most - float(np.abs(trades[forced]).sum()), 0.0)
    free = float(np.abs(trades[~forced]).sum())
    found: Series = target if free <= left else np.where(forced, target, held + left / free * trades)
    return found


def simulate_within(
    holdings: Holdings, returns: ArrayLike, caps: Caps, *, cost_bps: float | Costs, volume: ArrayLike | None = None
) -> Capped:
    """Follow a held position within caps, and compare it with the position as it was.

    Parameters
    ----------
    holdings : Holdings
        The position without caps, of at least two days.
    returns : array_like of float, shape (n_days, n_assets)
        The returns on which it was held [share], from the first day of the panel on.
    caps : Caps
        The limits to keep.
    cost_bps, volume
        Costs and volumes, as for `simulate`; volumes too from the first day of the panel on.

    Returns
    -------
    Capped
        `holdings` and `cost` begin with the second held day, because the trades into the first position are not known.
        `days` counts all held days on which a cap bound.

    Raises
    ------
    StatisticsError
        If there are fewer than two held days, shapes differ, a name without a return has a weight, a cost is negative
        or not finite, or impact is charged on a trade without volume.
    """
    if len(holdings.net) < 2:
        raise InsufficientDataError(
            f"{len(holdings.net)} held days, expected at least 2: the trades into the first position are not known",
            sample=len(holdings.net),
        )
    earned = daily_matrix(returns, "returns")[holdings.first :]
    cut = within(holdings.weights, caps)
    market = None if volume is None else daily_matrix(volume, "volume")[holdings.first :]
    # The position without caps is followed anew: on the same days, so that the costs compare.
    free, bound = (
        evaluate_positions(kept, earned, cost_bps=cost_bps, first=1, volume=market) for kept in (holdings.weights, cut)
    )
    # Scaling by a factor of 1 leaves rounding errors, and these are not a cap that bound.
    binding = in_parts(lambda some, whole: (np.abs(some - whole) > 1e-12).any(axis=1), cut, holdings.weights)
    return Capped(holdings=bound, days=int(binding.sum()), cost=float((free.net - bound.net).mean()))
