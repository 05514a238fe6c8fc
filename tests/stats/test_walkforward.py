"""The IC from fold to fold."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest, linregress, norm, t, ttest_1samp, ttest_ind

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.walkforward import calendar_folds, folds, join_short, length_folds, retained


def test_folds_by_hand() -> None:
    # Mean 1 and sd sqrt(24/23) over 24 days: z = sqrt(23).
    good, bad = [0.0, 2.0] * 12, [-2.0, 0.0] * 12
    result = folds(good + bad, [2005] * 24 + [2006] * 24, purge=0)
    assert result.labels == (2005, 2006)
    assert result.means.tolist() == [1, -1]
    assert result.n.tolist() == [24, 24]
    np.testing.assert_allclose(result.z, [np.sqrt(23), -np.sqrt(23)])
    assert result.share_positive == 0.5
    # The two means lie 2 apart, and their difference has a variance of 2 / 23, with 2 * 23 degrees of freedom.
    assert (result.worst, result.worst_t) == (1, pytest.approx(-2 / np.sqrt(2 / 23)))
    assert result.worst_p == pytest.approx(2 * t.sf(2 / np.sqrt(2 / 23), 46))


def test_purging_spares_the_first_fold_alone() -> None:
    ic = np.random.default_rng(0).standard_normal(90)
    result = folds(ic, np.repeat(["a", "b", "c"], 30), purge=6)
    assert result.n.tolist() == [30, 24, 24]
    np.testing.assert_allclose(result.means, [ic[:30].mean(), ic[36:60].mean(), ic[66:].mean()])


def test_a_zero_mean_is_not_positive() -> None:
    result = folds([-1.0, 1.0] * 10 + [0.0, 2.0] * 10, [0] * 20 + [1] * 20, purge=0)
    assert result.share_positive == 0.5


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(20, 40), min_size=2, max_size=6))
def test_folds_agree_with_scipy(seed: int, sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    ic = np.random.default_rng(seed).standard_normal(labels.size) + 0.1
    result = folds(ic, labels, purge=0)
    np.testing.assert_allclose(result.z, [ttest_1samp(ic[labels == k], 0).statistic for k in range(len(sizes))])
    welch = [
        ttest_ind(ic[labels == k], ic[labels != k], equal_var=False, alternative="less") for k in range(len(sizes))
    ]
    assert result.worst_p == pytest.approx(min(1, len(sizes) * min(each.pvalue for each in welch)))
    assert result.worst_t == pytest.approx(welch[result.worst].statistic)
    positive = int((result.means > 0).sum())
    assert result.positive_p == pytest.approx(binomtest(positive, len(sizes), alternative="greater").pvalue)
    assert result.median == np.median(result.means)
    assert result.slope == pytest.approx(linregress(np.arange(len(sizes)), result.means).slope, abs=1e-12)


# The 5 % point of (mean - lowest) / sigma in n normal values, as Nair 1948 prints it.
NAIR = [pytest.param(3, 1.738, id="3"), pytest.param(4, 1.941, id="4"), pytest.param(5, 2.080, id="5")]


@pytest.mark.parametrize(("count", "point"), NAIR)
def test_the_chance_is_that_of_the_published_table(count: int, point: float) -> None:
    days = 20_000
    # Folds of one variance, whose means are in standard errors: one lies `point` below the mean of all, the rest share
    # what it lacks.
    below = np.full(count, point / (count - 1))
    below[0] = -point
    noise = np.tile([-1.0, 1.0], days // 2) * np.sqrt((days - 1) / days)
    ic = np.concatenate([noise + shift / np.sqrt(days) for shift in below])
    assert folds(ic, np.repeat(np.arange(count), days), purge=0).worst_p == pytest.approx(0.05, rel=0.005)


@pytest.mark.parametrize("mean", [0.0, 0.1], ids=["no-skill", "skill"])
def test_where_all_folds_are_alike_one_in_twenty_is_below_a_chance_of_five_per_cent(mean: float) -> None:
    random, labels = np.random.default_rng(4), np.repeat(np.arange(6), 60)
    chances = np.array([folds(random.standard_normal(360) + mean, labels, purge=0).worst_p for _ in range(2000)])
    for level in (0.01, 0.05, 0.10):
        found = int((chances <= level).sum())
        assert binom.ppf(0.001, 2000, 0.95 * level) <= found <= binom.ppf(0.999, 2000, level)


def test_a_bad_year_among_good_ones_is_seen_though_it_is_no_worse_than_no_skill() -> None:
    random = np.random.default_rng(5)
    years = [0.25 + random.standard_normal(250) for _ in range(7)]
    years[3] -= 0.35
    result = folds(np.concatenate(years), np.repeat(np.arange(7), 250), purge=0)
    assert result.worst == 3
    # As the worst of seven years without skill it would be ordinary.
    assert 1 - norm.sf(result.z[3]) ** 7 > 0.05
    assert result.worst_p < 0.01


def test_years_that_all_lose_alike_fit_each_other() -> None:
    ic = np.random.default_rng(6).standard_normal(1750) - 0.2
    result = folds(ic, np.repeat(np.arange(7), 250), purge=0)
    assert result.share_positive == 0
    assert result.worst_p > 0.05


def test_a_very_bad_fold_keeps_a_chance_above_zero() -> None:
    ic = np.random.default_rng(1).standard_normal(500)
    ic[250:] -= 1
    assert 0 < folds(ic, np.repeat([1, 2], 250), purge=0).worst_p < 1e-20


IC = np.random.default_rng(2).standard_normal(60)
YEARS = np.repeat([2005, 2006, 2007], 20)
REFUSED = [
    pytest.param(IC, YEARS[:-1], 0, "60 days of IC, labels of shape (59,): give one label a day", id="lengths"),
    pytest.param(IC, YEARS, -1, "purge is -1 days, expected at least 0", id="purge"),
    pytest.param(
        IC, np.roll(YEARS, 5), 0, "fold 2007 comes in several pieces, expected one stretch: sort by day", id="pieces"
    ),
    pytest.param(
        IC,
        np.repeat(2005, 60),
        0,
        "fold 2005 is the only one, expected at least 2: give more days or shorter folds",
        id="one-fold",
    ),
    pytest.param(
        IC,
        YEARS,
        1,
        "fold 2006 has 19 days after purging 1, expected at least 20: join it to its neighbour",
        id="short-fold",
    ),
    pytest.param(
        np.repeat([0.1, 0.2, 0.3], 20),
        YEARS,
        0,
        "fold 2005 has the same IC on all 20 days, expected one that varies",
        id="constant",
    ),
    pytest.param([np.nan], [2005], 0, "IC has 1 of 1 values NaN or infinite: remove their cause", id="nan"),
    pytest.param([], [], 0, "IC has 0 values, expected at least 1: measure more", id="empty"),
]


@pytest.mark.parametrize(("ic", "labels", "purge", "message"), REFUSED)
def test_folds_refuse_and_say_why(ic: ArrayLike, labels: ArrayLike, purge: int, message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        folds(ic, labels, purge=purge)


DATES = np.array(["2023-12-29", "2024-01-02", "2024-06-28", "2024-07-01"], dtype="datetime64[ns]")


@pytest.mark.parametrize(
    ("unit", "labels"),
    [
        ("year", ["2023", "2024", "2024", "2024"]),
        ("quarter", ["2023-Q4", "2024-Q1", "2024-Q2", "2024-Q3"]),
        ("month", ["2023-12", "2024-01", "2024-06", "2024-07"]),
    ],
)
def test_days_are_labelled_by_the_calendar(unit: str, labels: list[str]) -> None:
    assert calendar_folds(DATES, unit=unit).tolist() == labels  # type: ignore[arg-type]


def test_a_rest_joins_the_last_stretch() -> None:
    assert length_folds(8, length=3).tolist() == ["1"] * 3 + ["2"] * 5
    assert length_folds(3, length=3).tolist() == ["1"] * 3


def test_folds_too_short_to_judge_join_their_neighbour() -> None:
    labels = ["a"] * 5 + ["b"] * 30 + ["c"] * 24 + ["d"] * 30
    assert join_short(labels, purge=5).tolist() == ["b"] * 59 + ["d"] * 30
    assert join_short(labels[35:], purge=5).tolist() == ["c"] * 24 + ["d"] * 30
    assert join_short(labels[:9], purge=5).tolist() == ["a"] * 9


def test_years_of_months_join_each_other() -> None:
    labels = np.repeat(np.arange(1980, 1985), 12)
    assert join_short(labels, purge=1).tolist() == [1980] * 24 + [1982] * 36
    assert join_short(labels[6:], purge=1).tolist() == [1981] * 30 + [1983] * 24


@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=6), purge=st.integers(0, 10))
def test_joined_folds_can_be_judged_unless_one_is_left(sizes: list[int], purge: int) -> None:
    joined = join_short(np.repeat(np.arange(len(sizes)), sizes), purge=purge)
    assert joined.size == sum(sizes)
    if len(set(joined.tolist())) > 1:
        folds(np.random.default_rng(0).standard_normal(joined.size), joined, purge=purge)


def test_what_is_retained_needs_something_to_keep() -> None:
    assert retained(0.0144, 0.104) == pytest.approx(0.138, abs=5e-4)
    assert retained(0.01, 0.0) is None


def test_a_fold_longer_than_the_days_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^9 days in folds of 10, expected at least one whole fold of 1 day"):
        length_folds(9, length=10)
