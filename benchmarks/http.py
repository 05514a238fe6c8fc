"""What a request over HTTP costs the server, in processor time, against ONNX Runtime alone and against peers.

    python -m benchmarks.http [REQUESTS [PYTHON ...]]

A LightGBM of 200 trees on 50 float32 features, 8 connections that are kept, each with a request under way at all times,
and the processor time of the server's processes, the least of rounds that take turns. Bare is `session.run` in this
process: of one row, 64 rows in rotation, one thread. Promised: one row, as a binary tensor, with all checks, log and
metrics, costs at most 8 times bare, and at most 11 times if the requests of one moment are not scored in one call; 32
rows at most 1.6 times a bare run of 32; a client waits at most 1.1 times as long for a reply if a model in shadow
scores the same rows. Until its first answer a server takes at most 2.5 times the processor time that importing NumPy
and ONNX Runtime does, both compiled before, and then has at most 120 MB. Peers, which only parse JSON and run the
model, cost at least so many times as much: FastAPI with uvicorn 3, MLServer 8, LitServe and BentoML 20. Each is
measured if it is installed, beside this package or for the last of the further interpreters that has it: MLServer holds
FastAPI below 0.116, so an environment for each is best (`pip install onnxruntime uvicorn[standard] fastapi`; mlserver,
litserve and bentoml with onnxruntime alone). It has its default settings, but FastAPI no log of accesses and MLServer
no worker process, which are faster so.
"""

import functools
import json
import os
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.serving import FEATURES, packed
from pytest_modelgates.model.directory import MODEL

CONNECTIONS, TURNS = 8, 64
ROUNDS = 12
SERVE = ("-m", "pytest_modelgates", "serve")
# As for a model whose scores depend on the batch, which is then never asked about two requests at once.
ONE_BY_ONE = """
import sys
from pytest_modelgates.cli import main
from pytest_modelgates.serving import server

server.scores_alike_in_every_batch = lambda *_: False
sys.exit(main(sys.argv[1:]))
"""
# What the peers' servers begin with: the model, and an end to what they print.
PEER = """
import os
import numpy as np, onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
(wanted,) = (entry.name for entry in session.get_inputs())
PORT = int(os.environ["PORT"])


def scored(rows):
    return session.run(None, {wanted: np.asarray(rows, dtype=np.float32)})[0].ravel()


if __name__ == "__main__":
    print(f"http://127.0.0.1:{PORT}", flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
"""
FASTAPI = """
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Rows(BaseModel):
    rows: list[list[float]]


@app.post("/predict")
async def predict(body: Rows) -> dict:
    return {"predictions": scored(body.rows).tolist()}


uvicorn.run(app, port=PORT, log_level="warning", access_log=False)
"""
MLSERVER = """
import asyncio
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Model(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        scores = scored(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", scores)])


async def main():
    settings = Settings(
        parallel_workers=0, host="127.0.0.1", http_port=PORT, grpc_port=PORT + 100, metrics_port=PORT + 200
    )
    await MLServer(settings).start([ModelSettings(name="model", implementation=Model)])


asyncio.run(main())
"""
LITSERVE = """
import litserve


class Model(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["rows"]

    def predict(self, rows):
        return scored(rows)

    def encode_response(self, scores):
        return {"predictions": scores.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False)
"""
BENTOML = """
import sys
import bentoml


@bentoml.service
class Model:
    @bentoml.api
    async def predict(self, rows: list[list[float]]) -> list[float]:
        return scored(rows).tolist()


if __name__ == "__main__":
    serve = ["-m", "bentoml", "serve", "serve_bentoml:Model", "--host", "127.0.0.1", "--port", str(PORT)]
    os.chdir(os.path.dirname(__file__))
    os.execv(sys.executable, [sys.executable, *serve])
"""
V2 = "/v2/models/model/infer"
# Name, module, source, path, and how many times our processor time is promised at least.
PEERS = (
    ("FastAPI and uvicorn", "fastapi", FASTAPI, "/predict", 3),
    ("MLServer, no worker process", "mlserver", MLSERVER, V2, 8),
    ("LitServe, one worker", "litserve", LITSERVE, "/predict", 20),
    ("BentoML", "bentoml", BENTOML, "/predict", 20),
)


@contextmanager
def running(command: list[object]) -> Iterator[tuple[int, int]]:
    """Start a server, and give its process and its port."""
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found
            yield process.pid, int(found[1])
        finally:
            _, *children = tree(process.pid)
            process.terminate()
            process.wait()
            for child in children:  # LitServe leaves its own
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def interpreter(pythons: list[str], module: str) -> str | None:
    """Find the last interpreter that has a module."""
    has = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({module!r}))"
    return next((python for python in reversed(pythons) if not subprocess.run([python, "-c", has]).returncode), None)


def processor_time(pid: int) -> float:
    """Read what the threads of a process have used so far [s]."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def tree(pid: int) -> list[int]:
    """List a process and its descendants."""
    children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [pid, *(each for child in children for each in tree(int(child)))]


def load(port: int, requests: list[bytes], count: int) -> None:
    """Send requests over several connections, each after the reply to the one before; costs less than the server."""
    replies = dict.fromkeys((socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)), b"")
    with selectors.DefaultSelector() as selector:
        for number, connection in enumerate(replies):
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(requests[number % len(requests)])
        sent, done = CONNECTIONS, 0
        while done < count:
            for key, _ in selector.select():
                connection = key.fileobj  # type: ignore[assignment]
                replies[connection] += connection.recv(2**16)
                head, _, body = replies[connection].partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                size = re.search(rb"\ncontent-length: (\d+)", head)
                if not size or len(body) < int(size[1]):
                    continue
                replies[connection] = b""
                done += 1
                if sent < count:
                    connection.sendall(requests[sent % len(requests)])
                    sent += 1
    for connection in replies:
        connection.close()


def settled(server: tuple[int, int], requests: list[bytes]) -> None:
    """Wait until a server answers, and let it warm up."""
    deadline = time.monotonic() + 60
    while True:
        try:
            load(server[1], requests, 4 * len(requests))
            return
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def cost(server: tuple[int, int], requests: list[bytes], count: int) -> float:
    """Measure the processor time of a request, in all processes of the server [µs]."""
    processes = tree(server[0])
    before = sum(map(processor_time, processes))
    load(server[1], requests, count)
    return (sum(map(processor_time, processes)) - before) / count * 1e6


def reply_time(port: int, requests: list[bytes], count: int) -> float:
    """Measure how long a client waits for a reply, one request after the other [µs], the median."""
    found = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for number in range(count):
            begin, reply = time.perf_counter(), b""
            connection.sendall(requests[number % len(requests)])
            while not (size := re.search(rb"\ncontent-length: (\d+)[^\0]*?\r\n\r\n", reply)) or (
                len(reply) < size.end() + int(size[1])
            ):
                reply += connection.recv(2**16)
            found.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(found)


def request(path: str, body: bytes, *headers: str) -> bytes:
    """Write a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def binary(rows: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", name: str) -> bytes:
    """Write rows as a binary tensor of the Open Inference Protocol."""
    tensor = {"name": name, "shape": rows.shape, "datatype": "FP32", "parameters": {"binary_data_size": rows.nbytes}}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    length = f"Inference-Header-Content-Length: {len(header)}"
    return request("/v2/models/model/infer", header + rows.tobytes(), length)


def beside_production(onnx: Path, requests: list[bytes], count: int) -> bool:
    """Compare how long replies take without a model in shadow and with one, in turns."""
    command: list[object] = [sys.executable, *SERVE, "--onnx", onnx, "--http", "0"]
    with running(command) as (_, without), running([*command, "--beside", onnx]) as (_, beside):
        turns = [
            (reply_time(without, requests, count // 8), reply_time(beside, requests, count // 8)) for _ in range(9)
        ]
    ratio = statistics.median(second / first for first, second in turns)
    print(
        f"a model in shadow beside: replies after {statistics.median(second for _, second in turns):.0f} µs, "
        f"{ratio:.2f} times without (at most 1.1)",
        flush=True,
    )
    return ratio <= 1.1


def first_answer(onnx: Path) -> bool:
    """Compare a server until its first answer with a process that imports what any must, in turns; and its memory."""
    rounds, size = [], 0.0
    # Compiled once, as in any environment in use, whatever this one says of bytecode.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(onnx.parents[3] / "compiled")
    for number in range(-1, 7):
        before = os.times().children_user + os.times().children_system
        subprocess.run([sys.executable, "-c", "import numpy, onnxruntime"], check=True)
        imported = os.times().children_user + os.times().children_system - before
        with running([sys.executable, *SERVE, "--onnx", onnx, "--http", "0"]) as server:
            settled(server, [b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n"])
            if number >= 0:  # the first only compiles
                rounds.append((processor_time(server[0]), imported))
            pages = int(Path(f"/proc/{server[0]}/statm").read_text().split()[1])
            size = max(size, pages * os.sysconf("SC_PAGESIZE") / 1e6)
    ratio = statistics.median(ours / imported for ours, imported in rounds)
    print(
        f"to the first answer: {statistics.median(ours for ours, _ in rounds):.2f} s of processor time, {ratio:.2f} "
        f"times the imports (at most 2.5), and {size:.0f} MB (at most 120)",
        flush=True,
    )
    return ratio <= 2.5 and size <= 120


def main() -> int:
    """Measure, print, and fail if a promise is not kept."""
    count, pythons = int((sys.argv[1:2] or ["2000"])[0]), [sys.executable, *sys.argv[2:]]
    kept = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        onnx = packed(Path(name)) / MODEL
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        (wanted,) = (entry.name for entry in session.get_inputs())
        rows = np.random.default_rng(2).standard_normal((32 * TURNS, FEATURES)).astype(np.float32)
        one, many = ([rows[size * turn : size * (turn + 1)] for turn in range(TURNS)] for size in (1, 32))

        def bare(batches: list[np.ndarray[tuple[int, int], np.dtype[np.float32]]], times: int) -> float:
            begin = time.process_time_ns()
            for time_of in range(times):
                session.run(None, {wanted: batches[time_of % TURNS]})
            return (time.process_time_ns() - begin) / 1e3 / times

        serve: list[object] = ["--onnx", onnx, "--http", "0"]
        ours = servers.enter_context(running([sys.executable, *SERVE, *serve]))
        singly = servers.enter_context(running([sys.executable, "-c", ONE_BY_ONE, "serve", *serve]))
        asked = {size: [binary(batch, wanted) for batch in batches] for size, batches in ((1, one), (32, many))}
        bodies: dict[str, list[object]] = {
            "/predict": [{"rows": batch.tolist()} for batch in one],
            V2: [
                {"inputs": [{"name": wanted, "shape": batch.shape, "datatype": "FP32", "data": batch.ravel().tolist()}]}
                for batch in one
            ],
        }
        measured: dict[str, Callable[[], float]] = {
            "bare": lambda: bare(one, count),
            "one row": lambda: cost(ours, asked[1], count),
            "one row, one by one": lambda: cost(singly, asked[1], count),
            "bare 32": lambda: bare(many, count // 16),
            "32 rows": lambda: cost(ours, asked[32], count // 4),
        }
        settled(ours, asked[1])
        settled(singly, asked[1])
        for port, (peer, module, source, path, _) in enumerate(PEERS, start=18431):
            python = interpreter(pythons, module)
            if not python:
                continue
            script = Path(name) / f"serve_{module}.py"
            script.write_text(PEER + source)
            setting = ["env", f"MODEL={onnx}", f"PORT={port}", "BENTOML_DO_NOT_TRACK=True"]
            server = servers.enter_context(running([*setting, python, script]))
            in_json = [
                request(path, json.dumps(body).encode(), "Content-Type: application/json") for body in bodies[path]
            ]
            settled(server, in_json)
            measured[peer] = functools.partial(cost, server, in_json, count // 4)
        rounds = [{what: measure() for what, measure in measured.items()} for _ in range(ROUNDS)]
        found = {what: min(each[what] for each in rounds) for what in measured}
        for what, beside, promised in (
            ("one row", "bare", 8),
            ("one row, one by one", "bare", 11),
            ("32 rows", "bare 32", 1.6),
        ):
            ratio = found[what] / found[beside]
            median = statistics.median(each[what] / each[beside] for each in rounds)
            kept.append(ratio <= promised)
            print(
                f"{what}: {found[what]:.1f} µs a request, bare {found[beside]:.1f}: {ratio:.2f} times, "
                f"in the median round {median:.2f} (at most {promised:g})",
                flush=True,
            )
        for peer, *_, least in PEERS:
            if peer in found:
                ratio = found[peer] / found["one row"]
                median = statistics.median(each[peer] / each["one row"] for each in rounds)
                kept.append(ratio >= least)
                print(
                    f"{peer}, one row: {found[peer]:.0f} µs: {ratio:.1f} times ours, in the median round {median:.1f} "
                    f"(at least {least})",
                    flush=True,
                )
        servers.close()
        kept.append(beside_production(onnx, asked[1], 4 * count))
        kept.append(first_answer(onnx))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
