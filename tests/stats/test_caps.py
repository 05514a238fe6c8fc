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
from pytest_modelgates.stats.caps import Caps, simulate_within, slowed, within
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


def test_trades_are_scaled_to_the_turnover_but_for_what_must_be_closed() -> None:
    wanted, before = [0.5, -0.5, 0.0], [0.0, 0.0, 0.4]
    np.testing.assert_allclose(slowed(wanted, before, 2), wanted)
    np.testing.assert_allclose(slowed(wanted, before, 0.7), [0.25, -0.25, 0.2])
    np.testing.assert_allclose(slowed(wanted, before, 0.7, closing=[False, False, True]), [0.15, -0.15, 0])
    np.testing.assert_allclose(slowed(wanted, before, 0.3, closing=[False, False, True]), [0, 0, 0])


SLOWLY = arrays(np.float64, 6, elements=st.floats(-1, 1))


@given(wanted=SLOWLY, before=SLOWLY, most=st.floats(0, 5))
def test_a_slowed_position_lies_between_and_keeps_the_turnover(wanted: Matrix, before: Matrix, most: float) -> None:
    found = slowed(wanted, before, most)
    assert np.abs(found - before).sum() <= most + 1e-9
    assert (np.abs(found - before) <= np.abs(wanted - before) + 1e-12).all()
    assert ((found - before) * (wanted - before) >= -1e-12).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"most": -1.0}, "a turnover of at most -1.0, expected at least 0"),
        ({"before": [0.0]}, "wanted, before and closing are of 2, 1 and 2 names: align them"),
        ({"wanted": [math.nan, 0.0]}, "wanted has 1 of 2 values NaN or infinite: remove their cause"),
        ({"closing": [True]}, "wanted, before and closing are of 2, 2 and 1 names: align them"),
    ],
)
def test_what_cannot_be_slowed_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(StatisticsError, match=re.escape(said)):
        slowed(**({"wanted": [0.5, -0.5], "before": [0.0, 0.0], "most": 1.0} | changes))  # type: ignore[arg-type]
