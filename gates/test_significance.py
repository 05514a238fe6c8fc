"""Whether the signal earns anything after costs that chance would not."""

import math
from typing import Any

import pytest

from pytest_modelgates import (
    Candidate,
    Gate,
    Holdings,
    MeanTest,
    Panel,
    Placebo,
    TrialSeries,
    adjusted_p,
    deflated_sharpe,
    minimum_backtest_years,
    minimum_detectable,
    minimum_track_record,
    overfitting,
    probabilistic_sharpe,
    rank_ic_decay,
    ratio_variance,
    sharpe_of,
    superior_ability,
    why_unseen,
)

HORIZONS = (1, 5, 10, 21)


@pytest.mark.hard
@pytest.mark.gate("significance.p_against")
@pytest.mark.usefixtures("require_sample")
def test_p_against(holdings: Holdings, ic_test: MeanTest, gate: Gate) -> None:
    """One-sided p-value of "the positions have no positive IC after costs"."""
    gate.check(
        ic_test.p_against,
        sample=ic_test.n,
        doubt_miss=why_unseen(holdings.ic_net, effect=gate.policy.significance.detectable_ic),
        ic_net=ic_test.mean,
        ic_gross=float(holdings.ic.mean()),
        p_ewc=ic_test.p_ewc,
        p_bootstrap=ic_test.p_bootstrap,
        cosines=ic_test.cosines,
        block=ic_test.block,
        detectable_ic=minimum_detectable(holdings.ic_net),
    )


@pytest.mark.hard
@pytest.mark.gate("significance.p_adjusted")
@pytest.mark.usefixtures("require_sample")
def test_p_adjusted(
    candidate: Candidate,
    holdings: Holdings,
    ic_test: MeanTest,
    trials: TrialSeries,
    seen_trials: int,
    trial_count: int,
    gate: Gate,
) -> None:
    """The same p-value once every trial on this market data counts."""
    sidecar = candidate.sidecar
    found = adjusted_p(
        holdings.ic_net, trials, count=trial_count, horizon=sidecar.horizon, seed=candidate.seed, alone=ic_test
    )
    gate.check(
        found.p,
        sample=len(holdings.ic_net),
        doubt_miss=why_unseen(holdings.ic_net, effect=gate.policy.significance.detectable_ic),
        tried=trial_count,
        declared=sidecar.tried,
        seen=seen_trials,
        at_hand=trials.at_hand,
        by=found.how,
        p_step_down=found.step_down,
        p_holm=found.holm,
        resamples=found.resamples,
    )


@pytest.mark.hard
@pytest.mark.gate("significance.placebo")
def test_placebo(holdings: Holdings, placebo: Placebo, trial_count: int, gate: Gate) -> None:
    """The same positions on other names, and on other days, would not have earned as much, though many were tried."""
    asked = {"both": placebo.p_value, "names": placebo.p_names}[gate.policy.significance.placebo]
    gate.check(
        asked,
        sample=len(holdings.net),
        tried=trial_count,
        p_names=placebo.p_names,
        p_days=placebo.p_days,
        static=placebo.static,
        ic=placebo.ic,
        sd_names=placebo.sd_names,
        names=placebo.names,
        relabellings=placebo.relabellings,
        rotations=placebo.rotations,
    )


@pytest.mark.soft
@pytest.mark.gate("significance.rank_ic")
@pytest.mark.usefixtures("require_horizons")
def test_rank_ic(candidate: Candidate, panel: Panel, gate: Gate) -> None:
    """The scores rank the returns over the horizon, before costs; how that decays is in the evidence."""
    horizons = [candidate.sidecar.horizon, *HORIZONS]
    own, *others = rank_ic_decay(panel.by_day(candidate.scores), panel.returns, horizons=horizons)
    decay: dict[str, Any] = {f"ic_{other.horizon}": other.mean for other in others}
    gate.check(
        own.mean,
        sample=own.n,
        horizon=own.horizon,
        ratio=own.ratio,
        p_value=own.p_value,
        **decay,
    )


@pytest.mark.soft
@pytest.mark.gate("significance.deflated_sharpe")
@pytest.mark.usefixtures("require_sample")
def test_deflated_sharpe(
    holdings: Holdings, trials: TrialSeries, trial_count: int, periods_per_year: float, gate: Gate
) -> None:
    """The Sharpe ratio and the days are enough for so many trials."""
    sharpe, variance = sharpe_of(holdings.net), ratio_variance(trials)
    years = minimum_backtest_years(trial_count)
    gate.check_each(
        {
            "significance.deflated_sharpe": deflated_sharpe(sharpe, trials=trial_count, variance=variance),
            "significance.backtest_length": periods_per_year * years / len(holdings.net),
        },
        sample=len(holdings.net),
        tried=trial_count,
        at_hand=trials.at_hand,
        spread_of_trials=math.sqrt(periods_per_year * variance),
        probabilistic_sharpe=probabilistic_sharpe(sharpe),
        backtest_years=years,
    )


@pytest.mark.soft
@pytest.mark.gate("significance.track_record")
@pytest.mark.usefixtures("require_sample")
def test_track_record(holdings: Holdings, gate: Gate) -> None:
    """There are enough days to distinguish a Sharpe ratio like this one from 0."""
    needed = minimum_track_record(sharpe_of(holdings.net))
    gate.check(needed / len(holdings.net), sample=len(holdings.net), days_needed=needed)


@pytest.mark.soft
@pytest.mark.gate("significance.pbo")
@pytest.mark.usefixtures("require_sample")
def test_pbo(rival_trials: TrialSeries, trial_count: int, gate: Gate) -> None:
    """Choosing the best of the trials on half of the days does not choose a bad one for the other half."""
    found = overfitting(rival_trials.net)
    gate.check_each(
        {"significance.pbo": found.probability},
        sample=len(rival_trials.net),
        doubt_pass=rival_trials.why_incomplete(trial_count),
        at_hand=rival_trials.at_hand,
        tried=trial_count,
        probability_of_loss=found.probability_of_loss,
        slope=found.slope,
        splits=found.splits,
        dropped_days=found.dropped,
    )


@pytest.mark.soft
@pytest.mark.gate("significance.spa")
@pytest.mark.usefixtures("require_sample")
def test_spa(candidate: Candidate, rival_trials: TrialSeries, trial_count: int, gate: Gate) -> None:
    """The best of the trials has a positive IC after costs although so many were looked at."""
    spa = superior_ability(rival_trials.ic_net, seed=candidate.seed, n_resamples=1999)
    gate.check_each(
        {"significance.spa": spa.consistent},
        sample=len(rival_trials.net),
        doubt_pass=rival_trials.why_incomplete(trial_count),
        at_hand=rival_trials.at_hand,
        tried=trial_count,
        lower=spa.lower,
        upper=spa.upper,
        block=spa.block,
    )
