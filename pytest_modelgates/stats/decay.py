"""How long scores last: the rank IC over several horizons, its steadiness, and how soon other names are on top."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import StatisticsError
from .quantiles import finite_series, refuse_constant
from .ranks import Matrix, Series, daily_matrix, daily_rank_ic, highest
from .significance import ewc_p_value
from .sufficiency import needed_days


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonIc:
    """The rank IC at one horizon: `mean`, `ratio` (mean over standard deviation, a day), one-sided `p_value`, `n` days.

    Neighbouring days overlap by all but one day of the horizon, which the p-value allows for; below 25 horizons of
    days it is None.
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
        Days added up [days].
    lag : int, default 1
        Days between a score and the position made of it [days].

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        Row t is the sum of rows t + lag to t + lag + horizon - 1, as a position kept at its weight earns it; NaN if
        any of them is missing, so a name that is delisted has none, and where the panel ends.

    Raises
    ------
    StatisticsError
        If the returns are no matrix or infinite, the horizon is below 1 or the lag below 0.
    """
    if horizon < 1 or lag < 0:
        raise StatisticsError(f"horizon {horizon} and lag {lag}, expected at least 1 and at least 0 days")
    daily = daily_matrix(returns, "returns")
    total = np.full_like(daily, np.nan)
    complete = len(daily) - lag - horizon + 1
    if complete > 0:
        total[:complete] = sum(daily[age : age + complete] for age in range(lag, lag + horizon))
    return total


def rank_ic_decay(
    scores: ArrayLike, returns: ArrayLike, *, horizons: Iterable[int], lag: int = 1
) -> tuple[HorizonIc, ...]:
    """Measure the rank IC of the scores over several horizons.

    Parameters
    ----------
    scores, returns : array_like of float, shape (n_days, n_assets)
        As for `hold`.
    horizons : iterable of int
        In days.
    lag : int, default 1
        Days between a score and the position made of it [days].

    Returns
    -------
    tuple of HorizonIc
        In the order of `horizons`.

    Raises
    ------
    StatisticsError
        If shapes differ, or no day at some horizon has two names with different scores and returns.
    """
    told = []
    for horizon in horizons:
        ic = daily_rank_ic(scores, forward_returns(returns, horizon=horizon, lag=lag))
        ic = ic[~np.isnan(ic)]
        if ic.size < 2:
            raise StatisticsError(f"{ic.size} days with a rank IC at horizon {horizon}, expected at least 2")
        told.append(
            HorizonIc(
                horizon=horizon,
                mean=float(ic.mean()),
                ratio=information_ratio(ic),
                p_value=ewc_p_value(ic)[0] if ic.size >= needed_days(horizon) else None,
                n=ic.size,
            )
        )
    return tuple(told)


def top_turnover(scores: ArrayLike, *, share: float = 0.1, lag: int = 1) -> Series:
    """Measure how much of each day's highest scored share was not in it some days before.

    Parameters
    ----------
    scores : array_like of float, shape (n_days, n_assets)
        NaN means that the asset has no row that day.
    share : float, default 0.1
        The share of names, at least one.
    lag : int, default 1
        Days between the two [days].

    Returns
    -------
    ndarray of float64, shape (n_days - lag,)
        From 0 to 1, as alphalens defines the turnover of a quantile; 0 for a day on which ties leave none on top.

    Raises
    ------
    StatisticsError
        If the scores are no matrix or infinite, the share does not lie between 0 and 1, or the lag below 1.
    """
    if lag < 1:
        raise StatisticsError(f"lag is {lag} days, expected at least 1")
    top = highest(daily_matrix(scores, "scores"), share)
    entered = (top[lag:] & ~top[:-lag]).sum(axis=1)
    return np.asarray(entered / np.maximum(1, top[lag:].sum(axis=1)), dtype=np.float64)


def information_ratio(ic: ArrayLike, *, days_per_year: float = 1.0) -> float:
    """Divide the mean of an IC by its standard deviation; times the root of `days_per_year` for a ratio a year.

    Raises
    ------
    StatisticsError
        If there are fewer than two days, a value is not finite, or all are equal.
    """
    series = finite_series(ic, name="IC", at_least=2)
    refuse_constant(series)
    return float(series.mean() / series.std(ddof=1) * np.sqrt(days_per_year))
