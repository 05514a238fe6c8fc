"""Rows from a CSV file, compared with the schema of the model."""

import gzip
import re
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model.schema import schema_crc32
from pytest_modelgates.model.sidecar import Feature, Output, Sidecar
from pytest_modelgates.serving.sources import CsvRows, read_csv
from pytest_modelgates.storage import tables


def sidecar(*features: tuple[str, str, bool]) -> Sidecar:
    listed = tuple(Feature(name=name, dtype=dtype, group="g", nullable=may) for name, dtype, may in features)
    return Sidecar(
        features=listed,
        schema_crc32=schema_crc32((name, dtype) for name, dtype, _ in features),
        output=Output(name="score", index=0),
        time="time",
        asset="asset",
        target="target",
        horizon=1,
        trained_until=date(2020, 1, 1),
        tried=None,
    )


TWO = sidecar(("x", "float32", False), ("y", "float32", False))
MIXED = sidecar(("x", "float64", True), ("n", "int32", False), ("b", "bool", False))


def read_whole(path: Path, sidecar: Sidecar, *, reorder: bool = False) -> CsvRows:
    """Read a file that is short enough to come in one piece."""
    (rows,) = read_csv(path, sidecar, reorder=reorder)
    return rows


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Where a test writes its rows."""
    return tmp_path / "live.csv"


def test_rows_come_as_the_schema_has_them_and_their_keys_as_written(csv: Path) -> None:
    csv.write_text("time,asset,x,y\n2026-01-01,A,0.1,2\n2026-01-01T00:00Z,007,-3e-5,4\n")
    table = read_whole(csv, TWO)
    np.testing.assert_array_equal(table.rows.matrix, np.array([[0.1, 2], [-3e-5, 4]], dtype=np.float32))
    assert table.rows.matrix.dtype == np.float32
    assert table.rows.keys == ["2026-01-01|A", "2026-01-01T00:00Z|007"]
    assert table.rows.times == [datetime(2026, 1, 1, tzinfo=UTC)] * 2
    assert table.rejected == []


def test_a_gz_file_is_read_as_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "live.csv.gz"
    path.write_bytes(gzip.compress(b"time,asset,x,y\n2026-01-01,A,1,2\n"))
    assert read_whole(path, TWO).rows.matrix.tolist() == [[1, 2]]


def test_float32_features_are_read_as_they_were_written(csv: Path) -> None:
    rng = np.random.default_rng(1)
    values = (rng.normal(size=5000) * 10.0 ** rng.integers(-30, 30, 5000)).astype(np.float32)
    csv.write_text("time,asset,x,y\n" + "".join(f"2026-01-01,a,{value},1\n" for value in values))
    assert read_whole(csv, TWO).rows.matrix[:, 0].tolist() == values.tolist()


def test_only_a_nullable_feature_may_be_missing(csv: Path) -> None:
    csv.write_text("time,asset,x,n,b\n2026-01-01,A,,1,True\n2026-01-01,B,1,,False\n")
    table = read_whole(csv, MIXED)
    np.testing.assert_array_equal(table.rows.matrix, [[np.nan, 1, True]])
    assert list(map(str, table.rejected)) == ["line 3: column 'n' is empty, and it may not be missing"]


def test_batches_hold_every_row_once_and_in_order(csv: Path) -> None:
    csv.write_text("time,asset,x,y\n" + "".join(f"2026-01-{day:02d},A,{day},1\n" for day in range(1, 11)))
    found = list(read_whole(csv, TWO).batches(4))
    assert [len(batch.rows.keys) for batch in found] == [4, 4, 2]
    assert [value for batch in found for value in batch.rows.matrix[:, 0]] == list(range(1, 11))
    assert [line for batch in found for line in batch.lines] == list(range(2, 12))


def test_a_long_file_comes_in_pieces_and_each_line_once(csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BLOCK", 100)
    lines = [f"2026-01-01,A{row},{row},1" if row % 7 else "no row" for row in range(50)]
    csv.write_text("\n".join(["time,asset,x,y", *lines, ""]))
    pieces = list(read_csv(csv, TWO))
    batches = [batch for piece in pieces for batch in piece.batches(2)]
    assert len(pieces) > 5
    assert [value for batch in batches for value in batch.rows.matrix[:, 0]] == [row for row in range(50) if row % 7]
    assert [row.line for batch in batches for row in batch.rejected] == list(range(2, 52, 7))
    assert sorted(line for batch in batches for line in batch.lines) == [row + 2 for row in range(50) if row % 7]


REFUSED = [
    pytest.param(
        "time,asset,y,x\n",
        "columns time, asset, y, x; the model takes time, asset, x, y; put them in that order, or set serving.reorder "
        "in operations.toml",
        id="order",
    ),
    pytest.param("time,asset,x\n", "columns time, asset, x; the model takes time, asset, x, y", id="too-few"),
    pytest.param(
        "time,asset,x,y,z\n", "columns time, asset, x, y, z; the model takes time, asset, x, y", id="too-many"
    ),
    pytest.param("t,A,1,2\n", "columns t, A, 1, 2; the model takes time, asset, x, y", id="no-header"),
    pytest.param("time;asset;x;y\n", "columns time;asset;x;y; the model takes time, asset, x, y", id="semicolons"),
    pytest.param("x" * 99 + "\n", f"columns {'x' * 40}…; the model takes time, asset, x, y", id="long"),
    pytest.param("time,asset,x,\x1b[1m\n", r"columns time, asset, x, \x1b[1m; the model takes", id="escape"),
]


def test_columns_in_another_order_are_read_by_their_names_if_the_setting_says_so(csv: Path) -> None:
    csv.write_text("y,asset,x,time\n2,A,1,2026-01-01\n")
    rows = read_whole(csv, TWO, reorder=True).rows
    assert (rows.keys, rows.matrix.tolist()) == (["2026-01-01|A"], [[1, 2]])
    csv.write_text("y,asset,x,z,time\n2,A,1,0,2026-01-01\n")
    with pytest.raises(FormatError, match=r"columns y, asset, x, z, time; the model takes time, asset, x, y$"):
        read_whole(csv, TWO, reorder=True)


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_a_file_of_another_schema_is_refused(csv: Path, text: str, said: str) -> None:
    csv.write_text(text)
    with pytest.raises(FormatError, match=f"^{re.escape(f'{csv}: {said}')}"):
        read_whole(csv, TWO)
