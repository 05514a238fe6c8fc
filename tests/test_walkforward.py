"""The IC from fold to fold."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import kstest, norm, ttest_1samp

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.walkforward import folds


def test_folds_by_hand() -> None:
    # Mean 1 and sd sqrt(24/23) over 24 days: z = sqrt(23).
    good, bad = [0.0, 2.0] * 12, [-2.0, 0.0] * 12
    told = folds(good + bad, [2005] * 24 + [2006] * 24, purge=0)
    assert told.labels == (2005, 2006)
    assert told.means.tolist() == [1, -1]
    assert told.n.tolist() == [24, 24]
    np.testing.assert_allclose(told.z, [np.sqrt(23), -np.sqrt(23)])
    assert told.share_positive == 0.5
    assert told.worst_z == pytest.approx(-np.sqrt(23))
    assert told.worst_p == pytest.approx(1 - (1 - norm.cdf(-np.sqrt(23))) ** 2)


def test_purging_spares_the_first_fold_alone() -> None:
    ic = np.random.default_rng(0).standard_normal(90)
    told = folds(ic, np.repeat(["a", "b", "c"], 30), purge=6)
    assert told.n.tolist() == [30, 24, 24]
    np.testing.assert_allclose(told.means, [ic[:30].mean(), ic[36:60].mean(), ic[66:].mean()])


def test_a_zero_mean_is_not_positive() -> None:
    told = folds([-1.0, 1.0] * 10 + [0.0, 2.0] * 10, [0] * 20 + [1] * 20, purge=0)
    assert told.share_positive == 0.5


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(20, 40), min_size=2, max_size=6))
def test_z_agrees_with_scipy_and_the_worst_is_the_lowest(seed: int, sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    ic = np.random.default_rng(seed).standard_normal(labels.size) + 0.1
    told = folds(ic, labels, purge=0)
    np.testing.assert_allclose(told.z, [ttest_1samp(ic[labels == k], 0).statistic for k in range(len(sizes))])
    assert told.worst_z == told.z.min()
    assert told.worst_p == pytest.approx(1 - (1 - norm.cdf(told.worst_z)) ** len(sizes))


def test_without_skill_the_chance_of_the_worst_fold_is_uniform() -> None:
    random, labels = np.random.default_rng(4), np.repeat(np.arange(6), 250)
    chances = [folds(random.standard_normal(1500), labels, purge=0).worst_p for _ in range(300)]
    assert kstest(chances, "uniform").pvalue > 0.001


def test_a_very_bad_fold_keeps_a_chance_above_zero() -> None:
    ic = np.random.default_rng(1).standard_normal(500)
    ic[250:] -= 1
    told = folds(ic, np.repeat([1, 2], 250), purge=0)
    assert told.worst_p == pytest.approx(2 * norm.sf(-told.worst_z), rel=1e-6)
    assert 0 < told.worst_p < 1e-20


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
