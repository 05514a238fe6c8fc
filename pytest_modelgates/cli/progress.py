"""How far a long count is, on one line of a terminal."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence

from ..drift.summary import Reference
from ..monitoring.engines import Engine, R, T

_EVERY_S = 0.5  # between two looks at the line; what is done by then says nothing


def with_progress(engine: Engine) -> Engine:
    """Let an engine say on stderr how far it is, if that is a terminal."""

    def counting(count: Callable[[Reference, T], R], tasks: Sequence[T], reference: Reference) -> Iterable[R]:
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
