"""The table at the end of a run: every gate with what it measured, its limit and its verdict."""

from __future__ import annotations  # the types below are imported for checkers alone

import shutil

import pytest

from ..evidence.report import GateRecord
from ..evidence.verdict import Verdict, base_name, judge
from ..policy.limits import short
from .ledger import Run

HEADINGS = ["gate", "sev.", "measured", "limit", "margin", "verdict"]


def write_table(terminal: pytest.TerminalReporter, run: Run) -> None:
    """Write the table, why gates did not pass, what else speaks against the run, and where the report goes."""
    terminal.write_sep("=", "model gates")
    if run.empty:
        terminal.write_line("no gate ran, so there is no report; look at the paths given, -k and -m", red=True)
        return
    records = {directory.name: run.records(directory.name) for directory in run.model_dirs}
    rows = {
        name: [(row, _colour(run, of, name)) for of in some for row in _rows(run, of, name)]
        for name, some in records.items()
    }
    every = [HEADINGS, *(row for some in rows.values() for row, _ in some)]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    # Names give way first, so that numbers and verdicts stay in sight on a narrow terminal.
    widths[0] = max(12, min(widths[0], shutil.get_terminal_size().columns - sum(widths[1:]) - 5))
    for name, some in rows.items():
        if len(rows) > 1:
            terminal.write_line(f"model {name}", bold=True)
        terminal.write_line(_line(HEADINGS, widths))
        for row, colour in some:
            terminal.write_line(_line(row, widths), **{colour: True})
        for record in records[name]:
            verdict, why = judge(record, run.policy)
            advice = f" → {run.policy.limit(base_name(record.gate)).advice}" if verdict is Verdict.FAILED else ""
            if why:
                terminal.write_line(
                    f"{record.gate} {_verdict(run, record, name)}: {why}{advice}", **{_colour(run, record, name): True}
                )
            if waiver := run.waiver(record.gate, name):
                terminal.write_line(str(waiver), yellow=True)
    for kind in dict.fromkeys(run.tasks.values()):
        for family in run.policy.not_applicable_to(kind):
            terminal.write_line(f"{family}: does not apply to a {kind or 'model'}, says the policy")
    for name in run.changed:
        terminal.write_line(f"{name}: its files changed while the gates ran; pack again, then run again", red=True)
    for path in run.report_paths():
        terminal.write_line(f"report: {path}")


def _rows(run: Run, record: GateRecord, model_id: str) -> list[list[str]]:
    """One row for each value measured, each with its own limit; one without numbers if nothing was."""
    rows = []
    beyond = [shown for shown in record.evidence if not run.policy.limit(shown.slo).contains(shown.value)]
    for evidence in record.evidence or (None,):
        name = base_name(record.gate) if evidence is None else evidence.slo
        limit, value = run.policy.limit(name), evidence.value if evidence else None
        numbers = ["-" if value is None else f"{short(value, 3)} {limit.unit}", str(limit).replace(" ", "")]
        margin = "-" if value is None else f"{limit.margin(value):.2g}"
        shown = record.gate if name == base_name(record.gate) else name
        verdict = _verdict(run, record, model_id)
        # A gate may fail by one of several limits and keep this one.
        another = evidence not in beyond and bool(beyond) and judge(record, run.policy)[0] is Verdict.FAILED
        rows.append([shown, record.severity, *numbers, margin, "passed" if another else verdict])
    return rows


def _verdict(run: Run, record: GateRecord, model_id: str) -> str:
    verdict = judge(record, run.policy)[0]
    if verdict is Verdict.FAILED and not run.blocks(record, model_id):
        return "WARN" if record.severity == "soft" else "WAIVED"
    return verdict.value.removesuffix(" yet")


def _colour(run: Run, record: GateRecord, model_id: str) -> str:
    passed = judge(record, run.policy)[0] is Verdict.PASSED
    return "green" if passed else "red" if run.blocks(record, model_id) else "yellow"


def _line(cells: list[str], widths: list[int]) -> str:
    name = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "…"
    return " ".join(cell.ljust(width) for cell, width in zip([name, *cells[1:]], widths, strict=True)).rstrip()
