"""PSI and KS against published values, scipy and properties; what they refuse, and in which words."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pytest_modelgates.drift import detect_drift
from pytest_modelgates.drift.distances import (
    MINIMUM_ROWS,
    DriftLimits,
    ks_test,
    population_stability_index,
    psi,
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


def zeros_and_ones(ones: int, *, of: int) -> Scores:
    return np.repeat([0.0, 1.0], [of - ones, ones])


def test_index_gives_the_published_value_of_the_seven_grades() -> None:
    assert population_stability_index(GRADES_THEN, GRADES_NOW, pseudocount=0) == pytest.approx(0.067692988, abs=5e-10)


BY_HAND = [
    pytest.param([50, 50], [50, 50], 0.0, id="no-shift"),
    pytest.param([50, 50], [75, 25], 0.25 * math.log(3), id="a-quarter-moves"),
    pytest.param([1, 1], [750, 250], 0.25 * math.log(3), id="sizes-differ"),
]


@pytest.mark.parametrize(("reference", "live", "nats"), BY_HAND)
def test_index_gives_the_value_worked_out_by_hand(reference: list[int], live: list[int], nats: float) -> None:
    assert population_stability_index(reference, live, pseudocount=0) == pytest.approx(nats, abs=1e-12)


@given(reference=COUNTS, live=COUNTS)
def test_index_is_symmetric_and_never_negative(reference: Counts, live: Counts) -> None:
    index = population_stability_index(reference, live)
    assert -1e-15 <= index < math.inf
    assert index == pytest.approx(population_stability_index(live, reference))


@given(reference=COUNTS, live=COUNTS, order=st.permutations(range(5)))
def test_index_does_not_hang_on_the_order_of_the_bins(reference: Counts, live: Counts, order: list[int]) -> None:
    shuffled = population_stability_index(reference[order], live[order])
    assert shuffled == pytest.approx(population_stability_index(reference, live))


def test_an_empty_bin_leaves_the_index_finite() -> None:
    p, q = np.array([100.5, 0.5]) / 101, np.array([90.5, 10.5]) / 101
    assert population_stability_index([100, 0], [90, 10]) == pytest.approx(((p - q) * np.log(p / q)).sum())


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
    assert psi(golden, current) == pytest.approx(population_stability_index(np.diff(below[0]), np.diff(below[1])))


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
    assert psi(golden, current) == pytest.approx(population_stability_index([950, 50], [920, 80]))
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


# R 4.2.2, ks.test(x, y, exact = TRUE).
R_X = [0.61, 0.29, 0.06, 0.59, -1.73, -0.74, 0.51, -0.56, 0.39, 1.64, 0.05, -0.06, 0.64]
R_X += [-0.82, 0.37, 1.77, 1.09, -1.28, 2.36, 1.31, 1.05, -0.32, -0.40, 1.06, -2.47]
R_Y = [1.02, 0.11, -0.35, 0.97, 2.2, 1.4, 0.6, -0.2, 1.9, 0.75, 1.33, 0.5]
KS_KNOWN = [
    pytest.param(R_X, R_Y, 0.31, 0.332564518719, id="r-normal"),
    pytest.param(np.arange(1, 101), np.arange(21.5, 121), 0.21, 0.0240558028411, id="r-shifted-steps"),
    pytest.param([0], [1], 1.0, 1.0, id="scipy-one-against-one"),
]


@pytest.mark.parametrize(("golden", "current", "distance", "p"), KS_KNOWN)
def test_ks_gives_the_known_answer(golden: ArrayLike, current: ArrayLike, distance: float, p: float) -> None:
    assert ks_test(golden, current) == pytest.approx((distance, p), rel=1e-11)


@pytest.mark.parametrize("rows", [pytest.param(300, id="exact"), pytest.param(12_000, id="asymptotic")])
def test_ks_agrees_with_scipy(rows: int) -> None:
    rng = np.random.default_rng(3)
    golden, current = rng.standard_normal(rows), rng.standard_normal(rows - 50) + 0.02
    expected = stats.ks_2samp(golden, current)
    assert ks_test(golden, current) == (expected.statistic, expected.pvalue)


def test_ks_of_ties_gives_the_conservative_p_that_the_docstring_warns_of() -> None:
    golden, current = zeros_and_ones(50, of=1_000), zeros_and_ones(80, of=1_000)
    fisher = stats.fisher_exact(np.array([[950, 50], [920, 80]])).pvalue
    assert fisher == pytest.approx(0.00830844838)
    assert ks_test(golden, current) == pytest.approx((0.03, 0.76), abs=0.005)


LEVELS = [
    pytest.param(0.0, "none", False, id="same"),
    pytest.param(0.4, "moderate", True, id="moderate-psi-but-ks-calls-it"),
    pytest.param(1.0, "significant", True, id="one-sigma"),
]


@pytest.mark.parametrize(("shift", "level", "drift"), LEVELS)
def test_drift_is_reported_in_the_guide_s_words(shift: float, level: str, drift: bool) -> None:
    golden = stats.norm.ppf((np.arange(2_000) + 0.5) / 2_000)
    report = detect_drift(golden, golden + shift)
    ks = ks_test(golden, golden + shift)
    assert report == {
        "psi": {"value": psi(golden, golden + shift), "level": level},
        "ks": {"statistic": ks.statistic, "p_value": ks.p_value},
        "overall_drift": drift,
    }
    assert type(report["overall_drift"]) is bool


def test_a_tiny_shift_of_many_rows_is_not_drift() -> None:
    golden = stats.norm.ppf((np.arange(50_000) + 0.5) / 50_000)
    report = detect_drift(golden, golden + 0.05)
    assert report["ks"]["p_value"] < 1e-6
    assert not report["overall_drift"]


def test_a_limit_is_itself_allowed_and_only_more_is_drift() -> None:
    golden, current = UNIFORM, UNIFORM + 0.1
    index, distance = psi(golden, current), ks_test(golden, current).statistic
    on_the_limit = detect_drift(golden, current, limits=DriftLimits(psi_moderate=index, psi=index, ks_p=0))
    below_it = detect_drift(golden, current, limits=DriftLimits(psi_moderate=0, psi=0.999 * index, ks_p=0))
    by_distance = detect_drift(golden, current, limits=DriftLimits(psi=99, ks_distance=distance))
    assert (on_the_limit["psi"]["level"], on_the_limit["overall_drift"]) == ("none", False)
    assert (below_it["psi"]["level"], below_it["overall_drift"]) == ("significant", True)
    assert by_distance["overall_drift"]


def test_the_least_rows_allowed_give_a_verdict() -> None:
    assert not detect_drift(UNIFORM[:MINIMUM_ROWS], UNIFORM[:MINIMUM_ROWS])["overall_drift"]


def test_the_least_rows_keep_chance_below_the_limit() -> None:
    # 95 % point of the index without drift, n = m = 170 and ten bins, by Yurdakul and Naranjo.
    assert stats.chi2.ppf(0.95, 9) * 2 / MINIMUM_ROWS == pytest.approx(0.199, abs=5e-4)


HALF_NAN = np.where(np.arange(200) % 2, np.nan, 0.5)
REPAIR = "repair them or count them apart"
BAD_VALUES = [
    pytest.param(HALF_NAN, f"current holds 100 NaN or infinite of 200 values: {REPAIR}", id="half-nan"),
    pytest.param([0.1, math.inf], f"current holds 1 NaN or infinite of 2 values: {REPAIR}", id="infinite"),
    pytest.param([0.1, None], f"current holds 1 NaN or infinite of 2 values: {REPAIR}", id="none"),
    pytest.param([], "current is empty: give at least one prediction", id="empty"),
    pytest.param(
        np.zeros((3, 1)), "current has shape (3, 1), not one dimension: give one prediction a row", id="two-dimensions"
    ),
    pytest.param(
        ["buy"],
        "current cannot be read as numbers (<U3): give one real number a place",
        id="words",
    ),
]


@pytest.mark.parametrize("measure", [psi, ks_test, detect_drift])
@pytest.mark.parametrize(("current", "message"), BAD_VALUES)
def test_values_that_cannot_be_compared_are_refused(
    measure: Callable[[ArrayLike, ArrayLike], object], current: ArrayLike, message: str
) -> None:
    with pytest.raises(StatisticsError) as refusal:
        measure(UNIFORM, current)
    assert str(refusal.value) == message


def test_a_bad_golden_is_named_too() -> None:
    with pytest.raises(StatisticsError, match=r"^golden is empty: give at least one prediction$"):
        psi([], UNIFORM)


@pytest.mark.parametrize("side", ["golden", "current"])
def test_too_few_rows_carry_no_verdict(side: str) -> None:
    few = {"golden": UNIFORM, "current": UNIFORM} | {side: UNIFORM[: MINIMUM_ROWS - 1]}
    with pytest.raises(StatisticsError) as refusal:
        detect_drift(few["golden"], few["current"])
    expected = f"{side} has 169 values, too few to tell drift from chance: give at least 170"
    assert str(refusal.value) == expected


def test_fewer_than_two_bins_are_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^bins is 1: give 2 or more$"):
        psi(UNIFORM, UNIFORM, bins=1)


BAD_COUNTS = [
    pytest.param(
        [1, 2],
        [1, 2, 3],
        0.5,
        "reference counts have shape (2,), live counts (3,): bin both with the same edges",
        id="shapes",
    ),
    pytest.param(
        [1, -2],
        [1, 2],
        0.5,
        "the reference counts [1.0, -2.0] hold a negative, NaN or infinite one: count again",
        id="negative",
    ),
    pytest.param(
        [1, 2],
        [1, math.nan],
        0.5,
        "the live counts [1.0, nan] hold a negative, NaN or infinite one: count again",
        id="nan",
    ),
    pytest.param(
        [1, 2], [0, 0], 0.5, "the live counts are all 0: give at least one value to each side", id="empty-side"
    ),
    pytest.param([1, 2], [1, 2], -1, "the pseudocount is -1: give 0 or more", id="negative-pseudocount"),
    pytest.param(
        [1, 2],
        [0, 3],
        0,
        "a bin is empty, so the index has no finite value: give a pseudocount above 0",
        id="empty-bin",
    ),
]


@pytest.mark.parametrize(("reference", "live", "pseudocount", "message"), BAD_COUNTS)
def test_counts_that_cannot_be_compared_are_refused(
    reference: list[float], live: list[float], pseudocount: float, message: str
) -> None:
    with pytest.raises(StatisticsError) as refusal:
        population_stability_index(reference, live, pseudocount=pseudocount)
    assert str(refusal.value) == message


BAD_LIMITS = [
    pytest.param({"psi": math.nan}, id="nan"),
    pytest.param({"psi_moderate": 0.3}, id="out-of-order"),
    pytest.param({"ks_p": 5.0}, id="a-percentage"),
    pytest.param({"ks_distance": -0.1}, id="negative"),
]


@pytest.mark.parametrize("limits", BAD_LIMITS)
def test_limits_that_could_never_alarm_or_never_rest_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(StatisticsError) as refusal:
        DriftLimits(**limits)
    assert str(refusal.value).startswith("DriftLimits(psi_moderate=")
    assert str(refusal.value).endswith(
        ") sets no usable limits: give 0 <= psi_moderate <= psi, and ks_p and ks_distance within [0, 1]"
    )
