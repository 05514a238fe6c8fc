"""What remains of a p-value and of a Sharpe ratio once every candidate that was tried counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from .quantiles import finite_series, is_constant
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
    """A verdict after the trials. None means "not available", because nobody counted the trials.

    `count` is the number of trials. `p_adjusted` is the p-value after Bonferroni, or after Holm if the p-values of the
    others are known. `probabilistic_sharpe` ignores the trials, `deflated_sharpe` counts them. `track_record_days` is
    the length at which the Sharpe ratio would exceed 0 with 95 % confidence [days]; it is infinite for a ratio of 0 or
    below. With less than `backtest_years` of data, the best of `count` trials is expected to show a Sharpe ratio of 1 a
    year by luck [years].
    """

    count: int | None
    p_adjusted: float | None
    probabilistic_sharpe: float
    deflated_sharpe: float | None
    track_record_days: float
    backtest_years: float | None


# A run looks at this number of trials at most; a long history would otherwise slow every run.
NEWEST = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialSeries:
    """What the trials that are `at_hand` would have earned on the same days; nothing is known of the others.

    `net` [share of capital a day] and `ic_net` have shape (n_days, n_trials). The first column is the trial that was
    chosen. Copies of a series, and series that never vary, count as `at_hand` but have no column.
    """

    net: NDArray[np.float64]
    ic_net: NDArray[np.float64]
    at_hand: int

    def why_incomplete(self, count: int) -> str | None:
        """Say why a test of these trials could still fail by one that is not at hand; None if all `count` are."""
        if self.at_hand >= count:
            return None
        return f"by {self.at_hand} of {count} trials: pack the others too, the newest {NEWEST} are read"


def align_trials(trials: Sequence[tuple[ArrayLike, ArrayLike]]) -> TrialSeries:
    """Lay the series of several trials side by side, as far back as the shortest of them goes.

    Parameters
    ----------
    trials : sequence of (array_like, array_like), each of shape (n_days_of_trial,)
        Net return [share of capital a day] and IC after costs of each trial, both equally long. The trial that was
        chosen comes first, and there is at least this one. All series end on the same day.

    Returns
    -------
    TrialSeries
        The trials at hand, on the days of the shortest. Trials other than the chosen one that have fewer than 20 days
        are not at hand, because all would be compared on those few days.

    Raises
    ------
    StatisticsError
        If there is no trial, a series is empty or not finite, or the two of a trial differ in length.
    """
    read = [(finite_series(net, name="net return"), finite_series(ic, name="IC")) for net, ic in trials]
    if not read:
        raise InsufficientDataError("no trials, expected at least the one that was chosen", sample=0)
    for net, ic in read:
        if net.size != ic.size:
            raise StatisticsError(f"{net.size} net returns and {ic.size} ICs of one trial: give one of each a day")
    pairs = [read[0], *(pair for pair in read[1:] if pair[0].size >= MINIMUM_VALUES)]
    days = min(len(net) for net, _ in pairs)
    tails = [np.stack([net[-days:], ic[-days:]]) for net, ic in pairs]
    chosen, *others = tails
    # The tests of many series refuse one that never varies, and a copy is not another choice.
    different = {tail.tobytes(): tail for tail in others if not (is_constant(tail[0]) or is_constant(tail[1]))}
    different.pop(chosen.tobytes(), None)
    net, ic_net = np.stack([chosen, *different.values()], axis=2)
    return TrialSeries(net=net, ic_net=ic_net, at_hand=len(pairs))


def ratio_variance(trials: TrialSeries) -> float:
    """Estimate how widely the Sharpe ratios of trials scatter [per period, squared].

    Parameters
    ----------
    trials : TrialSeries
        The trials at hand, of at least two days.

    Returns
    -------
    float
        The variance of their ratios with n - 1, but no less than that of trials without skill, 1 / (n_days - 1)
        [per period, squared].

    Raises
    ------
    StatisticsError
        If there are fewer than two days, or a net return is not finite.

    Notes
    -----
    The lower limit is there because a few trials that resemble each other say little about those that are not at hand.
    """
    if (days := len(trials.net)) < 2:
        raise InsufficientDataError(f"{days} days of trials, expected at least 2: measure more", sample=days)
    ratios = [sharpe_of(net).ratio for net in trials.net.T if not is_constant(net)]
    luck = 1 / (days - 1)
    return max(luck, float(np.var(ratios, ddof=1))) if len(ratios) > 1 else luck


def count_trials(declared: int | None, seen: int | None) -> int | None:
    """Return the larger of the trials declared and those the registry saw on the same panel.

    Parameters
    ----------
    declared, seen : int or None
        Number of trials, at least 1; None if nobody counted.

    Returns
    -------
    int or None
        The larger number; None if nobody declared one, since a registry sees only what was packed, never all that was
        tried.

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
        P-value of the trial that was chosen.
    sharpe : Sharpe
        Sharpe ratio of its daily returns [per day].
    trials : int or None
        Number of trials, from `count_trials`.
    variance : float, optional
        Variance of the Sharpe ratios over the trials [per day, squared], as for `deflated_sharpe`.
    others : sequence of float, shape (n_others,), optional
        P-values of the other trials. A trial without one counts as if its p-value were 1.

    Returns
    -------
    Trials
        None wherever the number of trials is needed and not known.

    Raises
    ------
    StatisticsError
        If a p-value is not a number from 0 to 1, the variance is negative or not finite, there are no trials, or there
        are more other p-values than other trials.
    """
    if not (math.isfinite(p_value) and 0 <= p_value <= 1):
        raise StatisticsError(f"p-value is {p_value}, expected a number from 0 to 1")
    if trials is not None and len(others) >= trials:
        raise StatisticsError(
            f"{len(others)} other p-values of {trials} trials, expected fewer: count the trials again"
        )
    return Trials(
        count=trials,
        # Without the p-values of the others Holm is Bonferroni: N times the smallest p-value.
        p_adjusted=None if trials is None else _holm_of_first(p_value, others, trials),
        probabilistic_sharpe=probabilistic_sharpe(sharpe),
        deflated_sharpe=None if trials is None else deflated_sharpe(sharpe, trials=trials, variance=variance),
        track_record_days=minimum_track_record(sharpe),
        backtest_years=None if trials is None else minimum_backtest_years(trials),
    )


def _holm_of_first(p_value: float, others: Sequence[float], trials: int) -> float:
    return float(holm([p_value, *others, *[1.0] * (trials - 1 - len(others))])[0])
