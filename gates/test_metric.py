"""Whether a model that is not a signal is better than its baseline."""

import pytest

from pytest_modelgates import BaselineTest, Gate


@pytest.mark.hard
@pytest.mark.gate("metric.beats_baseline")
def test_beats_baseline(baseline_test: BaselineTest, gate: Gate) -> None:
    """One-sided p-value of "the declared metric is no better than the baseline's on the same rows"."""
    gate.check(
        baseline_test.p_value,
        sample=baseline_test.units,
        rows=baseline_test.rows,
        model=baseline_test.model,
        baseline=baseline_test.baseline,
        gain=baseline_test.gain,
        gain_from=baseline_test.interval[0],
        gain_to=baseline_test.interval[1],
    )


@pytest.mark.soft
@pytest.mark.gate("metric.gain")
def test_gain(baseline_test: BaselineTest, gate: Gate) -> None:
    """The gain is worth having, and the metric is above the floor, if the policy sets one."""
    gate.check(baseline_test.gain, sample=baseline_test.units, interval=baseline_test.interval)
    if "metric.floor" in gate.policy.slos_of(gate.name):
        gate.check(baseline_test.model, slo="metric.floor", sample=baseline_test.units)
