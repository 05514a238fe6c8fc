"""What remains of a p-value and of a Sharpe ratio once every candidate that was tried counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .quantiles import is_constant, numbers
from .resampling import MINIMUM_VALUES
from .sharpe import (
    Sharpe,
    deflated_sharpe,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_of,
)
from .significance import holm


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """A verdict after the trials. None means "not available": nobody counted.

    `count` of trials, `p_adjusted` (Bonferroni; Holm if the p-values of the others are known), `probabilistic_sharpe`,
    `deflated_sharpe`, `track_record_days` until the Sharpe ratio exceeds 0 with 95 % confidence, infinite below 0, and
    `backtest_years` below which so many trials are expected to show a Sharpe ratio of 1 a year by luck.
    """

    count: int | None
    p_adjusted: float | None
    probabilistic_sharpe: float
    deflated_sharpe: float | None
    track_record_days: float
    backtest_years: float | None


# So many trials are looked at, lest a long history slow every run.
NEWEST = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialSeries:
    """What the trials that are `at_hand` would have earned on the same days; of each other trial nothing is known.

    `net` [share of capital a day] and `ic_net` have shape (n_days, n_trials), the trial that was chosen first. Copies
    of a series and series that never vary are `at_hand`, but have no column.
    """

    net: NDArray[np.float64]
    ic_net: NDArray[np.float64]
    at_hand: int


def align_trials(trials: Sequence[tuple[ArrayLike, ArrayLike]]) -> TrialSeries:
    """Lay the series of several trials side by side, as far back as the shortest of them goes.

    Parameters
    ----------
    trials : sequence of (array_like, array_like), each of shape (n_days_of_it,)
        Net return and IC after costs of each trial, the one that was chosen first; all end on the same day. Others of
        fewer than 20 days are not at hand, for all would be compared on those few.
    """
    read = [(numbers(net, name="net return"), numbers(ic, name="IC")) for net, ic in trials]
    pairs = [read[0], *(pair for pair in read[1:] if pair[0].size >= MINIMUM_VALUES)]
    days = min(len(net) for net, _ in pairs)
    tails = [np.stack([net[-days:], ic[-days:]]) for net, ic in pairs]
    chosen, *others = tails
    different = {tail.tobytes(): tail for tail in others if not (is_constant(tail[0]) or is_constant(tail[1]))}
    different.pop(chosen.tobytes(), None)
    net, ic_net = np.stack([chosen, *different.values()], axis=2)
    return TrialSeries(net=net, ic_net=ic_net, at_hand=len(pairs))


def ratio_variance(trials: TrialSeries) -> float:
    """Estimate how widely the Sharpe ratios of trials scatter [per period, squared].

    Parameters
    ----------
    trials : TrialSeries
        Those at hand.

    Returns
    -------
    float
        The variance of their ratios with n - 1, but no less than that of trials without skill, 1 / (n_days - 1): a few
        that resemble each other say little of those that are not at hand.
    """
    ratios = [sharpe_of(net).ratio for net in trials.net.T if not is_constant(net)]
    luck = 1 / (len(trials.net) - 1)
    return max(luck, float(np.var(ratios, ddof=1))) if len(ratios) > 1 else luck


def count_trials(declared: int | None, seen: int | None) -> int | None:
    """Return the larger of the trials declared and those the registry saw on the same panel.

    Parameters
    ----------
    declared, seen : int or None
        At least 1; None if nobody counted.

    Returns
    -------
    int or None
        None if nobody declared any: a registry sees only what was packed, never all that was tried.

    Raises
    ------
    StatisticsError
        If a count is below 1.
    """
    for count in (declared, seen):
        if count is not None and count < 1:
            raise StatisticsError(f"{count} trials, expected at least 1: what was packed is one")
    return None if declared is None else max(declared, seen or 1)


def after_trials(
    p_value: float,
    sharpe: Sharpe,
    *,
    trials: int | None,
    variance: float | None = None,
    others: Sequence[float] = (),
) -> Trials:
    """Adjust a p-value and a Sharpe ratio for the number of trials.

    Parameters
    ----------
    p_value : float
        Of the trial that was chosen.
    sharpe : Sharpe
        Of its returns [per period].
    trials : int or None
        From `count_trials`.
    variance : float, optional
        Of the Sharpe ratios over the trials [per period, squared].
    others : sequence of float, shape (n_others,), optional
        P-values of the other trials; trials beyond those given count as if theirs were 1.

    Returns
    -------
    Trials

    Raises
    ------
    StatisticsError
        If a p-value is no number from 0 to 1, or there are more other p-values than other trials.
    """
    if not (math.isfinite(p_value) and 0 <= p_value <= 1):
        raise StatisticsError(f"p-value is {p_value}, expected a number from 0 to 1")
    if trials is not None and len(others) >= trials:
        raise StatisticsError(
            f"{len(others)} other p-values of {trials} trials, expected fewer: count the trials again"
        )
    return Trials(
        count=trials,
        # Without the others this is Bonferroni: the smallest of N.
        p_adjusted=None if trials is None else _holm_of_first(p_value, others, trials),
        probabilistic_sharpe=probabilistic_sharpe(sharpe),
        deflated_sharpe=None if trials is None else deflated_sharpe(sharpe, trials=trials, variance=variance),
        track_record_days=minimum_track_record(sharpe),
        backtest_years=None if trials is None else minimum_backtest_years(trials),
    )


def _holm_of_first(p_value: float, others: Sequence[float], trials: int) -> float:
    return float(holm([p_value, *others, *[1.0] * (trials - 1 - len(others))])[0])
