"""Days that were left out of a panel, told by what its columns still know of their returns."""

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.days import calendar
from pytest_modelgates.stats.left_out import TARGET, LeftOut, left_out
from pytest_modelgates.stats.target import compounded

Matrix = np.ndarray
DAYS, NAMES = 800, 20
# Weekdays, without a holiday a month or so.
OPEN = np.delete(pd.bdate_range("2018-01-01", periods=DAYS + 40).to_numpy(), np.arange(20, DAYS + 40, 21))[:DAYS]


def market(*, seed: int) -> Matrix:
    random = np.random.default_rng(seed)
    return 0.01 * random.standard_t(4, (DAYS, 1)) + 0.012 * random.standard_t(4, (DAYS, NAMES))


def neutral(returns: Matrix, horizon: int) -> Matrix:
    """The target less 40 % of a loading on the market, which is much of it."""
    loading = np.linspace(0.2, 1.8, NAMES)
    forward = compounded(returns, horizon=horizon)
    return forward - 0.4 * loading * forward.mean(axis=1, keepdims=True)


def asked(kept: np.ndarray, target: Matrix, features: dict[str, Matrix], returns: Matrix, horizon: int) -> LeftOut:
    return left_out(
        target[kept],
        {name: values[kept] for name, values in features.items()},
        returns[kept],
        horizon=horizon,
        gaps=calendar(OPEN[kept]).before_gaps,
    )


def without(*days: int) -> np.ndarray:
    kept = np.ones(DAYS, dtype=bool)
    kept[list(days)] = False
    return kept


@pytest.mark.parametrize("horizon", [1, 5, 21])
def test_one_day_that_was_left_out_is_told_from_every_holiday(horizon: int) -> None:
    returns = market(seed=1)
    target = compounded(returns, horizon=horizon)
    whole = asked(without(), target, {}, returns, horizon)
    assert (whole.days.size, whole.column, whole.p_value) == (0, None, 1.0)
    assert whole.gaps > 30
    assert whole.columns == (TARGET,)
    found = asked(without(306), target, {}, returns, horizon)
    assert (found.days.tolist(), found.column, found.gaps) == ([305], TARGET, whole.gaps + 1)


def test_a_week_that_was_left_out_is_one_gap() -> None:
    returns = market(seed=2)
    found = asked(without(*range(200, 205)), compounded(returns, horizon=5), {}, returns, 5)
    assert found.days.tolist() == [199]


@pytest.mark.parametrize(("horizon", "seed"), [(1, 3), (5, 12), (10, 5)])
def test_days_left_out_of_a_neutralised_target_show_in_all_gaps_together(horizon: int, seed: int) -> None:
    returns = market(seed=seed)
    target = neutral(returns, horizon)
    assert asked(without(), target, {}, returns, horizon).p_value > 0.01
    gone = np.random.default_rng(seed).choice(np.arange(30, DAYS - 30), 16, replace=False)
    assert asked(without(*gone), target, {}, returns, horizon).p_value < 0.001


def test_a_feature_made_of_prices_knows_the_day_though_the_target_was_made_anew() -> None:
    returns = market(seed=6)
    past = np.vstack([np.zeros((1, NAMES)), returns[:-1]])
    features = {"luck": market(seed=7), "reversal": -past, "momentum": pd.DataFrame(past).rolling(10).sum().to_numpy()}
    kept = without(306)
    anew = np.full_like(returns, np.nan)
    anew[kept] = compounded(returns[kept], horizon=5)
    assert asked(kept, anew, {}, returns, 5).days.size == 0
    found = asked(kept, anew, features, returns, 5)
    assert (found.days.tolist(), found.column) == ([305], "reversal")
    assert found.columns == (TARGET, "reversal", "momentum")
    assert asked(without(), anew, features, returns, 5).days.size == 0


def test_a_panel_without_gaps_or_without_a_column_that_knows_is_told_nothing_of() -> None:
    returns = market(seed=8)
    none = left_out(market(seed=9), {"luck": market(seed=10)}, returns, horizon=1, gaps=[5])
    assert (none.days.size, none.p_value, none.columns) == (0, 1.0, ())
    whole = left_out(compounded(returns, horizon=1), {}, returns, horizon=1, gaps=[])
    assert (whole.days.size, whole.p_value, whole.gaps) == (0, 1.0, 0)


def test_a_gap_must_lie_within_the_panel() -> None:
    returns = market(seed=8)
    with pytest.raises(StatisticsError, match=r"gaps lie at 3 to 799, expected days of the panel before its last"):
        left_out(returns, {}, returns, horizon=1, gaps=[799, 3])
