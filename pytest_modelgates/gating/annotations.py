"""What GitHub shows beside the code: one annotation for each gate that did not pass, at its line."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..evidence.shown import word_of
from ..evidence.verdict import Verdict, advice
from ..storage.text import printable
from .ledger import Run

ON_GITHUB = "GITHUB_ACTIONS"
WORKSPACE = "GITHUB_WORKSPACE"


def annotations(run: Run) -> Iterator[str]:
    """Give a workflow command of GitHub for each gate that did not pass: an error if it blocks, else a warning.

    A gate of the repository is named with its file and line, a shipped one has neither there.
    """
    for directory in run.model_dirs:
        for judged in run.judged(directory.name):
            if not judged.why or (judged.verdict is Verdict.NO_REFERENCE and not judged.blocks):
                continue
            todo = f" → {advice(judged.record, run.policy)}" if judged.verdict is Verdict.FAILED else ""
            kind = "error" if judged.blocks else "warning"
            place = _place(run.lines.get(judged.record.node_id))
            title = _property(f"{judged.record.gate} {word_of(judged)}")
            said = _message(f"{directory.name}: {judged.why}{todo}")
            yield f"::{kind} {place}title={title}::{said}"


def _place(found: tuple[str, int] | None) -> str:
    workspace = os.environ.get(WORKSPACE)
    if not (found and workspace):
        return ""
    file, root = Path(found[0]).resolve(), Path(workspace).resolve()
    # An installed environment may lie in the workspace too, and is not code of the repository.
    if not file.is_relative_to(root) or "site-packages" in file.parts:
        return ""
    return f"file={_property(str(file.relative_to(root)))},line={found[1]},"


def _message(text: str) -> str:
    # As @actions/core escapes data: the percent sign first.
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
