"""What a request over HTTP costs the server, in processor time, against ONNX Runtime alone and against FastAPI.

    python -m benchmarks.http [REQUESTS]

A LightGBM of 200 trees on 50 float32 features, 8 connections that are kept, and the processor time of the server's
process. Bare is `session.run`: of one row, 64 rows in rotation, one thread, in a process of its own. Promised: one row,
as a binary tensor, with all checks, log and metrics, costs at most 8 times bare; 32 rows at most 1.6 times a bare run
of 32; a client waits at most 1.1 times as long for a reply if a model in shadow scores the same rows; and FastAPI with
uvicorn, which only parses JSON and runs the model, costs at least 3 times as much. It is measured if it is installed.
"""

import asyncio
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.serving import FEATURES, least, packed
from pytest_modelgates.model.directory import MODEL

CONNECTIONS, TURNS = 8, 64
ROUNDS = 5
FASTAPI = """
import sys
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(wanted,) = (entry.name for entry in session.get_inputs())
app = FastAPI()


class Rows(BaseModel):
    rows: list[list[float]]


@app.post("/predict")
async def predict(body: Rows) -> dict:
    scores = session.run(None, {wanted: np.array(body.rows, dtype=np.float32)})[0]
    return {"predictions": scores.ravel().tolist()}


print("http://127.0.0.1:" + sys.argv[2], flush=True)
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""


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
            process.terminate()


def processor_time(pid: int) -> float:
    """Read what a process has used so far [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(port: int, requests: list[bytes], count: int) -> None:
    """Send requests over several connections, each after the reply to the one before."""

    async def one(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, count, CONNECTIONS):
            writer.write(requests[number % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            size = re.search(rb"\ncontent-length: (\d+)", head)
            assert size
            await reader.readexactly(int(size[1]))
        writer.close()

    await asyncio.gather(*map(one, range(CONNECTIONS)))


def cost(server: tuple[int, int], requests: list[bytes], count: int) -> float:
    """Measure the processor time of a request [µs], the least of several rounds."""
    pid, port = server
    deadline = time.monotonic() + 30
    while True:
        try:
            asyncio.run(load(port, requests, len(requests)))
            break
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    found = []
    for _ in range(ROUNDS):
        before = processor_time(pid)
        asyncio.run(load(port, requests, count))
        found.append((processor_time(pid) - before) / count * 1e6)
    return min(found)


def reply_time(port: int, requests: list[bytes], count: int) -> float:
    """Measure how long a client waits for a reply, one request after the other [µs], the median."""

    async def ask() -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = []
        for number in range(count):
            begin = time.perf_counter()
            writer.write(requests[number % len(requests)])
            size = re.search(rb"\ncontent-length: (\d+)", await reader.readuntil(b"\r\n\r\n"))
            assert size
            await reader.readexactly(int(size[1]))
            found.append((time.perf_counter() - begin) * 1e6)
        writer.close()
        return found

    return statistics.median(asyncio.run(ask()))


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
    command: list[object] = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", onnx, "--http", "0"]
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


def main() -> int:
    """Measure, print, and fail if a promise is not kept."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    kept = []
    with tempfile.TemporaryDirectory() as name:
        onnx = packed(Path(name)) / MODEL
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        (wanted,) = (entry.name for entry in session.get_inputs())
        rows = np.random.default_rng(2).standard_normal((32 * TURNS, FEATURES)).astype(np.float32)
        bare, ours = {}, {}
        with running([sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", onnx, "--http", "0"]) as server:
            for size, promised in ((1, 8.0), (32, 1.6)):
                batches = [rows[size * turn : size * (turn + 1)] for turn in range(TURNS)]
                turns = iter(batches * (30 * 2000))
                run: dict[str, Callable[[], object]] = {
                    "bare": lambda turns=turns: session.run(None, {wanted: next(turns)})  # type: ignore[misc]
                }
                bare[size] = least(run, rounds=15, times=2000 // size)["bare"]
                ours[size] = cost(server, [binary(batch, wanted) for batch in batches], count // (4 if size > 1 else 1))
                ratio = ours[size] / bare[size]
                kept.append(ratio <= promised)
                print(
                    f"{size} rows: {ours[size]:.1f} µs a request, bare {bare[size]:.1f}: {ratio:.2f} times "
                    f"(at most {promised:g})",
                    flush=True,
                )
        kept.append(beside_production(onnx, [binary(rows[[turn]], wanted) for turn in range(TURNS)], count))
        if importlib.util.find_spec("fastapi"):
            with running([sys.executable, "-c", FASTAPI, onnx, "18431"]) as server:
                bodies = [
                    request(
                        "/predict",
                        json.dumps({"rows": rows[[turn]].tolist()}).encode(),
                        "Content-Type: application/json",
                    )
                    for turn in range(TURNS)
                ]
                peer = cost(server, bodies, count)
            kept.append(peer >= 3 * ours[1])
            print(f"FastAPI and uvicorn, one row: {peer:.1f} µs: {peer / ours[1]:.2f} times ours (at least 3)")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
