"""Scores and features that know too much, and honest ones."""

import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.stats.leakage import SCORE, look_ahead, one_day_later, steadiness
from pytest_modelgates.stats.ranks import daily_rank_ic
from pytest_modelgates.stats.significance import ewc_bounds, ewc_p_value
from pytest_modelgates.stats.target import compounded

Matrix = np.ndarray
DAYS, NAMES = 300, 20


def market(days: int = DAYS, names: int = NAMES, *, seed: int = 1) -> tuple[Matrix, Matrix]:
    """Scores that know nothing, and returns."""
    random = np.random.default_rng(seed)
    return random.standard_normal((days, names)), 0.01 * random.standard_normal((days, names))


def ahead(returns: Matrix, lead: int, noise: float = 0.0) -> Matrix:
    """Make a column of the return so many days later, in standard deviations, and noise."""
    later = np.vstack([returns[lead:], np.zeros((lead, returns.shape[1]))]) / 0.01
    return later + noise * np.random.default_rng(9).standard_normal(returns.shape)


def ragged(returns: Matrix, *columns: Matrix) -> list[Matrix]:
    random = np.random.default_rng(4)
    gone = random.random(returns.shape) < 0.02
    gone[: DAYS // 3, 3] = gone[DAYS // 2 :, 5] = True
    return [np.where(gone, np.nan, matrix) for matrix in (returns, *columns)]


def test_what_knows_nothing_has_no_ic_that_luck_does_not_explain() -> None:
    scores, returns = market()
    found = look_ahead(scores, {"a": -scores, "b": scores**2}, returns, horizon=5)
    assert (found.ic, found.column, found.over) == (0, None, None)
    assert found.excess < 2
    assert look_ahead(scores, {}, returns, horizon=5).brief is None
    assert found.days == DAYS


WINDOWS = {0: "the return of the day itself", 1: "the return of the day after"}


@pytest.mark.parametrize("lead", [0, 1])
@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("noise", [1.8, 4.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_leak_is_named_with_the_returns_that_it_knows(lead: int, horizon: int, noise: float, sign: int) -> None:
    scores, returns = market()
    leak = sign * ahead(returns, lead, noise)
    found = look_ahead(scores, {"honest": scores, "leak": leak}, returns, horizon=horizon)
    assert (found.column, found.over) == ("leak", WINDOWS[lead])
    exact = daily_rank_ic(leak, np.vstack([returns[lead:], np.full((lead, NAMES), np.nan)]))
    assert found.ic == pytest.approx(abs(np.nanmean(exact)), abs=1e-12)
    assert found.days == DAYS - lead
    assert look_ahead(leak, {}, returns, horizon=horizon).column == SCORE


def test_a_leak_of_the_whole_horizon_is_named_so() -> None:
    scores, returns = market()
    leak = np.nan_to_num(compounded(returns, horizon=5)) + 0.05 * np.random.default_rng(2).standard_normal(scores.shape)
    found = look_ahead(scores, {"leak": leak}, returns, horizon=5)
    assert (found.column, found.over) == ("leak", "the return over the 5 days after")
    assert found.ic == pytest.approx(np.nanmean(daily_rank_ic(leak, compounded(returns, horizon=5))), abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_ic_that_never_changes_is_an_ic_of_1(sign: int) -> None:
    scores, returns = market()
    found = look_ahead(sign * ahead(returns, 1), {"honest": scores}, returns, horizon=1)
    assert (found.ic, found.column, found.days) == (pytest.approx(1, abs=1e-12), SCORE, DAYS - 1)


def test_ragged_panels_and_features_with_gaps_are_measured_as_day_by_day_with_scipy() -> None:
    scores, returns = market()
    returns, scores, leak = ragged(returns, scores, ahead(returns, 1, 2.0))
    leak = np.where(np.random.default_rng(3).random(leak.shape) < 0.3, np.nan, np.round(leak, 1))
    forward, daily = compounded(returns, horizon=1), []
    for day in range(DAYS):
        both = ~np.isnan(leak[day]) & ~np.isnan(forward[day])
        daily.append(spearmanr(leak[day][both], forward[day][both])[0] if both.sum() > 1 else np.nan)
    found = look_ahead(scores, {"leak": leak}, returns, horizon=1)
    assert found.ic == pytest.approx(np.nanmean(daily), abs=1e-12)
    assert found.days == np.isfinite(daily).sum()


def test_a_fixed_tilt_over_long_horizons_may_be_luck() -> None:
    # Three horizons of a year are three draws: an IC of this size says nothing.
    large = 0
    for seed in range(40):
        returns = market(756, seed=seed)[1]
        tilt = np.tile(np.arange(NAMES, dtype=float), (756, 1))
        large += abs(np.nanmean(daily_rank_ic(tilt, compounded(returns, horizon=252)))) > 0.15
        assert look_ahead(tilt, {}, returns, horizon=252).ic <= 0.15
    assert large > 5


def test_a_leak_is_told_even_in_a_few_horizons() -> None:
    returns = market(756)[1]
    leak = np.nan_to_num(compounded(returns, horizon=252)) + 0.01 * market(756, seed=2)[0]
    found = look_ahead(leak, {}, returns, horizon=252)
    assert (found.ic > 0.9, found.over) == (True, "the return over the 252 days after")


def test_features_that_say_the_same_of_all_names_are_left_out() -> None:
    scores, returns = market()
    found = look_ahead(
        scores, {"market": np.ones_like(scores), "gone": np.full_like(scores, np.nan)}, returns, horizon=1
    )
    assert found.ic == 0
    with pytest.raises(InsufficientDataError) as caught:
        look_ahead(np.ones_like(scores), {}, returns, horizon=1)
    assert str(caught.value) == "no column has a rank IC on 20 days: pack a longer panel, with features that differ"


def test_a_horizon_beyond_the_panel_leaves_the_days_that_there_are() -> None:
    scores, returns = market(60)
    assert look_ahead(scores, {"leak": ahead(returns, 1)}, returns, horizon=100).over == WINDOWS[1]
    with pytest.raises(InsufficientDataError, match="pack a longer panel"):
        look_ahead(scores[:19], {}, returns[:19], horizon=1)


def test_columns_must_have_the_shape_of_the_returns() -> None:
    scores, returns = market()
    with pytest.raises(StatisticsError, match="f and returns have shapes"):
        look_ahead(scores, {"f": scores[1:]}, returns, horizon=1)


def by_hand(column: Matrix, returns: Matrix) -> float:
    """The mean IC of leads 1 and 2 less three times that of leads 3 to 10, as a one-sided p-value."""
    days = len(returns) - 10
    ics = np.array([daily_rank_ic(column[:days], returns[lead : lead + days]) for lead in range(1, 11)])
    excess = ics[:2].mean(axis=0) - 3 * ics[2:].mean(axis=0)
    return ewc_p_value(excess * np.sign(ics[:2].mean()))[0]


def test_an_ic_of_the_next_two_days_alone_stands_out() -> None:
    scores, returns = market()
    brief = ahead(returns, 1, 4.0)
    found = look_ahead(scores, {"honest": scores, "brief": brief}, returns, horizon=1)
    assert found.brief == "brief"
    assert found.excess == pytest.approx(-norm.ppf(4 * by_hand(brief, returns)))
    assert look_ahead(brief, {"honest": scores}, returns, horizon=1).brief is None, "the score is no feature"


def test_an_ic_that_lasts_does_not_stand_out() -> None:
    lasting = np.cumsum(market(seed=3)[0], axis=0)
    returns = 0.01 * np.random.default_rng(8).standard_normal(lasting.shape)
    returns[1:] += 0.0002 * lasting[:-1]
    found = look_ahead(lasting, {"lasting": lasting}, returns, horizon=5)
    assert found.excess == 0
    assert daily_rank_ic(lasting[:-1], returns[1:]).mean() > 0.1


def test_a_perfect_ic_of_the_next_days_has_a_deviate_that_is_a_number() -> None:
    returns = np.tile(np.linspace(-0.01, 0.01, NAMES), (DAYS, 1)) * np.where(np.arange(DAYS) % 20 < 2, 1, -1)[:, None]
    assert np.isfinite(look_ahead(returns, {"f": ahead(returns, 1)}, returns, horizon=1).excess)


def test_a_score_that_knows_one_day_loses_it_all_a_day_later() -> None:
    _, returns = market(1000)
    found = one_day_later(ahead(returns, 1, 2.0), returns, horizon=5)
    assert found.ic > 0.15
    assert abs(found.later) < 0.03
    assert found.bound < 0
    assert found.days == 1000 - 6


def test_a_score_that_ranks_the_horizon_evenly_keeps_most_of_it() -> None:
    scores, returns = market(1000)
    signal = compounded(returns, horizon=5) / 0.02 + 6 * scores
    found = one_day_later(np.nan_to_num(signal), returns, horizon=5)
    assert found.later > 0.7 * found.ic > 0.02
    assert found.bound > 0


def test_the_bound_is_the_upper_end_of_an_interval_of_90_percent() -> None:
    scores, returns = market()
    returns, scores = ragged(returns, scores)
    ic, later = (daily_rank_ic(scores, compounded(returns, horizon=3, lead=lead)) for lead in (1, 2))
    both = ~np.isnan(ic) & ~np.isnan(later)
    found = one_day_later(scores, returns, horizon=3)
    assert found.bound == ewc_bounds((later - 0.5 * ic)[both], confidence=0.90)[1]
    assert (found.ic, found.later) == (ic[both].mean(), later[both].mean())


def test_ics_that_never_change_are_compared_as_they_are() -> None:
    days = np.tile(np.arange(NAMES, dtype=float), (60, 1))
    found = one_day_later(days, 0.001 * days, horizon=2)
    assert (found.ic, found.later, found.bound) == (pytest.approx(1), pytest.approx(1), pytest.approx(0.5))


def test_a_score_that_knows_two_days_of_five_has_nothing_left_in_the_last_half() -> None:
    scores, returns = market(2500)
    known = ahead(returns, 1, 4.0) + ahead(returns, 2, 4.0)
    found = one_day_later(known, returns, horizon=5)
    assert found.bound > 0, "half of the IC is left a day later"
    assert found.last_bound < 0
    even = np.nan_to_num(compounded(returns, horizon=5) / 0.02 + 6 * scores)
    assert one_day_later(even, returns, horizon=5).last_bound > 0


def test_a_score_that_knows_one_name_or_some_days_is_told() -> None:
    scores, returns = market(1000)
    found = look_ahead(scores, {}, returns, horizon=1)
    assert found.name_ic < 0.2
    assert (found.perfect_p, found.perfect) == (1, 0)
    known = scores.copy()
    known[:-1, 3] = returns[1:, 3]
    found = look_ahead(known, {}, returns, horizon=1)
    assert (found.name_ic, found.name) == (pytest.approx(1), 3)
    known = scores.copy()
    known[:960:12] = returns[1:961:12]
    found = look_ahead(known, {}, returns, horizon=1)
    assert found.perfect == 80
    assert found.perfect_p < 1e-20
    # The loadings on a single factor rank perfectly, and as often wrongly.
    factor = np.random.default_rng(2).standard_normal((1000, 1)) * np.linspace(0.5, 1.5, NAMES)
    found = look_ahead(np.tile(np.linspace(0.5, 1.5, NAMES), (1000, 1)), {}, factor, horizon=1)
    assert found.perfect > 900
    assert found.perfect_p > 0.001


def test_too_few_days_for_a_day_later() -> None:
    scores, returns = market(24)
    with pytest.raises(InsufficientDataError) as caught:
        one_day_later(scores, returns, horizon=5)
    assert str(caught.value) == (
        "18 days have a rank IC over 5 days and one from a day later, at least 20 are needed: pack a longer panel"
    )


def test_the_steadiness_is_the_annual_sharpe_ratio() -> None:
    net = 0.001 + 0.01 * np.random.default_rng(3).standard_normal(200)
    assert steadiness(net, periods_per_year=52) == pytest.approx(np.sqrt(52) * net.mean() / net.std(ddof=1))


@pytest.mark.parametrize(("value", "wanted"), [(0.01, np.inf), (-0.01, -np.inf), (0.0, 0.0)])
def test_a_profit_that_never_varies_is_as_steady_as_can_be(value: float, wanted: float) -> None:
    assert steadiness(np.full(100, value), periods_per_year=252) == wanted
    with pytest.raises(StatisticsError, match="a year of 0 periods, expected more than 0"):
        steadiness([0.1, 0.2], periods_per_year=0)
