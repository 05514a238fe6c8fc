"""What a series of returns risks: its spread, its bad days, its deepest fall, and the part that the market explains."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .quantiles import finite_series, is_constant, quantile, refuse_constant

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The risk of a series of returns; every number but the drawdown is per period.

    - `volatility`: standard deviation with n - 1 in its variance [share of capital].
    - `downside_deviation`: root of the mean squared loss, in which gains count as 0 [share of capital].
    - `sortino`: mean return over the downside deviation; infinite without a loss.
    - `omega`: sum of gains over sum of losses; infinite without a loss.
    - `value_at_risk`: the return that the worst periods, 5 % by default, do not exceed [share of capital]; negative for
      a loss.
    - `expected_shortfall`: the mean return of these periods [share of capital]; negative for a loss.
    - `max_drawdown`: the deepest fall with returns reinvested, from 0 to 1 [share of the highest capital so far].
    """

    volatility: float
    downside_deviation: float
    sortino: float
    omega: float
    value_at_risk: float
    expected_shortfall: float
    max_drawdown: float


def risk_of(returns: ArrayLike, *, tail: float = 0.05) -> Risk:
    """Measure the risk of a series of returns.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Returns of each period, n >= 2 [share of capital].
    tail : float, default 0.05
        The share of periods that counts as the worst.

    Returns
    -------
    Risk
        Its drawdown is 1 if a period loses all capital.

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant, or the tail does not lie between 0 and 1.

    Notes
    -----
    The Sortino ratio is that of [1]_ at a target of 0, omega that of [2]_ at a threshold of 0. The expected shortfall
    is the plain mean of the tail; [3]_ also takes off the part by which the tail is larger than asked for.

    References
    ----------
    .. [1] F. A. Sortino and R. van der Meer, Downside risk, Journal of Portfolio Management 17(4):27, 1991.
    .. [2] C. Keating and W. F. Shadwick, A universal performance measure, Journal of Performance Measurement 6(3):59,
       2002.
    .. [3] C. Acerbi and D. Tasche, On the coherence of expected shortfall, Journal of Banking and Finance 26:1487,
       2002.
    """
    series = finite_series(returns, name="returns", at_least=2)
    refuse_constant(series)
    if not 0 < tail < 1:
        raise StatisticsError(f"the tail is {tail}, expected a share between 0 and 1, such as 0.05")
    # Both ratios are at a target of 0: Sortino and van der Meer 1991; Keating and Shadwick 2002.
    gains, losses = np.maximum(series, 0.0), np.maximum(-series, 0.0)
    downside = math.sqrt(float((losses**2).mean()))
    worst = quantile(series, tail)
    return Risk(
        volatility=float(series.std(ddof=1)),
        downside_deviation=downside,
        sortino=float(series.mean()) / downside if downside else math.inf,
        omega=float(gains.sum() / losses.sum()) if downside else math.inf,
        value_at_risk=worst,
        expected_shortfall=float(series[series <= worst].mean()),
        max_drawdown=float(drawdowns(series).max()),
    )


def drawdowns(returns: ArrayLike) -> Series:
    """Measure how far capital lies below its highest so far, with returns reinvested.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Returns of each period [share of capital].

    Returns
    -------
    ndarray of float64, shape (n,)
        After each period, from 0 to 1 [share of the highest capital so far]; 1 once all capital is lost.

    Raises
    ------
    StatisticsError
        If the series is empty or not finite.
    """
    series = finite_series(returns, name="returns")
    # Sums of logarithms do not underflow as products of returns might. Wealth begins at 1, its logarithm at 0, so that
    # a fall in the first period counts. Once all is lost, wealth stays at log 0 = -inf, of which numpy warns.
    with np.errstate(divide="ignore"):
        wealth = np.concatenate([[0.0], np.cumsum(np.log1p(np.maximum(series, -1.0)))])
    falls: Series = -np.expm1(wealth - np.maximum.accumulate(wealth))[1:]
    return falls


def alpha_beta(returns: ArrayLike, market: ArrayLike) -> tuple[float, float] | None:
    """Split returns into what the market explains and what it does not, by least squares.

    Parameters
    ----------
    returns, market : array_like of float, shape (n,)
        Returns of each period, n >= 2 [share of capital], less the riskless rate if there is one.

    Returns
    -------
    (float, float) or None
        Alpha, the intercept [share of capital per period], and beta, the slope [1]_; None if the market return is the
        same in every period.

    Raises
    ------
    StatisticsError
        If a series is too short or not finite, or the lengths differ.

    References
    ----------
    .. [1] M. C. Jensen, The performance of mutual funds in the period 1945-1964, Journal of Finance 23:389, 1968.
    """
    y, x = finite_series(returns, name="returns", at_least=2), finite_series(market, name="market", at_least=2)
    if y.size != x.size:
        raise StatisticsError(f"{y.size} returns, {x.size} of the market: give both of the same periods")
    if is_constant(x):
        return None
    deviation = x - x.mean()
    # Least squares of Jensen 1968, whose line passes through the means.
    beta = float(deviation @ y / (deviation @ deviation))
    return float(y.mean() - beta * x.mean()), beta
