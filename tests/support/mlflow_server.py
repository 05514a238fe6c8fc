"""An MLflow server on this machine, as `mlflow server` starts it, with SQLite and artifacts in a folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

BINARY = Path(__file__).parents[2] / ".venv" / "mlflow" / "bin" / "mlflow"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class MlflowServer:
    """One that can be killed and started again; what it holds survives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        places = [f"--backend-store-uri=sqlite:///{self.folder}/db", f"--artifacts-destination={self.folder}/artifacts"]
        with (self.folder / "said").open("ab") as log:
            self._process = subprocess.Popen(
                [str(BINARY), "server", *places, "--host=127.0.0.1", f"--port={self.port}", "--workers=1"],
                cwd=self.folder,
                env={**os.environ, **QUIET},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + 240
        while not self._answers():
            assert time.monotonic() < until, (self.folder / "said").read_text()
            assert self._process.poll() is None, (self.folder / "said").read_text()
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health") as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """Kill it and its workers, as the kernel does when memory is short."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads a group of its own
            self._process.wait()
            self._process = None

    def log(self, *names: str) -> None:
        """Register models, see `tests.support.logged_models`."""
        command = [sys.executable, "-m", "tests.support.logged_models", self.address, *names]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def ask(self, path: str, **query: str) -> Any:
        """Read something by MLflow's REST interface."""
        with urllib.request.urlopen(f"{self.address}/api/2.0/mlflow/{path}?{urlencode(query)}") as answer:
            return json.load(answer)

    def drop_alias(self, name: str, alias: str) -> None:
        """Take an alias away, as somebody does by hand."""
        path = f"{self.address}/api/2.0/mlflow/registered-models/alias"
        content = json.dumps({"name": name, "alias": alias}).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(path, content, headers, method="DELETE")):
            pass

    def alias(self, name: str) -> dict[str, str]:
        """The aliases of a registered model: which version has each."""
        found = self.ask("registered-models/get", name=name)["registered_model"].get("aliases", [])
        return {each["alias"]: each["version"] for each in found}

    def tags(self, name: str, version: str) -> dict[str, str]:
        """The tags of a version."""
        found = self.ask("model-versions/get", name=name, version=version)["model_version"].get("tags", [])
        return {each["key"]: each["value"] for each in found}


def running(folder: Path) -> Iterator[MlflowServer]:
    """Run one. Where nobody looks, a missing one may skip; in CI it fails."""
    if not BINARY.exists():
        missing = f"{BINARY} is not there: make mlflow-server"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    server = MlflowServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
