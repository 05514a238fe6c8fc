"""What remains of a p-value and of a Sharpe ratio once every candidate that was tried counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from .comparison import step_down
from .quantiles import finite_series, is_constant
from .resampling import MINIMUM_VALUES, optimal_block_length
from .sharpe import sharpe_of
from .significance import MeanTest, ewc_p_value, holm, mean_exceeds

Series = NDArray[np.float64]
Days = NDArray[np.datetime64]

# Looking for the best of N trials at level 0.10 takes 20 N / 0.10 resamples, for a p-value of 0.10 / N to be told.
RESAMPLES_A_TRIAL, FEWEST, MOST = 200, 9_999, 200_000
# A trial is compared if it was held on as many of the days of the chosen one, and so must all of them be together.
ALIGNED = 0.9
# The tests of all trials at once look at this number at most, the newest: a long history would slow every run. StepM,
# whose time grows with its square, is left out beyond it.
NEWEST = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialSeries:
    """What the trials that are `at_hand` would have earned on the same days; nothing is known of the others.

    `net` [share of capital a day] and `ic_net` have shape (n_days, n_trials). The first column is the trial that was
    chosen. Copies of a series, and series that never vary, count as `at_hand` but have no column.
    """

    net: Series
    ic_net: Series
    at_hand: int

    def why_incomplete(self, count: int) -> str | None:
        """Say why a test of these trials could still fail by one that is not at hand; None if all `count` are."""
        if self.at_hand >= count:
            return None
        return f"by {self.at_hand} of {count} trials: pack the others here too, on the same days"

    def newest(self) -> "TrialSeries":
        """The chosen trial and the newest of the others, so many that all can be looked at together."""
        if self.net.shape[1] <= NEWEST:
            return self
        return TrialSeries(net=self.net[:, :NEWEST], ic_net=self.ic_net[:, :NEWEST], at_hand=min(self.at_hand, NEWEST))


def align_trials(
    days: Days, net: ArrayLike, ic_net: ArrayLike, others: Sequence[tuple[Days, Series, Series]]
) -> TrialSeries:
    """Lay the series of several trials side by side, on the days that all of them have.

    Parameters
    ----------
    days : ndarray of datetime64, shape (n_days,)
        The days of the trial that was chosen, ascending.
    net, ic_net : array_like of float, shape (n_days,)
        Its net return [share of capital a day] and IC after costs.
    others : sequence of (days, net, ic_net)
        The same of the other trials, the newest first, each with days of its own.

    Returns
    -------
    TrialSeries
        The trials at hand. One that lacks a tenth of the chosen one's days, or whose series are not finite, is not; and
        none is if together they lack so many.

    Raises
    ------
    StatisticsError
        If a series of the chosen trial is empty or not finite, or has another length than its days.
    """
    chosen = np.stack([finite_series(net, name="net return"), finite_series(ic_net, name="IC")])
    if chosen.shape[1] != len(days):
        raise StatisticsError(f"{len(days)} days of {chosen.shape[1]} returns and ICs: give one of each a day")
    needed = max(MINIMUM_VALUES, ALIGNED * len(days))
    found, common = list[tuple[Days, Series]](), days
    for theirs, *series in others:
        values = np.stack(series)
        shared = np.intersect1d(days, theirs, assume_unique=True)
        if shared.size >= needed and np.isfinite(values).all():
            found.append((theirs, values))
            common = np.intersect1d(common, shared, assume_unique=True)
    if common.size < needed:
        found, common = [], days
    tail = chosen[:, np.isin(days, common)]
    # The tests of many series refuse one that never varies, and a copy is not another choice.
    aligned = [values[:, np.isin(theirs, common)] for theirs, values in found]
    different = {one.tobytes(): one for one in aligned if not (is_constant(one[0]) or is_constant(one[1]))}
    different.pop(tail.tobytes(), None)
    nets, ics = np.stack([tail, *different.values()], axis=2)
    return TrialSeries(net=nets, ic_net=ics, at_hand=1 + len(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """A p-value after all trials, and how it was found, in words.

    `step_down` is that by StepM, and `holm` that by Holm on the p-values by cosines; None unless all trials are at
    hand. `resamples` is 0 where more would be needed than are drawn.
    """

    p: float
    step_down: float | None
    holm: float | None
    resamples: int
    how: str


def adjusted_p(
    ic_net: ArrayLike, trials: TrialSeries, *, count: int, horizon: int = 1, seed: int, alone: MeanTest | None = None
) -> Adjusted:
    """Adjust the p-value of "no positive IC after costs" for every trial that was made.

    Parameters
    ----------
    ic_net : array_like of float, shape (n,)
        IC after costs of the trial that was chosen, on all its days, n >= 20.
    trials : TrialSeries
        The trials at hand.
    count : int
        Number of all trials, from `count_trials`.
    horizon, seed
        As for `mean_exceeds`.
    alone : MeanTest, optional
        What `mean_exceeds` found with 9,999 resamples, if that is known.

    Returns
    -------
    Adjusted
        With every trial at hand, and 100 or fewer of them different, the largest of the chosen one's p-values by StepM
        [1]_, by Holm [2]_ and alone. Otherwise its own p-value times the number of trials, which takes those that are
        not at hand to be at least as good. It needs 200 resamples a trial, and where these are more than 200,000, the
        cosines alone decide.

    Raises
    ------
    StatisticsError
        If a series cannot be tested, or the count is below 1.

    References
    ----------
    .. [1] J. P. Romano and M. Wolf, Stepwise multiple testing as formalized data snooping, Econometrica 73:1237, 2005.
    .. [2] S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6:65, 1979.
    """
    if count < 1:
        raise StatisticsError(f"{count} trials, expected at least 1: what was packed is one")
    resamples = max(FEWEST, RESAMPLES_A_TRIAL * count)
    by_cosines = "" if resamples <= MOST else f", by cosines alone, as {count} trials need more than {MOST:,} resamples"
    resamples = 0 if by_cosines else resamples
    days, columns = trials.ic_net.shape
    if count == 1 or trials.at_hand < count or not columns <= min(NEWEST, days - 1):
        if by_cosines:
            p = ewc_p_value(ic_net)[0]
        else:
            known = alone if resamples == FEWEST else None
            p = (known or mean_exceeds(ic_net, horizon=horizon, seed=seed, n_resamples=resamples)).p_against
        many = f", more than the {NEWEST} that are compared" if columns > NEWEST else ""
        how = f"p of {p:.3g} times {count} trials, {trials.at_hand} of them at hand{many}{by_cosines}"
        return Adjusted(p=min(1.0, count * p), step_down=None, holm=None, resamples=resamples, how=how)
    # A copy, and a trial that never varies, have no p-value of their own; each counts all the same.
    p_ewc = [ewc_p_value(column)[0] for column in trials.ic_net.T]
    by_holm = float(holm([*p_ewc, *[1.0] * (count - columns)])[0])
    if by_cosines:
        how = f"Holm over {count} trials{by_cosines}"
        return Adjusted(p=by_holm, step_down=None, holm=by_holm, resamples=0, how=how)
    block = max(float(horizon), *(optimal_block_length(column) for column in trials.ic_net.T), 1.0)
    stepped = float(step_down(trials.ic_net, seed=seed, block=block, n_resamples=resamples)[0])
    # More resamples, or other blocks, may find less than the test of this trial alone: what counts more is not less.
    own = (alone or mean_exceeds(ic_net, horizon=horizon, seed=seed, n_resamples=FEWEST)).p_against
    how = f"the largest of StepM, Holm and p alone over {count} trials"
    return Adjusted(p=max(stepped, by_holm, own), step_down=stepped, holm=by_holm, resamples=resamples, how=how)


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
