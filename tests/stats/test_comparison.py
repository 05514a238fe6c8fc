"""Whether any of several series beats its benchmark, and which."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from arch.bootstrap import SPA, StepM
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.comparison import step_down, superior_ability
from pytest_modelgates.stats.ranks import Matrix
from pytest_modelgates.stats.resampling import stationary_bootstrap_variance
from pytest_modelgates.stats.significance import holm, mean_exceeds


def gains(seed: int, *, n: int = 300, means: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0), common: float = 0.0) -> Matrix:
    """Draw series that share a part of their noise."""
    random = np.random.default_rng(seed)
    own = random.standard_normal((n, len(means)))
    return np.sqrt(1 - common) * own + np.sqrt(common) * random.standard_normal((n, 1)) + np.array(means)


@pytest.mark.parametrize("means", [(0.05, 0, -0.1, -1), (0.15, 0.1, 0, -0.5)], ids=["weak", "strong"])
def test_p_values_agree_with_arch(means: tuple[float, ...]) -> None:
    x = gains(1, means=means, common=0.3)
    found = superior_ability(x, seed=1, block=5, n_resamples=4999)
    # arch takes losses, and compares the benchmark's with the models'.
    theirs = SPA(np.zeros(len(x)), -x, block_size=5, reps=4999, seed=2)
    theirs.compute()
    ours = [stationary_bootstrap_variance(column, block=5) for column in x.T]
    np.testing.assert_allclose(ours, theirs._loss_diff_var, rtol=1e-12)
    for name in ("lower", "consistent", "upper"):
        assert getattr(found, name) == pytest.approx(theirs.pvalues[name], abs=0.03)
    assert found.best == 0


def test_the_better_series_agree_with_arch() -> None:
    x = gains(3, means=(0.3, 0.0, 0.25, -0.2), common=0.5)
    theirs = StepM(np.zeros(len(x)), -x, size=0.05, block_size=5, reps=1999, seed=1)
    theirs.compute()
    ours = np.flatnonzero(step_down(x, seed=1, block=5, n_resamples=1999) <= 0.05)
    assert ours.tolist() == sorted(theirs.superior_models) == [0, 2]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), spread=st.floats(0, 0.5))
def test_the_three_p_values_are_ordered(seed: int, spread: float) -> None:
    found = superior_ability(gains(seed, means=(0, -spread, spread, -1)), seed=seed, n_resamples=199)
    assert 0 < found.lower <= found.consistent <= found.upper <= 1


def test_a_series_counts_from_the_threshold_of_hansen_on() -> None:
    # Hansen 2005, equation 9: only means of at least -sqrt(2 log log n) standard errors are shifted to 0.
    n = 200
    noise = gains(9, n=n, means=(0.0, 0.0))
    noise = (noise - noise.mean(axis=0)) / noise.std(axis=0)
    threshold = -np.sqrt(2 * np.log(np.log(n)) / n)
    above, below = (
        superior_ability(noise + np.array([0.1, threshold + side]), seed=1, block=1, n_resamples=999)
        for side in (1e-9, -1e-9)
    )
    assert above.lower < above.consistent == above.upper
    assert below.lower == below.consistent < below.upper == above.upper


def test_one_series_is_tested_like_a_mean() -> None:
    x = gains(4, means=(0.08,))
    alone = mean_exceeds(x[:, 0], seed=1)
    assert step_down(x, seed=2, block=alone.block)[0] == pytest.approx(alone.p_bootstrap, abs=0.02)
    assert superior_ability(x, seed=2, block=alone.block).upper == pytest.approx(alone.p_bootstrap, abs=0.02)


def test_series_that_move_together_cost_less_than_holm_charges() -> None:
    x = gains(5, means=(0.13,) * 8, common=0.95)
    alone = [mean_exceeds(column, seed=1).p_bootstrap for column in x.T]
    assert (step_down(x, seed=1) < holm(alone)).all()


def test_order_and_unit_do_not_matter() -> None:
    x = gains(6, means=(0.2, 0.1, 0, -0.1))
    one, other = (
        step_down(x, seed=3, block=4, n_resamples=499),
        step_down(5 * x[:, ::-1], seed=3, block=4, n_resamples=499),
    )
    np.testing.assert_array_equal(one, other[::-1])


def test_a_bound_is_a_shift() -> None:
    x = gains(7, means=(0.2, 0.1, 0, -0.1))
    one, other = (step_down(y, bound=b, seed=3, block=4, n_resamples=499) for y, b in ((x, 0.05), (x - 0.05, 0)))
    np.testing.assert_allclose(one, other, atol=0.005)


@pytest.mark.parametrize("common", [0.0, 0.8], ids=["apart", "together"])
def test_without_skill_any_series_is_called_better_one_time_in_ten(common: float) -> None:
    runs, options = 200, {"block": 2.0, "n_resamples": 199}
    drawn = [gains(seed, common=common) for seed in range(runs)]
    stepped = sum(step_down(x, seed=s, **options).min() <= 0.10 for s, x in enumerate(drawn))
    ability = sum(superior_ability(x, seed=s, **options).consistent <= 0.10 for s, x in enumerate(drawn))
    for rejected in (stepped, ability):
        assert binom.ppf(0.001, runs, 0.10) <= rejected <= binom.ppf(0.999, runs, 0.11)


X = gains(8)
REFUSED = [
    pytest.param(
        lambda f: f(X[:, 0], seed=1), "gains have shape (300,), expected one row a day and one column a series", id="1d"
    ),
    pytest.param(
        lambda f: f(X.T, seed=1),
        "4 days of 300 series, expected more days than series: one column a series",
        id="transposed",
    ),
    pytest.param(lambda f: f(X[:19], seed=1), "series has 19 values, expected at least 20: measure more", id="short"),
    pytest.param(
        lambda f: f(np.ones((30, 2)), seed=1), "all 30 values equal 1, expected a series that varies", id="constant"
    ),
    pytest.param(
        lambda f: f(X, seed=1, block=0.5),
        "mean block length is 0.5, expected at least 1: 1 resamples single values",
        id="block",
    ),
]


@pytest.mark.parametrize("test", [superior_ability, step_down], ids=["spa", "stepm"])
@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_they_refuse_and_say_why(test: Any, call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call(test)


def test_a_bound_that_is_nan_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^bound is nan, expected a finite number$"):
        step_down(X, bound=np.nan, seed=1)
