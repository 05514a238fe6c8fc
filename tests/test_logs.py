"""Logs: what is read from their ends. What appending keeps is tested in `test_records.py`."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.model.logs import BLOCK, lines_from_end


@given(lines=st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9), torn=st.booleans())
def test_lines_are_read_from_the_end_and_a_torn_one_is_none(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bool
) -> None:
    log = tmp_path_factory.getbasetemp() / "lines"
    log.write_bytes(b"".join(line + b"\n" for line in lines) + b"to" * torn)
    assert list(lines_from_end(log)) == lines[::-1]


def test_a_line_longer_than_a_block_is_read_whole(tmp_path: Path) -> None:
    log, line = tmp_path / "log", b"x" * (5 * BLOCK)
    log.write_bytes(b"first\n" + line + b"\n")
    assert list(lines_from_end(log)) == [line, b"first"]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert list(lines_from_end(tmp_path / "none")) == []
