"""Rows from a CSV file, compared with the schema of the model."""

import re
import warnings
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


def test_rows_come_with_the_schemas_dtypes_and_their_keys_as_written(csv: Path) -> None:
    csv.write_text("time,asset,x,y\n2026-01-01,A,0.1,2\n2026-01-01T00:00Z,007,-3e-5,4\n")
    frame = read_csv(csv, TWO)
    assert frame[["x", "y"]].to_numpy().tolist() == np.array([[0.1, 2], [-3e-5, 4]], dtype=np.float32).tolist()
    assert row_keys(frame, TWO) == ["2026-01-01|A", "2026-01-01T00:00Z|007"]
    assert errors(frame, TWO) == [None, None]


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


def test_float32_features_are_read_as_they_were_written(csv: Path) -> None:
    rng = np.random.default_rng(1)
    values = (rng.normal(size=5000) * 10.0 ** rng.integers(-30, 30, 5000)).astype(np.float32)
    csv.write_text("time,asset,x,y\n" + "".join(f"t,a,{value},1\n" for value in values))
    assert read_csv(csv, TWO)["x"].tolist() == values.tolist()


def test_an_asset_may_be_called_like_nothing(csv: Path) -> None:
    csv.write_text("time,asset,x,y\nt,NA,1,2\nt,null,1,2\nt,nan,1,2\n")
    frame = read_csv(csv, TWO)
    assert row_keys(frame, TWO) == ["t|NA", "t|null", "t|nan"]
    assert errors(frame, TWO) == [None, None, None]


def test_a_byte_order_mark_and_blank_lines_do_no_harm(csv: Path) -> None:
    csv.write_text("time,asset,x,y\n\nt,A,1,2\n\n", "utf-8-sig")
    assert row_keys(read_csv(csv, TWO), TWO) == ["t|A"]


def test_a_row_that_cannot_be_scored_says_why(csv: Path) -> None:
    csv.write_text("time,asset,x,y\nt,A,,1\nt,B,1,inf\nt,C,1,1e300\n,D,1,1\nt,,1,1\nt,E,1\nt,F,NA,1\nt,G,1,1\n")
    assert errors(read_csv(csv, TWO), TWO) == [
        "schema: x is nan",
        "schema: y is inf",
        "schema: y is inf",
        "schema: time is empty",
        "schema: asset is empty",
        "schema: y is nan",
        "schema: x is nan",
        None,
    ]


def test_only_a_nullable_feature_may_be_missing(csv: Path) -> None:
    csv.write_text("time,asset,x,n,b\nt,A,,1,True\nt,B,-inf,2,False\n")
    assert errors(read_csv(csv, MIXED), MIXED) == [None, "schema: x is -inf"]


@pytest.mark.parametrize("nothing", ["", None, np.nan, pd.NA])
@pytest.mark.parametrize("kind", [object, "category"])
def test_a_row_without_a_key_is_not_scored_whatever_stands_for_nothing(nothing: object, kind: type | str) -> None:
    frame = pd.DataFrame({"time": pd.to_datetime(["2026-01-01"] * 3), "asset": ["A", nothing, 7], "x": 1.0, "y": 1.0})
    assert errors(frame.astype({"asset": kind}), TWO) == [None, "schema: asset is empty", None]


REFUSED = [
    pytest.param("time,asset,y,x\nt,A,1,2\n", "columns time, asset, y, x; the model takes time, asset,", id="order"),
    pytest.param("time,asset,x\nt,A,1\n", "columns time, asset, x; the model takes time, asset, x, y", id="too-few"),
    pytest.param("time,asset,x,y,z\nt,A,1,2,3\n", "columns time, asset, x, y, z; the model takes", id="too-many"),
    pytest.param("time,asset,x,x\nt,A,1,2\n", "columns time, asset, x, x.1; the model takes", id="twice"),
    pytest.param("t,A,1,2\n", "columns t, A, 1, 2; the model takes", id="no-header"),
    pytest.param(
        "time,asset,x,y\nt,A,1,2\nt,B,1,two\nt,C,1,three\n",
        ", row 2: column y holds 'two', which is not a float32; fix the row or leave it out",
        id="word",
    ),
    pytest.param("time,asset,x,z\nt,A,one,2\n", "columns time, asset, x, z; the model takes", id="word-elsewhere"),
    pytest.param("time,asset,x,y\nt,A,1,2,3\nt,B,4,5,6\n", "not CSV (Length of header", id="a-field-more-in-every-row"),
    pytest.param("time,asset,x,y\nt,A,1,2\nt,B,4,5,6\n", "not CSV (Error tokenizing", id="a-field-more-in-one-row"),
    pytest.param('time,asset,x,y\nt,"A,1,2\n', "not CSV (Error tokenizing", id="open-quote"),
    pytest.param("", "not CSV (No columns to parse from file)", id="empty"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_a_file_of_another_schema_is_refused(csv: Path, text: str, said: str) -> None:
    csv.write_text(text)
    with warnings.catch_warnings(record=True, action="always") as shown, pytest.raises(FormatError) as refused:
        read_csv(csv, TWO)
    assert str(refused.value).startswith(str(csv))
    assert said in str(refused.value)
    assert shown == []


@pytest.mark.parametrize("cell", ["1.5", "", "3000000000", "99999999999999999999", "x"])
def test_what_is_no_whole_number_of_its_size_is_not_rounded_or_wrapped(csv: Path, cell: str) -> None:
    csv.write_text(f"time,asset,x,n,b\nt,A,1,1,True\nt,B,,{cell},False\nt,C,1,{cell},True\n")
    message = f"{csv}, row 2: column n holds {cell!r}, which is not an int32; fix the row or leave it out"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        read_csv(csv, MIXED)


@pytest.mark.parametrize("cell", ["", "maybe", "2.5"])
def test_what_is_neither_true_nor_false_is_not_taken_for_true(csv: Path, cell: str) -> None:
    csv.write_text(f"time,asset,x,n,b\nt,A,1,2,{cell}\n")
    message = f"{csv}, row 1: column b holds {cell!r}, which is not a bool; fix the row or leave it out"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        read_csv(csv, MIXED)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00\x01", b"\0" * 100, b"PAR1\x15\x04\x15"], ids=["utf-16", "zeros", "parquet"]
)
def test_bytes_that_are_no_text_are_refused(csv: Path, content: bytes) -> None:
    csv.write_bytes(content)
    with pytest.raises(FormatError):
        read_csv(csv, TWO)


def test_a_header_alone_is_no_row(csv: Path) -> None:
    csv.write_text("time,asset,x,y\n")
    assert len(read_csv(csv, TWO)) == 0
