"""Logs, read from their ends; `test_records.py` tests that appending keeps lines whole."""

import errno
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.audit.head import head_of
from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.lines import BLOCK, append_atomic, lines_from_end


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


@pytest.mark.parametrize("end", [b"", b"torn trial"])
@pytest.mark.parametrize("seed", range(8))
def test_lines_that_hold_something_are_found_wherever_blocks_meet(tmp_path: Path, seed: int, end: bytes) -> None:
    rng, log = np.random.default_rng(seed), tmp_path / "log"
    sizes = rng.integers(0, 3 * BLOCK // 2, 12)
    lines = [
        b"x" * int(size) + (b" trial " if rng.random() < 0.4 else b" other ") + b"y" * int(size // 3) for size in sizes
    ]
    log.write_bytes(b"".join(line + b"\n" for line in lines) + end)
    assert list(lines_from_end(log, holding=b"trial")) == [line for line in lines[::-1] if b"trial" in line]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert list(lines_from_end(tmp_path / "none")) == []


def test_a_pack_waits_for_a_line_that_may_yet_be_taken_back(tmp_path: Path) -> None:
    log, line = tmp_path / "log", b'{"n":1}'
    log.write_bytes(line + b"\n")
    with log.open("ab") as writer, ThreadPoolExecutor() as pool:
        fcntl.flock(writer, fcntl.LOCK_EX)
        writer.write(b'{"n":2}\n')
        writer.flush()
        read = pool.submit(head_of, log)
        with pytest.raises(TimeoutError):
            read.result(0.1)
        writer.truncate(len(line) + 1)
        fcntl.flock(writer, fcntl.LOCK_UN)
        assert read.result(30) == f"1:{sha256(line)}"


def test_an_error_of_writing_names_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        append_atomic(tmp_path / "log", b"1\n")
    assert raised.value.filename == str(tmp_path / "log")
