"""The adapter as a running server: real clients, real sockets, and what goes wrong between them."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.kill import kill
from pytest_modelgates.cli import main
from pytest_modelgates.errors import FormatError, KilledError
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.predictions.parts import PartWriter
from pytest_modelgates.serving.adapter import Adapter, Settings
from pytest_modelgates.serving.server import Server
from tests.support.handmade import logged, renamed

pytestmark = pytest.mark.integration

ROW = {"time": "2026-01-02", "asset": "A", "momentum": 0.5, "value": 0.25}


class Running:
    """A server process, and where it listens."""

    def __init__(self, onnx: Path, process: "subprocess.Popen[str]", address: str) -> None:
        self.artifacts = Artifacts.of(onnx.resolve().parent)
        self.process, self.address = process, address
        self.host, _, port = address.rpartition(":")
        self.port = int(port)

    def ask(self, path: str, body: object = None, *, timeout: float = 30) -> tuple[int, Any]:
        """Give status and JSON of a reply."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", data, timeout) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def raw(self, *pieces: bytes, pause: float = 0.0) -> bytes:
        """Send bytes as they are, and read until the other end closes."""
        with socket.create_connection((self.host, self.port), timeout=30) as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
            found = b""
            with suppress(ConnectionResetError):
                while piece := connection.recv(2**16):
                    found += piece
            return found


@contextmanager
def serving(onnx: Path, operations: str = "", *, beside: Sequence[Path] = ()) -> Iterator[Running]:
    """Serve a model in a process of its own."""
    root = Artifacts.of(onnx.parent).root if onnx.name == "model.onnx" else onnx.parent.parent
    registry = root.parent / "registry"
    registry.mkdir(exist_ok=True)
    (registry / "policy.toml").touch()
    (registry / "operations.toml").write_text(operations)
    command = [word for path in beside for word in ("--beside", path)]
    with started(onnx, *command) as running:
        yield running


@contextmanager
def started(onnx: Path, *words: str | Path, within: Sequence[str] = ()) -> Iterator[Running]:
    """Serve a model in a process of its own, perhaps one that sees other disks."""
    command = [*within, sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", onnx, "--http", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.match(r"\d+ \(live\): http://([0-9.]+:\d+)/v2/models/\S+\n", line)
            assert found, (line, process.communicate(timeout=30))
            yield Running(onnx, process, found[1])
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def server(good_model: Path) -> Iterator[Running]:
    """A server of a model."""
    with serving(good_model / "model.onnx", "[serving]\nmax_body_mb = 1\ntimeout_s = 2\n") as running:
        yield running


def test_the_triton_client_works_unchanged(server: Running) -> None:
    client = triton.InferenceServerClient(server.address)
    version = os.path.basename(os.path.dirname(os.path.realpath(server.artifacts.models / "latest.onnx")))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("model")
    assert client.get_server_metadata()["name"] == "pytest-modelgates"
    metadata = client.get_model_metadata("model")
    (tensor,) = metadata["inputs"]
    (version,) = metadata["versions"]
    assert client.is_model_ready("model", version)
    rows = np.array([[0.5, 0], [-1, 2]], dtype=np.float32)
    for binary_in in (False, True):
        for binary_out in (False, True):
            sent = triton.InferInput(tensor["name"], [2, 2], tensor["datatype"])
            sent.set_data_from_numpy(rows, binary_data=binary_in)
            names = [triton.InferInput(name, [2], "BYTES") for name in ("time", "asset")]
            names[0].set_data_from_numpy(np.array(["2026-01-02"] * 2, dtype=object), binary_data=binary_in)
            names[1].set_data_from_numpy(np.array(["A", "B"], dtype=object), binary_data=binary_in)
            wanted = triton.InferRequestedOutput(metadata["outputs"][0]["name"], binary_data=binary_out)
            reply = client.infer("model", [sent, *names], outputs=[wanted], request_id="r-1", model_version=version)
            np.testing.assert_allclose(reply.as_numpy(wanted.name()), [[0.005], [-0.01]], atol=1e-7)
            assert reply.get_response()["id"] == "r-1"
    asynchronous = client.async_infer("model", [sent])
    assert asynchronous.get_result().as_numpy(wanted.name()).shape == (2, 1)
    short = triton.InferInput(tensor["name"], [1, 1], tensor["datatype"])
    short.set_data_from_numpy(np.zeros((1, 1), dtype=np.float32))
    with pytest.raises(triton.InferenceServerException, match=r"input 'X' has shape \[1, 1\], expected \[n, 2\]"):
        client.infer("model", [short])
    with pytest.raises(triton.InferenceServerException, match=r"only model, version \d+, is served"):
        client.get_model_metadata("other")
    assert {record.row_key for record in logged(server.artifacts, "live")} >= {"2026-01-02|A", "2026-01-02|B"}


def test_it_loads_no_library_that_would_make_its_start_much_longer(server: Running) -> None:
    assert server.ask("/predict", {"rows": [ROW]})[0] == 200
    loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "/onnxruntime/" in loaded
    assert not {name for name in ("pandas", "scipy", "sklearn", "onnx") if f"/{name}/" in loaded}


def test_odd_clients_are_cut_off_and_others_are_answered(server: Running) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: "
    begin = time.monotonic()
    slow = [threading.Thread(target=server.raw, args=(head[:at],)) for at in (0, 4, 30)]
    slow.append(threading.Thread(target=server.raw, args=(head + b"100\r\n\r\n{",)))
    for thread in slow:
        thread.start()
    assert server.ask("/predict", {"rows": [ROW]})[0] == 200
    for thread in slow:
        thread.join(30)
    assert 1.5 < time.monotonic() - begin < 25
    assert b" 413 " in server.raw(head + b"100000000\r\n\r\n", b"{" * 1000)
    assert b" 400 " in server.raw(b"nonsense\r\n\r\n")
    assert b" 400 " in server.raw(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200_000)
    chunked = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b" 413 " in server.raw(chunked + b"100000\r\n" + b" " * 2**20 + b"\r\n" + b"0\r\n\r\n")
    body = json.dumps({"rows": [ROW]}).encode()
    two = server.raw((head + str(len(body)).encode() + b"\r\n\r\n" + body) * 2)
    assert two.count(b"HTTP/1.1 200") == 2
    assert server.ask("/v2/health/ready")[0] == 200


def test_a_kill_is_seen_by_the_running_server(server: Running) -> None:
    assert server.ask("/predict", {"rows": [ROW]})[0] == 200
    done = kill(server.artifacts, "live", "wrong", "kill")
    status, said = server.ask("/predict", {"rows": [ROW]})
    assert (status, said["error"].startswith(str(done))) == (503, True)
    done.path.unlink()
    server.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while server.ask("/predict", {"rows": [ROW]})[0] == 200:
        assert time.monotonic() < deadline
    assert server.ask("/v2/health/live")[0] == 200


def test_it_drains_and_ends_with_0(server: Running) -> None:
    body = json.dumps({"rows": [ROW]}).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        connection.sendall(head + body[:-1])
        time.sleep(0.3)
        server.process.terminate()
        time.sleep(0.3)
        connection.sendall(body[-1:])
        assert connection.recv(2**16).startswith(b"HTTP/1.1 200")
    assert server.process.wait(30) == 0
    (record,) = logged(server.artifacts, "live")
    assert record.error is None


def flip(artifacts: Artifacts, model_id: str) -> None:
    """Move the link, as a promotion does."""
    staged = artifacts.models / ".latest.test"
    staged.symlink_to(model_id)
    staged.replace(artifacts.latest)


def test_it_follows_the_link_and_no_answer_is_mixed(good_model: Path) -> None:
    artifacts = Artifacts.of(good_model)
    other = renamed(good_model, str(int(good_model.name) + 1))
    flip(artifacts, good_model.name)
    artifacts.latest_onnx.symlink_to("latest/model.onnx")
    with serving(artifacts.latest_onnx) as server:
        answers, failed, stop = set[str](), list[object](), threading.Event()

        def load() -> None:
            while not stop.is_set():
                status, said = server.ask("/predict", {"rows": [ROW] * 8})
                if status != 200:
                    failed.append(said)
                    continue
                answers.add(said["model_version"])

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        for target in (other.name, good_model.name, other.name):
            flip(artifacts, target)
            deadline = time.monotonic() + 60
            while server.ask("/v2/health/ready")[1]["serving"]["version"] != target:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        with (other / "model.onnx").open("ab") as file:
            file.write(b"\0")
        flip(artifacts, good_model.name)
        time.sleep(2.5)
        flip(artifacts, other.name)  # damaged meanwhile
        deadline = time.monotonic() + 60
        while "trouble" not in (ready := server.ask("/v2/health/ready")[1]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not failed
    assert answers == {good_model.name, other.name}
    assert ready["serving"]["version"] == good_model.name
    assert re.match(
        rf"wanted \S+{other.name}/model.onnx, serving {good_model.name}, because {other.name}: model.onnx: \d+ bytes",
        ready["trouble"],
    )


def flipping(good_model: Path) -> tuple[Server, Path, Path]:
    """A server that follows `latest.onnx`, the link, and another model."""
    link, other = good_model.parent / "latest.onnx", renamed(good_model, "1800000000")
    link.symlink_to(f"{good_model.name}/model.onnx")
    limits = load_operations(None, policy=None)[0].serving
    return Server(link, arm="live", settings=lambda _: Settings(), limits=limits), link, other


def lead(server: Server, link: Path, model: str) -> None:
    """Lead the link to a model, and let the server look, a while after it failed to load another."""
    server._not_before = 0.0
    link.unlink()
    link.symlink_to(f"{model}/model.onnx")
    asyncio.run(server.follow())


def test_a_process_that_a_signal_stopped_stays_so_with_the_next_model(good_model: Path) -> None:
    server, link, other = flipping(good_model)
    server.application.served.adapter.switch.stop("SIGUSR1")
    lead(server, link, other.name)
    assert server.application.served.adapter.model_id == other.name
    with pytest.raises(KilledError, match=r"^the kill switch is on \(SIGUSR1\): nothing is scored"):
        server.application.served.adapter.switch.refuse()


def test_trouble_is_over_when_the_link_is_back(good_model: Path) -> None:
    server, link, other = flipping(good_model)
    (other / "model.onnx").write_bytes(b"")
    lead(server, link, other.name)
    assert server.application.trouble
    lead(server, link, good_model.name)
    assert (server.application.trouble, server.application.served.adapter.model_id) == (None, good_model.name)


def test_a_model_that_cannot_be_loaded_is_tried_again_after_a_while(
    good_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server, link, other = flipping(good_model)
    tries = list[object]()
    monkeypatch.setattr(server, "_tried", lambda: [FormatError("damaged"), tries.append(None)][0])
    lead(server, link, other.name)
    asyncio.run(server.follow())
    assert len(tries) == 1
    said = f"wanted {os.path.realpath(link)}, serving {good_model.name}, because damaged"
    assert server.application.trouble == said
    assert capsys.readouterr().err == f"modelgates: {said}\n"
    metrics = server.application.metrics.text(server.application.served.adapter, server.application.trouble)
    assert b"\nmodelgates_reload_failed 1.0\n" in metrics
    lead(server, link, other.name)
    assert len(tries) == 2


def test_an_error_that_nobody_thought_of_ends_no_following(good_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, link, other = flipping(good_model)
    for error in (KeyError("x"), StopIteration()):
        with monkeypatch.context() as broken:

            def fail(*_: object, error: Exception = error) -> None:
                raise error

            broken.setattr("pytest_modelgates.serving.server.refuse_other_scores", fail)
            lead(server, link, other.name)
            assert server.application.trouble
            assert server.application.trouble.endswith(f"because {error!r}")
    lead(server, link, other.name)
    assert server.application.served.adapter.model_id == other.name


def opened_below(folder: Path) -> list[str]:
    """Return what this process holds open in a folder."""
    targets = (os.readlink(link) for link in Path("/dev/fd").resolve().iterdir() if link.is_symlink())
    return [target for target in targets if target.startswith(f"{folder}/")]


def test_the_model_before_is_let_go(good_model: Path) -> None:
    server, link, other = flipping(good_model)
    before = server.application.served.adapter
    for target in [other.name, good_model.name] * 10:
        lead(server, link, target)
        assert server.application.served.adapter.model_id == target
        assert opened_below(link.parent) == [str(link.parent / target)]
    with pytest.raises(OSError, match="Bad file descriptor"):
        before.panel_file()


def test_a_part_that_cannot_be_closed_keeps_no_model_from_being_served(
    good_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, link, other = flipping(good_model)

    def full(_: PartWriter) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartWriter, "close", full)
    lead(server, link, other.name)
    assert server.application.served.adapter.model_id == other.name


def test_a_large_body_is_not_taken_for_the_head_of_the_next_request(good_model: Path) -> None:
    body = json.dumps({"rows": [ROW]}).encode().ljust(2 * 2**20)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    last = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving(good_model / "model.onnx") as server:
        found = server.raw(head + body, last[:9], last[9:], pause=0.3)
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"200"]


def test_a_client_that_does_not_read_its_reply_is_cut_off(good_model: Path) -> None:
    count = 2**19
    tensor = {"name": "X", "shape": [count, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8 * count}}
    head = json.dumps({"inputs": [tensor]}).encode()
    body = head + np.full((count, 2), 0.3, dtype="<f4").tobytes()
    limits = "[serving]\ntimeout_s = 2\nconnections = 2\n"
    with serving(good_model / "model.onnx", limits) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((server.host, server.port))
        client.sendall(b"POST /v2/models/model/infer HTTP/1.1\r\nHost: x\r\n")
        client.sendall(b"Inference-Header-Content-Length: %d\r\n" % len(head))
        client.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert client.recv(1)
        live = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert server.raw(live).startswith(b"HTTP/1.1 503")  # the first one takes the only place there is
        deadline = time.monotonic() + 30
        while not server.raw(live).startswith(b"HTTP/1.1 200"):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_model_that_scores_its_own_panel_otherwise_is_not_served(
    good_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = Adapter.tried
    monkeypatch.setattr(Adapter, "tried", lambda self, matrix: 1.01 * tried(self, matrix))
    assert main(["serve", "--onnx", str(good_model / "model.onnx"), "--http", "0"]) == 1
    assert capsys.readouterr().err == (
        f"modelgates: {good_model.name}: scores its own panel otherwise than the native model; gate it again\n"
    )


def test_a_port_that_is_taken_is_named(good_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--onnx", str(good_model / "model.onnx"), "--http", str(port)]) == 3
    assert "Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "serve what? Give one of --csv FILE, --jsonl FILE, --feed URL and --http PORT"),
        (["--csv", "x", "--http", "1"], "serve what? Give one of --csv FILE, --jsonl FILE, --feed URL and --http PORT"),
        (["--http", "x"], "'x' is not an address; give a port such as 8080, or 0.0.0.0:8080"),
        (["--http", "70000"], "'70000' is not an address; give a port such as 8080, or 0.0.0.0:8080"),
    ],
)
def test_serve_takes_one_source(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        assert main(["serve", "--onnx", "x", *words]) == 2
    assert says in capsys.readouterr().err


def test_without_the_extra_it_says_which_one(good_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_modelgates.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    limits = load_operations(None, policy=None)[0].serving
    with pytest.raises(MissingExtraError, match=r"^uvicorn is not installed; run: pip install 'pytest-modelgates\[ser"):
        Server(good_model / "model.onnx", arm="live", settings=lambda _: None, limits=limits)  # type: ignore[arg-type, return-value]
