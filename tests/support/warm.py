"""`python -m pytest` in children forked from one process that has imported the big libraries: a quarter of the price.

A child is the real command from its first import of pytest's plugins on. Nothing that a run may replace is imported
before the fork: neither this package nor a plugin.
"""

import gc
import json
import os
import runpy
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Timer
from typing import Any

SECONDS = 60
# A run must not hear what the pytest around it was told, nor leave out the bytecode that speeds up the next one.
USUAL = {
    key: value for key, value in os.environ.items() if key == "PYTHONPATH" or not key.startswith(("PYTEST_", "PYTHON"))
}
LIBRARIES = ("pytest", "numpy", "pandas", "pyarrow.compute", "pyarrow.parquet", "onnx", "msgspec")
# Accelerate and the Objective-C runtime do not survive a fork.
FORKS = sys.platform != "darwin"


@dataclass(frozen=True)
class Done:
    """How a run ended, and what it printed."""

    status: int
    output: str


def run_fresh(
    words: Sequence[str], *, folder: Path, environment: Mapping[str, str], python: Sequence[str] = ()
) -> Done:
    """Run pytest in a fresh process."""
    done = subprocess.run(
        [sys.executable, *python, "-m", "pytest", *words],
        cwd=folder,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    return Done(done.returncode, done.stdout)


def needs_fresh(environment: Mapping[str, str]) -> bool:
    """Whether the interpreter itself reads one of the variables, which a fork cannot make up for."""
    return not FORKS or any(name.startswith("PYTHON") and name != "PYTHONPATH" for name in environment)


class Server:
    """The process that has imported the libraries; it starts with the first run."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._process is not None:
            self._socket.close()
            self._channel.close()
            self._process.wait()

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=USUAL,
                pass_fds=[theirs.fileno()],
            )
        self._channel = self._socket.makefile("rw")

    def run(self, words: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Done:
        """Run pytest in a forked child."""
        assert not needs_fresh(environment), environment
        if self._process is None:
            self._start()
        with tempfile.NamedTemporaryFile() as output:
            request = {"words": words, "folder": str(folder), "environment": environment, "output": output.name}
            self._channel.write(json.dumps(request) + "\n")
            self._channel.flush()
            pid = int(self._channel.readline())
            timer = Timer(SECONDS, os.kill, (pid, signal.SIGKILL))
            timer.start()
            status = int(self._channel.readline())
            late = timer.finished.is_set()
            timer.cancel()
            if late:
                raise TimeoutError(f"pytest {shlex.join(words)} did not end within {SECONDS} s")
            return Done(status, output.read().decode(errors="replace"))


def serve(channel: Any) -> dict[str, Any] | None:
    """Fork a child for each request; in a child, return the request that it is for."""
    for line in channel:
        with warnings.catch_warnings():
            # The idle threads of a linear-algebra library, of which Python 3.12 warns.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            return json.loads(line)
        print(pid, file=channel, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=channel, flush=True)
    return None


def python_path() -> list[str]:
    """List the folders of PYTHONPATH, as the interpreter does when it starts."""
    return [os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]


def become(request: dict[str, Any]) -> None:
    """Be what `python -m pytest` is in that folder and environment, to the end of the interpreter."""
    output = os.open(request["output"], os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:] = dict.fromkeys([os.getcwd(), *python_path(), *sys.path])
    sys.argv[1:] = request["words"]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


def main() -> None:
    """Import the libraries, and serve until the other end is closed."""
    for name in LIBRARIES:
        import_module(name)
    # A child puts in front what it is told itself.
    mine = {sys.path[0], *python_path()}
    sys.path[:] = [place for place in sys.path if place not in mine]
    gc.collect()
    gc.freeze()  # a child that collects garbage looks at its own alone
    with socket.socket(fileno=int(sys.argv[1])) as ours, ours.makefile("rw") as channel:
        request = serve(channel)
    if request is not None:
        become(request)


if __name__ == "__main__":
    main()
