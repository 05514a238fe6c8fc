"""Whether the live model's predictions still look like its golden predictions."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path

import msgspec

from ..artifacts import Artifacts
from ..audit.kinds import ACKNOWLEDGE
from ..drift.over_time import OverTime
from ..drift.running import RunningDrift
from ..drift.summary import Reference, Summary
from ..drift.verdict import DriftLimits, DriftReport, as_json
from ..errors import FormatError, StatisticsError
from ..policy.operations import DriftRules, LockRules
from ..policy.policy import Policy
from ..predictions.counting import Tally, Window, count_whole, days_of, refuse_incomplete, values_of
from ..registry.events import record_event
from ..registry.store import live_change
from ..storage.atomic import make_folder
from ..storage.lines import append_atomic
from .looks import Before, Looking, before, over_time_in_words, subject, to_acknowledge, why_not
from .part_counts import EPOCH, count_parts
from .prepared import prepared_golden


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a check found: of which model, over how many rows of which days, and all that was counted.

    `over_time` is what it found as one look of many, None if it is not one; `over_time_words` says it, or why not.
    """

    model_id: str
    digest: str
    last: int | None
    report: DriftReport
    reference: Reference
    summary: Summary
    tally: Tally = field(default_factory=Tally)
    over_time: OverTime | None = None
    over_time_words: str = ""

    @property
    def rows(self) -> int:
        """Rows that were compared."""
        return self.report["rows"]["current"]


def limits_of(policy: Policy) -> DriftLimits:
    """Take the same limits that the drift gates use."""
    return DriftLimits(
        psi_moderate=policy.limit("drift.psi_moderate").upper,
        psi=policy.limit("drift.psi").upper,
        ks_p=policy.drift.ks_p,
        ks_distance=policy.limit("drift.ks").upper,
    )


def check_live(
    artifacts: Artifacts,
    policy: Policy,
    *,
    last: int | None = None,
    rules: DriftRules | None = None,
    now: datetime | None = None,
) -> Check:
    """Compare the live model's predictions with its golden.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
    last : int, optional
        Compare only so many of the newest rows.
    rules : DriftRules, optional
        Take the check as one look of many, with this budget of false alarms; not with `last`.
    now : datetime, optional
        When that is; by default now.

    Raises
    ------
    StatisticsError
        If it has scored no row, or the log is not whole.
    """
    live, tally = live_change(artifacts), Tally()
    reference = prepared_golden(artifacts, live.to, digest=live.digest)
    drift = RunningDrift(reference, limits=limits_of(policy))
    now, looking, known, words = now or datetime.now(UTC), None, None, ""
    if last is None:
        if rules:
            try:
                known = before(artifacts, live.to, live.digest, reference.grid.golden.grid, now=now)
                looking = Looking(artifacts, live.digest, reference, known, live=live.time)
            except (FormatError, OSError) as error:
                words = over_time_in_words(None, why_not(error), 0)
        for part, summary in count_parts(artifacts, "live", live.digest, reference, tally):
            drift.add(summary)
            if looking:
                looking.add(part, summary)
        refuse_incomplete(tally, "live")
    else:
        records = count_whole(artifacts, "live", Window(digest=live.digest), tally)
        if newest := list(deque(chain.from_iterable(records), maxlen=last)):
            drift.add(values_of([newest]), days=days_of(newest))
    if not drift.rows:
        raise StatisticsError(
            f"no prediction of {live.to}, which is live, in {artifacts.predictions / 'live'}; run: modelgates serve "
            f"--onnx {artifacts.latest_onnx} --csv {artifacts.root / 'live_data.csv'}"
        )
    limits, over_time = limits_of(policy), None
    if looking and known and rules:
        days, least = rules.days_per_false_alarm, limits.ks_distance
        over_time = looking.found(drift.summary, tally, now=now, days_per_alarm=days, least=least)
        words = over_time_in_words(over_time, None, known.future)
    return Check(
        model_id=live.to,
        digest=live.digest,
        last=last,
        report=drift.report(),
        reference=reference,
        summary=drift.summary,
        tally=tally,
        over_time=over_time,
        over_time_words=words,
    )


def last_look(artifacts: Artifacts, *, now: datetime | None = None) -> Before:
    """Find what the last look at the live model left; raises as `before` and `prepared_golden` do."""
    live = live_change(artifacts)
    golden = prepared_golden(artifacts, live.to).grid.golden.grid
    return before(artifacts, live.to, live.digest, golden, now=now or datetime.now(UTC))


def acknowledge(artifacts: Artifacts, rules: LockRules, *, reason: str, key: Path | None = None) -> str:
    """End the live model's alarm over time by an event in the audit log, from which rows count anew; return its id.

    Raises
    ------
    RefusedError
        If no alarm is on, or no reason is given.
    RegistryError
        As `record_event` does.
    """
    model_id = live_change(artifacts).to
    evidence = to_acknowledge(last_look(artifacts), model_id)
    of = subject(model_id)
    record_event(artifacts, rules, kind=ACKNOWLEDGE, subject=of, reason=reason, evidence=evidence, key=key)
    return model_id


def record(artifacts: Artifacts, check: Check, *, now: datetime | None = None) -> None:
    """Append a check to the list of all: model, golden, window, numbers, verdict.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    days = [str(day_of(day)) for day in sorted(check.summary.days)]
    line = {
        "format": 1,
        "time": now or datetime.now(UTC),
        "model_id": check.model_id,
        "digest": check.digest,
        "golden": check.reference.grid.golden.grid,
        "window": {
            "last": check.last,
            "first_day": days[0] if days else None,
            "last_day": days[-1] if days else None,
        },
        "repeated": check.tally.repeated,
        **as_json(check.report),
        "over_time": as_json(check.over_time),
    }
    make_folder(artifacts.drift_checks.parent, mode=artifacts.directory_mode)
    append_atomic(artifacts.drift_checks, msgspec.json.encode(line) + b"\n", mode=artifacts.file_mode)


def day_of(number: int) -> date:
    """Give the date of a day, by its number since 1970."""
    return date.fromordinal(number + EPOCH)
