"""Whether two panels are of the same market data."""

from collections.abc import Callable

import numpy as np
import pytest

from pytest_modelgates.stats.families import month_hashes, one_family

Market = tuple[np.ndarray, np.ndarray, np.ndarray]


def market(days: int = 250, names: int = 5, *, seed: int = 1) -> Market:
    times = np.repeat(np.datetime64("2020-01-01") + np.arange(days), names)
    assets = np.tile(np.arange(names), days)
    return times, assets, 0.01 * np.random.default_rng(seed).standard_normal(days * names)


def rows(found: Market, kept: np.ndarray) -> Market:
    times, assets, returns = found
    return times[kept], assets[kept], returns[kept]


def shuffled(found: Market) -> Market:
    return rows(found, np.random.default_rng(2).permutation(len(found[0])))


def later_in_the_day(found: Market) -> Market:
    return found[0].astype("datetime64[s]") + np.timedelta64(16, "h"), *found[1:]


def in_float32(found: Market) -> Market:
    return *found[:2], found[2].astype(np.float32).astype(np.float64)


def test_a_hash_stands_for_each_asset_and_month() -> None:
    found = month_hashes(*market(days=60))
    assert (found.dtype, found.size) == (np.uint64, 5 * 2)
    assert (np.diff(found.astype(object)) > 0).all()


def test_the_hashes_are_those_of_every_platform_and_version() -> None:
    times = np.array(["2020-01-31", "2020-02-03"], dtype="datetime64[us]")
    found = month_hashes(times, np.array([0, 0]), np.array([0.01, -0.02]))
    # By hand, with Python's own integers.
    assert sorted(map(int, found)) == sorted(by_hand(day, steps) for day, steps in ((18292, 10_000), (18295, -20_000)))


def by_hand(day: int, steps: int) -> int:
    def mixed(value: int) -> int:
        value = (value + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        return value ^ (value >> 31)

    return mixed(mixed((mixed(day) + steps) % 2**64))


@pytest.mark.parametrize("change", [shuffled, later_in_the_day], ids=["order", "hour"])
def test_neither_the_order_nor_the_hour_of_a_row_counts(change: Callable[[Market], Market]) -> None:
    np.testing.assert_array_equal(month_hashes(*change(market())), month_hashes(*market()))


def test_neither_the_names_nor_float32_make_another_family() -> None:
    times, assets, returns = market()
    names = np.array([3, 9, 0, 5, 1])[assets]
    np.testing.assert_array_equal(month_hashes(times, names, returns), month_hashes(*market()))
    assert one_family(month_hashes(*in_float32(market())), month_hashes(*market()))


@pytest.mark.parametrize(
    ("kept", "same"),
    [
        pytest.param(lambda days, names: days > 0, True, id="one-day-less"),
        pytest.param(lambda days, names: days < 130, True, id="half-of-the-days"),
        pytest.param(lambda days, names: names < 2, True, id="two-of-the-names"),
        pytest.param(lambda days, names: names < 0, False, id="nothing"),
    ],
)
def test_a_part_of_a_panel_is_of_its_family(kept: Callable[[np.ndarray, np.ndarray], np.ndarray], same: bool) -> None:
    whole = market()
    days = (whole[0] - whole[0][0]).astype(int)
    part = month_hashes(*rows(whole, kept(days, whole[1])))
    assert one_family(part, month_hashes(*whole)) is one_family(month_hashes(*whole), part) is same


def test_other_prices_are_another_family_and_half_of_the_shorter_decides() -> None:
    one, other = month_hashes(*market()), month_hashes(*market(seed=2))
    assert not one_family(one, other)
    mixed = np.sort(np.concatenate([one[:20], other[:20]]))
    assert one_family(one, mixed)
    assert not one_family(one, np.sort(np.concatenate([one[:19], other[:21]])))


def test_rows_without_a_return_are_left_out() -> None:
    times, assets, returns = market()
    gaps = returns.copy()
    gaps[:5] = [np.nan, np.inf, -np.inf, 1e300, -0.0]
    found = month_hashes(times, assets, gaps)
    assert found.size == month_hashes(times, assets, returns).size
