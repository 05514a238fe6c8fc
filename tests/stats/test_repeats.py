"""Days that come twice."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.stats.repeats import repeated_days, repeated_names


def returns_of(days: int = 60, names: int = 9) -> np.ndarray:
    return 0.01 * np.random.default_rng(1).standard_normal((days, names))


def by_hand(returns: np.ndarray) -> list[list[int]]:
    """Compare all pairs of days."""
    found = {}
    for earlier, later in itertools.combinations(range(len(returns)), 2):
        a, b = returns[earlier], returns[later]
        if np.array_equal(a, b, equal_nan=True) and (np.nan_to_num(a) != 0).sum() >= 2 and later not in found:
            found[later] = earlier
    return sorted([later, earlier] for later, earlier in found.items())


def test_days_that_differ_do_not_repeat() -> None:
    assert repeated_days(returns_of()).tolist() == []
    assert repeated_days(returns_of()).shape == (0, 2)


def test_a_block_written_twice_is_found_day_by_day() -> None:
    twice = np.tile(returns_of(30), (3, 1))
    assert repeated_days(twice).tolist() == [[30 + day, day % 30] for day in range(60)]


@given(seed=st.integers(0, 400), days=st.integers(2, 12), names=st.integers(1, 7))
def test_days_repeat_as_by_hand(seed: int, days: int, names: int) -> None:
    random = np.random.default_rng(seed)
    returns = random.choice([0.0, -0.0, 0.01, np.nan], (days, names), p=[0.2, 0.2, 0.4, 0.2])
    found = repeated_days(returns).tolist()
    # A day whose vector is another's always repeats; found beside it is one that only has other names.
    assert {later for later, _ in by_hand(returns)} <= {later for later, _ in found}
    for later, earlier in found:
        both = ~np.isnan(returns[later]) & ~np.isnan(returns[earlier])
        assert (returns[later, both] == returns[earlier, both]).all()
        assert np.count_nonzero(returns[later, both]) >= 2


def test_a_copy_is_seen_although_a_name_was_left_out_or_joined() -> None:
    returns = returns_of()
    returns[40] = returns[10]
    returns[40, 3] = np.nan
    returns[10, 5] = np.nan
    assert repeated_days(returns).tolist() == [[40, 10]]
    returns[40, [0, 1, 2]] = np.nan
    returns[10, [6, 7]] = np.nan
    assert repeated_days(returns).tolist() == [], "fewer than half of the names are left"


def test_a_copy_is_seen_through_noise_that_no_price_has() -> None:
    returns = returns_of()
    returns[40] = returns[10] + 1e-13
    assert repeated_days(returns).tolist() == [[40, 10]]


@pytest.mark.parametrize(("moved", "wanted"), [(0, []), (1, []), (2, [[40, 10]])])
def test_days_on_which_hardly_anything_moves_may_be_alike(moved: int, wanted: list[list[int]]) -> None:
    returns = returns_of()
    returns[[10, 40]] = 0.0
    returns[[10, 40], :moved] = 0.01
    assert repeated_days(returns).tolist() == wanted


def test_one_name_that_differs_is_another_day() -> None:
    returns = returns_of()
    returns[40] = returns[10]
    returns[40, 3] += 1e-4
    assert repeated_days(returns).tolist() == []


def one_name_changed(copy: np.ndarray) -> np.ndarray:
    copy[:, 0] += 1e-6
    return copy


def two_names_exchanged(copy: np.ndarray) -> np.ndarray:
    copy[:, [0, 1]] = copy[:, [1, 0]]
    return copy


def four_names_missing(copy: np.ndarray) -> np.ndarray:
    copy[:, :4] = np.nan
    return copy


def rounded_to_single(copy: np.ndarray) -> np.ndarray:
    return copy.astype(np.float32).astype(np.float64)


def noise(copy: np.ndarray) -> np.ndarray:
    return copy + 1e-6 * np.random.default_rng(2).uniform(-1, 1, copy.shape)


@pytest.mark.parametrize(
    "hidden", [one_name_changed, two_names_exchanged, four_names_missing, rounded_to_single, noise]
)
def test_a_copy_is_seen_though_a_few_names_or_all_were_changed_a_little(hidden: object) -> None:
    returns = returns_of(400, 20)
    returns[200:] = hidden(returns[:200].copy())  # type: ignore[operator]
    assert repeated_days(returns).tolist() == [[200 + day, day] for day in range(200)]


@pytest.mark.parametrize("names", [12, 20, 100])
def test_coarse_prices_and_names_that_hardly_trade_are_not_copies(names: int) -> None:
    random = np.random.default_rng(names)
    for usual in (0.015, 5e-5):
        returns = np.round(random.standard_normal((1500, names)), 1) * usual
        returns[random.random(returns.shape) < 0.3] = 0
        assert repeated_days(returns).tolist() == []


def test_days_of_one_factor_are_not_copies() -> None:
    random = np.random.default_rng(3)
    curve = random.standard_normal((1500, 1)) * np.linspace(0.002, 0.02, 12)
    assert repeated_days(curve * (1 + 0.05 * random.standard_normal(curve.shape))).tolist() == []


def test_names_that_are_others_over_again_are_found() -> None:
    returns = returns_of(200, 12)
    assert repeated_names(returns).tolist() == []
    returns[:, 9] = returns[:, 4] + 1e-7
    assert repeated_names(returns).tolist() == [[9, 4]]
    returns[:182, 9] = np.nan
    assert repeated_names(returns).tolist() == []
