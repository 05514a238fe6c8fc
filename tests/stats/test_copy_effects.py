"""What a small difference between two copies of a model does."""

import re

import numpy as np
import pytest

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.copy_effects import rows_at_thresholds, tied_rows, trade_difference
from pytest_modelgates.stats.holdings import simulate

RANDOM = np.random.default_rng(1)
SCORES, RETURNS = RANDOM.standard_normal((60, 8)), 0.01 * RANDOM.standard_normal((60, 8))


def test_a_copy_changes_nothing() -> None:
    moved = trade_difference(SCORES, SCORES * 2 + 1, RETURNS, horizon=3, cost_bps=5)
    assert (moved.trades, moved.turnover, moved.largest_pnl, moved.pnl) == (0, 0, 0, 0)
    assert moved.all_trades > 0


def test_two_names_that_change_places_by_hand() -> None:
    scores = np.tile(np.arange(4.0), (5, 1))
    other = scores.copy()
    other[2, [2, 3]] = other[2, [3, 2]]
    returns = np.zeros((5, 4))
    returns[3] = [0, 0, 0.01, 0.02]
    moved = trade_difference(scores, other, returns, horizon=1, cost_bps=0)
    # Held on day 3 alone: in and out again, for two names; weights -3/8, -1/8, 1/8, 3/8.
    assert (moved.trades, moved.all_trades) == (4, 4)
    assert moved.turnover == pytest.approx(0.5 / 4)
    assert moved.largest_pnl == pytest.approx(0.25 * 0.01)
    assert moved.pnl == pytest.approx(-0.25 * 0.01 / 3)


def test_the_money_moved_is_the_difference_of_the_net_returns() -> None:
    other = SCORES + 0.3 * RANDOM.standard_normal(SCORES.shape)
    moved = trade_difference(SCORES, other, RETURNS, horizon=2, cost_bps=5)
    ours, theirs = (simulate(scores, RETURNS, horizon=2, cost_bps=5).net[1:] for scores in (SCORES, other))
    assert moved.pnl == pytest.approx((theirs - ours).mean())
    assert moved.largest_pnl == pytest.approx(np.abs(theirs - ours).max())


def test_rows_next_to_a_split_are_found() -> None:
    split = 0.1
    single = np.float32(split)
    column = [single, np.nextafter(single, np.float32(-1)), np.float32(0.2), np.float32(-0.1), np.float32(np.nan)]
    features = np.column_stack([np.array(column, dtype=np.float32), np.full(5, 7, dtype=np.float32)])
    assert rows_at_thresholds(features, {0: [split, 5.0]}).tolist() == [True, True, False, False, False]
    assert rows_at_thresholds(features, {0: [], 1: [7.0]}).all()
    assert not rows_at_thresholds(features, {}).any()


def test_a_split_that_only_missing_values_pass_is_near_no_row() -> None:
    features = np.array([[3.4e38], [-3.4e38], [0], [np.nan]], dtype=np.float32)
    assert not rows_at_thresholds(features, {0: [np.inf, -np.inf]}).any()
    assert rows_at_thresholds(features, {0: [0.0, np.inf]}).tolist() == [False, False, True, False]


def test_only_ties_within_a_day_count() -> None:
    assert tied_rows([1, 2, 1, 1, 3, 3, 3], ["a", "a", "a", "b", "b", "b", "b"]) == 5
    assert tied_rows([1, 1], ["a", "b"]) == 0


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        pytest.param({2: [0.1]}, "thresholds of feature 2, expected 0 to 1", id="no-feature"),
        pytest.param({0: [np.nan]}, "feature 0 has thresholds that are NaN", id="nan"),
    ],
)
def test_thresholds_are_refused_and_it_says_why(thresholds: dict[int, list[float]], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        rows_at_thresholds(np.zeros((3, 2), dtype=np.float32), thresholds)
