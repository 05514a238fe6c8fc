"""Whether the model would earn more without one of its feature groups."""

import pytest

from pytest_modelgates.gate import Gate
from pytest_modelgates.stats.ablation import Ablation


@pytest.mark.hard
@pytest.mark.gate("ablation.harmless")
def test_harmless(ablation: Ablation, feature_group: str, gate: Gate) -> None:
    """Neutralising the group does not significantly improve the IC after costs."""
    gate.check(
        ablation.p_adjusted, sample=ablation.n_days, gain=ablation.gain, bound=ablation.bound, p_value=ablation.p_value
    )
