"""Models in shadow beside the one that answers: they score the same rows, in a thread of their own, after the reply."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ..errors import KilledError, RefusedError
from .adapter import Adapter
from .scorer import Rows, Unnamed

_MOST = 2**16  # rows that wait
_TOGETHER = 256  # rows of a call
_PAUSE_S = 0.005  # for which rows gather
_log = logging.getLogger(__name__)


class Beside:
    """Scores the rows of answered requests with models in shadow, and logs them as arm `shadow`.

    Nothing of it reaches a reply. Rows that come faster than they can be scored are dropped, and counted.

    Parameters
    ----------
    adapters : list of Adapter
        Closed by `close`.
    """

    def __init__(self, adapters: list[Adapter]) -> None:
        self._adapters = adapters
        self._waiting, self._count, self._lock = deque[tuple[str, Rows | Unnamed]](), 0, threading.Lock()
        self._come, self._closed = threading.Event(), False
        self.scored = self.dropped = self.failed = 0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def put(self, rows: Rows | Unnamed, schema_crc32: str) -> None:
        """Hand over rows that were answered by a model with this schema."""
        size = len(rows.matrix)
        with self._lock:
            if self._count + size > _MOST:
                self.dropped += size * len(self._adapters)
                return
            self._waiting.append((schema_crc32, rows))
            self._count += size
        self._come.set()

    def close(self, *, within: float) -> None:
        """Score what waits, for so long at most [s], and close the models."""
        self._closed = True
        self._come.set()
        self._thread.join(within)
        if not self._thread.is_alive():
            for adapter in self._adapters:
                adapter.close()

    def _run(self) -> None:
        while not (self._closed and not self._waiting):
            self._come.wait()
            self._come.clear()
            if not self._closed:
                time.sleep(_PAUSE_S)
            for schema_crc32, rows in self._taken():
                for adapter in self._adapters:
                    self._score(adapter, schema_crc32, rows)

    def _taken(self) -> Iterator[tuple[str, Rows]]:
        """Take what waits, in calls of so many rows, each of one schema."""
        while self._waiting:
            schema_crc32, group, size = self._waiting[0][0], list[Rows | Unnamed](), 0
            while self._waiting and self._waiting[0][0] == schema_crc32 and (not group or size < _TOGETHER):
                rows = self._waiting.popleft()[1]
                group.append(rows)
                size += len(rows.matrix)
            with self._lock:
                self._count -= size
            yield schema_crc32, Rows.joined(group)

    def _score(self, adapter: Adapter, schema_crc32: str, rows: Rows) -> None:
        size = len(rows.keys)
        if adapter.sidecar.schema_crc32 != schema_crc32:  # another model was promoted meanwhile, with other features
            self.dropped += size
            return
        try:
            records = adapter.score(rows)
        except KilledError:
            self.dropped += size
        except Exception:  # whatever it is, it is not the business of those who ask the live model
            _log.exception("%s in shadow", adapter.model_id)
            self.failed += size
        else:
            refused = sum(record.error is not None for record in records)
            self.scored += size - refused
            self.failed += refused


def refuse_other_features(live: Adapter, shadow: Adapter, path: Path) -> None:
    """Refuse a model in shadow that takes other rows than the live one.

    Raises
    ------
    RefusedError
        If its features have other names, dtypes or another order.
    """
    if live.sidecar.schema_crc32 != shadow.sidecar.schema_crc32:
        raise RefusedError(
            f"{path}: takes other features than {live.model_id}, which is served (schema_crc32 "
            f"{shadow.sidecar.schema_crc32}, not {live.sidecar.schema_crc32}); shadow it with rows of its own: "
            "modelgates shadow"
        )
