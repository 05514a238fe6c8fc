"""Parquet is bounded by its footer, before anything of it is decoded."""

import errno
import io
import re
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_modelgates.errors import FormatError, UnreadableError
from pytest_modelgates.storage import parquet
from pytest_modelgates.storage.digested_file import DigestedFile
from pytest_modelgates.storage.parquet import ParquetRows, read_frame, read_parquet


def written(**columns: object) -> bytes:
    """Write columns as Parquet."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=50)
    return sink.getvalue()


TWO = {"a": np.arange(100.0), "a.b": np.zeros(100)}


def too_large(size: int, most: int) -> str:
    """Give the pattern of the refusal."""
    return re.escape(
        f"it: {size} bytes when decoded, expected at most {most}, a quarter of the memory that may be used; "
        "give fewer rows, or allow more: [hermetic] memory_gib in operations.toml for a hermetic run, else ulimit -d"
    )


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if anything is decoded."""
    monkeypatch.delattr(pq.ParquetFile, "read")


def test_columns_are_read_all_or_by_name() -> None:
    content = written(**TWO)
    assert read_parquet(content, "it").column_names == ["a", "a.b"]
    assert read_frame(content, "it", columns=["a"])["a"].tolist() == list(range(100))


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize(("columns", "size"), [(None, 1600), (["a.b"], 800), (["a"], 1600)])
def test_more_values_than_fit_are_refused_by_the_footer(
    monkeypatch: pytest.MonkeyPatch, columns: list[str] | None, size: int
) -> None:
    """What is called a.b may be a part of a."""
    monkeypatch.setattr(parquet, "_memory", lambda: 4 * 799)
    for reader in (read_parquet, read_frame):
        with pytest.raises(FormatError, match=f"^{too_large(size, 799)}$"):
            reader(written(**TWO), "it", columns=columns)


@pytest.mark.usefixtures("no_decoding")
def test_values_in_lists_count_each(monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(a=pa.array([[0.0] * 100] * 100))
    monkeypatch.setattr(parquet, "_memory", lambda: 20_000)
    with pytest.raises(FormatError, match=too_large(80_000, 5_000)):
        read_parquet(content, "it")


@pytest.mark.integration
def test_a_process_of_limited_memory_reads_a_quarter_of_it(tmp_path: Path) -> None:
    path, limit = tmp_path / "rows.parquet", 2**32
    path.write_bytes(written(a=np.zeros(100)))
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({limit}, {limit})); "
        "from pytest_modelgates.storage import parquet; print(parquet._memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{limit}\n"
    assert parquet._memory() == 16 * 2**30


def test_what_pandas_cannot_hold_is_refused_in_a_line() -> None:
    content = written(a=pa.array([2**31 - 1], pa.date32()))
    with pytest.raises(FormatError, match=r"^it: cannot be read as Parquet \(.+\)$"):
        read_frame(content, "it")


def test_columns_and_rows_come_one_part_at_a_time() -> None:
    rows = ParquetRows(written(**TWO), "it")
    assert (len(rows), list(rows), "a" in rows, "b" in rows) == (100, ["a", "a.b"], True, False)
    assert rows["a"].tolist() == list(range(100))
    pieces = list(rows.pieces(["a"]))
    assert [list(piece) for piece in pieces] == [["a"], ["a"]]
    assert np.concatenate([piece["a"] for piece in pieces]).tolist() == list(range(100))


def test_more_rows_than_statistics_have_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_memory", lambda: 999)
    rows = ParquetRows(written(**TWO), "it")
    monkeypatch.setattr(parquet, "free_bytes", lambda: 1999)
    rows.require_room(9, 9)
    message = (
        "it: 100 rows, expected at most 99: each takes some 10 bytes of the memory that may be used, however few its "
        "columns; give fewer rows, or allow more: [hermetic] memory_gib in operations.toml for a hermetic run, else "
        "ulimit -d"
    )
    with pytest.raises(UnreadableError, match=f"^{re.escape(message)}$"):
        rows.require_room(10, 9)
    message = (
        f"it: 100 rows, expected at most 99: each takes some 10 bytes of {gettempdir()}, of which half of what is free "
        "may be used; give fewer rows, or set TMPDIR to a folder of a larger disk"
    )
    with pytest.raises(UnreadableError, match=f"^{re.escape(message)}$"):
        rows.require_room(9, 10)


KINDS = {
    "whole": pa.array([2**53 + 1] * 99 + [None]),
    "filled": pa.array([2**53 + 1] * 100),
    "truth": pa.array([True] * 99 + [None]),
    "real": pa.array([0.5] * 99 + [None], pa.float32()),
    "text": pa.array(["a"] * 99 + [None]),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_column_has_one_dtype_whichever_rows_lack_a_value(name: str) -> None:
    """Of whole numbers pandas makes others where one is missing, so a part would differ from the rest."""
    content = written(**{name: KINDS[name]})
    whole, rows = read_frame(content, "it")[name], ParquetRows(content, "it")
    pieces = [piece[name] for piece in rows.pieces([name])]
    assert {piece.dtype for piece in pieces} == {whole.dtype} == {rows.dtypes[name]} == {rows[name].dtype}
    assert [value for piece in pieces for value in piece.tolist()][:99] == whole.tolist()[:99]
    pd.testing.assert_series_equal(rows[name], whole)


@pytest.mark.usefixtures("no_decoding")
def test_what_is_decoded_at_once_is_bounded_and_not_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group of two columns takes 800 bytes, and the whole 1,600."""
    content = written(a=TWO["a"], b=TWO["a"])
    monkeypatch.setattr(parquet, "_memory", lambda: 4 * 800)
    assert len(list(ParquetRows(content, "it").pieces(["a", "b"]))) > 0
    with pytest.raises(UnreadableError, match=f"^{too_large(1600, 800)}$"):
        ParquetRows(content, "it").read()
    monkeypatch.setattr(parquet, "_memory", lambda: 4 * 799)
    message = (
        "it: row group 0 has 800 bytes when decoded, expected at most 799, a quarter of the memory that may be used; "
        "write smaller row groups, such as with row_group_size=100_000, or allow more: [hermetic] memory_gib in "
        "operations.toml for a hermetic run, else ulimit -d"
    )
    with pytest.raises(UnreadableError, match=f"^{re.escape(message)}$"):
        next(ParquetRows(content, "it").pieces(["a", "b"]))


def test_a_disk_that_fails_is_not_taken_for_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"a": [1.0, 2.0]}), tmp_path / "a.parquet")
    with (tmp_path / "a.parquet").open("rb") as file:
        opened = DigestedFile(file.fileno(), "a.parquet")

    def failing(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pytest_modelgates.storage.digested_file.os.pread", failing)
    with pytest.raises(OSError, match=r"^\[Errno 5\] Input/output error: 'a\.parquet'$"):
        read_frame(opened, "a.parquet")
