"""Whether there is enough to judge by."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.significance import ewc_p_value
from pytest_modelgates.stats.sufficiency import minimum_detectable, more_days, too_little

ENOUGH = {"days": 100, "horizon": 1, "names": 10}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({}, None, id="just-enough"),
        pytest.param({"days": 99}, "99 held days, at least 100 are needed: 1 more", id="days"),
        pytest.param({"names": 9.5}, "9.5 assets on the median day, at least 10 are needed", id="names"),
        pytest.param({"horizon": 4}, None, id="short-horizons"),
        pytest.param({"horizon": 21, "days": 525}, None, id="just-enough-horizons"),
        pytest.param({"horizon": 21, "days": 524}, "524 held days, at least 525 are needed: 1 more", id="horizons"),
    ],
)
def test_it_says_what_is_missing(change: dict[str, float], why: str | None) -> None:
    assert too_little(**{**ENOUGH, **change}) == why


def test_for_independent_days_the_effect_is_2_123_errors() -> None:
    series = np.random.default_rng(0).standard_normal(40_000)
    assert minimum_detectable(series) == pytest.approx(2.1232 / 200, rel=0.07)


def test_dependent_days_show_less() -> None:
    series = np.random.default_rng(1).standard_normal(5000)
    smooth = np.convolve(series, np.ones(5), "valid")
    assert minimum_detectable(smooth) > 1.6 * smooth.std() / series.std() * minimum_detectable(series)


def test_an_effect_as_large_as_the_smallest_seen_is_seen_in_four_of_five_samples() -> None:
    seen, effect = 0, 2.1232 / np.sqrt(500)
    for seed in range(400):
        seen += ewc_p_value(np.random.default_rng(seed).standard_normal(500) + effect)[0] <= 0.10
    assert seen / 400 == pytest.approx(0.80, abs=0.07)


def test_the_days_needed_grow_with_the_square() -> None:
    series = np.random.default_rng(2).standard_normal(400)
    now = minimum_detectable(series)
    assert more_days(series, effect=now * 1.0001) == 0
    assert more_days(series, effect=now / 2) == pytest.approx(1200, abs=1)


SERIES = np.random.default_rng(3).standard_normal(50)
REFUSED = [
    pytest.param(
        lambda: more_days(SERIES, effect=0), "the effect looked for is 0, expected a number above 0", id="no-effect"
    ),
    pytest.param(
        lambda: minimum_detectable(SERIES, power=80),
        "level 0.1 and power 80, expected numbers between 0 and 1",
        id="percent",
    ),
    pytest.param(
        lambda: too_little(**{**ENOUGH, "horizon": 0}), "horizon is 0 days, expected at least 1", id="horizon"
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_it_refuses_and_says_why(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call()
