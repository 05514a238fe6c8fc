"""Two models on rows that were dealt between them: known answers, and how often they are told apart by chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.stats.arms import BLOCK, MIN_BLOCKS, arm_days, as_it_grew, difference
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.sequential import mean_radius
from tests.calibration.arms_sweep import ALIKE, delays, sizes

DAYS, NAMES = 80, 12
RANDOM = np.random.default_rng(35)
SCORES, RETURNS = RANDOM.standard_normal((DAYS, NAMES)), 0.01 * RANDOM.standard_normal((DAYS, NAMES))


def test_an_arm_that_has_every_row_for_a_day_is_what_the_gates_simulate() -> None:
    held = simulate(SCORES, RETURNS, horizon=1, cost_bps=0.0)
    found = arm_days(SCORES, RETURNS, horizon=1)
    assert np.isnan(found.ic[: held.first]).all()
    assert found.ic[held.first :] == pytest.approx(held.ic)
    assert found.earned[held.first :] == pytest.approx(held.gross)


def test_what_is_held_for_days_earns_what_the_gates_simulate() -> None:
    held, found = simulate(SCORES, RETURNS, horizon=5, cost_bps=0.0), arm_days(SCORES, RETURNS, horizon=5)
    assert found.earned[held.first :] == pytest.approx(held.gross)


def test_the_ic_of_what_is_held_for_days_is_the_mean_of_its_tranches() -> None:
    found, tranches = arm_days(SCORES, RETURNS, horizon=3), [simulate(SCORES, RETURNS, horizon=1, cost_bps=0, lag=lag)
                                                             for lag in (1, 2, 3)]  # fmt: skip
    assert found.ic[3:] == pytest.approx(np.mean([each.ic[3 - each.first :] for each in tranches], axis=0))


def test_the_days_of_few_names_do_not_count_nor_those_whose_outcomes_are_not_known() -> None:
    scores, returns = SCORES.copy(), RETURNS.copy()
    scores[10, 4:] = np.nan  # 4 names
    scores[20, 5:] = np.nan  # 5 names
    returns[31] = np.nan
    found = arm_days(scores, returns, horizon=1).ic
    assert np.flatnonzero(np.isnan(found)).tolist() == [0, 11, 31]
    assert np.flatnonzero(np.isnan(arm_days(scores, returns, horizon=2).ic)).tolist() == [0, 1, 11, 12, 31]


def test_an_arm_is_measured_on_its_own_names_alone() -> None:
    dealt = RANDOM.random((DAYS, NAMES)) < 0.5
    scores = np.where(dealt, SCORES, np.nan)
    wild = np.where(np.roll(dealt, 1, axis=0), RETURNS, 100.0)
    assert arm_days(scores, RETURNS, horizon=1, least=2).ic == pytest.approx(
        arm_days(scores, wild, horizon=1, least=2).ic, nan_ok=True
    )


@given(days=st.integers(1, 4), horizon=st.integers(1, 6))
def test_too_short_a_stretch_has_no_day_that_counts(days: int, horizon: int) -> None:
    found = arm_days(SCORES[:days], RETURNS[:days], horizon=horizon)
    assert len(found.ic) == len(found.earned) == days
    assert np.isfinite(found.ic).sum() == max(days - horizon, 0)


@pytest.mark.parametrize(("horizon", "lag"), [(0, 1), (1, -1)])
def test_a_position_is_held_for_a_day_or_more(horizon: int, lag: int) -> None:
    with pytest.raises(StatisticsError, match=rf"^horizon {horizon}, lag {lag}: expected at least 1 and 0 days$"):
        arm_days(SCORES, RETURNS, horizon=horizon, lag=lag)


def test_the_difference_is_of_whole_blocks_of_days_that_both_have() -> None:
    first, second = np.array([np.zeros(57), RANDOM.standard_normal(57)])
    second[[3, 9]], first[20] = np.nan, np.nan
    found = difference(first, second)
    days = np.delete(second, [3, 9, 20])[:50]
    blocks = days.reshape(10, 5).mean(axis=1)
    radius = np.sqrt(10 / 9) * mean_radius(blocks, 0.025, sharpest=20)
    assert (found.days, found.mean) == (50, pytest.approx(days.mean()))
    assert (found.lower, found.upper) == pytest.approx((found.mean - radius, found.mean + radius))


def test_no_block_is_shorter_than_a_position_is_held() -> None:
    days = RANDOM.standard_normal(130)
    found = difference(np.zeros(130), days, held=12)
    blocks = days[:120].reshape(10, 12).mean(axis=1)
    assert (found.days, found.mean) == (120, pytest.approx(blocks.mean()))
    assert found.upper - found.mean == pytest.approx(np.sqrt(10 / 9) * mean_radius(blocks, 0.025, sharpest=20))
    assert as_it_grew(np.zeros(130), days, held=12) == [(119, found)]
    assert difference(np.zeros(130), days, held=4) == difference(np.zeros(130), days)
    with pytest.raises(InsufficientDataError, match=r"^130 days on which .* at least 140 are needed$"):
        difference(np.zeros(130), days, held=14)
    with pytest.raises(StatisticsError, match=r"^held for 0 days: expected at least 1$"):
        difference(np.zeros(130), days, held=0)


@pytest.mark.parametrize(("gap", "told"), [(5.0, "better"), (-5.0, "worse"), (0.0, "inconclusive")])
def test_it_is_told_in_words(gap: float, told: str) -> None:
    noise = RANDOM.standard_normal(100)
    assert difference(np.zeros(100), noise - noise.mean() + gap).told == told


def test_either_way_round_it_is_the_same() -> None:
    first, second = RANDOM.standard_normal((2, 100))
    one, other = difference(first, second), difference(second, first)
    assert (one.mean, one.lower, one.upper) == pytest.approx((-other.mean, -other.upper, -other.lower))


def test_too_few_days_say_so() -> None:
    need = BLOCK * MIN_BLOCKS
    with pytest.raises(InsufficientDataError) as caught:
        difference(np.zeros(need + 3), [*RANDOM.standard_normal(need - 1), *[np.nan] * 4])
    assert str(caught.value) == ("49 days on which both arms have outcomes of 5 names or more, at least 50 are needed")
    assert caught.value.sample == 49


def test_arms_that_differ_by_the_same_on_all_days_are_no_sample() -> None:
    with pytest.raises(InsufficientDataError, match=r"^both arms differ by 0 on all days: is it one model\?$"):
        difference(np.ones(60), np.ones(60))


def test_series_of_other_days_are_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^series of shapes \(3,\) and \(4,\): give two of the same days$"):
        difference(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize("name", ["series AR(0.1), t with 5 df", "one model AR(0.98), 20 real names, share 0.5"])
def test_looked_at_every_day_no_difference_is_hardly_ever_told(name: str) -> None:
    # The whole table is that of the slow tests.
    assert max(sizes(ALIKE[name], runs=60)) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_a_candidate_that_knows_nothing_is_told_within_months() -> None:
    waited = delays(200, 0.1, 0.1, runs=10, most=500)
    assert np.quantile(waited, 0.5, method="higher") <= 250
