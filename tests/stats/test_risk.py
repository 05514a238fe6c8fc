"""What a series of returns risks."""

import json
import math
import re
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.holdings import evaluate_positions, simulate
from pytest_modelgates.stats.portfolio import PaperPnl, paper_pnl
from pytest_modelgates.stats.risk import Risk, alpha_beta, drawdowns, risk_of
from pytest_modelgates.stats.sharpe import sharpe_of

# Ten series, Bacon's 24 months among them, and what R's PerformanceAnalytics 2.1.0 makes of them, as kept by vetted.
SERIES = json.loads(files("vetted").joinpath("data", "fixtures.json").read_text())
ANSWERS = json.loads(files("vetted").joinpath("data", "oracle.json").read_text())["values"]


def on_paper(returns: list[float], year: float) -> PaperPnl:
    """Hold all capital in one name that returns these."""
    held = evaluate_positions(np.ones((len(returns), 1)), np.array(returns)[:, np.newaxis], cost_bps=0)
    return paper_pnl(held, days_per_year=year)


# R has further definitions of the same quantities; these are the ones that are used here.
IN_R: dict[str, Callable[[list[float], float], float]] = {
    "Return.annualized(R, scale, geometric=FALSE)": lambda returns, year: on_paper(returns, year).annual_return,
    "StdDev.annualized(R, scale)": lambda returns, year: (
        on_paper(returns, year).annual_return / on_paper(returns, year).sharpe
    ),
    "mean": lambda returns, year: float(np.mean(returns)),
    "StdDev(R)": lambda returns, year: risk_of(returns).volatility,
    "SharpeRatio.annualized(R, 0, scale, geometric=FALSE)": lambda returns, year: on_paper(returns, year).sharpe,
    "DownsideDeviation(R, MAR=0, method='full')": lambda returns, year: risk_of(returns).downside_deviation,
    "SortinoRatio(R, MAR=0)": lambda returns, year: risk_of(returns).sortino,
    "Omega(R, L=0, method='simple')": lambda returns, year: risk_of(returns).omega,
    "VaR(R, p=0.95, method='historical')": lambda returns, year: risk_of(returns).value_at_risk,
    "ES(R, p=0.95, method='historical')": lambda returns, year: risk_of(returns).expected_shortfall,
    "maxDrawdown(R, geometric=TRUE)": lambda returns, year: risk_of(returns).max_drawdown,
    "skewness(R, method='moment')": lambda returns, year: sharpe_of(returns).skewness,
    "kurtosis(R, method='excess')": lambda returns, year: sharpe_of(returns).kurtosis - 3,
}


@pytest.mark.parametrize("measure", IN_R)
@pytest.mark.parametrize("series", SERIES)
def test_risk_is_that_of_performance_analytics(series: str, measure: str) -> None:
    found = IN_R[measure](SERIES[series]["returns"], SERIES[series]["periods_per_year"])
    expected = ANSWERS[series][measure]
    if expected is None:
        # For a series without a loss R gives neither a ratio to the losses nor a quantile of them.
        assert series == "all_positive"
        assert found > 0
    else:
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-13)


def test_the_worst_days_by_hand() -> None:
    risk = risk_of([0.02, -0.01, 0.03, -0.04], tail=0.5)
    assert risk == Risk(
        volatility=pytest.approx(math.sqrt(0.003 / 3)),
        downside_deviation=pytest.approx(math.sqrt(0.0017 / 4)),
        sortino=pytest.approx(0, abs=1e-12),
        omega=pytest.approx(1),
        value_at_risk=pytest.approx(0.005),
        expected_shortfall=pytest.approx(-0.025),
        max_drawdown=pytest.approx(0.04),
    )


def test_losing_everything_ends_in_a_drawdown_of_one() -> None:
    assert risk_of([0.1, -1.5, 0.3]).max_drawdown == 1


def test_capital_that_grows_beyond_all_numbers_still_falls_by_what_it_falls() -> None:
    assert risk_of([9.0] * 400 + [-0.25] + [9.0] * 400).max_drawdown == pytest.approx(0.25)


@given(returns=st.lists(st.integers(-50, 50).map(lambda n: n / 100), min_size=2).filter(lambda r: min(r) < max(r)))
def test_a_drawdown_is_a_share_of_the_peak_and_the_tail_is_no_better_than_its_edge(returns: list[float]) -> None:
    risk = risk_of(returns)
    assert 0 <= risk.max_drawdown < 1
    assert risk.max_drawdown >= -min(returns) - 1e-12
    assert (risk.max_drawdown > 0) == (min(returns) < 0)
    assert min(returns) - 1e-12 <= risk.expected_shortfall <= risk.value_at_risk + 1e-12
    assert risk.downside_deviation <= math.sqrt(np.square(returns).mean()) + 1e-12
    assert (risk.omega > 1 + 1e-12) <= (risk.sortino > 0)


def test_alpha_and_beta_give_the_answers_of_alphalens() -> None:
    # alphalens-reloaded, tests/test_performance.py, factor_alpha_beta: it compounds alpha over 252 days.
    held = simulate([[1, 2, 3, 4], [4, 3, 2, 1]], [[1, 2, 3, 4], [1, 1, 1, 1]], horizon=1, cost_bps=0, lag=0)
    assert held.market.tolist() == [2.5, 1]
    found = alpha_beta(held.gross, held.market)
    assert found is not None
    assert (1 + found[0]) ** 252 - 1 == pytest.approx(-1, abs=1e-12)
    assert found[1] == pytest.approx(5 / 6)


def test_alpha_and_beta_are_those_of_scipy() -> None:
    market, noise = np.random.default_rng(1).standard_normal((2, 300))
    returns = 0.3 * market + noise
    line = linregress(market, returns)
    assert alpha_beta(returns, market) == pytest.approx((line.intercept, line.slope), rel=1e-12)
    assert alpha_beta(returns, np.full(300, 0.01)) is None


REFUSED = [
    pytest.param(lambda: risk_of([0.1]), "returns has 1 values, expected at least 2: measure more", id="one"),
    pytest.param(lambda: risk_of([0.1, 0.1]), "all 2 values equal 0.1, expected a series that varies", id="constant"),
    pytest.param(
        lambda: risk_of([0.1, 0.2], tail=5),
        "the tail is 5, expected a share between 0 and 1, such as 0.05",
        id="percent",
    ),
    pytest.param(
        lambda: alpha_beta([0.1, 0.2], [0.1, 0.2, 0.3]),
        "2 returns, 3 of the market: give both of the same periods",
        id="lengths",
    ),
    pytest.param(
        lambda: alpha_beta([0.1, 0.2], [0.1, math.nan]),
        "market has 1 of 2 values NaN or infinite: remove their cause",
        id="nan",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_it_refuses_and_says_why(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call()


def test_a_drawdown_begins_with_the_first_loss_and_ends_at_a_new_high() -> None:
    found = drawdowns([-0.5, 1.0, 0.5, -0.1])
    assert found == pytest.approx([0.5, 0.0, 0.0, 0.1])
    assert drawdowns([-1.0, 5.0]) == pytest.approx([1.0, 1.0])
