"""Rows that are missing between others, and names that never leave."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.stats.attendance import holes, share_of_survivors, why_nobody_left
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.target import compounded

Matrix = np.ndarray


def market(days: int = 756, names: int = 20, *, seed: int = 1) -> tuple[Matrix, Matrix]:
    """Scores that last and know nothing, and returns with a common factor."""
    random = np.random.default_rng(seed)
    scores = np.cumsum(random.standard_normal((days, names)), axis=0)
    return scores, 0.01 * random.standard_normal((days, 1)) + 0.01 * random.standard_normal((days, names))


def without(gone: Matrix, *matrices: Matrix) -> list[Matrix]:
    return [np.where(gone, np.nan, matrix) for matrix in matrices]


def by_hand(there: Matrix) -> list[tuple[int, int]]:
    found = []
    for name in range(there.shape[1]):
        for day in range(1, len(there)):
            if there[day - 1, name] and not there[day, name] and there[day:, name].any():
                found.append((day, name))
    return sorted(found)


@given(seed=st.integers(0, 300), days=st.integers(1, 12), names=st.integers(1, 4), missing=st.floats(0, 1))
def test_holes_are_found_as_by_hand(seed: int, days: int, names: int, missing: float) -> None:
    random = np.random.default_rng(seed)
    there = random.random((days, names)) >= missing
    there[0, 0] = True
    target = np.where(there, random.standard_normal(there.shape), np.nan)
    found = holes(target, target, horizon=1)
    assert [tuple(place) for place in found.places.tolist()] == by_hand(there)
    assert found.share == pytest.approx(max(0, len(found.places) - 3) / there.sum())
    assert 0 <= found.p_value <= 1


def test_names_that_enter_late_or_leave_early_have_no_hole() -> None:
    target = np.ones((30, 4))
    target[:10, 0] = target[20:, 1] = target[:, 2] = np.nan
    found = holes(target, target, horizon=1)
    assert (len(found.places), found.share, found.p_value) == (0, 0, 1)


def test_an_absence_counts_once_however_long_it_is() -> None:
    target = np.ones((30, 4))
    target[5:20, 1] = target[25, 1] = np.nan
    assert holes(target, target, horizon=1).places.tolist() == [[5, 1], [25, 1]]


# The longer the horizon, the less of a target is the return of its first day.
@pytest.mark.parametrize(("horizon", "at_most"), [(1, 1e-3), (5, 1e-3), (21, 0.05)])
def test_rows_left_out_for_what_they_lose_are_told_from_the_others(horizon: int, at_most: float) -> None:
    scores, returns = market()
    earned = simulate(scores, returns, horizon=1, cost_bps=0).weights * returns[1:]
    gone = np.zeros(returns.shape, dtype=bool)
    gone[1:] = earned < np.quantile(earned, 0.005)
    target = np.nan_to_num(compounded(returns, horizon=horizon))
    found = holes(*without(gone, target, scores), horizon=horizon)
    assert found.share == pytest.approx(0.005, rel=0.1)
    assert found.p_value < at_most


def test_rows_left_out_for_their_return_alone_are_told_too() -> None:
    scores, returns = market()
    gone = returns < np.quantile(returns - returns.mean(axis=1, keepdims=True), 0.001)
    gone[0] = False
    assert holes(*without(gone, compounded(returns, horizon=1), scores), horizon=1).p_value < 0.01


@pytest.mark.parametrize("horizon", [1, 5, 21])
def test_rows_left_out_by_chance_are_hardly_ever_told_apart(horizon: int) -> None:
    told = 0
    for seed in range(300):
        scores, returns = market(300, seed=seed)
        gone = np.random.default_rng([seed, 1]).random(returns.shape) < 0.003
        gone[0] = False
        target = np.nan_to_num(compounded(returns, horizon=horizon))
        told += holes(*without(gone, target, scores), horizon=horizon).p_value <= 0.01
    assert told <= 300 * 0.01 + 3 * np.sqrt(300 * 0.01)


def test_a_few_holes_tell_nothing() -> None:
    scores, returns = market(200)
    gone = np.zeros(returns.shape, dtype=bool)
    gone[[10, 50, 90, 130], [0, 1, 2, 3]] = True
    assert holes(*without(gone, compounded(returns, horizon=1), scores), horizon=1).p_value == 1


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InsufficientDataError, match="the panel has no row"):
        holes(np.full((3, 2), np.nan), np.full((3, 2), np.nan), horizon=1)
    with pytest.raises(StatisticsError, match="horizon is 0 days"):
        holes(np.ones((3, 2)), np.ones((3, 2)), horizon=0)
    with pytest.raises(StatisticsError, match="target and scores have shapes"):
        holes(np.ones((3, 2)), np.ones((3, 3)), horizon=1)
    with pytest.raises(InsufficientDataError, match="the panel has no row"):
        share_of_survivors(np.full((3, 2), np.nan))


def test_survivors_have_a_row_on_the_last_day() -> None:
    returns = np.zeros((10, 5))
    returns[4:, 0] = returns[:4, 1] = returns[9, 2] = returns[:, 4] = np.nan
    assert share_of_survivors(returns) == 2 / 4


def test_in_a_small_panel_nobody_need_leave() -> None:
    # 0.03 a year of 153.3 name-years are 4.6 names, and exp(-4.6) is 0.01.
    assert why_nobody_left(rows=20 * 252 * 8, periods_per_year=252) is None
    assert why_nobody_left(rows=20 * 252 * 7, periods_per_year=252) == (
        "no name leaves where some 4.2 would, in 140 years of all names together: too few to tell"
    )
    assert why_nobody_left(rows=20 * 12 * 8, periods_per_year=12) is None
