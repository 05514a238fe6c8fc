"""The rank IC over several days."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import spearmanr

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.decay import (
    forward_returns,
    information_ratio,
    rank_autocorrelation,
    rank_ic_decay,
    top_turnover,
)
from pytest_modelgates.stats.significance import ewc_p_value

NAN = np.nan


def test_a_return_is_added_up_from_the_day_after_the_score() -> None:
    returns = [[1.0], [2.0], [4.0], [8.0], [16.0]]
    assert forward_returns(returns, horizon=2)[:3, 0].tolist() == [6, 12, 24]
    assert np.isnan(forward_returns(returns, horizon=2)[3:]).all()
    assert forward_returns(returns, horizon=1, lag=0)[:, 0].tolist() == [1, 2, 4, 8, 16]


def test_a_delisted_name_has_no_return_beyond_its_last_day() -> None:
    total = forward_returns([[0.1, 0.1], [0.1, NAN], [0.1, NAN], [0.1, NAN]], horizon=2, lag=0)
    assert np.isnan(total[:, 1]).all()
    assert not np.isnan(total[:3, 0]).any()


def test_a_horizon_beyond_the_panel_has_no_returns() -> None:
    assert np.isnan(forward_returns([[0.1], [0.2]], horizon=2)).all()


def test_the_decay_follows_its_definition() -> None:
    random = np.random.default_rng(1)
    scores = random.standard_normal((300, 12))
    returns = 0.01 * random.standard_normal((300, 12))
    returns[1:] += 0.005 * scores[:-1]
    day, week, month = rank_ic_decay(scores, returns, horizons=(1, 5, 21))
    by_hand = [spearmanr(scores[t], returns[t + 1 : t + 6].sum(axis=0)).statistic for t in range(295)]
    assert week.n == 295
    assert week.mean == pytest.approx(np.mean(by_hand))
    assert week.ratio == pytest.approx(np.mean(by_hand) / np.std(by_hand, ddof=1))
    assert week.p_value == pytest.approx(ewc_p_value(by_hand)[0])
    assert day.mean > week.mean > month.mean
    # 279 days are fewer than 25 horizons of 21.
    assert (month.n, month.p_value) == (279, None)


def test_the_ratio_a_year_grows_with_the_root_of_the_days() -> None:
    ic = [0.0, 0.1, 0.2]
    assert information_ratio(ic) == pytest.approx(1)
    assert information_ratio(ic, days_per_year=256) == pytest.approx(16)


# alphalens-reloaded, tests/test_performance.py, quantile_turnover of four names, each a quantile of its own.
TURNING = [[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4], [1, 2, 3, 4]]
INNER = [[1, 2, 3, 4], [1, 3, 2, 4]] * 5 + [[1, 2, 3, 4]]
QUANTILES = [
    pytest.param(TURNING, 4, 1, [1, 1, 0], id="a-day"),
    pytest.param(TURNING, 4, 2, [0, 1], id="two-days"),
    pytest.param(TURNING, 4, 3, [0], id="three-days"),
    pytest.param([[1, 2, 3, 4]] * 4, 3, 1, [0, 0, 0], id="still"),
    pytest.param([[1, 2, 3, 4], [4, 3, 2, 1]] * 2, 2, 1, [1, 1, 1], id="every-day"),
    pytest.param([*INNER, [1, 3, 2, 4]], 3, 4, [0] * 8, id="four-days"),
    pytest.param([*INNER, [1, 2, 3, 4]], 3, 10, [0, 1], id="ten-days"),
]


@pytest.mark.parametrize(("quantiles", "quantile", "lag", "turnover"), QUANTILES)
def test_the_turnover_of_the_top_gives_the_answers_of_alphalens(
    quantiles: list[list[int]], quantile: int, lag: int, turnover: list[float]
) -> None:
    # Scored by how near a name's quantile is to the one that alphalens looks at, that one is the top.
    scores = -np.abs(np.array(quantiles, dtype=np.float64) - quantile)
    assert top_turnover(scores, share=0.25, lag=lag).tolist() == turnover


UP, SWAPPED, DOWN = [1, 2, 3, 4], [2, 1, 4, 3], [4, 3, 2, 1]
# alphalens-reloaded, tests/test_performance.py, factor_rank_autocorrelation, without the days that have none before.
AUTOCORRELATION = [
    pytest.param([UP, UP, UP, UP], 1, [1, 1, 1], id="lasts"),
    pytest.param([DOWN, UP, DOWN, UP], 1, [-1, -1, -1], id="turns"),
    pytest.param(
        [UP, SWAPPED, DOWN, UP, SWAPPED, DOWN, SWAPPED, DOWN, UP, SWAPPED, SWAPPED, DOWN],
        3,
        [1, 1, 1, 0.6, -0.6, -1, 1, -0.6, -1],
        id="three-days",
    ),
]


@pytest.mark.parametrize(("scores", "lag", "expected"), AUTOCORRELATION)
def test_the_autocorrelation_of_ranks_gives_the_answers_of_alphalens(
    scores: list[list[int]], lag: int, expected: list[float]
) -> None:
    np.testing.assert_allclose(rank_autocorrelation(scores, lag=lag), expected, rtol=1e-15)


def test_names_that_come_or_go_are_not_ranked() -> None:
    found = rank_autocorrelation([[1, 2, 3, np.nan], [2, 3, np.nan, 1], [5, np.nan, 5, 5], [5, np.nan, 5, 5]])
    assert found[0] == 1
    assert np.isnan(found[1:]).all()
    assert rank_autocorrelation([[1, 2]]).size == 0


def test_a_name_that_has_no_row_leaves_the_top_and_ties_leave_none_in_it() -> None:
    assert top_turnover([[1, 2, 3], [1, 2, NAN], [2, 2, NAN], [1, 2, 3]]).tolist() == [1, 0, 1]


REFUSED = [
    pytest.param(lambda: top_turnover([[1.0], [2.0]], lag=0), "lag is 0 days, expected at least 1", id="turnover-lag"),
    pytest.param(
        lambda: rank_autocorrelation([[1.0], [2.0]], lag=0),
        "lag is 0 days, expected at least 1",
        id="autocorrelation-lag",
    ),
    pytest.param(
        lambda: top_turnover([[1.0], [2.0]], share=1),
        "the top share is 1, expected a number between 0 and 1, such as 0.1",
        id="turnover-share",
    ),
    pytest.param(
        lambda: forward_returns([[0.1]], horizon=0),
        "horizon 0 and lag 1, expected at least 1 and at least 0 days",
        id="horizon",
    ),
    pytest.param(
        lambda: forward_returns([[0.1]], horizon=1, lag=-1),
        "horizon 1 and lag -1, expected at least 1 and at least 0 days",
        id="look-ahead",
    ),
    pytest.param(
        lambda: rank_ic_decay(np.eye(4), np.eye(4), horizons=[9]),
        "0 days with a rank IC at horizon 9, expected at least 2",
        id="short",
    ),
    pytest.param(
        lambda: information_ratio([0.1, 0.1]), "all 2 values equal 0.1, expected a series that varies", id="constant"
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_it_refuses_and_says_why(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(("sign", "ratio", "p_value"), [(1, np.inf, 0.0), (-1, -np.inf, 1.0)])
def test_a_rank_ic_that_never_changes_is_measured(sign: int, ratio: float, p_value: float) -> None:
    returns = 0.01 * np.random.default_rng(1).standard_normal((150, 12))
    known = sign * np.vstack([returns[1:], np.zeros((1, 12))])
    (found,) = rank_ic_decay(known, returns, horizons=[1])
    assert (found.mean, found.ratio, found.p_value) == (pytest.approx(sign), ratio, p_value)
