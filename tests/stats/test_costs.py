"""What trading and holding cost."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.costs import Costs, daily_cost, participation
from pytest_modelgates.stats.holdings import evaluate_positions

POSITION = np.array([[0.5, -0.5], [-0.25, 0.25], [-0.25, 0.25]])
TRADED = np.array([[0.5, 0.5], [0.75, 0.75], [0.0, 0.0]])


def test_turnover_pays_spread_commission_and_slippage() -> None:
    costs = Costs(half_spread_bps=2, commission_bps=1, slippage_bps=7)
    np.testing.assert_allclose(daily_cost(TRADED, POSITION, costs), [10e-4, 15e-4, 0])


def test_what_is_sold_short_is_borrowed_every_day() -> None:
    costs = Costs(borrow_bps_per_year=252)
    np.testing.assert_allclose(daily_cost(TRADED, POSITION, costs), [0.5e-4, 0.25e-4, 0.25e-4])


def test_impact_grows_with_the_root_of_the_share_of_volume() -> None:
    costs = Costs(impact_bps=100)
    one, four = (daily_cost(TRADED, POSITION, costs, np.full((3, 2), volume)) for volume in (2.0, 0.5))
    np.testing.assert_allclose(one, [0.01 * np.sqrt(0.25), 0.015 * np.sqrt(0.375), 0])
    np.testing.assert_allclose(four, 2 * one)


def test_participation_is_the_share_of_the_days_volume() -> None:
    volume = [[2, 1], [3, 1], [0, np.nan]]
    assert participation(TRADED, volume).tolist() == [[0.25, 0.5], [0.25, 0.75], [0, 0]]


def test_costs_reach_the_position_that_is_followed() -> None:
    returns = np.array([[0.01, -0.01], [0.02, 0.01], [0.0, 0.01]])
    costs = Costs(half_spread_bps=10, borrow_bps_per_year=252, impact_bps=100)
    volume = np.full((3, 2), 2.0)
    held = evaluate_positions(POSITION, returns, cost_bps=costs, volume=volume)
    np.testing.assert_allclose(held.cost, daily_cost(TRADED, POSITION, costs, volume))
    np.testing.assert_allclose(held.net, held.gross - held.cost)


REFUSED = [
    pytest.param(
        lambda: Costs(borrow_bps_per_year=-1),
        "borrow_bps_per_year is -1 basis points, expected a number of at least 0",
        id="subsidy",
    ),
    pytest.param(
        lambda: Costs(slippage_bps=np.inf),
        "slippage_bps is inf basis points, expected a number of at least 0",
        id="infinite",
    ),
    pytest.param(lambda: Costs(days_per_year=0), "a year of 0 days, expected more than 0", id="no-year"),
    pytest.param(
        lambda: daily_cost(TRADED, POSITION, Costs(impact_bps=1)),
        "impact is charged by participation: give the volumes, or set impact_bps to 0",
        id="no-volume",
    ),
    pytest.param(
        lambda: participation(TRADED, TRADED[:2]),
        "volume has shape (2, 2), the position (3, 2): align days and assets",
        id="shapes",
    ),
    pytest.param(
        lambda: participation(TRADED, np.zeros((3, 2))),
        "4 trades on days without volume, expected volume above 0 wherever something trades",
        id="no-market",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_it_refuses_and_says_why(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call()
