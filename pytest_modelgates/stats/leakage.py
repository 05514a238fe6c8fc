"""Whether scores or features know what they cannot know: they rank returns too well, or only those of the next days.

A look-ahead shows in how well, and how briefly, a column ranks returns. Whether an honest signal is luck is a question
for `significance`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtr
from scipy.stats import binomtest

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import in_parts, parts
from .quantiles import finite_series, is_constant
from .ranks import Matrix, Series, centred_ranks, daily_matrix, daily_rank_ic, same_shape
from .resampling import MINIMUM_VALUES
from .significance import ewc_bounds, ewc_p_value
from .sufficiency import MINIMUM_HORIZONS
from .target import RIGHT_LEAD, compounded

SCORE = "the score"
# An IC counts only where luck explains it in fewer than one of a thousand such panels, however many columns there are.
LUCK = 0.001
# The leads compared [days], and how many times the later IC the earlier one may be.
_NEAR, _FAR, _TIMES = range(1, 3), range(3, 11), 3
# A name of fewer days may follow its score by luck. On a day of so many names an IC of this size is next to perfect.
_DAYS_OF_A_NAME, _NAMES, _PERFECT = 60, 10, 0.95
# What is left of an IC in the last half of the horizon, at the least.
_LAST_HALF = 0.25
# A p-value of 0 would have an infinite normal deviate.
_SMALLEST_P = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAhead:
    """How well the score and the features of a panel rank its returns.

    `ic` is the size of the largest mean rank IC that luck does not explain [rho], 0 if there is none: `column` names
    the score or the feature, `over` the returns that it ranks, and `days` counts the days with an IC. `excess` is how
    far the IC of a feature over the next two days exceeds three times that over the eight after [standard errors], at
    its largest, and `brief` names that feature. `name_ic` is the size of the largest rank correlation over time of one
    name's score with its return of the day after [rho], and `name` the position of that name. `perfect_p` is the
    p-value of "next to perfect rankings of that return are as often wrong as right", of which `perfect` days there are.
    """

    ic: float
    column: str | None
    over: str | None
    days: int
    excess: float
    brief: str | None
    name_ic: float
    name: int
    perfect_p: float
    perfect: int


def look_ahead(scores: ArrayLike, features: Mapping[str, ArrayLike], returns: ArrayLike, *, horizon: int) -> LookAhead:
    """Compare the score and each feature with the returns of the next days.

    Parameters
    ----------
    scores : array_like of float, shape (n_days, n_assets)
        What the model says; NaN means that there is no value, as below.
    features : mapping of str to array_like of float, shape (n_days, n_assets)
        Name and values of each feature. Each is asked for once, and let go.
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share]; NaN means that the asset has no row that day.
    horizon : int
        How far the signal looks ahead [days].

    Returns
    -------
    LookAhead
        The rank IC is Spearman's, by day, with the return of the day itself, of the day after, and compounded over the
        horizon from the day after. It counts if its two-sided p-value by cosines is below 0.001 over the number of
        comparisons, or that of Student's t over blocks of days [1]_ where there are fewer than 25 horizons; an IC that
        never changes and is not 0 has the p-value 0. A comparison with fewer than 20 days is left out. The excess is a
        normal deviate: its p-value is that of the feature's mean excess by cosines, in the direction of its IC over the
        next two days, times twice the number of features. For it, a name without a return on some day counts as one in
        the middle there.

    Raises
    ------
    InsufficientDataError
        If every comparison is left out.
    StatisticsError
        If a matrix has another shape, a value is infinite, or the horizon is below 1.

    References
    ----------
    .. [1] R. Ibragimov and U. K. Müller, t-statistic based correlation and heterogeneity robust inference, Journal of
       Business & Economic Statistics 28:453, 2010.
    """
    daily = daily_matrix(returns, "returns")
    windows = _windows(daily, horizon)
    near, far = _mean_of_leads(daily)
    compared: list[tuple[float, float, str, str, int]] = []
    brief: list[tuple[float, str]] = []
    for name, values in chain([(SCORE, scores)], features.items()):
        column = daily_matrix(values, name)
        same_shape(column, daily, f"{name} and returns")
        ranks = centred_ranks(column)
        for over, window in windows.items():
            series = window.rank_ic(column, ranks)
            if len(series) >= MINIMUM_VALUES:
                p = _two_sided(series, overlap=window.horizon)
                compared.append((abs(float(series.mean())), p, name, over, len(series)))
        if name != SCORE and len(near) >= MINIMUM_VALUES:
            brief.append((_p_of_brief(ranks[: len(near)], near, far), name))
    if not compared:
        raise InsufficientDataError(
            f"no column has a rank IC on {MINIMUM_VALUES} days: pack a longer panel, with features that differ",
            sample=0,
        )
    told = [row for row in compared if row[1] * len(compared) <= LUCK]
    ic, _, column_name, over_name, days = max(told) if told else (0.0, 0.0, None, None, max(row[4] for row in compared))
    # With no feature to compare, as with one that shows nothing, the excess is 0: the deviate of one half.
    shortest_p, shortest = min(brief, default=(1.0, ""))
    excess = abs(float(ndtri(np.clip(2 * max(1, len(brief)) * shortest_p, _SMALLEST_P, 0.5))))
    name_ic, asset, perfect_p, perfect = _confined(daily_matrix(scores, SCORE), compounded(daily, horizon=1))
    return LookAhead(
        ic=ic,
        column=column_name,
        over=over_name,
        days=days,
        excess=excess,
        brief=shortest if excess else None,
        name_ic=name_ic,
        name=asset,
        perfect_p=perfect_p,
        perfect=perfect,
    )


def _confined(scores: Matrix, returns: Matrix) -> tuple[float, int, float, int]:
    """Look for a score that knows one name, or some days: the mean over days hides both."""
    both = np.isfinite(scores) & np.isfinite(returns)
    names = np.flatnonzero(both.sum(axis=0) >= _DAYS_OF_A_NAME)
    over_time = np.zeros(names.size)
    for part in parts(names.size, len(scores)):
        some = names[part]
        over_time[part] = np.abs(np.nan_to_num(daily_rank_ic(scores[:, some].T, returns[:, some].T)))
    of = int(over_time.argmax()) if names.size else 0
    ic = daily_rank_ic(scores, returns)[both.sum(axis=1) >= _NAMES]
    right, wrong = int((ic >= _PERFECT).sum()), int((ic <= -_PERFECT).sum())
    p = float(binomtest(right, right + wrong).pvalue) if right + wrong else 1.0
    return (float(over_time[of]), int(names[of]), p, right + wrong) if names.size else (0.0, 0, p, right + wrong)


class _Window:
    """Returns of a window, ranked once for many columns."""

    def __init__(self, daily: Matrix, horizon: int, lead: int) -> None:
        self.horizon = horizon
        returns = daily if lead == 0 else compounded(daily, horizon=horizon, lead=lead)
        self._returns, self._missing = returns, np.isnan(returns)
        self._ranks = centred_ranks(returns)
        self._squares = np.einsum("ij,ij->i", self._ranks, self._ranks)

    def rank_ic(self, column: Matrix, ranks: Matrix) -> Series:
        """As `daily_rank_ic`, from the column's own ranks, without the days that have none."""
        size = np.sqrt(np.einsum("ij,ij->i", ranks, ranks) * self._squares)
        product = np.einsum("ij,ij->i", ranks, self._ranks)
        ic: Series = np.divide(product, size, out=np.full(len(column), np.nan), where=size > 0)
        # Where a name has one and not the other, both are ranked anew among those that have both.
        unlike = np.flatnonzero((np.isnan(column) != self._missing).any(axis=1))
        for part in parts(unlike.size, column.shape[1]):
            some = unlike[part]
            ic[some] = daily_rank_ic(column[some], self._returns[some])
        return ic[np.isfinite(ic)]


def _windows(daily: Matrix, horizon: int) -> dict[str, _Window]:
    windows = {
        "the return of the day itself": _Window(daily, 1, 0),
        "the return of the day after": _Window(daily, 1, RIGHT_LEAD),
    }
    if horizon != 1:
        windows[f"the return over the {horizon} days after"] = _Window(daily, horizon, RIGHT_LEAD)
    return windows


def _mean_of_leads(daily: Matrix) -> tuple[Matrix, Matrix]:
    """Average the ranks of the returns of each lead, at length 1: their product with a column at length 1 is its IC."""
    unit = _length_one(centred_ranks(daily))
    days = max(0, len(unit) - _FAR[-1])

    def mean(leads: range) -> Matrix:
        return in_parts(lambda *some: np.asarray(sum(some) / len(leads)), *(unit[lead : lead + days] for lead in leads))

    return mean(_NEAR), mean(_FAR)


def _length_one(ranks: Matrix) -> Matrix:
    def scaled(some: Matrix) -> Matrix:
        size = np.sqrt(np.einsum("ij,ij->i", some, some))[:, np.newaxis]
        unit: Matrix = np.divide(some, size, out=np.zeros_like(some), where=size > 0)
        return unit

    return in_parts(scaled, ranks)


def _p_of_brief(ranks: Matrix, near: Matrix, far: Matrix) -> float:
    """One-sided p-value of "the IC of the next two days is at most three times that of the eight after"."""
    unit = _length_one(ranks)
    early, late = (np.einsum("ij,ij->i", unit, later) for later in (near, far))
    excess = (early - _TIMES * late) * np.sign(early.mean())
    if is_constant(excess):
        return 0.0 if excess[0] > 0 else 1.0
    return ewc_p_value(excess)[0]


def _two_sided(series: Series, *, overlap: int) -> float:
    """P-value of "the mean is 0", for neighbours that overlap by all but one day of so many."""
    if is_constant(series):
        return 0.0 if series[0] else 1.0
    if len(series) >= MINIMUM_HORIZONS * overlap:
        p = ewc_p_value(series)[0]
        return 2 * min(p, 1 - p)
    # In so few horizons cosines reject too often. Ibragimov and Müller 2010: Student's t of the means of blocks.
    means = np.array([block.mean() for block in np.array_split(series, max(1, len(series) // overlap))])
    if len(means) < 2:
        return 1.0
    error = means.std(ddof=1) / np.sqrt(len(means))
    return float(2 * stdtr(len(means) - 1, -abs(means.mean()) / error)) if error > 0 else 0.0


def steadiness(net: ArrayLike, *, periods_per_year: float) -> float:
    """Annual Sharpe ratio of a net return, also of one that never varies.

    Parameters
    ----------
    net : array_like of float, shape (n_held,)
        Net return of each held period [share], at least two.
    periods_per_year : float
        Periods in a year.

    Returns
    -------
    float
        As `portfolio.paper_pnl` gives it; of a return that never varies 0, or infinite in its direction.

    Raises
    ------
    StatisticsError
        If there are fewer than two returns, one is not finite, or a year has no periods.
    """
    series = finite_series(net, name="net return", at_least=2)
    if not (math.isfinite(periods_per_year) and periods_per_year > 0):
        raise StatisticsError(f"a year of {periods_per_year} periods, expected more than 0")
    if is_constant(series):
        return math.copysign(math.inf, series[0]) if series[0] else 0.0
    return float(math.sqrt(periods_per_year) * series.mean() / series.std(ddof=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """What remains of a rank IC a day later.

    `ic` is the mean over the horizon, `later` that over the horizon from one day later [rho], and `bound` the upper
    95 % bound of `later` less half of `ic`. `days` counts the days with both. `last` is the mean over the last half of
    the horizon, and `last_bound` the same bound of it less a quarter of `ic`.
    """

    ic: float
    later: float
    bound: float
    last: float
    last_bound: float
    days: int


def one_day_later(scores: ArrayLike, returns: ArrayLike, *, horizon: int) -> Delay:
    """Ask how much of the rank IC over the horizon is left if the position is entered a day later.

    Parameters
    ----------
    scores, returns : array_like of float, shape (n_days, n_assets)
        Score of each row, and return from the close of that day to the next [share]; NaN means that the asset has no
        row that day.
    horizon : int
        How far the signal looks ahead [days].

    Returns
    -------
    Delay
        A score that knows one day ahead loses its whole IC; one that ranks each day of the horizon alike keeps
        (h - 1)/h of it at least. One that knows two days of five has nothing left in the last two. The bounds are by
        cosines, which allow for targets that overlap; a horizon of one day is its own last half.

    Raises
    ------
    InsufficientDataError
        If fewer than 20 days have both.
    StatisticsError
        If a matrix has another shape, a value is infinite, or the horizon is below 1.
    """
    given = daily_matrix(scores, "scores")
    ic, later = (
        daily_rank_ic(given, compounded(returns, horizon=horizon, lead=lead)) for lead in (RIGHT_LEAD, RIGHT_LEAD + 1)
    )
    both = np.isfinite(ic) & np.isfinite(later)
    if (days := int(both.sum())) < MINIMUM_VALUES:
        raise InsufficientDataError(
            f"{days} days have a rank IC over {horizon} days and one from a day later, at least {MINIMUM_VALUES} are "
            "needed: pack a longer panel",
            sample=days,
        )
    rest = max(1, horizon // 2)
    last = daily_rank_ic(given, compounded(returns, horizon=rest, lead=RIGHT_LEAD + horizon - rest))
    ended = both & np.isfinite(last)
    return Delay(
        ic=float(ic[both].mean()),
        later=float(later[both].mean()),
        bound=_upper(later[both] - 0.5 * ic[both]),
        last=float(last[ended].mean()),
        last_bound=_upper(last[ended] - _LAST_HALF * ic[ended]),
        days=days,
    )


def _upper(left: Series) -> float:
    return float(left[0]) if is_constant(left) else ewc_bounds(left, confidence=0.90)[1]
