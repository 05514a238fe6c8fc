"""Whether the signal earns anything after costs that chance would not."""

import pytest

from pytest_modelgates.gate import Gate
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.stats.ranking import Held
from pytest_modelgates.stats.significance import mean_exceeds


@pytest.mark.hard
@pytest.mark.gate("significance.p_against")
def test_p_against(candidate: Candidate, held: Held, gate: Gate) -> None:
    """One-sided p-value of "the held position has no positive IC after costs"."""
    test = mean_exceeds(held.ic_net, horizon=candidate.sidecar.horizon, seed=candidate.seed)
    tried = candidate.sidecar.tried
    gate.check(
        test.p_against,
        sample=test.n,
        ic_net=test.mean,
        ic_gross=float(held.ic.mean()),
        p_ewc=test.p_ewc,
        p_bootstrap=test.p_bootstrap,
        cosines=test.cosines,
        block=test.block,
        tried=tried,
        p_bonferroni=min(1.0, test.p_against * tried) if tried else None,
    )
