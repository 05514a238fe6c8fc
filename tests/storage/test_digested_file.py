"""A file that is digested piece by piece; what it gives is tested with the panels that are read by it."""

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_modelgates.storage.digested_file import DigestedFile


def test_one_that_cannot_be_opened_is_let_go_without_another_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[object]()

    def failing(_: int) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "dup", failing)
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with (tmp_path / "file").open("wb") as file, suppress(OSError):
        DigestedFile(file.fileno(), "file")
    gc.collect()  # from Python 3.13 on it says what went wrong then
    assert said == []


def test_one_that_was_read_is_let_go_whatever_the_disk_says_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    with (tmp_path / "file").open("rb") as file:
        digested = DigestedFile(file.fileno(), "file")
    genuine = os.close

    def failing(descriptor: int) -> None:
        genuine(descriptor)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", failing)
        digested.close()
    assert digested.closed
