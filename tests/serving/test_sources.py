"""Rows from a CSV file, compared with the schema of the model."""

import gzip
import re
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model.features import feature_matrix
from pytest_modelgates.model.schema import schema_crc32
from pytest_modelgates.model.sidecar import Feature, Output, Sidecar
from pytest_modelgates.serving.schema import row_errors, row_keys
from pytest_modelgates.serving.sources import read_csv


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


def errors(frame: pd.DataFrame, sidecar: Sidecar) -> list[str | None]:
    """What keeps each row from being scored."""
    return row_errors(frame, feature_matrix(frame, sidecar, source="rows"), sidecar)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Where a test writes its rows."""
    return tmp_path / "live.csv"


def test_rows_come_as_the_schema_has_them_and_their_keys_as_written(csv: Path) -> None:
    csv.write_text("time,asset,x,y\n2026-01-01,A,0.1,2\n2026-01-01T00:00Z,007,-3e-5,4\n")
    table = read_csv(csv, TWO)
    np.testing.assert_array_equal(table.matrix(), np.array([[0.1, 2], [-3e-5, 4]], dtype=np.float32))
    assert table.matrix().dtype == np.float32
    assert row_keys(pd.DataFrame(table.values), TWO) == ["2026-01-01|A", "2026-01-01T00:00Z|007"]
    assert table.rejected == []


def test_a_gz_file_is_read_as_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "live.csv.gz"
    path.write_bytes(gzip.compress(b"time,asset,x,y\n2026-01-01,A,1,2\n"))
    assert read_csv(path, TWO).matrix().tolist() == [[1, 2]]


def test_rows_have_the_same_keys_under_every_pandas() -> None:
    times = pd.Series(pd.to_datetime(["2026-01-01", "2026-01-01 15:30", "2026-01-02"], format="ISO8601"))
    for unit in ("s", "ms", "us", "ns"):
        frame = pd.DataFrame({"time": times.astype(f"datetime64[{unit}]"), "asset": ["A", "é", "007"]})
        assert row_keys(frame, TWO) == ["2026-01-01 00:00:00|A", "2026-01-01 15:30:00|é", "2026-01-02 00:00:00|007"]


def test_rows_without_a_name_have_the_same_keys_under_every_pandas() -> None:
    """One key for every zero, and one for every NaN: dividing 0 by 0 gives one with a sign."""
    nameless = msgspec.structs.replace(
        MIXED, task="regression", metric="r2", horizon=0, time=None, asset=None, trained_until=None
    )
    numbers = np.array([0.0, -0.0, np.nan, -np.nan, 0.1])
    frame = pd.DataFrame({"x": numbers, "n": np.arange(5, dtype=np.int32) // 2, "b": [True, True, False, False, True]})
    zero, nan = "content:cd84545807d9d154", "content:7f6e300fa88715d7"
    assert row_keys(frame, nameless) == [zero, zero, nan, nan, "content:4731537582b243e5"]
    nan = "content:51e3a572bd84b4ff"
    assert row_keys(frame.astype({"x": np.float32}), nameless) == [zero, zero, nan, nan, "content:9615dcec43a6cdac"]


def test_a_name_without_a_time_does_not_tell_one_day_from_the_next() -> None:
    timeless = msgspec.structs.replace(
        MIXED, task="regression", metric="r2", horizon=0, time=None, asset="customer", trained_until=None
    )
    frame = pd.DataFrame({"customer": ["C1", "C1", "C2"], "x": [0.0, 1, 0], "n": [0, 0, 0], "b": [True] * 3})
    first, again, other = row_keys(frame, timeless)
    assert first.startswith("C1|content:")
    assert again.startswith("C1|content:")
    assert first != again
    assert other == first.replace("C1", "C2")


def test_float32_features_are_read_as_they_were_written(csv: Path) -> None:
    rng = np.random.default_rng(1)
    values = (rng.normal(size=5000) * 10.0 ** rng.integers(-30, 30, 5000)).astype(np.float32)
    csv.write_text("time,asset,x,y\n" + "".join(f"2026-01-01,a,{value},1\n" for value in values))
    assert read_csv(csv, TWO).matrix()[:, 0].tolist() == values.tolist()


def test_only_a_nullable_feature_may_be_missing(csv: Path) -> None:
    csv.write_text("time,asset,x,n,b\n2026-01-01,A,,1,True\n2026-01-01,B,1,,False\n")
    table = read_csv(csv, MIXED)
    np.testing.assert_array_equal(table.matrix(), [[np.nan, 1, True]])
    assert list(map(str, table.rejected)) == ["line 3: column 'n' is empty, and it may not be missing"]


def test_an_infinite_value_of_a_frame_is_named_by_its_column() -> None:
    frame = pd.DataFrame({"time": "t", "asset": "A", "x": [np.nan, -np.inf, 1], "n": 1, "b": True})
    assert errors(frame, MIXED) == [None, "schema: x is -inf", None]
    assert errors(frame.rename(columns={"n": "y"}), TWO) == ["schema: x is nan", "schema: x is -inf", None]


@pytest.mark.parametrize("nothing", ["", None, np.nan, pd.NA])
@pytest.mark.parametrize("kind", [object, "category"])
def test_a_row_without_a_key_is_not_scored_whatever_stands_for_nothing(nothing: object, kind: type | str) -> None:
    frame = pd.DataFrame({"time": pd.to_datetime(["2026-01-01"] * 3), "asset": ["A", nothing, 7], "x": 1.0, "y": 1.0})
    assert errors(frame.astype({"asset": kind}), TWO) == [None, "schema: asset is empty", None]


REFUSED = [
    pytest.param("time,asset,y,x\n", "columns time, asset, y, x; the model takes time, asset, x, y", id="order"),
    pytest.param("time,asset,x\n", "columns time, asset, x; the model takes time, asset, x, y", id="too-few"),
    pytest.param(
        "time,asset,x,y,z\n", "columns time, asset, x, y, z; the model takes time, asset, x, y", id="too-many"
    ),
    pytest.param("t,A,1,2\n", "columns t, A, 1, 2; the model takes time, asset, x, y", id="no-header"),
    pytest.param("time;asset;x;y\n", "columns time;asset;x;y; the model takes time, asset, x, y", id="semicolons"),
    pytest.param("x" * 99 + "\n", f"columns {'x' * 40}…; the model takes time, asset, x, y", id="long"),
    pytest.param("time,asset,x,\x1b[1m\n", r"columns time, asset, x, \x1b[1m; the model takes", id="escape"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_a_file_of_another_schema_is_refused(csv: Path, text: str, said: str) -> None:
    csv.write_text(text)
    with pytest.raises(FormatError, match=f"^{re.escape(f'{csv}: {said}')}"):
        read_csv(csv, TWO)
