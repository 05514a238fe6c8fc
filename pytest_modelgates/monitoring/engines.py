"""Where parts of a log, or of files, are counted. The counts are integers, so that it changes none of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from ..drift.summary import Reference

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Applies a function to each task, wherever that is done, and gives what it returns in the order of the tasks."""

    def __call__(self, count: Callable[[Reference, T], R], tasks: Sequence[T], reference: Reference) -> Iterable[R]:
        """Count what each task names, for a golden."""


def here(count: Callable[[Reference, T], R], tasks: Sequence[T], reference: Reference) -> Iterable[R]:
    """Count one after the other, in this process."""
    return (count(reference, task) for task in tasks)
