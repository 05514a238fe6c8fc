"""What remains of a verdict once every candidate that was tried counts."""

import re
from typing import Any

import numpy as np
import pytest

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.sharpe import (
    Sharpe,
    deflated_sharpe,
    minimum_backtest_years,
    probabilistic_sharpe,
    sharpe_of,
)
from pytest_modelgates.stats.trials import after_trials, align_trials, count_trials, ratio_variance

SHARPE = Sharpe(ratio=0.05, n=2500, skewness=-0.5, kurtosis=6)


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


def test_an_unknown_number_of_trials_is_not_available_and_never_a_number() -> None:
    found = after_trials(0.01, SHARPE, trials=None)
    assert (found.count, found.p_adjusted, found.deflated_sharpe, found.backtest_years) == (None,) * 4
    assert found.probabilistic_sharpe == probabilistic_sharpe(SHARPE)


def test_without_the_other_p_values_the_adjustment_is_bonferroni() -> None:
    found = after_trials(0.0075, SHARPE, trials=22)
    assert found.p_adjusted == pytest.approx(0.165)
    assert found.deflated_sharpe == deflated_sharpe(SHARPE, trials=22)
    assert found.backtest_years == minimum_backtest_years(22)
    assert after_trials(0.2, SHARPE, trials=22).p_adjusted == 1


def test_with_the_other_p_values_the_adjustment_is_holm() -> None:
    # statsmodels, multipletests(method="holm") of .01, .04, .03, .005.
    assert after_trials(0.01, SHARPE, trials=4, others=[0.04, 0.03, 0.005]).p_adjusted == pytest.approx(0.03)


def test_one_trial_needs_no_adjustment() -> None:
    found = after_trials(0.04, SHARPE, trials=1)
    assert (found.p_adjusted, found.deflated_sharpe) == (0.04, probabilistic_sharpe(SHARPE))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"p_value": 1.2, "trials": 1}, "p-value is 1.2, expected a number from 0 to 1", id="p-value"),
        pytest.param(
            {"p_value": 0.1, "trials": 2, "others": [0.1, 0.2]},
            "2 other p-values of 2 trials, expected fewer: count the trials again",
            id="too-many-others",
        ),
    ],
)
def test_it_refuses_and_says_why(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        after_trials(sharpe=SHARPE, **arguments)


def test_less_than_one_trial_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^0 trials, expected at least 1: what was packed is one$"):
        count_trials(0, 3)


def test_series_of_trials_end_on_the_same_day_and_copies_count_once() -> None:
    random = np.random.default_rng(0)
    chosen, other = random.standard_normal((2, 30)), random.standard_normal((2, 20))
    still = np.zeros((2, 30))
    found = align_trials([tuple(chosen), tuple(other), tuple(chosen), tuple(other), tuple(still)])
    assert found.at_hand == 5
    np.testing.assert_array_equal(found.net, np.stack([chosen[0, 10:], other[0]], axis=1))
    np.testing.assert_array_equal(found.ic_net, np.stack([chosen[1, 10:], other[1]], axis=1))


def test_a_trial_held_for_too_few_days_to_be_compared_is_not_at_hand() -> None:
    # Its positions last nearly the whole panel, so it would cut all others down to its few days.
    chosen, short = np.random.default_rng(0).standard_normal((2, 300)), np.ones((2, 19))
    found = align_trials([tuple(chosen), tuple(short)])
    assert (found.at_hand, found.net.shape) == (1, (300, 1))
    assert align_trials([tuple(chosen), tuple(chosen[:, :20] + 1)]).net.shape == (20, 2)


def test_a_trial_that_holds_nothing_has_no_ratio_to_scatter() -> None:
    still, *others = [np.zeros(300), *np.random.default_rng(0).standard_normal((2, 300))]
    scattered = ratio_variance(align_trials([(net, net) for net in (still, *others)]))
    assert scattered == max(1 / 299, np.var([sharpe_of(net).ratio for net in others], ddof=1))


def test_ratios_scatter_at_least_as_widely_as_those_of_trials_without_skill() -> None:
    random = np.random.default_rng(0)
    luck = random.standard_normal((4, 500))
    alone, alike, apart = (
        align_trials([(net, net) for net in nets])
        for nets in (luck[:1], [luck[0], luck[0] + 1e-3 * luck[1]], luck + np.array([[0.3], [0.0], [0.1], [-0.2]]))
    )
    assert ratio_variance(alone) == ratio_variance(alike) == 1 / 499
    ratios = [sharpe_of(net).ratio for net in apart.net.T]
    assert ratio_variance(apart) == pytest.approx(np.var(ratios, ddof=1))
    assert ratio_variance(apart) > 1 / 499
