"""A stream of NATS JetStream as a feed, by nats-py: a durable consumer, in which each message is acknowledged."""

import asyncio
import errno
import zlib
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Any, TypeVar

import msgspec

from ..errors import FormatError
from ..extras import extra
from .sources import Message

T = TypeVar("T")

_CONNECT_S, _ANSWER_S = 2, 5  # within which a broker must answer
_PING_S = 10


class JetStream:
    """One stream, as a `Feed`.

    Parameters
    ----------
    server : str
        Where nats-py connects.
    shown : str
        What messages call it: a server's address may hold a password.
    stream : str
    consumer : str
        The durable consumer, which is made if it is not there.
    """

    ordered, unit = False, "messages"

    def __init__(self, server: str, shown: str, stream: str, consumer: str) -> None:
        self._server, self._shown, self._stream, self._consumer = server, shown, stream, consumer
        self.name = f"nats:{stream}"
        self.floor: int | None = None
        self.since: date | None = None
        self.lag: int | None = None
        self._start: int | None = None
        self._missing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._heard: Exception | None = None
        self._subscription: Any = None
        self._open = dict[int, Any]()  # messages that were fetched and not acknowledged

    def open(self) -> None:
        """Connect, and ask how far the consumer is.

        Raises
        ------
        FormatError
            If there is no such stream, or the consumer does not wait for each acknowledgement.
        """
        self._nats = extra("nats", "feeds")
        self._loop = asyncio.new_event_loop()
        self._run(self._connect())

    def seek(self, *places: str) -> str | None:
        """Let a consumer that is made anew begin behind this place."""
        self._start = int(places[0]) + 1
        return places[0]

    def fetch(self, most: int, wait_s: float) -> list[Message]:
        """Take what is there; wait for the first message."""
        if self._subscription is None:
            self._run(self._subscribe())
        # nats-py waits for as many as it was asked for, so it is asked for those that are there.
        found = self._run(self._fetch(min(self.lag or 1, most), wait_s))
        messages = list[Message]()
        for message in found:
            # $JS.ACK.<stream>.<consumer>.<deliveries>.<stream's number>.<consumer's>.<time>.<waiting>, or with two
            # more words in front; `Msg.metadata` reads all of it for each row.
            words = message.reply.split(".")
            place = 5 if len(words) == 9 else 7
            number, self.lag = int(words[place]), int(words[place + 3])
            self._open[number] = message
            messages.append(Message(f"{self.name}:{number}", message.data, f"message {number}", number))
        return messages

    def commit(self, messages: Sequence[Message]) -> None:
        """Acknowledge messages, and wait until the broker knows."""
        self._run(self._acknowledge([message.sequence for message in messages if message.sequence is not None]))

    def close(self) -> None:
        """Disconnect."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        if self._client is not None:
            client, self._client = self._client, None
            loop.run_until_complete(_closed(client))
        loop.close()
        self._subscription = None
        self._open.clear()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the client; whatever it says of the connection becomes a ConnectionError."""
        assert self._loop is not None
        try:
            return self._loop.run_until_complete(work)
        except (TimeoutError, self._nats.errors.Error, OSError, EOFError, asyncio.CancelledError) as error:
            said = self._heard if isinstance(error, self._nats.errors.NoServersError) and self._heard else error
            why = (str(said) or type(said).__name__).removeprefix("nats: ")
            raise ConnectionError(errno.ECONNABORTED, why, self._shown) from error

    async def _connect(self) -> None:
        async def heard(error: Exception) -> None:
            """Keep what is behind an error that says only that no server is there; nats-py would print it."""
            self._heard = error

        self._client = self._nats.NATS()  # `nats.connect` keeps no client, and so its socket, if it fails
        await self._client.connect(
            self._server,
            error_cb=heard,
            allow_reconnect=False,  # it is opened again, and the log asked what it has
            connect_timeout=_CONNECT_S,
            max_reconnect_attempts=1,  # it means those of the first connection, too
            reconnect_time_wait=0,
            ping_interval=_PING_S,
            name="modelgates",
        )
        answer = await self._client.request(f"$JS.API.STREAM.INFO.{self._stream}", b"", timeout=_ANSWER_S)
        told = msgspec.json.decode(answer.data)
        if (error := told.get("error")) and error.get("code") == 404:
            raise FormatError(f"{self._shown}: no stream {self._stream!r} there; create it, or name another one")
        if error:
            raise OSError(error.get("description", "JetStream refuses"))
        # Of a stream that was made anew, the numbers begin anew.
        self.name = f"nats:{self._stream}#{zlib.crc32(told['created'].encode()):08x}"
        self.since = datetime.fromisoformat(told["created"][:10]).date()
        self._streams = self._client.jetstream()
        try:
            info = await self._streams.consumer_info(self._stream, self._consumer)
        except self._nats.js.errors.NotFoundError:
            self._missing, self.floor, self.lag = True, None, None
            return
        policy = getattr(info.config.ack_policy, "value", info.config.ack_policy)
        if policy != "explicit" or info.config.deliver_subject:
            kind = "one that pushes" if info.config.deliver_subject else f"one that acknowledges {policy}"
            raise FormatError(
                f"{self._shown}: the consumer {self._consumer!r} is {kind}; delete it, and a pulled one is made that "
                "acknowledges each message, or name another one with ?consumer=NAME"
            )
        self._missing, self.floor, self.lag = False, info.ack_floor.stream_seq, info.num_pending

    async def _subscribe(self) -> None:
        if self._missing:
            api = self._nats.js.api
            begin = {"deliver_policy": api.DeliverPolicy.ALL}
            if self._start:
                begin = {"deliver_policy": api.DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": self._start}
            config = api.ConsumerConfig(durable_name=self._consumer, ack_policy=api.AckPolicy.EXPLICIT, **begin)
            self.lag = (await self._streams.add_consumer(self._stream, config)).num_pending
            self._missing = False
        self._subscription = await self._streams.pull_subscribe_bind(self._consumer, self._stream)

    async def _fetch(self, count: int, wait_s: float) -> list[Any]:
        try:
            found: list[Any] = await self._subscription.fetch(count, timeout=wait_s)
        except (TimeoutError, self._nats.errors.TimeoutError):
            self.lag, found = 0, []
        if not self._client.is_connected:
            raise OSError("the connection was lost")
        return found

    async def _acknowledge(self, numbers: Sequence[int]) -> None:
        for number in dict.fromkeys(numbers):  # one may come again before the first was acknowledged
            await self._open.pop(number).ack()
        await self._client.flush(_ANSWER_S)


async def _closed(client: Any) -> None:
    """Close a client, and wait for its tasks: one that heard the broker die may be about to close the socket."""
    with suppress(Exception):
        await asyncio.wait_for(client.close(), _ANSWER_S)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        await asyncio.wait(tasks, timeout=_ANSWER_S)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(0)
