"""From scores to the position they ask for, and what it earned: weights, IC before and after costs.

Whether a mean IC is luck is a question for `significance`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import empty, in_parts
from .costs import Costs, daily_cost
from .ranks import Matrix, Series, centred_ranks, daily_matrix, same_shape

# The returns of a day count as equal if their range is below this share of the median day's range.
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holdings:
    """What a position held, paid and earned on each complete day.

    `first` is the index of the first complete day in the matrices that were followed. `weights` [share of capital] has
    shape (n_held, n_assets), all other arrays have shape (n_held,). `per_turnover_bps` is what of the cost was charged
    on each unit of turnover, whatever its size [basis points]. `gross`, `cost` and `net` are returns [share of
    capital a day], and `turnover` is the sum of the absolute changes of the weights [share of capital a day]. `market`
    is the mean return of all names [share a day]; `ic` and `ic_net` are the ICs before and after costs: the returns
    over `scale`, what a perfect position of these weights earns [share of capital a day]; 0 where `scale` is 0.
    """

    first: int
    weights: Matrix
    gross: Series
    cost: Series
    per_turnover_bps: float
    net: Series
    turnover: Series
    market: Series
    ic: Series
    ic_net: Series
    scale: Series


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
        If the scores are not a matrix, or one is infinite.
    """
    return gross_one(centred_ranks(daily_matrix(scores, "scores")))


def gross_one(values: Matrix) -> Matrix:
    """Scale each row to gross 1.

    Parameters
    ----------
    values : ndarray of float, shape (n_rows, n_columns)
        Values without NaN [any unit].

    Returns
    -------
    ndarray of float64, shape (n_rows, n_columns)
        Each row over the sum of the sizes of its values; a row of zeros stays as it is.
    """

    def scaled(some: Matrix) -> Matrix:
        gross = np.abs(some).sum(axis=1, keepdims=True)
        weights: Matrix = np.divide(some, gross, out=np.zeros_like(some), where=gross > 0)
        return weights

    return in_parts(scaled, values)


def _check_timing(horizon: int, lag: int) -> None:
    if horizon < 1:
        raise StatisticsError(f"horizon is {horizon} days, expected at least 1: a position is held for a day or more")
    if lag < 0:
        raise StatisticsError(f"lag is {lag} days, expected at least 0: a position cannot precede its score")


def tranche_weights(weights: ArrayLike, *, horizon: int, lag: int = 1) -> Matrix:
    """Hold each day's position for `horizon` days: every day one tranche in `horizon` is replaced [1]_.

    Parameters
    ----------
    weights : array_like of float, shape (n_days, n_assets)
        The position that each day's scores ask for [share of capital].
    horizon : int
        How long each tranche is held [days].
    lag : int, default 1
        Days between a score and the position that follows it [days].

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        Row t is the mean of rows t - lag - horizon + 1 to t - lag of `weights`. Rows before lag + horizon - 1 are not
        complete: tranches that do not exist yet count as zero.

    Raises
    ------
    StatisticsError
        If the weights are not a matrix or not finite, the horizon is below 1 or the lag below 0.

    References
    ----------
    .. [1] N. Jegadeesh and S. Titman, Returns to buying winners and selling losers, Journal of Finance 48:65, 1993.
    """
    _check_timing(horizon, lag)
    asked = daily_matrix(weights, "weights")
    if bad := int(np.isnan(asked).sum()):
        raise StatisticsError(f"weights has {bad} NaN values, expected 0 for an asset without a position")
    # Jegadeesh and Titman 1993: 1 / horizon of the capital follows the scores of each of the last days, so that a day's
    # luck in entering weighs little, and only a share of the position is traded each day.
    total: Matrix = empty(asked.shape)
    total[:] = 0.0
    for age in range(lag, lag + horizon):
        total[age:] += asked[: max(len(asked) - age, 0)]
    total /= horizon
    return total


def simulate(
    scores: ArrayLike,
    returns: ArrayLike,
    *,
    horizon: int,
    cost_bps: float | Costs,
    lag: int = 1,
    volume: ArrayLike | None = None,
) -> Holdings:
    """Hold the position that the scores ask for, and measure it day by day before and after costs.

    Parameters
    ----------
    scores : array_like of float, shape (n_days, n_assets)
        Known at the close of each day; NaN means that the asset has no row that day.
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share], NaN exactly where `scores` is.
    horizon : int
        How long each tranche is held [days].
    cost_bps : float or Costs
        Cost of a unit of turnover [basis points], or all costs of the position.
    lag : int, default 1
        Days between a score and the position that follows it [days].
    volume : array_like of float, shape (n_days, n_assets), optional
        What the whole market traded that day [share of capital]; only impact needs it.

    Returns
    -------
    Held
        Every complete day. A name that is held but has no row that day is closed: its weight is 0, and the trade is
        paid.

    Raises
    ------
    StatisticsError
        If shapes or the places of NaN differ, no day is complete, or a number is out of its range.

    Notes
    -----
    For weights W that sum to 0 over the N names of a day, sum(W r) = N sd(W) sd(r) corr(W, r) [1]_. So the IC of a held
    position is ``gross / (N sd(W) sd(r))``, and after costs ``(gross - cost) / (N sd(W) sd(r))``, with population
    standard deviations. It has the sign of the net return, does not change with any increasing transform of the scores,
    and falls linearly with the cost. sd(W) is taken about 0, the mean of a neutral position: otherwise a day on which
    closed names leave nearly equal weights could count without bound. A day without a position has IC 0. So has a day
    whose returns span less than a thousandth of the median day's range, since these are prices carried forward and
    their rounding. Weights are put back every day: drift between two closes is not counted as turnover.

    References
    ----------
    .. [1] R. Clarke, H. de Silva and S. Thorley, Portfolio constraints and the fundamental law of active management,
       Financial Analysts Journal 58(5):48, 2002.
    """
    given, earned = daily_matrix(scores, "scores"), daily_matrix(returns, "returns")
    same_shape(given, earned, "scores and returns")
    _check_timing(horizon, lag)
    missing = np.isnan(earned)
    if unpaired := int((missing != np.isnan(given)).sum()):
        raise StatisticsError(f"{unpaired} rows have a score without a return or a return without a score: give both")
    first = lag + horizon - 1
    if len(given) <= first:
        raise InsufficientDataError(
            f"{len(given)} days, expected at least {first + 1} for horizon {horizon} and lag {lag}"
        )
    position = tranche_weights(rank_weights(given), horizon=horizon, lag=lag)
    # A tranche may hold a name that has left the panel; it earns nothing there, so it is sold.
    position[missing] = 0.0
    return evaluate_positions(position, earned, cost_bps=cost_bps, first=first, volume=volume)


def evaluate_positions(
    position: ArrayLike,
    returns: ArrayLike,
    *,
    cost_bps: float | Costs,
    first: int = 0,
    volume: ArrayLike | None = None,
) -> Holdings:
    """Measure a position day by day, as `simulate` does for the position that it makes of scores.

    Parameters
    ----------
    position : array_like of float, shape (n_days, n_assets)
        Weights held from the close of that day to the next [share of capital], 0 where there is no return.
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share]; NaN means that the asset has no row that day.
    cost_bps, volume
        As for `simulate`.
    first : int, default 0
        Index of the first day that counts; the trades into its position are paid.

    Returns
    -------
    Held
        Every day from `first` on.

    Raises
    ------
    StatisticsError
        If shapes differ, a name without a return has a weight, or a number is out of its range.
    """
    weights, earned = daily_matrix(position, "position"), daily_matrix(returns, "returns")
    same_shape(weights, earned, "position and returns")
    costs = cost_bps if isinstance(cost_bps, Costs) else _flat(cost_bps)
    missing = np.isnan(earned)
    if astray := int((np.isnan(weights) | (missing & (weights != 0))).sum()):
        raise StatisticsError(f"{astray} positions are NaN or without a return, expected 0 where nothing is earned")
    # Before the first row nothing is held, so that entering is paid too.
    traded: Matrix = empty(weights.shape)
    traded[:1] = weights[:1]
    np.subtract(weights[1:], weights[:-1], out=traded[1:])
    np.abs(traded, out=traded)
    if first < 0:
        raise StatisticsError(f"the first day is {first}, expected at least 0")
    market_volume = None if volume is None else daily_matrix(volume, "volume")[first:]
    traded, weights, missing = traded[first:], weights[first:], missing[first:]
    earned = in_parts(lambda some, gone: np.where(gone, 0.0, some), earned[first:], missing)
    gross = np.einsum("ij,ij->i", weights, earned)
    cost = daily_cost(traded, weights, costs, market_volume)
    market = earned.sum(axis=1) / np.maximum((~missing).sum(axis=1), 1)
    # Clarke, de Silva and Thorley 2002: sum(W r) = N sd(W) sd(r) corr(W, r). Over the same denominator the net return
    # becomes an IC after costs, with its sign, and linear in the cost.
    scale = _ic_denominator(weights, earned, market, missing)
    return Holdings(
        first=first,
        weights=weights,
        gross=gross,
        cost=cost,
        per_turnover_bps=costs.per_turnover_bps,
        net=gross - cost,
        turnover=traded.sum(axis=1),
        market=market,
        ic=per_scale(gross, scale),
        ic_net=per_scale(gross - cost, scale),
        scale=scale,
    )


def per_scale(earned: Series, scale: Series) -> Series:
    """Turn what was earned each day into an IC: over what a perfect position earns, 0 where that is 0."""
    ic: Series = np.divide(earned, scale, out=np.zeros_like(earned), where=scale > 0)
    return ic


def _flat(cost_bps: float) -> Costs:
    if not (np.isfinite(cost_bps) and cost_bps >= 0):
        raise StatisticsError(f"cost is {cost_bps} basis points, expected a number of at least 0")
    return Costs(half_spread_bps=cost_bps)


def _ic_denominator(position: Matrix, earned: Matrix, market: Series, missing: NDArray[np.bool_]) -> Series:
    """Return N sd(W) sd(r) of each day: what the position earns when it agrees perfectly with the returns."""
    # The product of the two roots of sums of squares is N sd(W) sd(r) with population deviations. That of the returns
    # is about their mean; that of the weights is about 0, for the reason in the notes of `simulate`.
    best: Series = np.sqrt(np.einsum("ij,ij->i", position, position)) * about_market(earned, market, missing)[1]
    return best


def about_market(earned: Matrix, market: Series, missing: NDArray[np.bool_]) -> tuple[Matrix, Series]:
    """Take the returns of each day about their mean; parameters as for `dispersion`.

    Returns
    -------
    deviation : ndarray of float64, shape (n_days, n_assets)
        Returns less their mean [share], 0 without a row.
    size : ndarray of float64, shape (n_days,)
        Root of the sum of their squares [share]; 0 on a day that is not `moving`.
    """
    deviation, size, span = dispersion(earned, market, missing)
    return deviation, np.where(moving(span), size, 0.0)


def moving(span: Series) -> NDArray[np.bool_]:
    """Say which days' returns span at least `ROUNDING` of the median day's range; the others are rounding errors."""
    # Prices carried forward leave rounding errors; a cost divided by these would be an IC of any size.
    return span > max(0.0, ROUNDING * float(np.median(span))) if span.size else span > 0


def dispersion(earned: Matrix, market: Series, missing: NDArray[np.bool_]) -> tuple[Matrix, Series, Series]:
    """Measure how far the returns of each day are apart, whatever those of other days are.

    Parameters
    ----------
    earned : ndarray of float, shape (n_days, n_assets)
        Returns [share], any number where `missing` says that the asset has no row.
    market : ndarray of float, shape (n_days,)
        Mean return of the names with a row [share].
    missing : ndarray of bool, shape (n_days, n_assets)
        Where an asset has no row.

    Returns
    -------
    deviation : ndarray of float64, shape (n_days, n_assets)
        Returns less their mean [share], 0 without a row.
    size : ndarray of float64, shape (n_days,)
        Root of the sum of their squares [share].
    span : ndarray of float64, shape (n_days,)
        From the lowest return to the highest [share].
    """

    def about(some: Matrix, mean: Series, gone: NDArray[np.bool_]) -> Matrix:
        return np.where(gone, 0.0, some - mean[:, np.newaxis])

    def apart(some: Matrix, gone: NDArray[np.bool_]) -> Series:
        highest = np.where(gone, -np.inf, some).max(axis=1, initial=-np.inf)
        return np.asarray(highest - np.where(gone, np.inf, some).min(axis=1, initial=np.inf))

    deviation = in_parts(about, earned, market, missing)
    return deviation, np.sqrt(np.einsum("ij,ij->i", deviation, deviation)), in_parts(apart, earned, missing)
