"""Whether the model would earn more without one of its feature groups."""

from collections.abc import Callable

import pytest

from pytest_modelgates.gating.gate import Gate
from pytest_modelgates.stats.ablation import Ablation

Enough = Callable[[Gate], None]


@pytest.mark.hard
@pytest.mark.gate("ablation.harmless")
def test_harmless(
    ablation: Ablation, ablations_gross: dict[str, Ablation], feature_group: str, enough: Enough, gate: Gate
) -> None:
    """Taking the group away does not significantly improve the IC after costs."""
    enough(gate)
    gross = ablations_gross[feature_group]
    gate.check(
        ablation.p_adjusted,
        sample=ablation.n_days,
        outcome=ablation.outcome,
        gain=ablation.gain,
        bound=ablation.bound,
        p_value=ablation.p_value,
        outcome_gross=gross.outcome,
        gain_gross=gross.gain,
    )
