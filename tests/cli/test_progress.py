"""How far a long count is, on one line of a terminal, and nowhere else."""

import io
import sys

import pytest

from pytest_modelgates.cli import progress
from pytest_modelgates.cli.progress import with_progress
from pytest_modelgates.drift.summary import Reference
from pytest_modelgates.monitoring.engines import here

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
