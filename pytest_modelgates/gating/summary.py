"""The table at the end of a run: every gate with what it measured, its limit and its verdict."""

from __future__ import annotations  # the types below are imported for checkers alone

import shutil
from collections.abc import Sequence

import pytest

from ..evidence.reasons import SHOWN, few
from ..evidence.shown import shown_of, word_of
from ..evidence.verdict import Judged, Verdict, advice, base_name
from ..policy.policy import Policy
from ..storage.text import printable, wrapped
from .ledger import Run
from .outlook import outlook

HEADINGS = ["gate", "sev.", "measured", "limit", "margin", "verdict"]


def write_table(terminal: pytest.TerminalReporter, run: Run) -> None:
    """Write the table, why gates did not pass, which families do not apply, what changed, and where the report goes."""
    terminal.write_sep("=", "model gates")
    if run.empty:
        terminal.write_line("no gate ran, so there is no report; look at the paths given, -k and -m", red=True)
        return
    rows = {
        directory.name: [
            (row, _colour(judged)) for judged in run.judged(directory.name) for row in _rows(judged, run.policy)
        ]
        for directory in run.model_dirs
    }
    every = [HEADINGS, *(row for some in rows.values() for row, _ in some)]
    widths = _widths(every, columns=shutil.get_terminal_size().columns)
    for model_id, some in rows.items():
        if len(rows) > 1:
            terminal.write_line(f"model {model_id}", bold=True)
        terminal.write_line(_line(HEADINGS, widths))
        for row, colour in some:
            terminal.write_line(_line(row, widths), **{colour: True})
        _write_reasons(terminal, run, model_id)
        for notice in _not_asked(run, model_id):
            _say(terminal, notice, yellow=True)
    for kind in dict.fromkeys(run.tasks.values()):
        if off := dict.fromkeys(run.policy.not_applicable_to(kind)):
            _say(terminal, f"{', '.join(off)}: not asked of a {kind or 'model'}, says the policy")
        for notice in run.policy.notices(kind) if kind else ():
            _say(terminal, notice, yellow=True)
    for name in run.changed:
        terminal.write_line(f"{name}: its files changed while the gates ran; pack again, then run again", red=True)
    for problem in run.code_problems:
        _say(terminal, problem, red=True)
    for problem in dict.fromkeys(run.hook_problems):
        terminal.write_line(f"{problem}; no verdict changed by it, but it was not told", red=True)
    for line in outlook(run):
        _say(terminal, line, yellow=True)
    # A promoter that started this run keeps the report elsewhere, and says where.
    for path in () if run.nonce else run.report_paths():
        terminal.write_line(f"report: {path}")
    if run.page:
        terminal.write_line(f"page: {run.page}")


def _write_reasons(terminal: pytest.TerminalReporter, run: Run, model_id: str) -> None:
    """Write why gates did not pass and what to do, then their waivers, whether they needed one or not.

    Gates stand in the order of the policy: files, schema, panel and leaks first, since the others follow from them.
    """
    places = {name: place for place, name in enumerate(run.policy.slo)}
    ordered = sorted(run.judged(model_id), key=lambda judged: places[base_name(judged.record.gate)])
    reasons: dict[tuple[str, str], list[str]] = {}
    for judged in ordered:
        if judged.why:
            todo = f" → {advice(judged.record, run.policy)}" if judged.verdict is Verdict.FAILED else ""
            said = f"{word_of(judged)}: {judged.why}{todo}"
            reasons.setdefault((said, _colour(judged)), []).append(judged.record.gate)
    for (said, colour), gates in reasons.items():
        # The table names each.
        for some in gates if len(gates) <= SHOWN else [few(gates)]:
            _say(terminal, f"{some} {said}", **{colour: True})
    for judged in ordered:
        if waiver := run.waiver(judged.record.gate, model_id):
            _say(terminal, str(waiver), yellow=True)


def _say(terminal: pytest.TerminalReporter, text: str, **markup: bool) -> None:
    """Write a sentence; a terminal gets it wrapped between words, while a file keeps it on one line."""
    terminal.write_line(wrapped(text) if terminal.isatty else text, **markup)


def _not_asked(run: Run, model_id: str) -> list[str]:
    """Say which questions of a gate did not arise for a model, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for judged in run.judged(model_id):
        for evidence in judged.record.evidence:
            if evidence.not_asked:
                reasons.setdefault(evidence.not_asked, []).append(evidence.slo)
    return [f"{', '.join(slos)}: not asked, {printable(why)}" for why, slos in reasons.items()]


def _widths(rows: Sequence[Sequence[str]], *, columns: int) -> list[int]:
    """Fit the table into a terminal: margins give way first, then the ends of names, so that numbers stay visible."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + len(widths) - 1 > columns:
        widths[HEADINGS.index("margin")] = 0
    others = sum(width + 1 for width in widths[1:] if width)
    widths[0] = max(12, min(widths[0], columns - others))
    return widths


def _rows(judged: Judged, policy: Policy) -> list[list[str]]:
    return [
        [shown.name, shown.severity, shown.measured, shown.limit.replace(" ", ""), shown.margin, shown.word]
        for shown in shown_of(judged, policy)
    ]


def _colour(judged: Judged) -> str:
    return "green" if judged.verdict is Verdict.PASSED else "red" if judged.blocks else "yellow"


def _line(cells: list[str], widths: list[int]) -> str:
    name = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "…"
    shown = zip([name, *cells[1:]], widths, strict=True)
    return " ".join(cell.ljust(width) for cell, width in shown if width).rstrip()
