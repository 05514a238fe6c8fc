"""What an added worker costs: processor time, memory, and what it brings; and what a logged prediction takes on disk.

    python -m benchmarks.scale [REQUESTS]

A LightGBM of 200 trees on 50 float32 features, binary tensors of 32 rows over 8 connections that are kept, answered by
one process, by two workers and by four, in turns. Processor time is that of all their processes, the supervisor's
too; memory is the share of each (Pss). The client runs on the same cores, so with as many workers as cores or more,
replies a second say little. Promised: with two workers a request costs at most 1.25 times what it does with one
process, and the supervisor takes at most a hundredth of a core.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.http import binary, load, processor_time
from benchmarks.records import write_log
from benchmarks.serving import FEATURES, packed
from pytest_modelgates.model.directory import MODEL

ROWS, TURNS, ROUNDS = 32, 64, 5
LOGGED = 1_000_000
WORKERS = (1, 2, 4)


@dataclass
class Server:
    """A server of so many workers, and what was measured of it."""

    workers: int
    process: int
    port: int
    started_s: float
    cost_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)

    def ready(self) -> dict[str, object]:
        """Ask what it serves."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/health/ready") as reply:
            found: dict[str, object] = json.load(reply)
            return found

    def processes(self) -> list[int]:
        """Its processes: the one that was started first, then the workers if they are others."""
        workers = self.ready().get("workers", [])
        assert isinstance(workers, list)
        return [self.process, *(worker["process"] for worker in workers)]

    def measure(self, requests: list[bytes], count: int) -> None:
        """Send requests, and note processor time and rate."""
        processes = self.processes()
        before, begin = sum(map(processor_time, processes)), time.perf_counter()
        load(self.port, requests, count)
        self.per_s.append(count / (time.perf_counter() - begin))
        self.cost_us.append((sum(map(processor_time, processes)) - before) / count * 1e6)


@contextmanager
def serving(onnx: Path, workers: int) -> Iterator[Server]:
    """Start a server."""
    command = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", onnx, "--http", "0"]
    command += ["--workers", str(workers)]
    begin = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(workers)]
            found = re.search(r"http://127\.0\.0\.1:(\d+)/v2", lines[0])
            assert found
            yield Server(workers, process.pid, int(found[1]), time.perf_counter() - begin)
        finally:
            process.terminate()


def pss_mb(process: int) -> float:
    """Read the memory of a process, with its share of what others map too [10^6 bytes]."""
    (line,) = (each for each in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines() if each[:4] == "Pss:")
    return int(line.split()[1]) * 1024 / 1e6


def back_after_kill(server: Server) -> float:
    """Kill a worker, and give how long it takes until another one serves in its place [s]."""
    killed = server.processes()[1]
    begin = time.perf_counter()
    os.kill(killed, signal.SIGKILL)
    while (
        killed in (found := server.processes())
        or len(found) != len(set(found))
        or '"version": null' in json.dumps(server.ready())
    ):
        time.sleep(0.02)
    return time.perf_counter() - begin


def on_disk(root: Path) -> None:
    """Say what a prediction takes on disk, as lines and compacted, and what compacting takes."""
    write_log(root, LOGGED)
    (root / "models").mkdir()
    log = root / "predictions"
    before = sum(path.stat().st_size for path in log.glob("*/*/*"))
    command = [sys.executable, "-m", "pytest_modelgates", "predictions", "compact", "--artifacts", str(root)]
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    took = time.perf_counter() - begin
    after = sum(path.stat().st_size for path in log.glob("*/*/*"))
    print(
        f"a prediction in the log: {before / LOGGED:.0f} bytes as a line, {after / LOGGED:.0f} compacted, which takes "
        f"{took / LOGGED * 1e6:.1f} µs",
        flush=True,
    )


def main() -> int:
    """Measure, print, and fail if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", nargs="?", type=int, default=4000)
    count = parser.parse_args().requests
    print(f"{os.cpu_count()} cores, and the client on the same ones", flush=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        onnx = packed(Path(name)) / MODEL
        (wanted,) = (entry.name for entry in onnxruntime.InferenceSession(onnx).get_inputs())
        rows = np.random.default_rng(2).standard_normal((ROWS * TURNS, FEATURES)).astype(np.float32)
        requests = [binary(rows[ROWS * turn : ROWS * (turn + 1)], wanted) for turn in range(TURNS)]
        servers = [stack.enter_context(serving(onnx, workers)) for workers in WORKERS]
        for server in servers:
            server.measure(requests, len(requests))
            server.cost_us.clear()
            server.per_s.clear()
        for _ in range(ROUNDS):
            for server in servers:
                server.measure(requests, count)
        one = servers[0]
        for server in servers:
            supervisor, *workers = server.processes()
            each = [pss_mb(process) for process in workers or [supervisor]]
            beside = f", the supervisor {pss_mb(supervisor):.0f} MB" if workers else ""
            ratios = [
                statistics.median(mine / its for mine, its in zip(ours, theirs, strict=True))
                for ours, theirs in ((server.cost_us, one.cost_us), (server.per_s, one.per_s))
            ]
            print(
                f"{server.workers} workers: {min(server.cost_us):.0f} µs a request of {ROWS} rows, {ratios[0]:.2f} "
                f"times one; {statistics.median(server.per_s):.0f} requests/s, {ratios[1]:.2f} times one; "
                f"{statistics.mean(each):.0f} MB each{beside}; started in {server.started_s:.1f} s",
                flush=True,
            )
        two = servers[1]
        kept = statistics.median(mine / its for mine, its in zip(two.cost_us, one.cost_us, strict=True)) <= 1.25
        before = processor_time(two.process)
        time.sleep(10)
        idle = (processor_time(two.process) - before) / 10
        print(f"the supervisor takes {idle:.1%} of a core (at most 1%)", flush=True)
        print(f"a worker that is killed is replaced after {back_after_kill(two):.1f} s", flush=True)
        stack.close()
        on_disk(Path(name) / "log")
    return 0 if kept and idle <= 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
