"""What following the scores on paper would have earned, traded and risked."""

import math
from collections.abc import Callable

import pytest

from pytest_modelgates.gating.gate import Gate
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.stats.caps import Capped
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.days import DAYS_PER_YEAR
from pytest_modelgates.stats.decay import top_turnover
from pytest_modelgates.stats.holdings import Held
from pytest_modelgates.stats.portfolio import PaperPnl, paper_pnl

Enough = Callable[[Gate], None]


@pytest.mark.soft
@pytest.mark.gate("pnl.after_costs")
def test_after_costs(held: Held, paper: PaperPnl, costs: Costs, enough: Enough, gate: Gate) -> None:
    """The position earns something after costs."""
    enough(gate)
    gate.check(
        paper.annual_return,
        sample=len(held.net),
        per_turnover_bps=costs.per_turnover_bps,
        borrow_bps_per_year=costs.borrow_bps_per_year,
        impact_bps=costs.impact_bps or "not charged",
        alpha=paper.alpha,
        beta=paper.beta,
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.sharpe")
def test_sharpe(held: Held, paper: PaperPnl, enough: Enough, gate: Gate) -> None:
    """What it earns is worth its risk, dearer trading, and more than luck."""
    enough(gate)
    assert paper.p_value is not None, "enough days for a verdict are enough for a p-value"
    gate.check_each(
        {
            "pnl.sharpe": paper.sharpe,
            "pnl.drawdown": paper.risk.max_drawdown,
            "pnl.p_value": paper.p_value,
            "pnl.probabilistic_sharpe": paper.probabilistic_sharpe,
            "pnl.break_even": paper.break_even_bps,
        },
        sample=len(held.net),
        sharpe_error=paper.sharpe_error,
        volatility=math.sqrt(DAYS_PER_YEAR) * paper.risk.volatility,
        sortino=math.sqrt(DAYS_PER_YEAR) * paper.risk.sortino,
        omega=paper.risk.omega,
        value_at_risk=paper.risk.value_at_risk,
        expected_shortfall=paper.risk.expected_shortfall,
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.turnover")
def test_turnover(candidate: Candidate, panel: Panel, held: Held, paper: PaperPnl, gate: Gate) -> None:
    """The sum of weight changes stays below the limit, on the average day."""
    replaced = top_turnover(panel.by_day(candidate.scores))
    gate.check(paper.mean_turnover, sample=len(held.net), top_tenth_replaced=float(replaced.mean()))


@pytest.mark.soft
@pytest.mark.gate("pnl.exposure")
def test_exposure(held: Held, paper: PaperPnl, gate: Gate) -> None:
    """Gross exposure, net exposure and the largest weight stay within bounds, on the worst day."""
    gate.check_each(
        {
            "pnl.exposure": paper.largest_gross,
            "pnl.net_exposure": paper.largest_net,
            "pnl.largest_weight": paper.largest_weight,
        },
        sample=len(held.net),
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.within_limits")
def test_within_limits(capped: Capped, enough: Enough, gate: Gate) -> None:
    """The position still earns something once the limits of its exposure are enforced."""
    enough(gate)
    gate.check(
        paper_pnl(capped.held).annual_return,
        sample=len(capped.held.net),
        days_cut=capped.days,
        cost_a_year=DAYS_PER_YEAR * capped.cost,
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.participation")
def test_participation(held: Held, paper: PaperPnl, gate: Gate) -> None:
    """No trade is too large a share of what the whole market traded that day."""
    if paper.largest_participation is None:
        gate.inconclusive("not available: the panel has no column of volumes; name one when packing")
    gate.check(paper.largest_participation, sample=len(held.net), capital=gate.policy.costs.capital)
