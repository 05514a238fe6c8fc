"""Requests that come in at the same time are answered at once; none waits for one that is not there yet."""

import asyncio
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..predictions.records import Prediction
from .adapter import Adapter
from .replies import Caller
from .scorer import Rows, Unnamed

_MOST = 256  # requests of a turn, and rows of several requests that are logged at once

# Is told the records of its rows, or what kept them from being scored or logged.
Scored = Callable[[list[Prediction] | Exception], None]


class Waiting(NamedTuple):
    """A request whose rows are to be scored."""

    rows: Rows | Unnamed
    scored: Scored
    caller: Caller


class Turn:
    """The requests that are there before a look at the connections brings none: scored and logged at once.

    Parameters
    ----------
    adapter : Adapter
    together : bool
        Whether the model's scores do not depend on the batch, so that it may be given the rows of all requests in one
        call. So must those of an A/B test's candidate not.
    """

    def __init__(self, adapter: Adapter, *, together: bool) -> None:
        self._adapter, self._together = adapter, together
        self._waiting = list[Waiting]()

    def add(self, rows: Rows | Unnamed, scored: Scored, caller: Caller) -> None:
        """Score rows with those of other requests, at the end of this turn."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._look, 0)
        self._waiting.append(Waiting(rows, scored, caller))

    def _look(self, before: int) -> None:
        """End the turn once a look at the connections has brought no further request, or there are many."""
        if before < len(self._waiting) < _MOST:
            asyncio.get_running_loop().call_soon(self._look, len(self._waiting))
        else:
            self.end()

    def end(self) -> None:
        """Score what has come in."""
        dealer = self._adapter.dealer
        apart = not (self._together and (dealer is None or dealer.together))
        waiting, self._waiting = [each for each in self._waiting if not each.caller.disconnected], []
        for group in _groups(waiting):
            try:
                records = self._adapter.score(Rows.joined([each.rows for each in group], apart=apart))
            except Exception as error:
                for each in group:
                    each.scored(error)
                continue
            start = 0
            for each in group:
                end = start + len(each.rows.matrix)
                each.scored(records[start:end])
                start = end


def _groups(waiting: list[Waiting]) -> Iterator[list[Waiting]]:
    """Cut requests into groups of so many rows; a larger one is a group by itself."""
    group, size = list[Waiting](), 0
    for each in waiting:
        rows = len(each.rows.matrix)
        if group and size + rows > _MOST:
            yield group
            group, size = [], 0
        group.append(each)
        size += rows
    if group:
        yield group
