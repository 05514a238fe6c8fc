"""From scores to what they would have earned."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, rankdata

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.holdings import evaluate_positions, gross_one, rank_weights, simulate, tranche_weights
from pytest_modelgates.stats.ranks import Matrix, daily_rank_ic
from pytest_modelgates.stats.significance import ewc_p_value

NAN = np.nan
SHAPES = st.tuples(st.integers(8, 14), st.integers(2, 6))
# Few distinct values make ties, and each can be turned into any other by an increasing transform without collisions.
TIED = st.integers(-4, 4).map(float)


def panel(seed: int, *, days: int = 60, assets: int = 7, missing: float = 0.0) -> tuple[Matrix, Matrix]:
    """Draw scores and returns that agree a little, and leave rows out."""
    random = np.random.default_rng(seed)
    scores = random.standard_normal((days, assets))
    returns = 0.01 * random.standard_normal((days, assets)) + 0.002 * np.roll(scores, 1, axis=0)
    gone = random.random((days, assets)) < missing
    scores[gone] = returns[gone] = NAN
    return scores, returns


def hold_by_hand(scores: Matrix, returns: Matrix, horizon: int, lag: int, bps: float) -> list[dict[str, float]]:
    """Follow the definition day by day, name by name."""
    days, assets = scores.shape
    before, by_day = [0.0] * assets, []
    apart = np.nanmax(returns, axis=1, initial=-1) - np.nanmin(returns, axis=1, initial=1)
    for day in range(days):
        position = [0.0] * assets
        for age in range(lag, lag + horizon):
            if day - age < 0:
                continue
            rows = [i for i in range(assets) if not np.isnan(scores[day - age, i])]
            ranks = dict(zip(rows, rankdata([scores[day - age, i] for i in rows]), strict=True))
            centred = {i: rank - (len(rows) + 1) / 2 for i, rank in ranks.items()}
            size = sum(abs(value) for value in centred.values())
            for i in rows:
                position[i] += centred[i] / size / horizon if size else 0.0
        names = [i for i in range(assets) if not np.isnan(returns[day, i])]
        position = [weight if i in names else 0.0 for i, weight in enumerate(position)]
        turnover = sum(abs(new - old) for new, old in zip(position, before, strict=True))
        before = position
        gross = sum(position[i] * returns[day, i] for i in names)
        spread = np.std([returns[day, i] for i in names]) if names else 0.0
        about_zero = np.sqrt(sum(weight**2 for weight in position) / len(names)) if names else 0.0
        scale = len(names) * spread * about_zero
        net = gross - turnover * bps / 1e4
        moves = scale and apart[day] > 1e-3 * np.median(apart[lag + horizon - 1 :])
        by_day.append({"gross": gross, "net": net, "turnover": turnover, "ic_net": net / scale if moves else 0.0})
    return by_day[lag + horizon - 1 :]


# alphalens-reloaded, tests/test_performance.py, factor_weights: by values, where ours are by their ranks.
ALPHALENS_VALUES = np.array([[3, 4, 2, 1, NAN], [3, 4, -2, -1, NAN], [3, NAN, NAN, 1, 4]])
ALPHALENS_DEMEANED = [[0.125, 0.375, -0.125, -0.375, 0], [0.2, 0.3, -0.3, -0.2, 0], [0.1, 0, 0, -0.5, 0.4]]
ALPHALENS_PLAIN = [[0.3, 0.4, 0.2, 0.1, 0], [0.3, 0.4, -0.2, -0.1, 0], [0.375, 0, 0, 0.125, 0.5]]


def test_weights_give_the_answers_of_alphalens() -> None:
    about = ALPHALENS_VALUES - np.nanmean(ALPHALENS_VALUES, axis=1, keepdims=True)
    np.testing.assert_allclose(gross_one(np.nan_to_num(about)), ALPHALENS_DEMEANED, rtol=1e-15)
    np.testing.assert_allclose(gross_one(np.nan_to_num(ALPHALENS_VALUES)), ALPHALENS_PLAIN, rtol=1e-15)
    # The first day's values are ranks already.
    np.testing.assert_allclose(rank_weights(ALPHALENS_VALUES[:1]), ALPHALENS_DEMEANED[:1], rtol=1e-15)


def test_equal_scores_ask_for_no_position() -> None:
    assert rank_weights([[0.1, 0.1, 0.1], [NAN, 5, NAN], [NAN, NAN, NAN]]).tolist() == [[0] * 3] * 3


@given(scores=arrays(np.float64, SHAPES, elements=TIED | st.just(NAN)))
def test_weights_are_neutral_with_gross_one_or_none(scores: Matrix) -> None:
    weights = rank_weights(scores)
    gross = np.abs(weights).sum(axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(gross, np.where(gross > 0, 1, 0), atol=1e-15)
    assert not weights[np.isnan(scores)].any()


def test_tranches_are_built_up_and_then_complete() -> None:
    held = tranche_weights([[1, -1], [3, -3], [5, -5], [7, -7]], horizon=2, lag=1)
    assert held[:, 0].tolist() == [0, 0.5, 2, 4]
    assert held[:, 1].tolist() == [0, -0.5, -2, -4]


def test_a_horizon_longer_than_the_panel_never_completes() -> None:
    assert tranche_weights([[1.0], [1.0]], horizon=4, lag=0)[:, 0].tolist() == [0.25, 0.5]


# alphalens-reloaded, tests/test_performance.py, factor_returns and factor_information_coefficient.
ALPHALENS_FACTOR = [[1, 2, 3, 4], [4, 3, 2, 1]]
ALPHALENS_FORWARD = [[4, 3, 2, 1], [1, 2, 3, 4]]


def test_of_entering_only_the_last_tranche_is_charged() -> None:
    held = simulate(np.tile([1.0, 2.0], (10, 1)), np.tile([0.01, -0.01], (10, 1)), horizon=5, cost_bps=10)
    assert (held.first, len(held.net)) == (5, 5)
    np.testing.assert_allclose(held.turnover, [1 / 5, 0, 0, 0, 0], atol=1e-15)


def test_gross_return_gives_the_answer_of_alphalens() -> None:
    held = simulate(ALPHALENS_FACTOR, ALPHALENS_FORWARD, horizon=1, cost_bps=0, lag=0)
    np.testing.assert_allclose(held.gross, [-1.25, -1.25], rtol=1e-15)
    np.testing.assert_allclose(held.ic, [-1, -1], rtol=1e-15)
    # A constant factor.
    assert simulate([[1, 1, 1, 1]], [[4, 3, 2, 1]], horizon=1, cost_bps=0, lag=0).gross.tolist() == [0]


def test_random_scores_give_the_answers_of_alphalens() -> None:
    # alphalens-reloaded 0.5.1: factor_information_coefficient, and factor_returns(demeaned=True) of the ranks of a day.
    random = np.random.RandomState(7)
    scores, returns = np.round(random.standard_normal((5, 40)), 1), 0.01 * random.standard_normal((5, 40))
    ics = [-0.33435101697760505, -0.1352176815744747, 0.030897840808237452, 0.04853094073148597, 0.1075168370852594]
    earned = [-0.002863897128882537, -0.0006898046809880705, 0.0001436863770806785, 5.689690651766529e-05]
    np.testing.assert_allclose(daily_rank_ic(scores, returns), ics, rtol=1e-13)
    held = simulate(scores, returns, horizon=1, cost_bps=0, lag=0)
    np.testing.assert_allclose(held.gross, [*earned, 0.001819002520918669], rtol=1e-13)


def test_one_turn_of_the_book_by_hand() -> None:
    held = simulate([[1, 2], [2, 1], [2, 1]], [[0.01, 0.03], [0.01, 0.03], [0.01, 0.03]], horizon=1, cost_bps=10, lag=1)
    assert held.first == 1
    assert held.weights.tolist() == [[-0.5, 0.5], [0.5, -0.5]]
    np.testing.assert_allclose(held.gross, [0.01, -0.01])
    np.testing.assert_allclose(held.turnover, [1, 2])
    np.testing.assert_allclose(held.cost, [0.001, 0.002])
    np.testing.assert_allclose(held.net, [0.009, -0.012])
    np.testing.assert_allclose(held.ic, [1, -1])
    np.testing.assert_allclose(held.ic_net, [0.9, -1.2])


def test_a_held_name_without_a_row_is_closed_and_the_trade_paid() -> None:
    scores = np.array([[1, 2, 3], [1, 2, NAN], [1, 2, 3]])
    returns = scores / 100
    held = simulate(scores, returns, horizon=1, cost_bps=100, lag=1)
    assert held.weights.tolist() == [[-0.5, 0, 0], [-0.5, 0.5, 0]]
    closed = simulate(scores, returns, horizon=2, cost_bps=100, lag=0)
    assert closed.weights.tolist() == [[-0.5, 0.25, 0], [-0.5, 0.25, 0.25]]
    np.testing.assert_allclose(closed.turnover, [0.25 + 0.25 + 0.25, 0.25])


@pytest.mark.parametrize("missing", [0.0, 0.3], ids=["complete", "with-gaps"])
@pytest.mark.parametrize(("horizon", "lag"), [(1, 0), (1, 1), (5, 1), (3, 2)])
def test_hold_follows_its_definition(horizon: int, lag: int, missing: float) -> None:
    scores, returns = panel(7, missing=missing)
    held = simulate(scores, returns, horizon=horizon, cost_bps=7, lag=lag)
    by_hand = hold_by_hand(scores, returns, horizon, lag, 7)
    assert held.first == horizon + lag - 1
    assert len(held.ic) == len(by_hand)
    for name in ("gross", "net", "turnover", "ic_net"):
        np.testing.assert_allclose(getattr(held, name), [day[name] for day in by_hand], rtol=1e-9, atol=1e-14)


def test_the_ic_of_what_is_held_is_a_correlation() -> None:
    scores, returns = panel(3)
    held = simulate(scores, returns, horizon=5, cost_bps=0)
    pearson = [pearsonr(w, r).statistic for w, r in zip(held.weights, returns[held.first :], strict=True)]
    np.testing.assert_allclose(held.ic, pearson, rtol=1e-10)


SEEDS, GAPS, BPS = st.integers(0, 2**32), st.sampled_from([0.0, 0.2]), st.just(0.0) | st.floats(1e-6, 100)


@settings(max_examples=50)
@given(seed=SEEDS, missing=GAPS)
def test_without_costs_both_ics_are_the_same(seed: int, missing: float) -> None:
    held = simulate(*panel(seed, missing=missing), horizon=3, cost_bps=0)
    np.testing.assert_array_equal(held.ic, held.ic_net)
    np.testing.assert_array_equal(held.gross, held.net)


@settings(max_examples=50)
@given(seed=SEEDS, missing=GAPS, bps=BPS)
def test_the_ic_after_costs_has_the_sign_of_the_net_return(seed: int, missing: float, bps: float) -> None:
    scores, returns = panel(seed, missing=missing)
    held = simulate(scores, returns, horizon=3, cost_bps=bps)
    several = (~np.isnan(returns[held.first :])).sum(axis=1) > 1
    np.testing.assert_array_equal(np.sign(held.ic_net)[several], np.sign(held.net)[several])


@settings(max_examples=50)
@given(scores=arrays(np.float64, (12, 5), elements=TIED), seed=SEEDS)
def test_an_increasing_transform_of_the_scores_changes_nothing(scores: Matrix, seed: int) -> None:
    _, returns = panel(seed, days=12, assets=5)
    one, other = (simulate(s, returns, horizon=2, cost_bps=5) for s in (scores, np.exp(scores) - 3))
    for name in ("weights", "net", "turnover", "ic", "ic_net"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@settings(max_examples=50)
@given(seed=SEEDS, missing=GAPS, bps=BPS)
def test_cost_and_ic_are_linear_in_basis_points(seed: int, missing: float, bps: float) -> None:
    free, unit, paid = (simulate(*panel(seed, missing=missing), horizon=2, cost_bps=b) for b in (0, 1, bps))
    np.testing.assert_allclose(paid.cost, bps * unit.cost, rtol=1e-12)
    np.testing.assert_allclose(paid.ic_net, free.ic + bps * (unit.ic_net - free.ic), rtol=1e-7, atol=1e-9)


def test_a_position_that_never_changes_pays_nothing() -> None:
    scores = np.tile([1.0, 2.0, 3.0], (6, 1))
    held = simulate(scores, panel(1, days=6, assets=3)[1], horizon=1, cost_bps=50, lag=0)
    assert held.turnover.tolist() == [1, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(held.ic[1:], held.ic_net[1:])


def test_a_day_whose_returns_are_equal_has_no_ic_at_any_cost() -> None:
    held = simulate([[1, 2, 3]] * 2, [[0.1, 0.1, 0.1]] * 2, horizon=1, cost_bps=50, lag=0)
    assert held.ic.tolist() == held.ic_net.tolist() == [0, 0]
    assert held.net[0] < 0


@pytest.mark.parametrize("rounding", [1e-12, 1e-9, 1e-7])
def test_prices_carried_forward_over_a_holiday_and_rounded_are_no_day_of_huge_costs(rounding: float) -> None:
    scores, returns = panel(3, days=500, assets=12)
    returns[250] = rounding * np.random.default_rng(1).standard_normal(12)
    held = simulate(scores, returns, horizon=1, cost_bps=2)
    assert held.ic_net[250 - held.first] == held.ic[250 - held.first] == 0
    assert held.net[250 - held.first] < 0
    assert ewc_p_value(held.ic_net)[0] < 0.01


def test_a_day_without_rows_or_position_has_no_ic() -> None:
    held = simulate([[NAN, NAN], [4.0, 4.0]], [[NAN, NAN], [0.1, 0.2]], horizon=1, cost_bps=5, lag=0)
    assert held.ic.tolist() == held.ic_net.tolist() == held.net.tolist() == [0, 0]


def test_nearly_equal_weights_left_by_closed_names_do_not_blow_the_ic_up() -> None:
    scores, returns = panel(2, days=40, assets=12)
    returns[20, 2:] = scores[20, 2:] = NAN
    held = simulate(scores, returns, horizon=5, cost_bps=2)
    left = returns[20, :2]
    assert abs(held.ic[20 - held.first]) <= np.sqrt(1 + (left.mean() / left.std()) ** 2)


OK, DAYS = [[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]], {"horizon": 1, "cost_bps": 2.0}
REFUSED = [
    pytest.param(
        [1, 2], OK, DAYS, "scores has 1 dimensions, expected 2: one row a day, one column an asset", id="vector"
    ),
    pytest.param(
        OK,
        OK[:2],
        DAYS,
        "scores and returns have shapes (3, 2) and (2, 2), expected the same: align days and assets",
        id="shapes",
    ),
    pytest.param(
        [[1, np.inf]] * 3,
        OK,
        DAYS,
        "scores has 3 infinite values, expected numbers or NaN: remove their cause",
        id="infinite",
    ),
    pytest.param(
        [[1, NAN], [1, 2], [1, 2]],
        OK,
        DAYS,
        "1 rows have a score without a return or a return without a score: give both",
        id="unpaired",
    ),
    pytest.param(
        OK,
        OK,
        {**DAYS, "horizon": 0},
        "horizon is 0 days, expected at least 1: a position is held for a day or more",
        id="horizon",
    ),
    pytest.param(
        OK,
        OK,
        {**DAYS, "lag": -1},
        "lag is -1 days, expected at least 0: a position cannot precede its score",
        id="look-ahead",
    ),
    pytest.param(OK, OK, {**DAYS, "horizon": 3}, "3 days, expected at least 4 for horizon 3 and lag 1", id="short"),
    pytest.param(
        OK, OK, {**DAYS, "cost_bps": -1}, "cost is -1 basis points, expected a number of at least 0", id="subsidy"
    ),
    pytest.param(
        OK, OK, {**DAYS, "cost_bps": NAN}, "cost is nan basis points, expected a number of at least 0", id="nan-cost"
    ),
]


@pytest.mark.parametrize(("scores", "returns", "options", "message"), REFUSED)
def test_hold_refuses_and_says_why(
    scores: list[Any], returns: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        simulate(scores, returns, **options)


def test_weights_that_are_nan_cannot_be_held() -> None:
    with pytest.raises(
        StatisticsError, match=r"^weights has 1 NaN values, expected 0 for an asset without a position$"
    ):
        tranche_weights([[0.5, NAN]], horizon=1)


def test_following_the_position_that_was_held_is_holding() -> None:
    scores, returns = panel(4, missing=0.1)
    held = simulate(scores, returns, horizon=3, cost_bps=4)
    position = np.concatenate([np.zeros((held.first, held.weights.shape[1])), held.weights])
    again = evaluate_positions(position, returns, cost_bps=4, first=held.first + 1)
    for name in ("weights", "net", "turnover", "ic", "ic_net"):
        np.testing.assert_array_equal(getattr(again, name), getattr(held, name)[1:])


def test_spread_commission_and_slippage_are_paid_alike() -> None:
    scores, returns = panel(5)
    one = simulate(scores, returns, horizon=2, cost_bps=6)
    other = simulate(scores, returns, horizon=2, cost_bps=Costs(half_spread_bps=1, commission_bps=2, slippage_bps=3))
    np.testing.assert_allclose(one.net, other.net, rtol=1e-14)


def test_a_position_without_a_return_is_refused() -> None:
    message = "1 positions are NaN or without a return, expected 0 where nothing is earned"
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        evaluate_positions([[0.5, -0.5]], [[0.1, NAN]], cost_bps=0)


def test_a_score_cannot_earn_the_return_it_was_made_of() -> None:
    returns = panel(8, days=400, assets=20)[1]
    seen, held = (simulate(returns, returns, horizon=1, cost_bps=0, lag=lag) for lag in (0, 1))
    assert seen.ic.mean() > 0.9
    assert abs(held.ic.mean()) < 0.05


def test_returns_shifted_by_a_day_leave_no_skill() -> None:
    scores, returns = panel(9, days=600, assets=20)
    right, early, late = (
        simulate(scores, np.roll(returns, shift, axis=0), horizon=1, cost_bps=0).ic.mean() for shift in (0, -1, 1)
    )
    assert right > 0.15
    assert max(abs(early), abs(late)) < 0.05


def test_days_in_another_order_are_another_panel() -> None:
    scores, returns = panel(10, days=600, assets=20)
    shuffled = np.random.default_rng(1).permutation(600)
    assert abs(simulate(scores[shuffled], returns[shuffled], horizon=1, cost_bps=0).ic.mean()) < 0.05


def test_the_order_of_the_assets_does_not_matter() -> None:
    scores, returns = panel(11, missing=0.1)
    one, other = (
        simulate(s, r, horizon=3, cost_bps=5) for s, r in ((scores, returns), (scores[:, ::-1], returns[:, ::-1]))
    )
    np.testing.assert_allclose(one.ic_net, other.ic_net, rtol=1e-9, atol=1e-12)
