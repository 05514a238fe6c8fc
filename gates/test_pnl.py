"""What following the scores on paper would have earned, traded and risked."""

import math

import pytest

from pytest_modelgates import (
    Candidate,
    Capped,
    Costs,
    Gate,
    Holdings,
    Panel,
    PaperPnl,
    Reconciled,
    ewc_p_value,
    top_turnover,
)


@pytest.mark.hard
@pytest.mark.gate("pnl.p_value")
@pytest.mark.usefixtures("require_sample")
def test_p_value(holdings: Holdings, gate: Gate) -> None:
    """One-sided p-value of "the position earns nothing after costs": an IC weighs days equally, and money does not."""
    p_value, cosines = ewc_p_value(holdings.net)
    gate.check(p_value, sample=len(holdings.net), net_return=float(holdings.net.mean()), cosines=cosines)


@pytest.mark.soft
@pytest.mark.gate("pnl.after_costs")
@pytest.mark.usefixtures("require_sample")
def test_after_costs(holdings: Holdings, paper_pnl: PaperPnl, costs: Costs, gate: Gate) -> None:
    """The position earns something after costs."""
    gate.check(
        paper_pnl.annual_return,
        sample=len(holdings.net),
        per_turnover_bps=costs.per_turnover_bps,
        borrow_bps_per_year=costs.borrow_bps_per_year,
        impact_bps=costs.impact_bps or "not charged",
        alpha=paper_pnl.alpha,
        beta=paper_pnl.beta,
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.sharpe")
@pytest.mark.usefixtures("require_sample")
def test_sharpe(holdings: Holdings, paper_pnl: PaperPnl, periods_per_year: float, gate: Gate) -> None:
    """What the position earns is worth its risk, would survive dearer trading, and is more than luck."""
    gate.check_each(
        {
            "pnl.sharpe": paper_pnl.sharpe,
            "pnl.drawdown": paper_pnl.risk.max_drawdown,
            "pnl.probabilistic_sharpe": paper_pnl.probabilistic_sharpe,
            "pnl.break_even": paper_pnl.break_even_bps,
        },
        sample=len(holdings.net),
        sharpe_error=paper_pnl.sharpe_error,
        volatility=math.sqrt(periods_per_year) * paper_pnl.risk.volatility,
        sortino=math.sqrt(periods_per_year) * paper_pnl.risk.sortino,
        omega=paper_pnl.risk.omega,
        value_at_risk=paper_pnl.risk.value_at_risk,
        expected_shortfall=paper_pnl.risk.expected_shortfall,
        periods_per_year=periods_per_year,
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.turnover")
def test_turnover(candidate: Candidate, panel: Panel, holdings: Holdings, paper_pnl: PaperPnl, gate: Gate) -> None:
    """The sum of weight changes stays below the limit, on the average day."""
    replaced = top_turnover(panel.by_day(candidate.scores))
    gate.check(paper_pnl.mean_turnover, sample=len(holdings.net), top_tenth_replaced=float(replaced.mean()))


@pytest.mark.soft
@pytest.mark.gate("pnl.exposure")
def test_exposure(holdings: Holdings, paper_pnl: PaperPnl, gate: Gate) -> None:
    """Gross exposure, net exposure and the largest weight stay within bounds, on the worst day."""
    gate.check_each(
        {
            "pnl.exposure": paper_pnl.largest_gross,
            "pnl.net_exposure": paper_pnl.largest_net,
            "pnl.largest_weight": paper_pnl.largest_weight,
        },
        sample=len(holdings.net),
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.within_limits")
@pytest.mark.usefixtures("require_sample")
def test_within_limits(capped: Capped, capped_pnl: PaperPnl, periods_per_year: float, gate: Gate) -> None:
    """The position still earns something once the limits of its exposure are enforced."""
    gate.check(
        capped_pnl.annual_return,
        sample=len(capped.holdings.net),
        days_cut=capped.days,
        cost_a_year=periods_per_year * capped.cost,
    )


@pytest.mark.soft
@pytest.mark.gate("pnl.participation")
def test_participation(holdings: Holdings, paper_pnl: PaperPnl, gate: Gate) -> None:
    """No trade is too large a share of what the whole market traded that day."""
    if paper_pnl.largest_participation is None:
        gate.inconclusive("not available: the panel has no column of volumes; name one when packing")
    gate.check(paper_pnl.largest_participation, sample=len(holdings.net), capital=gate.policy.costs.capital)


@pytest.mark.soft
@pytest.mark.gate("pnl.reconciled")
def test_reconciled(reconciled: Reconciled, gate: Gate) -> None:
    """What was booked on paper is what the gates' own simulation makes of the same live predictions and prices."""
    gate.check_none(
        reconciled.differing_days,
        days=reconciled.days,
        booked=reconciled.booked,
        simulated=reconciled.simulated,
        outcomes=reconciled.outcomes,
        days_cut=reconciled.cuts,
    )
