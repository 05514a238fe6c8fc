"""Whether a model's predictions still look like its golden predictions: those in the log, or in files."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from itertools import chain
from pathlib import Path

from ..artifacts import Artifacts
from ..audit.kinds import ACKNOWLEDGE
from ..drift.golden import COLUMN
from ..drift.over_time import OverTime
from ..drift.running import RunningDrift
from ..drift.summary import Reference, Summary
from ..drift.verdict import DriftLimits, DriftReport, as_json
from ..errors import FormatError, RefusedError, StatisticsError
from ..policy.operations import DriftRules, LockRules
from ..policy.policy import Policy
from ..predictions.counting import Read, Tally, Window, count_whole, days_of, refuse_incomplete, values_of
from ..predictions.records import checked_arm
from ..registry.events import record_event
from ..registry.store import live_change
from ..storage.digests import tree_digest
from ..storage.paths import is_folder
from ..storage.text import counted
from . import checks
from .engines import Engine, here
from .looks import Before, Looking, before, over_time_in_words, subject, to_acknowledge, why_not
from .part_counts import EPOCH, add_parts, count_part, tasks_of
from .prepared import prepared_golden

LIVE = "live"
MOST_NAMED = 20  # files that are named in the list of all checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which predictions are compared: of a model (default: the live one), in an arm, scored in a window, the newest."""

    model: str | None = None
    arm: str = LIVE
    since: datetime | None = None
    until: datetime | None = None
    last: int | None = None

    @property
    def is_now(self) -> bool:
        """Whether these are what the live model predicts now."""
        return self.model is None and self.arm == LIVE and self.until is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a check found: of which model, over how many rows of which days, and all that was counted.

    `files` are those that were read instead of the log, and `column` is their column of predictions. `over_time` is
    what the check found as one look of many, None if it is not one; `over_time_words` says it, or why not.
    """

    model_id: str
    digest: str
    asked: Asked
    report: DriftReport
    reference: Reference
    summary: Summary
    tally: Tally = field(default_factory=Tally)
    files: tuple[Path, ...] = ()
    column: str | None = None
    over_time: OverTime | None = None
    over_time_words: str = ""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def rows(self) -> int:
        """Rows that were compared."""
        return self.report["rows"]["current"]

    @property
    def is_now(self) -> bool:
        """Whether this is how the live model does now, which alerts are about."""
        return self.asked.is_now and not self.files

    @property
    def what(self) -> str:
        """What was compared, for people."""
        if self.files:
            return f"{counted(self.rows, 'prediction')} in {counted(len(self.files), 'file')}"
        return f"{self.rows} {self.asked.arm} predictions"


def limits_of(policy: Policy) -> DriftLimits:
    """Take the same limits that the drift gates use."""
    return DriftLimits(
        psi_moderate=policy.limit("drift.psi_moderate").upper,
        psi=policy.limit("drift.psi").upper,
        ks_p=policy.drift.ks_p,
        ks_distance=policy.limit("drift.ks").upper,
    )


def check_log(
    artifacts: Artifacts,
    policy: Policy,
    asked: Asked | None = None,
    *,
    engine: Engine = here,
    rules: DriftRules | None = None,
    now: datetime | None = None,
    read: Read | None = None,
) -> Check:
    """Compare a model's predictions in the log with its golden.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
    asked : Asked, optional
        Which predictions; all of the live model's if left out.
    engine : Engine, optional
        Where parts of the log are counted.
    rules : DriftRules, optional
        Take a check of all of them as one look of many, with this budget of false alarms.
    now : datetime, optional
        When that is; by default now.
    read : callable, optional
        Reads parts of the log for others too, in this process.

    Raises
    ------
    StatisticsError
        If it has scored no such row, or the log is not whole.
    """
    asked, tally, limits = asked or Asked(), Tally(), limits_of(policy)
    checked_arm(asked.arm)
    model_id, digest = model_of(artifacts, asked.model)
    reference = prepared_golden(artifacts, model_id, digest=digest)
    window = Window(digest=digest, since=asked.since, until=asked.until)
    drift = RunningDrift(reference, limits=limits)
    now, looking, known, words = now or datetime.now(UTC), None, None, ""
    if rules and asked == Asked():
        try:
            live = live_change(artifacts).time
            known = before(artifacts, model_id, digest, reference.grid.golden.grid, now=now, live=live)
            looking = Looking(reference, known, live=live)
        except (FormatError, OSError) as error:
            words = over_time_in_words(None, why_not(error), 0)
    if asked.last is None:
        tasks = tasks_of(artifacts, asked.arm, window)
        tasks = looking.tasks(tasks) if looking else tasks
        found = engine(partial(count_part, read=read) if read else count_part, tasks, reference)
        if looking:
            found = looking.beside([part for _, part, *_ in tasks], found)
        drift.add(add_parts(found, reference, tally))
        refuse_incomplete(tally, asked.arm)
    else:
        records = count_whole(artifacts, asked.arm, window, tally)
        newest = deque(chain.from_iterable(records), maxlen=asked.last)
        for nameless in (False, True):
            if rows := [record for record in newest if record.nameless is nameless]:
                drift.add(values_of([rows]), days=days_of(rows))
    if not drift.rows:
        raise StatisticsError(_nothing(artifacts, model_id, asked))
    over_time = None
    if looking and known and rules:
        days, least = rules.days_per_false_alarm, limits.ks_distance
        over_time = looking.found(drift.summary, tally, now=now, days_per_alarm=days, least=least)
        words = over_time_in_words(over_time, None, known.future)
    return Check(
        model_id=model_id,
        digest=digest,
        asked=asked,
        report=drift.report(),
        reference=reference,
        summary=drift.summary,
        tally=tally,
        over_time=over_time,
        over_time_words=words,
        time=now,
    )


def last_look(artifacts: Artifacts, *, now: datetime | None = None) -> Before:
    """Find what the last look at the live model left; raises as `before` and `prepared_golden` do."""
    live = live_change(artifacts)
    golden = prepared_golden(artifacts, live.to).grid.golden.grid
    return before(artifacts, live.to, live.digest, golden, now=now or datetime.now(UTC), live=live.time)


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


def check_files(
    artifacts: Artifacts,
    policy: Policy,
    files: Sequence[Path],
    *,
    column: str = COLUMN,
    model: str | None = None,
    engine: Engine = here,
) -> Check:
    """Compare a column of predictions in files with a model's golden.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
    files : sequence of Path
        Parquet, Arrow or CSV.
    column : str, optional
    model : str, optional
        The live one if left out.
    engine : Engine, optional
        Where pieces of files are counted.

    Raises
    ------
    FormatError
        If a file cannot be read, or has no such column of numbers.
    StatisticsError
        If they hold no row.
    """
    from ..drift.files import coarsest, count_piece, pieces_of

    model_id, digest = model_of(artifacts, model)
    pieces = [piece for path in files for piece in pieces_of(Path(os.path.abspath(path)), column)]
    # One of fewer bits is compared as such: 0.1 differs from 0.1 rounded.
    precision = coarsest(pieces)
    reference = prepared_golden(artifacts, model_id, digest=digest, precision=precision)
    drift = RunningDrift(reference, limits=limits_of(policy))
    for summary in engine(count_piece, [(piece, precision) for piece in pieces], reference):
        drift.add(summary)
    if not drift.rows:
        raise StatisticsError(f"no row in {counted(len(files), 'file')}: give one that holds predictions")
    return Check(
        model_id=model_id,
        digest=digest,
        asked=Asked(model=model),
        report=drift.report(),
        reference=reference,
        summary=drift.summary,
        files=tuple(files),
        column=column,
    )


def model_of(artifacts: Artifacts, model: str | None) -> tuple[str, str]:
    """Give the id and the digest of a model; of the live one if none is named.

    Raises
    ------
    RefusedError
        If there is no such model.
    """
    if model is None:
        live = live_change(artifacts)
        return live.to, live.digest
    directory = artifacts.model(model)
    if not is_folder(directory):
        raise RefusedError(f"{directory}: no such model; give --model one of: modelgates list")
    return model, tree_digest(directory)


def _nothing(artifacts: Artifacts, model_id: str, asked: Asked) -> str:
    """Say that no row is there, and what would put one there."""
    place = artifacts.predictions / asked.arm
    if asked.since or asked.until:
        ends = (("from", asked.since), ("until", asked.until))
        scored = " ".join(f"{word} {time.isoformat()}" for word, time in ends if time)
        return f"no prediction of {model_id} in {place} that was scored {scored}; see: modelgates predictions"
    if asked.is_now:
        csv = artifacts.root / "live_data.csv"
        run = f"modelgates serve --onnx {artifacts.latest_onnx} --csv {csv}"
        return f"no prediction of {model_id}, which is live, in {place}; run: {run}"
    return f"no prediction of {model_id} in {place}; see what is in the log: modelgates predictions"


def record(artifacts: Artifacts, check: Check) -> None:
    """Append a check to the list of all: model, golden, window, numbers, verdict.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    days = [str(day_of(day)) for day in sorted(check.summary.days)]
    line = {
        "format": 1,
        # An acknowledgement since then is of what was known before.
        "time": check.time,
        "model_id": check.model_id,
        "digest": check.digest,
        "golden": check.reference.grid.golden.grid,
        "arm": None if check.files else check.asked.arm,
        "files": [str(path) for path in check.files[:MOST_NAMED]] or None,
        "column": check.column,
        "window": {
            "last": check.asked.last,
            "since": check.asked.since,
            "until": check.asked.until,
            "first_day": days[0] if days else None,
            "last_day": days[-1] if days else None,
        },
        "repeated": check.tally.repeated,
        **as_json(check.report),
        "over_time": as_json(check.over_time),
    }
    checks.record(artifacts, line)


def day_of(number: int) -> date:
    """Give the date of a day, by its number since 1970."""
    return date.fromordinal(number + EPOCH)
