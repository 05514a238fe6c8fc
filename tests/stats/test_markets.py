"""The days on which a market was closed while others were open."""

import numpy as np
import pytest

from pytest_modelgates.stats.markets import closed_days
from pytest_modelgates.stats.target import compounded, target_agreement


def two_exchanges(days: int = 300, names: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Returns whose first half of names has other holidays than the second, and where these are."""
    random = np.random.default_rng(5)
    returns = 0.01 * random.standard_normal((days, names))
    closed = np.zeros(returns.shape, dtype=bool)
    one, other = random.choice(np.arange(1, days - 1, 3), 20, replace=False).reshape(2, 10)
    closed[one, : names // 2] = closed[other, names // 2 :] = True
    return np.where(closed, np.nan, returns), closed


def test_a_market_is_closed_where_names_with_the_same_holidays_are_absent() -> None:
    returns, closed = two_exchanges()
    returns[100, 2] = returns[:150, 3] = np.nan
    closed[:150, 3] = False
    assert np.array_equal(closed_days(returns), closed)


def test_names_that_are_absent_by_themselves_are_of_no_market() -> None:
    returns = np.where(np.random.default_rng(1).random((300, 10)) < 0.02, np.nan, 0.01)
    assert not closed_days(returns).any()
    returns[50:80] = np.where(np.arange(10) < 5, np.nan, returns[50:80])
    assert not closed_days(returns).any(), "nothing is closed for thirty days"


@pytest.mark.parametrize("horizon", [1, 21, 63])
def test_the_target_of_two_exchanges_agrees_at_every_horizon(horizon: int) -> None:
    returns, closed = two_exchanges()
    target = np.nan_to_num(compounded(np.where(closed, 0.0, returns), horizon=horizon))
    assert target_agreement(np.where(closed, np.nan, target), returns, horizon=horizon).rank_corr == pytest.approx(1)
