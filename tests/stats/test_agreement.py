"""Whether two sets of scores agree."""

import re
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.agreement import daily_agreement, disordered
from pytest_modelgates.stats.quantiles import Series
from pytest_modelgates.stats.significance import ewc_bounds

# Quarters are exact in binary, so that a pair lies on the margin exactly when it seems to.
QUARTERS = st.integers(-6, 6).map(lambda n: n / 4)


def disordered_by_pairs(native: Series, other: Series, days: Series, margin: float) -> int:
    """Look at every pair."""
    rows = set()
    for high, low in permutations(range(len(native)), 2):
        if days[high] == days[low] and native[low] < native[high] - margin and not other[low] < other[high]:
            rows |= {high, low}
    return len(rows)


def of_a_day(a: ArrayLike, b: ArrayLike) -> float:
    """Correlate the ranks of one day, seen on twenty days alike."""
    many = np.repeat(np.arange(20), np.size(a))
    daily = daily_agreement(np.tile(a, 20), np.tile(b, 20), many)
    assert daily.lower == pytest.approx(daily.mean)
    return daily.mean


def test_a_day_gives_the_known_answer() -> None:
    # SciPy's documentation of spearmanr.
    assert of_a_day([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8207826816681233, rel=1e-14)


@given(pair=arrays(np.float64, st.tuples(st.just(2), st.integers(2, 30)), elements=QUARTERS))
def test_a_day_agrees_with_scipy(pair: Series) -> None:
    expected = 0.0 if (np.ptp(pair, axis=1) == 0).any() else spearmanr(*pair).statistic
    assert of_a_day(*pair) == pytest.approx(expected, abs=1e-12)


@given(a=arrays(np.float64, st.integers(2, 30), elements=QUARTERS, unique=False))
def test_any_increasing_transform_agrees_wholly(a: Series) -> None:
    a[0] = 9.0
    a[1] = -9.0
    assert of_a_day(a, np.exp(a) - 3) == pytest.approx(1)
    assert of_a_day(a, -a) == pytest.approx(-1)
    assert of_a_day(a, np.exp(a)) <= 1


BY_HAND = [
    pytest.param([1, 2, 3], [1, 2, 3], [0, 0, 0], 0.0, 0, id="same-order"),
    pytest.param([1, 2, 3], [1, 3, 2], [0, 0, 0], 0.5, 2, id="one-pair-swapped"),
    pytest.param([1, 2, 3], [1, 3, 2], [0, 0, 0], 1.0, 0, id="swap-on-the-margin"),
    pytest.param([1, 2, 3], [1, 3, 2], [0, 0, 1], 0.0, 0, id="swap-across-days"),
    pytest.param([1, 2, 3], [5, 5, 5], [0, 0, 0], 1.5, 2, id="ties-are-no-order"),
    pytest.param([1, 1, 1], [1, 2, 3], [0, 0, 0], 0.0, 0, id="native-ties-ask-nothing"),
    pytest.param([1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 0, 0], 0.0, 4, id="reversed"),
    pytest.param([3, 1, 2], [3, 2, 1], ["b", "a", "a"], 0.5, 2, id="named-days-unsorted"),
]


@pytest.mark.parametrize(("native", "other", "days", "margin", "rows"), BY_HAND)
def test_disordered_rows_by_hand(
    native: ArrayLike, other: ArrayLike, days: ArrayLike, margin: float, rows: int
) -> None:
    assert disordered(native, other, days, margin=margin) == rows


@given(
    table=arrays(np.float64, st.tuples(st.just(2), st.integers(2, 16)), elements=QUARTERS),
    seed=st.integers(0, 99),
    margin=st.integers(0, 8).map(lambda n: n / 4),
)
def test_disordered_finds_what_looking_at_every_pair_finds(table: Series, seed: int, margin: float) -> None:
    native, other = table
    days = np.random.default_rng(seed).integers(0, 3, native.size)
    assert disordered(native, other, days, margin=margin) == disordered_by_pairs(native, other, days, margin)


def test_noise_below_half_the_margin_disorders_nothing() -> None:
    random = np.random.default_rng(3)
    native, days = random.standard_normal(200_000), np.repeat(np.arange(400), 500)
    other = native + random.uniform(-1e-3, 1e-3, native.size)
    assert disordered(native, other, days, margin=2.001e-3) == 0
    assert disordered(native, other, days, margin=1e-3) > 0


REFUSED = [
    pytest.param([1, 2], [1, 2, 3], [0, 0], 0, "2 values of native, 3 of other: pair them row by row", id="lengths"),
    pytest.param([1, 2], [1, 2], [0], 0, "2 rows, days of shape (1,): give one day a row", id="days"),
    pytest.param([1, 2], [1, 2], [0, 0], -1, "margin is -1, expected a number of at least 0", id="margin"),
    pytest.param([1, 2], [1, 2], [0, 0], np.nan, "margin is nan, expected a number of at least 0", id="nan-margin"),
    pytest.param(
        [1, 2], [np.nan, 2], [0, 0], 0, "other has 1 of 2 values NaN or infinite: remove their cause", id="nan"
    ),
    pytest.param([], [], [], 0, "native has 0 values, expected at least 2: measure more", id="empty"),
]


@pytest.mark.parametrize(("native", "other", "days", "margin", "message"), REFUSED)
def test_disordered_refuses_and_says_why(
    native: ArrayLike, other: ArrayLike, days: ArrayLike, margin: float, message: str
) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        disordered(native, other, days, margin=margin)


def days_of(seed: int, *, noise: float, days: int = 80, names: int = 30) -> tuple[Series, Series, Series]:
    """Draw the scores of two models, rows in no order."""
    random = np.random.default_rng(seed)
    shuffled = random.permutation(days * names)
    a = random.standard_normal(days * names)
    b = a + noise * random.standard_normal(days * names)
    return a[shuffled], b[shuffled], np.repeat(np.arange(days), names)[shuffled]


def test_daily_agreement_follows_its_definition() -> None:
    a, b, day = days_of(1, noise=0.5)
    daily = daily_agreement(a, b, day)
    by_day = [spearmanr(a[day == d], b[day == d]).statistic for d in range(80)]
    tops = [len({*np.argsort(a[day == d])[-3:]} & {*np.argsort(b[day == d])[-3:]}) / 3 for d in range(80)]
    assert daily.mean == pytest.approx(np.mean(by_day))
    assert daily.lower == pytest.approx(ewc_bounds(by_day, confidence=0.9)[0])
    assert daily.lower < daily.mean
    assert daily.overlap == pytest.approx(np.mean(tops))
    assert (daily.days, daily.constant, daily.rows) == (80, 0, 2400)


def test_copies_agree_without_doubt() -> None:
    a, _, day = days_of(2, noise=0)
    daily = daily_agreement(a, 3 * a - 1, day)
    assert (daily.mean, daily.lower, daily.overlap) == pytest.approx((1, 1, 1))


def test_a_day_on_which_one_scores_all_alike_agrees_in_nothing() -> None:
    a, b, day = days_of(3, noise=0)
    b[day < 8] = 0.5
    daily = daily_agreement(a, b, day)
    assert (daily.mean, daily.constant) == (pytest.approx(0.9), 8)
    assert daily.lower < 0.9


def test_scores_without_order_agree_with_nothing() -> None:
    a, _, day = days_of(6, noise=0)
    daily = daily_agreement(a, np.ones_like(a), day)
    assert (daily.mean, daily.lower, daily.overlap, daily.constant) == (0, 0, 0, 80)


def test_days_count_in_their_order_and_single_rows_not_at_all() -> None:
    a, b, day = days_of(7, noise=0.5)
    text = np.array([f"2024-{d // 28 + 1:02d}-{d % 28 + 1:02d}" for d in day])
    alone = daily_agreement(np.append(a, 1.0), np.append(b, -1.0), np.append(text, "2025-01-01"))
    assert alone == daily_agreement(a, b, day)


def test_agreement_between_days_does_not_count() -> None:
    random = np.random.default_rng(4)
    day = np.repeat(np.arange(60), 10)
    a, b = day + random.random((2, 600))
    assert spearmanr(a, b).statistic > 0.99
    assert abs(daily_agreement(a, b, day).mean) < 0.15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"a": np.ones(599)}, "599 values of a, 600 of b: pair them row by row", id="lengths"),
        pytest.param(
            {"b": np.full(600, np.inf)}, "b has 600 of 600 values NaN or infinite: remove their cause", id="infinite"
        ),
        pytest.param(
            {"days": np.arange(600)},
            "0 days with two rows or more, at least 20 are needed: score more days by both",
            id="one-row-a-day",
        ),
        pytest.param({"days": np.arange(9)}, "600 rows, days of shape (9,): give one day a row", id="days"),
        pytest.param({"top": 10}, "the top share is 10, expected a number between 0 and 1, such as 0.1", id="percent"),
    ],
)
def test_daily_agreement_refuses_and_says_why(change: dict[str, Any], message: str) -> None:
    a, b = np.random.default_rng(5).random((2, 600))
    arguments = {"a": a, "b": b, "days": np.repeat(np.arange(60), 10), **change}
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        daily_agreement(**arguments)
