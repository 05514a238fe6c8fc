"""Packing from files with `modelgates pack`."""

import bz2
import gzip
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from sklearn.linear_model import Ridge

from pytest_modelgates.cli import main
from pytest_modelgates.errors import FormatError, PackError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import verify
from pytest_modelgates.model.tables import read_user_table
from pytest_modelgates.packing.kinds import SCOPE
from pytest_modelgates.packing.packing_list import pack_from_files, read_packing_list
from pytest_modelgates.storage.rows import Column
from tests.support.onnx_models import linear
from tests.support.tables import Malformed, malformed_headers, malformed_rows

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

LIST = """
horizon = 5
trained_until = 2019-12-31
changes = "From files."
nullable = ["b"]

[groups]
price = ["a"]
size = ["b"]
"""


def rows() -> pd.DataFrame:
    """Rows whose score is ten times `a` plus `b`."""
    index = pd.MultiIndex.from_product([pd.bdate_range("2020-01-01", periods=30), ["X", "Y"]], names=["time", "asset"])
    frame = index.to_frame(index=False)
    frame["a"], frame["b"] = np.arange(60, dtype=np.float32) % 7 / 8, np.arange(60, dtype=np.float32) % 3
    frame["target"] = frame["ret_next"] = 0.01
    frame["reference"] = 10.0 * frame["a"] + frame["b"]
    return frame


def _onnx(path: Path) -> Path:
    onnx.save(linear([10, 1]), path.with_suffix(".onnx"))
    return path.with_suffix(".onnx")


def _lightgbm(path: Path) -> Path:
    frame = rows()
    model = LGBMRegressor(n_estimators=3, min_child_samples=2, n_jobs=1, verbose=-1)
    model.fit(frame[["a", "b"]], frame["reference"]).booster_.save_model(path.with_suffix(".txt"))
    return path.with_suffix(".txt")


def _joblib(path: Path) -> Path:
    frame = rows()
    joblib.dump(Ridge().fit(frame[["a", "b"]], frame["reference"]), path.with_suffix(".joblib"))
    return path.with_suffix(".joblib")


def _csv(path: Path) -> Path:
    rows().to_csv(path.with_suffix(".csv"), index=False)
    return path.with_suffix(".csv")


def _parquet(path: Path) -> Path:
    rows().to_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def _list(folder: Path, text: str = LIST) -> Path:
    path = folder / "packing_list.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("panel", [_csv, _parquet], ids=["csv", "parquet"])
@pytest.mark.parametrize("model", [_onnx, _lightgbm, _joblib], ids=["onnx", "lightgbm-text", "joblib"])
def test_every_kind_of_model_and_panel_is_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Callable[[Path], Path], panel: Callable[[Path], Path]
) -> None:
    files = [str(model(tmp_path / "model")), f"--panel={panel(tmp_path / 'panel')}", f"--spec={_list(tmp_path)}"]
    assert main(["pack", *files, f"--artifacts={tmp_path / 'artifacts'}"]) == 0
    directory = Path(capsys.readouterr().out.splitlines()[-1])
    assert verify(directory)
    candidate = Candidate(directory)
    assert candidate.parity_claim.ok
    assert candidate.sidecar.horizon == 5
    assert candidate.sidecar.tried is None
    assert [(feature.name, feature.group, feature.nullable) for feature in candidate.sidecar.features] == [
        ("a", "price", False),
        ("b", "size", True),
    ]


def test_a_packing_list_is_read_as_it_is_and_its_defaults_are_those_of_pack(tmp_path: Path) -> None:
    assert read_packing_list(_list(tmp_path)) == {
        "groups": {"price": ("a",), "size": ("b",)},
        "horizon": 5,
        "trained_until": date(2019, 12, 31),
        "changes": "From files.",
        "nullable": ["b"],
    }
    packed = Candidate(
        pack_from_files(_onnx(tmp_path / "m"), _csv(tmp_path / "p"), _list(tmp_path), artifacts=tmp_path)
    )
    side, lineage = packed.sidecar, packed.manifest.lineage
    assert (side.task, side.metric, side.tried, side.volume) == ("signal", None, None, None)
    assert not side.target_neutralised
    assert (side.time, side.asset, side.target) == ("time", "asset", "target")
    assert (side.output.name, side.output.index, lineage.code, lineage.data) == ("score", 0, None, None)


def test_a_neutralised_target_is_declared_in_the_packing_list(tmp_path: Path) -> None:
    spec = _list(tmp_path, f"target_neutralised = true\n{LIST}")
    packed = Candidate(pack_from_files(_onnx(tmp_path / "m"), _csv(tmp_path / "p"), spec, artifacts=tmp_path))
    assert packed.sidecar.target_neutralised


def test_a_warning_of_packing_is_a_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = rows()
    model = tmp_path / "model.joblib"
    joblib.dump(Ridge().fit(frame[["a", "b"]].astype(float), frame["reference"].astype(float) + 1e4), model)
    files = [str(model), f"--panel={_csv(tmp_path / 'panel')}", f"--spec={_list(tmp_path)}"]
    assert main(["pack", *files, f"--artifacts={tmp_path / 'artifacts'}"]) == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"modelgates: warning: the ONNX model differs from the estimator by .* float32: .*\n", said.err)
    assert verify(Path(said.out.splitlines()[-1]))


BAD_LISTS = [
    pytest.param("horizon = ", "not TOML in UTF-8 (Invalid value *)", id="no-toml"),
    pytest.param("a = " + "[" * 100_000, "not TOML in UTF-8 (*)", id="nested-too-deep"),
    pytest.param(LIST + "[groups]", "not TOML in UTF-8 (Cannot declare ('groups',) twice *)", id="table-twice"),
    pytest.param("colour = 1" + LIST, "Object contains unknown field `colour`", id="unknown-key"),
    pytest.param(LIST.replace("5", '"5"'), "Expected `int`, got `str` - at `$.horizon`", id="text-for-number"),
    pytest.param(LIST.replace("5", "nan"), "Expected `int`, got `float` - at `$.horizon`", id="nan"),
    pytest.param(LIST.replace("5", "-5"), "Expected `int` >= 0 - at `$.horizon`", id="horizon-behind"),
    pytest.param(
        LIST.replace("12-31", "12-31T00:00:00"),
        "Expected `date | null`, got `datetime` - at `$.trained_until`",
        id="moment",
    ),
    pytest.param(
        LIST.replace('changes = "From files."', ""), "Object missing required field `changes`", id="missing-key"
    ),
    pytest.param(LIST.partition("[groups]")[0], "Object missing required field `groups`", id="no-groups"),
    pytest.param('"a\\nb" = 1' + LIST, "Object contains unknown field `a\\nb`", id="unknown-key-of-two-lines"),
    pytest.param(
        LIST.replace('["b"]\n', '["a"]\n'), "groups list feature 'a' twice; keep one", id="feature-in-two-groups"
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD_LISTS)
def test_a_packing_list_that_is_not_strict_is_refused_with_file_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    path = _list(tmp_path, text)
    with pytest.raises(FormatError, match=f"^{re.escape(f'{path}: {message}')}$".replace(r"\*", ".*")):
        read_packing_list(path)


def test_a_packing_list_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "packing_list.toml"
    path.write_bytes(LIST.encode("utf-16"))
    with pytest.raises(FormatError, match=r"not TOML in UTF-8 \('utf-8' codec can't decode"):
        read_packing_list(path)


def _feed_model(folder: Path) -> Path:
    onnx.save(linear([10, 1]), folder / "feed.onnx")
    return folder / "feed.onnx"


def _feed_list(folder: Path) -> Path:
    return _list(folder, LIST.replace('"a"', '"momentum"').replace('"b"', '"value"'))


def _written(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.with_name(name).write_bytes(content)
        return path.with_name(name)

    return write


BAD_FILES = [
    pytest.param(
        {"model": _written("model.pkl", b"")},
        "*/model.pkl: expected an .onnx file, a LightGBM .txt file or a .joblib file",
        id="pickle",
    ),
    pytest.param({"model": lambda path: path}, "*/model: no such file", id="no-model"),
    pytest.param(
        {"model": _written("model.onnx", b"nonsense")},
        "*/model.onnx: not an ONNX model that can be read (*)",
        id="broken-onnx",
    ),
    pytest.param(
        {"model": _written("model.txt", b"nonsense")}, "*/model.txt: cannot be loaded (*)", id="broken-lightgbm"
    ),
    pytest.param(
        {"model": _written("model.joblib", b"nonsense")}, "*/model.joblib: cannot be loaded (*)", id="broken-joblib"
    ),
    pytest.param(
        {"model": _written("model.joblib", b"cno_such_module\nModel\n.")},
        "*/model.joblib: cannot be loaded (*)",
        id="joblib-of-a-missing-library",
    ),
    pytest.param({"panel": lambda path: path}, "*/panel: no such file", id="no-panel"),
    pytest.param(
        {"panel": _written("panel.parquet", b"PAR1 nonsense")},
        "*/panel.parquet: cannot be read as Parquet (*)",
        id="broken-parquet",
    ),
    *(
        pytest.param(
            {"panel": _written(name, content)},
            f"*/{name}: neither Parquet by its content nor CSV by its name; give .parquet, .csv or .csv.gz",
            id=f"panel-{name}",
        )
        for name, content in (
            ("panel.tsv", b"time\tasset\n2020-01-01\tA\n"),
            ("panel.csv.bz2", bz2.compress(b"time,asset\n" * 99)),
            ("panel.csv.gz.gz", gzip.compress(gzip.compress(b"time,asset\n"))),
            ("panel.parquet", b""),
        )
    ),
    pytest.param(
        {"panel": _written("panel.csv", b"")},
        "*/panel.csv: no header; the first line names the columns",
        id="empty-csv",
    ),
    pytest.param(
        {"panel": _written("panel.csv", b"a\xff,b\n1,2\n")},
        "*/panel.csv, line 1: not the header of a CSV file, plain or .gz (byte 2 is not UTF-8; *)",
        id="csv-in-latin-1",
    ),
    pytest.param(
        {"panel": _written("panel.csv", b"a,b\n1,2\n")},
        "the panel has no column 'time', 'asset', *; it holds a, b*",
        id="csv-of-other-columns",
    ),
    pytest.param(
        {"panel": _written("panel.csv", b"time,asset,a,b,target,ret_next,reference\n")},
        "the panel has no rows; give out-of-sample rows to measure the model on",
        id="csv-without-rows",
    ),
    pytest.param(
        {"panel": _written("panel.csv.gz", gzip.compress(b"time,asset\n" * 99)[:-9])},
        "*/panel.csv.gz: not a whole .gz file (Compressed file ended before *); write or fetch it again",
        id="broken-gz",
    ),
]


@pytest.mark.parametrize(("files", "message"), BAD_FILES)
def test_files_that_cannot_be_packed_are_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, Any], message: str
) -> None:
    model = files.get("model", _onnx)(tmp_path / "model")
    panel = files.get("panel", _csv)(tmp_path / "panel")
    pattern = f"^{re.escape(message)}$".replace(r"\*", ".*")
    with pytest.raises((PackError, FormatError), match=pattern):
        pack_from_files(model, panel, _list(tmp_path), artifacts=tmp_path / "artifacts")
    capsys.readouterr()
    assert main(["pack", str(model), f"--panel={panel}", f"--spec={tmp_path / 'packing_list.toml'}"]) == 1
    said = capsys.readouterr().err
    assert re.search(f"^modelgates: {pattern[1:]}", said, re.MULTILINE)
    assert said.endswith(f"\n{SCOPE}\n")
    assert said.count("\n") <= 10
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("case", malformed_rows(panel=True))
def test_a_panel_with_a_line_that_is_no_row_is_refused(tmp_path: Path, case: Malformed) -> None:
    panel = tmp_path / "panel.csv"
    panel.write_bytes(case.content)
    with pytest.raises(FormatError, match=f"^{re.escape(f'{panel}, line 3: {case.says}')}$"):
        pack_from_files(_feed_model(tmp_path), panel, _feed_list(tmp_path), artifacts=tmp_path / "artifacts")
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(("content", "says"), malformed_headers())
def test_a_panel_without_a_header_that_can_be_read_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    panel = tmp_path / "panel.csv"
    panel.write_bytes(content)
    with pytest.raises(FormatError, match=f"^{re.escape(f'{panel}{says}')}$"):
        pack_from_files(_feed_model(tmp_path), panel, _feed_list(tmp_path), artifacts=tmp_path / "artifacts")


def test_a_panel_of_csv_keeps_its_names_and_means_what_its_frame_means(tmp_path: Path) -> None:
    """Names that a reader with a will of its own would turn into numbers or into nothing."""
    names = ["0001", "0700", "1E5", "10E4", "NA", "null", "None", "nan", "12.50", "12.5"]
    frame = pd.DataFrame({"time": "2020-01-01", "asset": names, "a": np.arange(10) / 8, "b": np.arange(10) % 3 + 0.5})
    frame["target"] = frame["ret_next"] = 0.01
    frame["reference"] = 10.0 * frame["a"] + frame["b"]
    frame["note"] = ""
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    directory = pack_from_files(_onnx(tmp_path / "m"), tmp_path / "p.csv.gz", _list(tmp_path), artifacts=tmp_path)
    packed = Candidate(directory).panel.frame
    assert packed["asset"].tolist() == sorted(names)
    expected = frame.sort_values("asset")
    for name in ("a", "b", "target", "ret_next", "reference"):
        np.testing.assert_array_equal(packed[name], expected[name])


def test_columns_of_whole_numbers_reach_the_native_model_as_they_are(tmp_path: Path) -> None:
    """As from a frame; in a panel of text no dtype says so."""
    pd.DataFrame({"time": "2020-01-01", "asset": ["X", "Y"], "a": [1, 2], "b": [0.5, 2]}).to_csv(
        tmp_path / "p.csv", index=False
    )
    columns = [Column("time", "time"), Column("a", "float32"), Column("b", "float32")]
    frame = read_user_table(tmp_path / "p.csv", columns)
    assert (frame["a"].dtype, frame["b"].dtype) == (np.int64, np.float64)
    assert frame["asset"].tolist() == ["X", "Y"]


def test_a_packing_list_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(_onnx(tmp_path / "model")), f"--panel={_csv(tmp_path / 'panel')}", f"--spec={tmp_path / 'none.toml'}"]
    assert main(["pack", *files]) == 1
    assert capsys.readouterr().err == f"modelgates: {tmp_path / 'none.toml'}: no such file\n{SCOPE}\n"
