"""Whether the model would earn more without one of its feature groups."""

import pytest

from pytest_modelgates import Ablation, Gate


@pytest.mark.hard
@pytest.mark.gate("ablation.harmless")
@pytest.mark.usefixtures("require_sample")
def test_harmless(ablation: Ablation, ablations_gross: dict[str, Ablation], feature_group: str, gate: Gate) -> None:
    """Taking the group away does not significantly improve the IC after costs."""
    gross = ablations_gross[feature_group]
    gate.check(
        ablation.p_adjusted,
        sample=ablation.n_days,
        outcome=ablation.outcome,
        gain=ablation.gain,
        gain_from=ablation.interval[0],
        gain_to=ablation.interval[1],
        bound=ablation.bound,
        p_value=ablation.p_value,
        outcome_gross=gross.outcome,
        gain_gross=gross.gain,
    )
