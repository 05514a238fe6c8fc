"""Whether what stops predictions was lately seen to work."""

import pytest

from pytest_modelgates import Gate


@pytest.mark.soft
@pytest.mark.gate("safety.kill_drill")
def test_kill_drill(days_since_drill: float, gate: Gate) -> None:
    """Every running server refused a row in a drill of the kill switch, not long ago."""
    gate.check(days_since_drill)
