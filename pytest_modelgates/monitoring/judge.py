"""What the triggers of the watch look at: the log of predictions, the golden, and the live model's own files."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from ..artifacts import Artifacts
from ..audit.chain import Intent
from ..drift.versions import golden_metadata
from ..errors import InsufficientDataError, ModelgatesError, StatisticsError
from ..model.directory import LocalDirectory
from ..policy.calendars import closes
from ..policy.operations import AgeRules, DriftRules, Mode, WatchRules
from ..policy.policy import Policy
from ..predictions.counting import Window
from ..predictions.parts import parts
from ..predictions.sharing import Shared
from ..registry.criteria import DRIFT, SERVE_LATENCY
from ..registry.in_force import InForce
from ..registry.way_back import PARITY
from ..serving.drill import last_drill
from ..storage.text import first_line
from . import triggers
from .drift_check import check_log, record
from .lately import Lately
from .looks import newest_in
from .rescored import SCORES, Rescore, wrong_scores
from .seldom import OF_OUTCOMES, RANKS, Held, seldom
from .silence import age, deadlines, overdue_drill, silence
from .triggers import DRIFT_SHARE, Finding
from .way_out import ARM

KILL_DRILL = "safety.kill_drill"
BY_CHANCE = ("latency", "failed", "rejected")
"""Triggers that chance may set off, besides drift."""
CURABLE = (*BY_CHANCE, "drift", SCORES, *OF_OUTCOMES)
"""Triggers that a rollback may help against."""


class Judge:
    """Reads what the triggers need of the live model, and goes on from there at the next look.

    Parameters
    ----------
    artifacts : Artifacts
    live : Intent
        The change by which the model went live.
    policy : Policy
    rescore : callable
        Scores rows again in another process.
    sizes : mapping of str to int
        How far the parts of the log were read before [bytes].
    held : mapping of str to Held
        What triggers found that are judged seldom.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        live: Intent,
        policy: Policy,
        rescore: Rescore,
        *,
        sizes: Mapping[str, int],
        held: Mapping[str, Held],
    ) -> None:
        self._artifacts, self._rescore = artifacts, rescore
        self.held = dict(held)
        self._back: timedelta | None = None
        limit = policy.limit(SERVE_LATENCY)
        self._lately = Lately(artifacts, ARM, live.digest, slow_ms=limit.upper, sizes=sizes)

    def is_of_another(self, live: Intent, in_force: InForce) -> bool:
        """Whether another model went live, or more or something else is asked of what was read."""
        slow_ms = in_force.policy.limit(SERVE_LATENCY).upper
        longer = self._back is not None and _back(in_force.operations.watch) > self._back
        return longer or (self._lately.digest, self._lately.slow_ms) != (live.digest, slow_ms)

    @property
    def sizes(self) -> dict[str, int]:
        """How far the parts of the log were read [bytes]."""
        return self._lately.sizes

    def judge(
        self,
        in_force: InForce,
        live: Intent,
        modes: Mapping[str, Mode],
        *,
        now: datetime,
        level: float,
        keep: Callable[[Mapping[str, Held]], None],
    ) -> list[Finding]:
        """Hold every trigger; each that chance may set off spends so much, and drift what it has of its own.

        `keep` keeps what triggers found, for a look that is made in case this one is killed.

        Raises
        ------
        OSError
            If what drift spent cannot be kept.
        """
        policy, rules = in_force.policy, in_force.operations.watch
        before = self.held.get("drift")
        self.held = seldom(self._artifacts, policy, rules, live, modes, self.held, now=now)
        # What stands may have been found under another mode.
        stands = [_under(modes.get(name), each.finding) for name, each in self.held.items()]
        log = Shared()  # drift and the last hours are of the same lines
        drift = self._drift(policy, in_force.operations.drift, rules, live, modes["drift"], before, log, keep, now=now)
        return [
            *self._of_log(policy, rules, live, modes, log, now=now, level=level),
            drift,
            self._scores(policy, rules, live, modes[SCORES]),
            *stands,
            *self._quiet(rules, live, now=now),
            self._overdue(policy, rules, live, now=now),
        ]

    def _of_log(
        self,
        policy: Policy,
        rules: WatchRules,
        live: Intent,
        modes: Mapping[str, Mode],
        log: Shared,
        *,
        now: datetime,
        level: float,
    ) -> list[Finding]:
        """Judge what the log says of the last hours."""
        self._back = _back(rules)
        begin = {name: max(live.time, now - timedelta(hours=getattr(rules, name).window_h)) for name in BY_CHANCE}
        try:
            problem = self._lately.read(min(begin.values()), read=log.read)
        except (ModelgatesError, OSError) as error:
            problem = first_line(error)
        if problem:
            why = f"the log of live predictions is not whole: {problem}"
            return [triggers.unseen(name, modes[name], why) for name in BY_CHANCE]
        sums = {name: self._lately.since(time) for name, time in begin.items()}
        slow, failed, rejected = (sums[name] for name in BY_CHANCE)
        limit = policy.limit(SERVE_LATENCY)
        of_rows = (("failed", failed.failed, failed.rows), ("rejected", rejected.rejected, rejected.rows))
        return [
            triggers.latency(slow, limit, rules.latency, modes["latency"], level=level),
            *(
                triggers.share_of_rows(name, bad, rows, getattr(rules, name), modes[name], level=level)
                for name, bad, rows in of_rows
            ),
        ]

    def _drift(
        self,
        policy: Policy,
        budget: DriftRules,
        rules: WatchRules,
        live: Intent,
        mode: Mode,
        before: Held | None,
        log: Shared,
        keep: Callable[[Mapping[str, Held]], None],
        *,
        now: datetime,
    ) -> Finding:
        """Look at drift once more, with the drift's share of the budget; without a new row, what was found stands."""
        own = DriftRules(days_per_false_alarm=budget.days_per_false_alarm / DRIFT_SHARE)
        try:
            check = check_log(self._artifacts, policy, rules=own, now=now, read=log.read)
        except InsufficientDataError as error:
            return triggers.unseen("drift", mode, first_line(error))
        except StatisticsError as error:
            return triggers.inconclusive("drift", mode, first_line(error))
        except (ModelgatesError, OSError) as error:
            return triggers.unseen("drift", mode, first_line(error))
        if check.over_time is None:
            return triggers.unseen("drift", mode, check.over_time_words.strip())
        found = triggers.drift(check.over_time, policy.limit(DRIFT), rules.drift, mode)
        of = (
            f"{live.digest} {live.time} {check.over_time['all']['since']}"  # ends with the model, or by acknowledgement
        )
        if check.over_time["window"] is not None:
            if found.beyond:  # once it is recorded, its rows are not new to any look
                keep(self.held | {"drift": Held(of=of, finding=found)})
            record(self._artifacts, check)  # raises where it cannot be kept: what was spent would be spent again
        elif before and before.of == of:
            found = _under(mode, before.finding)
        self.held["drift"] = Held(of=of, finding=found)
        return found

    def _scores(self, policy: Policy, rules: WatchRules, live: Intent, mode: Mode) -> Finding:
        """Have the rows scored again whose features the log kept since the last look."""
        sample = self._lately.taken()
        found = self._rescore(self._artifacts.model(live.to), sample) if sample else None
        return wrong_scores(found, live.digest, policy.limit(PARITY), policy.limit(RANKS), rules.scores, mode)

    def _quiet(self, rules: WatchRules, live: Intent, *, now: datetime) -> list[Finding]:
        """Judge what no prediction tells."""
        found = list[Finding]()
        asked = rules.silence
        try:
            traded = closes(asked.calendar, now.astimezone(UTC).year) if asked.calendar else None
            due = deadlines(asked, traded, now=now)
            newest = newest_row(self._artifacts, since=due[1]) if due else None
            found.append(silence(asked, due, newest, live=live.time))
        except (ModelgatesError, OSError) as error:
            found.append(triggers.unseen("silence", asked.mode, first_line(error)))
        for trigger, what, read in (
            ("stale_model", "the last day that it was trained on", trained_until),
            ("stale_golden", "the golden was put in force", golden_since),
        ):
            of: AgeRules = getattr(rules, trigger)
            try:
                since = read(self._artifacts, live.to) if of.limit_days else None
                found.append(age(trigger, of, since, what, now=now))
            except (ModelgatesError, OSError) as error:
                found.append(triggers.unseen(trigger, of.mode, first_line(error)))
        return found

    def _overdue(self, policy: Policy, rules: WatchRules, live: Intent, *, now: datetime) -> Finding:
        """Judge when a drill last proved the kill switch."""
        try:
            last = last_drill(self._artifacts)
        except (ModelgatesError, OSError) as error:
            return triggers.unseen("drill", rules.drill.mode, first_line(error))
        proved = last.ended if last else None
        return overdue_drill(rules.drill, policy.limit(KILL_DRILL), proved, live=live.time, now=now)


def _back(rules: WatchRules) -> timedelta:
    """How far back the log is read."""
    return timedelta(hours=max(getattr(rules, name).window_h for name in BY_CHANCE))


def _under(mode: Mode | None, found: Finding) -> Finding:
    return msgspec.structs.replace(found, mode=mode) if mode else found


def newest_row(artifacts: Artifacts, *, since: datetime) -> datetime | None:
    """Say when the last row of the live arm was scored; None if there is none in parts of the days since a moment."""
    found = map(newest_in, parts(artifacts, ARM, since=Window(since=since).first_day))
    return max((each for each in found if each), default=None)


def trained_until(artifacts: Artifacts, model_id: str) -> datetime | None:
    """Say until which day a model was trained; None if it does not say."""
    with LocalDirectory(artifacts.model(model_id)) as model:
        day = model.sidecar.trained_until
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None


def golden_since(artifacts: Artifacts, model_id: str) -> datetime | None:
    """Say when a model's golden was put in force; None if it has none."""
    golden = golden_metadata(artifacts.golden).goldens.get(model_id)
    return golden.saved if golden else None
