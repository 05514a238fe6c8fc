"""Whether what the candidate predicts on live rows looks like what it predicted on its panel."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_modelgates import Gate
from pytest_modelgates.drift import ks_test, psi

Scores = NDArray[np.float64]


@pytest.mark.hard
@pytest.mark.gate("drift.psi")
def test_psi(golden: Scores, shadow_scores: Scores, gate: Gate) -> None:
    """The population stability index is far from alarming."""
    gate.check(psi(golden, shadow_scores), sample=len(shadow_scores))


@pytest.mark.soft
@pytest.mark.gate("drift.psi_moderate")
def test_psi_moderate(golden: Scores, shadow_scores: Scores, gate: Gate) -> None:
    """The population stability index is not even moderate."""
    gate.check(psi(golden, shadow_scores), sample=len(shadow_scores))


@pytest.mark.soft
@pytest.mark.gate("drift.ks")
def test_ks(golden: Scores, shadow_scores: Scores, gate: Gate) -> None:
    """No distance between the distributions is both significant and large; one that chance explains counts as 0."""
    ks = ks_test(golden, shadow_scores)
    distance = ks.statistic if ks.p_value < gate.policy.drift.ks_p else 0.0
    gate.check(distance, sample=len(shadow_scores), statistic=ks.statistic, p_value=ks.p_value)
