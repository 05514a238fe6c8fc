"""Quantiles, and what counts as a series of numbers."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.quantiles import (
    Series,
    finite_series,
    is_constant,
    quantile,
    quantile_interval,
    refuse_constant,
)

SAMPLES = arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6))

# Type 7 of Hyndman and Fan 1996, the default of R: position 1 + (n - 1) q.
BY_HAND = [
    pytest.param([1, 2, 3, 4], 0.5, 2.5, id="median-between"),
    pytest.param([4, 1, 3, 2], 0.95, 3.85, id="unsorted"),
    pytest.param([7], 0.95, 7, id="one-value"),
    pytest.param([1, 2, 3], 0, 1, id="lowest"),
    pytest.param([1, 2, 3], 1, 3, id="highest"),
]


@pytest.mark.parametrize(("sample", "share", "answer"), BY_HAND)
def test_quantile_gives_the_known_answer(sample: list[float], share: float, answer: float) -> None:
    assert quantile(sample, share) == pytest.approx(answer)


@given(sample=SAMPLES, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_quantile_stays_in_the_sample_and_grows_with_the_share(sample: Series, shares: tuple[float, float]) -> None:
    low, high = (quantile(sample, share) for share in sorted(shares))
    slack = 1e-9 * max(1.0, float(np.abs(sample).max()))
    assert sample.min() - slack <= low <= high + slack <= sample.max() + 2 * slack


REFUSED = [
    pytest.param([], 0.5, "sample has 0 values, expected at least 1: measure more", id="empty"),
    pytest.param([1, np.nan], 0.5, "sample has 1 of 2 values NaN or infinite: remove their cause", id="nan"),
    pytest.param([1, np.inf], 0.5, "sample has 1 of 2 values NaN or infinite: remove their cause", id="infinite"),
    pytest.param(
        [-2e100, 1], 0.5, "sample reaches 2e+100 in size, expected at most 1e+100: use another unit", id="too-large"
    ),
    pytest.param(
        ["a"],
        0.5,
        "sample cannot be read as numbers (<U1): give one real number a place",
        id="text",
    ),
    pytest.param(
        [1j], 0.5, "sample cannot be read as numbers (complex128): give one real number a place", id="complex"
    ),
    pytest.param(
        np.array([1, "a"], dtype=object),
        0.5,
        "sample cannot be read as numbers (could not convert string to float: 'a'): give one real number a place",
        id="objects",
    ),
    pytest.param([[1, 2]], 0.5, "sample has 2 dimensions, expected 1: give one number a row", id="matrix"),
    pytest.param([1], 95, "the share is 95, expected 0 to 1: 0.95 asks for the 95th percentile", id="percent"),
    pytest.param([1], np.nan, "the share is nan, expected 0 to 1: 0.95 asks for the 95th percentile", id="nan-share"),
]


@pytest.mark.parametrize(("sample", "share", "message"), REFUSED)
def test_quantile_refuses_and_says_why(sample: list[float], share: float, message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        quantile(sample, share)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint64, object])
def test_a_series_is_returned_as_float64(dtype: type) -> None:
    series = finite_series(np.array([1, 2], dtype=dtype))
    assert series.dtype == np.float64
    assert series.tolist() == [1, 2]


def test_rows_of_unequal_length_are_no_numbers() -> None:
    with pytest.raises(StatisticsError, match=r"^sample cannot be read as numbers \(setting an array element"):
        quantile([[1, 2], [3]], 0.5)


@pytest.mark.parametrize("series", [np.full(3, 0.1), np.array([0.1, 0.1 + 1e-200]), np.array([0.0, 5e-324])])
def test_a_series_without_spread_is_constant(series: Series) -> None:
    assert is_constant(series)


def test_a_constant_series_is_refused() -> None:
    refuse_constant(np.array([0.5, 0.6]))
    with pytest.raises(StatisticsError, match=r"^all 3 values equal 0\.5, expected a series that varies$"):
        refuse_constant(np.full(3, 0.5))


# The largest of n values is above the 95 % quantile with probability 1 - 0.95^n, which 59 values bring above 0.95.
@pytest.mark.parametrize(("size", "finite"), [(58, False), (59, True), (200, True)])
def test_the_upper_end_needs_enough_values(size: int, finite: bool) -> None:
    assert np.isfinite(quantile_interval(np.arange(size), 0.95)[1]) == finite


@given(
    sample=arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6)),
    share=st.floats(0.01, 0.99),
    level=st.floats(0.5, 0.99),
)
def test_the_interval_of_a_quantile_is_that_of_scipy(sample: Series, share: float, level: float) -> None:
    theirs = stats.quantile_test(sample, p=share).confidence_interval(level)
    wanted = [-np.inf if np.isnan(theirs.low) else theirs.low, np.inf if np.isnan(theirs.high) else theirs.high]
    assert list(quantile_interval(sample, share, level=level)) == wanted


@pytest.mark.parametrize("draw", ["standard_normal", "standard_cauchy", "exponential"])
def test_the_interval_holds_the_quantile_as_often_as_it_says(draw: str) -> None:
    # Of 200 values the lower end misses in 4.4 % and the upper in 2.6 %, by the binomial.
    truth = {
        "standard_normal": stats.norm.ppf(0.95),
        "standard_cauchy": stats.cauchy.ppf(0.95),
        "exponential": stats.expon.ppf(0.95),
    }[draw]
    samples = getattr(np.random.default_rng(17), draw)(size=(3000, 200))
    ends = np.array([quantile_interval(sample, 0.95) for sample in samples])
    below, above = (ends[:, 0] > truth).mean(), (ends[:, 1] < truth).mean()
    assert max(below, above) < 0.05 + 3 * 0.004


@pytest.mark.parametrize(("share", "level"), [(0, 0.9), (1, 0.9), (0.5, 1), (0.5, 0)])
def test_an_interval_needs_shares_between_0_and_1(share: float, level: float) -> None:
    message = f"the share is {share} at level {level}, expected both between 0 and 1"
    with pytest.raises(StatisticsError, match=re.escape(message)):
        quantile_interval([1, 2, 3], share, level=level)
