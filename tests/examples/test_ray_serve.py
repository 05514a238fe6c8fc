"""The example on Ray Serve: two local nodes, load that comes and goes, a flip and a killed replica."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from tests.serving.test_server import flip
from tests.serving.test_under_load import ROWS, scores_of
from tests.support.panels import pack_ridge

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("ray"), reason="Ray is not installed: pip install 'pytest-modelgates[ray]'"
    ),
]

ROOT = Path(__file__).parents[2]
LOADS = 8
UP_S, DOWN_S = 2.0, 5.0
SPARE_S = 90.0  # to start a replica, or to notice, on a busy machine


class Cluster:
    """The cluster's process, and where it answers."""

    def __init__(self, onnx: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        delays = {"MODELGATES_UPSCALE_S": f"{UP_S}", "MODELGATES_DOWNSCALE_S": f"{DOWN_S}"}
        more = {"MODELGATES_ONNX": str(onnx), "MODELGATES_REPLICAS_MAX": "2", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests/support/ray_cluster.py", str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | delays | more | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"},
        )

    def line(self) -> str:
        """Read a line that it says to us."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def replicas(self) -> int:
        """Ask how many replicas run."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.line())

    def wait_for(self, replicas: int, within_s: float) -> float:
        """Wait until so many replicas run, and give how long it took [s]."""
        begin = time.monotonic()
        while self.replicas() != replicas:
            assert time.monotonic() - begin < within_s
            time.sleep(0.2)
        return time.monotonic() - begin


def started(onnx: Path) -> Cluster:
    """Start the cluster; on a busy machine its nodes may not be up within the 15 s that Ray gives their agents."""
    for _ in range(3):
        cluster = Cluster(onnx)
        if cluster.line() == "ready":
            return cluster
        cluster.process.communicate(timeout=120)
    pytest.fail("Ray did not start in three tries; its own messages are above, and in /tmp/ray/session_latest/logs")


def test_replicas_follow_the_load_and_the_link_and_a_killed_one_costs_no_request(
    good_model: Path, tmp_path: Path
) -> None:
    artifacts = Artifacts.of(good_model)
    other = pack_ridge(artifacts.root, weights=(-1, 0.5), changes="The other way round.")
    alone = {model.name: scores_of(model, tmp_path) for model in (good_model, other)}
    flip(artifacts, good_model.name)
    artifacts.latest_onnx.symlink_to("latest/model.onnx")
    answers, again, wrong, over = Counter[str](), list[object](), list[object](), threading.Event()
    cluster = started(artifacts.latest_onnx)

    def load() -> None:
        body, connection = json.dumps({"rows": ROWS}), HTTPConnection("127.0.0.1", cluster.port, timeout=60)
        while not over.is_set():
            try:
                connection.request("POST", "/predict", body)
                reply = connection.getresponse()
                status, content = reply.status, reply.read()
            except (ConnectionError, HTTPException) as error:
                connection.close()
                again.append(error)
                continue
            if status in (500, 503):  # of Ray's proxy: the replica died before it answered
                again.append(content)
                continue
            said = json.loads(content)
            found = [row["prediction"] for row in said["predictions"]]
            if status != 200 or found != pytest.approx(alone[said["model_version"]], rel=1e-6):
                wrong.append(said)
            answers[said["model_version"]] += 1
        connection.close()

    try:
        cluster.wait_for(1, SPARE_S)
        with ThreadPoolExecutor() as pool:
            try:
                loads = [pool.submit(load) for _ in range(LOADS)]
                risen = cluster.wait_for(2, UP_S + SPARE_S)
                flip(artifacts, other.name)
                deadline = time.monotonic() + SPARE_S
                while answers[other.name] < 100:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                # Each replica has a part of the log, which is named after its process.
                parts = sorted(artifacts.predictions.glob("live/*/*.jsonl"))
                pids = [int(part.stem.split("-")[-2]) for part in parts]
                killed = next(pid for pid in pids if Path(f"/proc/{pid}").exists())
                before = sum(answers.values())
                os.kill(killed, signal.SIGKILL)
                deadline = time.monotonic() + SPARE_S
                while sum(answers.values()) < before + 200:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                cluster.wait_for(2, SPARE_S)
            finally:
                over.set()
            for each in loads:
                each.result(120)
        fallen = cluster.wait_for(1, DOWN_S + SPARE_S)
    finally:
        cluster.process.communicate(timeout=120)  # it ends where its lines do
    print(f"{dict(answers)} answers, {len(again)} asked again; up after {risen:.0f} s, down after {fallen:.0f} s")
    assert wrong == []
    assert min(answers.values()) > 0
    assert len(again) <= 2 * LOADS
    assert fallen >= DOWN_S / 2
