"""A connection over HTTP: uvicorn's, bounded in time and size, and answered without a task where nothing is waited for.

Imported by the server alone, since uvicorn is optional.
"""

import time
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .http import Application
from .replies import Reply

_MAX_HEAD = 2**20  # bytes of a request before its body, some of which may come with it
_LONGEST_LENGTH = 18  # digits


class Exchange:
    """A request for scores, in place of uvicorn's cycle: its body is gathered, and its reply written in one piece."""

    __slots__ = ("_connection", "begin", "by", "disconnected", "headers", "keep_alive", "pieces", "response_complete")

    def __init__(self, connection: "Connection", by: str, headers: dict[bytes, bytes]) -> None:
        self._connection, self.by, self.headers = connection, by, headers
        self.begin = time.perf_counter()
        self.keep_alive: bool = connection.parser.should_keep_alive()
        self.pieces = list[bytes]()
        self.disconnected = self.response_complete = False

    @property
    def message_event(self) -> "Exchange":
        """What uvicorn sets when a client goes; nobody waits on it here."""
        return self

    def set(self) -> None:
        """Wake nobody."""

    def give(self, reply: Reply) -> None:
        """Send the reply."""
        if self.disconnected:
            return
        connection, (status, body, headers) = self._connection, reply
        connection.transport.write(_head(status, headers, len(body), self.keep_alive) + body)
        self.response_complete = True
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()


class Connection(HttpToolsProtocol):
    """Knows since when a request is under way, and refuses one whose head has no end."""

    def connection_made(self, transport: Any) -> None:
        """Begin to count its time."""
        self.since = time.monotonic()  # that of its newest request, or of its newest reply
        self._in_head, self._received, self.answered = True, 0, False
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        self._received += len(data)
        if self._in_head and self._received > _MAX_HEAD:
            self.send_400_response("Request head too large.")
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request; the scope of an ASGI application is made when one is asked."""
        self.since, self.answered = time.monotonic(), False
        self._in_head, self._received = True, 0
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Leave all to uvicorn but a request for scores that comes alone."""
        self._in_head, self._received = False, 0
        application: Application = self.config.app  # type: ignore[assignment]
        headers = dict(self.headers)
        by = application.served.raw.get(self.url)
        if by and self._is_plain(headers, application.max_body):
            self.cycle = Exchange(self, by, headers)  # type: ignore[assignment]
        else:
            url, found, expected = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expected
            self.headers += found
            super().on_headers_complete()

    def _is_plain(self, headers: dict[bytes, bytes], max_body: int) -> bool:
        """Whether nothing is to be awaited: neither a request before it, nor room, nor a word before its body."""
        length = headers.get(b"content-length", b"")
        return (
            self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and length.isdigit()
            and len(length) <= _LONGEST_LENGTH
            and int(length) <= max_body
            and b"content-encoding" not in headers
            and b"transfer-encoding" not in headers
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and (self.limit_concurrency is None or len(self.connections) < self.limit_concurrency)
        )

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if isinstance(self.cycle, Exchange):
            self.cycle.pieces.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer a request that is whole."""
        exchange = self.cycle
        if isinstance(exchange, Exchange):
            body = b"".join(exchange.pieces)
            exchange.pieces.clear()  # the connection may lie idle for long
            self.config.app.answer(exchange.by, exchange.headers, body, exchange)
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """End a request; who sends no other one for too long is cut off with all who are slow, without a timer."""
        # A reply may wait long for its reader, and holds memory and a connection until it is gone.
        self.answered, self.since = not self.pipeline, time.monotonic()
        if self.pipeline or self.flow.read_paused:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1


@lru_cache(256)
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...], length: int, keep_alive: bool) -> bytes:
    close = () if keep_alive else ((b"connection", b"close"),)
    every = (*headers, (b"content-length", b"%d" % length), *close)
    return STATUS_LINE[status] + b"".join(b"%s: %s\r\n" % each for each in every) + b"\r\n"
