"""Whether what the candidate predicts on live rows looks like what it predicted on its panel."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_modelgates.drift import ks_test, psi
from pytest_modelgates.gating.gate import Gate

Scores = NDArray[np.float64]
LiveScores = Callable[[Gate], Scores]


@pytest.mark.hard
@pytest.mark.gate("drift.psi")
def test_psi(golden: Scores, live_scores: LiveScores, gate: Gate) -> None:
    """The population stability index is far from alarming."""
    scores = live_scores(gate)
    gate.check(psi(golden, scores), sample=len(scores))


@pytest.mark.soft
@pytest.mark.gate("drift.psi_moderate")
def test_psi_moderate(golden: Scores, live_scores: LiveScores, gate: Gate) -> None:
    """The population stability index is not even moderate."""
    scores = live_scores(gate)
    gate.check(psi(golden, scores), sample=len(scores))


@pytest.mark.soft
@pytest.mark.gate("drift.ks")
def test_ks(golden: Scores, live_scores: LiveScores, gate: Gate) -> None:
    """No distance between the distributions is both significant and large; one that chance explains counts as 0."""
    scores = live_scores(gate)
    ks = ks_test(golden, scores)
    significant = ks.p_value < gate.policy.drift.ks_p
    gate.check(ks.statistic if significant else 0.0, sample=len(scores), statistic=ks.statistic, p_value=ks.p_value)
