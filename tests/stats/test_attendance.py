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


def missing_by_hand(there: Matrix) -> float:
    """Sum the roots of the lengths of all holes but the three longest, over the number of rows."""
    lengths = []
    for day, name in by_hand(there):
        lengths.append(int(np.argmax(there[day:, name])))
    return float(sum(sorted(np.sqrt(lengths))[:-3])) / float(there.sum()) + 1e-12


@given(seed=st.integers(0, 300), days=st.integers(1, 12), names=st.integers(1, 4), missing=st.floats(0, 1))
def test_holes_are_found_as_by_hand(seed: int, days: int, names: int, missing: float) -> None:
    random = np.random.default_rng(seed)
    there = random.random((days, names)) >= missing
    there[0, 0] = True
    target = np.where(there, random.standard_normal(there.shape), np.nan)
    found = holes(target, target, target, horizon=1)
    assert [tuple(place) for place in found.places.tolist()] == by_hand(there)
    assert 0 <= found.share <= missing_by_hand(there)
    assert found.exits == sum(there[:, name].any() and not there[-1, name] for name in range(names))
    assert 0 <= found.p_value <= 1


def test_names_that_enter_late_or_leave_early_have_no_hole() -> None:
    target = np.ones((30, 4))
    target[:10, 0] = target[20:, 1] = target[:, 2] = np.nan
    found = holes(target, target, target, horizon=1)
    assert (len(found.places), found.share, found.exits, found.p_value) == (0, 0, 1, 1)


def test_an_absence_counts_by_the_root_of_its_length_and_the_three_longest_do_not() -> None:
    target = np.ones((90, 6))
    target[5:21, 1] = target[25:29, 1] = target[5:30, 2] = target[40:80, 3] = target[20:29, 4] = np.nan
    found = holes(target, target, target, horizon=1)
    assert found.places.tolist() == [[5, 1], [5, 2], [20, 4], [25, 1], [40, 3]]
    assert found.share == pytest.approx((3 + 2) / np.isfinite(target).sum())


def test_the_closed_days_of_two_exchanges_do_not_count() -> None:
    random = np.random.default_rng(1)
    target = random.standard_normal((500, 20))
    one, other = random.choice(np.arange(1, 499, 3), 28, replace=False).reshape(2, 14)
    for day in one:
        target[day, :10] = np.nan
    for day in other:
        target[day, 10:] = np.nan
    target[:200, 3] = target[400:, 4] = np.nan
    target[[300, 310, 320, 330], [5, 6, 7, 8]] = np.nan
    found = holes(target, target, target, horizon=1)
    assert len(found.places) > 200
    assert found.share == pytest.approx(1 / np.isfinite(target).sum())


@pytest.mark.parametrize("horizon", [1, 5, 21])
def test_rows_left_out_for_what_they_lose_are_told_from_the_others(horizon: int) -> None:
    scores, returns = market()
    earned = simulate(scores, returns, horizon=1, cost_bps=0).weights * returns[1:]
    gone = np.zeros(returns.shape, dtype=bool)
    gone[1:] = earned < np.quantile(earned, 0.005)
    target = np.nan_to_num(compounded(returns, horizon=horizon))
    found = holes(*without(gone, target, scores, returns), horizon=horizon)
    assert found.share == pytest.approx(0.005, rel=0.1)
    assert found.p_value < 1e-4


@pytest.mark.parametrize("horizon", [1, 5])
def test_rows_behind_which_a_name_is_renamed_are_told_too(horizon: int) -> None:
    scores, returns = market()
    earned = simulate(scores, returns, horizon=1, cost_bps=0).weights * returns[1:]
    gone = np.zeros(returns.shape, dtype=bool)
    gone[1:] = earned < np.quantile(earned, 0.005)
    part = np.cumsum(gone, axis=0)
    # Each name is another one after each row that is missing.
    names = [(name, number) for name in range(gone.shape[1]) for number in range(part[-1, name] + 1)]
    there = np.column_stack([(part[:, name] == number) & ~gone[:, name] for name, number in names])
    target = np.nan_to_num(compounded(returns, horizon=horizon))
    wide = (values[:, [name for name, _ in names]] for values in (target, scores, returns))
    found = holes(*without(~there, *wide), horizon=horizon)
    assert (found.share, found.exits) == (0, gone.sum() - gone[-1].sum())
    assert found.p_value < 1e-4


def test_long_absences_chosen_with_foresight_are_too_many() -> None:
    scores, returns = market()
    earned = np.vstack([np.zeros(20), simulate(scores, returns, horizon=1, cost_bps=0).weights * returns[1:]])
    blocks = earned[6:726].reshape(12, 60, 20).sum(axis=1)
    gone = np.zeros(returns.shape, dtype=bool)
    for place in np.argsort(blocks, axis=None)[:15]:
        block, name = np.unravel_index(place, blocks.shape)
        gone[6 + 60 * block : 66 + 60 * block, name] = True
    target = np.nan_to_num(compounded(returns, horizon=1))
    assert holes(*without(gone, target, scores, returns), horizon=1).share > 0.003


def test_halts_before_good_news_are_no_foresight() -> None:
    scores, returns = market(2520, 40)
    random = np.random.default_rng(3)
    gone = np.zeros(returns.shape, dtype=bool)
    gone[random.integers(1, 2500, 40), np.arange(40)] = True
    returns[gone] += 0.3
    found = holes(*without(gone, compounded(returns, horizon=1), scores, returns), horizon=1)
    assert found.share < 0.001
    assert found.p_value > 0.01


@pytest.mark.parametrize("horizon", [1, 5])
def test_names_that_lose_before_they_leave_are_no_foresight(horizon: int) -> None:
    scores, returns = market(1000, 60)
    random = np.random.default_rng(4)
    last = random.integers(300, 900, 60)
    returns[last, np.arange(60)] = -0.6
    returns[np.arange(1000)[:, np.newaxis] > last] = 0
    target = np.nan_to_num(compounded(returns, horizon=horizon))
    # The worst for an honest desk: it holds what will fail.
    scores[np.arange(1000)[:, np.newaxis] > last - 100] += 30
    gone = np.arange(1000)[:, np.newaxis] > last
    found = holes(*without(gone, target, scores, returns), horizon=horizon)
    assert (found.exits, found.share) == (60, 0)
    assert found.p_value > 0.01


@pytest.mark.parametrize("horizon", [1, 5, 21])
def test_rows_left_out_by_chance_are_hardly_ever_told_apart(horizon: int) -> None:
    told = 0
    for seed in range(300):
        scores, returns = market(300, seed=seed)
        gone = np.random.default_rng([seed, 1]).random(returns.shape) < 0.003
        gone[0] = False
        target = np.nan_to_num(compounded(returns, horizon=horizon))
        told += holes(*without(gone, target, scores, returns), horizon=horizon).p_value <= 0.01
    assert told <= 300 * 0.01 + 3 * np.sqrt(300 * 0.01)


def test_a_few_holes_tell_nothing() -> None:
    scores, returns = market(200)
    gone = np.zeros(returns.shape, dtype=bool)
    gone[[10, 50, 90, 130], [0, 1, 2, 3]] = True
    assert holes(*without(gone, compounded(returns, horizon=1), scores, returns), horizon=1).p_value == 1


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InsufficientDataError, match="the panel has no row"):
        holes(*[np.full((3, 2), np.nan)] * 3, horizon=1)
    with pytest.raises(StatisticsError, match="horizon is 0 days"):
        holes(*[np.ones((3, 2))] * 3, horizon=0)
    with pytest.raises(StatisticsError, match="target and scores have shapes"):
        holes(np.ones((3, 2)), np.ones((3, 3)), np.ones((3, 2)), horizon=1)
    with pytest.raises(StatisticsError, match="target and returns have shapes"):
        holes(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 3)), horizon=1)
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
