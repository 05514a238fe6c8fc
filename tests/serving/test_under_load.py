"""A server under load for long: models that change all the time, and memory that does not grow."""

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.sources import read_csv
from tests.serving.test_server import Running, flip, serving
from tests.serving.test_workers import serving as serving_with_workers
from tests.serving.test_workers import until
from tests.support.panels import pack_ridge

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ASSETS = [f"A{number}" for number in range(8)]
ROWS = [
    {"time": "2026-01-02", "asset": name, "momentum": 0.1 + number, "value": 0.25} for number, name in enumerate(ASSETS)
]
FLIPS, KILLS = 100, 20
WARM, MOST_MB = 50_000, 2.0
AT_ONCE, CONNECTIONS = 50, 4


def scores_of(model: Path, folder: Path) -> list[float]:
    """Score the rows with one model alone."""
    path = folder / f"{model.name}.csv"
    path.write_text("\n".join([",".join(ROWS[0]), *(",".join(map(str, row.values())) for row in ROWS), ""]))
    with Adapter(model / "model.onnx", arm="alone") as adapter:
        (piece,) = read_csv(path, adapter.sidecar)
        return [float(score) for score in adapter.tried(piece.rows.matrix)]


def test_of_a_hundred_flips_under_load_none_fails_or_mixes_an_answer(good_model: Path, tmp_path: Path) -> None:
    artifacts = Artifacts.of(good_model)
    other = pack_ridge(artifacts.root, weights=(-1, 0.5), changes="The other way round.")
    alone = {model.name: scores_of(model, tmp_path) for model in (good_model, other)}
    assert not set(alone[good_model.name]) & set(alone[other.name])
    flip(artifacts, good_model.name)
    artifacts.latest_onnx.symlink_to("latest/model.onnx")
    answers, wrong, over = dict.fromkeys(alone, 0), list[object](), threading.Event()

    def load(server: Running) -> None:
        connection = HTTPConnection(server.host, server.port, timeout=30)
        body = json.dumps({"rows": ROWS})
        while not over.is_set():
            connection.request("POST", "/predict", body)
            reply = connection.getresponse()
            said = json.loads(reply.read())
            if reply.status != 200:
                wrong.append(said)
                continue
            found = [row["prediction"] for row in said["predictions"]]
            if found != pytest.approx(alone[said["model_version"]], rel=1e-6):
                wrong.append(said)
            answers[said["model_version"]] += 1
        connection.close()

    with serving(artifacts.latest_onnx) as server, ThreadPoolExecutor() as pool:
        try:
            loads = [pool.submit(load, server) for _ in range(3)]
            for number in range(FLIPS):
                target = (other, good_model)[number % 2].name
                flip(artifacts, target)
                until = time.monotonic() + 60
                while server.ask("/v2/health/ready")[1]["serving"]["version"] != target:
                    assert time.monotonic() < until
                    time.sleep(0.05)
        finally:
            over.set()
        for each in loads:
            each.result(60)
    assert wrong == []
    assert min(answers.values()) > FLIPS


def test_workers_that_flip_and_are_killed_under_load_fail_no_request_and_mix_no_answer(
    good_model: Path, tmp_path: Path
) -> None:
    artifacts = Artifacts.of(good_model)
    other = pack_ridge(artifacts.root, weights=(-1, 0.5), changes="The other way round.")
    alone = {model.name: scores_of(model, tmp_path) for model in (good_model, other)}
    assert not set(alone[good_model.name]) & set(alone[other.name])
    flip(artifacts, good_model.name)
    artifacts.latest_onnx.symlink_to("latest/model.onnx")
    answers, again, wrong, over = dict.fromkeys(alone, 0), [0], list[object](), threading.Event()

    def load(server: Running) -> None:
        body, connection = json.dumps({"rows": ROWS}), HTTPConnection(server.host, server.port, timeout=30)
        while not over.is_set():
            try:
                connection.request("POST", "/predict", body)
                reply = connection.getresponse()
                status, said = reply.status, json.loads(reply.read())
            except (ConnectionError, HTTPException):  # closed before the answer came: the worker was killed
                connection.close()
                again[0] += 1
                continue
            if status != 200:
                wrong.append(said)
                continue
            found = [row["prediction"] for row in said["predictions"]]
            if found != pytest.approx(alone[said["model_version"]], rel=1e-6):
                wrong.append(said)
            answers[said["model_version"]] += 1
        connection.close()

    with serving_with_workers(artifacts.latest_onnx) as server, ThreadPoolExecutor() as pool:
        try:
            loads = [pool.submit(load, server) for _ in range(3)]
            for number in range(FLIPS):
                target = (other, good_model)[number % 2].name
                flip(artifacts, target)
                if number % (FLIPS // KILLS) == 0:
                    killed = server.pids()[number // (FLIPS // KILLS) % 2]
                    os.kill(killed, signal.SIGKILL)
                    until(lambda killed=killed: killed not in server.pids())  # type: ignore[misc]
                until(lambda target=target: server.versions() == [target] * 2)  # type: ignore[misc]
                assert "trouble" not in server.ask("/v2/health/ready")[1]
        finally:
            over.set()
        for each in loads:
            each.result(60)
    print(f"{answers} answers, {again[0]} asked again")
    assert wrong == []
    assert min(answers.values()) > FLIPS
    # Each kill closes the connections of one worker, and no more than there are.
    assert again[0] <= KILLS * len(loads)
    assert server.process.returncode == 0


def ask_many(server: Running, count: int) -> None:
    """Ask so often on a connection, some at once; each must be answered with 200."""
    body = json.dumps({"rows": ROWS[:1]}).encode()
    one = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        for _ in range(count // AT_ONCE):
            connection.sendall(one * AT_ONCE)
            found, tail = 0, b""
            while found < AT_ONCE:
                piece = connection.recv(2**18)
                assert piece, "the server closed the connection"
                found += (tail + piece).count(b"HTTP/1.1 200 OK")
                tail = (tail + piece)[-14:]


def resident_mb(process: int) -> float:
    (line,) = (line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("requests", [100_000, 1_000_000])
def test_the_memory_of_a_server_does_not_grow(good_model: Path, requests: int) -> None:
    with serving(good_model / "model.onnx") as server, ThreadPoolExecutor(CONNECTIONS) as pool:

        def ask(count: int) -> float:
            for each in [pool.submit(ask_many, server, count // CONNECTIONS) for _ in range(CONNECTIONS)]:
                each.result()
            return resident_mb(server.process.pid)

        before = ask(WARM)
        grown = ask(requests) - before
    print(f"{requests} requests: {before:.1f} MB, {grown:+.2f} MB")
    assert grown <= MOST_MB
