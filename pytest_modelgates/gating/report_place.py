"""Where a report may be written: over nothing that the registry keeps, and over no file that is not a report."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ..artifacts import Artifacts
from ..errors import FormatError
from ..pages.render import is_page
from ..storage.paths import is_there
from ..storage.strict_json import parse_json, read_bytes

# The options by which pytest and common plugins write a file or empty a folder, and whether we write it, over what was
# there.
OPTIONS = {
    "--gate-report": ("gate_report", True),
    "--gate-html": ("gate_html", True),
    "--json-report-file": ("json_report_file", True),
    "--junit-xml": ("xmlpath", False),
    "--html": ("htmlpath", False),
    "--log-file": ("log_file", False),
    "--report-log": ("report_log", False),
    "--basetemp": ("basetemp", False),
}


def refuse_other_places(option: object, roots: Sequence[Artifacts]) -> None:
    """Refuse a run that would write over a model, a link, a log, or any file that is not a report.

    Parameters
    ----------
    option : object
        pytest's options.
    roots : sequence of Artifacts
        Those of the models under test.

    Raises
    ------
    pytest.UsageError
    """
    for name, (key, ours) in OPTIONS.items():
        given = getattr(option, key, None)
        if not given or given == "none":  # pytest-json-report's word for no file
            continue
        path = Path(os.path.expanduser(os.path.expandvars(given)))  # as pytest takes it
        # Some replace a link that lies there, and some write through it.
        place = Path(os.path.realpath(path.parent)) / path.name
        for artifacts in roots:
            if artifacts.keeps(place) or artifacts.keeps(Path(os.path.realpath(path))):
                raise pytest.UsageError(
                    f"{name}={given}: the registry keeps its own files there; give a place below "
                    f"{artifacts.all_reports}, or outside {artifacts.root}"
                )
        if ours and is_there(place) and not (_is_page if key == "gate_html" else _is_report)(place):
            kind = "page of a gate run" if key == "gate_html" else "report of pytest"
            raise pytest.UsageError(f"{name}={given}: a file that is not a {kind} lies there; move it first")


def _is_page(path: Path) -> bool:
    try:
        return is_page(read_bytes(path))
    except FormatError:
        return False


def _is_report(path: Path) -> bool:
    try:
        found = parse_json(read_bytes(path), str(path))
    except FormatError:
        return False
    return isinstance(found, dict) and {"created", "exitcode"} <= found.keys()
