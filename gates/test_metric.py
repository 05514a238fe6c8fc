"""Whether a model that is no signal is better than its baseline."""

from collections.abc import Callable

import pytest

from pytest_modelgates.gating.gate import Gate
from pytest_modelgates.stats.baseline import BaselineTest

AgainstBaseline = Callable[[Gate], BaselineTest]


@pytest.mark.hard
@pytest.mark.gate("metric.beats_baseline")
def test_beats_baseline(against_baseline: AgainstBaseline, gate: Gate) -> None:
    """One-sided p-value of "the declared metric is no better than the baseline's on the same rows"."""
    test = against_baseline(gate)
    gate.check(
        test.p_value,
        sample=test.units,
        model=test.model,
        baseline=test.baseline,
        gain=test.gain,
        gain_from=test.interval[0],
        gain_to=test.interval[1],
    )


@pytest.mark.soft
@pytest.mark.gate("metric.gain")
def test_gain(against_baseline: AgainstBaseline, gate: Gate) -> None:
    """The gain is worth having, and the metric is above the floor, if the policy sets one."""
    test = against_baseline(gate)
    gate.check(test.gain, sample=test.units, interval=test.interval)
    if "metric.floor" in gate.policy.slos_of(gate.name):
        gate.check(test.model, slo="metric.floor", sample=test.units)
