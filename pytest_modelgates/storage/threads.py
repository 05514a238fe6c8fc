"""Work that is done beside other work."""

import errno
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def start(pool: Executor, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
    """Start some work in a pool of threads.

    Raises
    ------
    OSError
        If no thread can be started.
    """
    try:
        return pool.submit(work, *args, **named)
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "No thread left to work beside this one") from error
