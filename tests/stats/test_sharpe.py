"""What a Sharpe ratio is worth."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kurtosis, skew

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.sharpe import (
    Sharpe,
    deflated_sharpe,
    expected_best_sharpe,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_error,
    sharpe_of,
)


def test_the_ratio_gives_the_answer_of_pypbo() -> None:
    # esvhd/pypbo, tests/test_perf.py.
    returns = [0.259, 0.198, 0.364, -0.081, 0.057, 0.055, 0.188, 0.317, 0.24, 0.184, -0.01, 0.526]
    assert sharpe_of(returns, riskless=0.05).ratio == pytest.approx(0.834364, abs=5e-7)


def test_moments_agree_with_scipy() -> None:
    returns = np.random.default_rng(1).standard_t(5, 400) + 0.1
    found = sharpe_of(returns)
    assert found.n == 400
    assert found.skewness == pytest.approx(skew(returns), rel=1e-12)
    assert found.kurtosis == pytest.approx(kurtosis(returns, fisher=False), rel=1e-12)


@pytest.mark.parametrize("unit", [1e-90, 1e90])
def test_moments_know_no_unit(unit: float) -> None:
    returns = np.random.default_rng(1).standard_t(5, 400) + 0.1
    one, other = sharpe_of(returns), sharpe_of(unit * returns)
    assert (other.ratio, other.skewness, other.kurtosis) == pytest.approx((one.ratio, one.skewness, one.kurtosis))


# Bailey and Lopez de Prado 2012, section 3, as in esvhd/pypbo, tests/test_pbo.py.
HEDGE_FUND = {"ratio": 1.585 / math.sqrt(12), "n": 24}


@pytest.mark.parametrize(
    ("moments", "probability"),
    [({"skewness": -2.448, "kurtosis": 10.164}, 0.91323430688486), ({}, 0.98159)],
    ids=["skewed", "normal"],
)
def test_the_probabilistic_ratio_gives_the_answers_of_its_paper(moments: dict[str, float], probability: float) -> None:
    found = probabilistic_sharpe(Sharpe(**HEDGE_FUND, **moments))
    assert found == pytest.approx(probability, abs=1e-12 if moments else 5e-6)


# Bailey and Lopez de Prado 2014, the numerical example.
PAPER_2014 = Sharpe(ratio=2.5 / math.sqrt(250), n=1250, skewness=-3, kurtosis=10)


def test_the_deflated_ratio_gives_the_answer_of_its_paper() -> None:
    variance = 0.5 / 250
    assert expected_best_sharpe(100, 1.0) == pytest.approx(2.5306028932016846, rel=1e-12)
    assert expected_best_sharpe(100, variance) == pytest.approx(0.1131720, abs=5e-8)
    assert deflated_sharpe(PAPER_2014, trials=100, variance=variance) == pytest.approx(0.90039683444939, rel=1e-11)


def test_one_trial_deflates_nothing_and_more_deflate_more() -> None:
    assert deflated_sharpe(PAPER_2014, trials=1) == probabilistic_sharpe(PAPER_2014)
    chances = [deflated_sharpe(PAPER_2014, trials=trials) for trials in (1, 2, 10, 100, 10_000)]
    assert chances == sorted(chances, reverse=True)


def test_the_best_of_several_trials_without_skill_is_as_good_as_expected() -> None:
    best = np.random.default_rng(2).standard_normal((20_000, 50)).max(axis=1)
    assert expected_best_sharpe(50, 1.0) == pytest.approx(best.mean(), abs=0.03)


# Bailey and Lopez de Prado 2012, figure 8, as in esvhd/pypbo [years].
TRACK_RECORDS = [
    pytest.param(2, 1, 250, {}, 2.7311878, id="daily"),
    pytest.param(2, 1, 52, {}, 2.8288336, id="weekly"),
    pytest.param(2, 1, 12, {}, 3.2398007, id="monthly"),
    pytest.param(2, 1, 12, {"skewness": -0.72, "kurtosis": 5.78}, 4.991258, id="monthly-skewed"),
    pytest.param(3, 2.5, 12, {"skewness": -0.72, "kurtosis": 5.78}, 27.3529202, id="a-close-benchmark"),
]


@pytest.mark.parametrize(("annual", "to_beat", "periods", "moments", "years"), TRACK_RECORDS)
def test_the_track_record_gives_the_answers_of_its_paper(
    annual: float, to_beat: float, periods: int, moments: dict[str, float], years: float
) -> None:
    root = math.sqrt(periods)
    found = minimum_track_record(Sharpe(ratio=annual / root, n=100, **moments), benchmark=to_beat / root)
    assert found / periods == pytest.approx(years, rel=2e-7)


@given(ratio=st.floats(0.01, 0.5), n=st.integers(20, 5000), skewness=st.floats(-1, 1))
def test_the_confidence_that_a_record_gives_asks_for_its_own_length(ratio: float, n: int, skewness: float) -> None:
    sharpe = Sharpe(ratio=ratio, n=n, skewness=skewness, kurtosis=5)
    chance = probabilistic_sharpe(sharpe)
    if chance < 1 - 1e-9:
        assert minimum_track_record(sharpe, confidence=chance) == pytest.approx(n, rel=1e-5)


def test_a_ratio_below_the_benchmark_never_has_a_track_record() -> None:
    assert minimum_track_record(Sharpe(ratio=-0.1, n=100)) == math.inf


def test_the_backtest_length_gives_the_answer_of_its_paper() -> None:
    # Bailey, Borwein, Lopez de Prado and Zhu 2014, figure 2: 45 trials, five years.
    assert minimum_backtest_years(45) == pytest.approx(4.9980870, abs=5e-8)


@pytest.mark.parametrize(("ratio", "n", "error"), [(0.5, 12, 0.306), (1, 60, 0.158)], ids=["a-year", "five-years"])
def test_the_error_gives_the_answers_of_lo(ratio: float, n: int, error: float) -> None:
    # Lo 2002, table 1.
    assert sharpe_error(Sharpe(ratio=ratio, n=n)) == pytest.approx(error, abs=5e-4)


OK = Sharpe(ratio=0.1, n=100)
REFUSED = [
    pytest.param(lambda: sharpe_of([0.1]), "returns has 1 values, expected at least 2: measure more", id="one"),
    pytest.param(lambda: sharpe_of([0.1] * 9), "all 9 values equal 0.1, expected a series that varies", id="constant"),
    pytest.param(
        lambda: Sharpe(ratio=0.1, n=1), "a Sharpe ratio of 1 periods, expected at least 2: measure more", id="short"
    ),
    pytest.param(
        lambda: Sharpe(ratio=0.1, n=9, kurtosis=0),
        "ratio 0.1, skewness 0.0, kurtosis 0: no sample has these; kurtosis is raw, 3 for a normal series",
        id="excess-kurtosis",
    ),
    pytest.param(
        lambda: deflated_sharpe(OK, trials=0), "0 trials, expected at least 1: what was packed is one", id="no-trials"
    ),
    pytest.param(
        lambda: deflated_sharpe(OK, trials=9, variance=math.nan),
        "the variance of the trials' ratios is nan, expected a number of at least 0",
        id="nan-variance",
    ),
    pytest.param(
        lambda: minimum_track_record(OK, confidence=95),
        "confidence is 95, expected a number between 0 and 1, such as 0.95",
        id="percent",
    ),
    pytest.param(
        lambda: minimum_backtest_years(9, sharpe=0),
        "the Sharpe ratio aimed at is 0, expected a number above 0",
        id="no-aim",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_it_refuses_and_says_why(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call()
