"""Limits on what a position may hold."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.caps import Caps, simulate_within, within
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.ranks import Matrix


def test_names_are_cut_and_the_longer_side_is_scaled_down() -> None:
    capped = within([[0.4, 0.1, -0.25, -0.25]], Caps(weight=0.3, net=0.0))
    np.testing.assert_allclose(capped, [[0.3, 0.1, -0.2, -0.2]])


def test_gross_exposure_is_scaled_last() -> None:
    np.testing.assert_allclose(within([[0.5, -0.5]], Caps(gross=0.6)), [[0.3, -0.3]])


def test_without_caps_nothing_changes() -> None:
    position = np.array([[0.9, -0.2, 0.0]])
    np.testing.assert_array_equal(within(position, Caps()), position)


LIMITS = st.one_of(st.just(math.inf), st.floats(0.01, 1))


@given(
    position=arrays(np.float64, (4, 6), elements=st.floats(-1, 1)),
    weight=LIMITS,
    gross=LIMITS,
    net=st.one_of(st.just(math.inf), st.floats(0, 0.5)),
)
def test_all_caps_are_kept_and_no_weight_grows(position: Matrix, weight: float, gross: float, net: float) -> None:
    capped = within(position, Caps(weight=weight, gross=gross, net=net))
    assert (np.abs(capped) <= np.minimum(np.abs(position), weight) + 1e-12).all()
    assert (capped * position >= 0).all()
    assert (np.abs(capped).sum(axis=1) <= gross + 1e-12).all()
    assert (np.abs(capped.sum(axis=1)) <= net + 1e-9).all()


def test_what_the_caps_cost_is_what_the_free_position_earned_more() -> None:
    random = np.random.default_rng(1)
    scores = random.standard_normal((200, 8))
    returns = 0.01 * random.standard_normal((200, 8))
    returns[1:] += 0.01 * scores[:-1]
    held = simulate(scores, returns, horizon=1, cost_bps=2)
    free, tight = (simulate_within(held, returns, caps, cost_bps=2) for caps in (Caps(), Caps(gross=0.5)))
    assert (free.days, free.cost) == (0, 0)
    np.testing.assert_allclose(free.holdings.net, held.net[1:])
    # Half of the position earns and pays half.
    assert tight.days == 199
    np.testing.assert_allclose(tight.holdings.net, held.net[1:] / 2)
    assert tight.cost == pytest.approx(held.net[1:].mean() / 2)


REFUSED = [
    pytest.param(
        lambda: Caps(weight=0),
        "caps of weight 0, gross inf, net inf: expected weight and gross above 0, net at least 0",
        id="no-weight",
    ),
    pytest.param(
        lambda: within([[math.nan]], Caps()), "position has 1 NaN values, expected 0 where nothing is held", id="nan"
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_it_refuses_and_says_why(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call()
