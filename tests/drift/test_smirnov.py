"""The Kolmogorov-Smirnov test against R, Fisher's exact test, scipy and itself."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pytest_modelgates.drift import ks_test, smirnov
from pytest_modelgates.drift.columns import column
from pytest_modelgates.drift.counts import Grid
from pytest_modelgates.drift.smirnov import (
    distance,
    exact_distance,
    exact_tail,
    kolmogorov_tail,
    limit_tail,
    share_p_value,
    ties_in,
    ties_of,
)

# R 4.2.2, ks.test(x, y, exact = TRUE).
R_X = [0.61, 0.29, 0.06, 0.59, -1.73, -0.74, 0.51, -0.56, 0.39, 1.64, 0.05, -0.06, 0.64]
R_X += [-0.82, 0.37, 1.77, 1.09, -1.28, 2.36, 1.31, 1.05, -0.32, -0.40, 1.06, -2.47]
R_Y = [1.02, 0.11, -0.35, 0.97, 2.2, 1.4, 0.6, -0.2, 1.9, 0.75, 1.33, 0.5]


def zeros_and_ones(ones: int, *, of: int) -> NDArray[np.float64]:
    return np.repeat([0.0, 1.0], [of - ones, ones])


def frouros() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The example of the documentation of frouros."""
    rng = np.random.RandomState(31)
    return rng.normal(0, 1, 100), rng.normal(1, 1, 100)


KS_KNOWN = [
    pytest.param(R_X, R_Y, 0.31, 0.332564518719, id="r-normal"),
    pytest.param(np.arange(1, 101), np.arange(21.5, 121), 0.21, 0.0240558028411, id="r-shifted-steps"),
    pytest.param([0], [1], 1.0, 1.0, id="scipy-one-against-one"),
    pytest.param(zeros_and_ones(10, of=100), zeros_and_ones(20, of=100), 0.1, 0.0734275897214, id="r-ties"),
    pytest.param(zeros_and_ones(50, of=1000), zeros_and_ones(80, of=1000), 0.03, 0.00830844838, id="r-ties-of-1000"),
    pytest.param(*frouros(), 0.55, 3.0406585087050305e-14, id="frouros"),
]


@pytest.mark.parametrize(("golden", "current", "apart", "p"), KS_KNOWN)
def test_ks_gives_the_known_answer(golden: ArrayLike, current: ArrayLike, apart: float, p: float) -> None:
    assert ks_test(golden, current) == pytest.approx((apart, p), rel=1e-9)


# scipy, TestKSTwoSamples: 100 against 110 values.
@pytest.mark.parametrize(("reached", "p"), [(232, 0.015739183865607353), (229, 0.017803803861026313)])
def test_the_exact_tail_is_that_of_scipy_s_own_tests(reached: int, p: float) -> None:
    assert exact_tail(reached / 1100, 100, 110, np.ones(210, dtype=bool)) == pytest.approx(p, rel=1e-11)


@pytest.mark.parametrize("ones", [(20, 40), (1, 9), (0, 5), (100, 130)])
def test_zeros_and_ones_of_equal_sizes_have_fisher_s_p(ones: tuple[int, int]) -> None:
    then, now = ones
    fisher = stats.fisher_exact(np.array([[200 - then, then], [200 - now, now]])).pvalue
    found = ks_test(zeros_and_ones(then, of=200), zeros_and_ones(now, of=200)).p_value
    assert found == pytest.approx(fisher, rel=1e-10)
    assert share_p_value(then, 200, now, 200) == pytest.approx(fisher, rel=1e-10)


def test_zeros_and_ones_of_ten_thousand_rows_are_exact() -> None:
    assert ks_test(zeros_and_ones(500, of=10_000), zeros_and_ones(700, of=10_000)).p_value == pytest.approx(
        2.8910470862828637e-09, rel=1e-6
    )


@settings(deadline=None, max_examples=40)
@given(
    golden=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    current=st.lists(st.integers(0, 4), min_size=1, max_size=4),
)
def test_the_exact_p_is_the_share_of_all_ways_to_deal_the_values(golden: list[int], current: list[int]) -> None:
    from itertools import combinations

    pooled, grid = np.array(golden + current), Grid.of(golden + current)

    def apart(chosen: tuple[int, ...]) -> float:
        mask = np.isin(np.arange(pooled.size), chosen)
        return distance(grid.count(pooled[mask]), grid.count(pooled[~mask])).lower

    ways = [apart(chosen) for chosen in combinations(range(pooled.size), len(golden))]
    reached = apart(tuple(range(len(golden))))
    assert ks_test(golden, current).p_value == pytest.approx(np.mean(np.array(ways) >= reached - 1e-12), abs=1e-12)


@pytest.mark.parametrize("sizes", [(300, 250), (60, 4_000), (1, 30), (2_000, 2_000)])
def test_without_ties_the_p_is_scipy_s_exact_one(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    golden, current = (rng.standard_normal(size) for size in sizes)
    expected = stats.ks_2samp(golden, current, method="exact")
    assert ks_test(golden, current) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    assert ks_test(current, golden).p_value == pytest.approx(expected.pvalue, rel=1e-9)


# R 4.2.2, asymptotic; and Kolmogorov's table.
@pytest.mark.parametrize(
    ("scaled", "p"),
    [
        (1.0, 0.2699996717),
        (1.224, 0.0999256),
        (1.358, 0.0500268),
        (1.628, 0.0099755),
        (1.949, 0.0010037),
        (0.31 * math.sqrt(25 * 12 / 37), 0.417032589595),
    ],
)
def test_the_tail_for_large_samples_is_kolmogorov_s(scaled: float, p: float) -> None:
    assert kolmogorov_tail(scaled) == pytest.approx(p, rel=1e-5)
    assert limit_tail(scaled, np.array([1, 0, 1])) == kolmogorov_tail(scaled)


def test_the_two_sums_of_the_tail_meet() -> None:
    for scaled in (0.05, 0.3, 0.999999, 1.0, 3.0):
        assert kolmogorov_tail(scaled) == pytest.approx(stats.kstwobign.sf(scaled), rel=1e-9)
    assert kolmogorov_tail(0) == 1


def test_in_the_limit_two_kinds_of_values_have_the_normal_tail() -> None:
    # A value that splits the rest at half: the bridge is seen once, where its variance is 1 / 4.
    for scaled in (0.3, 1.0, 2.0):
        assert limit_tail(scaled, np.array([0, 500, 0, 500, 0])) == pytest.approx(
            2 * stats.norm.sf(2 * scaled), rel=1e-6
        )


TIED = {
    "five-kinds": lambda rng, size: rng.integers(0, 5, size),
    "mostly-zero": lambda rng, size: np.where(rng.random(size) < 0.7, 0.0, rng.standard_normal(size)),
    "rounded": lambda rng, size: np.round(rng.standard_normal(size), 1),
}


@pytest.mark.parametrize("kind", TIED)
def test_the_limit_agrees_with_the_exact_p_under_ties(kind: str) -> None:
    rng = np.random.default_rng(5)
    x, y = (column(TIED[kind](rng, 4_000), name="x") for _ in range(2))
    grid = Grid.of(x)
    counts, last = grid.count(y), ties_of(x, y)
    for apart in (0.01, 0.02, 0.03, 0.04):
        exact = exact_tail(round(apart * 4_000) / 4_000, 4_000, 4_000, last)
        limit = limit_tail(apart * math.sqrt(2_000), grid.golden.cells + counts.cells)
        assert limit == pytest.approx(exact, rel=0.12)
        assert limit <= kolmogorov_tail(apart * math.sqrt(2_000))


@given(
    golden=st.lists(st.integers(0, 9), min_size=1, max_size=60),
    current=st.lists(st.integers(0, 9), min_size=1, max_size=60),
)
def test_ties_told_from_counts_are_those_of_the_values(golden: list[int], current: list[int]) -> None:
    x, y = column(golden, name="x"), column(current, name="y")
    grid = Grid.of(x)
    from_counts, from_values = ties_in(grid.golden, grid.count(y)), ties_of(x, y)
    assert (from_counts | ~from_values).all(), "values between two points are taken for different"
    if set(current) <= set(golden):
        assert from_counts.tolist() == from_values.tolist()


@settings(deadline=None)
@given(
    data=st.data(),
    points=st.sampled_from([2, 4, 9, 16_384]),
    seed=st.integers(0, 99),
    digits=st.sampled_from([0, 1, 15]),
)
def test_bounds_hold_the_distance_and_a_second_look_finds_it(data: Any, points: int, seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (np.round(rng.standard_normal(data.draw(st.integers(1, 200))), digits) for _ in range(2))
    grid = Grid.of(x, points=points)
    counts, at = grid.count(y), np.concatenate([x, y])
    truth = np.abs((x[:, None] <= at).mean(axis=0) - (y[:, None] <= at).mean(axis=0)).max()
    found = distance(grid.golden, counts)
    assert found.lower - 1e-12 <= truth <= found.upper + 1e-12
    assert exact_distance(grid, x, y, counts) == pytest.approx(truth, abs=1e-12)
    if grid.whole:
        assert found.lower == found.upper
    between = grid.golden.cells[2:-1:2].max(initial=0) / x.size
    assert found.upper - found.lower <= between + 1e-12


@pytest.mark.parametrize("kind", [*TIED, "continuous"])
def test_a_second_look_may_take_several(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smirnov, "_SORTED", 100)
    rng = np.random.default_rng(9)
    draw = TIED.get(kind, lambda rng, size: rng.standard_normal(size))
    for shift in (0.0, 0.02, 0.3):
        x, y = (column(draw(rng, 30_000) + moved, name="x").astype(float) for moved in (0.0, shift))
        grid = Grid.of(x, points=50)
        expected = stats.ks_2samp(x, y, method="asymp").statistic
        assert exact_distance(grid, x, y, grid.count(y)) == pytest.approx(expected, abs=1e-12)


def test_the_interval_of_a_long_golden_is_narrow() -> None:
    rng = np.random.default_rng(8)
    for golden in (rng.lognormal(size=200_000), np.where(rng.random(200_000) < 0.97, 0, rng.random(200_000))):
        found = distance(Grid.of(golden).golden, Grid.of(golden).count(rng.permutation(golden)[:100_000] * 1.001))
        assert found.upper - found.lower < 7e-5


def test_sizes_whose_product_is_beyond_64_bits_are_exact() -> None:
    grid = Grid.of([0, 1])
    many = sum([grid.count([0, 0, 0, 1])] * 1, start=grid.none())
    for _ in range(32):
        many = many + many
    assert many.finite == 2**34
    huge = many
    other = sum([grid.count([0, 1])], start=grid.none())
    for _ in range(33):
        other = other + other
    assert distance(huge, other) == (0.25, 0.25)


def test_a_share_of_an_empty_side_or_of_equals_says_nothing() -> None:
    assert (share_p_value(0, 0, 1, 2), share_p_value(1, 2, 5, 10)) == (1.0, 1.0)


def test_shares_of_fractional_or_many_rows_have_the_normal_p() -> None:
    # (0.2 - 0.1) / sqrt(0.15 x 0.85 x (1/100.5 + 1/100.5)) standard deviations.
    expected = 2 * stats.norm.sf(0.1 / math.sqrt(0.15 * 0.85 * 2 / 100.5))
    assert share_p_value(10.05, 100.5, 20.1, 100.5) == pytest.approx(expected)
    assert share_p_value(100_000, 10**6, 100_500, 10**6) == pytest.approx(0.2388, abs=2e-3)
