"""How long scores last: the rank IC over several horizons, its steadiness, and how soon the names rank otherwise."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import empty
from .quantiles import finite_series, is_constant, refuse_constant
from .ranks import Matrix, Series, daily_matrix, daily_rank_ic, highest
from .significance import ewc_p_value
from .sufficiency import needed_days


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonIc:
    """The rank IC at one horizon: `mean`, `ratio` (mean over standard deviation, a day), one-sided `p_value`, `n` days.

    Neighbouring days overlap by all but one day of the horizon [days]. The p-value allows for that; it is None if there
    are fewer days than `sufficiency.needed_days` asks for.
    """

    horizon: int
    mean: float
    ratio: float
    p_value: float | None
    n: int


def forward_returns(returns: ArrayLike, *, horizon: int, lag: int = 1) -> Matrix:
    """Add up what each asset returns while a position made of the day's score is held.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share]; NaN means that the asset has no row that day.
    horizon : int
        Number of days added up [days].
    lag : int, default 1
        Days between a score and the position that follows it [days].

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        Row t is the sum of rows t + lag to t + lag + horizon - 1 [share], as a position kept at its weight earns it. It
        is NaN if any of these is missing: for a name that is delisted on the way, and where the panel ends.

    Raises
    ------
    StatisticsError
        If the returns are not a matrix, one is infinite, the horizon is below 1 or the lag below 0.
    """
    if horizon < 1 or lag < 0:
        raise StatisticsError(f"horizon {horizon} and lag {lag}, expected at least 1 and at least 0 days")
    daily = daily_matrix(returns, "returns")
    total = empty(daily.shape)
    complete = max(0, len(daily) - lag - horizon + 1)
    # Returns are added, not compounded, because a position that is put back to its weight every day earns the sum.
    total[:complete], total[complete:] = 0.0, np.nan
    for age in range(lag, lag + horizon):
        total[:complete] += daily[age : age + complete]
    return total


def rank_ic_decay(
    scores: ArrayLike, returns: ArrayLike, *, horizons: Iterable[int], lag: int = 1
) -> tuple[HorizonIc, ...]:
    """Measure the rank IC of the scores over several horizons.

    Parameters
    ----------
    scores, returns : array_like of float, shape (n_days, n_assets)
        As for `simulate`.
    horizons : iterable of int
        The horizons, each at least 1 [days].
    lag : int, default 1
        Days between a score and the position that follows it [days].

    Returns
    -------
    tuple of HorizonIc
        In the order of `horizons`.

    Raises
    ------
    StatisticsError
        If shapes differ, a value is infinite, a horizon or the lag is out of its range, or at some horizon fewer than
        two days have a rank IC.

    Notes
    -----
    A rank IC that is the same every day has a ratio of 0, or an infinite one with its sign, and a p-value of 0 or 1: a
    look-ahead without noise is a finding, and no reason to measure nothing.
    """
    found = []
    for horizon in horizons:
        ic = daily_rank_ic(scores, forward_returns(returns, horizon=horizon, lag=lag))
        # A day without a rank IC says nothing about the scores; counted as 0 it would pull the mean towards 0.
        ic = ic[~np.isnan(ic)]
        if ic.size < 2:
            raise InsufficientDataError(f"{ic.size} days with a rank IC at horizon {horizon}, expected at least 2")
        mean = float(ic.mean())
        # Overlapping days are dependent, so a t-test would be wrong by a factor. With too few horizons even the cosines
        # reject too often.
        p_value = None
        if ic.size >= needed_days(horizon):
            p_value = (0.0 if mean > 0 else 1.0) if is_constant(ic) else ewc_p_value(ic)[0]
        endless = math.copysign(math.inf, mean) if mean else 0.0
        ratio = endless if is_constant(ic) else information_ratio(ic)
        found.append(HorizonIc(horizon=horizon, mean=mean, ratio=ratio, p_value=p_value, n=ic.size))
    return tuple(found)


def top_turnover(scores: ArrayLike, *, share: float = 0.1, lag: int = 1) -> Series:
    """Measure how many of each day's highest scored names were not among the highest some days before.

    Parameters
    ----------
    scores : array_like of float, shape (n_days, n_assets)
        NaN means that the asset has no row that day.
    share : float, default 0.1
        The share of a day's names that counts as highest, at least one name.
    lag : int, default 1
        Days between the two days compared [days].

    Returns
    -------
    ndarray of float64, shape (n_days - lag,)
        Share of the highest names that are new, from 0 to 1, as alphalens defines the turnover of a quantile; 0 for a
        day on which ties leave no name on top.

    Raises
    ------
    StatisticsError
        If the scores are not a matrix, one is infinite, the share does not lie between 0 and 1, or the lag is below 1.
    """
    if lag < 1:
        raise StatisticsError(f"lag is {lag} days, expected at least 1")
    top = highest(daily_matrix(scores, "scores"), share)
    # As in alphalens: new names over today's names. A name that has left the panel is not in today's number.
    entered = (top[lag:] & ~top[:-lag]).sum(axis=1)
    return np.asarray(entered / np.maximum(1, top[lag:].sum(axis=1)), dtype=np.float64)


def rank_autocorrelation(scores: ArrayLike, *, lag: int = 1) -> Series:
    """Correlate the ranks of each day's scores with those of some days before.

    Parameters
    ----------
    scores : array_like of float, shape (n_days, n_assets)
        NaN means that the asset has no row that day.
    lag : int, default 1
        Days between the two days compared [days].

    Returns
    -------
    ndarray of float64, shape (n_days - lag,)
        Spearman's correlation over the names that have a row on both days, as alphalens defines it where no name comes
        or goes; NaN for fewer than two such names, or where all of them score alike on either day.

    Raises
    ------
    StatisticsError
        If the scores are not a matrix, one is infinite, or the lag is below 1.

    Notes
    -----
    Near 1 the positions last and trade little. alphalens keeps the ranks among all names of each day, so that a name
    that left still takes a rank; here the names present on both days are ranked.
    """
    if lag < 1:
        raise StatisticsError(f"lag is {lag} days, expected at least 1")
    daily = daily_matrix(scores, "scores")
    return daily_rank_ic(daily[lag:], daily[:-lag])


def information_ratio(ic: ArrayLike, *, days_per_year: float = 1.0) -> float:
    """Divide the mean of an IC by its standard deviation: the information ratio of the signal [1]_.

    Parameters
    ----------
    ic : array_like of float, shape (n_days,)
        IC of each day, n_days >= 2.
    days_per_year : float, default 1
        Periods in that of the ratio; 1 gives a ratio a day, 252 a ratio a year of trading days.

    Returns
    -------
    float
        The ratio, with n - 1 in the variance, times the root of `days_per_year`.

    Raises
    ------
    StatisticsError
        If there are fewer than two days, a value is not finite, or all are equal.

    References
    ----------
    .. [1] R. C. Grinold, The fundamental law of active management, Journal of Portfolio Management 15(3):30, 1989.
    """
    series = finite_series(ic, name="IC", at_least=2)
    refuse_constant(series)
    if not (math.isfinite(days_per_year) and days_per_year > 0):
        raise StatisticsError(f"a year of {days_per_year} days, expected more than 0")
    # The factor holds for days that are uncorrelated: then means grow with the days, and deviations with their root.
    return float(series.mean() / series.std(ddof=1) * np.sqrt(days_per_year))
