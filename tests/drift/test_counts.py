"""Counts over the grid of a golden: exact in every dtype, and the same however a sample is cut."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.drift import columns, counts
from pytest_modelgates.drift.counts import Counts, Grid
from pytest_modelgates.drift.summary import Reference
from pytest_modelgates.errors import StatisticsError

ODD = st.sampled_from([math.nan, math.inf, -math.inf])
VALUES = st.one_of(st.sampled_from([0.0, 0.25, 1.0]), st.floats(-3, 3), ODD)
SAMPLE = st.lists(VALUES, min_size=1, max_size=120)
FINITE = st.lists(st.sampled_from([0.0, 0.25, 1.0]) | st.floats(-3, 3), min_size=1, max_size=200)
DAYS = st.integers(0, 5)


def as_lists(found: Counts) -> list[Any]:
    whole = (found.finite, found.nan, found.lowest, found.highest)
    return [found.grid, found.below.tolist(), found.up_to.tolist(), *whole]


def by_hand(grid: Grid, values: list[Any]) -> list[Any]:
    """Count with Python's own comparisons, which are exact between integers and floats."""
    finite = [value for value in values if math.isfinite(value)]
    points = grid.points.tolist()
    below, up_to = ([sum(test(value, point) for value in finite) for point in points] for test in (float_lt, float_le))
    kinds = (sum(map(math.isnan, values)), values.count(-math.inf), values.count(math.inf))
    return [grid.golden.grid, below, up_to, len(finite), *kinds]


def float_lt(a: Any, b: Any) -> bool:
    return bool(a < b)


def float_le(a: Any, b: Any) -> bool:
    return bool(a <= b)


@settings(deadline=None)
@given(golden=FINITE, sample=SAMPLE, points=st.sampled_from([2, 5, 16_384]))
def test_counts_are_those_of_a_count_by_hand(golden: list[float], sample: list[float], points: int) -> None:
    grid = Grid.of(golden, points=points)
    assert as_lists(grid.count(sample)) == by_hand(grid, sample)
    assert as_lists(grid.golden) == by_hand(grid, golden)


@settings(deadline=None)
@given(
    golden=FINITE, sample=st.lists(st.tuples(VALUES, DAYS), min_size=1, max_size=80), cuts=st.lists(st.integers(0, 80))
)
def test_any_split_gives_the_same_counts_in_any_order(
    golden: list[float], sample: list[tuple[float, int]], cuts: list[int]
) -> None:
    reference = Reference.of(golden)
    values, days = (np.array(each) for each in zip(*sample, strict=True))
    places = [part for part in np.split(np.arange(values.size), sorted(cuts)) if part.size]
    parts = [reference.count(values[place], days=days[place].astype("datetime64[D]")) for place in places]
    whole = reference.count(values, days=days.astype("datetime64[D]"))
    for order in (parts, parts[::-1]):
        total = sum(order, start=reference.none())
        assert as_lists(total.counts) == as_lists(whole.counts)
        assert {day: each.tolist() for day, each in total.days.items()} == {
            day: each.tolist() for day, each in whole.days.items()
        }


@settings(deadline=None)
@given(golden=FINITE, samples=st.tuples(SAMPLE, SAMPLE, SAMPLE))
def test_adding_is_associative_and_commutative(golden: list[float], samples: tuple[list[float], ...]) -> None:
    grid = Grid.of(golden)
    a, b, c = (grid.count(sample) for sample in samples)
    assert as_lists((a + b) + c) == as_lists(a + (b + c)) == as_lists(c + b + a)
    assert as_lists(a + grid.none()) == as_lists(a)


SCORES = {
    "even": lambda rng, size: rng.random(size),
    "returns": lambda rng, size: 1e-3 * rng.standard_t(3, size),
    "over-many-magnitudes": lambda rng, size: rng.lognormal(0, 4, size),
    "mostly-zero": lambda rng, size: np.where(rng.random(size) < 0.97, 0.0, rng.random(size)),
    "four-digits": lambda rng, size: np.round(rng.random(size), 4),
    "two-kinds": lambda rng, size: (rng.random(size) < 0.1).astype(float),
    "with-an-outlier": lambda rng, size: np.append(rng.random(size), 1e300),
    "around-zero-and-signed": lambda rng, size: rng.choice([-1, 1], size) * rng.lognormal(0, 9, size),
    "constant": lambda rng, size: np.full(size, 0.5),
    "float32": lambda rng, size: rng.standard_normal(size).astype(np.float32),
    "small-integers": lambda rng, size: rng.integers(-9, 9, size).astype(np.int16),
}
# The largest numbers, the smallest, both zeros, and all that is not finite.
EXTREME = [1.7e308, -1.7e308, 5e-324, -5e-324, 0.0, -0.0, math.nan, math.inf, -math.inf, 1e300]


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("golden", [400, 40_000])
def test_a_table_counts_as_sorting_does(kind: str, golden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    grid = Grid.of(SCORES[kind](rng, golden))
    odd = np.array([]) if kind == "small-integers" else np.array(EXTREME)
    with np.errstate(over="ignore"):
        values = np.concatenate([SCORES[kind](rng, 70_000), grid.points[::3], odd]).astype(SCORES[kind](rng, 1).dtype)
    by_sorting = as_lists(grid.count(values))
    monkeypatch.setattr(counts, "_LARGE", 1)
    assert as_lists(grid.count(values)) == by_sorting
    assert as_lists(grid.count(values[::-2])) == as_lists(grid.count(values[::-2].copy()))


@settings(deadline=None)
@given(golden=FINITE, sample=SAMPLE)
def test_a_table_counts_as_a_count_by_hand(golden: list[float], sample: list[float]) -> None:
    grid = Grid.of(golden)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "_LARGE", 1)
        assert as_lists(grid.count(sample)) == by_hand(grid, sample)


def test_a_golden_without_room_between_its_values_is_counted_by_sorting() -> None:
    grid = Grid.of(1 + np.arange(3_000) * 2.0**-52)
    assert as_lists(grid.count(grid.points)) == by_hand(grid, grid.points.tolist())
    assert Grid.of([2**53, 2**53 + 1])._buckets is None


def test_a_chunk_is_no_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    values, grid = rng.standard_normal(1_000), Grid.of(rng.standard_normal(300))
    whole = as_lists(grid.count(values))
    monkeypatch.setattr(columns.chunks, "__kwdefaults__", {"size": 7})
    assert as_lists(grid.count(values)) == whole


def test_cells_are_counts_told_otherwise() -> None:
    found = Grid.of([1, 2, 2, 4]).count([0, 1, 2, 2, 3, 9])
    assert found.cells.tolist() == [1, 1, 0, 2, 1, 0, 1]
    assert as_lists(Counts.of_cells(found.grid, found.cells)) == as_lists(found)


def test_a_long_golden_keeps_order_statistics_with_both_ends() -> None:
    golden = np.random.default_rng(2).standard_normal(100_000)
    grid = Grid.of(golden)
    assert (grid.points.size, grid.whole) == (16_384, False)
    assert (grid.points[0], grid.points[-1]) == (golden.min(), golden.max())
    assert np.isin(grid.points, golden).all()
    # Nothing between two points is more than its share.
    assert np.diff(grid.golden.cells[::2][1:-1]).max() <= 100_000 / 16_383


BIG = 2**53
EXACT: list[Any] = [
    pytest.param([BIG, BIG + 1, BIG + 2], np.array([BIG, BIG + 1, BIG + 3]), id="int64-beyond-float64"),
    pytest.param(np.array([1, 2**63 + 1], dtype=np.uint64), np.array([-1, 1, 2**63 - 1]), id="uint64-and-int64"),
    pytest.param([BIG, BIG + 1], np.array([2.0**53, 2.0**53 + 2]), id="int64-and-float64"),
    pytest.param([0.5, 2.0**53], np.array([BIG, BIG + 1]), id="float64-and-int64"),
    pytest.param([False, True, True], np.array([True, False]), id="truth-values"),
    pytest.param(np.array([0, 255, 7], dtype=np.uint8), np.array([7, 8], dtype=np.int16), id="small-integers"),
    pytest.param(np.array([0.1, 0.2], dtype=np.float16), np.array([0.1, 0.2], dtype=np.float16), id="float16"),
    pytest.param(np.array([0.1, 0.2]), np.array([0.1, 0.2], dtype=np.float32), id="float32-and-float64"),
    pytest.param([0.1, 0.2], np.array([0.1, 0.2], dtype=">f8"), id="other-byte-order"),
    pytest.param([1.0, np.nextafter(1.0, 2.0)], np.array([1.0, np.nextafter(1.0, 2.0)]), id="one-ulp-apart"),
    pytest.param([0.0, 1.0], np.array([-0.0, 0.0]), id="signed-zeros"),
]


@pytest.mark.parametrize(("golden", "current"), EXACT)
def test_every_dtype_is_exact(golden: Any, current: Any) -> None:
    grid = Grid.of(golden)
    assert as_lists(grid.count(current)) == by_hand(grid, np.asarray(current).tolist())


def test_what_a_mask_hides_is_missing_and_never_used() -> None:
    masked = np.ma.array([1.0, 1e9, 2.0], mask=[False, True, False])
    found = Grid.of([1, 2, 3]).count(masked)
    assert (found.finite, found.nan, found.up_to.tolist()) == (2, 1, [1, 2, 2])
    assert Grid.of(np.ma.array([1, 2**60], mask=[False, True])).points.tolist() == [1.0]


def test_none_is_missing() -> None:
    found = Grid.of([1, 2]).count([1, None, math.nan, math.inf])
    assert (found.finite, found.nan, found.highest, found.missing, found.rows) == (1, 2, 1, 3, 4)


NO_NUMBERS: list[Any] = [
    pytest.param([1j], "current cannot be read as numbers (complex128): give one real number a place", id="complex"),
    pytest.param(["1"], "current cannot be read as numbers (<U1): give one real number a place", id="text"),
    pytest.param(["1", None], "current cannot be read as numbers (str): give one real number a place", id="objects"),
    pytest.param(
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        "current cannot be read as numbers (datetime64[D]): give one real number a place",
        id="dates",
    ),
    pytest.param(
        np.array([1.0], dtype=np.longdouble),
        f"current cannot be read as numbers ({np.dtype(np.longdouble)}): give one real number a place",
        id="longdouble",
    ),
    pytest.param([[1.0]], "current has shape (1, 1), not one dimension: give one prediction a row", id="matrix"),
    pytest.param(1.0, "current has shape (), not one dimension: give one prediction a row", id="scalar"),
    pytest.param([], "current is empty: give at least one prediction", id="empty"),
]


@pytest.mark.parametrize(("values", "message"), NO_NUMBERS)
def test_what_is_no_column_of_numbers_is_refused(values: Any, message: str) -> None:
    with pytest.raises(StatisticsError) as refusal:
        Grid.of([1.0]).count(values)
    assert str(refusal.value) == message


def test_a_golden_without_a_finite_value_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^golden has 2 values, none of them finite: give one that is$"):
        Grid.of([math.nan, math.inf])


def test_counts_over_two_goldens_do_not_add_up() -> None:
    with pytest.raises(StatisticsError, match=r"^counts over the grids of two goldens do not add up: count both over"):
        Grid.of([1, 2]).none() + Grid.of([1, 1, 2]).none()


BAD_DAYS: list[Any] = [
    pytest.param(["x"], "the days of current cannot be read (", id="words"),
    pytest.param(["NaT"], "current has 1 rows and days of shape (1,): give one date a row", id="missing"),
    pytest.param(["2026-01-01"] * 2, "current has 1 rows and days of shape (2,): give one date a row", id="two"),
]


@pytest.mark.parametrize(("days", "message"), BAD_DAYS)
def test_days_are_one_a_row(days: list[str], message: str) -> None:
    with pytest.raises(StatisticsError) as refusal:
        Reference.of([1.0]).count([1.0], days=days)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize("kind", [each for each in SCORES if each not in ("float32", "small-integers")])
def test_points_taken_from_a_part_of_a_long_golden_are_its_own_and_counted_of_all(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = SCORES[kind](np.random.default_rng(8), 60_000)
    golden[::501] = np.nan
    golden[3] = math.inf
    monkeypatch.setattr(counts, "_LONG", 1)
    monkeypatch.setattr(counts, "_DRAWN", 30_000)
    grid = Grid.of(golden)
    finite = golden[np.isfinite(golden)]
    assert np.isin(grid.points, finite).all()
    assert (grid.points[0], grid.points[-1]) == (finite.min(), finite.max())
    assert grid.golden.finite == finite.size
    assert grid.golden.up_to.tolist() == np.searchsorted(np.sort(finite), grid.points, side="right").tolist()
    assert grid.whole == (np.unique(finite).size == grid.points.size) == (not grid.golden.cells[::2].any())
    assert grid.golden.cells[::2].max() <= 60_000 / 1_000


def test_a_rare_value_that_was_not_drawn_is_a_point_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    golden = np.append(np.tile([0.0, 1.0], 5_000), 0.5)
    monkeypatch.setattr(counts, "_LONG", 1)
    monkeypatch.setattr(counts, "_DRAWN", 50)
    assert Grid.of(golden).points.tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(StatisticsError, match=r"^golden has 9 values, none of them finite"):
        Grid.of(np.full(9, math.nan))
