"""How far a distribution function may stray by chance, at one look and at all of them, and how a budget is spent.

Knows neither goldens nor logs: `drift.over_time` looks, and this says what a look may find by chance.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from ..errors import StatisticsError
from .quantiles import finite_series, is_constant

WINDOWS = 0.8
"""The share of the budget that looks at windows spend."""
BAND = 0.1
"""The probability that the band is ever left, of one beginning [share]; with `WINDOWS` it makes up the budget."""
SAMPLE = 0.05
"""The probability that the sample compared with strays further from what it is of than is allowed for [share]."""
MOST = 0.05
"""The level of one look is never above this, however long nobody looked [share]."""

_A = 0.85  # the constant of [1], theorem 2, that its authors use; any above the root of a half is valid


def dkw_radius(rows: float, level: float) -> float:
    """Say how far the distribution function of a sample strays from that of its population at most.

    Parameters
    ----------
    rows : float
        Independent values [count].
    level : float
        Probability that it strays further, at most [share].

    Returns
    -------
    float
        Largest distance [share]; infinite without rows, or at level 0.

    Raises
    ------
    StatisticsError
        If rows are negative or NaN, or the level is not within 0 and 1.

    Notes
    -----
    The inequality of Dvoretzky, Kiefer and Wolfowitz with the constant of Massart [1]_, corollary 1. It holds for every
    distribution, ties included, and any number of rows.

    References
    ----------
    .. [1] P. Massart, The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, Annals of Probability
       18(3):1269, 1990.
    """
    _check(rows, level)
    return math.sqrt(math.log(2 / level) / (2 * rows)) if rows and level else math.inf


def uniform_radius(rows: float, level: float, *, first: float) -> float:
    """Say how far it strays at most at any time, however often and whenever one looks.

    Parameters
    ----------
    rows : float
        Independent values so far [count].
    level : float
        Probability that it ever strays further, at most [share].
    first : float
        The number of rows from which on the bound is to hold, chosen beforehand [count].

    Returns
    -------
    float
        Largest distance [share]; infinite below `first` rows, or at level 0.

    Raises
    ------
    StatisticsError
        As `dkw_radius` does, or if `first` is not at least 1.

    Notes
    -----
    A sqrt((log log(e t / m) + C) / t) for t rows and the first m, with A = 0.85, by theorem 2 of [1]_: C is the least
    at which the probability given there is the level, for the best of its constants eta.

    References
    ----------
    .. [1] S. R. Howard and A. Ramdas, Sequential estimation of quantiles with applications to A/B testing and best-arm
       identification, Bernoulli 28(3):1704, 2022.
    """
    _check(rows, level)
    if not 1 <= first < math.inf:
        raise StatisticsError(f"first is {first}: give the number of rows from which on the bound holds, 1 or more")
    if rows < first or not level:
        return math.inf
    return _A * math.sqrt((math.log1p(math.log(rows / first)) + _constant(level)) / rows)


def look_level(elapsed: float, days_per_alarm: float) -> float:
    """Say at what level a look at a window may be, by the time for which nothing was spent.

    Parameters
    ----------
    elapsed : float
        Time since the last look at a window [days]; a clock that was moved back makes it negative.
    days_per_alarm : float
        At most one false alarm is to come in so many days.

    Returns
    -------
    float
        From 0 to `MOST` [share].

    Raises
    ------
    StatisticsError
        If the elapsed time is NaN, or `days_per_alarm` is not above 0.

    Notes
    -----
    The expected number of false alarms is at most the sum of the levels, however much the windows share. They add up to
    `WINDOWS` times the time over `days_per_alarm`. The band adds `BAND` at the beginning and after each alarm, so that
    T days bring at most (0.8 T / days_per_alarm + 0.1) / 0.9 false alarms: one in `days_per_alarm`, from there on.
    """
    if math.isnan(elapsed) or not 0 < days_per_alarm < math.inf:
        raise StatisticsError(f"{elapsed} days of {days_per_alarm} per alarm: give numbers, the second above 0")
    return min(max(WINDOWS * elapsed / days_per_alarm, 0.0), MOST)


def rows_to_see(distance: float, level: float) -> float:
    """Say of how many independent rows no more than a distance is chance at a level: see `dkw_radius`.

    Parameters
    ----------
    distance : float
        Above 0, at most 1 [share].
    level : float
        Probability that they stray further, at most [share].

    Returns
    -------
    float
        Rows [count]; infinite at level 0.

    Raises
    ------
    StatisticsError
        If a number is out of its range.
    """
    _check(0, level)
    if not 0 < distance <= 1:
        raise StatisticsError(f"a distance of {distance}: give one above 0, at most 1")
    # A distance that is squared to 0 is one that no number of rows shows.
    return math.log(2 / level) / (2 * distance**2) if level and distance**2 else math.inf


def chance_of_share(found: int, of: int, share: float) -> float:
    """Bound how often so many are found by chance.

    Parameters
    ----------
    found, of : int
        How many of how many [count].
    share : float
        The probability of each by itself, at most [share].

    Returns
    -------
    float
        The probability of as many or more is at most this [share]; 1 where no more are found than expected.

    Raises
    ------
    StatisticsError
        If numbers are negative or out of order, or the share is not within 0 and 1.

    Notes
    -----
    exp(-n D), where D is the divergence of Kullback and Leibler of the share that was found from the one that is
    expected: theorem 1 of [1]_. It holds for independent ones.

    References
    ----------
    .. [1] W. Hoeffding, Probability inequalities for sums of bounded random variables, Journal of the American
       Statistical Association 58(301):13, 1963.
    """
    if not (0 <= found <= of and 0 <= share <= 1):
        raise StatisticsError(
            f"{found} of {of}, expected at most {share}: give counts in order, a share within 0 and 1"
        )
    if not of or found <= share * of:
        return 1.0
    if not share:
        return 0.0
    seen = found / of
    others = (1 - seen) * math.log((1 - seen) / (1 - share)) if seen < 1 else 0.0
    return math.exp(-of * (seen * math.log(seen / share) + others))


def mean_radius(values: ArrayLike, level: float, *, sharpest: float = 60) -> float:
    """Say how far the mean of a series strays from what is expected, however often and whenever one looks.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        In order of time, at least two that differ.
    level : float
        Probability that it ever strays further, about [share].
    sharpest : float, default 60
        The number of values at which the bound is the closest, chosen beforehand [count].

    Returns
    -------
    float
        Largest distance, in the unit of the values.

    Raises
    ------
    StatisticsError
        If there are fewer than two values, one is not finite, all are alike, or the level is not between 0 and 1.

    Notes
    -----
    s sqrt(2 (n r² + 1) / (n r)² log(sqrt(n r² + 1) / level)) for the standard deviation s, by theorem 2.2 of [1]_; r is
    that of its section on tuning. It holds as the number grows, for values of any distribution with more than two
    moments that follow each other without memory.

    References
    ----------
    .. [1] I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas, Time-uniform central limit theory and
       asymptotic confidence sequences, Annals of Statistics 52(6):2613, 2024.
    """
    series = finite_series(values, name="values", at_least=2)
    if is_constant(series):
        raise StatisticsError(f"all {series.size} values are {series[0]:g}, expected some that differ")
    if not (1e-100 <= level < 1 and 1 <= sharpest <= 1e9):
        raise StatisticsError(f"level {level}, sharpest at {sharpest}: give a level between 0 and 1, 1 value or more")
    n, two = series.size, -2 * math.log(level)
    r2 = (two + math.log(two + 1)) / sharpest
    grown = n * r2 + 1
    return float(series.std()) * math.sqrt(2 * grown / (n**2 * r2) * math.log(math.sqrt(grown) / level))


def _check(rows: float, level: float) -> None:
    if not (0 <= rows < math.inf and 0 <= level <= 1):
        raise StatisticsError(f"{rows} rows at level {level}: give 0 rows or more, and a level within 0 and 1")


@lru_cache(maxsize=64)
def _constant(level: float) -> float:
    """Find the least C of the theorem, by bisection."""
    low, high = 0.0, 1.0
    while _crossing(high) > level:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _crossing(middle) > level else (low, middle)
    return high


def _crossing(c: float) -> float:
    """Bound the probability that the empirical process leaves the band, as the theorem does."""
    eta = np.linspace(1, 2 * _A**2, 2003)[1:-1]  # the bound holds for each of them
    gamma = np.sqrt(2 / eta) * (_A - np.sqrt(2 * (eta - 1) / c))
    eta, gamma = eta[gamma > 1], gamma[gamma > 1]
    bounds = 4 * np.exp(-(gamma**2) * c) * (1 + 1 / ((gamma**2 - 1) * np.log(eta)))
    return float(bounds.min(initial=1.0))
