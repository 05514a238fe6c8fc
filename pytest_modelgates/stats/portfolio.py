"""What a held position would have earned on paper, and how large it was."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import StatisticsError
from ..storage.scratch import in_parts
from .costs import participation
from .days import DAYS_PER_YEAR
from .holdings import Holdings
from .quantiles import finite_series, is_constant
from .ranks import Matrix, daily_matrix
from .resampling import MINIMUM_VALUES
from .risk import Risk, alpha_beta, risk_of
from .sharpe import probabilistic_sharpe, sharpe_error, sharpe_of
from .significance import ewc_p_value


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperPnl:
    """A position on paper, after costs.

    - `annual_return`: mean net return, simple [share of capital a year].
    - `sharpe` and `sharpe_error`: the Sharpe ratio of the net return and its standard error [a year].
    - `risk`: the risk of the net return of a day.
    - `mean_turnover`: [share of capital a day].
    - `largest_gross`, `largest_net` and `largest_weight`: the largest in size on any day [share of capital].
    - `break_even_bps`: the cost of a unit of turnover at which nothing would have been earned, borrow and impact being
      paid [basis points]; infinite for a position that earned or lost without a trade.
    - `p_value`: of a mean net return of at most 0, one-sided, by cosines; None below 20 days.
    - `probabilistic_sharpe`: the chance that a record without skill would have shown less, for independent days.
    - `alpha` [share of capital a year] and `beta`: against the mean return of all names; None if that never varies.
    - `largest_participation`: the largest trade as a share of the day's volume; None if the volumes are not known.
    """

    annual_return: float
    sharpe: float
    sharpe_error: float
    risk: Risk
    mean_turnover: float
    largest_gross: float
    largest_net: float
    largest_weight: float
    break_even_bps: float
    p_value: float | None
    probabilistic_sharpe: float
    alpha: float | None
    beta: float | None
    largest_participation: float | None


def paper_pnl(holdings: Holdings, *, days_per_year: float = DAYS_PER_YEAR, volume: ArrayLike | None = None) -> PaperPnl:
    """Sum up what a held position earned after costs.

    Parameters
    ----------
    holdings : Holdings
        The position of each day, from `simulate` or `evaluate_positions`, of at least two days.
    days_per_year : float, default 252
        Periods in a year, as `days.periods_per_year` tells them from the times of the panel; 252 for trading days.
    volume : array_like of float, shape (n_held, n_assets), optional
        What the whole market traded on each held day [share of capital].

    Returns
    -------
    PaperPnl
        Returns, risk, turnover and exposure.

    Raises
    ------
    StatisticsError
        If there are fewer than two days, a return is not finite, the net return never varies, a year has no days, or
        the volumes have another shape or are not above 0 for a trade.

    Notes
    -----
    The Sharpe ratio is sqrt(days_per_year) mean / sd with n - 1 in the variance. There is no riskless rate in it,
    because the position finances itself. The root holds for uncorrelated days [1]_.

    References
    ----------
    .. [1] A. W. Lo, The statistics of Sharpe ratios, Financial Analysts Journal 58(4):36, 2002.
    """
    net = finite_series(holdings.net, name="net return", at_least=2)
    traded = float(finite_series(holdings.turnover, name="turnover").sum())
    earned = float(net.sum())
    if not (math.isfinite(days_per_year) and days_per_year > 0):
        raise StatisticsError(f"a year of {days_per_year} days, expected more than 0")
    if is_constant(net):
        raise StatisticsError(
            f"net return is {net[0]:g} on all {net.size} days, expected one that varies: was a position held?"
        )
    sharpe, year = sharpe_of(net), math.sqrt(days_per_year)
    # Jensen 1968, against all names weighted equally: beta times their return needed no model.
    alpha, beta = alpha_beta(net, holdings.market) or (None, None)
    gross_exposure, net_exposure, largest_weight = worst(exposures(holdings.weights))
    largest = None
    if volume is not None:
        # The trades of the first day are not known, because the position before it is not known.
        trades = in_parts(lambda now, then: np.abs(now - then), holdings.weights[1:], holdings.weights[:-1])
        largest = float(participation(trades, daily_matrix(volume, "volume")[1:]).max(initial=0.0))
    return PaperPnl(
        annual_return=float(net.mean() * days_per_year),
        sharpe=year * sharpe.ratio,
        sharpe_error=year * sharpe_error(sharpe),
        risk=risk_of(net),
        mean_turnover=float(holdings.turnover.mean()),
        largest_gross=gross_exposure,
        largest_net=net_exposure,
        largest_weight=largest_weight,
        # The net return is linear in what a unit of turnover costs: what is left of each unit could be charged too.
        break_even_bps=holdings.per_turnover_bps + 1e4 * earned / traded
        if traded > 0
        else math.copysign(math.inf, earned),
        p_value=ewc_p_value(net)[0] if net.size >= MINIMUM_VALUES else None,
        probabilistic_sharpe=probabilistic_sharpe(sharpe),
        alpha=None if alpha is None else days_per_year * alpha,
        beta=beta,
        largest_participation=largest,
    )


def exposures(weights: Matrix) -> Matrix:
    """Give the gross, the net and the largest weight in size of each day [share of capital], of shape (n_days, 3)."""

    def sizes(some: Matrix) -> Matrix:
        size = np.abs(some)
        return np.column_stack([size.sum(axis=1), np.abs(some.sum(axis=1)), size.max(axis=1)])

    return in_parts(sizes, weights)


def worst(found: Matrix) -> tuple[float, float, float]:
    """Give the largest of each of them on any day."""
    gross, net, weight = found.max(axis=0).tolist()
    # Weights that add up to 1 may exceed it by a rounding error, and a limit of 1 must not fail on that.
    return round(gross, 12), round(net, 12), weight
