"""Whether positions earn more than on other names and on other days."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, permutation_test

from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.holdings import Holdings, evaluate_positions, simulate
from pytest_modelgates.stats.placebo import Placebo, placebo_test, relabelled, rotations, unit_paths
from pytest_modelgates.stats.ranks import Matrix
from pytest_modelgates.stats.significance import ewc_p_value

NAN = np.nan
CHARGED = Costs(half_spread_bps=2, borrow_bps_per_year=50)


def panel(
    seed: int, *, days: int = 110, names: int = 5, missing: float = 0.0, ties: bool = False
) -> tuple[Matrix, Matrix]:
    """Draw scores that last and returns with a common factor, and leave rows out."""
    random = np.random.default_rng(seed)
    scores = np.cumsum(random.standard_normal((days, names)), axis=0)
    if ties:
        scores = np.round(scores / 2)
    returns = 0.01 * random.standard_normal((days, names)) + 0.01 * random.standard_normal((days, 1))
    gone = random.random((days, names)) < missing
    scores[gone] = returns[gone] = NAN
    return scores, returns


def table(holdings: Holdings, returns: Matrix) -> Matrix:
    """Lay out what each path earns on each name."""
    paths, earned = unit_paths(holdings, returns)
    return paths.T @ earned / len(paths)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("ties", [False, True], ids=["no-ties", "ties"])
def test_a_relabelling_is_the_backtest_of_the_scores_of_other_names(horizon: int, ties: bool) -> None:
    scores, returns = panel(1, ties=ties)
    held = simulate(scores, returns, horizon=horizon, cost_bps=CHARGED)
    earned = table(held, returns)
    assert np.trace(earned) == pytest.approx(held.ic.mean(), abs=1e-15)
    for order in permutations(range(5)):
        other = simulate(scores[:, order], returns, horizon=horizon, cost_bps=CHARGED)
        # Turnover and costs are those of the position itself, so that they cancel.
        np.testing.assert_allclose(other.turnover, held.turnover, atol=1e-14)
        np.testing.assert_allclose(other.cost, held.cost, atol=1e-17)
        # The paths of the placebo are columns order[0], order[1], … of the scores.
        placebo = sum(earned[path, name] for name, path in enumerate(order))
        expected = other.ic_net.mean() - held.ic_net.mean()
        assert placebo - np.trace(earned) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(("days", "horizon"), [(40, 1), (41, 1), (43, 4)], ids=["even", "odd", "tranches"])
def test_a_rotation_is_the_backtest_of_the_same_positions_on_other_days(days: int, horizon: int) -> None:
    scores, returns = panel(2, days=days)
    held = simulate(scores, returns, horizon=horizon, cost_bps=0)
    found = rotations(*unit_paths(held, returns))
    n = len(held.weights)
    shifts = [shift for shift in range(n) if 0.1 * n <= shift <= 0.9 * n]
    by_hand = [
        evaluate_positions(np.roll(held.weights, shift, axis=0), returns[held.first :], cost_bps=0).ic.mean()
        for shift in shifts
    ]
    np.testing.assert_allclose(found, by_hand, atol=1e-14)


def paths_by_hand(holdings: Holdings, returns: Matrix) -> list[list[float]]:
    """Carry each weight on where a name has no row, name by name, going round the panel."""
    given = returns[holdings.first :]
    days, names = given.shape
    paths = [[0.0] * names for _ in range(days)]
    for name in range(names):
        for day in range(days):
            back = next(k for k in range(days) if not np.isnan(given[(day - k) % days, name]))
            source = (day - back) % days
            size = np.linalg.norm(holdings.weights[source]) / np.sqrt(np.sum(~np.isnan(given[source])))
            paths[day][name] = holdings.weights[source, name] / size if size else 0.0
    return paths


@pytest.mark.parametrize("horizon", [1, 3])
def test_on_a_ragged_panel_a_path_is_carried_over_the_days_without_a_row(horizon: int) -> None:
    scores, returns = panel(3, names=9, missing=0.2)
    scores[:15, 0] = returns[:15, 0] = NAN  # begins late
    scores[30:, 1] = returns[30:, 1] = NAN  # leaves early
    held = simulate(scores, returns, horizon=horizon, cost_bps=0)
    paths, earned = unit_paths(held, returns)
    np.testing.assert_allclose(paths, paths_by_hand(held, returns), atol=1e-15)
    given = returns[held.first :]
    about = given - np.nanmean(given, axis=1, keepdims=True)
    # The IC of a day, but for the return of the market that closed names leave in it.
    by_hand = np.nansum(held.weights * about, axis=1) / np.linalg.norm(held.weights, axis=1)
    by_hand = by_hand / np.sqrt(np.nansum(about**2, axis=1))
    np.testing.assert_allclose((paths * earned).sum(axis=1), by_hand, atol=1e-15)
    assert not earned[np.isnan(given)].any()


def test_names_that_never_have_a_row_are_left_out() -> None:
    scores, returns = panel(4, names=8)
    whole = placebo_test(simulate(scores, returns, horizon=1, cost_bps=0), returns, seed=1)
    absent = np.full((110, 2), NAN)
    scores, returns = np.hstack([scores, absent]), np.hstack([returns, absent])
    assert placebo_test(simulate(scores, returns, horizon=1, cost_bps=0), returns, seed=1) == whole


@pytest.mark.parametrize("missing", [0.0, 0.1], ids=["complete", "ragged"])
def test_the_p_value_is_the_exact_one_of_scipy(missing: float) -> None:
    for seed in range(5):
        scores, returns = panel(seed, names=6, missing=missing)
        held = simulate(scores, returns, horizon=2, cost_bps=0)
        earned = table(held, returns)
        every = np.array([earned[order, range(6)].sum() for order in permutations(range(6))])
        exact = permutation_test(
            (np.arange(6),),
            lambda order, axis: earned[order.astype(int), np.arange(6)].sum(axis=axis),  # noqa: B023 - used at once
            permutation_type="pairings",
            vectorized=True,
            n_resamples=np.inf,
            alternative="greater",
        )
        found = placebo_test(held, returns, n_resamples=20_000, seed=seed)
        # Four standard errors of 20,000 draws.
        assert found.p_names == pytest.approx(exact.pvalue, abs=4 * np.sqrt(0.25 / 20_000))
        # Hoeffding 1951, against all 720 relabellings.
        assert every.mean() == pytest.approx(0, abs=1e-15)
        assert found.sd_names == pytest.approx(every.std(), rel=1e-12)


def test_relabellings_are_drawn_evenly() -> None:
    powers = np.diag(2.0 ** np.arange(4))  # the sum tells which names kept their path
    drawn = relabelled(powers, 24_000, seed=0)
    kept = [sum(1 << i for i in range(4) if order[i] == i) for order in permutations(range(4))]
    for value in set(kept):
        share = kept.count(value) / 24
        assert (drawn == value).mean() == pytest.approx(share, abs=4 * np.sqrt(share / 24_000))


def test_draws_can_be_repeated() -> None:
    scores, returns = panel(5)
    held = simulate(scores, returns, horizon=1, cost_bps=0)
    first, again, other = (placebo_test(held, returns, seed=seed).p_names for seed in (1, 1, 2))
    assert first == again != other


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), bps=st.floats(0, 50), missing=st.sampled_from([0.0, 0.1]))
def test_p_is_the_same_at_any_cost_and_for_any_increasing_score(seed: int, bps: float, missing: float) -> None:
    scores, returns = panel(seed, missing=missing)
    free = placebo_test(simulate(scores, returns, horizon=2, cost_bps=0), returns, n_resamples=200)
    charged = simulate(np.arctan(scores), returns, horizon=2, cost_bps=bps)
    assert placebo_test(charged, returns, n_resamples=200) == free
    assert 1 / 201 <= free.p_names <= 1
    assert free.p_value == max(free.p_names, free.p_days)


def test_p_is_never_0_and_a_perfect_score_has_the_smallest() -> None:
    _, returns = panel(6, names=12)
    found = placebo_test(simulate(np.roll(returns, -1, axis=0), returns, horizon=1, cost_bps=0), returns)
    assert found.p_names == 1 / 10_000
    assert found.p_days == 1 / (1 + found.rotations)


@pytest.mark.parametrize("days", [101, 102])
def test_a_position_that_never_changes_is_itself_on_other_days(days: int) -> None:
    _, returns = panel(7, days=days, names=8)
    tilt = np.tile(returns.mean(axis=0), (days, 1))  # the best one, known afterwards
    found = placebo_test(simulate(tilt, returns, horizon=1, cost_bps=2), returns)
    assert (found.p_days, found.p_value) == (1, 1)
    assert found.p_names < 0.01
    assert found.static == pytest.approx(1)


def test_a_score_that_is_new_every_day_has_no_static_part() -> None:
    scores, returns = np.random.default_rng(8).standard_normal((2, 500, 10))
    assert placebo_test(simulate(scores, returns, horizon=1, cost_bps=0), returns).static < 0.01


def test_no_position_is_no_better_than_its_placebos() -> None:
    _, returns = panel(9)
    found = placebo_test(simulate(np.zeros_like(returns), returns, horizon=1, cost_bps=0), returns)
    assert (found.p_names, found.p_days, found.ic) == (1, 1, 0)


def test_days_on_which_prices_stand_still_count_for_nothing() -> None:
    scores, returns = panel(10, days=60)
    returns[20] = 1e-9 * np.arange(5)
    held = simulate(scores, returns, horizon=1, cost_bps=0)
    assert np.trace(table(held, returns)) == pytest.approx(held.ic.mean(), abs=1e-15)


@pytest.mark.parametrize("missing", [0.0, 0.05], ids=["complete", "ragged"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_both_p_values_are_uniform_for_scores_that_know_nothing(horizon: int, missing: float) -> None:
    found = []
    for seed in range(400):
        random = np.random.default_rng([seed, horizon])
        scores, returns = random.standard_normal((2, 120, 12))
        gone = random.random(scores.shape) < missing
        scores[gone] = returns[gone] = NAN
        tested = placebo_test(simulate(scores, returns, horizon=horizon, cost_bps=2), returns, n_resamples=199)
        found.append((tested.p_names, tested.p_days))
    for half in np.array(found).T:
        assert kstest(half, "uniform").pvalue > 0.001


def noisy_portfolios(seed: int, *, days: int, names: int, count: int) -> tuple[list[Matrix], Matrix]:
    """One portfolio that knows which names earn more, each time with other noise that lasts; nobody knows the days."""
    random = np.random.default_rng(seed)
    tilt = random.standard_normal(names)
    returns = 0.015 * random.standard_normal((days, names)) + 6e-4 * tilt
    noise = 0.35 * random.standard_normal((count, days, names))
    for day in range(1, days):
        noise[:, day] = 0.9 * noise[:, day - 1] + np.sqrt(1 - 0.9**2) * noise[:, day]
    return [tilt + own for own in noise], returns


def best_of(seed: int, *, count: int, days: int = 1000, names: int = 12, trials: int) -> Placebo:
    scores, returns = noisy_portfolios(seed, days=days, names=names, count=count)
    held = [simulate(one, returns, horizon=1, cost_bps=0) for one in scores]
    found = [placebo_test(one, returns, trials=trials, n_resamples=199) for one in held]
    return min(found, key=lambda one: one.p_value)


def test_the_best_of_many_noisy_portfolios_is_charged_for_all_of_them() -> None:
    alone = [best_of(seed, count=10, trials=1).p_value for seed in range(12)]
    charged = [best_of(seed, count=10, trials=10).p_value for seed in range(12)]
    assert np.mean(np.array(alone) <= 0.10) >= 0.4
    assert np.mean(np.array(charged) <= 0.10) <= 0.2


@pytest.mark.parametrize(("trials", "drawn"), [(1, 500), (2, 500), (50, 10_000), (1_000, 200_000), (1_001, 0)])
def test_relabellings_suffice_for_the_trials_and_beyond_that_the_normal_tail_does(trials: int, drawn: int) -> None:
    _, returns = panel(6, names=12, days=150)
    scores = np.roll(returns, -1, axis=0) + 0.07 * np.random.default_rng(1).standard_normal(returns.shape)
    found = placebo_test(
        simulate(scores, returns, horizon=1, cost_bps=0), returns, trials=trials, n_resamples=500, seed=1
    )
    assert found.relabellings == drawn
    one = placebo_test(simulate(scores, returns, horizon=1, cost_bps=0), returns, n_resamples=200_000, seed=1)
    assert found.p_names == pytest.approx(min(1.0, trials * one.p_names), rel=0.5, abs=2 * trials / 501)


def test_rotations_that_suffice_are_multiplied_and_too_few_give_way_to_cosines() -> None:
    scores, returns = np.random.default_rng(3).standard_normal((2, 800, 8))
    scores[:-2] += 0.02 * returns[2:]
    held = simulate(scores, returns, horizon=1, cost_bps=0)
    one, three, four = (placebo_test(held, returns, trials=trials) for trials in (1, 3, 4))
    assert 600 <= one.rotations < 800
    assert three.p_days == pytest.approx(3 * one.p_days)
    paths, earned = unit_paths(held, returns)
    active = ((paths - paths.mean(axis=0)) * earned).sum(axis=1)
    # Lo 2008: what the changing part earns is what the position earns beyond the mean of all its rotations.
    every = [(np.roll(paths, shift, axis=0) * earned).sum(axis=1).mean() for shift in range(len(paths))]
    assert active.mean() == pytest.approx(one.ic - np.mean(every), abs=1e-15)
    assert four.p_days == pytest.approx(max(one.p_days, 4 * ewc_p_value(active)[0]))


def test_the_panel_need_not_be_long_for_many_trials_to_be_survived() -> None:
    _, returns = panel(6, names=12)
    found = placebo_test(simulate(np.roll(returns, -1, axis=0), returns, horizon=1, cost_bps=0), returns, trials=5000)
    assert found.p_value <= 0.10


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = {
    "four-names": (
        {"names": 4},
        {},
        InsufficientDataError,
        "4 names with a row, expected at least 5: too few names for a placebo; waive it, or declare it not applicable",
    ),
    "few-days": ({"days": 100}, {}, InsufficientDataError, "99 held days, at least 100 are needed: 1 more"),
    "no-trials": ({}, {"trials": 0}, StatisticsError, "0 trials, expected at least 1: what was packed is one"),
    "no-draws": (
        {},
        {"n_resamples": 0},
        StatisticsError,
        "0 relabellings, seed 0: expected at least 1, and at least 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_refused(case: str) -> None:
    drawn, asked, error, message = REFUSED[case]
    scores, returns = panel(0, **drawn)
    held = simulate(scores, returns, horizon=1, cost_bps=0)
    with pytest.raises(error) as raised:
        placebo_test(held, returns, **asked)
    assert str(raised.value) == message


def test_other_returns_than_those_held_are_refused() -> None:
    scores, returns = panel(0)
    held = simulate(scores, returns, horizon=1, cost_bps=0)
    with pytest.raises(StatisticsError, match=r"^returns of shape \(108, 5\) from the first held day on, holdings of "):
        placebo_test(held, returns[:-1])
