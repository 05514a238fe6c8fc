"""What becomes of a phase of a gate: from what it raised to one of pytest's own outcomes, and the terminal's word."""

from __future__ import annotations  # the types below are imported for checkers alone

from typing import TYPE_CHECKING

import pytest

from ..errors import InsufficientDataError, ModelgatesError, NoReference
from ..evidence.verdict import UNMEASURED
from ..policy.families import compares
from ..storage.text import printable
from .collection import GATE, identity, severity
from .gate import Gate

if TYPE_CHECKING:
    from .ledger import Run

# What the terminal says of the phase that was settled last.
WORD = pytest.StashKey[str | None]()


def settle(item: pytest.Item, error: BaseException | None, report: pytest.TestReport, run: Run) -> None:
    """Turn what a gate raised into its outcome, and keep what the terminal says in place of pytest's own word."""
    name = identity(item)
    if name is None:
        return
    gate = gate_of(item, name, run)
    item.stash[WORD] = None
    unmeasured = is_unmeasured(error, report)
    if isinstance(error, InsufficientDataError | NoReference) and unmeasured:
        report.longrepr = gate.record_unmeasured(error)
    elif isinstance(error, ModelgatesError | OSError):
        report.longrepr = "\n".join(map(printable, f"{name}: {error}".splitlines()))
    elif report.when == "call" and report.passed and not gate.evidence:
        report.outcome, report.longrepr = (
            "failed",
            f"{name}: recorded no evidence; call gate.check with what it measured",
        )
    model_id = model_id_of(item)
    nothing_yet = isinstance(error, NoReference) and compares(name)
    fails = run.fails(name, severity(item), model_id, nothing_yet=nothing_yet)
    if not is_miss(error, report) or not report.failed or fails:
        return
    # Other plugins know pytest's own outcomes alone: what measured nothing was skipped, and a miss that
    # leaves the run green is one that was expected.
    report.outcome = "skipped"
    if unmeasured:
        item.stash[WORD] = "NO REFERENCE YET" if nothing_yet else "INCONCLUSIVE"
        report.longrepr = (str(item.path), (item.location[1] or 0) + 1, str(report.longrepr))
    else:
        item.stash[WORD] = word = "WARN" if severity(item) == "soft" else "WAIVED"
        report.wasxfail = f"{word}: {first_words(error)}"
        report.longrepr = f"{word}: {report.longreprtext}"


def status_of(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Say how the terminal shows a phase of a gate; None leaves it to pytest."""
    if not hasattr(report, "modelgates"):
        return None
    if report.failed and report.when == "setup" and report.modelgates["phase"]["exception"] in UNMEASURED:
        # A gate without enough data failed, even if a fixture noticed.
        return "failed", "F", ("FAILED", {"red": True})
    if word := report.modelgates["word"]:
        category = "xfailed" if hasattr(report, "wasxfail") else "skipped"
        return category, category[0], (word, {"yellow": True})
    return None


def gate_of(item: pytest.Item, name: str, run: Run) -> Gate:
    """Find the record that a gate writes into."""
    # A plugin whose hook comes before ours may fail the set-up, and `begin_attempt` is then never called.
    return item.stash.setdefault(GATE, Gate(name, run.policy))


def model_id_of(item: pytest.Item) -> str:
    """Name the model that a gate runs on."""
    found: str = getattr(item, "callspec").params["model_dir"].name  # noqa: B009  # unknown to mypy
    return found


def is_unmeasured(error: BaseException | None, report: pytest.TestReport) -> bool:
    """Whether a gate measured nothing; measuring is over at teardown, so whatever is raised there is an error."""
    return report.when != "teardown" and isinstance(error, InsufficientDataError | NoReference)


def is_miss(error: BaseException | None, report: pytest.TestReport) -> bool:
    """Whether what was raised may be a warning; any other exception fails the run, for a broken gate says nothing."""
    return is_unmeasured(error, report) or (
        report.when == "call" and isinstance(error, AssertionError | pytest.fail.Exception)
    )


def first_words(error: BaseException | None) -> str:
    """Give the first line of what was raised, for people."""
    return printable((str(error).splitlines() or [f"raised {type(error).__name__}"])[0])
