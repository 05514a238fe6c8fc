"""That something long goes on, and how far it is, on one line of a terminal."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..drift.summary import Reference
    from ..monitoring.engines import Engine, R, T

_EVERY_S = 0.5  # between two looks at the line; what is done by then says nothing
_PATIENCE_S = 2.0


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say on stderr what goes on and for how long, if that is a terminal and it takes more than two seconds.

    A timer's signal does it, and not a thread: children are started meanwhile, and a process of two threads cannot be
    forked safely.
    """
    if not sys.stderr.isatty():
        yield
        return
    begun, terminal = time.monotonic(), sys.stderr.fileno()

    def say(*_: object) -> None:
        # The signal may come while stderr is written to, which does not allow for a second writer.
        with suppress(OSError):  # the terminal may be gone
            os.write(terminal, f"\r\033[K{what}: {time.monotonic() - begun:.0f} s".encode())

    before = signal.signal(signal.SIGALRM, say)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S, _EVERY_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if time.monotonic() - begun >= _PATIENCE_S:
            _show("")


def with_progress(engine: "Engine") -> "Engine":
    """Let an engine say on stderr how far it is, if that is a terminal."""

    def counting(count: "Callable[[Reference, T], R]", tasks: "Sequence[T]", reference: "Reference") -> "Iterable[R]":
        begun = last = time.monotonic()
        shown = False
        try:
            for done, found in enumerate(engine(count, tasks, reference), start=1):
                yield found
                now = time.monotonic()
                if now - last >= _EVERY_S and done < len(tasks):
                    last, shown = now, True
                    left = (now - begun) / done * (len(tasks) - done)
                    _show(f"counting: {done} of {len(tasks)} parts, about {left:.0f} s left")
        finally:
            if shown:
                _show("")  # what is said next begins on an empty line

    return counting if sys.stderr.isatty() else engine


def _show(text: str) -> None:
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
