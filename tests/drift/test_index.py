"""The population stability index against published values and properties; what it refuses, and in which words."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pytest_modelgates.drift import detect_drift, ks_test, psi
from pytest_modelgates.drift.counts import Grid
from pytest_modelgates.drift.index import (
    Bins,
    chi_squared_quantile,
    chi_squared_tail,
    contributions,
    critical_value,
)
from pytest_modelgates.errors import StatisticsError

Scores = NDArray[np.float64]
Counts = NDArray[np.int64]

# Yurdakul and Naranjo (2020), seven rating grades of a bank's customers; the paper prints 0.0677.
GRADES_THEN = [253, 302, 204, 134, 72, 26, 8]
GRADES_NOW = [177, 262, 285, 158, 88, 25, 6]

COUNTS = hnp.arrays(np.int64, 5, elements=st.integers(0, 10_000)).filter(lambda counts: counts.sum() > 0)
SCORES = hnp.arrays(np.float64, st.integers(20, 80), elements=st.integers(-50, 50).map(float))

UNIFORM = np.linspace(0.0, 1.0, 2_000)
UPPER_HALF = np.linspace(0.5, 1.0, 2_000)


def index_of(reference: ArrayLike, live: ArrayLike, **options: float) -> float:
    """Sum what the bins add."""
    return float(contributions(np.asarray(reference), np.asarray(live), **options).sum())


def zeros_and_ones(ones: int, *, of: int) -> Scores:
    return np.repeat([0.0, 1.0], [of - ones, ones])


def test_index_gives_the_published_value_of_the_seven_grades() -> None:
    assert index_of(GRADES_THEN, GRADES_NOW, pseudocount=0) == pytest.approx(0.067692988, abs=5e-10)


BY_HAND = [
    pytest.param([50, 50], [50, 50], 0.0, id="no-shift"),
    pytest.param([50, 50], [75, 25], 0.25 * math.log(3), id="a-quarter-moves"),
    pytest.param([1, 1], [750, 250], 0.25 * math.log(3), id="sizes-differ"),
]


@pytest.mark.parametrize(("reference", "live", "nats"), BY_HAND)
def test_index_gives_the_value_worked_out_by_hand(reference: list[int], live: list[int], nats: float) -> None:
    assert index_of(reference, live, pseudocount=0) == pytest.approx(nats, abs=1e-12)


@given(reference=COUNTS, live=COUNTS)
def test_index_is_symmetric_and_never_negative(reference: Counts, live: Counts) -> None:
    index = index_of(reference, live)
    assert -1e-15 <= index < math.inf
    assert index == pytest.approx(index_of(live, reference))


@given(reference=COUNTS, live=COUNTS, order=st.permutations(range(5)))
def test_index_does_not_hang_on_the_order_of_the_bins(reference: Counts, live: Counts, order: list[int]) -> None:
    shuffled = index_of(reference[order], live[order])
    assert shuffled == pytest.approx(index_of(reference, live))


def test_an_empty_bin_leaves_the_index_finite() -> None:
    p, q = np.array([100.5, 0.5]) / 101, np.array([90.5, 10.5]) / 101
    assert index_of([100, 0], [90, 10]) == pytest.approx(((p - q) * np.log(p / q)).sum())


def test_psi_bins_by_the_golden_s_deciles() -> None:
    # Ten deciles of 200 each against 400 in each of the upper five, 0.5 added to every count.
    p, q_low, q_high = 1 / 10, 0.5 / 2_005, 400.5 / 2_005
    by_hand = 5 * (p - q_low) * math.log(p / q_low) + 5 * (p - q_high) * math.log(p / q_high)
    assert psi(UNIFORM, UPPER_HALF) == pytest.approx(by_hand)


def test_a_value_on_an_edge_counts_below_it() -> None:
    # Fourteen values of 7 % each: none heavy enough for a bin of its own, and every decile falls on one of them.
    golden, current = np.tile(np.arange(14.0), 100), np.repeat(np.arange(14.0), np.arange(10, 150, 10))
    deciles = np.quantile(golden, np.arange(1, 10) / 10)
    below = [np.array([0, *(np.sum(sample <= edge) for edge in deciles), sample.size]) for sample in (golden, current)]
    assert psi(golden, current) == pytest.approx(index_of(np.diff(below[0]), np.diff(below[1])))


def test_psi_without_drift_is_as_large_on_average_as_theory_says() -> None:
    # Yurdakul and Naranjo: (1/n + 1/m) times chi-squared with bins - 1 degrees of freedom.
    rng = np.random.default_rng(7)
    measured = [psi(rng.standard_normal(1_000), rng.standard_normal(500)) for _ in range(400)]
    assert np.mean(measured) == pytest.approx((1 / 1_000 + 1 / 500) * 9, rel=0.1)


@pytest.mark.parametrize("side", ["golden", "current", "both"])
def test_one_outlier_hides_no_shift(side: str) -> None:
    golden = np.append(UNIFORM, 1e9) if side != "current" else UNIFORM
    current = np.append(UPPER_HALF, 1e9) if side != "golden" else UPPER_HALF
    assert psi(golden, current) == pytest.approx(psi(UNIFORM, UPPER_HALF), rel=0.05)
    assert ks_test(golden, current).statistic == pytest.approx(0.5, abs=1e-3)


def test_one_outlier_makes_no_shift() -> None:
    report = detect_drift(UNIFORM, np.append(UNIFORM, 1e9))
    assert report["psi"]["value"] < 1e-4
    assert not report["overall_drift"]


def test_psi_of_zeros_and_ones_is_that_of_two_bins() -> None:
    golden, current = zeros_and_ones(50, of=1_000), zeros_and_ones(80, of=1_000)
    assert psi(golden, current) == pytest.approx(index_of([950, 50], [920, 80]))
    assert psi(golden, current) == pytest.approx(0.0149, abs=5e-4)


ATOMS = [
    pytest.param([0.5], [0.6], True, id="a-constant-rises"),
    pytest.param([0.5], [0.4], True, id="a-constant-falls"),
    pytest.param([0.5], [0.5], False, id="a-constant-stays"),
    pytest.param([0.0, 1.0], [0.0, 0.5], True, id="a-new-value"),
    pytest.param([0.0, 0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 0.0, 1.0, 2.0], False, id="mostly-zero-stays"),
    pytest.param([0.0, 0.0, 0.0, 1.0, 2.0], [0.0, 1.0, 1.0, 2.0, 2.0], True, id="zeros-vanish"),
]


@pytest.mark.parametrize(("then", "now", "drifts"), ATOMS)
def test_psi_sees_shifts_of_scores_that_repeat(then: list[float], now: list[float], drifts: bool) -> None:
    index = psi(np.tile(then, 200), np.tile(now, 200))
    assert index > 0.25 if drifts else index == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("moved", [pytest.param(0.0011, id="up"), pytest.param(-0.0011, id="down")])
def test_a_heavy_value_among_spread_ones_is_a_bin_of_its_own(moved: float) -> None:
    spread = np.linspace(-1, 1, 1_000)
    golden, current = np.append(spread, np.zeros(1_000)), np.append(spread, np.full(1_000, moved))
    assert psi(golden, current) > 0.25


@given(scores=SCORES)
def test_psi_and_distance_of_a_sample_with_itself_are_zero(scores: Scores) -> None:
    assert psi(scores, scores[::-1]) == pytest.approx(0, abs=1e-12)
    assert ks_test(scores, scores[::-1]).statistic == 0


@given(golden=SCORES, current=SCORES, scale=st.sampled_from([0.25, 1.0, 1024.0]))
@settings(deadline=None)
def test_drift_does_not_hang_on_unit_or_row_order(golden: Scores, current: Scores, scale: float) -> None:
    assert psi(scale * golden[::-1], scale * current[::-1]) == pytest.approx(psi(golden, current))
    assert psi(golden, current) >= -1e-15
    assert ks_test(scale * golden, scale * current) == ks_test(golden, current)


def test_float32_scores_are_compared_with_float64_as_float32() -> None:
    golden = np.tile([0.1, 0.2, 0.7], 100)
    assert psi(golden, golden.astype(np.float32)) == pytest.approx(0, abs=1e-12)
    assert ks_test(golden.astype(np.float32), golden).statistic == 0


def test_contributions_add_up_to_the_index_and_an_empty_bin_adds_nothing() -> None:
    then, now = np.array([50, 50, 0, 0]), np.array([20, 70, 0, 10])
    parts = contributions(then, now)
    assert parts.sum() == pytest.approx(index_of(then[[0, 1, 3]], now[[0, 1, 3]]))
    assert parts[2] == 0


@settings(max_examples=60, deadline=None)
@given(data=st.data(), bins=st.sampled_from([2, 5, 10, 20]))
def test_comparing_values_with_edges_gives_what_the_grid_gives(data: st.DataObject, bins: int) -> None:
    value = st.one_of(
        st.sampled_from([0.0, 1.0, -1.0]), st.floats(-2, 2), st.sampled_from([math.nan, math.inf, -math.inf])
    )
    golden = data.draw(st.lists(st.floats(-2, 2) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=300))
    current = data.draw(st.lists(value, min_size=1, max_size=100))
    grid = Grid.of(golden, points=data.draw(st.sampled_from([16, 16_384])))
    chosen, counted = Bins.of(grid, bins=bins), grid.count(current)
    counts, missing = chosen.of_values(current)
    assert counts.tolist() == chosen.of_counts(counted).tolist()
    assert (counts.sum(), missing) == (counted.finite, counted.missing)
    assert len(chosen.names) == chosen.size
    assert (chosen.of_counts(grid.golden)[: chosen.frequent.size] * bins >= len(golden)).all()


def test_values_that_are_not_frequent_have_bins_enough_to_be_told_apart() -> None:
    golden = np.concatenate([np.zeros(9_700), np.linspace(0.01, 1, 300)])
    bins = Bins.of(Grid.of(golden))
    assert (bins.frequent.tolist(), bins.size) == ([0.0], 11)
    assert bins.of_counts(Grid.of(golden).golden).tolist() == [9_700, *[30] * 10]


def test_a_bin_around_a_frequent_value_counts_both_of_its_sides() -> None:
    spread = np.linspace(-1, 1, 1_000)
    bins = Bins.of(Grid.of(np.append(spread, np.full(1_000, 0.05))))
    assert bins.of_counts(Grid.of(np.append(spread, np.full(1_000, 0.05))).golden).tolist() == [1_000, *[100] * 10]


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 10, 19, 40])
def test_chi_squared_is_that_of_scipy(degrees: int) -> None:
    for x in (0.01, 1.0, 7.3, 30.0, 300.0):
        assert chi_squared_tail(x, degrees) == pytest.approx(stats.chi2.sf(x, degrees), rel=1e-11)
    for level in (0.9, 0.5, 0.05, 1e-9):
        assert chi_squared_quantile(level, degrees) == pytest.approx(stats.chi2.isf(level, degrees), rel=1e-11)


# Yurdakul and Naranjo (2020): bins, rows of each side, and the critical value at 5 % as printed.
CRITICAL = [
    pytest.param(10, 100, 0.338, id="ten-of-100"),
    pytest.param(10, 1_000, 0.0338, id="ten-of-1000"),
    pytest.param(10, 10_000, 0.0034, id="ten-of-10000"),
    pytest.param(20, 100, 0.603, id="twenty-of-100"),
    pytest.param(20, 1_000, 0.0603, id="twenty-of-1000"),
]


@pytest.mark.parametrize(("bins", "rows", "printed"), CRITICAL)
def test_the_critical_value_is_the_published_one(bins: int, rows: int, printed: float) -> None:
    assert critical_value(bins, rows, rows) == pytest.approx(printed, abs=5e-4 if printed > 0.1 else 5e-5)


def test_the_seven_grades_have_the_published_critical_value_and_p() -> None:
    n, m = sum(GRADES_THEN), sum(GRADES_NOW)
    assert critical_value(7, n, m) == pytest.approx(0.0251832, abs=5e-8)
    assert chi_squared_tail(0.067692988 / (1 / n + 1 / m), 6) == pytest.approx(7.2e-6, abs=5e-8)


def test_one_bin_has_no_critical_value_and_an_empty_side_an_infinite_one() -> None:
    assert (critical_value(1, 10, 10), critical_value(10, 10, 0)) == (0.0, math.inf)


def test_fewer_than_two_bins_are_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^bins is 1: give 2 or more$"):
        psi(UNIFORM, UNIFORM, bins=1)


def test_values_of_fewer_bits_are_on_their_side_of_each_edge() -> None:
    """0.1 rounded to 24 bits is above 0.1."""
    rng = np.random.default_rng(14)
    golden = np.concatenate([rng.standard_normal(2000), np.full(400, 0.1), np.full(400, -0.3), [1e300, -1e300]])
    grid = Grid.of(golden)
    chosen = Bins.of(grid)
    near = chosen.thresholds.astype(np.float32)
    current = np.concatenate([near, *(np.nextafter(near, np.float32(way)) for way in (-np.inf, np.inf))])
    current = np.append(current, np.array([np.inf, -np.inf, np.nan, 3.4e38, -3.4e38], dtype=np.float32))
    counts, missing = chosen.of_values(current)
    expected, _ = chosen.of_values(current.astype(np.float64))
    assert counts.tolist() == expected.tolist() == chosen.of_counts(grid.count(current)).tolist()
    assert missing == 3
