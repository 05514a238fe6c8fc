"""Whether the signal earns anything after costs that chance would not."""

from collections.abc import Callable

import pytest

from pytest_modelgates.gate import Gate
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.stats.ranking import Held
from pytest_modelgates.stats.sharpe import sharpe_of
from pytest_modelgates.stats.significance import mean_exceeds
from pytest_modelgates.stats.sufficiency import minimum_detectable, more_days
from pytest_modelgates.stats.trials import after_trials, count_trials


@pytest.mark.hard
@pytest.mark.gate("significance.p_against")
def test_p_against(candidate: Candidate, held: Held, enough: Callable[[Gate], None], gate: Gate) -> None:
    """One-sided p-value of "the held position has no positive IC after costs"."""
    enough(gate)
    test = mean_exceeds(held.ic_net, horizon=candidate.sidecar.horizon, seed=candidate.seed)
    detectable, wanted = minimum_detectable(held.ic_net), gate.policy.significance.detectable_ic
    if detectable > wanted and not gate.policy.limit(gate.name).hold(test.p_against):
        gate.inconclusive(
            f"p = {test.p_against:.3g}, but an IC of {wanted:g} could stay unseen on {test.n} days (at best "
            f"{detectable:.3g} is seen): {more_days(held.ic_net, effect=wanted)} more would settle it",
            sample=test.n,
        )
    tried = count_trials(candidate.sidecar.tried, candidate.seen)
    after = after_trials(test.p_against, sharpe_of(held.net), trials=tried)
    gate.check(
        test.p_against,
        sample=test.n,
        ic_net=test.mean,
        ic_gross=float(held.ic.mean()),
        p_ewc=test.p_ewc,
        p_bootstrap=test.p_bootstrap,
        cosines=test.cosines,
        block=test.block,
        detectable_ic=detectable,
        tried=tried,
        p_bonferroni=after.p_adjusted,
    )


@pytest.mark.soft
@pytest.mark.gate("significance.deflated_sharpe")
def test_deflated_sharpe(candidate: Candidate, held: Held, enough: Callable[[Gate], None], gate: Gate) -> None:
    """Chance that the best of as many trials without skill would have shown a smaller Sharpe ratio."""
    enough(gate)
    tried = count_trials(candidate.sidecar.tried, candidate.seen)
    after = after_trials(1.0, sharpe_of(held.net), trials=tried)
    if after.deflated_sharpe is None:
        gate.inconclusive("not available: the sidecar does not say how many candidates were tried")
    gate.check(
        after.deflated_sharpe,
        sample=len(held.net),
        tried=tried,
        probabilistic_sharpe=after.probabilistic_sharpe,
        track_record_days=after.track_record_days,
        backtest_years=after.backtest_years,
    )
