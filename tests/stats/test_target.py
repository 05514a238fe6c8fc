"""A target held against the returns that it is made of."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.stats.ranks import centred_ranks
from pytest_modelgates.stats.target import RIGHT_LEAD, compounded, target_agreement

Matrix = np.ndarray


def returns_of(days: int = 120, names: int = 15, *, seed: int = 1, ragged: bool = False) -> Matrix:
    random = np.random.default_rng(seed)
    returns = 0.01 * random.standard_t(4, (days, 1)) + 0.01 * random.standard_t(4, (days, names))
    if ragged:
        returns[60:, 0] = returns[:30, 1] = returns[50, 2] = np.nan
    return returns


def by_hand(returns: Matrix, horizon: int, lead: int) -> Matrix:
    total = np.full(returns.shape, np.nan)
    for day in range(len(returns)):
        rows = range(day + lead, day + lead + horizon)
        if rows.start >= 0 and rows.stop <= len(returns):
            total[day] = np.prod(1 + returns[rows.start : rows.stop], axis=0) - 1
    return total


@given(horizon=st.integers(1, 40), lead=st.integers(-45, 45), days=st.integers(1, 40), seed=st.integers(0, 99))
def test_returns_are_compounded_as_by_hand(horizon: int, lead: int, days: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    returns = np.where(random.random((days, 3)) < 0.1, np.nan, 0.05 * random.standard_normal((days, 3)))
    np.testing.assert_allclose(
        compounded(returns, horizon=horizon, lead=lead), by_hand(returns, horizon, lead), atol=2e-12
    )


def test_the_known_answer() -> None:
    # 1.1 * 0.5 * 2 = 1.1, and a loss of everything stays one.
    returns = np.array([[0.3, 0.3], [0.1, 0.1], [-0.5, -1.0], [1.0, 0.2]])
    assert compounded(returns, horizon=3)[0].tolist() == pytest.approx([0.1, -1.0])
    assert np.isnan(compounded(returns, horizon=3)[1:]).all()


def test_a_horizon_beyond_the_panel_leaves_nothing() -> None:
    assert np.isnan(compounded(returns_of(5), horizon=5)).all()
    assert np.isnan(compounded(returns_of(5), horizon=6)).all()
    with pytest.raises(StatisticsError, match="horizon is 0 days, expected at least 1"):
        compounded(returns_of(5), horizon=0)


HONEST = {
    "plain": lambda forward: forward,
    "in-excess-of-the-day": lambda forward: forward - np.nanmean(forward, axis=1, keepdims=True),
    "ranked": centred_ranks,
    "log": np.log1p,
    "annualised-in-percent": lambda forward: 25200 * forward,
}


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("ragged", [False, True], ids=["complete", "ragged"])
@pytest.mark.parametrize("horizon", [1, 5, 21])
@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_target_agrees_wholly_and_at_its_lead(kind: str, horizon: int, ragged: bool) -> None:
    returns = returns_of(ragged=ragged)
    target = HONEST[kind](by_hand(returns, horizon, 1))
    # What lies beyond the panel cannot be compared, whatever a desk wrote there.
    target = np.where(np.isnan(target) & ~np.isnan(returns), 7.0, target)
    found = target_agreement(np.where(np.isnan(returns), np.nan, target), returns, horizon=horizon)
    assert found.rank_corr == pytest.approx(1, abs=1e-12)
    assert (found.lead, found.largest) == (RIGHT_LEAD, found.rank_corr)
    assert found.days == len(returns) - horizon


@pytest.mark.parametrize("off", [-3, -1, 1, 2])
@pytest.mark.parametrize("horizon", [1, 5, 60])
def test_a_target_that_is_off_by_days_is_1_at_the_lead_that_it_has(horizon: int, off: int) -> None:
    returns = returns_of(400)
    found = target_agreement(np.nan_to_num(by_hand(returns, horizon, 1 + off)), returns, horizon=horizon)
    assert found.lead == 1 + off
    assert found.largest > found.rank_corr + 1e-4
    if off > 0:  # before the panel's first day nothing was filled in
        assert found.largest == pytest.approx(1, abs=0.02)


def test_a_target_of_the_past_is_seen_at_its_own_lead() -> None:
    returns = returns_of(400)
    past = pd.DataFrame(returns).rolling(10).sum().to_numpy()
    found = target_agreement(np.nan_to_num(past), returns, horizon=10)
    assert (found.lead, found.largest > 0.95, found.rank_corr < 0.1) == (1 - 10, True, True)


def test_a_neutralised_target_agrees_by_more_than_half_and_at_its_lead() -> None:
    random = np.random.default_rng(5)
    beta, market = np.linspace(0.2, 1.8, 20), 0.01 * random.standard_normal((600, 1))
    own = 0.01 * random.standard_normal((600, 20))
    found = target_agreement(np.nan_to_num(compounded(own, horizon=5)), beta * market + own, horizon=5)
    assert 0.5 < found.rank_corr < 0.99
    assert found.lead == RIGHT_LEAD


def test_the_correlation_is_the_mean_of_scipys_by_day() -> None:
    returns = returns_of(ragged=True)
    target = np.where(np.isnan(returns), np.nan, np.round(returns + 0.01, 2))
    forward = by_hand(returns, 2, 1)
    daily = []
    for day in range(len(returns)):
        both = ~np.isnan(forward[day]) & ~np.isnan(target[day])
        daily.append(spearmanr(target[day][both], forward[day][both])[0] if both.sum() > 1 else np.nan)
    found = target_agreement(target, returns, horizon=2)
    assert found.rank_corr == pytest.approx(np.nanmean(daily), abs=1e-12)
    assert found.worst_day == int(np.nanargmin(daily))
    assert found.days == int(np.isfinite(daily).sum())


def test_prices_that_do_not_move_tie_in_both() -> None:
    returns = np.where(np.random.default_rng(2).random((200, 12)) < 0.6, 0.0, returns_of(200, 12))
    prices = np.vstack([np.ones(12), np.cumprod(1 + returns, axis=0)])
    target = np.zeros_like(returns)
    target[:-5] = (prices[6:] / prices[1:-5] - 1)[: len(target) - 5]
    assert target_agreement(target, returns, horizon=5).rank_corr == pytest.approx(1, abs=1e-12)


def test_a_panel_no_longer_than_the_horizon_has_nothing_to_compare() -> None:
    with pytest.raises(InsufficientDataError) as caught:
        target_agreement(returns_of(21), returns_of(21), horizon=21)
    assert str(caught.value) == (
        "no day of 21 has returns of 21 days after it to compare its target with: pack a panel longer than the horizon"
    )
    assert target_agreement(np.roll(returns_of(22), -1, axis=0), returns_of(22), horizon=21).days == 1


def test_days_left_out_break_the_days_before_them() -> None:
    returns = returns_of(400, 40)
    target = np.nan_to_num(compounded(returns, horizon=1))
    kept = np.ones(400, dtype=bool)
    kept[50:59] = kept[200:209] = kept[300] = False
    found = target_agreement(target[kept], returns[kept], horizon=1)
    assert (found.broken, found.rank_corr > 0.99) == (3, True)
    assert target_agreement(target, returns, horizon=1).broken == 0


def test_names_that_come_and_go_leave_too_little_to_compare() -> None:
    returns = returns_of(200)
    returns[::4] = np.where(np.arange(15) % 5, np.nan, returns[::4])
    with pytest.raises(InsufficientDataError, match=r"rows have all 5 returns after them .* expected at least half"):
        target_agreement(returns, returns, horizon=5)


def test_shapes_must_agree() -> None:
    with pytest.raises(StatisticsError, match="target and returns have shapes"):
        target_agreement(returns_of(20), returns_of(21), horizon=1)
