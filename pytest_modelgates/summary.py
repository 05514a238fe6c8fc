"""The table at the end of a run: every gate with what it measured, its limit and its verdict."""

import shutil

import pytest

from .ledger import Run
from .registry.verdict import Verdict

HEADINGS = ["gate", "sev.", "measured", "limit", "margin", "verdict"]
COLOURS = {Verdict.PASSED: "green", Verdict.NO_REFERENCE: "yellow"}


def write_table(terminal: pytest.TerminalReporter, run: Run) -> None:
    """Write the table, why soft gates warned, and where the report goes."""
    rows = run.table()
    terminal.write_sep("=", "model gates")
    widths = [max(len(cells[column]) for cells in [HEADINGS, *(cells for cells, _, _ in rows)]) for column in range(6)]
    # Names give way first, so that numbers and verdicts stay in sight on a narrow terminal.
    widths[0] = max(12, min(widths[0], shutil.get_terminal_size().columns - sum(widths[1:]) - 5))
    terminal.write_line(_line(HEADINGS, widths))
    for cells, verdict, _ in rows:
        colour = COLOURS.get(verdict, "red" if cells[1] == "hard" else "yellow")
        terminal.write_line(_line(cells, widths), **{colour: True})
    for cells, verdict, why in rows:
        if verdict is not Verdict.PASSED:
            terminal.write_line(f"{cells[0]} {cells[5]}: {why}")
    for family in run.policy.not_applicable:
        terminal.write_line(f"{family}: does not apply, says the policy")
    for path in run.report_paths():
        terminal.write_line(f"report: {path}")


def _line(cells: list[str], widths: list[int]) -> str:
    name = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "…"
    return " ".join(cell.ljust(width) for cell, width in zip([name, *cells[1:]], widths, strict=True)).rstrip()
