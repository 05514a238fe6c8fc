"""The ASGI application: each path, each refusal, and the log behind it."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.kill import kill
from pytest_modelgates.errors import RegistryError
from pytest_modelgates.predictions.parts import PartWriter
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.http import Application, Served
from tests.support.handmade import logged, renamed

ROW = {"time": "2026-01-02", "asset": "A", "momentum": 0.5, "value": 0.25}
X = {"name": "X", "shape": [2, 2], "datatype": "FP32", "data": [0.5, 0, -0.5, 0]}
INFER = "/v2/models/model/infer"


@pytest.fixture(params=[False, True], ids=["alone", "together"])
def application(good_model: Path, request: pytest.FixtureRequest) -> Application:
    """An application that serves a model, and scores each request by itself, or those of a turn together."""
    served = Served(Adapter(good_model / "model.onnx", arm="live"), together=request.param)
    return Application(served, max_body=10_000)


def ask(
    application: Application,
    path: str,
    body: object = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    pieces: int = 1,
) -> tuple[int, dict[str, str], bytes]:
    """Send a request, and give status, headers and body of the reply."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    size = -(-len(content) // pieces)
    messages = [
        {"type": "http.request", "body": content[at * size : (at + 1) * size], "more_body": at < pieces - 1}
        for at in range(pieces)
    ]
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "path": path,
        "method": method or ("GET" if body is None else "POST"),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
    }
    asyncio.run(application(scope, receive, send))
    begin, end = sent
    assert int(dict(begin["headers"])[b"content-length"]) == len(end["body"])
    return begin["status"], {key.decode(): value.decode() for key, value in begin["headers"]}, end["body"]


def said(reply: tuple[int, dict[str, str], bytes]) -> Any:
    """The JSON of a reply."""
    assert reply[1]["content-type"] == "application/json"
    return json.loads(reply[2])


def test_rows_are_scored_and_logged_with_their_request(application: Application, good_model: Path) -> None:
    reply = ask(application, "/predict", {"rows": [ROW, ROW | {"asset": "B", "momentum": 1}], "id": "r-1"})
    assert reply[0] == 200
    found = said(reply)
    assert [row["row_key"] for row in found["predictions"]] == ["2026-01-02|A", "2026-01-02|B"]
    assert (found["id"], found["model_version"]) == ("r-1", good_model.name)
    records = logged(Artifacts.of(good_model), "live")
    assert [record.prediction for record in records] == [row["prediction"] for row in found["predictions"]]
    assert {record.request for record in records} == {"r-1"}


def test_tensors_are_scored_as_rows_are(application: Application, good_model: Path) -> None:
    keys = [
        {"name": name, "shape": [2], "datatype": "BYTES", "data": data}
        for name, data in (("time", ["2026-01-02"] * 2), ("asset", ["A", "B"]))
    ]
    for inputs in ([X, *keys], [X]):
        reply = ask(application, INFER, {"inputs": inputs, "id": "r-2"})
        np.testing.assert_allclose(said(reply)["outputs"][0]["data"], [0.005, -0.005], atol=1e-7)
    named, unnamed = logged(Artifacts.of(good_model), "live")[::2]
    assert (named.row_key, str(named.row_time)) == ("2026-01-02|A", "2026-01-02 00:00:00+00:00")
    assert (unnamed.goes_by_content, unnamed.row_time) == (True, None)


def test_binary_tensors_are_answered_in_binary(application: Application) -> None:
    header = json.dumps(
        {
            "inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    body = header + np.array([0.5, 0], dtype="<f4").tobytes()
    path = f"/v2/models/model/versions/{application.served.adapter.model_id}/infer"
    status, headers, content = ask(
        application, path, body, headers={"Inference-Header-Content-Length": str(len(header))}
    )
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    score = np.frombuffer(content[int(headers["inference-header-content-length"]) :], dtype="<f8")
    np.testing.assert_allclose(score, [0.005], atol=1e-7)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v2", {"name": "pytest-modelgates", "extensions": ["binary_tensor_data"]}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/model/ready", {"ready": True}),
        ("/v2/models/model", {"name": "model", "platform": "onnxruntime_onnx"}),
    ],
)
def test_it_says_what_it_is(application: Application, path: str, says: dict[str, Any]) -> None:
    assert says.items() <= said(ask(application, path)).items()


REFUSED: list[tuple[str, object, int, str]] = [
    ("/predict", b"{", 400, 'not JSON such as {"rows": [{column: value, …}, …]} ('),
    ("/predict", {"rows": [ROW], "batch": 1}, 400, 'not JSON such as {"rows": [{column: value, …}, …]} ('),
    (
        "/predict",
        json.dumps({"rows": [ROW, ROW]}).encode().replace(b'"value"', b'"momentum": 1, "value"', 1),
        400,
        "column 'momentum' appears twice; give it once",
    ),
    ("/predict", {"rows": [ROW, {"time": "x"}]}, 400, "row 1: column 'asset' is missing"),
    (
        "/predict",
        {"rows": [ROW | {"size": 1}]},
        400,
        "row 0: column 'size' is not known; the model takes asset, momentum, time, value",
    ),
    ("/predict", {"rows": [ROW | {"asset": 7}]}, 400, "row 0: asset is 7, expected text"),
    ("/predict", {"rows": [ROW | {"asset": ""}]}, 400, "row 0: asset is empty"),
    (
        "/predict",
        {"rows": [ROW | {"time": "02.01.2026"}]},
        400,
        "row 0: time is '02.01.2026', expected a date or time of ISO 8601, such as 2020-01-31",
    ),
    ("/predict", {"rows": [ROW | {"value": "0.1"}]}, 400, "row 0: value is '0.1', expected float32"),
    ("/predict", {"rows": [ROW | {"value": True}]}, 400, "row 0: value is True, expected float32"),
    (
        "/predict",
        {"rows": [ROW, ROW | {"value": None}]},
        422,
        "row 1: schema: value is nan; none of the 2 rows is answered",
    ),
    (
        "/predict",
        {"rows": [ROW | {"value": 1e300}] * 3},
        422,
        "row 0: schema: value is inf; 2 more rows have no score either; none of the 3 rows is answered",
    ),
    (INFER, {"inputs": []}, 400, "input 'X' is missing"),
    (INFER, {"inputs": [X], "id": 7}, 400, "not a request of the Open Inference Protocol in JSON ("),
    (
        "/predict",
        b" " * 10_001,
        413,
        "a body of more than 10000 bytes; send fewer rows at a time (serving.max_body_mb in operations.toml)",
    ),
    ("/v2/models/other/infer", {}, 404, "/v2/models/other/infer: only model, version "),
    ("/v2/models/model", {}, 405, "POST /v2/models/model: expected GET"),
    ("/v2/health/live", {}, 405, "POST /v2/health/live: expected GET"),
    ("/v1/models/model:predict", {}, 404, "/v1/models/model:predict: no such path; see /v2, /predict and /metrics"),
    ("/v2/models/other", None, 404, "/v2/models/other: only model, version "),
    ("/", None, 404, "/: no such path; see /v2, /predict and /metrics"),
    ("/predict", None, 405, "GET /predict: expected POST"),
]


@pytest.mark.parametrize(("path", "body", "status", "says"), REFUSED)
def test_what_cannot_be_answered_is_refused_by_name(
    application: Application, path: str, body: object, status: int, says: str
) -> None:
    for pieces in (1, 7) if body else (1,):
        reply = ask(application, path, body, pieces=pieces)
        assert reply[0] == status
        assert re.match(re.escape(says), said(reply)["error"])


@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        ({"Content-Encoding": "gzip"}, 415, "a compressed body; send it as it is"),
        ({"Content-Length": "10001"}, 413, "a body of more than 10000 bytes; send fewer rows at a time (serving.max_b"),
        ({"Inference-Header-Content-Length": "x"}, 400, "Inference-Header-Content-Length is not a number of bytes"),
    ],
)
def test_headers_are_looked_at(application: Application, headers: dict[str, str], status: int, says: str) -> None:
    reply = ask(application, INFER, {"inputs": [X]}, headers=headers)
    assert reply[0] == status
    assert said(reply)["error"].startswith(says)


def test_rows_without_a_score_are_logged_all_the_same(application: Application, good_model: Path) -> None:
    ask(application, "/predict", {"rows": [ROW, ROW | {"value": None}]})
    assert [record.error for record in logged(Artifacts.of(good_model), "live")] == [None, "schema: value is nan"]


def test_killed_it_answers_503_and_is_alive_but_not_ready(application: Application, good_model: Path) -> None:
    done = kill(Artifacts.of(good_model), "all", "fire", "kill")
    for path, body in (("/predict", {"rows": [ROW]}), (INFER, {"inputs": [X]}), ("/v2/health/ready", None)):
        reply = ask(application, path, body)
        assert reply[0] == 503
        assert said(reply)["error"].startswith(f"{done}; nothing is scored")
    assert ask(application, "/v2/health/live")[0] == 200
    assert b"modelgates_killed 1.0" in ask(application, "/metrics")[2]
    assert logged(Artifacts.of(good_model), "live") == []
    done.path.unlink()
    assert ask(application, "/v2/health/ready")[0] == 200


def test_nothing_is_answered_while_the_log_cannot_be_written(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    why = "the prediction log cannot be written (No space left on device); nothing is given away"
    with monkeypatch.context() as patched:
        patched.setattr(PartWriter, "write", full)
        patched.setattr(PartWriter, "probe", full)
        assert ask(application, "/v2/health/ready")[0] == 200  # nothing was to be written yet
        for path, body in (("/predict", {"rows": [ROW]}), ("/predict", b"{"), ("/v2/health/ready", None)):
            reply = ask(application, path, body)
            assert (reply[0], said(reply)["error"] == why) == ((400, False) if body == b"{" else (503, True))
        assert said(reply)["ready"] is False
        assert ask(application, "/v2/health/live")[0] == 200
    assert ask(application, "/v2/health/ready")[0] == 200


def test_a_row_that_is_logged_says_that_the_log_can_be_written(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartWriter, "probe", full)
    with monkeypatch.context() as patched:
        patched.setattr(PartWriter, "write", full)
        ask(application, "/predict", {"rows": [ROW]})
    assert ask(application, "/v2/health/ready")[0] == 503
    ask(application, "/predict", {"rows": [ROW]})
    assert ask(application, "/v2/health/ready")[0] == 200


def test_a_client_that_goes_away_is_no_row(application: Application, good_model: Path) -> None:
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application({"path": "/predict", "method": "POST", "headers": []}, receive, send))
    assert sent[0]["status"] == 400
    assert logged(Artifacts.of(good_model), "live") == []


def test_metrics_count_requests_and_rows(application: Application, good_model: Path) -> None:
    ask(application, "/predict", {"rows": [ROW, ROW | {"asset": "B"}]})
    ask(application, "/predict", {"rows": [ROW | {"value": None}]})
    ask(application, "/predict", b"{")
    status, headers, text = ask(application, "/metrics")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
    for line in (
        'modelgates_requests_total{status="200"} 1.0',
        'modelgates_requests_total{status="422"} 1.0',
        'modelgates_requests_total{status="400"} 1.0',
        'modelgates_rows_total{result="scored"} 2.0',
        'modelgates_rows_total{result="refused"} 1.0',
        "modelgates_request_seconds_count 3.0",
        "modelgates_killed 0.0",
    ):
        assert f"\n{line}\n" in text.decode()
    assert f'version="{good_model.name}"' in text.decode()


@pytest.mark.parametrize("path", ["/v2/models/model/infer", "/predict"])
def test_a_request_is_answered_by_the_model_that_is_served_when_its_body_is_whole(
    application: Application, another_model: Path, path: str
) -> None:
    other = Served(Adapter(another_model / "model.onnx", arm="live"))
    body = json.dumps({"inputs": [X]} if "infer" in path else {"rows": [ROW]}).encode()
    messages = [
        {"type": "http.request", "body": body[:5], "more_body": True},
        {"type": "http.request", "body": body[5:], "more_body": False},
    ]
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        if len(messages) == 1:
            application.swap(other).close()
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application({"path": path, "method": "POST", "headers": []}, receive, send))
    assert json.loads(sent[1]["body"])["model_version"] == another_model.name


@pytest.fixture
def another_model(good_model: Path) -> Path:
    """The same model under another id, in the same registry."""
    return renamed(good_model, str(int(good_model.name) + 1))


def test_it_says_what_it_wanted_and_why_it_serves_another(application: Application) -> None:
    application.trouble = "wanted b, serving a, because c"
    found = said(ask(application, "/v2/health/ready"))
    assert (found["ready"], found["trouble"]) == (True, "wanted b, serving a, because c")


DEEP = b"[" * 100_000
KEYS = [
    {"name": name, "shape": [1], "datatype": "BYTES", "data": data}
    for name, data in (("time", ["2026-01-02"]), ("asset", ["A" * 2001]))
]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/predict", b'{"rows": [{"time": ' + DEEP, "(nested too deeply to be read)"),
        (
            INFER,
            b'{"inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": ' + DEEP,
            "not a request of the Open Inference Protocol in JSON (",  # Python 3.14 reads on to the end
        ),
        ("/predict", {"rows": [ROW], "id": "i" * 257}, "(Expected `str` of length <= 256 - at `$.id`)"),
        (INFER, {"inputs": [X], "id": "i" * 257}, "(Expected `str` of length <= 256 - at `$.id`)"),
        (
            "/predict",
            {"rows": [ROW | {"asset": "A" * 2001}]},
            "row 0: schema: a key of 2012 characters, expected at most 2000",
        ),
        (
            INFER,
            {"inputs": [X | {"shape": [1, 2], "data": [1, 2]}, *KEYS]},
            "row 0: schema: a key of 2012 characters, expected at most 2000",
        ),
    ],
)
def test_what_would_overrun_the_reader_or_the_log_is_refused(
    application: Application, good_model: Path, path: str, body: object, says: str
) -> None:
    application.max_body = 10**6
    reply = ask(application, path, body)
    assert reply[0] == (422 if "a key of" in says else 400)
    assert says in said(reply)["error"]
    assert all(len(record.row_key) < 300 for record in logged(Artifacts.of(good_model), "live"))


def test_a_length_without_end_is_refused(application: Application) -> None:
    reply = ask(application, INFER, {"inputs": [X]}, headers={"Inference-Header-Content-Length": "9" * 5000})
    assert (reply[0], said(reply)["error"]) == (400, "Inference-Header-Content-Length is not a number of bytes")
    reply = ask(application, INFER, {"inputs": [X]}, headers={"Content-Length": "9" * 5000})
    assert reply[0] == 413


def test_rows_are_answered_only_if_they_are_in_a_log_that_is_there(application: Application, good_model: Path) -> None:
    artifacts = Artifacts.of(good_model)
    for count in (1, 2, 3):
        assert ask(application, "/predict", {"rows": [ROW]})[0] == 200
        assert len(logged(artifacts, "live")) == (count if count < 3 else 1)
        if count == 2:
            shutil.rmtree(artifacts.predictions)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (RegistryError("the lock is held by 7"), 503, "nothing is given away: the lock is held by 7"),
        (KeyError("x"), 500, "the server failed (KeyError); its own log says where"),
    ],
)
def test_no_error_is_without_its_words(
    application: Application, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, says: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(PartWriter, "write", fail)
    reply = ask(application, "/predict", {"rows": [ROW]})
    assert (reply[0], said(reply)["error"]) == (status, says)
    assert f'modelgates_requests_total{{status="{status}"}} 1.0' in ask(application, "/metrics")[2].decode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/" + "x" * 10_000, None),
        (INFER, {"inputs": [X | {"shape": [1] * 1000}]}),
        (INFER, {"inputs": [X | {"parameters": {"binary_data_size": 10**300}}]}),
    ],
)
def test_what_a_client_wrote_is_not_sent_back_at_length(application: Application, path: str, body: object) -> None:
    reply = ask(application, path, body)
    assert 400 <= reply[0] < 500
    assert len(reply[2]) < 300
