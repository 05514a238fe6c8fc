"""Several workers on one port: they agree on the model, one that dies is started again, and all stop together."""

import errno
import multiprocessing
import multiprocessing.context
import multiprocessing.pool
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import ab
from pytest_modelgates.audit.kill import kill
from pytest_modelgates.cli import main
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.board import Board, Place
from pytest_modelgates.serving.http import Application, Served
from pytest_modelgates.serving.workers import Supervisor
from tests.serving.test_dealing import ask as ask_rows
from tests.serving.test_http import ask
from tests.serving.test_server import ROW, Running, flip
from tests.support import workers as work
from tests.support.ab import keys_of, plan_of
from tests.support.handmade import Registry, logged, renamed

Capture = pytest.CaptureFixture[str]


def until(done: Callable[[], object], *, patience_s: float = 60.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Workers(Running):
    """Workers on a port, and the door of each."""

    def __init__(self, onnx: Path, process: "subprocess.Popen[str]", address: str, doors: list[str]) -> None:
        super().__init__(onnx, process, address)
        self.doors = [Running(onnx, process, door) for door in doors]

    def pids(self) -> list[int]:
        """The process of each worker."""
        return [worker["process"] for worker in self.ask("/v2/health/ready")[1]["workers"]]

    def versions(self) -> list[str | None]:
        """What each worker serves."""
        return [worker["version"] for worker in self.ask("/v2/health/ready")[1]["workers"]]


@contextmanager
def serving(onnx: Path, count: int = 2, *options: str) -> Iterator[Workers]:
    """Serve a model with workers."""
    registry = Artifacts.of(onnx.resolve().parent).root.parent / "registry"
    registry.mkdir(exist_ok=True)
    (registry / "policy.toml").touch()
    command = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", onnx, "--http", "0"]
    command += ["--workers", str(count), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            address, doors = "", {}
            for _ in range(count):
                line = process.stdout.readline()
                said = re.match(r"\d+ \(live\): http://(\S+)/v2/models/\S+; worker (\d) of \d: http://(\S+)\n", line)
                assert said, (line, process.communicate(timeout=30))
                address, doors[said[2]] = said[1], said[3]
            yield Workers(onnx, process, address, [doors[number] for number in sorted(doors)])
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def latest(good_model: Path) -> Path:
    """The link to the model that is live."""
    artifacts = Artifacts.of(good_model)
    flip(artifacts, good_model.name)
    artifacts.latest_onnx.symlink_to("latest/model.onnx")
    return artifacts.latest_onnx


@pytest.mark.integration
def test_workers_share_a_port_and_each_has_a_log_and_metrics_of_its_own(latest: Path, capsys: Capture) -> None:
    with serving(latest) as server:
        model = latest.resolve().parent.name
        status, said = server.ask("/v2/health/ready")
        pids = [worker["process"] for worker in said["workers"]]
        assert (status, said["ready"], "trouble" in said) == (200, True, False)
        assert said["workers"] == [
            {"worker": number, "process": pid, "version": model} for number, pid in enumerate(pids, 1)
        ]
        assert len({*pids, server.process.pid}) == 3
        for rows, door in enumerate(server.doors, 1):
            for _ in range(rows):
                assert door.ask("/predict", {"rows": [ROW]})[0] == 200
        for rows, door in enumerate(server.doors, 1):
            metrics = door.raw(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert f'\nmodelgates_rows_total{{result="scored"}} {rows}.0\n'.encode() in metrics
        each = ", ".join(f"http://{door.address}/metrics" for door in server.doors)
        assert server.ask("/metrics") == (404, {"error": f"/metrics: each worker has its own: {each}"})
        assert main(["kill", "--drill", "--artifacts", str(server.artifacts.root)]) == 0
        proved = capsys.readouterr().out
        assert all(f"proved  process {pid} on " in proved for pid in pids)
        assert "2 of 2 servers refused a row while killed and came back" in proved
    assert server.process.returncode == 0
    parts = sorted(path.name for path in server.artifacts.predictions.glob("live/*/*.jsonl"))
    assert [re.fullmatch(r".*-(\d+)-0\.jsonl", part)[1] for part in parts] == sorted(map(str, pids))  # type: ignore[index]
    assert len(logged(server.artifacts, "live")) == 3


@pytest.mark.integration
def test_a_worker_that_dies_is_started_again_where_it_was_and_none_outlives_its_supervisor(latest: Path) -> None:
    with serving(latest) as server:
        first, second = server.pids()
        os.kill(first, signal.SIGKILL)
        assert server.doors[1].ask("/predict", {"rows": [ROW]})[0] == 200
        until(lambda: server.pids()[0] != first and None not in server.versions())
        assert server.doors[0].ask("/predict", {"rows": [ROW]})[0] == 200
        third, fourth = server.pids()
        assert fourth == second
        server.process.kill()
        _, err = server.process.communicate(timeout=30)  # to the end of the last that could say anything
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (third, fourth)))
    assert err == f"modelgates: worker 1 (process {first}) ended by signal 9; another one is started\n"


@pytest.mark.integration
def test_after_a_flip_ready_says_which_worker_serves_the_model_before(latest: Path) -> None:
    before = latest.resolve().parent
    after = renamed(before, str(int(before.name) + 1))
    with serving(latest) as server:
        first, _ = server.pids()
        os.kill(first, signal.SIGSTOP)
        flip(server.artifacts, after.name)
        until(lambda: server.doors[1].ask("/v2/health/ready")[1]["serving"]["version"] == after.name)
        status, said = server.doors[1].ask("/v2/health/ready")
        assert (status, said["trouble"]) == (200, f"worker 1 (process {first}) serves {before.name}")
        os.kill(first, signal.SIGCONT)
        until(lambda: server.versions() == [after.name] * 2)
        assert "trouble" not in server.ask("/v2/health/ready")[1]


@pytest.mark.integration
def test_a_kill_reaches_all_of_them_and_a_signal_those_to_come(latest: Path) -> None:
    with serving(latest) as server:
        done = kill(server.artifacts, "live", "wrong", "kill")
        for door in server.doors:
            status, said = door.ask("/predict", {"rows": [ROW]})
            assert (status, said["error"].startswith(str(done))) == (503, True)
        done.path.unlink()
        assert [door.ask("/predict", {"rows": [ROW]})[0] for door in server.doors] == [200, 200]
        server.process.send_signal(signal.SIGUSR1)
        until(lambda: [door.ask("/predict", {"rows": [ROW]})[0] for door in server.doors] == [503, 503])
        first, _ = server.pids()
        os.kill(first, signal.SIGKILL)
        until(lambda: server.pids()[0] != first and None not in server.versions())
        status, said = server.doors[0].ask("/v2/health/ready")
        assert (status, said["error"]) == (
            503,
            "the kill switch is on (SIGUSR1): nothing is scored; start again to go on",
        )


@pytest.mark.integration
def test_each_deals_a_row_to_the_arm_that_the_others_do_and_shadows_what_it_answers(registry: Registry) -> None:
    artifacts = registry.artifacts
    plan = plan_of(artifacts, registry.live, registry.candidate)
    ab.start(artifacts, plan)
    with serving(
        artifacts.latest_onnx, 2, "--beside", str(artifacts.model(registry.candidate) / "model.onnx")
    ) as server:
        first, second = (ask_rows(door, "2026-01-02") for door in server.doors)
        assert first == second
        assert {row.get("model_version") for row in first} == {None, plan.candidate}
        for row in first:
            assert row.get("model_version") == (plan.candidate if plan.takes(str(row["row_key"])) else None)
    assert server.process.returncode == 0
    twice = sorted([str(row["row_key"]) for row in first] * 2)
    assert keys_of([*logged(artifacts, "live"), *logged(artifacts, ab.ARM)]) == twice
    assert keys_of(logged(artifacts, "shadow")) == twice


@pytest.mark.integration
def test_they_drain_with_their_supervisor(latest: Path) -> None:
    with serving(latest) as server:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
        body = b'{"rows": [{"time": "2026-01-02", "asset": "A", "momentum": 0.5, "value": 0.25}]}'
        request = head + str(len(body)).encode() + b"\r\n\r\n" + body
        with multiprocessing.pool.ThreadPool(1) as pool:
            reply = pool.apply_async(server.raw, (request[:-1], request[-1:]), {"pause": 1.0})
            time.sleep(0.5)
            server.process.terminate()
            assert reply.get(30).startswith(b"HTTP/1.1 200")
        assert server.process.wait(30) == 0


@pytest.mark.integration
def test_a_model_that_cannot_be_verified_ends_all_before_anything_is_answered(latest: Path) -> None:
    with (latest.resolve()).open("ab") as file:
        file.write(b"\0")
    command = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", latest, "--http", "0", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert re.match(r"modelgates: \d+: model\.onnx: \d+ bytes, the manifest says \d+", line)


def supervised(what: Callable[..., None], count: int = 2) -> int:
    """Supervise workers that do this."""
    return Supervisor(what, count, address=("127.0.0.1", 0), doors=("127.0.0.1", 0), timeout_s=0.5, drain_s=1.0).run()


def test_if_the_first_worker_never_serves_its_status_is_that_of_all(capsys: Capture) -> None:
    assert supervised(work.refuses) == 1
    assert supervised(work.crashes) == 3
    assert capsys.readouterr().err == ""


def test_workers_that_do_not_come_back_are_tried_less_and_less_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    monkeypatch.setattr("pytest_modelgates.serving.workers._TRIES", 2)
    monkeypatch.setenv("MODELGATES_TEST", str(tmp_path / "served"))
    assert supervised(work.serves_once, 1) == 1
    said = re.sub(r"process \d+", "process N", capsys.readouterr().err)
    assert said.splitlines() == [
        "modelgates: worker 1 (process N) ended with status 0; another one is started",
        "modelgates: worker 1 (process N) ended with status 1 before it served, 1 time in a row; tried again in 1 s",
        "modelgates: worker 1 (process N) ended with status 1 before it served, 2 times in a row; tried again in 2 s",
        "modelgates: none of 1 worker comes to serve, after 2 tries of each; their log says why",
    ]


def test_a_worker_without_a_sign_of_life_is_killed(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    monkeypatch.setattr("pytest_modelgates.serving.workers._TRIES", 1)
    monkeypatch.setattr("pytest_modelgates.serving.workers._SPARE_S", 0.1)
    monkeypatch.setenv("MODELGATES_TEST", str(tmp_path / "served"))
    assert supervised(work.hangs_once, 1) == 1
    silent, killed = capsys.readouterr().err.splitlines()[:2]
    assert re.fullmatch(r"modelgates: worker 1 \(process \d+\) shows no sign of life for 1 s; killed", silent)
    assert re.fullmatch(r"modelgates: worker 1 \(process \d+\) ended by signal 9; another one is started", killed)


def test_a_supervisor_that_was_stopped_itself_takes_none_for_dead(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    """The clock jumps by a minute between two looks of the supervisor, as after Ctrl-Z, while its worker is at work."""
    monkeypatch.setattr("pytest_modelgates.serving.workers._TRIES", 1)
    monkeypatch.setenv("MODELGATES_TEST", str(tmp_path / "served"))
    jumped = list[float]()

    def clock(read: Callable[[], float] = time.monotonic) -> float:
        if work.is_served(tmp_path) and not jumped:
            jumped.append(60.0)
        return read() + sum(jumped)

    monkeypatch.setattr("pytest_modelgates.serving.workers.time.monotonic", clock)
    assert supervised(work.serves_for_a_while, 1) == 1
    assert jumped
    said = capsys.readouterr().err
    assert "ended with status 0; another one is started" in said
    assert "no sign of life" not in said


def test_a_process_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    monkeypatch.setattr("pytest_modelgates.serving.workers._TRIES", 2)
    monkeypatch.setenv("MODELGATES_TEST", str(tmp_path / "served"))
    start = multiprocessing.context.SpawnProcess.start

    def fails(process: multiprocessing.context.SpawnProcess) -> None:
        if work.is_served(tmp_path):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        start(process)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", fails)
    assert supervised(work.serves_once, 1) == 3
    what = f"modelgates: worker 1 cannot be started ({os.strerror(errno.EAGAIN)})"
    assert capsys.readouterr().err.splitlines()[1:3] == [
        f"{what}, 1 time in a row; tried again in 1 s",
        f"{what}, 2 times in a row; tried again in 2 s",
    ]


def test_ready_says_how_it_is_with_each_other_worker(good_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(multiprocessing.get_context("spawn"), 4)
    for number in range(1, 5):
        board.begins(number, 100 + number, failed=0)
    board.serves(2, good_model.name)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 8)
    board.serves(1, good_model.name)
    board.serves(3, "0000000007")
    board.gone(4, failed=3)
    place = Place(board, 1, tuple(f"127.0.0.1:{9000 + number}" for number in range(4)))
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        application = Application(Served(adapter), max_body=1000, place=place)
        said = ask(application, "/v2/health/ready")[2].decode()
    assert (
        '"trouble":"worker 2 (process 102) is not at work for 8 s; worker 3 (process 103) serves 0000000007; '
        'worker 4 serves nothing yet and has ended 3 times before it served"'
    ) in said


REFUSED = {
    "no-port": (
        ["--csv", "rows.csv", "--workers", "2"],
        "--workers share a port: give --http PORT; a file, a pipe or a feed has one reader",
    ),
    "past-the-last-port": (
        ["--http", "0", "--workers", "2", "--metrics", "65535"],
        "--metrics 65535: 2 workers need the ports up to 65536, and 65535 is the last there is",
    ),
    "twice": (
        ["--http", "8081", "--workers", "2", "--metrics", "8080"],
        "--metrics 8080: 2 workers need the ports up to 8081, and --http has 8081",
    ),
    "one": (
        ["--http", "0", "--metrics", "8080"],
        "--metrics is for --follow, --feed and --workers; one server of --http has /metrics of its own",
    ),
}


@pytest.mark.parametrize(("words", "why"), REFUSED.values(), ids=REFUSED)
def test_words_that_mean_nothing_together_are_refused(words: list[str], why: str, capsys: Capture) -> None:
    assert main(["serve", "--onnx", "model.onnx", *words]) == 2
    assert why in capsys.readouterr().err
