"""Limits on what a position may hold, enforced, and what keeping them costs."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import StatisticsError
from .costs import Costs
from .holdings import Held, follow
from .ranks import Matrix, daily_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The largest weight of a name, gross exposure and net exposure in size [share of capital]."""

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

    What it `held`, the number of `days` on which a cap bound, and the mean net return that the caps took, `cost` [share
    of capital a day], negative if they saved some.
    """

    held: Held
    days: int
    cost: float


def within(position: ArrayLike, caps: Caps) -> Matrix:
    """Shrink positions until they keep the caps.

    Parameters
    ----------
    position : array_like of float, shape (n_days, n_assets)
        Weights [share of capital].
    caps : Caps
        What they may be.

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        Names beyond the largest weight are cut to it, then the longer of the two sides is scaled down until the net
        exposure fits, then both until the gross one does. No weight grows or changes its sign.

    Raises
    ------
    StatisticsError
        If the position is no matrix or not finite.
    """
    given = daily_matrix(position, "position")
    if bad := int(np.isnan(given).sum()):
        raise StatisticsError(f"position has {bad} NaN values, expected 0 where nothing is held")
    cut = np.clip(given, -caps.weight, caps.weight)
    long, short = (np.maximum(side, 0.0).sum(axis=1, keepdims=True) for side in (cut, -cut))
    for sign, side, other in ((1, long, short), (-1, short, long)):
        allowed = np.minimum(side, other + caps.net)
        scale = np.divide(allowed, side, out=np.ones_like(side), where=side > 0)
        cut = np.where(sign * cut > 0, cut * scale, cut)
    gross = np.abs(cut).sum(axis=1, keepdims=True)
    scaled: Matrix = cut * np.divide(caps.gross, gross, out=np.ones_like(gross), where=gross > caps.gross)
    return scaled


def hold_within(
    held: Held, returns: ArrayLike, caps: Caps, *, cost_bps: float | Costs, volume: ArrayLike | None = None
) -> Capped:
    """Follow a held position within caps, and compare.

    Parameters
    ----------
    held : Held
        The position as it was asked for.
    returns : array_like of float, shape (n_days, n_assets)
        The returns it was held on.
    caps : Caps
        What it may be.
    cost_bps, volume
        What it costs, as for `hold`.

    Returns
    -------
    Capped
        Compared from the second held day on: what was traded into the first is not known.
    """
    earned = np.asarray(returns, dtype=np.float64)[held.first :]
    cut = within(held.weights, caps)
    market = None if volume is None else np.asarray(volume, dtype=np.float64)[held.first :]
    free, bound = (follow(kept, earned, cost_bps=cost_bps, first=1, volume=market) for kept in (held.weights, cut))
    binding = (np.abs(cut - held.weights) > 1e-12).any(axis=1)
    return Capped(held=bound, days=int(binding.sum()), cost=float((free.net - bound.net).mean()))
