"""A drill of the kill switch: what servers show, and what is left when it fails or is cut short."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Event, read_history
from pytest_modelgates.audit.kill import drilling, kill, killed
from pytest_modelgates.cli import main
from pytest_modelgates.errors import RefusedError, RegistryError
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.serving import running as running_module
from pytest_modelgates.serving.drill import Drill, Shown, drill, last_drill, record_drill
from pytest_modelgates.serving.guards import KillSwitch
from pytest_modelgates.serving.running import Announced, running
from pytest_modelgates.storage.lock import locked_file
from tests.serving.test_server import ROW, serving
from tests.support.handmade import logged

RULES = LockRules(lock_timeout_s=5, network_file_system=False)
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """An artifacts root without a model."""
    (tmp_path / "artifacts" / "models").mkdir(parents=True)
    return Artifacts(tmp_path / "artifacts")


class Stubborn(BaseHTTPRequestHandler):
    """A server that never heard of a kill switch."""

    ready = 200

    def do_GET(self) -> None:
        said: dict[str, object] = {"serving": {"name": "m", "version": "1"}, "ready": True}
        if self.path == "/v2/models/m":
            said = {"inputs": [{"name": "x", "datatype": "BOOL", "shape": [-1, 2]}]}
        self.reply(self.ready, said)

    def do_POST(self) -> None:
        self.reply(200, {"outputs": []})

    def reply(self, status: int, said: object) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the parent's name
        pass


class NotReady(Stubborn):
    """One that is not ready."""

    ready = 503


class Late(Stubborn):
    """One that says 503 to everybody, for its own reasons, while a file that it looks for is there."""

    root: Path

    def reply(self, status: int, said: object) -> None:
        super().reply(503 if (self.root / "KILL.all").exists() else status, said)


@contextmanager
def announced(artifacts: Artifacts, kind: type[Stubborn]) -> Iterator[None]:
    """Run a server of such a kind that a drill finds."""
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            with Announced(artifacts, "live", "0.0.0.0", server.server_address[1]):
                yield
        finally:
            server.shutdown()


def drills(artifacts: Artifacts) -> list[Event]:
    return [event for event in read_history(artifacts.promotions) if getattr(event, "kind", "") == "drill"]  # type: ignore[misc]


@pytest.mark.integration
def test_every_running_server_refuses_says_why_lives_and_comes_back(good_model: Path, capsys: Capture) -> None:
    with serving(good_model / "model.onnx") as one, serving(good_model / "model.onnx") as two:
        root = one.artifacts
        assert [replica.pid for replica in running(root)] == sorted([one.process.pid, two.process.pid])
        assert main(["kill", "--drill", "--reason", "spring", "--artifacts", str(root.root)]) == 0
        said = capsys.readouterr().out.splitlines()
        for line, server in zip(said[:2], sorted([one, two], key=lambda each: each.process.pid), strict=True):
            assert line.startswith(f"proved  process {server.process.pid} on {os.uname().nodename} (live, 127.0.0.1:")
            assert " ms, ready again after " in line
        assert said[2:] == ["2 of 2 servers refused a row while killed and came back; nothing is left stopped"]
        assert one.ask("/predict", {"rows": [ROW]})[0] == 200
    # No row of the drill was scored, and the servers took their files away.
    assert [record.row_key for record in logged(root, "live")] == ["2026-01-02|A"]
    assert list(root.running.iterdir()) == []
    (event,) = drills(root)
    assert event.reason == "2 of 2 servers refused a row while killed and came back: spring"
    found = last_drill(root)
    assert found
    assert found.proved
    assert (root.drills / f"{event.evidence}.json").exists()


@pytest.mark.integration
def test_a_server_that_was_ended_by_force_is_not_asked(good_model: Path, capsys: Capture) -> None:
    with serving(good_model / "model.onnx") as server:
        server.process.kill()
        server.process.wait(30)
        assert len(list(server.artifacts.running.iterdir())) == 1
        assert main(["kill", "--drill", "--artifacts", str(server.artifacts.root)]) == 1
        assert "no server runs that could show anything; start modelgates serve" in capsys.readouterr().err
        assert list(server.artifacts.running.iterdir()) == []


@contextmanager
def run_over_a_pipe(model: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Score what a pipe brings, in a process of its own that is listed as running."""
    command = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", model / "model.onnx", "--jsonl", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + 30
            while not running(Artifacts.of(model)):
                assert time.monotonic() < until
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


@pytest.mark.integration
def test_a_run_over_rows_is_left_alone_or_shows_by_its_end_that_it_stops(good_model: Path, capsys: Capture) -> None:
    words = ["kill", "--drill", "--artifacts", str(Artifacts.of(good_model).root)]
    with run_over_a_pipe(good_model) as process:
        assert main(words) == 1
        said = capsys.readouterr().err.splitlines()
        assert said == [
            "modelgates: nothing was stopped:",
            f"process {process.pid} on {os.uname().nodename} (live, a run over rows): would end, as it does when it is "
            "killed; wait for its end, or give --end-runs",
        ]
        over = threading.Event()

        def feed() -> None:
            assert process.stdin
            with suppress(BrokenPipeError):
                while not over.wait(0.02):
                    process.stdin.write(json.dumps(ROW).encode() + b"\n")
                    process.stdin.flush()

        feeding = threading.Thread(target=feed)
        feeding.start()
        try:
            assert main([*words, "--end-runs"]) == 0
        finally:
            over.set()
            feeding.join()
        one, last = capsys.readouterr().out.splitlines()
        assert one.startswith(f"proved  process {process.pid} on ")
        assert one.endswith(" ms; start it again")
        assert last == "1 of 1 run ended; nothing is left stopped"
        assert process.wait(30) == 1
        assert process.stderr
        assert b"kill drill" in process.stderr.read()


@pytest.mark.integration
def test_a_run_that_nothing_comes_to_shows_nothing(good_model: Path) -> None:
    artifacts = Artifacts.of(good_model)
    with run_over_a_pipe(good_model), announced(artifacts, Stubborn):
        found = drill(artifacts, RULES, end_runs=True, patience_s=0.1)
    assert str(found) == "0 of 1 server refused a row while killed and came back, 0 of 1 run ended"
    assert "goes on: it looks before each row, and perhaps none has come" in str(found.servers)
    assert not found.proved
    assert killed(artifacts) == []


def test_runs_are_ended_by_a_drill_alone(artifacts: Artifacts, capsys: Capture) -> None:
    assert main(["kill", "--end-runs", "--reason", "x", "--artifacts", str(artifacts.root)]) == 2
    assert capsys.readouterr().err == "modelgates: --end-runs says what a drill may end: give --drill\n"


def test_a_server_that_answers_all_the_same_fails_the_drill(artifacts: Artifacts) -> None:
    with announced(artifacts, Stubborn):
        found = drill(artifacts, RULES, patience_s=0.1)
    assert not found.proved
    (shown,) = found.servers
    assert shown.why == "/v2/health/ready says 200, expected 503 while it is killed"
    assert str(shown).startswith("NOT PROVED  process ")
    assert str(found) == "0 of 1 server refused a row while killed and came back"
    assert killed(artifacts) == []
    # The audit log has it, and it counts for nothing.
    assert [event.reason for event in drills(artifacts)] == [str(found)]
    assert last_drill(artifacts) is None


def test_503_for_another_reason_proves_nothing(artifacts: Artifacts) -> None:
    Late.root = artifacts.root
    with announced(artifacts, Late):
        (shown,) = drill(artifacts, RULES, patience_s=0.1).servers
    assert shown.why is not None
    assert shown.why.startswith("/v2/health/ready says 503, but not for the drill: ")


def test_a_server_that_is_not_ready_before_is_named_and_nothing_is_stopped(artifacts: Artifacts) -> None:
    with (
        announced(artifacts, NotReady),
        pytest.raises(RefusedError, match=r"nothing was stopped:\nprocess .*not ready"),
    ):
        drill(artifacts, RULES)
    with (
        Announced(artifacts, "live", "127.0.0.1", 1),
        pytest.raises(RefusedError, match=r"cannot be asked \(ConnectionRefused.*drill on the machine where it runs"),
    ):
        drill(artifacts, RULES)
    assert (killed(artifacts), drills(artifacts)) == ([], [])


def test_what_is_stopped_already_shows_nothing(artifacts: Artifacts) -> None:
    kill(artifacts, "shadow", "wrong", "kill")
    with pytest.raises(RefusedError, match=r"arm shadow was killed by .*: wrong; a drill shows nothing of what is"):
        drill(artifacts, RULES)
    assert [each.arm for each in killed(artifacts)] == ["shadow"]


def test_a_drill_waits_for_the_lock_before_it_stops_anything(artifacts: Artifacts) -> None:
    with (
        announced(artifacts, Stubborn),
        locked_file(artifacts.lock, timeout_s=1),
        pytest.raises(RegistryError, match=r"waited 0 s"),
    ):
        drill(artifacts, LockRules(lock_timeout_s=0, network_file_system=False))
    assert killed(artifacts) == []


def test_a_drill_is_of_every_arm(artifacts: Artifacts, capsys: Capture) -> None:
    assert main(["kill", "--drill", "--arm", "live", "--artifacts", str(artifacts.root)]) == 2
    assert capsys.readouterr().err == "modelgates: a drill stops every arm for a moment; leave --arm out\n"


def test_a_real_kill_during_a_drill_stays(artifacts: Artifacts) -> None:
    with drilling(artifacts, "drill"):
        assert {each.arm for each in killed(artifacts)} == {"all"}
        kill(artifacts, "all", "fire", "kill")
    assert [each.kill.reason for each in killed(artifacts)] == ["fire"]
    with pytest.raises(Exception, match="fire"):
        KillSwitch(artifacts, "live").refuse()


def test_a_file_that_somebody_wrote_over_the_drills_stays_and_is_named(artifacts: Artifacts) -> None:
    with (  # the end of the block is what raises
        pytest.raises(RegistryError, match=r"cannot be removed \(somebody else wrote it meanwhile\), so every arm is"),
        drilling(artifacts, "drill"),
    ):
        artifacts.kill_of_drill.write_text("")
    assert [each.arm for each in killed(artifacts)] == ["all"]


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
def test_a_drill_that_is_cut_short_leaves_nothing_stopped_or_says_so(artifacts: Artifacts, number: int) -> None:
    command = [sys.executable, "-m", "pytest_modelgates", "kill", "--drill", "--artifacts", str(artifacts.root)]
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  # a shell's background job ignores it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with announced(artifacts, Stubborn), subprocess.Popen(command, **pipes, preexec_fn=heard) as process:
        until = time.monotonic() + 30
        while not artifacts.kill_of_drill.exists():
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert last_drill(artifacts) is None
    if number == signal.SIGKILL:
        (left,) = killed(artifacts)
        assert "kill drill; if it stays, the drill was ended by force: modelgates unkill" in str(left)
        assert main(["unkill", "--reason", "no drill runs", "--artifacts", str(artifacts.root)]) == 0
    else:
        assert process.returncode == 130
        # http.client says something before, if the signal meets it while it makes a reply.
        assert said.splitlines()[-2:] == [
            "modelgates: the drill was cut short and shows nothing; nothing is left stopped",
            "modelgates: interrupted",
        ]
    assert killed(artifacts) == []


def proved(ended: datetime) -> Drill:
    shown = Shown(server="s", model="m", stopped_s=0.1, resumed_s=0.1, why=None)
    return Drill(began=ended, ended=ended, actor="a", servers=(shown,))


def test_the_last_drill_is_the_newest_whose_file_is_what_the_log_says(artifacts: Artifacts) -> None:
    assert last_drill(artifacts) is None
    now = datetime.now(UTC)
    for age in (3, 2, 1):
        record_drill(artifacts, proved(now - timedelta(days=age)))
    assert last_drill(artifacts) == proved(now - timedelta(days=1))
    newest = drills(artifacts)[-1].evidence
    (artifacts.drills / f"{newest}.json").write_text("{}")
    assert last_drill(artifacts) == proved(now - timedelta(days=2))
    for path in artifacts.drills.iterdir():
        path.unlink()
    assert last_drill(artifacts) is None


def test_files_of_servers_are_read_as_far_as_they_are_some(artifacts: Artifacts) -> None:
    assert running(artifacts) == []
    with Announced(artifacts, "live", "::1", 80):
        (path,) = artifacts.running.iterdir()
        (artifacts.running / "x.json").write_text("{}")
        (artifacts.running / "notes.txt").write_text("")
        elsewhere = json.loads(path.read_text()) | {"host": "elsewhere", "pid": 2}
        (artifacts.running / "elsewhere-2-0.json").write_text(json.dumps(elsewhere))
        # Its lock may not reach us, so it runs while it says so.
        assert [replica.pid for replica in running(artifacts)] == [2, os.getpid()]
        assert str(running(artifacts)[1]).endswith("(live, [::1]:80)")
        old = time.time() - 60
        os.utime(artifacts.running / "elsewhere-2-0.json", (old, old))
        assert [replica.pid for replica in running(artifacts)] == [os.getpid()]
        assert (artifacts.running / "elsewhere-2-0.json").exists()
        os.utime(artifacts.running / "elsewhere-2-0.json", (old - 86_400, old - 86_400))
        assert [replica.pid for replica in running(artifacts)] == [os.getpid()]
    assert sorted(path.name for path in artifacts.running.iterdir()) == ["notes.txt", "x.json"]


@pytest.mark.parametrize("address", [None, "127.0.0.1"])
def test_one_that_has_nothing_to_do_says_that_it_runs(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    monkeypatch.setattr(running_module, "_RENEW_S", 0.001)
    with Announced(artifacts, "live", address, 80):
        (path,) = artifacts.running.iterdir()
        long_ago = time.time() - 3600
        os.utime(path, (long_ago, long_ago))
        until = time.monotonic() + 30
        while path.stat().st_mtime == long_ago:
            assert time.monotonic() < until


def test_a_server_that_cannot_be_announced_says_so_and_runs(artifacts: Artifacts, capsys: Capture) -> None:
    artifacts.running.write_text("")
    with Announced(artifacts, "live", "127.0.0.1", 80):
        pass
    assert "no drill finds this process" in capsys.readouterr().err
