"""A second thread, for what can go on beside: reading ahead, and digests."""

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class SecondThread(ThreadPoolExecutor):
    """Does what it is given, one after the other, while the thread that gave it goes on; waited for at the end."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give it something to do; raises OSError if Python can start no thread."""
        try:
            return super().submit(call, *args, **kwargs)
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "No thread left to read with") from error


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Give the items of an iterator, each while a second thread takes the next one.

    What the iterator raises is raised where its item would come.
    """
    with SecondThread() as second:

        def taken() -> Future[list[T]]:
            return second.submit(lambda: [*islice(items, 1)])

        following = taken()
        while found := following.result():
            following = taken()
            yield found[0]
