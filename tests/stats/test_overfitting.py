"""The probability of backtest overfitting."""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.overfitting import overfitting
from pytest_modelgates.stats.ranks import Matrix


def by_hand(returns: Matrix, blocks: int) -> tuple[float, float]:
    """Follow the definition split by split."""
    stretches = np.split(returns, blocks)
    lower, losses, splits = 0, 0, 0
    for inside in itertools.combinations(range(blocks), blocks // 2):
        parts = [[stretches[b] for b in range(blocks) if (b in inside) is wanted] for wanted in (True, False)]
        train, test = (np.concatenate(part) for part in parts)
        best = (train.mean(axis=0) / train.std(axis=0, ddof=1)).argmax()
        outside = test.mean(axis=0) / test.std(axis=0, ddof=1)
        share = rankdata(outside)[best] / (returns.shape[1] + 1)
        lower += np.log(share / (1 - share)) <= 0
        losses += outside[best] < 0
        splits += 1
    return lower / splits, losses / splits


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), trials=st.integers(2, 7), blocks=st.sampled_from([2, 4, 6]))
def test_it_follows_its_definition(seed: int, trials: int, blocks: int) -> None:
    returns = np.random.default_rng(seed).standard_normal((blocks * 9, trials)) + 0.1
    found = overfitting(returns, blocks=blocks)
    assert (found.probability, found.probability_of_loss) == pytest.approx(by_hand(returns, blocks))


def test_a_trial_that_is_best_everywhere_is_not_overfitted() -> None:
    returns = np.random.default_rng(0).standard_normal((1600, 10))
    returns[:, 3] += 1
    found = overfitting(returns)
    assert (found.probability, found.probability_of_loss, found.splits) == (0, 0, 12_870)


def test_a_trial_that_is_best_by_luck_is_overfitted_as_often_as_not() -> None:
    found = [overfitting(np.random.default_rng(s).standard_normal((320, 20)), blocks=8).probability for s in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_neither_order_of_trials_nor_unit_matters() -> None:
    returns = np.random.default_rng(5).standard_normal((160, 6)) + 0.05
    one, other = overfitting(returns, blocks=8), overfitting(returns[:, ::-1] * 1e-6, blocks=8)
    assert one.probability == other.probability
    assert one.slope == pytest.approx(other.slope)


def test_the_oldest_days_are_dropped_to_make_blocks_equal() -> None:
    returns = np.random.default_rng(6).standard_normal((83, 5))
    found = overfitting(returns, blocks=8)
    assert found.dropped == 3
    assert found.probability == overfitting(returns[3:], blocks=8).probability


NOISE = np.random.default_rng(7).standard_normal((64, 4))
STILL, FLAT = NOISE.copy(), NOISE.copy()
STILL[:, 2] = 0.1
FLAT[:32, 2] = 0.1
REFUSED = [
    pytest.param(
        NOISE[:, 0], {}, "returns have 1 dimensions, expected 2: one row a day, one column a trial", id="vector"
    ),
    pytest.param(
        NOISE[:, :1], {}, "1 trials, expected at least 2: give the returns of those that lost too", id="alone"
    ),
    pytest.param(
        NOISE.T,
        {},
        "4 days of 64 trials, expected more days than trials: one row a day, one column a trial",
        id="transposed",
    ),
    pytest.param(
        np.where(NOISE > 2, np.nan, NOISE),
        {},
        f"returns have {(NOISE > 2).sum()} values NaN or infinite: remove their cause",
        id="nan",
    ),
    pytest.param(NOISE, {"blocks": 7}, "7 blocks, expected an even number from 2 to 20", id="odd"),
    pytest.param(NOISE, {"blocks": 22}, "22 blocks, expected an even number from 2 to 20", id="many"),
    pytest.param(NOISE[:31], {}, "31 days in 16 blocks, expected at least 2 days in each: cut fewer", id="short"),
    pytest.param(STILL, {}, "trial 2 returns the same on every day, expected one that varies", id="still"),
    pytest.param(
        FLAT, {}, "a trial returns the same on every day of some half, expected one that varies", id="half-still"
    ),
]


@pytest.mark.parametrize(("returns", "options", "message"), REFUSED)
def test_it_refuses_and_says_why(returns: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        overfitting(returns, **options)
