"""What a gate may ask for. Registered only in runs with `--model-dir`; heavy imports lie inside the bodies."""

from __future__ import annotations  # the types below are imported for checkers alone

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import pytest

from .errors import StatisticsError
from .gate import Gate
from .ledger import GATE, RUN, UNREADABLE, identity

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from .model.candidate import Candidate
    from .model.panel import Panel
    from .registry.policy import Policy
    from .serving.adapter import Adapter
    from .stats.ablation import Ablation
    from .stats.agreement import DailyAgreement
    from .stats.baseline import BaselineTest
    from .stats.caps import Capped
    from .stats.costs import Costs
    from .stats.portfolio import PaperPnl
    from .stats.ranking import Held
    from .stats.significance import MeanTest
    from .stats.trials import TrialSeries
    from .stats.walkforward import Folds

    Follow = Callable[[NDArray[np.float64], int], Held]
    WithoutGroups = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


@pytest.fixture(scope="session")
def candidate(model_dir: Path) -> Candidate:
    """The model under test; each part is read when a gate first asks for it."""
    from .model.candidate import Candidate

    return Candidate(model_dir)


@pytest.fixture(scope="session")
def policy(pytestconfig: pytest.Config) -> Policy:
    """The policy in force."""
    return pytestconfig.stash[RUN].policy


@pytest.fixture
def gate(request: pytest.FixtureRequest, candidate: Candidate, policy: Policy) -> Gate:
    """What the gate records with: ``gate.check(value)``, ``gate.check_none(offenders)``, ``gate.inconclusive(why)``."""
    name = identity(request.node)
    if name is None:
        pytest.fail(f'{request.node.nodeid} asks for `gate`: give it @pytest.mark.gate("family.name")', pytrace=False)
    asked = Gate(name, policy)
    request.node.stash[GATE] = asked
    return asked


@pytest.fixture(scope="session")
def panel(candidate: Candidate) -> Panel:
    """The out-of-sample rows."""
    return candidate.panel


@pytest.fixture(scope="session")
def costs(policy: Policy) -> Costs:
    """What the policy says that trading and holding cost."""
    from .stats.costs import Costs

    return Costs(**{name: getattr(policy.costs, name) for name in policy.costs.__struct_fields__ if name != "capital"})


@pytest.fixture(scope="session")
def volume(panel: Panel, policy: Policy) -> NDArray[np.float64] | None:
    """What the whole market traded by day and asset, as a share of capital; None if the panel does not say."""
    return None if panel.volume is None else panel.volume / policy.costs.capital


@pytest.fixture(scope="session")
def follow(panel: Panel, costs: Costs, volume: NDArray[np.float64] | None) -> Follow:
    """Given a score a row of the panel and a horizon: what following it would have held and earned, day by day."""
    from .stats.ranking import hold

    def held(scores: NDArray[np.float64], horizon: int) -> Held:
        return hold(panel.by_day(scores), panel.returns, horizon=horizon, cost_bps=costs, volume=volume)

    return held


@pytest.fixture(scope="session")
def held(candidate: Candidate, follow: Follow) -> Held:
    """What following ONNX Runtime's scores on the panel would have held and earned, day by day."""
    return follow(candidate.scores, candidate.sidecar.horizon)


@pytest.fixture(scope="session")
def paper(held: Held, volume: NDArray[np.float64] | None) -> PaperPnl:
    """What it earned after costs, traded and risked, summed up."""
    from .stats.portfolio import paper_pnl

    return paper_pnl(held, volume=None if volume is None else volume[held.first :])


@pytest.fixture(scope="session")
def capped(held: Held, panel: Panel, policy: Policy, costs: Costs, volume: NDArray[np.float64] | None) -> Capped:
    """What is held once the policy's limits of exposure are enforced, and what that costs."""
    from .stats.caps import Caps, hold_within

    weight, gross, net = (policy.limit(f"pnl.{name}").upper for name in ("largest_weight", "exposure", "net_exposure"))
    caps = Caps(weight=weight, gross=gross, net=net)
    return hold_within(held, panel.returns, caps, cost_bps=costs, volume=volume)


@pytest.fixture(scope="session")
def skill(candidate: Candidate, held: Held) -> Callable[[], MeanTest]:
    """Whether the IC after costs is above 0; measured when first called, for there may be too few days."""
    from .stats.significance import mean_exceeds

    return cache(lambda: mean_exceeds(held.ic_net, horizon=candidate.sidecar.horizon, seed=candidate.seed))


@pytest.fixture(scope="session")
def ablations(candidate: Candidate, held: Held, without_groups: WithoutGroups, policy: Policy) -> dict[str, Ablation]:
    """For each feature group, what the IC after costs gains without it."""
    return _ablate(held.ic_net, {group: net for group, (_, net) in without_groups.items()}, candidate, policy)


@pytest.fixture(scope="session")
def ablations_gross(
    candidate: Candidate, held: Held, without_groups: WithoutGroups, policy: Policy
) -> dict[str, Ablation]:
    """The same before costs."""
    return _ablate(held.ic, {group: gross for group, (gross, _) in without_groups.items()}, candidate, policy)


@pytest.fixture(scope="session")
def refit() -> Callable[[str], NDArray[np.float64]] | None:
    """Override to test the groups themselves: a function that gives the panel's scores by a model refitted without one.

    By default the fixed model is tested, with a group's features at their median of the day.
    """
    return None


@pytest.fixture(scope="session")
def without_groups(
    candidate: Candidate, panel: Panel, follow: Follow, refit: Callable[[str], NDArray[np.float64]] | None
) -> WithoutGroups:
    """For each feature group, the IC before and after costs without it."""

    def without(group: str, positions: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        scores = refit(group) if refit else candidate.model.predict(panel.neutralised(positions))
        held = follow(scores, candidate.sidecar.horizon)
        return held.ic, held.ic_net

    return {group: without(group, positions) for group, positions in candidate.sidecar.groups.items()}


def _ablate(
    ic: NDArray[np.float64], without: dict[str, NDArray[np.float64]], candidate: Candidate, policy: Policy
) -> dict[str, Ablation]:
    from .stats.ablation import ablate

    return ablate(
        ic,
        without,
        margin=policy.ablation.margin,
        margin_share=policy.ablation.margin_share,
        horizon=candidate.sidecar.horizon,
        seed=candidate.seed,
    )


@pytest.fixture(scope="session")
def trials(candidate: Candidate, held: Held, follow: Follow) -> TrialSeries:
    """What the registry's other candidates of the same panel would have earned, by their own reference scores.

    Of the newest ones alone, so that a long history does not slow every run; what cannot be read is not at hand.
    """
    from .errors import ModelgatesError
    from .stats.trials import NEWEST, align_trials

    series = [(held.net, held.ic_net)]
    for other in candidate.others[: NEWEST - 1]:
        try:
            theirs = follow(other.read_reference(), other.sidecar.horizon)
        except ModelgatesError:
            continue
        series.append((theirs.net, theirs.ic_net))
    return align_trials(series)


@pytest.fixture
def tried(candidate: Candidate) -> Callable[[Gate], int]:
    """How many candidates were tried on this panel; asked inside the gate, for nobody may have counted."""
    from .stats.trials import count_trials

    def count(gate: Gate) -> int:
        found = count_trials(candidate.sidecar.tried, candidate.seen)
        if found is None:
            gate.inconclusive("not available: the sidecar does not say how many candidates were tried")
        return found

    return count


@pytest.fixture
def ablation(ablations: dict[str, Ablation], feature_group: str) -> Ablation:
    """The ablation of the gate's own feature group."""
    assert feature_group != UNREADABLE, "the sidecar became readable during the run"
    return ablations[feature_group]


@pytest.fixture(scope="session")
def first_model(candidate: Candidate) -> bool:
    """Whether nothing was ever promoted in this model's registry."""
    from .registry.store import is_first

    return is_first(candidate.artifacts)


@pytest.fixture(scope="session")
def golden(panel: Panel) -> NDArray[np.float64]:
    """The candidate's own golden: its panel predictions."""
    return panel.reference


@pytest.fixture
def live_scores(candidate: Candidate, first_model: bool) -> Callable[[Gate], NDArray[np.float64]]:
    """What the candidate predicted on live rows in shadow; asked for inside the gate, which may have to do without."""
    from .drift.distance import MINIMUM_ROWS
    from .drift.records import read_predictions, values_of
    from .model.files import tree_digest

    def scores(gate: Gate) -> NDArray[np.float64]:
        digest = tree_digest(candidate.directory)
        values = values_of(read_predictions(candidate.artifacts.shadow_predictions, digest=digest))
        if not values.size and first_model:
            gate.no_reference("nothing was ever live, and the candidate was not shadowed")
        if len(values) < MINIMUM_ROWS:
            gate.inconclusive(
                f"{len(values)} live rows scored in shadow, at least {MINIMUM_ROWS} are needed; "
                f"run: modelgates shadow --onnx {candidate.directory / 'model.onnx'} --csv live_data.csv",
                sample=len(values),
            )
        return values

    return scores


@pytest.fixture
def live_agreement(candidate: Candidate, first_model: bool) -> Callable[[Gate], DailyAgreement]:
    """How far the candidate in shadow and the live model agree; asked for inside the gate, as above."""
    from .monitoring.compare import compare

    def agreement(gate: Gate) -> DailyAgreement:
        if first_model:
            gate.no_reference("nothing was ever live")
        try:
            return compare(candidate.artifacts, candidate.directory)
        except StatisticsError as error:
            gate.inconclusive(str(error))

    return agreement


@pytest.fixture
def idle_adapter(candidate: Candidate, tmp_path: Path) -> Adapter:
    """The serving adapter on this model, with a log of its own."""
    from .model.layout import MODEL
    from .serving.adapter import Adapter

    return Adapter(candidate.directory / MODEL, arm="shadow", log=tmp_path / "predictions.jsonl")


@pytest.fixture(scope="session")
def against_baseline(candidate: Candidate, panel: Panel) -> Callable[[Gate], BaselineTest]:
    """How far the declared metric of a model that is no signal exceeds its baseline's; asked for inside the gate."""
    from .stats.baseline import beats_baseline, named_metric

    @cache
    def told() -> BaselineTest:
        sidecar = candidate.sidecar
        return beats_baseline(
            panel.outcome,
            candidate.scores,
            panel.baseline,
            metric=named_metric(str(sidecar.metric), labels=sidecar.task == "classification"),
            seed=candidate.seed,
            classes=sidecar.task == "classification",
            days=panel.day_codes if sidecar.time else None,
        )

    def test(gate: Gate) -> BaselineTest:
        try:
            return told()
        except StatisticsError as error:
            gate.inconclusive(str(error), sample=len(panel.frame))

    return test


@pytest.fixture(scope="session")
def years(panel: Panel, held: Held) -> Callable[[Gate], Folds]:
    """The IC after costs by calendar year, without the days on which positions of the year before were held.

    By quarter, if the panel lies within a year; asked for inside the gate, for one quarter tells nothing.
    """
    from .stats.walkforward import calendar_folds, folds, join_short

    def by_year(gate: Gate) -> Folds:
        days = panel.days.to_numpy()[held.first :]
        labels = join_short(calendar_folds(days), purge=held.first)
        if labels[0] == labels[-1]:
            labels = join_short(calendar_folds(days, unit="quarter"), purge=held.first)
        try:
            return folds(held.ic_net, labels, purge=held.first)
        except StatisticsError as error:
            gate.inconclusive(str(error))

    return by_year


@pytest.fixture(scope="session")
def enough(panel: Panel, held: Held) -> Callable[..., None]:
    """Refuses a verdict on too few days, horizons or names; asked inside the gate, whose evidence then says so."""
    import numpy as np

    from .stats.sufficiency import median_names, too_little

    def check(gate: Gate, horizon: int = 1) -> None:
        names = median_names(~np.isnan(panel.returns[held.first :]))
        if why := too_little(days=len(held.net), horizon=horizon, names=names):
            gate.inconclusive(why, sample=len(held.net))

    return check
