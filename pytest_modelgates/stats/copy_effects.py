"""What a small difference between two copies of a model does: rows at tree thresholds, ties, trades and money."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from ..storage.scratch import in_parts
from .costs import Costs
from .days import rows_by_day
from .holdings import simulate
from .quantiles import finite_series, numbers
from .ranks import Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeDifference:
    """What following a copy's scores changes against following the original's.

    `trades` counts the trades that differ, out of `all_trades` [cells of day and asset]. `turnover` is the sum of the
    absolute differences of the weights, on the mean day. `largest_pnl` is the largest difference in size of a day's net
    return, and `pnl` the mean difference, copy less original. These three are in [share of capital a day].
    """

    trades: int
    all_trades: int
    turnover: float
    largest_pnl: float
    pnl: float


def trade_difference(
    native: ArrayLike, other: ArrayLike, returns: ArrayLike, *, horizon: int, cost_bps: float | Costs
) -> TradeDifference:
    """Follow two sets of scores of the same rows, and compare what they trade and earn.

    Parameters
    ----------
    native, other, returns : array_like of float, shape (n_days, n_assets)
        Scores of the original, scores of the copy, and returns, as for `simulate`.
    horizon : int
        How long each tranche is held [days].
    cost_bps : float or Costs
        As for `simulate`.

    Returns
    -------
    Consequences
        Trades and returns are compared from the second held day on, weights on all held days.

    Raises
    ------
    StatisticsError
        As `simulate` does.
    """
    ours, theirs = (simulate(scores, returns, horizon=horizon, cost_bps=cost_bps) for scores in (native, other))

    def counted(*held: Matrix) -> NDArray[np.int64]:
        first, second = held[0] - held[1], held[2] - held[3]
        # Weights are multiples of one over a few thousand, so a difference below this is a rounding error.
        differs, either = np.abs(first - second) > 1e-12, (first != 0) | (second != 0)
        return np.column_stack([differs.sum(axis=1), either.sum(axis=1)])

    one, other_one = ours.weights, theirs.weights
    trades, all_trades = in_parts(counted, one[1:], one[:-1], other_one[1:], other_one[:-1]).sum(axis=0).tolist()
    apart = in_parts(lambda held, copied: np.abs(held - copied).sum(axis=1), one, other_one)
    moved = theirs.net[1:] - ours.net[1:]
    # A trade of either copy counts in `all_trades`, so that the share of those that differ cannot exceed 1.
    return TradeDifference(
        trades=trades,
        all_trades=all_trades,
        turnover=float(apart.mean()),
        largest_pnl=float(np.abs(moved).max(initial=0.0)),
        pnl=float(moved.mean()) if moved.size else 0.0,
    )


def rows_at_thresholds(
    features: NDArray[np.generic], thresholds: Mapping[int, ArrayLike], *, ulps: int = 1
) -> NDArray[np.bool_]:
    """Find the rows with a value so near a split of a tree that rounding to float32 may send it the other way.

    Parameters
    ----------
    features : ndarray, shape (n_rows, n_features)
        Inputs of the model; NaN is never near a split.
    thresholds : mapping of int to array_like of float
        Split values of the trees, by position of the feature; an infinite one, which splits missing values off, is near
        no value.
    ulps : int, default 1
        The number of steps of float32 that count as near [count].

    Returns
    -------
    ndarray of bool, shape (n_rows,)
        True for a row that has such a value.

    Raises
    ------
    StatisticsError
        If a threshold belongs to no feature or is NaN.
    """
    near = np.zeros(len(features), dtype=bool)
    for position, splits in thresholds.items():
        if not 0 <= position < features.shape[1]:
            raise StatisticsError(f"thresholds of feature {position}, expected 0 to {features.shape[1] - 1}")
        edges = np.unique(numbers(splits, name=f"thresholds of feature {position}"))
        if np.isnan(edges).any():
            raise StatisticsError(f"feature {position} has thresholds that are NaN")
        edges = edges[np.isfinite(edges)]
        if not edges.size:
            continue
        # The nearest split is the last one below the value or the first one not below it.
        values = features[:, position].astype(np.float64)
        after = np.searchsorted(edges, values)
        below, above = edges[np.maximum(after - 1, 0)], edges[np.minimum(after, edges.size - 1)]
        # A step of float32 at the value's own size: rounding moves a value by half a step, and a split by another half.
        reach = ulps * np.spacing(np.abs(np.nan_to_num(values)).astype(np.float32)).astype(np.float64)
        near |= np.minimum(np.abs(values - below), np.abs(values - above)) <= reach
    return near


def tied_rows(scores: ArrayLike, days: ArrayLike) -> int:
    """Count the rows whose score another row of the same day has too.

    Parameters
    ----------
    scores : array_like of float, shape (n_rows,)
        One score a row [any unit].
    days : array_like, shape (n_rows,)
        The day of each row, in any order.

    Returns
    -------
    int
        Rows with a tie [count].

    Raises
    ------
    StatisticsError
        If the number of days is not that of the rows, or a score is not finite.
    """
    score = finite_series(scores, name="scores")
    alike = (np.unique(score[rows], return_counts=True)[1] for rows in rows_by_day(days, rows=score.size))
    return sum(int(counts[counts > 1].sum()) for counts in alike)
