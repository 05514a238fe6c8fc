"""The next item is made ready in a thread while the one before it is in use."""

import errno
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Give the items of an iterator, each while a thread takes the next one.

    Raises
    ------
    OSError
        If Python can start no thread. What the iterator raises is raised where its item would come.
    """
    with ThreadPoolExecutor(1) as thread:

        def taken() -> Future[list[T]]:
            try:
                return thread.submit(lambda: [*islice(items, 1)])
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, "No thread left to read with") from error

        following = taken()
        while found := following.result():
            following = taken()
            yield found[0]
