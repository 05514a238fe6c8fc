"""Returns that can be returns, and some that cannot."""

import numpy as np
import pytest

from pytest_modelgates.errors import InsufficientDataError
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
    returns[30:60, 4] = value
    returns[:30, 4] = returns[60:, 4] = np.nan
    returns[:, 6] = np.nan  # no name at all
    assert return_sizes(returns).constant.tolist() == [4]
    returns[40, 4] += 1e-4
    assert return_sizes(returns).constant.tolist() == []


def test_a_name_of_a_few_rows_may_stand_still() -> None:
    returns = returns_of()
    returns[19:, 4] = np.nan
    returns[:19, 4] = 0.0
    assert return_sizes(returns).constant.tolist() == []
    returns[19, 4] = 0.0
    assert return_sizes(returns).constant.tolist() == [4]


def test_a_panel_without_rows_has_no_returns() -> None:
    with pytest.raises(InsufficientDataError, match="the panel has no return: give rows"):
        return_sizes(np.full((3, 2), np.nan))
