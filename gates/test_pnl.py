"""What following the scores on paper would have earned, traded and risked."""

import pytest

from pytest_modelgates.gate import Gate
from pytest_modelgates.stats.portfolio import paper_pnl
from pytest_modelgates.stats.ranking import Held


@pytest.mark.soft
@pytest.mark.gate("pnl.after_costs")
def test_after_costs(held: Held, gate: Gate) -> None:
    """The position earns something after costs."""
    pnl = paper_pnl(held)
    gate.check(
        pnl.annual_return,
        sample=len(held.net),
        sharpe=pnl.sharpe,
        max_drawdown=pnl.max_drawdown,
        break_even_bps=pnl.break_even_bps,
        p_value=pnl.p_value,
        probabilistic_sharpe=pnl.probabilistic_sharpe,
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.turnover")
def test_turnover(held: Held, gate: Gate) -> None:
    """The sum of weight changes stays below the limit, on the average day."""
    gate.check(paper_pnl(held).mean_turnover, sample=len(held.net))


@pytest.mark.soft
@pytest.mark.gate("pnl.exposure")
def test_exposure(held: Held, gate: Gate) -> None:
    """Gross and net exposure stay within bounds, on the worst day."""
    pnl = paper_pnl(held)
    gate.check(pnl.largest_gross, sample=len(held.net), largest_weight=pnl.largest_weight)
    gate.check(pnl.largest_net, slo="pnl.net_exposure", sample=len(held.net))
