"""What the Python client of KServe sends, to the byte, and what it reads of the answers.

The package `kserve` (0.21) is not installed for the tests: it takes Python below 3.14 and pandas below 3, and brings
Kubernetes, gRPC and FastAPI, 450 MB in all. These requests are those of its `InferenceRESTClient` for protocol "v2", as
`inference_client.py` and `InferRequest.to_rest` write them; and what is asserted is what the client reads.
"""

import json
import struct
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.serving.test_server import Running, serving
from tests.support.handmade import logged
from tests.support.panels import pack_ridge

pytestmark = pytest.mark.integration

LENGTH = "inference-header-content-length"
ACCEPTED = {"accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive"}  # httpx's own
ROWS = [0.5, 0.0, -1.0, 2.0]
SCORES = [0.005, -0.01]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of a model."""
    with serving(pack_ridge(tmp_path_factory.mktemp("kserve") / "artifacts") / "model.onnx") as running:
        yield running


def asked(
    server: Running, method: str, path: str, content: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send one request of the client; give status, headers in lower case, and body."""
    connection = HTTPConnection(server.host, server.port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, content, ACCEPTED | named)
    reply = connection.getresponse()
    found = reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    connection.close()
    return found


def compact(said: object) -> bytes:
    """Write JSON as orjson does."""
    return json.dumps(said, separators=(",", ":")).encode()


def tensors(**parameters: int) -> list[dict[str, Any]]:
    """The inputs of a request; with sizes their data follow as bytes."""
    found: list[dict[str, Any]] = [
        {"name": "X", "shape": [2, 2], "datatype": "FP32"},
        {"name": "time", "shape": [2], "datatype": "BYTES"},
        {"name": "asset", "shape": [2], "datatype": "BYTES"},
    ]
    for each, data in zip(found, (ROWS, ["2026-01-02"] * 2, ["A", "B"]), strict=True):
        if size := parameters.get(each["name"]):
            each["parameters"] = {"binary_data_size": size}
        else:
            each["data"] = data
    return found


def read(headers: dict[str, str], body: bytes) -> tuple[dict[str, Any], list[float]]:
    """Read an answer as `InferResponse.from_bytes` does; give its JSON, and the data of its one output."""
    length = int(headers.get(LENGTH, len(body)))
    said = json.loads(body[:length])
    (output,) = said["outputs"]
    assert (output["shape"], output["datatype"]) == ([2, 1], "FP64")
    if "binary_data_size" in (output.get("parameters") or {}):
        raw = body[length : length + output["parameters"]["binary_data_size"]]
        return said, [*struct.unpack("<2d", raw)]
    return said, output["data"]


@pytest.mark.parametrize(
    ("path", "key"), [("/v2/health/live", "live"), ("/v2/health/ready", "ready"), ("/v2/models/model/ready", "ready")]
)
def test_it_hears_that_server_and_model_are_ready(server: Running, path: str, key: str) -> None:
    status, _, body = asked(server, "GET", path)
    assert (status, json.loads(body)[key]) == (200, True)


def test_a_model_that_is_not_served_is_not_ready(server: Running) -> None:
    assert asked(server, "GET", "/v2/models/other/ready")[0] == 404


@pytest.mark.parametrize("wanted", [None, False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_a_request_of_its_is_answered_as_it_reads_answers(server: Running, binary: bool, wanted: bool | None) -> None:
    request = {
        "id": "r-1",
        "model_name": "model",
        "inputs": tensors(**{"X": 16, "time": 28, "asset": 10} if binary else {}),
    }
    if wanted is not None:
        request["outputs"] = [{"name": "variable", "parameters": {"binary_data": wanted}}]
    content, headers = compact(request), {"content_type": "application/json"}
    if binary:
        headers = {LENGTH: str(len(content)), "content_type": "application/octet-stream"}
        texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"2026-01-02", b"2026-01-02", b"A", b"B"))
        content += struct.pack("<4f", *ROWS) + texts
    status, got, body = asked(server, "POST", "/v2/models/model/infer", content, **headers)
    assert status == 200
    said, scores = read(got, body)
    assert (said["model_name"], said["id"]) == ("model", "r-1")
    assert scores == pytest.approx(SCORES, abs=1e-7)
    assert (LENGTH in got) == (wanted is True)
    assert [record.row_key for record in logged(server.artifacts, "live")[-2:]] == ["2026-01-02|A", "2026-01-02|B"]


@pytest.mark.parametrize(
    ("model", "expected", "says"),
    [
        ("model", 400, "input 'X' has shape [1, 1], expected [n, 2]"),
        ("other", 404, "/v2/models/other/infer: only model, version "),
    ],
)
def test_it_shows_why_a_request_is_refused(server: Running, model: str, expected: int, says: str) -> None:
    short = compact({"inputs": [{"name": "X", "shape": [1, 1], "datatype": "FP32", "data": [0.5]}]})
    status, got, body = asked(server, "POST", f"/v2/models/{model}/infer", short, content_type="application/json")
    # It reads the error only of an answer that says just this.
    assert (status, got["content-type"]) == (expected, "application/json")
    assert json.loads(body)["error"].startswith(says)
