"""What trading and holding cost: spread, commission, slippage, borrowing what is sold short, and moving the market."""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from ..storage.scratch import in_parts
from .days import DAYS_PER_YEAR
from .quantiles import numbers

BASIS_POINT = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a position costs.

    `half_spread_bps`, `commission_bps` and `slippage_bps` are paid on each unit of turnover [basis points], and
    `borrow_bps_per_year` on what is sold short [basis points a year of `days_per_year` periods]: each period bears an
    equal share of the year, so that a year of periods of any length pays the whole rate. `impact_bps` is paid on
    each unit of turnover by a trade of a whole day's volume; a smaller trade pays this times the square root of its
    share of the volume [basis points].

    Raises
    ------
    StatisticsError
        If a cost is negative or not finite, or a year has no days.
    """

    half_spread_bps: float = 0.0
    commission_bps: float = 0.0
    slippage_bps: float = 0.0
    borrow_bps_per_year: float = 0.0
    impact_bps: float = 0.0
    days_per_year: float = DAYS_PER_YEAR

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                unit = "" if field.name == "days_per_year" else " basis points"
                raise StatisticsError(f"{field.name} is {value}{unit}, expected a number of at least 0")
        if self.days_per_year == 0:
            raise StatisticsError("a year of 0 days, expected more than 0")

    @property
    def per_turnover_bps(self) -> float:
        """Cost of a unit of turnover, whatever its size [basis points]."""
        return self.half_spread_bps + self.commission_bps + self.slippage_bps


def daily_cost(
    traded: NDArray[np.float64], position: NDArray[np.float64], costs: Costs, volume: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Add up the costs of each day.

    Parameters
    ----------
    traded : ndarray of float, shape (n_days, n_assets)
        Absolute changes of the weights [share of capital].
    position : ndarray of float, shape (n_days, n_assets)
        Weights held [share of capital].
    costs : Costs
        What is paid.
    volume : array_like of float, shape (n_days, n_assets), optional
        What the whole market traded that day [share of capital]; needed for impact.

    Returns
    -------
    ndarray of float64, shape (n_days,)
        Cost of each day [share of capital].

    Raises
    ------
    StatisticsError
        If impact is charged without volumes, their shape differs, or something was traded that has no volume.

    Notes
    -----
    sum(c |dW|) + sum(b max(-W, 0)) / days_per_year + sum(k |dW| sqrt(|dW| / V)). The last term is the square-root law
    of market impact [1]_ with the volatility in its constant k. [2]_ measures an exponent of 3/5 in place of 1/2; at
    the same constant the root charges more for every trade below a day's volume.

    References
    ----------
    .. [1] R. C. Grinold and R. N. Kahn, Active Portfolio Management, 2nd edition, McGraw-Hill, 2000, chapter 16.
    .. [2] R. Almgren, C. Thum, E. Hauptmann and H. Li, Direct estimation of equity market impact, Risk 18(7):58, 2005.
    """
    short = np.zeros(len(traded))
    if costs.borrow_bps_per_year:
        short = sold_short(position)
    impact = np.zeros(len(traded))
    if costs.impact_bps:
        if volume is None:
            raise StatisticsError("impact is charged by participation: give the volumes, or set impact_bps to 0")
        shares = participation(traded, volume)
        impact = in_parts(lambda some, share: (some * np.sqrt(share)).sum(axis=1), traded, shares)
    return cost_of(turnover=traded.sum(axis=1), short=short, impact=impact, costs=costs)


def sold_short(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum up what is sold short on each day, of weights of shape (n_days, n_assets) [share of capital]."""
    return -in_parts(lambda some: np.minimum(some, 0.0).sum(axis=1), position)


def cost_of(
    *,
    turnover: NDArray[np.float64],
    short: NDArray[np.float64],
    impact: NDArray[np.float64],
    costs: Costs,
) -> NDArray[np.float64]:
    """Charge costs on what they are charged on, as `daily_cost` does.

    Parameters
    ----------
    turnover, short, impact : ndarray of float, shape (n_days,)
        The sums of |dW|, of max(-W, 0) and of |dW| sqrt(|dW| / V) over the names of each day [share of capital].
    costs : Costs

    Returns
    -------
    ndarray of float64, shape (n_days,)
        Cost of each day [share of capital].
    """
    # Spread, commission and slippage are proportional, so they can be paid on the sum.
    paid = costs.per_turnover_bps * BASIS_POINT * turnover
    # The rate is quoted for a year, and only periods with rows can bear it, so each bears its share.
    if costs.borrow_bps_per_year:
        paid = paid + costs.borrow_bps_per_year * BASIS_POINT / costs.days_per_year * short
    # A price moved by the root of the share, paid on the whole trade. Doubling the capital costs more than double.
    if costs.impact_bps:
        paid = paid + costs.impact_bps * BASIS_POINT * impact
    return paid


def participation(traded: NDArray[np.float64], volume: ArrayLike) -> NDArray[np.float64]:
    """Divide each trade by what the whole market traded.

    Parameters
    ----------
    traded : ndarray of float, shape (n_days, n_assets)
        Absolute changes of the weights [share of capital].
    volume : array_like of float, shape (n_days, n_assets)
        What the whole market traded that day [share of capital].

    Returns
    -------
    ndarray of float64, shape (n_days, n_assets)
        The trade's share of the volume [share of the market]; 0 where nothing was traded, whatever the volume there.

    Raises
    ------
    StatisticsError
        If shapes differ, or something was traded whose volume is not above 0.
    """
    market = numbers(volume, name="volume")
    if market.shape != traded.shape:
        raise StatisticsError(f"volume has shape {market.shape}, the position {traded.shape}: align days and assets")
    # A closed market has no volume, and needs none: only names that trade are checked.
    trades = traded > 0
    if bad := int((trades & ~(market > 0)).sum()):
        raise StatisticsError(f"{bad} trades on days without volume, expected volume above 0 wherever something trades")
    return in_parts(lambda some, all_: np.divide(some, all_, out=np.zeros_like(some), where=some > 0), traded, market)
