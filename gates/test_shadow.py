"""Whether the candidate agrees with the live model on the rows that both have scored."""

from collections.abc import Callable

import pytest

from pytest_modelgates.gate import Gate
from pytest_modelgates.monitoring.compare import Agreement


@pytest.mark.soft
@pytest.mark.gate("shadow.rank_corr")
def test_rank_corr(live_agreement: Callable[[Gate], Agreement], gate: Gate) -> None:
    """Both rank the rows nearly alike; an honest retrain may not, hence soft."""
    agreement = live_agreement(gate)
    gate.check(agreement.rank_correlation, sample=agreement.rows)
