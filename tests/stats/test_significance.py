"""Tests of a mean, and of many."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, t
from statsmodels.stats.multitest import multipletests

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.quantiles import Series
from pytest_modelgates.stats.significance import MeanTest, ewc_p_value, holm, mean_exceeds, mean_exceeds_closed


def moving_average(seed: int, n: int, width: int) -> Series:
    """Draw a series whose neighbours overlap over `width` values, mean 0."""
    return np.convolve(np.random.default_rng(seed).standard_normal(n + width - 1), np.ones(width) / width, "valid")


def ewc_by_hand(x: Series, bound: float) -> tuple[float, int]:
    """Follow Lazarus, Lewis, Stock and Watson 2018 term by term."""
    n, mean = len(x), sum(x) / len(x)
    cosines = math.floor(0.4 * n ** (2 / 3))
    variance = 0.0
    for j in range(1, cosines + 1):
        terms = [math.cos(math.pi * j * (i + 0.5) / n) * (value - mean) for i, value in enumerate(x)]
        variance += (math.sqrt(2 / n) * sum(terms)) ** 2 / cosines
    return float(t.sf((mean - bound) / math.sqrt(variance / n), cosines)), cosines


@pytest.mark.parametrize(("n", "cosines"), [(20, 2), (250, 15), (4300, 105)])
def test_ewc_follows_its_formula(n: int, cosines: int) -> None:
    series = moving_average(n, n, 3) + 0.02
    p, nu = ewc_p_value(series, bound=0.01)
    assert nu == cosines
    assert (p, nu) == pytest.approx(ewc_by_hand(series, 0.01), rel=1e-9)


@pytest.mark.parametrize("j", [1, 2, 3, 8])
def test_no_cosine_is_lost_where_the_rule_gives_a_whole_number(j: int) -> None:
    # 0.4 (125 j^3)^(2/3) = 10 j^2, but 1,000 ** (2 / 3) is 99.99999999999997.
    assert ewc_p_value(moving_average(j, 125 * j**3, 1))[1] == 10 * j**2


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), bounds=st.tuples(st.floats(-1, 1), st.floats(-1, 1)), scale=st.floats(0.01, 100))
def test_ewc_grows_with_the_bound_and_knows_no_unit(seed: int, bounds: tuple[float, float], scale: float) -> None:
    series = moving_average(seed, 60, 2)
    low, high = (ewc_p_value(series, bound=bound)[0] for bound in sorted(bounds))
    assert 0 <= low <= high <= 1
    assert ewc_p_value(scale * series, bound=scale * min(bounds))[0] == pytest.approx(low, rel=1e-6, abs=1e-12)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32))
def test_ewc_of_the_opposite_series_is_the_rest(seed: int) -> None:
    series = moving_average(seed, 60, 2) + 0.1
    assert ewc_p_value(series)[0] + ewc_p_value(-series)[0] == pytest.approx(1)


def test_both_p_values_are_reported_and_the_larger_counts() -> None:
    series = moving_average(8, 400, 5) + 0.03
    test = mean_exceeds(series, horizon=5, seed=1)
    assert isinstance(test, MeanTest)
    assert (test.p_ewc, test.cosines) == ewc_p_value(series)
    assert test.p_against == max(test.p_ewc, test.p_bootstrap)
    assert (test.n, test.mean) == (400, series.mean())
    assert test.p_bootstrap == pytest.approx(test.p_ewc, abs=0.05)


def test_blocks_are_no_shorter_than_the_overlap() -> None:
    independent = np.random.default_rng(0).standard_normal(100)
    assert mean_exceeds(independent, horizon=30, n_resamples=9, seed=0).block == 30
    assert mean_exceeds(independent, n_resamples=9, seed=0).block >= 1


def test_the_seed_decides_and_is_all_that_decides() -> None:
    series = moving_average(2, 200, 1)
    one, same, other = (mean_exceeds(series, n_resamples=499, seed=seed) for seed in (3, 3, 4))
    assert one == same
    assert one.p_bootstrap != other.p_bootstrap


def test_the_smallest_p_value_counts_the_sample_itself() -> None:
    clear = np.random.default_rng(1).standard_normal(100) + 5
    assert mean_exceeds(clear, n_resamples=99, seed=0).p_bootstrap == 1 / 100
    assert mean_exceeds(-clear, n_resamples=99, seed=0).p_bootstrap == 1


@pytest.mark.parametrize(("width", "horizon"), [(1, 1), (5, 5)], ids=["independent", "overlap"])
@pytest.mark.parametrize("errors", [0.5, 1.3, 2.0])
def test_the_closed_form_is_where_many_resamples_lead(width: int, horizon: int, errors: float) -> None:
    series = moving_average(7, 1000, width)
    series += errors * math.sqrt(1 / 1000) - series.mean() + 0.01
    closed, block = mean_exceeds_closed(series, bound=0.01, horizon=horizon)
    drawn = mean_exceeds(series, bound=0.01, horizon=horizon, n_resamples=50_000, seed=1)
    assert block == drawn.block
    assert closed >= drawn.p_ewc
    # Three standard errors of the resamples, and a tenth for the skewness that the closed form leaves out.
    noise = 3 * math.sqrt(drawn.p_bootstrap * (1 - drawn.p_bootstrap) / 50_000)
    assert closed == pytest.approx(drawn.p_against, abs=noise + 0.1 * drawn.p_bootstrap)


def test_a_bound_is_a_shift() -> None:
    series = moving_average(5, 200, 2) + 0.1
    bounded, shifted = mean_exceeds(series, bound=0.07, seed=6), mean_exceeds(series - 0.07, seed=6)
    assert bounded.p_against == pytest.approx(shifted.p_against, abs=2e-4)


@pytest.mark.parametrize(("width", "highest"), [(1, 0.10), (5, 0.12)], ids=["independent", "overlapping"])
def test_a_mean_of_zero_is_called_positive_one_time_in_ten(width: int, highest: float) -> None:
    # `highest`: the level, and what overlap adds to it at this length; the tolerance holds in 999 of 1000 seeds.
    runs = 400
    tests = [mean_exceeds(moving_average(s, 400, width), horizon=width, n_resamples=199, seed=s) for s in range(runs)]
    rejected = sum(test.p_against <= 0.10 for test in tests)
    assert binom.ppf(0.0005, runs, 0.07) <= rejected <= binom.ppf(0.9995, runs, highest)


def test_a_mean_two_and_a_half_errors_up_is_mostly_found() -> None:
    shift = 2.5 / math.sqrt(400)
    tests = [mean_exceeds(moving_average(s, 400, 1) + shift, n_resamples=199, seed=s) for s in range(100)]
    assert sum(test.p_against <= 0.10 for test in tests) >= 75


def test_holm_gives_the_known_answer() -> None:
    # statsmodels, multipletests(method="holm").
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], rtol=1e-12)


P_VALUES = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))


@given(p=P_VALUES)
def test_holm_agrees_with_statsmodels(p: Series) -> None:
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


@given(p=P_VALUES)
def test_holm_keeps_the_order_and_lies_between_the_raw_and_bonferroni(p: Series) -> None:
    adjusted = holm(p)
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert (p <= adjusted).all()
    assert (adjusted <= np.minimum(1, p.size * p)).all()


WAVE = [0.0, 1.0] * 15
REFUSED = [
    pytest.param(WAVE[:19], {}, "series has 19 values, expected at least 20: measure more", id="short"),
    pytest.param([0.0] * 30, {}, "all 30 values equal 0, expected a series that varies", id="constant"),
    pytest.param([*WAVE, np.nan], {}, "series has 1 of 31 values NaN or infinite: remove their cause", id="nan"),
    pytest.param(WAVE, {"bound": np.nan}, "bound is nan, expected a finite number", id="nan-bound"),
    pytest.param(
        WAVE, {"horizon": 0}, "horizon is 0, expected at least 1: 1 means that nothing overlaps", id="horizon"
    ),
    pytest.param(WAVE, {"n_resamples": 0}, "0 resamples, expected at least 1", id="no-resamples"),
    pytest.param(WAVE, {"seed": -1}, "seed is -1, expected at least 0", id="seed"),
]


@pytest.mark.parametrize(("series", "options", "message"), REFUSED)
def test_mean_exceeds_refuses_and_says_why(series: list[float], options: dict[str, Any], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        mean_exceeds(series, **{"seed": 0, **options})


NO_P_VALUES = [
    pytest.param([], "p-values has 0 values, expected at least 1: measure more", id="none"),
    pytest.param([0.1, 1.2], "p-values lie between 0.1 and 1.2, expected 0 to 1", id="above-one"),
    pytest.param([0.1, np.nan], "p-values has 1 of 2 values NaN or infinite: remove their cause", id="nan"),
]


@pytest.mark.parametrize(("p", "message"), NO_P_VALUES)
def test_holm_refuses_and_says_why(p: list[float], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        holm(p)
