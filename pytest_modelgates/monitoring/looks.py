"""Looks at the live model's drift, one after the other: what the last one left, and the counts that the next needs.

What a look leaves is in its line of `artifacts/drift/checks.jsonl`; an acknowledgement is in the audit log.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from ..artifacts import Artifacts
from ..audit.chain import Event
from ..audit.kinds import ACKNOWLEDGE
from ..drift.over_time import Next, OverTime, Seen, look
from ..drift.summary import Reference, Summary
from ..errors import FormatError, RefusedError
from ..predictions.counting import CLOCKS, Tally
from ..predictions.parts import JSON_LINES, Part
from ..predictions.records import NOT_A_RECORD, Prediction
from ..storage.digests import sha256
from ..storage.lines import lines_from_end
from ..storage.strict_json import Moment
from ..storage.text import counted, first_line
from .older_parts import OlderParts
from .part_counts import PartCounts, Task

_record = msgspec.json.Decoder(Prediction)


class _All(msgspec.Struct, frozen=True):
    since: Moment | None = None


class _Left(msgspec.Struct, frozen=True):
    next: Next
    all: _All = _All()


class _Line(msgspec.Struct, frozen=True):
    """What is read of a check: fields that are not named here are read over."""

    time: Moment
    digest: str
    golden: str
    over_time: _Left | None = None


_line = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is known before a look.

    Parameters
    ----------
    since : datetime, optional
        From when on rows count: an alarm was acknowledged then, or the model went live again that had been before.
    left : Next, optional
        What the last look left; None if there was none since.
    evidence : str, optional
        SHA-256 of the line that says so.
    future : int
        Lines of the model that are dated after now: a clock was wrong, and they do not count.
    """

    since: datetime | None
    left: Next | None
    evidence: str | None
    future: int


def subject(model_id: str) -> str:
    """Say what is acknowledged."""
    return f"drift of {model_id}"


def before(
    artifacts: Artifacts, model_id: str, digest: str, golden: str, *, now: datetime, live: datetime | None = None
) -> Before:
    """Find what the last look at a model, compared with this golden, left; `live` is when it went live.

    A model that went live again begins anew: what it was found to do before is not what it does now.

    Raises
    ------
    FormatError, OSError
        If the list of checks or the audit log cannot be read.
    """
    seen, future = _acknowledged(artifacts, model_id, now=now), 0
    since = seen.time if seen else None
    # A year of looks by the minute is a gigabyte. The last one is near its end, and a new golden is in no line.
    with closing(lines_from_end(artifacts.drift_checks, holding=golden.encode(), after_writers=True)) as found:
        for line in found:
            try:
                check = _line.decode(line)
            except NOT_A_RECORD:
                continue
            if check.over_time is None or (check.digest, check.golden) != (digest, golden):
                continue
            if not _is_past(check, now):
                future += 1
            elif live and check.time < live:
                return Before(since=max(filter(None, (since, live))), left=None, evidence=None, future=future)
            elif seen and (check.time < seen.time or sha256(line) == seen.evidence):  # clocks may differ a little
                break
            else:
                since = max(filter(None, (since, check.over_time.all.since)), default=None)
                return Before(since=since, left=check.over_time.next, evidence=sha256(line), future=future)
    return Before(since=since, left=None, evidence=None, future=future)


def _is_past(check: _Line, now: datetime) -> bool:
    """Whether a look, and all times that it left, were before now, as far as clocks agree."""
    left = check.over_time.next if check.over_time else None
    times = [check.time, *((left.spent, left.window, left.mark) if left else ())]
    return all(time is None or time <= now + CLOCKS for time in times)


def _acknowledged(artifacts: Artifacts, model_id: str, *, now: datetime) -> Event | None:
    kind = f'"kind":"{ACKNOWLEDGE}"'.encode()
    with closing(artifacts.log.from_end(holding=kind)) as found:
        for line in found:
            with suppress(*NOT_A_RECORD):
                event = msgspec.json.decode(line, type=Event)
                if (event.kind, event.subject) == (ACKNOWLEDGE, subject(model_id)) and event.time <= now + CLOCKS:
                    return event
    return None


class Looking:
    """Counts what a look needs, while the parts of the log go by.

    Parameters
    ----------
    reference : Reference
        The model's golden.
    known : Before
    live : datetime
        When it went live.
    """

    def __init__(self, reference: Reference, known: Before, *, live: datetime) -> None:
        self._known, self._reference = known, reference
        begin = known.since or live
        self._left = known.left or Next(spent=begin, window=known.since, mark=known.since)
        self._moving = {time for time in (self._left.window, self._left.mark) if time}
        times = self._moving | ({known.since} if known.since else set())
        self._since: dict[datetime, Summary] = {time: reference.none() for time in times}

    def tasks(self, tasks: Sequence[Task]) -> list[Task]:
        """Leave the parts that are to be counted one by one, and have those that moments lie within counted from there.

        `tasks` are those of all parts; what others add up to is known.
        """
        self._older = OlderParts(tasks, self._reference, begin=self._known.since, until=min(self._moving, default=None))
        return [
            (artifacts, part, window, tuple(time for time in self._since if _is_within(part, time)))
            for artifacts, part, window, _ in self._older.others
        ]

    def beside(self, parts: Iterable[Part], found: Iterable[PartCounts]) -> Iterator[PartCounts]:
        """Give what was counted of all parts, older ones as one, and count what the look needs of it."""
        older = self._older.counts
        self._add(older.since)
        yield older
        for part, counts in zip(parts, found, strict=True):
            since = {time: of for time in self._since if (of := _since(part, time, counts))}
            self._add(since)
            if self._moving.isdisjoint(since):
                self._older.add(part, counts, since.get(self._known.since) if self._known.since else None)
            yield counts
        self._older.keep()

    def _add(self, since: Mapping[datetime, Summary]) -> None:
        for time, summary in since.items():
            self._since[time] = self._since[time] + summary

    def found(
        self, everything: Summary, tally: Tally, *, now: datetime, days_per_alarm: float, least: float
    ) -> OverTime:
        """Look, once all parts were added; `everything` is what they add up to."""
        known, left = self._known, self._left

        def since(time: datetime | None) -> Summary:
            return self._since[time] if time else everything

        return look(
            self._reference,
            Seen(
                records=tally.counted + tally.replaced,
                all=since(known.since),
                window=since(left.window),
                mark=since(left.mark),
            ),
            left,
            since=known.since,
            now=now,
            days_per_alarm=days_per_alarm,
            least=least,
        )


def _since(part: Part, time: datetime, counts: PartCounts) -> Summary | None:
    """Give what was counted of a part from a moment on; None of a part that ended before."""
    whole = part.begun >= time and not _is_of_days_before(part, time)
    return counts.since.get(time, counts.summary if whole else None)


def _is_of_days_before(part: Part, time: datetime) -> bool:
    """Whether its folder says so, whatever became of the time of a file when it was copied."""
    # As `count_log` does: what was scored as one batch may end after the midnight that it began before.
    return part.day != date.min and part.day < (time.astimezone(UTC) - timedelta(days=1)).date()


def _is_within(part: Part, time: datetime) -> bool:
    """Whether a part may have rows from before a moment and from after it."""
    return part.begun < time and not _is_of_days_before(part, time) and may_end_after(part, time)


def may_end_after(part: Part, time: datetime) -> bool:
    """Whether a part that was begun before a moment may hold rows that were scored after it."""
    if part.path.suffix != JSON_LINES:
        return True
    newest = newest_in(part)
    return newest is None or newest >= time - CLOCKS


def newest_in(part: Part) -> datetime | None:
    """Say when the last record of a part was scored; None if that cannot be read."""
    if part.path.suffix != JSON_LINES:
        return _newest_packed(part.path)
    with suppress(FormatError, OSError), closing(lines_from_end(part.path)) as found:
        for line in found:
            with suppress(*NOT_A_RECORD):
                return _record.decode(line).time
    return None


def _newest_packed(path: Path) -> datetime | None:
    """Say the same of a part in Parquet, by its footer."""
    import pyarrow.parquet as pq  # here, since most parts are lines, and it takes long to load

    with suppress(OSError, ValueError), pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(number).column(0) for number in range(file.num_row_groups)]
        return max((each.statistics.max for each in groups if each.path_in_schema == "time"), default=None)
    return None


def to_acknowledge(known: Before, model_id: str) -> str:
    """Give the digest of the look whose alarm is on.

    Raises
    ------
    RefusedError
        If none is on.
    """
    if known.left is None or known.left.alarm is None or known.evidence is None:
        begun = f" since it was acknowledged at {_said(known.since)}" if known.since else ""
        raise RefusedError(
            f"{model_id}: no alarm over time is on{begun}, so there is nothing to acknowledge; "
            "look first: modelgates drift-check --over-time"
        )
    return known.evidence


def why_not(error: Exception) -> str:
    """Say why the last look cannot be found, and what to do."""
    found = first_line(error).removesuffix("; see: modelgates recover")  # which knows the audit log alone
    return f"{found}; move it away, and looks begin anew"


def over_time_in_words(found: OverTime | None, problem: str | None, future: int) -> str:
    """Say what a look found, in 80 columns as far as numbers let it."""
    if found is None:
        return f"  over time: not judged, {problem}"
    days = f"{found['days_per_false_alarm']:g} days"
    alarm, window, everything = found["alarm"], found["window"], found["all"]
    lines = [f"  over time: no alarm; at most one false alarm in {days} is promised"]
    if alarm:
        which = f"{'newest ' if alarm.by == 'window' else ''}{counted(alarm.rows, 'row')}"
        lines = [
            f"  over time: ALARM since {_said(alarm.time)}, by {which}:",
            f"    distance {alarm.distance:.3f}, beyond {alarm.limit:.3f}; one false alarm in {days} at most",
            '    to begin anew: modelgates drift-check --acknowledge --reason "…"',
        ]
    begun = f" since {_said(everything['since'])}" if everything["since"] else ""
    new = f"newest {_row(window['rows'], window['distance'], window['limit'])}" if window else "no new row"
    lines.append(f"    {new}")
    lines.append(f"    all {_row(everything['rows'], everything['distance'], everything['limit'])}{begun}")
    if future:
        lines.append(f"    {counted(future, 'check')} dated after now: not counted, a clock was wrong")
    return "\n".join(lines)


def _row(rows: int, distance: float, limit: float) -> str:
    if not rows:
        return "0 rows"
    beyond = f"an alarm beyond {limit:.3f}" if limit < 1 else "too few to tell"
    return f"{counted(rows, 'row')}: distance {distance:.3f}, {beyond}"


def _said(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if time else ""
