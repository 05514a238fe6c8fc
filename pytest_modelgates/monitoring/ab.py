"""What an A/B test has come to: rows of each arm, and the difference of IC and return with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..artifacts import ALL_ARMS, Artifacts
from ..audit.ab import ARM, Ended, Plan
from ..audit.kill import killed
from ..errors import InsufficientDataError, ModelgatesError
from ..model.directory import LocalDirectory
from ..model.sidecar import Sidecar
from ..predictions.counting import Tally, Window, count_whole
from ..predictions.records import Arm
from ..registry.store import is_model, live_change
from ..stats.arms import ArmDays, ArmDifference, arm_days, difference
from ..storage.text import first_line
from .realised import Market, Scores, market_of

State = Literal["runs", "stopped", "over", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRows:
    """One arm of a test: its model, and how many rows it has predicted since the test began."""

    arm: Arm
    model_id: str
    digest: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AbFound:
    """What a test has come to.

    `state` is `over` where the plan lies there, but nothing is dealt any more, and `stopped` while a kill file keeps
    the candidate from answering; `why` says why. `ic` and `earned` are the candidate's mean less the live model's, of a
    day: of the IC, and of the return before costs per unit of gross exposure. They are None where `not_told` says why
    nothing can be told yet.
    """

    plan: Plan
    state: State
    why: str | None
    stopped: datetime | None
    live: ArmRows
    candidate: ArmRows
    ic: ArmDifference | None
    earned: ArmDifference | None
    not_told: str | None

    @property
    def verdict(self) -> str:
        """What is known of the candidate: better, worse or inconclusive."""
        return "inconclusive" if self.ic is None else self.ic.told


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    rows: ArmRows
    sidecar: Sidecar | None
    scores: Scores | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AbByDay:
    """What a test has come to, and day by day: `arms` are the live model and the candidate, on `dates`.

    `held` is how long a position of either is held [days].
    """

    found: AbFound
    dates: NDArray[np.datetime64]
    arms: Sequence[ArmDays]
    held: int


def ab_found(artifacts: Artifacts, test: Plan | Ended) -> AbFound:
    """Read what a test has come to; parameters and errors are those of `ab_by_day`."""
    return ab_by_day(artifacts, test).found


def ab_by_day(artifacts: Artifacts, test: Plan | Ended) -> AbByDay:
    """Read what a test has come to, day by day.

    Parameters
    ----------
    artifacts : Artifacts
    test : Plan or Ended
        One that runs, or one that was stopped; then only what was scored until then counts.

    Raises
    ------
    FormatError, IntegrityError
        If the log or the outcomes cannot be read.
    InsufficientDataError
        If the log is not whole.
    """
    plan, stopped = (test.plan, test.stopped) if isinstance(test, Ended) else (test, None)
    state, why = ("ended", test.reason) if isinstance(test, Ended) else _standing(artifacts, plan)
    sidecars = {model_id: _sidecar_of(artifacts, model_id) for model_id in (plan.live, plan.candidate)}
    known, market, not_told = next((each for each in sidecars.values() if each), None), None, None
    try:
        market = market_of(artifacts, known) if known else None
    except ModelgatesError as error:
        not_told = first_line(error)
    read = partial(_side, artifacts, market, since=plan.started, until=stopped)
    live = read("live", plan.live, plan.live_digest, sidecars[plan.live])
    candidate = read(ARM, plan.candidate, plan.candidate_digest, sidecars[plan.candidate])
    ic = earned = None
    dates, arms, held = np.empty(0, dtype="datetime64[D]"), list[ArmDays](), 1
    if market is None:
        not_told = not_told or _nothing_known(known, plan)
    else:
        try:
            dates, arms = _days(market, plan, live, candidate)
            first, second = arms
            held = max(each.horizon for each in arms)
            ic = difference(first.ic, second.ic, held=held)
            earned = difference(first.earned, second.earned, held=held)
        except ModelgatesError as error:
            not_told = first_line(error)
    found = AbFound(
        plan=plan,
        state=state,
        why=why,
        stopped=stopped,
        live=live.rows,
        candidate=candidate.rows,
        ic=ic,
        earned=earned,
        not_told=not_told,
    )
    return AbByDay(found=found, dates=dates, arms=arms, held=held)


def difference_of(artifacts: Artifacts, test: Plan | Ended) -> ArmDifference:
    """Give the difference of IC of a test.

    Raises
    ------
    InsufficientDataError
        If nothing can be told yet.
    """
    found = ab_found(artifacts, test)
    if found.ic is None:
        raise InsufficientDataError(f"the A/B test {found.plan.name}: {found.not_told}")
    return found.ic


def _standing(artifacts: Artifacts, plan: Plan) -> tuple[State, str | None]:
    """Say whether rows are dealt by a plan that lies there."""
    if why := plan.outlived(live_change(artifacts)):
        return "over", why
    directory = artifacts.model(plan.candidate)
    if not is_model(artifacts, plan.candidate):
        return "over", f"{plan.candidate} is gone: no directory {directory}"
    try:
        with LocalDirectory(directory) as model:
            changed = model.verify() != plan.candidate_digest
    except ModelgatesError as error:
        return "over", f"{plan.candidate} is damaged: {first_line(error)}"
    if changed:
        return "over", f"{plan.candidate} was changed since the test began"
    stopped = next((each for each in killed(artifacts) if each.arm in (ALL_ARMS, "live", ARM)), None)
    return ("stopped", f"{stopped}; to go on: {stopped.way_on}") if stopped else ("runs", None)


def _sidecar_of(artifacts: Artifacts, model_id: str) -> Sidecar | None:
    try:
        with LocalDirectory(artifacts.model(model_id)) as model:
            return model.sidecar
    except ModelgatesError:
        return None


def _nothing_known(sidecar: Sidecar | None, plan: Plan) -> str:
    if sidecar is None:
        return f"neither {plan.live} nor {plan.candidate} is there any more"
    if sidecar.task != "signal":
        return "the models are not signals, so there is no IC to compare"
    return "no outcome is known; add what came of the rows: modelgates outcomes add FILE"


def _side(
    artifacts: Artifacts,
    market: Market | None,
    arm: Arm,
    model_id: str,
    digest: str,
    sidecar: Sidecar | None,
    *,
    since: datetime,
    until: datetime | None,
) -> _Side:
    """Read the log of an arm."""
    tally, scores = Tally(), Scores(market) if market else None
    records = count_whole(artifacts, arm, Window(digest=digest, since=since, until=until), tally)
    for _ in scores.seen(records) if scores else records:
        pass
    return _Side(
        rows=ArmRows(arm=arm, model_id=model_id, digest=digest, rows=tally.counted), sidecar=sidecar, scores=scores
    )


def _days(market: Market, plan: Plan, *sides: _Side) -> tuple[NDArray[np.datetime64], list[ArmDays]]:
    """Measure each arm on the rows that were dealt to it, day by day; both have the same days."""
    # What the live model answered in the candidate's place, while that could not, was chosen by no hash.
    taken, scores = np.array([plan.takes(key) for key in market.keys], dtype=bool), []
    for side in sides:
        assert side.scores is not None, "there is a market"
        scores.append(np.where(taken == (side.rows.arm == ARM), side.scores.values, np.nan))
    scored = np.isfinite(scores).any(axis=0)
    if not scored.any():
        raise InsufficientDataError("no outcome is known of the rows that were dealt; see: modelgates outcomes add")
    # The next days' returns of all names are asked for, whatever scored them.
    dates, found = market.dates(np.ones(scored.size, dtype=bool)), []
    rows = dates >= dates[scored].min()
    for side, values in zip(sides, scores, strict=True):
        if side.sidecar is None:
            raise InsufficientDataError(f"{side.rows.model_id} is gone, so nobody knows for how many days it is held")
        found.append(arm_days(*market.by_day(rows, values), horizon=side.sidecar.horizon))
    return np.unique(dates[rows]), found
