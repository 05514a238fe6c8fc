"""What remains of a verdict once every candidate that was tried counts."""

import re
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.comparison import step_down
from pytest_modelgates.stats.resampling import optimal_block_length
from pytest_modelgates.stats.sharpe import sharpe_of
from pytest_modelgates.stats.significance import ewc_p_value, mean_exceeds
from pytest_modelgates.stats.trials import TrialSeries, adjusted_p, align_trials, count_trials, ratio_variance

DAYS = np.datetime64("2020-01-01") + np.arange(600)


def side_by_side(*series: np.ndarray) -> TrialSeries:
    """Lay out series of the same days, each for both net return and IC."""
    first, *others = series
    days = DAYS[: len(first)]
    return align_trials(days, first, first, [(DAYS[: len(net)], net, net) for net in others])


def ics(count: int, *, mean: float = 0.0, n: int = 500, seed: int = 0) -> list[np.ndarray]:
    return list(mean + np.random.default_rng(seed).standard_normal((count, n)))


@pytest.mark.parametrize(
    ("declared", "seen", "count"),
    [
        pytest.param(22, 3, 22, id="more-declared"),
        pytest.param(2, 9, 9, id="more-seen"),
        pytest.param(5, None, 5, id="no-registry"),
        pytest.param(None, 9, None, id="not-declared"),
        pytest.param(None, None, None, id="unknown"),
    ],
)
def test_the_larger_count_is_the_one_that_counts(declared: int | None, seen: int | None, count: int | None) -> None:
    assert count_trials(declared, seen) == count


def test_less_than_one_trial_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^0 trials, expected at least 1: what was packed is one$"):
        count_trials(0, 3)


def test_one_trial_needs_no_adjustment() -> None:
    (alone,) = ics(1, mean=0.08)
    found = adjusted_p(alone, side_by_side(alone), count=1, horizon=5, seed=3)
    assert found.p == mean_exceeds(alone, horizon=5, seed=3).p_against
    assert (found.step_down, found.holm, found.resamples) == (None, None, 9999)
    assert found.how == f"p of {found.p:.3g} times 1 trials, 1 of them at hand"


@pytest.mark.parametrize(
    ("count", "resamples"),
    [pytest.param(20, 9999, id="few"), pytest.param(100, 20_000, id="more"), pytest.param(1000, 200_000, id="most")],
)
def test_trials_that_are_not_at_hand_count_as_at_least_as_good(count: int, resamples: int) -> None:
    chosen, other = ics(2, mean=0.1, n=100)
    found = adjusted_p(chosen, side_by_side(chosen, other), count=count, seed=3)
    alone = mean_exceeds(chosen, seed=3, n_resamples=resamples)
    assert found.p == min(1, count * alone.p_against)
    assert (found.resamples, found.how) == (
        resamples,
        f"p of {alone.p_against:.3g} times {count} trials, 2 of them at hand",
    )


def test_more_trials_than_resamples_can_tell_leave_it_to_the_cosines() -> None:
    chosen, other = ics(2, mean=0.3, n=300)
    found = adjusted_p(chosen, side_by_side(chosen, other), count=1001, seed=3)
    p, _ = ewc_p_value(chosen)
    assert (found.p, found.resamples) == (pytest.approx(1001 * p), 0)
    assert found.how == (
        f"p of {p:.3g} times 1001 trials, 2 of them at hand, by cosines alone, as 1001 trials need more than 200,000 "
        "resamples"
    )


def test_with_all_at_hand_it_is_the_largest_of_stepm_holm_and_the_p_alone() -> None:
    series = [mean + one for mean, one in zip((0.12, 0.2, 0.0, -0.1), ics(4), strict=True)]
    found = adjusted_p(series[0], side_by_side(*series), count=4, horizon=3, seed=5)
    matrix = np.stack(series, axis=1)
    block = max(3.0, *(optimal_block_length(one) for one in series))
    stepped = step_down(matrix, block=block, seed=5, n_resamples=9999)[0]
    holm = multipletests([ewc_p_value(one)[0] for one in series], method="holm")[1][0]
    assert (found.step_down, found.holm) == (stepped, pytest.approx(holm))
    assert found.p == max(found.step_down, found.holm, mean_exceeds(series[0], horizon=3, seed=5).p_against)
    assert found.how == "the largest of StepM, Holm and p alone over 4 trials"


def test_trials_never_make_a_p_value_smaller() -> None:
    good, *others = ics(60, seed=2)
    good = good + 0.35
    alone = mean_exceeds(good, seed=1)
    found = adjusted_p(good, side_by_side(good, *others), count=60, seed=1)
    assert max(found.step_down, found.holm) < alone.p_against == found.p


def test_a_test_that_was_made_already_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, other = ics(2, mean=0.1)
    alone = mean_exceeds(chosen, seed=1)
    expected = [adjusted_p(chosen, side_by_side(chosen, other), count=count, seed=1) for count in (1, 2, 9)]
    monkeypatch.setattr("pytest_modelgates.stats.trials.mean_exceeds", None)
    for count, found in zip((1, 2, 9), expected, strict=True):
        assert adjusted_p(chosen, side_by_side(chosen, other), count=count, seed=1, alone=alone) == found


def test_more_than_a_hundred_trials_are_multiplied_and_not_compared() -> None:
    good, *others = ics(101, n=200)
    found = adjusted_p(good + 0.3, side_by_side(good + 0.3, *others), count=101, seed=1)
    p = mean_exceeds(good + 0.3, seed=1, n_resamples=20_200).p_against
    assert (found.p, found.step_down, found.holm) == (min(1, 101 * p), None, None)
    assert found.how == (f"p of {p:.3g} times 101 trials, 101 of them at hand, more than the 100 that are compared")
    hundred = adjusted_p(good + 0.3, side_by_side(good + 0.3, *others[:-1]), count=100, seed=1)
    assert hundred.step_down is not None


def test_copies_of_a_series_cost_as_much_as_any_other_trial() -> None:
    chosen, other = ics(2, mean=0.1)
    trials = side_by_side(chosen, chosen, other, other)
    assert (trials.at_hand, trials.net.shape[1]) == (4, 2)
    found = adjusted_p(chosen, trials, count=4, seed=1)
    p = [ewc_p_value(one)[0] for one in (chosen, other)]
    assert found.holm == pytest.approx(multipletests([*p, 1, 1], method="holm")[1][0])


def test_more_trials_than_days_are_not_compared() -> None:
    series = ics(40, n=30)
    found = adjusted_p(series[0], side_by_side(*series), count=40, seed=1)
    assert found.step_down is None
    assert found.how.startswith("p of ")


def test_days_that_only_some_have_are_left_out() -> None:
    random = np.random.default_rng(0)
    chosen, other = random.standard_normal((2, 100)), random.standard_normal((2, 98))
    found = align_trials(DAYS[:100], *chosen, [(DAYS[3:101], *other)])
    assert found.at_hand == 2
    np.testing.assert_array_equal(found.net, np.stack([chosen[0, 3:], other[0, :97]], axis=1))
    np.testing.assert_array_equal(found.ic_net, np.stack([chosen[1, 3:], other[1, :97]], axis=1))


def test_copies_and_what_never_varies_are_at_hand_without_a_column() -> None:
    chosen, other = ics(2, n=100)
    found = side_by_side(chosen, other, chosen, other, np.zeros(100))
    assert (found.at_hand, found.net.shape) == (5, (100, 2))


@pytest.mark.parametrize(
    ("days", "at_hand"), [pytest.param(90, 2, id="nine-tenths"), pytest.param(89, 1, id="fewer"), (0, 1)]
)
def test_a_trial_of_too_few_of_the_days_is_not_at_hand(days: int, at_hand: int) -> None:
    # It would cut all others down to its few days.
    chosen, short = ics(1, n=100)[0], ics(1, n=days, seed=1)[0]
    found = side_by_side(chosen, short)
    assert (found.at_hand, len(found.net)) == (at_hand, days if at_hand == 2 else 100)


def test_trials_that_share_too_few_days_with_each_other_are_not_at_hand() -> None:
    chosen, one, other = ics(3, n=100)
    found = align_trials(DAYS[:100], chosen, chosen, [(DAYS[:94], one[:94], one[:94]), (DAYS[6:100], *[other[6:]] * 2)])
    assert (found.at_hand, found.net.shape) == (1, (100, 1))


def test_a_trial_whose_costs_are_not_known_is_not_at_hand() -> None:
    chosen, other = ics(2, n=100)
    other[3] = np.nan
    assert side_by_side(chosen, other).at_hand == 1


def test_only_the_newest_are_looked_at_together() -> None:
    series = ics(120, n=200)
    whole = side_by_side(*series)
    newest = whole.newest()
    assert (whole.at_hand, newest.at_hand, newest.net.shape) == (120, 100, (200, 100))
    np.testing.assert_array_equal(newest.ic_net[:, :2], np.stack(series[:2], axis=1))
    assert newest.newest() is newest
    assert newest.why_incomplete(120) == "by 100 of 120 trials: pack the others here too, on the same days"
    assert whole.why_incomplete(120) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"count": 0}, "0 trials, expected at least 1: what was packed is one", id="count"),
        pytest.param({"count": 2, "horizon": 0}, "horizon is 0, expected at least 1", id="horizon"),
    ],
)
def test_it_refuses_and_says_why(arguments: dict[str, Any], message: str) -> None:
    (alone,) = ics(1)
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}"):
        adjusted_p(alone, side_by_side(alone), seed=1, **arguments)


def test_days_and_series_must_agree() -> None:
    with pytest.raises(StatisticsError, match=r"^3 days of 500 returns and ICs: give one of each a day$"):
        align_trials(DAYS[:3], ics(1)[0], ics(1)[0], [])


def test_a_trial_that_holds_nothing_has_no_ratio_to_scatter() -> None:
    still, *others = [np.zeros(300), *np.random.default_rng(0).standard_normal((2, 300))]
    scattered = ratio_variance(side_by_side(still, *others))
    assert scattered == max(1 / 299, np.var([sharpe_of(net).ratio for net in others], ddof=1))


def test_ratios_scatter_at_least_as_widely_as_those_of_trials_without_skill() -> None:
    random = np.random.default_rng(0)
    luck = random.standard_normal((4, 500))
    alone, alike, apart = (
        side_by_side(*nets)
        for nets in (luck[:1], [luck[0], luck[0] + 1e-3 * luck[1]], luck + np.array([[0.3], [0.0], [0.1], [-0.2]]))
    )
    assert ratio_variance(alone) == ratio_variance(alike) == 1 / 499
    ratios = [sharpe_of(net).ratio for net in apart.net.T]
    assert ratio_variance(apart) == pytest.approx(np.var(ratios, ddof=1))
    assert ratio_variance(apart) > 1 / 499
