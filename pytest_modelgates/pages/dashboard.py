"""The dashboard: four pages of the registry, read from heads, links and the ends of logs, and never from all rows."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import msgspec

from ..artifacts import Artifacts
from ..audit.ab import ARM as AB
from ..audit.ab import ended, read_plan
from ..audit.chain import Event, Intent, Unknown, happened
from ..audit.kinds import TRIAL
from ..errors import ModelgatesError
from ..evidence.verdict import Verdict, base_name
from ..model.directory import BENCH, ModelDirectory
from ..monitoring.checks import checks
from ..monitoring.liveness import GateHistory, liveness
from ..policy.limits import short
from ..predictions.parts import JSON_LINES, Part, arms, parts
from ..predictions.records import NOT_A_RECORD, Prediction
from ..registry.criteria import streak
from ..registry.in_force import InForce
from ..registry.nights import nights
from ..registry.status import listing, status
from ..registry.store import live_change, model_ids
from ..serving.paper_ledger import read_ledger
from ..storage.lines import lines_from_end
from ..storage.text import counted, first_line
from .charts import Chart, line
from .pictures import distributions
from .render import page

T = TypeVar("T")
U = TypeVar("U")

PAGES = {"registry": "Registry", "performance": "Performance", "quality": "Quality", "business": "Business"}
MODELS, CHANGES, GATED, CHECKS = 50, 100, 10, 200
_READ = 5_000  # records of the audit log, from its end: packing enters trials, which are not shown
_DAYS, _PARTS, _ROWS = 30, 4, 64  # of the log of predictions: days, newest parts of each, last rows of each
_CHARTS = 12
_MOST_BYTES = 64 * 2**20  # of the log of predictions, which business joins with outcomes


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
        with closing(happened(artifacts.promotions)) as found:
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
    for arm in _unless(notes, lambda: arms(artifacts), []):
        by_day, by_model = _latencies(_unless(notes, lambda arm=arm: parts(artifacts, arm, since=since), []))  # type: ignore[misc]
        if by_day:
            days = sorted(by_day)
            charts.append(
                line(
                    f"Latency of {arm} by day",
                    f"Milliseconds from a row to its score, of the last {_ROWS} rows of up to {_PARTS} parts of "
                    "the log a day: half of the rows, and 95 in 100, took less.",
                    [str(day) for day in days],
                    {
                        "half": [_quantile(by_day[day], 0.5) for day in days],
                        "95 in 100": [_quantile(by_day[day], 0.95) for day in days],
                    },
                )
            )
        for model_id, times in sorted(by_model.items(), reverse=True):
            figures = [short(_quantile(times, share), 3) for share in (0.5, 0.95, 0.99)]
            versions.append([model_id, arm, str(len(times)), *figures])
    packed = list[list[str]]()
    for model_id in model_ids(artifacts)[-MODELS:][::-1]:
        bench = _unless(notes, lambda model_id=model_id: _bench(artifacts, model_id), None)  # type: ignore[misc]
        for batch in bench.batches if bench else ():
            figures = [short(value, 3) for value in (batch.p50_ms, batch.p95_ms, batch.p99_ms)]
            packed.append([model_id, str(batch.rows), *figures])
    return {"charts": charts, "versions": versions, "packed": packed, "days": _DAYS}


def _bench(artifacts: Artifacts, model_id: str) -> _Bench:
    with ModelDirectory(artifacts.model(model_id)) as model:
        return model.json(BENCH, _Bench)


def _latencies(found: Sequence[Part]) -> tuple[dict[date, list[float]], dict[str, list[float]]]:
    """Sample the ends of the newest parts of each day."""
    by_day, by_model, read = dict[date, list[float]](), dict[str, list[float]](), dict[date, int]()
    for part in reversed(found):
        if part.path.suffix != JSON_LINES or part.day == date.min or read.get(part.day, 0) >= _PARTS:
            continue
        read[part.day] = read.get(part.day, 0) + 1
        with closing(lines_from_end(part.path)) as lines:
            for text in islice(lines, _ROWS):
                try:
                    record = msgspec.json.decode(text, type=Prediction)
                except NOT_A_RECORD:  # the line that closes a part among them
                    continue
                by_day.setdefault(part.day, []).append(record.latency_ms)
                by_model.setdefault(record.model_id, []).append(record.latency_ms)
    return by_day, by_model


def _quantile(times: Sequence[float], share: float) -> float:
    from ..stats.quantiles import quantile

    return float(quantile(times, share))


def _quality(artifacts: Artifacts, in_force: InForce, now: datetime, notes: list[str]) -> dict[str, Any]:
    models = model_ids(artifacts)[-GATED:]
    alive = _unless(notes, lambda: liveness(artifacts, in_force.policy, models=models), None)
    histories = alive.gates if alive else ()
    found = _unless(notes, lambda: list(checks(artifacts, most=CHECKS)), [])[::-1]
    drift = list[Chart]()
    if found:
        limit = in_force.policy.limit("drift.psi").upper
        drift.append(
            line(
                "PSI of each check for drift",
                f"The index of the last {counted(len(found), 'check')}, and what chance alone may give; the limit is "
                f"{limit:g}.",
                [f"{check.time:%Y-%m-%d %H:%M}" for check in found],
                {"PSI": [each.psi.value for each in found], "by chance": [each.psi.critical for each in found]},
                of="check",
                limit=limit,
            )
        )
        drift += [distributions(found[-1])] if found[-1].psi.bins else []
    return {
        "models": models,
        "gates": [_gate_row(history, in_force) for history in histories],
        "charts": _margins(histories, in_force),
        "unproved": [history.gate for history in histories if history.unproved],
        "rolled_back": alive.rolled_back if alive else (),
        "unread": alive.unread if alive else (),
        "drift": drift,
        "checks_shown": [
            [each.time, each.model_id, each.arm or "files", each.said, "; ".join(each.reasons)]
            for each in found[::-1][:CHANGES]
        ],
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
        "verdict": newest.value if newest else "-",
        "state": "" if newest is None else "good" if newest is Verdict.PASSED else "bad" if hard else "warn",
        "days": [f"{time:%Y-%m-%d}" if time else "never" for time in history.times],
        "margin": short(margins[-1], 2) if margins and margins[-1] is not None else "-",
        "least": short(min(known), 2) if known else "-",
    }


def _margins(histories: Sequence[GateHistory], in_force: InForce) -> list[Chart]:
    """Draw the margins of gates that differ from version to version: those first that are nearest to a miss."""
    drawn = list[tuple[float, Chart]]()
    for history in histories:
        versions = sorted(history.margins, key=int)
        known = [margin for version in versions if (margin := history.margins[version]) is not None]
        if len(set(known)) < 2:
            continue
        slo = in_force.policy.slo.get(base_name(history.gate))
        chart = line(
            f"Margin of {history.gate}",
            f"The distance to the nearer bound of its limit [{slo.unit if slo else 'its unit'}], by version; below 0 "
            "the gate is missed.",
            versions,
            {"margin": [history.margins[version] for version in versions]},
            of="model",
            limit=0.0,
        )
        drawn.append((known[-1] / max(map(abs, known)), chart))
    return [chart for _, chart in sorted(drawn, key=lambda each: each[0])[:_CHARTS]]


def _business(artifacts: Artifacts, in_force: InForce, now: datetime, notes: list[str]) -> dict[str, Any]:
    charts, facts = list[Chart](), list[tuple[str, str]]()
    _unless(notes, lambda: _paper(artifacts, charts, facts), None)
    _unless(notes, lambda: _realised(artifacts, in_force, charts, facts), None)
    _unless(notes, lambda: _ab(artifacts, charts, facts), None)
    return {"charts": charts, "facts": facts}


def _paper(artifacts: Artifacts, charts: list[Chart], facts: list[tuple[str, str]]) -> None:
    """Draw what the ledger says, if there is one: what was really followed, caps and missing prices included."""
    ledger = read_ledger(artifacts.paper("live"))
    if ledger is None or not ledger.days:
        return
    capital, days = ledger.opening.capital_cents, [str(each.day) for each in ledger.days]
    earned = [(each.value_cents - capital) / capital for each in ledger.days]
    held = [[name.position_cents for name in each.names] for each in ledger.days]
    facts += [("days on paper", str(len(days))), ("earned on paper after costs", f"{earned[-1]:.2%} of capital")]
    charts += [
        line(
            "Return on paper",
            "What the ledger of the live arm has earned after costs since its beginning, as a share of capital.",
            days,
            {"share of capital": earned},
        ),
        line(
            "Exposure on paper",
            "The sizes of all positions after the trades of each day, and long less short, as shares of capital.",
            days,
            {
                "gross": [sum(map(abs, cents)) / capital for cents in held],
                "net": [sum(cents) / capital for cents in held],
            },
        ),
    ]


def _realised(artifacts: Artifacts, in_force: InForce, charts: list[Chart], facts: list[tuple[str, str]]) -> None:
    """Draw what following the live model has come to, if its log is small enough to be read."""
    import numpy as np

    from ..monitoring.realised import followed
    from ..predictions.counting import Window
    from ..stats.risk import drawdowns

    live = live_change(artifacts)
    if not _is_small(artifacts, ("live",), facts, "modelgates outcomes realised --since TIME"):
        return
    with ModelDirectory(artifacts.model(live.to)) as model:
        sidecar = model.sidecar
    found = followed(artifacts, in_force.policy, sidecar, live.to, "live", Window(digest=live.digest))
    said, holdings = found.realised, found.holdings
    facts += [("model", live.to), ("rows with an outcome", str(said.rows)), ("rows that wait", str(said.waiting))]
    if said.metric:
        facts.append((said.metric[0], short(said.metric[1])))
    if holdings is None or said.traded is None:
        return
    days, ic = [str(day) for day in found.dates], said.traded.ic
    facts += [("days", str(said.days)), ("earned after costs", f"{said.traded.earned:.2%} of capital")]
    if pnl := said.traded.pnl:
        facts += [
            ("Sharpe ratio", f"{pnl.sharpe:.2f} a year"),
            ("turnover", f"{pnl.mean_turnover:.2f} of capital a day"),
        ]
    charts += [
        line(
            "IC by day",
            f"The live model's IC of each day before costs; its mean is {ic.value:.4f}.",
            days,
            {"IC": holdings.ic.tolist()},
            band=("where the mean lies, with 90 % confidence", *ic.interval) if ic.interval else None,
        ),
        line(
            "Cumulative return",
            "Sum of the daily returns that following the live model would have earned, as a share of capital.",
            days,
            {"before costs": np.cumsum(holdings.gross).tolist(), "after costs": np.cumsum(holdings.net).tolist()},
        ),
        line(
            "Drawdown",
            "How far capital lies below its highest so far, after costs, with returns reinvested.",
            days,
            {"share of capital": (-drawdowns(holdings.net)).tolist()},
        ),
        line(
            "Turnover",
            "The sum of the changes of all weights, as a share of capital a day.",
            days,
            {"share of capital": holdings.turnover.tolist()},
        ),
    ]


def _is_small(artifacts: Artifacts, of: Sequence[str], facts: list[tuple[str, str]], instead: str) -> bool:
    """Whether the log of some arms can be read while somebody waits; if not, the page says what does it."""
    size = sum(part.path.stat().st_size for arm in of for part in parts(artifacts, arm))
    if size > _MOST_BYTES:
        facts.append(("not read", f"the log of {size / 2**20:.0f} MB; see: {instead}"))
    return size <= _MOST_BYTES


def _ab(artifacts: Artifacts, charts: list[Chart], facts: list[tuple[str, str]]) -> None:
    """Draw what the A/B test that runs, or the last one, has come to."""
    from ..monitoring.ab import ab_by_day
    from ..stats.arms import as_it_grew

    test = read_plan(artifacts) or next(iter(ended(artifacts)), None)
    if test is None or not _is_small(artifacts, ("live", AB), facts, "modelgates ab status"):
        return
    known = ab_by_day(artifacts, test)
    found, plan = known.found, known.found.plan
    facts += [
        ("A/B test", f"{plan}; {found.state}{f': {found.why}' if found.why else ''}"),
        ("A/B rows", f"{found.live.rows} live, {found.candidate.rows} of the candidate"),
        ("A/B verdict", found.not_told or f"the candidate is {found.verdict} by its IC"),
    ]
    if not known.arms:
        return
    live, candidate = known.arms
    for name, unit, ours, theirs in (
        ("IC", "IC a day", live.ic, candidate.ic),
        ("return", "share of gross exposure a day, before costs", live.earned, candidate.earned),
    ):
        grown = as_it_grew(ours, theirs)
        if grown:
            charts.append(
                line(
                    f"A/B test: difference of {name}",
                    f"The candidate less the live model [{unit}], over all days so far, and where that lies with 95 % "
                    "at all times at once; above 0 the candidate is better.",
                    [str(known.dates[day]) for day, _ in grown],
                    {
                        "mean": [each.mean for _, each in grown],
                        "lower": [each.lower for _, each in grown],
                        "upper": [each.upper for _, each in grown],
                    },
                )
            )


_Written = Callable[[Artifacts, InForce, datetime, list[str]], dict[str, Any]]
_WRITTEN: dict[str, _Written] = {
    "registry": _registry,
    "performance": _performance,
    "quality": _quality,
    "business": _business,
}
