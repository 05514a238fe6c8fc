"""A forked run of pytest is the run that a fresh process would have been."""

from collections.abc import Iterator

import pytest

from pytest_modelgates.evidence.report import read_report
from tests.support import warm
from tests.support.gate_runs import PLAIN, normalised, own_gate
from tests.support.warm import USUAL, Server, needs_fresh, run_fresh

pytestmark = pytest.mark.integration

PLUGINS = ("pytest_modelgates", "xdist", "pytest_benchmark", "pytest_jsonreport", "pytest_metadata", "hypothesis")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def test_it_leaves_the_ledger_and_the_status_of_a_fresh_one(pytester: pytest.Pytester, server: Server) -> None:
    words = ["test_mine.py", f"--model-dir={own_gate(pytester, severity='hard')}", "--gate-report=report.json", *PLAIN]
    fresh = run_fresh(words, folder=pytester.path, environment=USUAL)
    first = read_report(pytester.path / "report.json").report.modelgates
    forked = server.run(words, folder=pytester.path, environment=USUAL)
    second = read_report(pytester.path / "report.json").report.modelgates
    assert forked.status == fresh.status == 1
    assert "mine.answer failed: measured 2 x, limit ≤ 1 → give less" in forked.output
    assert normalised(second) == normalised(first)


def test_neither_a_plugin_nor_this_package_is_imported_before_the_fork(
    pytester: pytest.Pytester, server: Server
) -> None:
    pytester.makeconftest("import pathlib, sys; pathlib.Path('modules').write_text(' '.join(sys.modules))")
    # So pytest imports none by itself.
    server.run([], folder=pytester.path, environment=USUAL | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    modules = (pytester.path / "modules").read_text().split()
    assert "pandas" in modules
    assert [name for name in modules if name.split(".")[0] in PLUGINS] == []


@pytest.mark.parametrize("around", ["", "x:y"])
def test_it_finds_modules_where_a_fresh_one_does(
    pytester: pytest.Pytester, server: Server, monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    monkeypatch.setitem(USUAL, "PYTHONPATH", around)
    environment = USUAL | {"PYTHONPATH": "a:b"}
    pytester.makeconftest("import pathlib, sys; pathlib.Path('path').write_text('\\n'.join(sys.path))")
    paths = []
    for run in (run_fresh, server.run):
        run(PLAIN, folder=pytester.path, environment=environment)
        paths.append((pytester.path / "path").read_text())
    assert paths[0] == paths[1]


def test_one_that_does_not_end_is_ended(
    pytester: pytest.Pytester, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest("import time; time.sleep(10_000)")
    monkeypatch.setattr(warm, "SECONDS", 2)
    # Raised when the server has seen it end.
    with pytest.raises(TimeoutError, match="did not end within 2 s"):
        server.run(PLAIN, folder=pytester.path, environment=USUAL)


@pytest.mark.parametrize("name", ["PYTHONOPTIMIZE", "PYTHONSAFEPATH"])
def test_what_the_interpreter_reads_needs_a_fresh_one(name: str) -> None:
    assert needs_fresh({name: "1"})
    assert not needs_fresh({"PYTHONPATH": ".", "PYTEST_ADDOPTS": "-q"})
