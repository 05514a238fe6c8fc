"""Whether two panels are of the same market data."""

from collections.abc import Callable

import numpy as np
import pytest

from pytest_modelgates.stats.families import MOST, market_hashes, one_family
from tests.calibration.families_sweep import ALIKE, APART, Table, by_rows, invented, shared

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def market(days: int = 250, names: int = 5, *, seed: int = 1) -> Rows:
    return by_rows(invented(np.random.default_rng(seed), days=days, names=names))


def rows(found: Rows, kept: np.ndarray) -> Rows:
    times, assets, returns = found
    return times[kept], assets[kept], returns[kept]


def shuffled(found: Rows) -> Rows:
    return rows(found, np.random.default_rng(2).permutation(len(found[0])))


def later_in_the_day(found: Rows) -> Rows:
    return found[0].astype("datetime64[s]") + np.timedelta64(16, "h"), *found[1:]


def renamed(found: Rows) -> Rows:
    return found[0], np.array([3, 9, 0, 5, 1])[found[1]], found[2]


def in_per_cent(found: Rows) -> Rows:
    return *found[:2], 100 * found[2]


def test_the_hash_of_a_peak_is_that_of_every_platform_and_version() -> None:
    # Days 20 to 40 of a panel of 60, with a peak on day 30; the extremes are 3, 1, -2, 9, -7 days from it.
    returns = np.linspace(0, 1e-3, 60)
    for day, size in ((30, 0.03), (33, 0.02), (31, 0.01), (28, -0.03), (39, -0.02), (23, -0.01)):
        returns[day] = size
    days = np.datetime64("2020-01-01") + np.arange(60)
    found = market_hashes(days, np.zeros(60, dtype=np.int64), returns)
    value = by_hand_mixed(2020 * 12 - 1970 * 12)
    for distance in (-2, 9, -7, 1, 3):
        value = by_hand_mixed(value + distance)
    assert value in found.tolist()


def by_hand_mixed(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


@pytest.mark.parametrize("change", [shuffled, later_in_the_day, renamed, in_per_cent])
def test_order_hour_name_and_unit_of_a_row_leave_every_hash(change: Callable[[Rows], Rows]) -> None:
    found = market_hashes(*market())
    assert (np.diff(found.astype(object)) > 0).all()
    np.testing.assert_array_equal(market_hashes(*change(market())), found)


@pytest.mark.parametrize("name", ALIKE)
def test_an_ordinary_change_is_the_same_family(name: str) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        one = invented(rng, days=500, names=20, common=seed)
        assert shared(one, ALIKE[name](one, rng)) >= 0.35


@pytest.mark.parametrize("name", APART)
def test_other_prices_are_another_family(name: str) -> None:
    rng = np.random.default_rng(1)
    assert shared(*APART[name](rng, 40)) <= 0.15


def every(step: int) -> Callable[[Table], Table]:
    return lambda found: Table(found.days[::step], found.returns[::step])


@pytest.mark.parametrize("step", [5, 21], ids=["weeks", "months"])
def test_weeks_and_months_know_their_family_too(step: int) -> None:
    rng = np.random.default_rng(3)
    one, other = (every(step)(invented(rng, days=150 * step, names=10)) for _ in range(2))
    for change in ("a calendar day later", "5 decimals", "in excess of a bill"):
        assert shared(one, ALIKE[change](one, rng)) >= 0.5
    assert shared(one, other) < 0.1


def test_a_quarter_of_the_smaller_panel_decides() -> None:
    one, other = market_hashes(*market(500)), market_hashes(*market(500, seed=2))
    assert min(one.size, other.size) >= 100
    assert not one_family(one, other)
    assert one_family(one, np.sort(np.concatenate([one[:25], other[:75]])))
    assert not one_family(one, np.sort(np.concatenate([one[:24], other[:76]])))


def test_of_many_hashes_the_smallest_speak_for_all() -> None:
    rng = np.random.default_rng(4)
    every_hash = np.unique(rng.integers(0, 2**64, 4 * MOST, dtype=np.uint64))
    cut, half, unlike = every_hash[:MOST], np.sort(rng.permutation(every_hash)[: 2 * MOST])[:MOST], ~every_hash[::-1]
    small = np.sort(rng.choice(every_hash, 2_000, replace=False))
    assert one_family(cut, half)
    assert one_family(cut, small)
    assert one_family(small, cut)
    assert not one_family(cut, unlike[:MOST])
    assert not one_family(cut, np.sort(rng.choice(unlike, 2_000, replace=False)))


def test_a_panel_that_tells_nothing_could_be_any() -> None:
    none = market_hashes(*market(20))
    assert none.size == 0
    assert one_family(none, market_hashes(*market()))
    assert one_family(market_hashes(*market()), none)


def test_names_that_do_not_trade_have_no_shape() -> None:
    times, assets, returns = market()
    halted = np.where(assets == 0, 0.0, returns)
    bill = 1e-7 * np.random.default_rng(1).standard_normal(250).repeat(5)
    for found in (halted, halted - bill):
        alone = assets == 0
        assert market_hashes(times[alone], assets[alone], found[alone]).size == 0


def test_rows_without_a_return_are_left_out() -> None:
    times, assets, returns = market()
    gaps = returns.copy()
    gaps[:5] = [np.nan, np.inf, -np.inf, 1e300, -0.0]
    assert one_family(market_hashes(times, assets, gaps), market_hashes(times, assets, returns))
    assert market_hashes(times, assets, np.full_like(returns, np.nan)).size == 0
