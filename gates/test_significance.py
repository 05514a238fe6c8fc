"""Whether the signal earns anything after costs that chance would not."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.gating.gate import Gate
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.stats.comparison import step_down, superior_ability
from pytest_modelgates.stats.days import DAYS_PER_YEAR
from pytest_modelgates.stats.decay import rank_ic_decay
from pytest_modelgates.stats.holdings import Held
from pytest_modelgates.stats.overfitting import overfitting
from pytest_modelgates.stats.sharpe import minimum_track_record, sharpe_of
from pytest_modelgates.stats.significance import MeanTest, ewc_p_value
from pytest_modelgates.stats.sufficiency import minimum_detectable, more_days
from pytest_modelgates.stats.trials import NEWEST, TrialSeries, after_trials, count_trials, ratio_variance

Enough = Callable[..., None]
HORIZONS = (1, 5, 10, 21)


@pytest.mark.hard
@pytest.mark.gate("significance.p_against")
def test_p_against(candidate: Candidate, held: Held, skill: Callable[[], MeanTest], enough: Enough, gate: Gate) -> None:
    """One-sided p-value of "the held position has no positive IC after costs"."""
    enough(gate)
    test = skill()
    detectable, wanted = minimum_detectable(held.ic_net), gate.policy.significance.detectable_ic
    if detectable > wanted and not gate.policy.limit(gate.name).contains(test.p_against):
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
@pytest.mark.gate("significance.rank_ic")
def test_rank_ic(candidate: Candidate, panel: Panel, enough: Enough, gate: Gate) -> None:
    """The scores rank the returns over the horizon, before costs; how that decays is in the evidence."""
    horizon = candidate.sidecar.horizon
    enough(gate, horizon)
    scores = panel.by_day(candidate.scores)
    own, *others = rank_ic_decay(scores, panel.returns, horizons=[horizon, *HORIZONS])
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
def test_deflated_sharpe(
    held: Held,
    skill: Callable[[], MeanTest],
    trials: TrialSeries,
    tried: Callable[[Gate], int],
    enough: Enough,
    gate: Gate,
) -> None:
    """The Sharpe ratio, the p-value and the days are enough for as many trials."""
    enough(gate)
    count, variance = tried(gate), ratio_variance(trials)
    after = after_trials(skill().p_against, sharpe_of(held.net), trials=count, variance=variance)
    assert after.deflated_sharpe is not None
    assert after.p_adjusted is not None
    assert after.backtest_years is not None
    gate.check_each(
        {
            "significance.deflated_sharpe": after.deflated_sharpe,
            "significance.p_bonferroni": after.p_adjusted,
            "significance.backtest_length": DAYS_PER_YEAR * after.backtest_years / len(held.net),
        },
        sample=len(held.net),
        tried=count,
        at_hand=trials.at_hand,
        spread_of_trials=math.sqrt(DAYS_PER_YEAR * variance),
        probabilistic_sharpe=after.probabilistic_sharpe,
        backtest_years=after.backtest_years,
    )


@pytest.mark.soft
@pytest.mark.gate("significance.track_record")
def test_track_record(held: Held, enough: Enough, gate: Gate) -> None:
    """The days are as many as a Sharpe ratio like this one needs to be told from 0."""
    enough(gate)
    needed = minimum_track_record(sharpe_of(held.net))
    gate.check(needed / len(held.net), sample=len(held.net), days_needed=needed)


@pytest.mark.soft
@pytest.mark.gate("significance.pbo")
def test_pbo(trials: TrialSeries, tried: Callable[[Gate], int], enough: Enough, gate: Gate) -> None:
    """Choosing the best of the trials on half of the days does not choose a bad one for the other half."""
    enough(gate)
    with _of_trials(gate, trials, tried(gate)) as check:
        found = overfitting(trials.net)
        check(
            {"significance.pbo": found.probability},
            probability_of_loss=found.probability_of_loss,
            slope=found.slope,
            splits=found.splits,
        )


@pytest.mark.soft
@pytest.mark.gate("significance.spa")
def test_spa(
    candidate: Candidate, held: Held, trials: TrialSeries, tried: Callable[[Gate], int], enough: Enough, gate: Gate
) -> None:
    """The best of the trials, and this one, have a positive IC after costs although so many were looked at."""
    enough(gate)
    count = tried(gate)
    with _of_trials(gate, trials, count) as check:
        spa = superior_ability(trials.ic_net, seed=candidate.seed, n_resamples=1999)
        stepped = step_down(trials.ic_net, seed=candidate.seed, n_resamples=1999)
        own, *others = (ewc_p_value(series)[0] for series in trials.ic_net.T)
        adjusted = after_trials(own, sharpe_of(held.net), trials=count, others=others).p_adjusted
        assert adjusted is not None
        check(
            {
                "significance.spa": spa.consistent,
                "significance.step_down": float(stepped[0]),
                "significance.p_holm": adjusted,
            },
            lower=spa.lower,
            upper=spa.upper,
            block=spa.block,
        )


@contextmanager
def _of_trials(gate: Gate, trials: TrialSeries, tried: int) -> Iterator[Callable[..., None]]:
    """Let some of the trials fail a gate, but only all of them pass it."""

    def check(values: dict[str, float], **detail: float) -> None:
        kept = all(gate.policy.limit(slo).contains(value) for slo, value in values.items())
        if kept and trials.at_hand < tried:
            told = ", ".join(f"{slo} {value:.3g}" for slo, value in values.items())
            gate.inconclusive(
                f"{told}, but by {trials.at_hand} of {tried} trials: pack the others too, the newest {NEWEST} are read",
                sample=len(trials.net),
            )
        gate.check_each(values, sample=len(trials.net), at_hand=trials.at_hand, tried=tried, **detail)

    if trials.net.shape[1] < 2:
        gate.inconclusive(f"not available: none of the other trials is at hand, of {tried} on this panel")
    try:
        yield check
    except StatisticsError as error:
        gate.inconclusive(f"not available: {error}")
