"""A stream of Redis as a feed, by redis-py: a consumer group, whose pending entries come first."""

import errno
import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from ..errors import FormatError
from ..extras import extra
from .seen import sequence_of
from .sources import Message

_CONNECT_S, _ANSWER_S = 2, 5  # within which a broker must answer
_LAG_S = 1.0
_CONSUMER = "modelgates"  # one process alone fills an arm from a stream


class RedisStream:
    """One stream, as a `Feed`. An entry has one field, and that holds a row as a JSON object.

    Parameters
    ----------
    server : str
        Where redis-py connects, with the number of a database as its path.
    shown : str
        What messages call it: a server's address may hold a password.
    stream : str
    group : str
        The consumer group, which is made if it is not there; so is the stream.
    """

    ordered, unit = False, "messages"
    since: date | None = None

    def __init__(self, server: str, shown: str, stream: str, group: str) -> None:
        self._server, self._shown, self._stream, self._group = server, shown, stream, group
        self.name = f"redis:{stream}"
        self.floor: int | None = None
        self.lag: int | None = None
        self._client: Any = None
        self._missing, self._pending = False, True
        self._start, self._asked = "0", 0.0

    def open(self) -> None:
        """Connect, and ask how far the group is."""
        self._redis = extra("redis", "feeds")
        retry = extra("redis.retry", "feeds").Retry(extra("redis.backoff", "feeds").NoBackoff(), 0)
        self._client = self._redis.Redis.from_url(
            self._server,
            protocol=2,
            retry=retry,  # by itself it would ask for new entries, and leave those of a lost answer pending
            socket_connect_timeout=_CONNECT_S,
            socket_timeout=_ANSWER_S,
        )
        self.name = f"redis:{self._client.connection_pool.connection_kwargs.get('db') or 0}/{self._stream}"
        # What was delivered and not acknowledged comes first.
        self._pending = True
        group = self._of_group()
        self._missing = group is None
        self.floor = None
        if group is not None:
            pending = self._asking("xpending", self._stream, self._group)
            if pending["pending"]:
                self.floor = _number(pending["min"]) - 1
            else:
                self.floor = _number(group["last-delivered-id"])

    def seek(self, *places: str) -> str | None:
        """Let a group that is made anew begin behind this place."""
        self._start = places[0]
        return places[0]

    def fetch(self, most: int, wait_s: float) -> list[Message]:
        """Take what is there; wait for the first entry."""
        if self._missing:
            self._asking("xgroup_create", self._stream, self._group, id=self._start, mkstream=True)
            self._missing = False
        if self._pending:
            # Those that were acknowledged are gone from the list, so it is asked for from the beginning.
            if found := self._read("0", most, None):
                return found
            self._pending = False
        found = self._read(">", most, int(wait_s * 1000))
        if time.monotonic() - self._asked > _LAG_S:
            group = self._of_group() or {}
            self.lag, self._asked = group.get("lag"), time.monotonic()
        return found

    def commit(self, messages: Sequence[Message]) -> None:
        """Acknowledge entries."""
        places = [message.request.removeprefix(f"{self.name}:") for message in messages]
        self._asking("xack", self._stream, self._group, *places)

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()

    def _asking(self, command: str, *words: Any, **options: Any) -> Any:
        """Ask the broker; whatever is wrong with the connection becomes a ConnectionError."""
        errors = self._redis.exceptions
        try:
            return getattr(self._client, command)(*words, **options)
        except (errors.ConnectionError, errors.TimeoutError, errors.BusyLoadingError, OSError) as error:
            raise ConnectionError(errno.ECONNABORTED, str(error), self._shown) from error
        except errors.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                raise FormatError(f"{self._shown}: {self._stream!r} is not a stream; name another key") from error
            # Such as a group that was deleted meanwhile, or a disk of the broker that is full.
            raise ConnectionError(errno.ECONNABORTED, str(error), self._shown) from error

    def _of_group(self) -> Mapping[str, Any] | None:
        """Ask what is known of the group; None if it is not there."""
        if not self._asking("exists", self._stream):
            return None
        groups = self._asking("xinfo_groups", self._stream)
        return next((group for group in groups if group["name"] == self._group.encode()), None)

    def _read(self, begin: str, most: int, wait_ms: int | None) -> list[Message]:
        answer = self._asking(
            "xreadgroup", self._group, _CONSUMER, {self._stream: begin}, count=most, block=wait_ms or None
        )
        messages = list[Message]()
        for _, entries in answer:
            for entry, fields in entries:
                place = entry.decode()
                content = _content(fields or {})
                messages.append(Message(f"{self.name}:{place}", content, f"message {place}", sequence_of(place)))
        return messages


def _number(place: bytes) -> int:
    number = sequence_of(place.decode())
    assert number is not None
    return number


def _content(fields: Mapping[bytes, bytes]) -> bytes:
    """Take the one field of an entry; of others make an object of texts, which is refused for what it is."""
    if len(fields) == 1:
        return next(iter(fields.values()))
    texts = [[part.decode(errors="backslashreplace") for part in pair] for pair in fields.items()]
    return msgspec.json.encode(dict(texts))
