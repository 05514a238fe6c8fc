"""The watch over the live model: one look holds every trigger, and what stands before and after it is kept on disk.

One look at a time: who looks holds a lock of its own. The registry's lock is taken by what changes the registry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from ..artifacts import Artifacts
from ..audit.actor import acting_as, why_denied
from ..audit.chain import Intent
from ..audit.writer import settle
from ..errors import FormatError, InsufficientDataError, ModelgatesError, StatisticsError, UsageError
from ..policy.operations import DriftRules, Mode, Operations, TriggerRules
from ..policy.policy import Policy
from ..predictions.counting import CLOCKS
from ..registry.criteria import SERVE_LATENCY
from ..registry.in_force import InForce
from ..registry.store import live_change, state
from ..stats.sequential import look_level
from ..storage.atomic import make_folder
from ..storage.digests import Sha256, sha256
from ..storage.paths import is_there
from ..storage.strict_json import Moment, canonical, read_json, readable
from ..storage.text import first_line
from . import triggers
from .adapters import confirm
from .drift_check import check_log, record
from .lately import Lately
from .triggers import DRIFT_SHARE, Finding, Standing
from .way_out import ACTOR, ARM, Deed, Rehearse, act

DRIFT = "drift.psi"
_CHANCE = ("latency", "failed", "rejected")  # what chance may set off besides drift
_DAY = timedelta(days=1)


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the watch stands after a look.

    `spent` is until when the budget of false alarms is spent, `sizes` how far parts of the log were read [bytes], and
    `on` the triggers whose alert is on.
    """

    format: Literal[1] = 1
    model_id: str
    digest: Sha256
    spent: Moment
    standing: dict[str, Standing] = {}
    sizes: dict[str, int] = {}
    on: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found, and what was done about it.

    `days_per_false_alarm` is promised for all triggers together [days]. `notes` are for people.
    """

    format: Literal[1] = 1
    time: Moment
    model_id: str
    digest: Sha256
    days_per_false_alarm: float
    findings: list[Finding]
    deed: Deed | None = None
    notes: list[str] = []

    def of(self, verdict: triggers.Verdict) -> list[Finding]:
        """The findings with a verdict."""
        return [each for each in self.findings if each.verdict == verdict]

    @property
    def breaches(self) -> list[Finding]:
        """The breaches that are more than a warning."""
        return [each for each in self.of("breach") if each.mode != "warn"]

    @property
    def status(self) -> int:
        """The exit status: 1 for a breach, 3 if something cannot be seen, 0 otherwise."""
        return 1 if self.breaches else 3 if self.of("unseen") else 0


class Tell(Protocol):
    """Leaves an alert that a breach is on, or over."""

    def __call__(self, model_id: str, found: Finding, *, on: bool) -> None:
        """Leave it."""


def refuse_without_right(policy: Policy) -> None:
    """Refuse to watch if the watch may not roll back.

    Raises
    ------
    UsageError
        If the policy lists who may, and the watch is not among them.
    """
    with acting_as(ACTOR):
        if why := why_denied("roll back", policy.registry.may_roll_back):
            raise UsageError(f'{why}; add "{ACTOR}" to may_roll_back under [registry] of the policy')


@dataclass(slots=True)
class Watch:
    """Looks at the live model again and again, and reads on where it was.

    Parameters
    ----------
    artifacts : Artifacts
    rehearse : callable
        As for `way_out.act`.
    tell : callable
        Leaves alerts.
    """

    artifacts: Artifacts
    rehearse: Rehearse
    tell: Tell
    _lately: Lately | None = field(default=None, init=False)

    def look(self, in_force: InForce, *, now: datetime | None = None) -> Look:
        """Look once, and act on what is found. The caller holds `lock_of` the watch.

        Parameters
        ----------
        in_force : InForce
        now : datetime, optional
            When that is; by default now.

        Raises
        ------
        ModelgatesError, OSError
            If it cannot be seen what is live, or cannot be kept where the watch stands: nothing is done then.
        """
        with acting_as(ACTOR):
            return self._look(in_force, now or datetime.now(UTC))

    def _look(self, in_force: InForce, now: datetime) -> Look:
        artifacts, operations = self.artifacts, in_force.operations
        if state(artifacts).open:  # of a change that was cut short, perhaps our own, or one that is being made
            settle(artifacts, operations.registry)
        live = live_change(artifacts)
        kept, notes = self._kept(live, now)
        found, standing = self._findings(in_force, live, kept, now)
        breaches = [each for each in found if each.verdict == "breach"]
        looked = Look(
            time=now,
            model_id=live.to,
            digest=live.digest,
            days_per_false_alarm=operations.drift.days_per_false_alarm,
            findings=found,
            notes=notes,
        )
        # An alert may be left twice, by one who dies here, and is sent once.
        on = self._told(live.to, found, kept.on)
        after = Kept(
            model_id=live.to,
            digest=live.digest,
            spent=max(now, kept.spent),
            standing=standing,
            sizes=self._lately.sizes if self._lately else {},
            on=on,
        )
        # Before anything is done: budget that cannot be kept as spent would be spent again.
        artifacts.write(_state(artifacts), canonical(after))
        return self._answered(looked, breaches, in_force, now)

    def _findings(
        self, in_force: InForce, live: Intent, kept: Kept, now: datetime
    ) -> tuple[list[Finding], dict[str, Standing]]:
        operations = in_force.operations
        rules: dict[str, TriggerRules] = {name: getattr(operations.watch, name) for name in (*_CHANCE, "drift")}
        modes, standing = dict[str, Mode](), dict[str, Standing]()
        for name, each in rules.items():
            modes[name], standing[name] = triggers.mode_now(each, kept.standing.get(name, Standing()), now=now)
        back = now < kept.spent - CLOCKS
        if back:
            why = (
                f"the clock says {now:%Y-%m-%d %H:%M} UTC, and the last look was at {kept.spent:%Y-%m-%d %H:%M}; set "
                f"it right, or move {_state(self.artifacts)} away"
            )
            return [triggers.unseen(name, modes[name], why) for name in rules], standing
        level = look_level((now - kept.spent) / _DAY, operations.drift.days_per_false_alarm)
        found = self._of_log(in_force, live, modes, now, level=level * (1 - DRIFT_SHARE) / len(_CHANCE), kept=kept)
        found.append(self._drift(in_force.policy, operations, live, modes["drift"], now))
        fresh = self._lately is not None and self._lately.sizes != kept.sizes
        judged = []
        for finding in found:
            name = finding.trigger
            finding, streak = triggers.with_patience(finding, rules[name], standing[name].streak, fresh=fresh)
            standing[name] = msgspec.structs.replace(standing[name], streak=streak)
            judged.append(finding)
        return judged, standing

    def _of_log(
        self,
        in_force: InForce,
        live: Intent,
        modes: dict[str, Mode],
        now: datetime,
        *,
        level: float,
        kept: Kept,
    ) -> list[Finding]:
        """Judge what the log says of the last hours."""
        watch, limit = in_force.operations.watch, in_force.policy.limit(SERVE_LATENCY)
        lately = self._lately
        if lately is None or (lately.digest, lately.slow_ms) != (live.digest, limit.upper):
            sizes = kept.sizes if kept.digest == live.digest else {}
            lately = self._lately = Lately(
                self.artifacts, ARM, live.digest, slow_ms=limit.upper, sizes=lately.sizes if lately else sizes
            )
        begin = {name: max(live.time, now - timedelta(hours=getattr(watch, name).window_h)) for name in _CHANCE}
        try:
            problem = lately.read(min(begin.values()))
        except (ModelgatesError, OSError) as error:
            problem = first_line(error)
        if problem:
            why = f"the log of live predictions is not whole: {problem}"
            return [triggers.unseen(name, modes[name], why) for name in _CHANCE]
        sums = {name: lately.since(time) for name, time in begin.items()}
        failed, rejected = sums["failed"], sums["rejected"]
        return [
            triggers.latency(sums["latency"], limit, watch.latency, modes["latency"], level=level),
            triggers.share_of_rows("failed", failed.failed, failed.rows, watch.failed, modes["failed"], level=level),
            triggers.share_of_rows(
                "rejected", rejected.rejected, rejected.rows, watch.rejected, modes["rejected"], level=level
            ),
        ]

    def _drift(self, policy: Policy, operations: Operations, live: Intent, mode: Mode, now: datetime) -> Finding:
        """Look at drift once more, with the drift's share of the budget."""
        rules = DriftRules(days_per_false_alarm=operations.drift.days_per_false_alarm / DRIFT_SHARE)
        try:
            check = check_log(self.artifacts, policy, rules=rules, now=now)
        except InsufficientDataError as error:
            return triggers.unseen("drift", mode, first_line(error))
        except StatisticsError as error:
            return triggers.inconclusive("drift", mode, first_line(error))
        except (ModelgatesError, OSError) as error:
            return triggers.unseen("drift", mode, first_line(error))
        if check.over_time is None:
            return triggers.unseen("drift", mode, check.over_time_words.strip())
        if check.over_time["window"] is not None:
            record(self.artifacts, check)  # raises where it cannot be kept: what was spent would be spent again
        return triggers.drift(check.over_time, policy.limit(DRIFT), operations.watch.drift, mode)

    def _answered(self, looked: Look, breaches: Sequence[Finding], in_force: InForce, now: datetime) -> Look:
        """Act on what may be acted on; say of a dry run what would have been done."""
        acting = [each for each in breaches if each.mode == "act"]
        trying = [each for each in breaches if each.mode == "dry_run"]
        if not (acting or trying):
            return looked
        why = "the watch found " + "; ".join(f"{each.trigger}: {each.text}" for each in acting or trying)
        evidence = None
        if acting:
            content = readable(looked)
            place = self.artifacts.watch / "findings" / f"{now:%Y%m%dT%H%M%S.%fZ}.json"
            self.artifacts.write(place, content)
            evidence = sha256(content)
        deed = act(
            self.artifacts,
            in_force,
            looked.model_id,
            why=why,
            evidence=evidence,
            rehearse=self.rehearse,
            now=now,
            dry=not acting,
        )
        notes = list(looked.notes)
        if deed.did == "rolled back" and deed.to:
            notes += confirm(in_force.operations.watch.adapters, deed.to)
        return msgspec.structs.replace(looked, deed=deed, notes=notes)

    def _told(self, model_id: str, found: Sequence[Finding], on: Sequence[str]) -> tuple[str, ...]:
        """Leave an alert of what is on now, and of what is over; give what is on after that."""
        now = set(on)
        for each in found:
            if each.verdict == "breach" and each.trigger not in now:
                self.tell(model_id, each, on=True)
                now.add(each.trigger)
            elif each.verdict == "clean" and each.trigger in now:
                self.tell(model_id, each, on=False)
                now.discard(each.trigger)
        return tuple(sorted(now))

    def _kept(self, live: Intent, now: datetime) -> tuple[Kept, list[str]]:
        """Read where the watch stands; a model that went live since is watched anew, with what is left to spend."""
        path = _state(self.artifacts)
        anew = Kept(model_id=live.to, digest=live.digest, spent=live.time)
        if not is_there(path):
            return anew, []
        try:
            kept = read_json(path, Kept)
        except FormatError as error:
            # What was spent is not known, so that nothing is left to spend.
            return msgspec.structs.replace(anew, spent=now), [
                f"{error}; where the watch stood is not known: begun anew"
            ]
        if kept.digest == live.digest:
            return kept, []
        standing = {name: msgspec.structs.replace(each, streak=0) for name, each in kept.standing.items()}
        return msgspec.structs.replace(anew, spent=max(kept.spent, live.time), standing=standing), []


def _state(artifacts: Artifacts) -> Path:
    return artifacts.watch / "state.json"


def lock_of(artifacts: Artifacts) -> Path:
    """The file that who looks holds a lock on; its folder is made."""
    make_folder(artifacts.watch, mode=artifacts.directory_mode)
    return artifacts.watch / ".lock"


def in_words(looked: Look) -> str:
    """Say what a look found, in 80 columns as far as numbers let it."""
    shown = {"breach": "BREACH", "unseen": "UNSEEN"}
    lines = [f"{looked.model_id}, watched at {looked.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"]
    for each in looked.findings:
        mode = f" ({each.mode.replace('_', ' ')})" if each.verdict == "breach" and each.mode != "act" else ""
        lines.append(f"  {each.trigger:8}  {shown.get(each.verdict, each.verdict):12}  {each.text}{mode}")
    if looked.deed:
        to = f" to {looked.deed.to}" if looked.deed.to else ""
        lines += [f"  {looked.deed.did}{to}:", f"    {looked.deed.text}"]
    lines += [f"  {note}" for note in looked.notes]
    days = looked.days_per_false_alarm
    lines.append(f"  at most one false alarm in {days:g} days is promised, of all triggers together")
    return "\n".join(lines)
