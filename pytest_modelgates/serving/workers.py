"""Several processes that answer on one port: each serves by itself, and one supervisor starts, restarts and ends them.

The supervisor holds the listening sockets and loads no model. Connections wait in the one queue of the port, which a
worker's death leaves alone.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from ..storage.text import counted, shown
from .board import Board, Place

_LOOK_S = 0.2
_SLEPT_S = 2.0  # between two looks: this process was stopped itself
_EACH_S = 1.0  # between two starts of a worker, at least
_LONGEST_S = 30.0  # until a worker that never serves is started again
_TRIES = 5
_SPARE_S = 10.0  # beyond what a worker may take by its limits
_BACKLOG = 2048

Work = Callable[[Place, socket.socket, socket.socket], None]
"""What a worker does: its place, the socket of all, and its own."""


def listening(host: str, port: int) -> socket.socket:
    """Take a port; raises OSError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


class _Worker:
    """A worker's process, as long as it lives, and how its last starts went."""

    own: socket.socket

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: SpawnProcess | None = None
        self.failed = self.status = 0
        self.started = -_EACH_S
        self.not_before = 0.0
        self.serving = False


class Supervisor:
    """Keeps so many workers at work until SIGTERM or Ctrl-C, and then lets them drain.

    Parameters
    ----------
    work : callable
        Runs in each worker's process, which imports it anew; ends the process by its status.
    count : int
        How many workers.
    address, doors : (host, port)
        Where all answer, and from where on each has a port of its own; 0 takes free ones.
    timeout_s : float
        How long a request may take [s]. A worker that shows no sign of life for longer, and a while, is killed.
    drain_s : float
        How long requests that have begun may take at the end [s].
    """

    def __init__(
        self,
        work: Work,
        count: int,
        *,
        address: tuple[str, int],
        doors: tuple[str, int],
        timeout_s: float,
        drain_s: float,
    ) -> None:
        self._work, self._timeout_s, self._drain_s = work, timeout_s, drain_s
        self._context = multiprocessing.get_context("spawn")
        self._board = Board(self._context, count)
        self._address, self._first_door = address, doors
        self._workers = [_Worker(number) for number in range(1, count + 1)]
        self._served = False
        self._last_look = self._awake_since = time.monotonic()

    def run(self) -> int:
        """Give the exit status: 0 once they have drained, or that of the workers if none of them comes to serve.

        Raises
        ------
        OSError
            If a port cannot be had.
        """
        with _signals() as (read, numbers), ExitStack() as sockets:
            self._all = sockets.enter_context(listening(*self._address))
            host, first = self._first_door
            for worker in self._workers:
                worker.own = sockets.enter_context(listening(host, first and first + worker.number - 1))
            self._doors = tuple(shown(*worker.own.getsockname()[:2]) for worker in self._workers)
            try:
                while True:
                    self._start_due()
                    alive = [worker.process.sentinel for worker in self._workers if worker.process]
                    wait([*alive, read], timeout=_LOOK_S)
                    if any(self._is_end(number) for number in numbers()):
                        return self._drained()
                    self._note_sleep()
                    for worker in self._workers:
                        self._look(worker)
                    if (status := self._given_up()) is not None:
                        return status
            finally:
                self._end_all()

    def _is_end(self, number: int) -> bool:
        if number == signal.SIGUSR1:
            self._board.stop()
        return number in (signal.SIGTERM, signal.SIGINT)

    def _start_due(self) -> None:
        now = time.monotonic()
        # The first one shows whether the model can be served at all, so that what is wrong is said once.
        for worker in self._workers if self._served else self._workers[:1]:
            if worker.process is None and now >= worker.not_before:
                worker.started, worker.serving = now, False
                place = Place(self._board, worker.number, self._doors)
                process = self._context.Process(target=self._work, args=(place, self._all, worker.own))
                try:
                    process.start()
                except OSError as error:  # no memory or no process to be had: those that run go on
                    self._failed(worker, f"worker {worker.number} cannot be started ({error.strerror})", status=3)
                    continue
                worker.process = process
                self._board.begins(worker.number, process.pid or 0, failed=worker.failed)

    def _look(self, worker: _Worker) -> None:
        if worker.process is None:
            return
        line = self._board.workers()[worker.number - 1]
        if line.version is not None and not worker.serving:
            worker.serving = self._served = True
        if worker.process.is_alive():
            silent = time.monotonic() - max(line.looked, self._awake_since)
            if not worker.serving or silent <= self._timeout_s + _SPARE_S:
                return
            _say(f"{line} shows no sign of life for {silent:.0f} s; killed")
            worker.process.kill()
        worker.process.join()
        status, worker.process = worker.process.exitcode or 0, None
        if status == -signal.SIGUSR1:  # it came before the worker could take it
            self._board.stop()
        if worker.serving:
            worker.failed = 0
            worker.not_before = worker.started + _EACH_S
            self._board.gone(worker.number, failed=0)
            _say(f"{line} {_ended(status)}; another one is started")
        else:
            self._failed(worker, f"{line} {_ended(status)} before it served", status=status if status > 0 else 3)

    def _failed(self, worker: _Worker, what: str, *, status: int) -> None:
        """Note that a worker did not come to serve, and wait longer each time."""
        worker.failed, worker.status = worker.failed + 1, status
        self._board.gone(worker.number, failed=worker.failed)
        wait_s = min(_LONGEST_S, 2.0 ** (worker.failed - 1))
        worker.not_before = time.monotonic() + wait_s
        if self._served:
            _say(f"{what}, {counted(worker.failed, 'time')} in a row; tried again in {wait_s:g} s")

    def _note_sleep(self) -> None:
        """Count no silence of the time when this process did not run either, such as after Ctrl-Z."""
        now = time.monotonic()
        if now - self._last_look > _SLEPT_S:
            self._awake_since = now
        self._last_look = now

    def _given_up(self) -> int | None:
        """Give the status to end with, if there is nothing that another start could be expected to change."""
        ended = [worker for worker in self._workers if worker.process is None and worker.failed]
        if not self._served:
            return ended[0].status if ended else None
        if len(ended) < len(self._workers) or any(worker.failed < _TRIES for worker in ended):
            return None
        _say(
            f"none of {counted(len(ended), 'worker')} comes to serve, after {_TRIES} tries of each; their log says why"
        )
        return ended[0].status

    def _drained(self) -> int:
        """End all; 3 if one had to be killed."""
        self._all.close()
        for worker in self._workers:
            worker.own.close()
            if worker.process:
                worker.process.terminate()
        until = time.monotonic() + 2 * self._drain_s + _SPARE_S
        for worker in self._workers:
            if worker.process:
                worker.process.join(max(0.0, until - time.monotonic()))
        left = [worker for worker in self._workers if worker.process and worker.process.is_alive()]
        for worker in left:
            _say(f"worker {worker.number} has not ended within {2 * self._drain_s + _SPARE_S:g} s; killed")
        return 3 if left else 0

    def _end_all(self) -> None:
        for worker in self._workers:
            if worker.process and worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


@contextmanager
def _signals() -> Iterator[tuple[int, Callable[[], Sequence[int]]]]:
    """Collect signals: a descriptor that wakes who waits for one, and what gives those that have come."""
    read, write = os.pipe()
    for descriptor in (read, write):
        os.set_blocking(descriptor, False)
    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.signal(number, lambda *_: None) for number in handled}
    woken = signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def come() -> bytes:
        with suppress(BlockingIOError):
            return os.read(read, 4096)
        return b""

    try:
        yield read, come
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)


def _ended(status: int) -> str:
    return f"ended by signal {-status}" if status < 0 else f"ended with status {status}"


def _say(text: str) -> None:
    with suppress(OSError):
        print(f"modelgates: {text}", file=sys.stderr, flush=True)
