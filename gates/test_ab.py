"""Whether the candidate does worse than the live model on the live rows that it answered."""

import pytest

from pytest_modelgates import ArmDifference, Gate


@pytest.mark.soft
@pytest.mark.gate("ab.ic_difference")
def test_ic_difference(ab_difference: ArmDifference, gate: Gate) -> None:
    """The most that its IC may be above the live model's, by the interval that holds at all times, is not below 0."""
    gate.check(
        ab_difference.upper,
        sample=ab_difference.days,
        mean=ab_difference.mean,
        lower=ab_difference.lower,
        told=ab_difference.told,
    )
