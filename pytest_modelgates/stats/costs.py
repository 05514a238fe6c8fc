"""What trading and holding cost: spread, commission, slippage, borrowing what is sold short, and moving the market."""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .days import DAYS_PER_YEAR

BASIS_POINT = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a position costs.

    `half_spread_bps`, `commission_bps` and `slippage_bps` are paid on each unit of turnover [basis points];
    `borrow_bps_per_year` on what is sold short [basis points]; `impact_bps` on each unit of turnover that is a whole
    day's volume, and less by the root of its share [basis points].
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
    """Add up what each day cost.

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
        [share of capital]

    Raises
    ------
    StatisticsError
        If impact is charged without volumes, or something was traded that has none.

    Notes
    -----
    sum(c |dW|) + sum(b max(-W, 0)) / 252 + sum(k |dW| sqrt(|dW| / V)); the last is the square-root law of [1]_ with
    the volatility in its constant.

    References
    ----------
    .. [1] R. Almgren, C. Thum, E. Hauptmann and H. Li, Direct estimation of equity market impact, Risk 18(7):58, 2005.
    """
    paid = costs.per_turnover_bps * BASIS_POINT * traded.sum(axis=1)
    if costs.borrow_bps_per_year:
        paid = paid - costs.borrow_bps_per_year * BASIS_POINT / costs.days_per_year * np.minimum(position, 0.0).sum(
            axis=1
        )
    if costs.impact_bps:
        if volume is None:
            raise StatisticsError("impact is charged by participation: give the volumes, or set impact_bps to 0")
        paid = paid + costs.impact_bps * BASIS_POINT * (traded * np.sqrt(participation(traded, volume))).sum(axis=1)
    cost: NDArray[np.float64] = paid
    return cost


def participation(traded: NDArray[np.float64], volume: ArrayLike) -> NDArray[np.float64]:
    """Share of the market's volume that each trade is, 0 where nothing was traded.

    Parameters
    ----------
    traded : ndarray of float, shape (n_days, n_assets)
        Absolute changes of the weights [share of capital].
    volume : array_like of float, shape (n_days, n_assets)
        What the whole market traded that day [share of capital].

    Raises
    ------
    StatisticsError
        If shapes differ, or something was traded whose volume is not above 0.
    """
    market = np.asarray(volume, dtype=np.float64)
    if market.shape != traded.shape:
        raise StatisticsError(f"volume has shape {market.shape}, the position {traded.shape}: align days and assets")
    trades = traded > 0
    if bad := int((trades & ~(market > 0)).sum()):
        raise StatisticsError(f"{bad} trades on days without volume, expected volume above 0 wherever something trades")
    share: NDArray[np.float64] = np.divide(traded, market, out=np.zeros_like(traded), where=trades)
    return share
