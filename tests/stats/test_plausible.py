"""Returns that can be returns, and some that cannot."""

import numpy as np
import pytest

from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.stats.plausible import return_sizes


def returns_of(days: int = 100, names: int = 8) -> np.ndarray:
    return 0.01 * np.random.default_rng(1).standard_t(4, (days, names))


def test_ordinary_returns_are_not_odd() -> None:
    returns = returns_of()
    returns[:50, 3] = np.nan
    found = return_sizes(returns)
    assert (found.impossible.tolist(), found.constant.tolist()) == ([], [])
    assert found.median == pytest.approx(np.nanmedian(np.abs(returns)))


def test_a_loss_of_more_than_everything_is_named_and_of_everything_is_not() -> None:
    returns = returns_of()
    returns[5, 3], returns[7, 2], returns[9, 1] = -1.7, -1.0, -1.0000001
    assert return_sizes(returns).impossible.tolist() == [[5, 3], [9, 1]]


def test_zeros_are_no_size() -> None:
    returns = returns_of()
    returns[np.random.default_rng(2).random(returns.shape) < 0.7] = 0.0
    assert return_sizes(returns).median == pytest.approx(np.median(np.abs(returns[returns != 0])))
    assert return_sizes(np.zeros((30, 4))).median == 0


@pytest.mark.parametrize("value", [0.0, 0.003, -0.01])
def test_a_name_whose_return_never_changes_is_named(value: float) -> None:
    returns = returns_of()
    returns[30:90, 4] = value
    returns[:30, 4] = returns[90:, 4] = np.nan
    returns[:, 6] = np.nan  # no name at all
    assert return_sizes(returns).constant.tolist() == [4]
    returns[40, 4] += 1e-4
    assert return_sizes(returns).constant.tolist() == []


def test_a_name_of_a_few_rows_may_stand_still() -> None:
    returns = returns_of()
    returns[59:, 4] = np.nan
    returns[:59, 4] = 0.0
    assert return_sizes(returns).constant.tolist() == []
    returns[59, 4] = 0.0
    assert return_sizes(returns).constant.tolist() == [4]


def test_a_panel_without_rows_has_no_returns() -> None:
    with pytest.raises(InsufficientDataError, match="the panel has no return: give rows"):
        return_sizes(np.full((3, 2), np.nan))


def test_names_in_another_unit_are_named() -> None:
    returns = returns_of()
    assert return_sizes(returns).odd.tolist() == []
    returns[:, [2, 5]] *= 100
    assert return_sizes(np.maximum(returns, -1)).odd.tolist() == [2, 5]
    returns = returns_of() / 100
    returns[:, 3] *= 40
    assert return_sizes(returns).odd.tolist() == [3]


def test_returns_of_months_are_measured_by_the_day() -> None:
    monthly = 25 * returns_of()
    assert return_sizes(monthly).median > 0.1
    assert return_sizes(monthly, periods_per_year=12).median < 0.1
    with pytest.raises(StatisticsError, match="a year of 0 periods"):
        return_sizes(monthly, periods_per_year=0)


@pytest.mark.parametrize(("low", "high"), [(-0.02, 9), (-9, 0.02), (-0.03, 0.03)])
def test_returns_that_are_cut_off_are_counted(low: float, high: float) -> None:
    returns = returns_of(1000)
    cut = (returns < low) | (returns > high)
    assert return_sizes(returns).clipped == 0
    assert return_sizes(np.clip(returns, low, high)).clipped == pytest.approx(cut.mean(), abs=0.003)
    # Each name by itself.
    assert return_sizes(np.clip(returns, low, high) * np.linspace(0.5, 2, 8)).clipped > 0.8 * cut.mean() - 0.004


@pytest.mark.parametrize("step", [0.001, 0.01, 0.02])
def test_coarse_prices_and_total_losses_are_not_cut_off(step: float) -> None:
    returns = np.round(returns_of(1000) / step) * step
    returns[-1] = -1.0
    assert return_sizes(returns).clipped == 0
