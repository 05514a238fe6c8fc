"""The dashboard: four pages of the registry, read from heads, links and the ends of logs, and never from all rows."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import msgspec

from ..artifacts import Artifacts
from ..audit.chain import Event, Intent, Unknown, happened
from ..audit.kinds import TRIAL
from ..errors import ModelgatesError
from ..evidence.verdict import Verdict, base_name
from ..model.directory import BENCH, LocalDirectory
from ..monitoring.checks import PSI, checks
from ..monitoring.liveness import GateHistory, liveness
from ..policy.limits import short
from ..predictions.parts import JSON_LINES, Part, arms, parts
from ..predictions.records import NOT_A_RECORD, Prediction
from ..registry.criteria import streak
from ..registry.in_force import InForce
from ..registry.nights import nights
from ..registry.status import listing, status
from ..registry.store import model_ids
from ..storage.lines import lines_from_end
from ..storage.strict_json import read_bytes
from ..storage.text import first_line
from .business import ab_test, against, paper, realised
from .charts import Chart, line
from .drift import of_drift, spells
from .render import page
from .versions import over_versions

T = TypeVar("T")
U = TypeVar("U")

PAGES = {"registry": "Registry", "performance": "Performance", "quality": "Quality", "business": "Business"}
MODELS, CHANGES, GATED, CHECKS = 50, 100, 10, 200
_READ = 5_000  # records of the audit log, from its end: packing enters trials, which are not shown
# Of the log of predictions: days, newest parts of each (those in Parquet take longer), last rows of each part.
_DAYS, _PARTS, _PACKED, _ROWS = 30, 4, 1, 64
_SHOWN = ["model_id", "latency_ms"]


def dashboard(artifacts: Artifacts, in_force: InForce, *, now: datetime | None = None) -> dict[str, bytes]:
    """Write all pages; see `one_page`."""
    return {name: one_page(name, artifacts, in_force, now=now) for name in PAGES}


def one_page(name: str, artifacts: Artifacts, in_force: InForce, *, now: datetime | None = None) -> bytes:
    """Write one page of the dashboard.

    Parameters
    ----------
    name : str
        A key of `PAGES`.
    artifacts : Artifacts
    in_force : InForce
        Policy and operations of the registry.
    now : datetime, optional

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    notes = list[str]()
    content = _WRITTEN[name](artifacts, in_force, now or datetime.now(UTC), notes)
    return page(f"{name}.html", name=name, pages=PAGES, notes=notes, root=str(artifacts.root), **content)


def _unless(notes: list[str], ask: Callable[[], T], other: U) -> T | U:
    """Ask for a part of a page; what keeps it from being read is said on the page, which shows the rest."""
    try:
        return ask()
    except (ModelgatesError, OSError) as error:
        notes.append(first_line(error))
        return other


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A line of the history."""

    time: datetime
    what: str
    subject: str
    by: str
    reason: str
    evidence: list[str]


def _registry(artifacts: Artifacts, in_force: InForce, now: datetime, notes: list[str]) -> dict[str, Any]:
    history, promotion = list[_Change](), in_force.policy.promotion

    def read_history() -> None:
        with closing(happened(artifacts.log)) as found:
            for record in islice(found, _READ):
                if isinstance(record, Event) and record.kind == TRIAL:
                    continue
                history.append(_change(record))
                if len(history) == CHANGES:
                    break

    _unless(notes, read_history, None)
    found = _unless(notes, lambda: nights(artifacts, in_force.policy, now=now), [])
    return {
        "status": _unless(notes, lambda: status(artifacts, in_force), None),
        "models": _unless(notes, lambda: listing(artifacts, last=MODELS), [])[::-1],
        "count": len(model_ids(artifacts)),
        "history": history,
        "nights": found,
        "nights_shown": [[str(night.day), night.model_id, "yes" if night.parity else "no"] for night in found],
        "streak": streak(found, today=now.date()),
        "asked": promotion.parity_nights,
    }


def _change(record: Intent | Event | Unknown) -> _Change:
    if isinstance(record, Intent):
        kept = [f"report sha256:{record.report_digest[:16]}" if record.report_digest else "no report"]
        kept += [f"sealed by {record.sealed_by}"] if record.sealed_by else []
        kept += [f"policy {record.policy}"] if record.policy else []
        kept += [f"way back rehearsed: sha256:{record.way_back[:16]}"] if isinstance(record.way_back, str) else []
        kept += [f"waived: {waiver}" for waiver in record.waivers]
        what, subject = str(record.action), f"{record.from_ or 'nothing'} → {record.to}"
    elif isinstance(record, Event):
        kept = [f"sha256:{record.evidence[:16]}"] if record.evidence else []
        what, subject = record.kind, record.subject
    else:
        return _Change(time=record.time, what=record.kind, subject="", by="", reason="of a later version", evidence=[])
    by = f"{record.actor} on {record.host}"
    return _Change(time=record.time, what=what, subject=subject, by=by, reason=record.reason, evidence=kept)


class _Batch(msgspec.Struct, frozen=True):
    rows: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class _Bench(msgspec.Struct, frozen=True):
    """What is read of `bench.json`; other keys are read over."""

    batches: list[_Batch]
    machine: str = ""


def _performance(artifacts: Artifacts, in_force: InForce, now: datetime, notes: list[str]) -> dict[str, Any]:
    charts, versions = list[Chart](), list[list[str]]()
    since = now.date() - timedelta(days=_DAYS)

    def draw(arm: str) -> None:
        by_day, by_model = _latencies(parts(artifacts, arm, since=since), notes)
        if not by_day:
            return
        days = sorted(by_day)
        half, most = ([_quantile(by_day[day], share) for day in days] for share in (0.5, 0.95))
        for model_id, times in sorted(by_model.items(), reverse=True):
            figures = [short(_quantile(times, share), 3) for share in (0.5, 0.95, 0.99)]
            versions.append([model_id, arm, str(len(times)), *figures])
        charts.append(
            line(
                f"Latency of {arm} by day",
                f"Milliseconds from a row to its score, of the last {_ROWS} rows of up to {_PARTS} parts of "
                "the log a day: half of the rows, and 95 in 100, took less.",
                [str(day) for day in days],
                {"half": half, "95 in 100": most},
            )
        )

    for arm in _unless(notes, lambda: arms(artifacts), []):
        _unless(notes, lambda arm=arm: draw(arm), None)  # type: ignore[misc]
    packed = list[list[str]]()
    for model_id in model_ids(artifacts)[-MODELS:][::-1]:
        bench = _unless(notes, lambda model_id=model_id: _bench(artifacts, model_id), None)  # type: ignore[misc]
        for batch in bench.batches if bench else ():
            figures = [short(value, 3) for value in (batch.p50_ms, batch.p95_ms, batch.p99_ms)]
            packed.append([model_id, str(batch.rows), *figures])
    return {"charts": charts, "versions": versions, "packed": packed, "days": _DAYS}


def _bench(artifacts: Artifacts, model_id: str) -> _Bench:
    with LocalDirectory(artifacts.model(model_id)) as model:
        return model.json(BENCH, _Bench)


def _latencies(found: Sequence[Part], notes: list[str]) -> tuple[dict[date, list[float]], dict[str, list[float]]]:
    """Sample the ends of the newest parts of each day; one that cannot be read is said."""
    by_day, by_model, read = dict[date, list[float]](), dict[str, list[float]](), Counter[tuple[date, str]]()
    for part in reversed(found):
        kind = part.path.suffix
        read[part.day, kind] += 1
        if part.day == date.min or read[part.day, kind] > (_PARTS if kind == JSON_LINES else _PACKED):
            continue
        for model_id, latency_ms in _unless(notes, lambda part=part: _newest(part), []):  # type: ignore[misc]
            by_day.setdefault(part.day, []).append(latency_ms)
            by_model.setdefault(model_id, []).append(latency_ms)
    return by_day, by_model


def _newest(part: Part) -> list[tuple[str, float]]:
    """Read model and latency of the last rows of a part."""
    if part.path.suffix != JSON_LINES:
        from ..storage.parquet import read_parquet  # most parts are lines, and it takes long to load

        last = read_parquet(read_bytes(part.path), part.path, columns=_SHOWN)
        rows = last.slice(max(last.num_rows - _ROWS, 0)).to_pylist()
        found = [(row.get("model_id"), row.get("latency_ms")) for row in rows]
        return [(name, took) for name, took in found if isinstance(name, str) and isinstance(took, float)]
    read = list[tuple[str, float]]()
    with closing(lines_from_end(part.path)) as lines:
        for text in islice(lines, _ROWS):
            with suppress(*NOT_A_RECORD):  # the line that closes a part among them
                record = msgspec.json.decode(text, type=Prediction)
                read.append((record.model_id, record.latency_ms))
    return read


def _quantile(times: Sequence[float], share: float) -> float:
    from ..stats.quantiles import quantile

    return float(quantile(times, share))


def _quality(artifacts: Artifacts, in_force: InForce, now: datetime, notes: list[str]) -> dict[str, Any]:
    models = model_ids(artifacts)[-GATED:]
    alive = _unless(notes, lambda: liveness(artifacts, in_force.policy, models=models), None)
    histories = alive.gates if alive else ()
    found = _unless(notes, lambda: list(checks(artifacts, most=CHECKS)), [])[::-1]
    return {
        "models": models,
        "gates": [_gate_row(history, in_force) for history in histories],
        "versions": over_versions(histories, in_force.policy),
        "unproved": [history.gate for history in histories if history.unproved],
        "rolled_back": alive.rolled_back if alive else (),
        "unread": alive.unread if alive else (),
        "drift": of_drift(found, in_force.policy.limit(PSI)),
        "spells": spells(found)[:CHANGES],
    }


def _gate_row(history: GateHistory, in_force: InForce) -> dict[str, Any]:
    margins = history.newest_margins
    known = [margin for margin in margins if margin is not None]
    newest = history.verdicts[max(history.verdicts, key=int)] if history.verdicts else None
    slo = in_force.policy.slo.get(base_name(history.gate))
    hard = slo is not None and slo.severity == "hard" and newest is Verdict.FAILED
    return {
        "gate": history.gate,
        "severity": slo.severity if slo else "-",
        "verdict": _word(newest, hard=hard),
        "state": "" if newest is None else "good" if newest is Verdict.PASSED else "bad" if hard else "warn",
        "days": [f"{time:%Y-%m-%d}" if time else "never" for time in history.times],
        "margin": short(margins[-1], 2) if margins and margins[-1] is not None else "-",
        "least": short(min(known), 2) if known else "-",
    }


def _word(verdict: Verdict | None, *, hard: bool) -> str:
    """Name a verdict as the table of a run does."""
    if verdict is None:
        return "-"
    return "WARN" if verdict is Verdict.FAILED and not hard else verdict.value.removesuffix(" yet")


def _business(artifacts: Artifacts, in_force: InForce, now: datetime, notes: list[str]) -> dict[str, Any]:
    charts, facts = list[Chart](), list[tuple[str, str]]()
    on_paper = _unless(notes, lambda: paper(artifacts, charts, facts), {})
    live = _unless(notes, lambda: realised(artifacts, in_force, charts, facts), {})
    _unless(notes, lambda: ab_test(artifacts, charts, facts), None)
    return {"charts": [*against(on_paper, live), *charts], "facts": facts}


_Written = Callable[[Artifacts, InForce, datetime, list[str]], dict[str, Any]]
_WRITTEN: dict[str, _Written] = {
    "registry": _registry,
    "performance": _performance,
    "quality": _quality,
    "business": _business,
}
