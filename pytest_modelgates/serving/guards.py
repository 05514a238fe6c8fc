"""What may stop a prediction before it is made: the kill switch, and trips that turn it on by themselves."""

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..artifacts import ALL_ARMS, Artifacts
from ..audit.kill import read_kill
from ..errors import KilledError

SWITCH = "SERVE_KILL"
_SLOW = 0.05  # of the batches
_STEPS = 300  # of a window, so that a busy server keeps no more than an idle one


class KillSwitch:
    """Whether one arm may predict: asked before every batch, and again before anything of it is given away.

    Parameters
    ----------
    artifacts : Artifacts
        Where the kill files lie: `KILL` or `KILL.all` for every arm, and one for each arm.
    arm : str

    Notes
    -----
    ``SERVE_KILL`` counts as it is when the switch is made, because the environment of a running process cannot be
    changed from outside. It is off if it is unset, empty or ``0``. A kill file counts as long as it lies there, and
    whatever keeps it from being looked at counts as one. `all_stopped` says whether a signal has stopped a worker, and
    so all that share its port.
    """

    def __init__(self, artifacts: Artifacts, arm: str) -> None:
        self._roots = [os.fspath(root) for root in artifacts.roots]
        self._files = [(each, os.fspath(path)) for each, path in artifacts.kills(arm)]
        value = os.environ.get(SWITCH, "")
        self._why = "" if value in ("", "0") else f"{SWITCH}={value}): nothing is scored; unset it to go on"
        self.all_stopped: Callable[[], bool] = lambda: False

    def stop(self, why: str) -> None:
        """Turn the switch on for the rest of this process, as a signal does."""
        self._why = self._why or f"{why}): nothing is scored; start again to go on"

    def stop_as(self, before: "KillSwitch") -> None:
        """Take over how the switch stood that this process had before, for another model."""
        self._why, self.all_stopped = before._why or self._why, before.all_stopped

    def refuse(self) -> None:
        """Raise if the switch is on.

        Raises
        ------
        KilledError
            With who turned it on, when and why.
        """
        if self.all_stopped():
            self.stop("SIGUSR1")
        if self._why:
            raise KilledError(f"the kill switch is on ({self._why}")
        try:
            for root in self._roots:
                os.stat(root)
        except OSError as error:
            raise KilledError(f"the kill switch cannot be read ({error}): nothing is scored") from error
        for arm, path in self._files:
            try:
                os.lstat(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise KilledError(f"the kill switch cannot be read ({error}): nothing is scored") from error
            of = "" if arm == ALL_ARMS else f"--arm {arm} "
            raise KilledError(
                f'{read_kill(arm, Path(path))}; nothing is scored; to go on: modelgates unkill {of}--reason "…"'
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TripLimits:
    """What stops an arm by itself; `operations.toml` explains each one under [trips]."""

    window_s: float = 300.0
    min_rows: int = 100
    rejected: float = 0.5
    failed: float = 0.05
    latency_ms: float = 1e9
    rows_per_s: float = 1e9


@dataclass(slots=True)
class Trips:
    """Sums over the batches of the last `window_s` seconds, to a 300th of them, held against their limits."""

    limits: TripLimits
    # Rows, those rejected, those without a score, slow batches, batches.
    _batches: deque[tuple[float, list[int]]] = field(default_factory=deque)
    _sum: list[int] = field(default_factory=lambda: [0] * 5)

    def add(self, rows: int, rejected: int, failed: int, latency_ms: float, *, now: float | None = None) -> str | None:
        """Add a batch, and say which limit the window exceeds; None if it exceeds none.

        Parameters
        ----------
        rows, rejected, failed : int
            Rows of the batch, those that were rejected before the model, and those that it gave no finite score.
        latency_ms : float
            How long the batch took [ms].
        now : float, optional
            A moment of `time.monotonic`, at which it ended [s].
        """
        limits, now = self.limits, time.monotonic() if now is None else now
        if not self._batches or now - self._batches[-1][0] >= limits.window_s / _STEPS:
            self._batches.append((now, [0] * 5))
        newest, total = self._batches[-1][1], self._sum
        for counts in (newest, total):
            counts[0] += rows
            counts[1] += rejected
            counts[2] += failed
            counts[3] += latency_ms > limits.latency_ms
            counts[4] += 1
        while self._batches[0][0] < now - limits.window_s:
            for place, part in enumerate(self._batches.popleft()[1]):
                total[place] -= part
        rows, rejected, failed, slow, batches = total
        if rows < limits.min_rows:
            return None
        within = f"of {rows} rows within {limits.window_s:g} s"
        if rejected > limits.rejected * rows:
            return f"{rejected} {within} were rejected, more than {limits.rejected:.2%} (trips.rejected)"
        if failed > limits.failed * rows:
            return f"{failed} {within} have no finite score, more than {limits.failed:.2%} (trips.failed)"
        if slow > _SLOW * batches:
            return (
                f"{slow} of {batches} batches within {limits.window_s:g} s took over "
                f"{limits.latency_ms:g} ms, more than one in twenty (trips.latency_ms)"
            )
        if rows > limits.rows_per_s * limits.window_s:
            return (
                f"{rows} rows within {limits.window_s:g} s, more than {limits.rows_per_s:g} a second (trips.rows_per_s)"
            )
        return None
