"""Runs `modelgates` commands in forked children, so that the imports are paid once; strace may attach to a child.

Reads requests as JSON lines, answers each with one. Each child is the real command from its first statement on.
"""

import ctypes
import fcntl
import getpass
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401  the heavy imports, before any fork
import pandas as pd
import pyarrow.parquet

from pytest_modelgates import cli
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import chain as audit
from pytest_modelgates.errors import ModelgatesError
from pytest_modelgates.packing import pack  # noqa: F401
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.registry import events, garbage, promote, recover, store  # noqa: F401
from pytest_modelgates.storage.bucket import Bucket
from pytest_modelgates.storage.threads import SecondThread

SECONDS, HANGS = 60, 124
PTRACER, ANYBODY = 0x59616D61, -1


def in_turn(_: SecondThread, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
    """Do what a thread is asked at once: calls are counted, and those of two come in another order each time."""
    done = Future[Any]()
    try:
        done.set_result(call(*arguments, **named))
    except Exception as error:
        done.set_exception(error)
    return done


SecondThread.submit = in_turn  # type: ignore[method-assign]


def no_fsync() -> None:
    """Nothing is ever waited for."""
    os.fsync = lambda descriptor: None


def no_folder_fsync() -> None:
    """Bytes are waited for, names are not."""
    genuine = os.fsync
    os.fsync = lambda descriptor: None if stat.S_ISDIR(os.fstat(descriptor).st_mode) else genuine(descriptor)


def no_lock() -> None:
    """Everybody has the lock, and a disk that takes its time, so that two are at it at once on any machine."""
    fcntl.flock, genuine = (lambda descriptor, how: None), os.fsync

    def fsync(descriptor: int) -> None:
        time.sleep(0.002)
        genuine(descriptor)

    os.fsync = fsync


def naive_link() -> None:
    """`ln -sf` of old: take the link away, make it anew."""
    genuine = os.replace

    def replace(source: Any, target: Any, **options: Any) -> None:
        if os.path.islink(source) and os.path.lexists(target):
            os.unlink(target)
            os.symlink(os.readlink(source), target)
            os.unlink(source)
        else:
            genuine(source, target, **options)

    os.replace = replace


def no_intent() -> None:
    """The log is written when all is done."""
    genuine, intents = store.append, []

    def append(path: Path, record: Any, **options: Any) -> Any:
        options.pop("after", None)
        if isinstance(record, audit.Intent):
            intents.append(record)
            return record
        while intents:
            genuine(path, intents.pop(), **options)
        return genuine(path, record, **options)

    store.append = append
    store.require_end = lambda artifacts, head: None


def killed_before_the_flip() -> None:
    """The machine stops in the middle of a change."""
    store.point_latest_at = lambda artifacts, model_id: os._exit(9)


def killed_after_the_flip() -> None:
    """The machine stops before the log says that all is done."""
    store._commit = lambda artifacts, key, intent: os._exit(9)


def killed_at(step: str) -> None:
    """The machine stops before the n-th call that changes a disk, or before or after a bucket is asked to keep."""
    left = int(step)

    def one() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(9)

    def watched(where: Any, name: str, *, after: bool = False) -> None:
        genuine = getattr(where, name)

        def call(*words: Any, **more: Any) -> Any:
            one()
            found = genuine(*words, **more)
            if after:
                one()
            return found

        setattr(where, name, call)

    for name in ("write", "fsync", "ftruncate", "replace", "rename", "symlink", "unlink", "mkdir", "rmdir", "chmod"):
        watched(os, name)
    watched(Bucket, "put_new", after=True)


DEFENCES = (no_fsync, no_folder_fsync, no_lock, no_intent, naive_link)
MUTANTS: dict[str, Callable[..., None]] = {
    each.__name__: each for each in (*DEFENCES, killed_before_the_flip, killed_after_the_flip, killed_at)
}


def child(commands: list[list[str]], mutant: str | None, gate: socket.socket | None) -> int:
    """Run commands one after the other until one fails; if there is a gate, once somebody opens it."""
    if mutant:
        name, *words = mutant.split()
        MUTANTS[name](*words)
    if gate is not None:
        # Poll and no read: strace may interrupt what it finds us in, and calls are counted.
        ctypes.CDLL(None).prctl(PTRACER, ANYBODY, 0, 0, 0)
        waiting = select.poll()
        waiting.register(gate, select.POLLIN)
        gate.send(b"w")
        waiting.poll()
    for command in commands:
        status = OTHERS[command[0]](*command[1:]) if command[0] in OTHERS else cli.main(command)
        if status:
            return status
    return 0


def race(*words: str) -> int:
    """Not a command of `modelgates`, but many of them at once."""
    sys.path[:0] = [str(folder) for folder in Path(__file__).parents[:3]]
    from tests.crash.race import main

    main(*words)
    return 0


def event(kind: str) -> int:
    """Not a command of `modelgates`, but what several do besides: add an event to the log."""
    rules = load_operations(None, policy=None)[0].registry
    try:
        events.record_event(Artifacts(Path("artifacts").resolve()), rules, kind=kind, subject="all", reason="a drill")
    except ModelgatesError as error:
        print(f"modelgates: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"modelgates: {error.strerror}: {error.filename}", file=sys.stderr)
        return 3
    return 0


OTHERS = {"race": race, "event": event}


def attach(pid: int, options: list[str]) -> "subprocess.Popen[str]":
    """Start strace on a child, and wait until it has hold of it."""
    tracer = subprocess.Popen(["strace", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        raise RuntimeError(f"strace cannot attach: {said}{tracer.stderr.read()}")
    return tracer


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one request in a child and say how it ended and what it printed."""
    traced = request.get("strace")
    gate, opener = socket.socketpair()
    with gate, opener, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                opener.close()
                os.chdir(request["folder"])
                status = child(request["commands"], request.get("mutant"), gate if traced else None)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        gate.close()
        if traced:
            opener.recv(1)  # what a child does before it waits would be counted, if strace were early
            tracer = attach(pid, traced)
            opener.send(b"g")
        ended = wait(pid)
        if traced:
            tracer.communicate()
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read().decode(errors="replace"))
    return {"status": ended, "out": printed[0], "err": printed[1]}


def wait(pid: int) -> int:
    """Wait for a child, but not without end; one that hangs counts as a status of its own."""
    handle = os.pidfd_open(pid)
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    hangs = not waiting.poll(SECONDS * 1000)
    os.close(handle)
    if hangs:
        os.kill(pid, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return HANGS if hangs else ended


def warm() -> None:
    """Touch what pandas and pyarrow import, and the C library reads, only on first use: calls are counted."""
    getpass.getuser()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        pd.DataFrame({"x": [1.0]}).to_parquet(path, index=False)
        pd.read_parquet(path)
        pyarrow.parquet.read_table(path)


def main() -> None:
    """Serve until the input ends."""
    sys.argv = ["modelgates"]
    warm()
    channel = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        channel.write(json.dumps(run(json.loads(line))) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
