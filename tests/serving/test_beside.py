"""Models in shadow beside the one that answers: the same rows, after the reply, and nothing of theirs in it."""

import json
import threading
import time
import urllib.request
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.kill import kill
from pytest_modelgates.cli import main
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.serving import beside as module
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.beside import Beside, refuse_other_features
from pytest_modelgates.serving.scorer import Rows
from tests.serving.test_server import serving
from tests.support.handmade import logged, renamed


@pytest.fixture
def shadow(good_model: Path) -> Adapter:
    """A candidate, in shadow."""
    return Adapter(renamed(good_model, "1800000000") / "model.onnx", arm="shadow")


def rows(*values: float, request: str = "r") -> Rows:
    keys = [f"2026-01-02|A{value}" for value in values]
    matrix = np.array([[value, 0] for value in values], dtype=np.float32)
    return Rows(keys, matrix, [None] * len(values), [request] * len(values))


def put(beside: Beside, adapter: Adapter, *batches: Rows) -> None:
    for batch in batches:
        beside.put(batch, adapter.sidecar.schema_crc32)


def test_rows_are_scored_in_order_with_their_requests(shadow: Adapter, good_model: Path) -> None:
    beside = Beside([shadow])
    put(beside, shadow, rows(1, 2, request="a"), rows(3, request="b"))
    beside.close(within=30)
    records = logged(Artifacts.of(good_model), "shadow")
    assert [record.row_key[-1] for record in records] == ["1", "2", "3"]
    assert [record.request for record in records] == ["a", "a", "b"]
    assert {record.model_id for record in records} == {"1800000000"}
    assert (beside.scored, beside.failed, beside.dropped) == (3, 0, 0)


def test_rows_beyond_what_may_wait_are_dropped_and_counted(
    shadow: Adapter, good_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    busy = threading.Event()

    class Busy(Adapter):
        def score(self, rows: Rows) -> list[Prediction]:
            busy.wait(30)
            return super().score(rows)

    slow = Busy(good_model.with_name("1800000000") / "model.onnx", arm="shadow")
    beside = Beside([slow])
    put(beside, slow, rows(1))
    while beside._waiting:
        time.sleep(0.001)
    put(beside, slow, rows(2, 3), rows(4, 5), rows(6))
    busy.set()
    beside.close(within=30)
    assert [record.row_key[-1] for record in logged(Artifacts.of(good_model), "shadow")] == ["1", "2", "3", "6"]
    assert (beside.scored, beside.dropped) == (4, 2)


def test_whatever_happens_in_shadow_stays_there(
    shadow: Adapter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Rows) -> list[Prediction]:
        raise ValueError("odd")

    monkeypatch.setattr(shadow, "score", fail)
    beside = Beside([shadow])
    put(beside, shadow, rows(1))
    beside.put(rows(2), "00000000")
    beside.close(within=30)
    assert (beside.scored, beside.failed, beside.dropped) == (0, 1, 1)
    assert "1800000000 in shadow" in caplog.text


def test_a_killed_arm_drops_its_rows_and_one_with_an_error_has_failed(shadow: Adapter, good_model: Path) -> None:
    artifacts = Artifacts.of(good_model)
    beside = Beside([shadow])
    put(beside, shadow, rows(1, float("nan")))
    while beside.scored + beside.failed < 2:
        time.sleep(0.001)
    kill(artifacts, "shadow", "drill", "kill")
    put(beside, shadow, rows(3))
    beside.close(within=30)
    assert (beside.scored, beside.failed, beside.dropped) == (1, 1, 1)
    assert len(logged(artifacts, "shadow")) == 2


def test_a_model_of_other_features_is_refused(shadow: Adapter, good_model: Path) -> None:
    path = good_model.with_name("1800000000") / "model.onnx"
    with Adapter(good_model / "model.onnx", arm="live") as live:
        refuse_other_features(live, shadow, path)
        shadow.sidecar = msgspec.structs.replace(shadow.sidecar, schema_crc32="00000000")
        with pytest.raises(RefusedError) as refused:
            refuse_other_features(live, shadow, path)
    assert str(refused.value) == (
        f"{path}: takes other features than {good_model.name}, which is served (schema_crc32 00000000, not "
        f"{live.sidecar.schema_crc32}); shadow it with rows of its own: modelgates shadow"
    )


@pytest.mark.integration
def test_a_server_shadows_the_rows_that_it_answers(good_model: Path) -> None:
    candidate = renamed(good_model, "1800000000")
    row = {"time": "2026-01-02", "asset": "A", "momentum": 0.5, "value": 0.25}
    with serving(good_model / "model.onnx", beside=[candidate / "model.onnx"]) as running:
        for number in range(20):
            body = json.dumps({"rows": [row | {"asset": f"A{number}"}], "id": str(number)}).encode()
            with urllib.request.urlopen(f"http://{running.address}/predict", body, timeout=30) as reply:
                (answer,) = json.load(reply)["predictions"]
                assert answer["row_key"] == f"2026-01-02|A{number}"
        running.process.terminate()
        assert running.process.wait(30) == 0
    artifacts = Artifacts.of(good_model)
    live, shadowed = (logged(artifacts, arm) for arm in ("live", "shadow"))
    assert [(each.row_key, each.request, each.prediction) for each in shadowed] == [
        (each.row_key, each.request, each.prediction) for each in live
    ]
    assert ({each.model_id for each in live}, {each.model_id for each in shadowed}) == (
        {good_model.name},
        {candidate.name},
    )


def test_shadows_stand_beside_requests_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--onnx", "x", "--csv", "y", "--beside", "z"]) == 2
    assert capsys.readouterr().err == (
        "modelgates: --beside shadows requests: give --http PORT, or run `modelgates shadow` on the same file\n"
    )
