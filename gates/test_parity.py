"""Whether ONNX Runtime says what the native model said."""

from typing import Any

import pytest

from pytest_modelgates import Candidate, Costs, Gate, Panel, disordered, tied_rows, trade_difference


@pytest.mark.hard
@pytest.mark.gate("parity.max_abs_diff")
def test_max_abs_diff(candidate: Candidate, gate: Gate) -> None:
    """Every row and every probe scores alike at every batch size, up to a share of the spread of a day's scores."""
    parity = candidate.parity
    gate.check(
        parity.scaled,
        sample=parity.rows,
        max_abs_diff=parity.max_abs_diff,
        scale=parity.scale,
        half_within=parity.scaled_half,
        p99_within=parity.scaled_p99,
        probes=parity.probes,
        **candidate.cause,
    )


@pytest.mark.hard
@pytest.mark.gate("parity.claim")
def test_claim(candidate: Candidate, gate: Gate) -> None:
    """What parity.json says is what is measured here."""
    gate.check_none(candidate.parity_claim_problems(gate.policy.limit("parity.max_abs_diff").upper))


@pytest.mark.hard
@pytest.mark.gate("parity.decisions")
def test_decisions(candidate: Candidate, panel: Panel, costs: Costs, gate: Gate) -> None:
    """Rows of one day, or all if there are no days, whose native scores are clearly apart keep their order."""
    # Each of two scores may be off by the tolerance, so scores nearer than twice that may change places.
    tolerance = gate.policy.limit("parity.max_abs_diff").upper * candidate.parity.scale
    offenders = disordered(panel.native_scores, candidate.scores, panel.day_codes, margin=2 * tolerance)
    trades: dict[str, Any] = {}
    if candidate.sidecar.task == "signal":
        moved = trade_difference(
            panel.by_day(panel.native_scores),
            panel.by_day(candidate.scores),
            panel.returns,
            horizon=candidate.sidecar.horizon,
            cost_bps=costs.per_turnover_bps,
        )
        trades = {
            "trades_that_differ": moved.trades,
            "trades": moved.all_trades,
            "turnover_moved": moved.turnover,
            "pnl_moved": moved.pnl,
            "largest_pnl_moved": moved.largest_pnl,
        }
    gate.check(
        offenders,
        sample=len(panel.native_scores),
        margin=2 * tolerance,
        max_abs_diff=candidate.parity.max_abs_diff,
        rows_at_splits=candidate.rows_at_splits,
        tied_rows=tied_rows(candidate.scores, panel.day_codes),
        **trades,
        **candidate.cause,
    )


@pytest.mark.soft
@pytest.mark.gate("parity.batch_invariance")
def test_batch_invariance(candidate: Candidate, gate: Gate) -> None:
    """A row scores alike to the last bit whatever is scored with it, so requests may be scored together."""
    gate.check(candidate.parity.by_batch, sample=candidate.parity.rows + candidate.parity.probes)
