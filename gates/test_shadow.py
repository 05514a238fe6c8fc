"""Whether the candidate ranks like the live model, day by day, on the rows that both have scored."""

import pytest

from pytest_modelgates import DailyAgreement, Gate


@pytest.mark.soft
@pytest.mark.gate("shadow.rank_corr")
def test_rank_corr(agreement: DailyAgreement, gate: Gate) -> None:
    """Both rank the assets of a day nearly alike, by the lower 5 % bound of the mean; an honest retrain may not."""
    gate.check(
        agreement.lower,
        sample=agreement.days,
        mean=agreement.mean,
        top_tenth_in_common=agreement.overlap,
        signs_flipped=agreement.flipped,
        largest_difference=agreement.largest,
        constant_days=agreement.constant,
        rows=agreement.rows,
    )
