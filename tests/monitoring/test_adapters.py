"""Servers are asked which model they serve, until all serve the one that is live or the time is up."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.monitoring.adapters import READY, confirm, serves
from pytest_modelgates.serving.running import Announced

NOWHERE = Artifacts(Path("nowhere"))


@contextmanager
def server(*answers: tuple[int, str]) -> Iterator[str]:
    """Run a server that gives these answers one after the other, and the last one for good."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status if self.path == READY else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{found.server_address[1]}"
    finally:
        found.shutdown()
        thread.join()
        found.server_close()


def ready(version: str, *workers: str | None, status: int = 200) -> tuple[int, str]:
    said: dict[str, object] = {"ready": status == 200, "serving": {"name": "ridge", "version": version}}
    if workers:
        said["workers"] = [{"worker": at, "process": at, "version": each} for at, each in enumerate(workers, 1)]
    return status, json.dumps(said)


def confirmed(*addresses: str, artifacts: Artifacts = NOWHERE) -> list[str]:
    """Ask for at most four rounds."""
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    return confirm(artifacts, "live", addresses, "1700000001", within_s=2.0, clock=lambda: now[0], pause=pause)


def test_a_server_that_follows_the_link_is_asked_until_it_has() -> None:
    with server(ready("1700000002"), ready("1700000002"), ready("1700000001")) as address:
        assert confirmed(address) == [f"{address} serves 1700000001"]


def test_the_worker_that_answers_speaks_for_all_of_its_port() -> None:
    new, old = "1700000001", "1700000002"
    with server(ready(new, new, old), ready(old, new, old), ready(new, new, new)) as address:
        assert confirmed(address) == [f"{address} serves {new}"]
    with server(ready(new, new, None)) as address:
        assert confirmed(address) == [f"{address} serves {new}"]
    with server(ready(new, new, old)) as address:
        assert confirmed(address) == [
            f"{address} serves {new}, but some of its workers {old}: /v2/health/ready says which"
        ]


def test_a_server_that_is_killed_says_what_it_would_serve() -> None:
    with server(ready("1700000001", status=503)) as address:
        assert serves(address + "/") == ["1700000001"]


def test_a_server_that_stays_behind_or_does_not_answer_is_named() -> None:
    with server(ready("1700000002")) as behind, server((200, "<html>")) as other:
        assert confirmed(behind, other, "http://127.0.0.1:1") == [
            f"{behind} serves 1700000002, not 1700000001: look at its log",
            f"{other} does not say what it serves: ask it, or start it again",
            "http://127.0.0.1:1 does not say what it serves: ask it, or start it again",
        ]


def test_whoever_runs_on_the_registry_is_asked_once_named_or_not(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    with server(ready("1700000001")) as new, server(ready("1700000002")) as old, server(ready("1700000002")) as shadow:
        at = {address: urlsplit(address).port for address in (new, old, shadow)}
        with (
            Announced(artifacts, "live", "127.0.0.1", at[new]),
            Announced(artifacts, "live", "0.0.0.0", at[old]),
            Announced(artifacts, "shadow", "127.0.0.1", at[shadow]),
            Announced(artifacts, "live"),
        ):
            first, second, third = confirmed(new + "/", artifacts=artifacts)
    assert first == f"{new} serves 1700000001"
    assert second == f"{old} serves 1700000002, not 1700000001: look at its log"
    assert third.endswith("(live, a run over rows) answers nobody: the log of predictions shows what it serves")


def test_where_no_server_is_known_that_is_said() -> None:
    assert confirmed() == [
        "no server was asked what it serves: [watch] adapters names none, and none runs on this registry; the log of "
        "predictions shows it"
    ]
