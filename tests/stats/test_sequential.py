"""Bounds for one look and for all of them, against published numbers and simulated samples."""

import math

import numpy as np
import pytest

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.sequential import (
    BAND,
    MOST,
    WINDOWS,
    chance_of_share,
    dkw_radius,
    look_level,
    rows_to_see,
    uniform_radius,
)


def test_the_band_is_that_of_the_authors_own_program() -> None:
    # The test of confseq, EmpiricalProcessLILTest; it finds its constant to 1e-5.
    assert uniform_radius(1000, 0.05, first=100) == pytest.approx(0.08204769, abs=1e-6)


@pytest.mark.parametrize("level", [0.001, 0.01, 0.05, 0.1])
def test_the_band_is_within_the_closed_form_of_the_paper(level: float) -> None:
    # Howard and Ramdas 2022: 0.85 sqrt((log log(e t) + 0.8 log(1612 / level)) / t).
    for rows in (1, 10, 1000, 10**6):
        plain = 0.85 * math.sqrt((math.log(math.log(math.e * rows)) + 0.8 * math.log(1612 / level)) / rows)
        assert 0.9 * plain < uniform_radius(rows, level, first=1) <= plain


def test_one_look_is_allowed_what_massart_says() -> None:
    assert dkw_radius(200, 0.05) == pytest.approx(math.sqrt(math.log(40) / 400))
    assert dkw_radius(rows_to_see(0.1, 1e-5), 1e-5) == pytest.approx(0.1)


def test_what_cannot_be_told_is_infinitely_far() -> None:
    assert dkw_radius(0, 0.05) == dkw_radius(10, 0) == math.inf
    assert uniform_radius(19, 0.05, first=20) == uniform_radius(100, 0, first=20) == math.inf
    assert rows_to_see(0.1, 0) == math.inf


def test_looking_at_all_times_costs_less_than_three_times_one_look() -> None:
    for rows in (100, 10**4, 10**8):
        assert 1 < uniform_radius(rows, 0.1, first=20) / dkw_radius(rows, 0.1) < 3


def test_levels_follow_the_clock_and_add_up_to_the_budget() -> None:
    looks = [look_level(1 / 1440, 20)] * (20 * 1440)
    assert math.fsum(looks) == pytest.approx(WINDOWS)
    assert (math.fsum(looks) + BAND) / (1 - BAND) == pytest.approx(1)
    assert look_level(-1, 20) == 0
    assert look_level(math.inf, 20) == MOST


@pytest.mark.parametrize(
    ("rows", "level", "said"),
    [
        (-1, 0.05, "-1 rows at level 0.05: give 0 rows or more, and a level within 0 and 1"),
        (math.nan, 0.05, "nan rows at level 0.05: give 0 rows or more, and a level within 0 and 1"),
        (10, math.nan, "10 rows at level nan: give 0 rows or more, and a level within 0 and 1"),
        (10, 2, "10 rows at level 2: give 0 rows or more, and a level within 0 and 1"),
    ],
    ids=["negative", "nan-rows", "nan-level", "two"],
)
def test_what_is_not_a_sample_is_refused(rows: float, level: float, said: str) -> None:
    for radius in (dkw_radius, lambda rows, level: uniform_radius(rows, level, first=20)):
        with pytest.raises(StatisticsError) as refused:
            radius(rows, level)
        assert str(refused.value) == said


def test_a_band_or_a_budget_without_a_beginning_is_refused() -> None:
    with pytest.raises(
        StatisticsError, match=r"^first is 0: give the number of rows from which on the bound holds, 1 "
    ):
        uniform_radius(10, 0.05, first=0)
    for elapsed, days in ((math.nan, 20), (1, 0), (1, math.inf)):
        with pytest.raises(StatisticsError, match=r"per alarm: give numbers, the second above 0$"):
            look_level(elapsed, days)


def test_a_sample_that_grows_leaves_the_band_no_more_often_than_promised() -> None:
    ever, often = 0, 0
    rows = np.arange(1, 3001)
    radius = np.array([uniform_radius(each, 0.1, first=20) for each in rows])
    plain = np.array([dkw_radius(each, 0.1) for each in rows])
    places = np.linspace(0.05, 0.95, 19)
    for seed in range(200):
        values = np.random.default_rng([3, seed]).random(rows.size)
        far = np.abs(np.cumsum(values[:, None] <= places, axis=0) / rows[:, None] - places).max(axis=1)
        ever += bool((far > radius).any())
        often += bool((far > plain)[20:].any())
    assert ever <= 20
    assert often > 60  # what one look may find is found by chance if one looks always


@pytest.mark.parametrize(("of", "share"), [(50, 0.05), (400, 0.01), (1000, 0.25), (7, 0.5)])
def test_the_bound_of_a_share_is_above_the_binomial_tail_and_not_far(of: int, share: float) -> None:
    from scipy.stats import binom

    for found in range(of + 1):
        tail, bound = binom.sf(found - 1, of, share), chance_of_share(found, of, share)
        assert tail <= bound * (1 + 1e-9)
        if found > share * of and tail > 1e-200:
            # Within a factor of the order of the root of the number.
            assert bound <= 8 * math.sqrt(of) * tail


def test_a_share_that_is_expected_is_chance_and_one_that_cannot_be_is_not() -> None:
    assert chance_of_share(0, 0, 0.1) == chance_of_share(5, 100, 0.05) == chance_of_share(3, 3, 1.0) == 1
    assert chance_of_share(1, 10, 0.0) == 0
    assert chance_of_share(10, 10, 0.5) == pytest.approx(0.5**10)
    for found, of, share in ((3, 2, 0.5), (-1, 2, 0.5), (1, 2, 1.5), (1, 2, math.nan)):
        with pytest.raises(StatisticsError, match=r"give counts in order, a share within 0 and 1$"):
            chance_of_share(found, of, share)
