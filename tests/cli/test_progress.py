"""How far a long count is, on one line of a terminal, and nowhere else."""

import io
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest

from pytest_modelgates.cli import progress
from pytest_modelgates.cli.progress import with_progress
from pytest_modelgates.drift.summary import Reference
from pytest_modelgates.monitoring.engines import here
from tests.support.handmade import Registry
from tests.support.terminal import in_a_terminal

REFERENCE = Reference.of([0.0, 1.0])


class Terminal(io.StringIO):
    """Keeps what is written to it, as a terminal would show it."""

    def isatty(self) -> bool:
        return True


def doubled(_: Reference, task: int) -> int:
    return 2 * task


def run(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO) -> str:
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(with_progress(here)(doubled, [1, 2, 3], REFERENCE)) == [2, 4, 6]
    return stderr.getvalue()


def test_a_line_says_how_far_it_is_and_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    begin = "\r\033[K"
    said = ["counting: 1 of 3 parts, about 0 s left", "counting: 2 of 3 parts, about 0 s left", ""]
    assert run(monkeypatch, Terminal()) == begin + begin.join(said)


def test_what_takes_a_moment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 3600.0)
    assert run(monkeypatch, Terminal()) == ""


def test_where_there_is_no_terminal_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    assert run(monkeypatch, io.StringIO()) == ""


WORK = """
import sys, subprocess, signal
from pytest_modelgates.cli import progress
progress._PATIENCE_S, progress._EVERY_S = float(sys.argv[1]), 0.05
before = signal.getsignal(signal.SIGALRM)
with progress.working("packing"):
    subprocess.run(["sleep", "0.3"], check=True)
assert signal.getsignal(signal.SIGALRM) == before
print("done", file=sys.stderr)
"""


def shown(patience_s: float) -> str:
    """Run something that takes a while in a terminal, and give what stands there."""
    status, said = in_a_terminal([sys.executable, "-c", WORK, str(patience_s)])
    assert status == 0, said
    return said


@pytest.mark.integration
def test_what_goes_on_is_said_while_a_child_works_and_wiped_away() -> None:
    *lines, end = shown(0.05).split("\r\033[K")
    assert set(lines) == {"", "packing: 0 s"}
    assert end == "done\r\n"


@pytest.mark.integration
def test_what_is_done_at_once_says_nothing_of_it() -> None:
    assert shown(3600.0) == "done\r\n"


def test_work_without_a_terminal_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    before = signal.getsignal(signal.SIGALRM)
    with progress.working("packing"):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGALRM) == before
    assert sys.stderr.getvalue() == ""


IMPATIENT = """
import sys
from pytest_modelgates.cli import main, progress
progress._PATIENCE_S, progress._EVERY_S = 1e-6, 1e-4
sys.exit(main(sys.argv[1:]))
"""
LONG = [
    pytest.param("packing: 0 s", ["pack", "MODEL/model.onnx", "--panel", "0.csv", "--spec", "none.toml"], id="pack"),
    pytest.param("running the gates on copies that were broken on purpose: 0 s", ["prove", "MODEL"], id="prove"),
    pytest.param("checking models and log: 0 s", ["recover", "--artifacts", "ROOT"], id="recover"),
    pytest.param("looking for what can go: 0 s", ["gc", "--keep", "9", "--artifacts", "ROOT"], id="gc"),
    pytest.param(
        "counting: 1 of 2 parts, about 0 s left",
        ["drift-check", "0.csv", "1.csv", "--column", "prediction", "--artifacts", "ROOT"],
        id="drift-check",
    ),
]


@pytest.mark.integration
@pytest.mark.parametrize(("line", "words"), LONG)
def test_each_verb_that_may_take_long_says_so(registry: Registry, tmp_path: Path, line: str, words: list[str]) -> None:
    """Here each ends at once, by what it finds or lacks; the line comes however long it takes."""
    root = registry.artifacts.root
    for name in ("0.csv", "1.csv"):
        pd.DataFrame({"prediction": range(100)}).to_csv(tmp_path / name)
    (root / "models" / registry.candidate / "CHANGES.md").write_text("Not what the manifest lists: prove refuses it.")
    places = {"MODEL": str(root / "models" / registry.candidate), "ROOT": str(root)}
    for place, path in places.items():
        words = [word.replace(place, path) for word in words]
    _, said = in_a_terminal([sys.executable, "-c", IMPATIENT, *words], cwd=tmp_path)
    assert f"\r\033[K{line}" in said
