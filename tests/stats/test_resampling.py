"""Block lengths and the means of resamples."""

import re
from itertools import pairwise, product

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from arch.bootstrap import optimal_block_length as arch_block_length
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.quantiles import Series
from pytest_modelgates.stats.resampling import (
    optimal_block_length,
    stationary_bootstrap_joint_means,
    stationary_bootstrap_means,
    stationary_bootstrap_variance,
)


def autoregressive(seed: int, n: int, coefficient: float) -> Series:
    """Draw an AR(1) series as arch's own test does, dropping the first 100 values."""
    series = np.random.RandomState(seed).standard_normal(n + 100)
    for i in range(1, len(series)):
        series[i] += coefficient * series[i - 1]
    return series[100:]


def test_block_length_gives_the_known_answer() -> None:
    # arch, tests/bootstrap/test_block_length.py.
    found = optimal_block_length(autoregressive(0, 10_000, 0.3))
    assert found == pytest.approx(13.635665, rel=1e-7)
    # The circular bootstrap has 4/3 instead of 2 in the denominator (Patton, Politis and White 2009).
    assert found * 1.5 ** (1 / 3) == pytest.approx(15.60894, rel=1e-6)


@pytest.mark.parametrize("n", [20, 21, 50, 333, 4300])
@pytest.mark.parametrize("coefficient", [-0.5, 0.0, 0.6, 1.0], ids=["swinging", "independent", "dependent", "walk"])
def test_block_length_agrees_with_arch(n: int, coefficient: float) -> None:
    for seed in range(5):
        series = autoregressive(seed, n, coefficient)
        assert optimal_block_length(series) == pytest.approx(arch_block_length(series)["stationary"][0], rel=1e-8)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_block_length_knows_no_unit(seed: int, scale: float, shift: float) -> None:
    series = autoregressive(seed, 120, 0.5)
    assert optimal_block_length(scale * series + shift) == pytest.approx(optimal_block_length(series), rel=1e-4)


def all_resamples(series: Series, block: float) -> dict[float, float]:
    """Give the exact distribution of the mean over every path of the indices."""
    n, chances = len(series), dict[float, float]()
    for path in product(range(n), repeat=n):
        chance = 1 / n
        for here, there in pairwise(path):
            chance *= (1 - 1 / block) * (there == (here + 1) % n) + 1 / block / n
        mean = round(float(series[list(path)].mean()), 9)
        chances[mean] = chances.get(mean, 0.0) + chance
    return chances


@pytest.mark.parametrize("block", [1.0, 2.0, 10.0])
def test_means_follow_their_exact_distribution(block: float) -> None:
    series, draws = np.array([0.0, 1.0, 10.0, 100.0]), 100_000
    means = stationary_bootstrap_means(series, block=block, n_resamples=draws, seed=5)
    values, counts = np.unique(np.round(means, 9), return_counts=True)
    drawn = dict(zip(values.tolist(), (counts / draws).tolist(), strict=True))
    exact = all_resamples(series, block)
    assert drawn.keys() <= exact.keys()
    for mean, chance in exact.items():
        assert drawn.get(mean, 0.0) == pytest.approx(chance, abs=5 * np.sqrt(chance / draws) + 1e-4)


@pytest.mark.parametrize("block", [1.0, 3.0, 20.0])
def test_variance_of_the_means_has_its_closed_form(block: float) -> None:
    # Politis and Romano 1994, lemma 1, on circular autocovariances.
    series = autoregressive(1, 200, 0.5)
    n, p, away = len(series), 1 / block, series - series.mean()
    lags = np.arange(1, n)
    covariance = np.array([away @ np.roll(away, -lag) / n for lag in range(n)])
    exact = (covariance[0] + 2 * ((1 - lags / n) * (1 - p) ** lags * covariance[1:]).sum()) / n
    means = stationary_bootstrap_means(series, block=block, n_resamples=40_000, seed=2)
    assert means.var() == pytest.approx(exact, rel=5 * np.sqrt(2 / 40_000))
    assert means.mean() == pytest.approx(series.mean(), abs=5 * np.sqrt(exact / 40_000))


def test_spread_agrees_with_arch() -> None:
    series = autoregressive(3, 300, 0.6)
    theirs = StationaryBootstrap(8, series, seed=1).apply(lambda x: x.mean(), 4000)
    ours = stationary_bootstrap_means(series, block=8, n_resamples=40_000, seed=1)
    assert ours.std() == pytest.approx(theirs.std(), rel=5 * np.sqrt(1.1 / 8000))


@settings(max_examples=30)
@given(
    series=st.lists(st.floats(-100, 100), min_size=2, max_size=30),
    block=st.floats(1, 1e12),
    seed=st.integers(0, 2**40),
)
def test_means_lie_within_the_series_and_repeat_with_the_seed(series: list[float], block: float, seed: int) -> None:
    means, again = (stationary_bootstrap_means(series, block=block, n_resamples=50, seed=seed) for _ in range(2))
    np.testing.assert_array_equal(means, again)
    assert means.shape == (50,)
    assert min(series) - 1e-9 <= means.min() <= means.max() <= max(series) + 1e-9


def test_endless_blocks_only_turn_the_series_round() -> None:
    means = stationary_bootstrap_means([1.0, 2.0, 6.0], block=1e15, n_resamples=100, seed=0)
    np.testing.assert_allclose(means, 3)


def test_a_series_far_from_zero_keeps_its_digits() -> None:
    series = autoregressive(4, 500, 0.2)
    near, far = (stationary_bootstrap_means(series + c, block=2, n_resamples=200, seed=0) - c for c in (0.0, 1e9))
    np.testing.assert_allclose(far, near, atol=1e-6)


WAVE = [0.0, 1.0] * 15
REFUSED = [
    pytest.param([1.0], 1, 9, 0, "series has 1 values, expected at least 2: measure more", id="one-value"),
    pytest.param(
        WAVE, 0.5, 9, 0, "mean block length is 0.5, expected at least 1: 1 resamples single values", id="block"
    ),
    pytest.param(
        WAVE, np.nan, 9, 0, "mean block length is nan, expected at least 1: 1 resamples single values", id="nan-block"
    ),
    pytest.param(WAVE, 1, 0, 0, "0 resamples, expected at least 1", id="no-resamples"),
    pytest.param(WAVE, 1, 9, -1, "seed is -1, expected at least 0", id="seed"),
]


@pytest.mark.parametrize(("series", "block", "draws", "seed", "message"), REFUSED)
def test_resampling_refuses_and_says_why(
    series: list[float], block: float, draws: int, seed: int, message: str
) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        stationary_bootstrap_means(series, block=block, n_resamples=draws, seed=seed)


NO_LENGTH = [
    pytest.param(WAVE[:19], "series has 19 values, expected at least 20: measure more", id="short"),
    pytest.param([0.25] * 30, "all 30 values equal 0.25, expected a series that varies", id="constant"),
    pytest.param([*WAVE, np.nan], "series has 1 of 31 values NaN or infinite: remove their cause", id="nan"),
]


@pytest.mark.parametrize(("series", "message"), NO_LENGTH)
def test_block_length_refuses_and_says_why(series: list[float], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        optimal_block_length(series)


def test_one_value_that_differs_still_has_a_block_length() -> None:
    assert 0 <= optimal_block_length([1.0] + [0.0] * 30) <= 11


@pytest.mark.parametrize("block", [1.0, 7.5, 300.0], ids=["single", "blocks", "endless"])
def test_joint_means_spread_like_those_of_one_series(block: float) -> None:
    x = np.cumsum(np.random.default_rng(1).standard_normal((200, 2)), axis=0)
    joint = stationary_bootstrap_joint_means(x, block=block, n_resamples=20_000, seed=1)
    for series, means in zip(x.T, joint.T, strict=True):
        expected = np.sqrt(stationary_bootstrap_variance(series, block=block) / 200)
        alone = stationary_bootstrap_means(series, block=block, n_resamples=20_000, seed=2)
        assert means.std() == pytest.approx(expected, rel=0.03)
        assert alone.std() == pytest.approx(expected, rel=0.03)


def test_joint_means_keep_what_binds_the_series() -> None:
    x = np.random.default_rng(2).standard_normal(100)
    joint = stationary_bootstrap_joint_means(np.stack([x, 2 * x + 1], axis=1), block=4, n_resamples=500, seed=1)
    np.testing.assert_allclose(joint[:, 1], 2 * joint[:, 0] + 1)


def test_the_variance_of_a_resampled_mean_by_hand() -> None:
    # R = 1, -0.75, 0.5, -0.25 for (1, -1, 1, -1); p = 1/2.
    weights = [(1 - i / 4) * 0.5**i + i / 4 * 0.5 ** (4 - i) for i in (1, 2, 3)]
    by_hand = 1 + 2 * np.dot(weights, [-0.75, 0.5, -0.25])
    assert stationary_bootstrap_variance([1, -1, 1, -1], block=2) == pytest.approx(by_hand)


@pytest.mark.parametrize("shape", [(9,), (9, 0)], ids=["vector", "no-series"])
def test_joint_means_refuse_all_but_a_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(StatisticsError, match=r"expected one row a day and one column a series$"):
        stationary_bootstrap_joint_means(np.ones(shape), block=2, seed=1)
