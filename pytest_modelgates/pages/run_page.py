"""The page of one gate run: what was measured, how far from the limit, why it failed, what to do, and the evidence."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..artifacts import Artifacts
from ..errors import ModelgatesError
from ..evidence.reasons import few
from ..evidence.report import Ledger, ModelRun, RunInfo
from ..evidence.shown import Shown, shown_of, word_of
from ..evidence.verdict import Judged, Verdict, advice, base_name, weigh
from ..model.directory import CHANGES, LocalDirectory
from ..model.sidecar import Sidecar
from ..policy.limits import short
from ..policy.policy import Policy
from ..storage.digests import tree_digest
from ..storage.text import counted, first_line
from .charts import Chart
from .pictures import of_checks, of_evidence, of_panel
from .render import page

_MOST_LINES, _MOST_LETTERS = 40, 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reason:
    gate: str
    word: str
    why: str
    todo: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A line of the table of all gates."""

    name: str
    severity: str
    measured: str
    limit: str
    margin: str
    sample: str
    word: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """All that the page says of one model."""

    id: str
    said: str
    state: str
    counts: str
    problems: list[str]
    reasons: list[_Reason]
    waivers: tuple[str, ...]
    charts: list[Chart]
    notes: list[str]
    rows: list[_Row]
    details: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    changes: list[str]


def run_page(ledger: Ledger, policy: Policy, *, report: str, report_digest: str | None = None) -> bytes:
    """Write the page of a run.

    Parameters
    ----------
    ledger : Ledger
    policy : Policy
        The one that the run was made under.
    report : str
        Where the report lies.
    report_digest : str, optional
        SHA-256 of the report's file.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    run = ledger.run
    models = [_model(model_id, found, run, policy) for model_id, found in ledger.models.items()]
    facts = [
        ("report", report),
        *([("report's digest", f"sha256:{report_digest}")] if report_digest else []),
        ("policy's digest", f"sha256:{run.policy_digest}"),
        ("gates' digest", f"sha256:{run.suite_digest}"),
        ("this package's digest", f"sha256:{run.package_digest}"),
        ("ran", f"{run.started:%Y-%m-%d %H:%M:%S} to {run.finished:%Y-%m-%d %H:%M:%S} UTC"),
        ("apart from the repository", "yes, by modelgates" if run.nonce else "no, by pytest"),
        ("arguments", " ".join(run.arguments)),
        ("exit status", str(run.exit_status)),
        ("libraries", ", ".join(f"{name} {version}" for name, version in run.libraries.items())),
        ("hooks of others", ", ".join(f"{origin} ({', '.join(names)})" for origin, names in run.hooks.items()) or None),
    ]
    return page(
        "run.html",
        models=models,
        run=run,
        seconds=f"{(run.finished - run.started).total_seconds():.0f}",
        said=models[0].said if len(models) == 1 else f"exit status {run.exit_status}",
        facts=facts,
        report=report,
    )


def _model(model_id: str, found: ModelRun, run: RunInfo, policy: Policy) -> _Model:
    digest, day = found.digest_before, run.started.date()
    judged = [weigh(each, policy, digest=digest, day=day, strict_soft=run.strict_soft) for each in found.gates]
    places = {name: place for place, name in enumerate(policy.slo)}
    judged.sort(key=lambda each: places.get(base_name(each.record.gate), len(places)))
    blocking = [each for each in judged if each.blocks]
    problems = [f"{name} changed while the gates ran; run again" for name in run.changed]
    problems += [f"{what}; give each a name of its own" for what in run.twice]
    if found.digest_before != found.digest_after:
        problems.insert(0, "the model's files changed while the gates ran; pack again, then run again")
    charts, notes, changes, sidecar = _pictures(model_id, found, policy)
    left_out = _left_out(found, sidecar, policy)
    said, state = _verdict(len(blocking), bool(problems or run.exit_status), run.exit_status, left_out)
    if left_out:
        problems.append(f"did not run: {few(left_out)}; run all: modelgates gate {found.directory}")
    words = Counter(word_of(each) for each in judged)
    shown = [(each, row) for each in judged for row in shown_of(each, policy)]
    return _Model(
        id=model_id,
        said=said,
        state=state,
        counts=f"{counted(len(judged), 'gate')}: " + ", ".join(f"{number} {word}" for word, number in words.items()),
        problems=problems,
        reasons=[_reason(each, policy) for each in sorted(judged, key=lambda each: not each.blocks) if each.why],
        waivers=found.waivers,
        charts=charts,
        notes=notes,
        rows=[_row(each, row) for each, row in shown],
        details=[(row.name, numbers) for _, row in shown if (numbers := _numbers(row))],
        facts=[("model's digest", f"sha256:{found.digest_after}"), ("directory", found.directory)],
        changes=changes,
    )


def _left_out(found: ModelRun, sidecar: Sidecar | None, policy: Policy) -> list[str] | None:
    """Name the gates that a model must pass and that did not run at all; None if its sidecar is not at hand."""
    if sidecar is None:
        return None
    ran = {record.gate for record in found.gates}
    return [gate for gate in policy.required_gates(sidecar) if gate not in ran]


def _verdict(blocking: int, broken: bool, exit_status: int, left_out: list[str] | None) -> tuple[str, str]:
    """Say in a line how a run went, and how that is coloured: green only if all ran that must."""
    if blocking:
        return f"Red: {counted(blocking, 'gate')} {'keeps' if blocking == 1 else 'keep'} it from being live", "bad"
    if broken:
        return f"Red: no gate blocks, but the run ended with exit status {exit_status}", "bad"
    if left_out is None:
        return "Not known: no gate that ran keeps it from being live, but nobody can tell whether all ran", "warn"
    if left_out:
        return (
            f"Not complete: no gate that ran keeps it from being live, but {len(left_out)} that must run did not",
            "warn",
        )
    return "Green: no gate keeps it from being live", "good"


def _reason(judged: Judged, policy: Policy) -> _Reason:
    return _Reason(
        gate=judged.record.gate,
        word=word_of(judged),
        why=judged.why,
        todo=advice(judged.record, policy) if judged.verdict is Verdict.FAILED else "",
        state=_state(judged),
    )


def _state(judged: Judged) -> str:
    return "good" if judged.verdict is Verdict.PASSED else "bad" if judged.blocks else "warn"


def _row(judged: Judged, shown: Shown) -> _Row:
    sample = shown.evidence.sample if shown.evidence else None
    return _Row(
        name=shown.name,
        severity=shown.severity,
        measured=shown.measured,
        limit=shown.limit,
        margin=shown.margin,
        sample="-" if sample is None else str(sample),
        word=shown.word,
        state="good" if shown.word == "passed" else _state(judged),
    )


def _numbers(shown: Shown) -> str:
    """Say what else was recorded with a value."""
    evidence = shown.evidence
    if evidence is None:
        return ""
    said = [f"{name} {_short(value)}" for name, value in evidence.detail.items() if value is not None]
    if evidence.interval:
        said.insert(0, f"interval {short(evidence.interval[0])} to {short(evidence.interval[1])}")
    return "; ".join([*said, *filter(None, (evidence.note, evidence.not_asked))])


def _short(value: str | float) -> str:
    return short(value) if isinstance(value, float) else str(value)


def _pictures(
    model_id: str, found: ModelRun, policy: Policy
) -> tuple[list[Chart], list[str], list[str], Sidecar | None]:
    """Draw what evidence and panel show; return also what could not be drawn and why, and what the model says."""
    charts, notes, changes, sidecar = list[Chart](), list[str](), list[str](), None
    directory = Path(found.directory)
    try:
        if tree_digest(directory) != found.digest_after:
            notes.append("The model's files are others by now than those that were judged: nothing is drawn of them.")
        else:
            with LocalDirectory(directory) as model:
                sidecar = model.sidecar
                changes = _lines(model.read(CHANGES).decode(errors="replace"))
                drawn, not_drawn = of_panel(model, policy)
                charts += drawn
                notes += [f"Not drawn: {why}." for why in not_drawn]
    except (ModelgatesError, OSError) as error:
        notes.append(f"Not drawn of the model's files: {first_line(error)}.")
    charts += of_evidence(found.gates)
    try:
        charts += of_checks(Artifacts.of(directory), found.digest_after)
    except (ModelgatesError, OSError) as error:
        notes.append(f"Not drawn of the checks for drift: {first_line(error)}.")
    return charts, notes, changes, sidecar


def _lines(text: str) -> list[str]:
    lines = [line for line in text[:_MOST_LETTERS].splitlines() if line.strip()]
    return [*lines[:_MOST_LINES], *(["…"] if len(text) > _MOST_LETTERS or len(lines) > _MOST_LINES else [])]
