"""Whether the candidate ranks like the live model, day by day, on the rows that both have scored."""

from collections.abc import Callable

import pytest

from pytest_modelgates.gating.gate import Gate
from pytest_modelgates.stats.agreement import DailyAgreement


@pytest.mark.soft
@pytest.mark.gate("shadow.rank_corr")
def test_rank_corr(live_agreement: Callable[[Gate], DailyAgreement], gate: Gate) -> None:
    """Both rank the assets of a day nearly alike, by the lower 5 % bound of the mean; an honest retrain may not."""
    agreement = live_agreement(gate)
    gate.check(
        agreement.lower,
        sample=agreement.days,
        mean=agreement.mean,
        top_tenth_in_common=agreement.overlap,
        constant_days=agreement.constant,
        rows=agreement.rows,
    )
