"""Whether the score or a feature knows what it cannot know."""

import pytest

from pytest_modelgates import Candidate, Delay, Gate, Giveaway, Holdings, LookAhead, Panel, steadiness


@pytest.mark.hard
@pytest.mark.gate("leak.too_good")
@pytest.mark.usefixtures("require_sample")
def test_too_good(look_ahead: LookAhead, holdings: Holdings, panel: Panel, gate: Gate) -> None:
    """Neither the score nor a feature ranks returns better than anything honest does, nor is the profit as steady."""
    gate.check_each(
        {
            "leak.too_good": look_ahead.ic,
            "leak.sharpe": steadiness(holdings.net, periods_per_year=panel.calendar.periods_per_year),
            "leak.one_name": look_ahead.name_ic,
            "leak.perfect_days_p": look_ahead.perfect_p,
        },
        sample=look_ahead.days,
        by_slo={
            "leak.too_good": {"column": look_ahead.column or "none", "ranks": look_ahead.over or "none"},
            "leak.one_name": {"name": panel.asset(look_ahead.name)},
            "leak.perfect_days_p": {"perfect_days": look_ahead.perfect},
        },
    )


@pytest.mark.hard
@pytest.mark.gate("leak.delay")
def test_delay(candidate: Candidate, delay: Delay, gate: Gate) -> None:
    """Half of the rank IC is left a day later, and a quarter in the last half of the horizon.

    Asked if the horizon is two days or more and there is an IC.
    """
    least = gate.policy.leak.delay_ic
    why_not = None
    if candidate.sidecar.horizon == 1:
        why_not = "the horizon is one day"
    elif delay.ic <= least:
        why_not = f"the mean rank IC, {delay.ic:.3g}, is not above {least:g} ([leak] delay_ic)"
    gate.check(
        0.0 if why_not else min(delay.bound, delay.last_bound),
        sample=delay.days,
        not_asked=why_not,
        ic=delay.ic,
        ic_a_day_later=delay.later,
        ic_of_last_half=delay.last,
        horizon=candidate.sidecar.horizon,
    )


@pytest.mark.soft
@pytest.mark.gate("leak.profile")
def test_profile(look_ahead: LookAhead, gate: Gate) -> None:
    """No feature ranks the next two days more than three times as well as the eight after."""
    gate.check(look_ahead.excess, sample=look_ahead.days, feature=look_ahead.brief or "none")


@pytest.mark.hard
@pytest.mark.gate("leak.target")
def test_target(giveaway: Giveaway, gate: Gate) -> None:
    """No single feature tells the target of a model that is not a signal."""
    gate.check(giveaway.value, feature=giveaway.column or "none")
