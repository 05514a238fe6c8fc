"""Requests that come in at the same turn of the event loop are scored in one call; none waits for a later one."""

import asyncio
from collections.abc import Iterator

from ..predictions.records import Prediction
from .adapter import Adapter
from .scorer import Rows

_MOST = 256  # rows of a call that is made for several requests

Waiting = tuple[Rows, asyncio.Future[list[Prediction]]]


class Turn:
    """The requests of one turn of the event loop, for a model whose scores do not depend on the batch.

    Parameters
    ----------
    adapter : Adapter
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._waiting = list[Waiting]()

    async def score(self, rows: Rows) -> list[Prediction]:
        """Score rows together with those of other requests; raises as `Adapter.score` does."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self.end)
        future: asyncio.Future[list[Prediction]] = loop.create_future()
        self._waiting.append((rows, future))
        return await future

    def end(self) -> None:
        """Score what has come in."""
        waiting = [(rows, future) for rows, future in self._waiting if not future.done()]  # a client may have gone
        self._waiting = []
        for group in _groups(waiting):
            try:
                records = self._adapter.score(Rows.joined([rows for rows, _ in group]))
            except Exception as error:
                for _, future in group:
                    future.set_exception(error)
                continue
            start = 0
            for rows, future in group:
                future.set_result(records[start : start + len(rows.keys)])
                start += len(rows.keys)


def _groups(waiting: list[Waiting]) -> Iterator[list[Waiting]]:
    """Cut requests into groups of so many rows; a larger one is a group by itself."""
    group, size = list[Waiting](), 0
    for each in waiting:
        rows = len(each[0].keys)
        if group and size + rows > _MOST:
            yield group
            group, size = [], 0
        group.append(each)
        size += rows
    if group:
        yield group
