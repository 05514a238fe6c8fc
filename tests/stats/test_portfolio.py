"""What a position earned on paper."""

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.holdings import Holdings, simulate
from pytest_modelgates.stats.portfolio import paper_pnl
from pytest_modelgates.stats.risk import alpha_beta, risk_of
from pytest_modelgates.stats.sharpe import probabilistic_sharpe, sharpe_error, sharpe_of
from pytest_modelgates.stats.significance import ewc_p_value


def held_with(
    net: ArrayLike, *, weights: ArrayLike | None = None, turnover: float = 0.5, cost: float = 0.0
) -> Holdings:
    """Give a position that earned these net returns."""
    series = np.asarray(net, dtype=np.float64)
    days = series.size
    return Holdings(
        first=0,
        weights=np.tile([0.5, -0.5], (days, 1)) if weights is None else np.asarray(weights, dtype=np.float64),
        gross=series + cost,
        cost=np.full(days, cost),
        per_turnover_bps=1e4 * cost / turnover if turnover else 0.0,
        net=series,
        turnover=np.full(days, turnover),
        market=series / 2,
        ic=np.zeros(days),
        ic_net=np.zeros(days),
        scale=np.ones(days),
    )


def test_turnover_exposure_and_break_even_by_hand() -> None:
    weights = [[0.5, -0.5, 0.0], [0.7, -0.2, 0.0], [-0.3, 0.1, 0.1]]
    pnl = paper_pnl(held_with([0.01, -0.02, 0.04], weights=weights, turnover=0.3, cost=0.001))
    assert pnl.mean_turnover == pytest.approx(0.3)
    assert pnl.largest_gross == 1.0
    assert pnl.largest_net == 0.5
    assert pnl.largest_weight == 0.7
    assert pnl.break_even_bps == pytest.approx(1e4 * 0.033 / 0.9)


@pytest.mark.parametrize("assets", [7, 19, 20, 23])
def test_a_gross_of_one_is_not_above_one(assets: int) -> None:
    scores = np.random.default_rng(0).standard_normal((400, assets))
    held = simulate(np.tile(scores[:1], (400, 1)), 0.01 * scores, horizon=5, cost_bps=2)
    assert np.abs(held.weights).sum(axis=1).max() == pytest.approx(1)
    pnl = paper_pnl(held)
    assert (pnl.largest_gross, pnl.largest_net) == (1, 0)


def test_borrow_and_impact_are_paid_before_the_break_even_by_hand() -> None:
    # Held: half of the capital long and half short for two days; 1 % a day, 100 bp of borrow on 0.5 over 252 days, and
    # an impact of 10 bp times the root of 1/4 on a turnover of 1.
    scores, returns = np.tile([1.0, 2.0], (3, 1)), np.tile([-0.01, 0.01], (3, 1))
    returns[2] *= 1.5
    costs = Costs(half_spread_bps=3, borrow_bps_per_year=100, impact_bps=10)
    held = simulate(scores, returns, horizon=1, cost_bps=costs, volume=np.full((3, 2), 2.0))
    assert held.turnover.tolist() == [1, 0]
    assert paper_pnl(held).break_even_bps == pytest.approx(250 - 2 * 0.5 * 100 / 252 - 10 * 0.5)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), borrow=st.sampled_from([0, 300]), impact=st.sampled_from([0, 5]))
def test_at_the_break_even_cost_nothing_is_earned(seed: int, borrow: float, impact: float) -> None:
    random = np.random.default_rng(seed)
    scores, returns = random.standard_normal((40, 6)), 0.01 * random.standard_normal((40, 6))
    given, volume = {"borrow_bps_per_year": borrow, "impact_bps": impact}, np.ones((40, 6))

    def held(bps: float) -> Holdings:
        return simulate(
            scores,
            returns,
            horizon=2,
            cost_bps=Costs(half_spread_bps=bps / 2, slippage_bps=bps / 2, **given),
            volume=volume,
        )

    break_even = paper_pnl(held(0)).break_even_bps
    assert paper_pnl(held(3)).break_even_bps == pytest.approx(break_even)
    if not (borrow or impact):
        assert break_even == pytest.approx(1e4 * held(0).gross.sum() / held(0).turnover.sum())
    if break_even > 0:
        assert held(break_even).net.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("net", "break_even"), [([0.01, 0.02], math.inf), ([-0.01, -0.02], -math.inf)])
def test_without_a_trade_no_cost_matters(net: list[float], break_even: float) -> None:
    assert paper_pnl(held_with(net, turnover=0)).break_even_bps == break_even


REFUSED = [
    pytest.param([0.1], {}, "net return has 1 values, expected at least 2: measure more", id="one-day"),
    pytest.param([0.1, np.nan], {}, "net return has 1 of 2 values NaN or infinite: remove their cause", id="nan"),
    pytest.param(
        [0, 0],
        {},
        "net return is 0 on all 2 days, expected one that varies: was a position held?",
        id="no-position",
    ),
    pytest.param([0, 1], {"days_per_year": 0}, "a year of 0 days, expected more than 0", id="no-year"),
]


@pytest.mark.parametrize(("net", "options", "message"), REFUSED)
def test_paper_pnl_refuses_and_says_why(net: list[float], options: dict[str, Any], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        paper_pnl(held_with(net), **options)


def test_the_net_return_is_tested_like_any_mean() -> None:
    net = np.random.default_rng(1).standard_t(5, 300) + 0.1
    pnl = paper_pnl(held_with(net))
    assert pnl.p_value == ewc_p_value(net)[0]
    assert pnl.probabilistic_sharpe == probabilistic_sharpe(sharpe_of(net))
    assert paper_pnl(held_with(net[:19])).p_value is None


def test_ratios_are_a_year_and_risk_is_a_day() -> None:
    net = np.random.default_rng(2).standard_normal(300) / 100
    pnl, ratio = paper_pnl(held_with(net), days_per_year=252), sharpe_of(net)
    assert pnl.annual_return == pytest.approx(252 * net.mean())
    assert pnl.sharpe == pytest.approx(math.sqrt(252) * ratio.ratio)
    assert pnl.sharpe_error == pytest.approx(math.sqrt(252) * sharpe_error(ratio))
    assert pnl.risk == risk_of(net)


def test_alpha_and_beta_are_those_of_the_net_return_against_all_names() -> None:
    random = np.random.default_rng(3)
    scores, returns = random.standard_normal((60, 5)), 0.01 * random.standard_normal((60, 5))
    held = simulate(scores, returns, horizon=1, cost_bps=5)
    np.testing.assert_allclose(held.market, returns[1:].mean(axis=1))
    split, pnl = alpha_beta(held.net, held.market), paper_pnl(held, days_per_year=250)
    assert split is not None
    assert (pnl.alpha, pnl.beta) == (250 * split[0], split[1])
    still = paper_pnl(dataclasses.replace(held, market=np.zeros(59)))
    assert (still.alpha, still.beta) == (None, None)


def test_participation_is_known_where_volumes_are() -> None:
    weights = [[0.5, -0.5], [0.3, -0.5], [0.3, 0.1]]
    held = held_with([0.01, -0.02, 0.04], weights=weights)
    assert paper_pnl(held).largest_participation is None
    assert paper_pnl(held, volume=[[1, 1], [0.5, 1], [1, 4]]).largest_participation == pytest.approx(0.4)
