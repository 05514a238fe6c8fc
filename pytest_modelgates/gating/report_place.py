"""Where a report may be written: over nothing that the registry keeps, and over no file that is not a report."""

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from ..artifacts import Artifacts
from ..errors import FormatError, ModelgatesError
from ..pages.render import is_page
from ..policy.place import keeps
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
    "--benchmark-json": ("benchmark_json", False),
    "--benchmark-storage": ("benchmark_storage", False),
    "--benchmark-histogram": ("benchmark_histogram", False),
    "--benchmark-cprofile-dump": ("benchmark_cprofile_dump", False),
    "--debug": ("debug", False),
}
SETTINGS = ("log_file", "cache_dir")
"""Of ini files and `-o`, by which pytest writes too."""


def refuse_other_places(config: pytest.Config, roots: Sequence[Artifacts]) -> None:
    """Refuse a run that would write over a model, a link, a log, a policy, or any file that is not a report.

    Parameters
    ----------
    config : pytest.Config
    roots : sequence of Artifacts
        Those of the models under test.

    Raises
    ------
    pytest.UsageError
    """
    for name, (key, ours) in OPTIONS.items():
        for given in _places(getattr(config.option, key, None)):
            _refuse_kept(f"{name}={given}", _path(given), roots)
            place = _path(given)
            if ours and is_there(place) and not (_is_page if key == "gate_html" else _is_report)(place):
                kind = "page of a gate run" if key == "gate_html" else "report of pytest"
                raise pytest.UsageError(f"{name}={given}: a file that is not a {kind} lies there; move it first")
    for name in SETTINGS:
        given = ""
        with suppress(ValueError):  # the plugin that knows the setting is off
            given = config.getini(name)
        if given:
            _refuse_kept(f"{name} = {given}", config.rootpath / _path(given), roots)


def refuse_debug_file(option: argparse.Namespace) -> None:
    """Refuse `--debug=FILE` over what a registry keeps: pytest opens that file before it configures plugins.

    Raises
    ------
    pytest.UsageError
    """
    given = getattr(option, "debug", None)
    if given and option.model_dir:
        with suppress(ModelgatesError, OSError, ValueError):  # a path that leads to no model is refused later
            roots = [Artifacts.of(Path(each)) for each in option.model_dir]
            _refuse_kept(f"--debug={given}", _path(given), roots)


def _places(given: object) -> list[str]:
    """Give the places that an option names: a path, an open file, an address of a file, or several of them."""
    if not given or given in ("none", True):  # pytest-json-report's word for no file
        return []
    if isinstance(given, list):
        return [place for each in given for place in _places(each)]
    return [str(getattr(given, "name", given) if not isinstance(given, Path) else given)]


def _path(given: str) -> Path:
    path = Path(os.path.expanduser(os.path.expandvars(given.removeprefix("file://"))))  # as pytest takes it
    # Some replace a link that lies there, and some write through it.
    return Path(os.path.realpath(path.parent)) / path.name


def _refuse_kept(said: str, path: Path, roots: Sequence[Artifacts]) -> None:
    for artifacts in roots:
        if keeps(artifacts, path):
            raise pytest.UsageError(
                f"{said}: the registry keeps its own files there; give a place below {artifacts.all_reports}, or "
                f"outside {artifacts.root}"
            )


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
