"""Whether what the candidate predicts on live rows looks like what it predicted on its panel."""

from typing import Any

import pytest

from pytest_modelgates import Gate


@pytest.mark.hard
@pytest.mark.gate("drift.psi")
def test_psi(shadow_drift: dict[str, Any], gate: Gate) -> None:
    """The population stability index is far from alarming."""
    psi, rows = shadow_drift["psi"], shadow_drift["rows"]["current"]
    if psi["doubt"]:
        gate.inconclusive(psi["doubt"], sample=rows)
    gate.check(psi["judged"], sample=rows, critical=psi["critical"], index=psi["value"])


@pytest.mark.soft
@pytest.mark.gate("drift.psi_moderate")
def test_psi_moderate(shadow_drift: dict[str, Any], gate: Gate) -> None:
    """The population stability index is not even moderate."""
    psi, rows = shadow_drift["psi"], shadow_drift["rows"]["current"]
    if psi["doubt"]:
        gate.inconclusive(psi["doubt"], sample=rows)
    gate.check(psi["judged"], sample=rows, critical=psi["critical"])


@pytest.mark.soft
@pytest.mark.gate("drift.ks")
def test_ks(shadow_drift: dict[str, Any], gate: Gate) -> None:
    """No distance between the distributions is both significant and large; one that chance explains counts as 0."""
    ks, rows = shadow_drift["ks"], shadow_drift["rows"]["current"]
    distance = ks["statistic"] if ks["p_value"] < gate.policy.drift.ks_p else 0.0
    gate.check(
        distance,
        sample=rows,
        statistic=ks["statistic"],
        p_value=ks["p_value"],
        dependence=shadow_drift["dependence"],
    )
