"""Serving and shadow: what is scored, what is logged, what is refused."""

import argparse
import json
import os
import re
import shutil
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from numpy.typing import NDArray

from pytest_modelgates import pack
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli.feeds import feed_of
from pytest_modelgates.errors import FormatError, IntegrityError, KilledError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.serving.adapter import Adapter, Settings
from pytest_modelgates.serving.scorer import Rows, named_rows
from pytest_modelgates.serving.settings import settings_of
from pytest_modelgates.storage import tables
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import logged
from tests.support.onnx_models import linear
from tests.support.panels import FEATURES, invented_panel, pack_ridge
from tests.support.tables import Malformed, malformed_headers, malformed_rows


def run(adapter: Adapter, csv: Path, **options: int) -> list[Prediction]:
    """Score a file to its end."""
    with adapter:
        return list(adapter.run_csv(csv, **options))


COLUMNS = ["time", "asset", *FEATURES]
DAY = "2026-01-02"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A CSV file of a hundred live rows."""
    path = tmp_path / "live.csv"
    invented_panel(days=5, seed=9)[COLUMNS].to_csv(path, index=False)
    return path


@pytest.mark.parametrize(("arm", "place"), [("live", "predictions.jsonl"), ("shadow", "shadow/predictions.jsonl")])
def test_every_row_is_scored_and_logged_under_its_arm(good_model: Path, rows: Path, arm: str, place: str) -> None:
    records = run(Adapter(good_model / "model.onnx", arm=arm), rows)
    artifacts = Artifacts.of(good_model)
    assert logged(artifacts, arm) == records
    assert (artifacts.root / place).resolve() == parts(artifacts, arm)[0].path
    frame = pd.read_csv(rows)
    np.testing.assert_allclose([record.prediction for record in records], frame["momentum"] * 0.01, atol=1e-7)
    assert [record.row_key for record in records] == [f"{row.time}|{row.asset}" for row in frame.itertuples()]
    assert [record.row_time for record in records] == pd.to_datetime(frame["time"], utc=True).tolist()
    assert {(record.model_id, record.digest, record.arm, record.error) for record in records} == {
        (good_model.name, tree_digest(good_model), arm, None)
    }
    assert all(record.latency_ms > 0 for record in records)


def test_batches_of_any_size_score_alike(good_model: Path, rows: Path) -> None:
    adapter = Adapter(good_model / "model.onnx", arm="shadow")
    scores = [[record.prediction for record in run(adapter, rows, batch_size=size)] for size in (1, 7, 32, 1000)]
    assert scores[0] == scores[1] == scores[2] == scores[3]


def test_the_model_gets_the_matrix_that_the_gates_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = invented_panel(days=5)
    panel["momentum"] = panel["momentum"] > 0
    panel["reference"] = panel["momentum"] * 10.0 + panel["value"]
    model = linear([10, 1], dtypes={"momentum": "bool", "value": "float32"}).SerializeToString()
    options = {"horizon": 1, "trained_until": date(2019, 12, 31), "changes": "Two dtypes."}
    candidate = Candidate(pack(model, panel, features=FEATURES, artifacts=tmp_path / "artifacts", **options))
    given, predict = [], OnnxModel.predict

    def watched(self: OnnxModel, rows: NDArray[np.generic]) -> NDArray[np.float64]:
        given.append(rows)
        return predict(self, rows)

    monkeypatch.setattr(OnnxModel, "predict", watched)
    adapter = Adapter(candidate.directory / "model.onnx", arm="shadow")
    frame = candidate.panel.frame
    names = {name: frame[name].astype(str).tolist() for name in candidate.sidecar.keys}
    with adapter:
        records = adapter.score(named_rows(names, candidate.panel.features, candidate.sidecar))
    (rows,) = given
    assert rows.dtype == candidate.panel.features.dtype == np.float32
    np.testing.assert_array_equal(rows, candidate.panel.features)
    assert [record.prediction for record in records] == candidate.scores.tolist()


def test_a_link_to_the_model_is_followed_once(good_model: Path, rows: Path) -> None:
    models = good_model.parent
    (models / "latest").symlink_to(good_model.name)
    (models / "latest.onnx").symlink_to("latest/model.onnx")
    adapter = Adapter(models / "latest.onnx", arm="live")
    (models / "latest").unlink()
    assert adapter.model_id == good_model.name
    assert len(run(adapter, rows)) == 100


def test_a_row_with_nan_leaves_an_error_while_others_score(good_model: Path, tmp_path: Path) -> None:
    csv = tmp_path / "live.csv"
    csv.write_text(f"time,asset,momentum,value\n{DAY},A,0.5,1\n{DAY},B,,1\n{DAY},C,0.25,1\n")
    records = run(Adapter(good_model / "model.onnx", arm="shadow"), csv)
    why = "schema: line 3: column 'momentum' is empty, and it may not be missing"
    assert [record.error for record in records] == [None, why, None]
    assert [record.row_key for record in records] == [f"{DAY}|A", f"{DAY}|B", f"{DAY}|C"]
    assert [record.prediction for record in records] == [
        pytest.approx(0.005, abs=1e-7),
        None,
        pytest.approx(0.0025, abs=1e-7),
    ]
    assert logged(Artifacts.of(good_model), "shadow") == records


def test_a_batch_without_a_sound_row_is_logged(good_model: Path, tmp_path: Path) -> None:
    csv = tmp_path / "live.csv"
    csv.write_text(f"time,asset,momentum,value\n{DAY},A,,\n{DAY},B,,1\n")
    records = run(Adapter(good_model / "model.onnx", arm="shadow"), csv)
    assert [record.prediction for record in records] == [None, None]
    assert None not in [record.error for record in records]
    assert logged(Artifacts.of(good_model), "shadow") == records


@pytest.mark.parametrize("size", [1, 2, 32])
def test_every_line_leaves_a_record_in_the_order_of_the_file(good_model: Path, tmp_path: Path, size: int) -> None:
    csv, bad = tmp_path / "live.csv", {3, 4, 8}
    lines = [f"{DAY},A{line},{'x' if line in bad else line},1" for line in range(2, 9)]
    csv.write_text("\n".join(["time,asset,momentum,value", *lines]))
    records = run(Adapter(good_model / "model.onnx", arm="shadow"), csv, batch_size=size)
    assert [record.row_key for record in records] == [f"{DAY}|A{line}" for line in range(2, 9)]
    assert [record.error is not None for record in records] == [line in bad for line in range(2, 9)]
    assert logged(Artifacts.of(good_model), "shadow") == records


@pytest.mark.parametrize("case", malformed_rows())
def test_a_line_that_is_no_row_is_refused_and_the_others_are_scored(
    good_model: Path, tmp_path: Path, case: Malformed
) -> None:
    csv = tmp_path / "live.csv"
    csv.write_bytes(case.content)
    records = run(Adapter(good_model / "model.onnx", arm="shadow"), csv)
    assert [record.error for record in records] == [None, f"schema: line 3: {case.says}", None][: case.sound + 1]
    assert [record.prediction for record in records if record.error is None] == [
        pytest.approx(0.001, abs=1e-7)
    ] * case.sound


@pytest.mark.parametrize(("content", "says"), malformed_headers())
def test_a_file_that_cannot_be_read_leaves_one_record(
    good_model: Path, tmp_path: Path, content: bytes, says: str
) -> None:
    csv = tmp_path / "live.csv"
    csv.write_bytes(content)
    adapter = Adapter(good_model / "model.onnx", arm="shadow")
    with pytest.raises(FormatError, match=f"^{re.escape(f'{csv}{says}')}$"):
        run(adapter, csv)
    (record,) = logged(Artifacts.of(good_model), "shadow")
    assert (record.row_key, record.prediction, record.error) == ("*", None, f"schema: {csv}{says}")


def test_a_row_without_a_name_that_cannot_be_read_goes_by_none(tmp_path: Path) -> None:
    panel = invented_panel(days=5)[["momentum", "target"]].assign(baseline=0.0)
    panel["reference"] = panel["momentum"].astype(float)
    options = {"features": {"momentum": "price"}, "task": "regression", "metric": "r2", "changes": "No names."}
    model = linear([1]).SerializeToString()
    directory = pack(model, panel, nullable=[], artifacts=tmp_path / "artifacts", **options)
    csv = tmp_path / "live.csv"
    csv.write_text("momentum\n0.5\n\nx\n0.5\n")
    first, blank, word, last = run(Adapter(directory / "model.onnx", arm="shadow"), csv)
    assert (first.prediction, last.prediction, first.row_key) == (0.5, 0.5, last.row_key)
    assert (blank.row_key, blank.error) == ("*", "schema: line 3: a blank line, expected 1 field; delete it")
    assert (word.row_key, word.error) == ("*", "schema: line 4: column 'momentum' holds 'x', expected a number")


def test_a_file_of_another_schema_leaves_one_record_that_says_so(good_model: Path, tmp_path: Path) -> None:
    csv = tmp_path / "live.csv"
    csv.write_text("time,asset,value,momentum\nt,A,1,2\n")
    with pytest.raises(FormatError, match="the model takes time, asset, momentum, value"):
        run(Adapter(good_model / "model.onnx", arm="shadow"), csv)
    (record,) = logged(Artifacts.of(good_model), "shadow")
    assert (record.row_key, record.prediction) == ("*", None)
    assert record.error == (
        f"schema: {csv}: columns time, asset, value, momentum; the model takes time, asset, momentum, value; "
        "put them in that order, or set serving.reorder in operations.toml"
    )


def test_a_mistyped_file_name_is_no_schema_reject(good_model: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"gone\.csv: no such file"):
        run(Adapter(good_model / "model.onnx", arm="shadow"), tmp_path / "gone.csv")
    assert parts(Artifacts.of(good_model), "shadow") == []


def test_the_kill_switch_is_read_before_every_batch(
    good_model: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVE_KILL", "1")
    adapter = Adapter(good_model / "model.onnx", arm="live")
    with pytest.raises(KilledError):
        run(adapter, rows)
    with pytest.raises(KilledError):
        adapter.score(Rows(["t|A"], np.zeros((1, 2), dtype=np.float32), [None]))
    rows.write_text("another,schema\n")
    with pytest.raises(KilledError):
        run(adapter, rows)
    assert parts(Artifacts.of(good_model), "live") == []


def test_a_changed_file_is_not_served(good_model: Path) -> None:
    with (good_model / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match=r"model\.onnx: \d+ bytes, the manifest says \d+"):
        Adapter(good_model / "model.onnx", arm="live")


def test_only_the_model_of_a_model_directory_is_served(good_model: Path) -> None:
    advice = "give artifacts/models/<id>/model.onnx, or artifacts/models/latest.onnx once a model is live"
    for nowhere in (good_model.with_name("latest.onnx"), good_model):
        with pytest.raises(FormatError, match=f"^{re.escape(f'{nowhere}: no model there; {advice}')}$"):
            Adapter(nowhere, arm="live")
    with pytest.raises(FormatError, match=r"not the model\.onnx of a model directory; pack the model first"):
        Adapter(good_model / "sidecar.json", arm="live")


def test_a_score_that_is_no_number_is_an_error_not_a_gap(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Log", ["x"], ["score"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 1])],
        [onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, [None, 1])],
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    panel = invented_panel(days=30)
    panel["momentum"] = panel["momentum"].abs() + 1
    panel["reference"] = np.log(panel["momentum"].to_numpy(np.float32)).astype(np.float64)
    directory = pack(
        proto.SerializeToString(),
        panel,
        features={"momentum": "price"},
        horizon=1,
        trained_until=pd.Timestamp("2019-12-31").date(),
        changes="a logarithm",
        artifacts=tmp_path / "artifacts",
    )
    csv = tmp_path / "live.csv"
    csv.write_text(f"time,asset,momentum\n{DAY},A,1\n{DAY},B,-1\n{DAY},C,0\n")
    records = run(Adapter(directory / "model.onnx", arm="shadow"), csv)
    assert [record.prediction for record in records] == [0.0, None, None]
    assert [record.error for record in records] == [None, "model: the score is nan", "model: the score is -inf"]


def test_two_models_share_a_log_and_stay_apart(good_model: Path, rows: Path) -> None:
    other = pack_ridge(Artifacts.of(good_model).root, invented_panel(seed=3))
    for directory in (good_model, other):
        run(Adapter(directory / "model.onnx", arm="shadow"), rows)
    artifacts = Artifacts.of(good_model)
    assert len(logged(artifacts, "shadow")) == 200
    assert {record.model_id for record in logged(artifacts, "shadow", digest=tree_digest(other))} == {other.name}


def test_a_line_of_the_log_has_the_keys_of_the_format(good_model: Path, rows: Path) -> None:
    run(Adapter(good_model / "model.onnx", arm="live"), rows)
    (part,) = parts(Artifacts.of(good_model), "live")
    line = json.loads(part.path.read_text().splitlines()[0])
    assert list(line) == [
        "time",
        "row_key",
        "model_id",
        "digest",
        "schema_crc32",
        "prediction",
        "latency_ms",
        "arm",
        "row_time",
        "format",
    ]


def test_a_model_cleaned_up_on_the_way_to_it_is_looked_for_again(
    good_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = good_model.parent
    live = pack_ridge(models.parent, invented_panel(seed=3))
    (models / "latest").symlink_to(good_model.name)
    (models / "latest.onnx").symlink_to("latest/model.onnx")
    asked, realpath = [], os.path.realpath

    def promote_and_clean_up(path: Path, **options: bool) -> str:
        asked.append(path)
        found = realpath(path, **options)
        if len(asked) == 1:
            (models / "next").symlink_to(live.name)
            (models / "next").rename(models / "latest")
            shutil.rmtree(good_model)
        return found

    monkeypatch.setattr(os.path, "realpath", promote_and_clean_up)
    assert Adapter(models / "latest.onnx", arm="live").model_id == live.name


def settings(good_model: Path, text: str) -> None:
    """Write the registry's operations.toml."""
    path = Artifacts.of(good_model).root.parent / "registry" / "operations.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"format = 1\n[log]\n{text}\n")


def test_a_share_of_the_rows_keeps_its_features_the_same_in_every_arm(good_model: Path, rows: Path) -> None:
    settings(good_model, "features = 0.3")
    live, shadow = (
        run(Adapter(good_model / "model.onnx", arm=arm, settings=settings_of), rows) for arm in ("live", "shadow")
    )
    assert [record.features for record in live] == [record.features for record in shadow]
    kept = {record.row_key: record.features for record in live if record.features}
    assert 15 < len(kept) < 45
    frame = pd.read_csv(rows, dtype={"momentum": np.float32, "value": np.float32})
    for row in frame.itertuples():
        if (key := f"{row.time}|{row.asset}") in kept:
            assert kept[key] == [row.momentum, row.value]


def test_a_missing_feature_is_kept_as_none(good_model: Path) -> None:
    settings(good_model, "features = 1")
    with Adapter(good_model / "model.onnx", arm="live", settings=settings_of) as adapter:
        (record,) = adapter.score(Rows(["t|A"], np.array([[np.nan, 2]], dtype=np.float32), [None]))
    assert (record.features, record.error) == ([None, 2.0], "schema: momentum is nan")
    assert logged(Artifacts.of(good_model), "live") == [record]


def test_rows_above_the_place_where_a_file_is_given_up_are_scored(
    good_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_REJECTED", 9)
    monkeypatch.setattr(tables, "_BLOCK", 100)
    csv = tmp_path / "live.csv"
    csv.write_text(f"time,asset,momentum,value\n{f'{DAY},A,0.5,1{chr(10)}' * 8}" + "no row\n" * 100)
    with Adapter(good_model / "model.onnx", arm="live") as adapter, pytest.raises(FormatError, match="are not rows"):
        list(adapter.run_csv(csv))
    *rows, last = logged(Artifacts.of(good_model), "live")
    assert sum(row.prediction is not None for row in rows) == 8
    assert (last.row_key, last.prediction) == ("*", None)
    assert (last.error or "").startswith(f"schema: {csv}: ")


def test_columns_may_have_another_order_by_setting(good_model: Path, tmp_path: Path) -> None:
    settings(good_model, "[serving]\nreorder = true")
    csv = tmp_path / "live.csv"
    csv.write_text(f"value,asset,momentum,time\n1,A,0.5,{DAY}\n")
    with Adapter(good_model / "model.onnx", arm="live", settings=settings_of) as adapter:
        (record,) = adapter.run_csv(csv)
        (score,) = adapter.tried(np.array([[0.5, 1]], dtype=np.float32))
        assert (record.row_key, record.prediction, record.error) == (f"{DAY}|A", score, None)
        feed, read = feed_of(argparse.Namespace(feed=None, csv=csv), "live", adapter)  # as --follow makes it
        with closing(feed):
            feed.open()
            assert read(feed.fetch(1, 0), adapter.sidecar).rows.matrix.tolist() == [[0.5, 1]]


def test_keys_are_hidden_on_request_and_still_pair(good_model: Path, tmp_path: Path) -> None:
    settings(good_model, "hash_keys = true")
    csv = tmp_path / "live.csv"
    csv.write_text(f"time,asset,momentum,value\n{DAY},A,0.5,1\n{DAY},A,x,1\n{DAY},B,1,1\n")
    first, second = (
        run(Adapter(good_model / "model.onnx", arm=arm, settings=settings_of), csv) for arm in ("live", "shadow")
    )
    assert [record.row_key for record in first] == [record.row_key for record in second]
    a, bad, b = (record.row_key for record in first)
    assert a == bad != b
    assert re.fullmatch(r"hashed:[0-9a-f]{32}", a)
    assert str(first[0].day) == DAY
    assert b"|A" not in parts(Artifacts.of(good_model), "live")[0].path.read_bytes()


def test_a_part_ends_at_the_size_that_the_settings_say(good_model: Path, rows: Path) -> None:
    settings(good_model, "part_mb = 0.01")
    run(Adapter(good_model / "model.onnx", arm="live", settings=settings_of), rows, batch_size=10)
    assert len(parts(Artifacts.of(good_model), "live")) > 2


def test_the_settings_of_an_adapter_are_the_packaged_ones_unless_a_file_says_otherwise(good_model: Path) -> None:
    assert settings_of(Artifacts.of(good_model)) == Settings()


def test_an_arm_is_not_called_as_all_of_them_are(good_model: Path) -> None:
    with pytest.raises(FormatError, match=r"^'all' is every arm, and none can be called so; give a name such as live"):
        Adapter(good_model / "model.onnx", arm="all")


def test_a_key_that_no_reader_of_the_log_would_take_is_refused(good_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    long = "A" * 2**21
    rows = [f"2026-01-02,{long},0.5,0.25", "2026-01-02,B,0.5,0.25", f"2026-01-02,{long},x,0.25"]
    path.write_text("\n".join(["time,asset,momentum,value", *rows]) + "\n")
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        list(adapter.run_csv(path))
    first, second, third = logged(Artifacts.of(good_model), "live")
    assert first.error == "schema: a key of 2097163 characters, expected at most 2000"
    assert first.prediction is None
    assert second.prediction is not None
    assert third.error
    assert "momentum" in third.error
    assert first.row_key == third.row_key == "2026-01-02|AAAAAAAAAAAAAAAAAAAAAAAAAAAAA…"
