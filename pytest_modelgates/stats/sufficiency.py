"""Whether there is enough to judge by, how small an effect would be seen, and how many days would settle it."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from ..errors import StatisticsError
from .quantiles import finite_series
from .significance import ewc_error

MINIMUM_DAYS = 100
MINIMUM_HORIZONS = 25
MINIMUM_NAMES = 10


def too_little(*, days: int, horizon: int, names: float) -> str | None:
    """Say why a panel is too small for a verdict, or None.

    Parameters
    ----------
    days : int
        Days on which a position was held.
    horizon : int
        Over which neighbours overlap [days]; 1 for the daily IC of a held position.
    names : float
        Assets on the median day.

    Returns
    -------
    str or None
        What is missing, and how much more of it is needed.

    Notes
    -----
    Below 100 days, or 25 horizons of returns that overlap, even equal-weighted cosines reject a true null hypothesis
    too often: in 18 % of samples instead of 10 % at 6 horizons, in 11.7 % at 24. Fewer than ten names leave a rank
    correlation with so few values that its mean is not nearly normal.
    """
    if horizon < 1:
        raise StatisticsError(f"horizon is {horizon} days, expected at least 1")
    needed = needed_days(horizon)
    if days < needed:
        return f"{days} held days, at least {needed} are needed: {needed - days} more"
    if names < MINIMUM_NAMES:
        return f"{names:g} assets on the median day, at least {MINIMUM_NAMES} are needed"
    return None


def needed_days(horizon: int) -> int:
    """The fewest days of a series whose neighbours overlap by all but one day of the horizon."""
    return max(MINIMUM_DAYS, MINIMUM_HORIZONS * horizon)


def median_names(present: ArrayLike) -> float:
    """Assets on the median day, from a matrix of truth values, one row a day."""
    return float(np.median(np.asarray(present, dtype=bool).sum(axis=1)))


def minimum_detectable(x: ArrayLike, *, level: float = 0.10, power: float = 0.80) -> float:
    """Smallest mean that a sample with the spread of this one shows with the power asked for.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 20.
    level : float, default 0.10
        Of the one-sided test.
    power : float, default 0.80
        Chance to see it.

    Returns
    -------
    float
        (z_{1 - level} + z_power) times the standard error of the mean, dependence included [unit of x].

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant, or a share does not lie between 0 and 1.
    """
    return _quantiles(level, power) * ewc_error(x)


def more_days(x: ArrayLike, *, effect: float, level: float = 0.10, power: float = 0.80) -> int:
    """Count the days beyond those of `x` after which a mean of `effect` would be seen; 0 if it would be already.

    Raises
    ------
    StatisticsError
        As `minimum_detectable`, or if the effect is not above 0.
    """
    if not (math.isfinite(effect) and effect > 0):
        raise StatisticsError(f"the effect looked for is {effect}, expected a number above 0")
    n = finite_series(x).size
    # The error falls with the root of the length, at the same dependence from day to day.
    needed = n * (minimum_detectable(x, level=level, power=power) / effect) ** 2
    return max(0, math.ceil(needed) - n)


def _quantiles(level: float, power: float) -> float:
    if not (0 < level < 1 and 0 < power < 1):
        raise StatisticsError(f"level {level} and power {power}, expected numbers between 0 and 1")
    return float(ndtri(1 - level) + ndtri(power))
