"""What the workers of one port know of each other: which model each serves, and whether a signal stopped them all.

Each writes its own line of shared memory, and each field of it is one store: there is no lock to die with.
"""

import ctypes
import time
from multiprocessing.context import SpawnContext
from typing import Any, NamedTuple

_LOOKED_S = 5.0  # a worker looks once a second; for longer than this it does not


class _Line(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint64),  # a model's id, which is digits; 0 while none is served
        ("process", ctypes.c_uint64),
        ("looked", ctypes.c_double),
        ("failed", ctypes.c_uint64),  # how often it has ended in a row before it served
    )


class Worker(NamedTuple):
    """A worker as the others see it: `version` is None while it serves no model, `looked` a time of `monotonic` [s]."""

    number: int
    process: int
    version: str | None
    looked: float
    failed: int

    def __str__(self) -> str:
        """Name it for people."""
        return f"worker {self.number} (process {self.process})"

    def public(self) -> dict[str, Any]:
        """Give what others are told of it."""
        return {"worker": self.number, "process": self.process, "version": self.version}


class Board:
    """The memory that workers and their supervisor share; it is handed to a process as that is started.

    Parameters
    ----------
    context : SpawnContext
    workers : int
    """

    def __init__(self, context: SpawnContext, workers: int) -> None:
        self._lines: Any = context.RawArray(_Line, workers)
        self._stopped: Any = context.RawValue(ctypes.c_uint8)

    def begins(self, number: int, process: int, *, failed: int) -> None:
        """Note that a process is a worker from now on."""
        line = self._lines[number - 1]
        line.process, line.failed = process, failed

    def serves(self, number: int, version: str) -> None:
        """Note that a worker is at work, and which model it serves."""
        line = self._lines[number - 1]
        line.looked = time.monotonic()
        line.version = int(version)

    def gone(self, number: int, *, failed: int) -> None:
        """Note that a worker has ended."""
        line = self._lines[number - 1]
        line.version, line.failed = 0, failed

    def stop(self) -> None:
        """Stop all workers, those to come too, as a signal stops one process."""
        self._stopped.value = 1

    @property
    def stopped(self) -> bool:
        """Whether a signal has stopped them."""
        return bool(self._stopped.value)

    def workers(self) -> list[Worker]:
        """List them."""
        return [
            Worker(number, line.process, f"{line.version:010d}" if line.version else None, line.looked, line.failed)
            for number, line in enumerate(self._lines, 1)
        ]


class Place(NamedTuple):
    """One worker's place among all: the board, its number from 1 on, and where each of them is reached by itself."""

    board: Board
    number: int
    doors: tuple[str, ...]

    @property
    def port(self) -> int:
        """The port of this worker alone."""
        return int(self.door.rpartition(":")[2])

    @property
    def door(self) -> str:
        """Where this worker alone is reached."""
        return self.doors[self.number - 1]

    @property
    def workers(self) -> list[dict[str, Any]]:
        """Give what is told of every worker."""
        return [worker.public() for worker in self.board.workers()]

    def trouble(self, version: str) -> list[str]:
        """Say of each other worker that does not serve this model, or is not at work, how it is with it."""
        now, found = time.monotonic(), list[str]()
        for worker in self.board.workers():
            if worker.number == self.number:
                continue
            if worker.version is None:
                again = f" and has ended {worker.failed} times before it served" if worker.failed else ""
                found.append(f"worker {worker.number} serves nothing yet{again}")
            elif worker.version != version:
                found.append(f"{worker} serves {worker.version}")
            elif (silent := now - worker.looked) > _LOOKED_S:
                found.append(f"{worker} is not at work for {silent:.0f} s")
        return found
