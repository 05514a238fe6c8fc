"""From scores to the position they ask for, and what it earned: ranks, weights, IC before and after costs.

The statistics of a sample of days (is the mean IC luck?) are elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError

Matrix = NDArray[np.float64]
Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """What a position held, paid and earned on each complete day.

    `first` is the index of the first complete day in the matrices given; `weights` has shape (n_held, n_assets), all
    other arrays (n_held,). `gross`, `cost` and `net` are returns [share of capital a day], `turnover` is the sum of the
    absolute changes of the weights [share of capital a day], `ic` and `ic_net` are correlations before and after costs.
    """

    first: int
    weights: Matrix
    gross: Series
    cost: Series
    net: Series
    turnover: Series
    ic: Series
    ic_net: Series


def _daily(values: ArrayLike, name: str) -> Matrix:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise StatisticsError(f"{name} has {matrix.ndim} dimensions, expected 2: one row a day, one column an asset")
    if bad := int(np.isinf(matrix).sum()):
        raise StatisticsError(f"{name} has {bad} infinite values, expected numbers or NaN: remove their cause")
    return matrix


def _same_shape(a: Matrix, b: Matrix, names: str) -> None:
    if a.shape != b.shape:
        raise StatisticsError(f"{names} have shapes {a.shape} and {b.shape}, expected the same: align days and assets")


def average_ranks(values: Matrix) -> Matrix:
    """Rank each row from 1 upwards.

    Parameters
    ----------
    values : ndarray of float, shape (n_rows, n_columns)
        NaN is left out of the ranking.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_columns)
        Ranks; ties share their mean, NaN stays NaN.
    """
    rows, columns = values.shape
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    place = np.arange(columns)
    opens = np.ones((rows, columns), dtype=bool)
    opens[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    closes = np.ones((rows, columns), dtype=bool)
    closes[:, :-1] = opens[:, 1:]
    low = np.maximum.accumulate(np.where(opens, place, 0), axis=1)
    high = np.minimum.accumulate(np.where(closes, place, columns)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty((rows, columns))
    np.put_along_axis(ranks, order, (low + high) / 2 + 1, axis=1)
    ranks[np.isnan(values)] = np.nan
    return ranks


def _centred_ranks(values: Matrix) -> Matrix:
    # The mean rank of a row is known, so equal scores give exact zeros where a computed mean would leave rounding.
    counts = (~np.isnan(values)).sum(axis=1, keepdims=True)
    centred: Matrix = np.nan_to_num(average_ranks(values) - (counts + 1) / 2)
    return centred


def rank_weights(scores: ArrayLike) -> Matrix:
    """Turn the scores of each day into a dollar-neutral position of gross 1.

    Parameters
    ----------
    scores : array_like of float, shape (n_days, n_assets)
        Higher is better; NaN means that the asset has no row that day.

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        Centred average ranks over the sum of their sizes [share of capital]: each day sums to 0 and has gross 1. NaN
        has weight 0; a day whose scores are all equal has no position.

    Raises
    ------
    StatisticsError
        If the scores are no matrix or infinite.
    """
    centred = _centred_ranks(_daily(scores, "scores"))
    gross = np.abs(centred).sum(axis=1, keepdims=True)
    weights: Matrix = np.divide(centred, gross, out=np.zeros_like(centred), where=gross > 0)
    return weights


def _check_timing(horizon: int, lag: int) -> None:
    if horizon < 1:
        raise StatisticsError(f"horizon is {horizon} days, expected at least 1: a position is held for a day or more")
    if lag < 0:
        raise StatisticsError(f"lag is {lag} days, expected at least 0: a position cannot precede its score")


def held_weights(weights: ArrayLike, *, horizon: int, lag: int = 1) -> Matrix:
    """Hold each day's position for `horizon` days in as many equal tranches.

    Parameters
    ----------
    weights : array_like of float, shape (n_days, n_assets)
        The position that each day's scores ask for [share of capital].
    horizon : int
        How long each tranche is held [days].
    lag : int, default 1
        Days between a score and the position made of it [days].

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        Row t is the mean of rows t - lag - horizon + 1 to t - lag of `weights`. Rows before lag + horizon - 1 are not
        complete: tranches that do not exist yet count as zero.

    Raises
    ------
    StatisticsError
        If the weights are no matrix or not finite, the horizon is below 1 or the lag below 0.

    References
    ----------
    .. [1] N. Jegadeesh and S. Titman, Returns to buying winners and selling losers, Journal of Finance 48:65, 1993.
    """
    _check_timing(horizon, lag)
    asked = _daily(weights, "weights")
    if bad := int(np.isnan(asked).sum()):
        raise StatisticsError(f"weights has {bad} NaN values, expected 0 for an asset without a position")
    total = np.zeros_like(asked)
    for age in range(lag, lag + horizon):
        total[age:] += asked[: max(len(asked) - age, 0)]
    return total / horizon


def hold(scores: ArrayLike, returns: ArrayLike, *, horizon: int, cost_bps: float, lag: int = 1) -> Held:
    """Hold the position that the scores ask for, and measure it day by day before and after costs.

    Parameters
    ----------
    scores : array_like of float, shape (n_days, n_assets)
        Known at the close of each day; NaN means that the asset has no row that day.
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share], NaN exactly where `scores` is.
    horizon : int
        How long each tranche is held [days].
    cost_bps : float
        Cost of a unit of turnover [basis points].
    lag : int, default 1
        Days between a score and the position made of it [days].

    Returns
    -------
    Held
        Each complete day. A held name without a row that day is closed: its weight is 0 and the trade is paid.

    Raises
    ------
    StatisticsError
        If shapes or NaN differ, no day is complete, or a number is out of its range.

    Notes
    -----
    For weights W that sum to 0 over the N names of a day, sum(W r) = N sd(W) sd(r) corr(W, r) [1]_. So the IC of what
    is held is ``gross / (N sd(W) sd(r))``, and after costs ``(gross - cost) / (N sd(W) sd(r))``, with population
    standard deviations: it has the sign of the net return, does not change with any increasing transform of the scores,
    and falls linearly with the cost. sd(W) is taken about 0, the mean of a neutral position, lest a day on which closed
    names leave nearly equal weights count without bound. A day without a position, or whose returns are all equal, has
    IC 0. Weights are put back every day: drift between two closes is not counted as turnover.

    References
    ----------
    .. [1] R. Clarke, H. de Silva and S. Thorley, Portfolio constraints and the fundamental law of active management,
       Financial Analysts Journal 58(5):48, 2002.
    """
    given, earned = _daily(scores, "scores"), _daily(returns, "returns")
    _same_shape(given, earned, "scores and returns")
    _check_timing(horizon, lag)
    if not (np.isfinite(cost_bps) and cost_bps >= 0):
        raise StatisticsError(f"cost is {cost_bps} basis points, expected a number of at least 0")
    present = ~np.isnan(earned)
    if unpaired := int((present == np.isnan(given)).sum()):
        raise StatisticsError(f"{unpaired} rows have a score without a return or a return without a score: give both")
    first = lag + horizon - 1
    if len(given) <= first:
        raise StatisticsError(f"{len(given)} days, expected at least {first + 1} for horizon {horizon} and lag {lag}")

    position = np.where(present, held_weights(rank_weights(given), horizon=horizon, lag=lag), 0.0)
    turnover = np.abs(np.diff(position, axis=0, prepend=0.0)).sum(axis=1)[first:]
    position, earned, present = position[first:], earned[first:], present[first:]
    gross = (position * np.nan_to_num(earned)).sum(axis=1)
    cost = turnover * cost_bps * 1e-4
    scale = _size_of_a_perfect_day(position, earned, present)
    ic, ic_net = (np.divide(x, scale, out=np.zeros_like(x), where=scale > 0) for x in (gross, gross - cost))
    return Held(
        first=first, weights=position, gross=gross, cost=cost, net=gross - cost, turnover=turnover, ic=ic, ic_net=ic_net
    )


def _size_of_a_perfect_day(position: Matrix, returns: Matrix, present: NDArray[np.bool_]) -> Series:
    """Return N sd(W) sd(r) of each day: what the position earns when it agrees perfectly with the returns."""
    names = np.maximum(present.sum(axis=1), 1)
    filled = np.where(present, returns, 0.0)
    away = np.where(present, filled - filled.sum(axis=1, keepdims=True) / names[:, np.newaxis], 0.0)
    scale: Series = np.sqrt((position**2).sum(axis=1) * (away**2).sum(axis=1))
    # Equal returns leave rounding in `away`; a cost divided by that would be an IC of any size.
    highest, lowest = (f(np.where(present, returns, e), axis=1) for f, e in ((np.max, -np.inf), (np.min, np.inf)))
    scale[~(highest > lowest)] = 0.0
    return scale


def daily_rank_ic(scores: ArrayLike, target: ArrayLike) -> Series:
    """Correlate the ranks of scores and target within each day.

    Parameters
    ----------
    scores, target : array_like of float, shape (n_days, n_assets)
        A pair with a NaN in it is left out.

    Returns
    -------
    ndarray of float64, shape (n_days,)
        Spearman's correlation, ties averaged; NaN for a day with fewer than two pairs or with only one value.

    Raises
    ------
    StatisticsError
        If the shapes differ or a value is infinite.
    """
    a, b = _daily(scores, "scores"), _daily(target, "target")
    _same_shape(a, b, "scores and target")
    paired = ~(np.isnan(a) | np.isnan(b))
    x, y = (_centred_ranks(np.where(paired, values, np.nan)) for values in (a, b))
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    ic: Series = np.divide((x * y).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0)
    return ic
