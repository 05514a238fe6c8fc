"""The watch over the live model: one look holds every trigger, and what stands before and after it is kept on disk.

One look at a time: who looks holds a lock of its own. The registry's lock is taken by what changes the registry.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from ..artifacts import ALL_ARMS, Artifacts
from ..audit.actor import acting_as, why_denied
from ..audit.chain import Intent
from ..audit.kill import killed
from ..audit.writer import settle
from ..errors import FormatError, MissingExtraError, PolicyError, UsageError
from ..policy.calendars import closes
from ..policy.operations import Mode, ModeRules, Operations
from ..policy.policy import Policy
from ..predictions.counting import CLOCKS
from ..registry.in_force import InForce
from ..registry.store import live_change, state
from ..stats.sequential import look_level
from ..storage.atomic import make_folder
from ..storage.digests import Sha256, sha256
from ..storage.paths import is_there
from ..storage.strict_json import Moment, canonical, read_json, readable
from . import triggers
from .adapters import confirm
from .judge import BY_CHANCE, CURABLE, Judge
from .rescored import Rescore
from .seldom import OF_OUTCOMES, Held
from .silence import NO_CURE
from .triggers import DRIFT_SHARE, Finding, Standing
from .way_out import ACTOR, ARM, Deed, Rehearse, act

_DAY = timedelta(days=1)


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the watch stands after a look.

    `spent` is until when the budget of false alarms is spent, `sizes` how far parts of the log were read [bytes], and
    `on` the triggers whose alert is on. `held` is what triggers found that are judged seldom.
    """

    format: Literal[1] = 1
    model_id: str
    digest: Sha256
    spent: Moment
    standing: dict[str, Standing] = {}
    sizes: dict[str, int] = {}
    on: tuple[str, ...] = ()
    held: dict[str, Held] = {}


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


def refuse_without_calendar(operations: Operations) -> None:
    """Refuse to watch if it cannot be known when the exchange trades whose calendar is named.

    Raises
    ------
    UsageError
        If its library is not installed, or does not know it.
    """
    if name := operations.watch.silence.calendar:
        try:
            closes(name, datetime.now(UTC).year)
        except (MissingExtraError, PolicyError) as error:
            raise UsageError(str(error)) from error


@dataclass(slots=True)
class Watch:
    """Looks at the live model again and again, and reads on where it was.

    Parameters
    ----------
    artifacts : Artifacts
    rehearse : callable
        As for `way_out.act`.
    rescore : callable
        Scores rows again from the bytes of a model directory, in another process.
    tell : callable
        Leaves alerts.
    """

    artifacts: Artifacts
    rehearse: Rehearse
    rescore: Rescore
    tell: Tell
    _judge: Judge | None = field(default=None, init=False)

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
        notes += [str(each) for each in killed(artifacts) if each.arm in (ARM, ALL_ARMS)]
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
            sizes=self._judge.sizes if self._judge else kept.sizes,
            on=on,
            held=self._judge.held if self._judge else kept.held,
        )
        # Before anything is done: budget that cannot be kept as spent would be spent again.
        artifacts.write(_state(artifacts), canonical(after))
        return self._answered(looked, breaches, in_force, now)

    def _findings(
        self, in_force: InForce, live: Intent, kept: Kept, now: datetime
    ) -> tuple[list[Finding], dict[str, Standing]]:
        """Hold every trigger, with what was to be spent since the last look."""
        watch, days = in_force.operations.watch, in_force.operations.drift.days_per_false_alarm
        rules: dict[str, ModeRules] = {name: getattr(watch, name) for name in CURABLE}
        modes, standing = dict[str, Mode](), dict[str, Standing]()
        for name, each in rules.items():
            modes[name], standing[name] = triggers.mode_now(each, kept.standing.get(name, Standing()), now=now)
        if now < kept.spent - CLOCKS:
            why = (
                f"the clock says {now:%Y-%m-%d %H:%M} UTC, and the last look was at {kept.spent:%Y-%m-%d %H:%M}; set "
                f"it right, or move {_state(self.artifacts)} away"
            )
            return [triggers.unseen(name, modes[name], why) for name in rules], standing
        sizes = kept.sizes if kept.digest == live.digest else {}
        if self._judge is None or self._judge.is_of_another(live, in_force):
            self._judge = Judge(self.artifacts, live, in_force.policy, self.rescore, sizes=sizes, held=kept.held)
        level = look_level((now - kept.spent) / _DAY, days) * (1 - DRIFT_SHARE) / len(BY_CHANCE)

        def keep(held: Mapping[str, Held]) -> None:
            self.artifacts.write(_state(self.artifacts), canonical(msgspec.structs.replace(kept, held=dict(held))))

        found = self._judge.judge(in_force, live, modes, now=now, level=level, keep=keep)
        # Findings of outcomes stand until there are others; those of the log until it has more.
        anew = {
            name for name, each in self._judge.held.items() if name not in kept.held or kept.held[name].of != each.of
        }
        if self._judge.sizes != sizes:
            anew |= rules.keys() - set(OF_OUTCOMES)
        judged = []
        for finding in found:
            name = finding.trigger
            if name in rules:
                finding, streak = triggers.with_patience(
                    finding, rules[name], standing[name].streak, fresh=name in anew
                )
                standing[name] = msgspec.structs.replace(standing[name], streak=streak)
            judged.append(finding)
        return judged, standing

    def _answered(self, looked: Look, breaches: Sequence[Finding], in_force: InForce, now: datetime) -> Look:
        """Act on what may be acted on; say of a dry run what would have been done."""
        curable = [each for each in breaches if each.trigger not in NO_CURE]
        acting = [each for each in curable if each.mode == "act"]
        trying = [each for each in curable if each.mode == "dry_run"]
        # Nothing is left to be done about an arm that is stopped.
        if not (acting or trying) or any(each.arm in (ARM, ALL_ARMS) for each in killed(self.artifacts)):
            return looked
        why = "the watch found " + "; ".join(f"{each.trigger}: {each.text}" for each in acting or trying)

        def keep() -> str:
            content = readable(looked)
            place = self.artifacts.watch / "findings" / f"{now:%Y%m%dT%H%M%S.%fZ}.json"
            self.artifacts.write(place, content)
            return sha256(content)

        deed = act(
            self.artifacts,
            in_force,
            looked.model_id,
            why=why,
            keep=keep,
            rehearse=self.rehearse,
            now=now,
            dry=not acting,
        )
        notes = list(looked.notes)
        if deed.did == "rolled back" and deed.to:
            notes += confirm(self.artifacts, ARM, in_force.operations.watch.adapters, deed.to)
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


def watched_until(artifacts: Artifacts) -> datetime | None:
    """Say when the watch last looked; None if it never did, or that cannot be read."""
    with suppress(FormatError, OSError):
        return read_json(_state(artifacts), Kept).spent
    return None


def lock_of(artifacts: Artifacts) -> Path:
    """The file that who looks holds a lock on; its folder is made."""
    make_folder(artifacts.watch, mode=artifacts.directory_mode)
    return artifacts.watch / ".lock"
