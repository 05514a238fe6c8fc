"""A queue of RabbitMQ, or a topic of MQTT or Kafka, as a feed, by FastStream: experimental.

FastStream pushes. What it brings waits in a queue of a bounded size, in a thread of its own, so that the connection
goes on while the log is written; nothing is acknowledged before that.
"""

import asyncio
import errno
import hashlib
import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any, TypeVar

from ..errors import FormatError
from ..extras import extra
from .seen import sequence_of
from .sources import Message

T = TypeVar("T")

_EXTRA = "faststream"
_MOST = 256  # messages that are brought and not acknowledged
_ANSWER_S = 5  # within which a broker must answer
_LAG_S = 1.0
_LONGEST_ID = 40  # characters that are logged as they are
_FOR_EVER_S = 2**32 - 1  # as MQTT writes it
_NUMBERS = 2**16  # more than MQTT has for messages without an acknowledgement


class Pushed(ABC):
    """One queue or topic, as a `Feed`.

    Parameters
    ----------
    server : str
        Where FastStream connects.
    shown : str
        What messages call it: a server's address may hold a password.
    stream : str
        The queue or the topic.
    consumer : str
        What the broker knows this reader by.
    """

    ordered, unit = False, "messages"
    floor: int | None = None
    since: date | None = None
    kind = ""
    libraries: Sequence[str] = ()

    def __init__(self, server: str, shown: str, stream: str, consumer: str) -> None:
        self._server, self._shown, self._stream, self._consumer = server, shown, stream, consumer
        self.name = f"{self.kind}:{stream}"
        self.lag: int | None = None
        self._running = ExitStack()
        self._portal: Any = None
        self._broker: Any = None
        self._fetched: Sequence[Any] = ()

    def open(self) -> None:
        """Connect, in a thread of its own.

        Raises
        ------
        FormatError
            If there is no such queue.
        """
        extra("faststream", _EXTRA)
        for library in self.libraries:
            extra(library, _EXTRA)
            logging.getLogger(library).setLevel(logging.CRITICAL)  # what is wrong is told by an error
        self._opened, self._brought = secrets.token_hex(4), 0
        self._lost, self._asked = False, 0.0
        self._portal = self._running.enter_context(extra("anyio.from_thread", _EXTRA).start_blocking_portal())
        self._call(self._start)

    def seek(self, *places: str) -> str | None:
        """Do nothing: the broker alone knows the place."""
        return None

    def fetch(self, most: int, wait_s: float) -> list[Message]:
        """Take what was brought; wait for the first message."""
        self._fetched = self._call(self._taken, most, wait_s)
        return [message for one in self._fetched for message in self._messages(one)]

    def commit(self, messages: Sequence[Message]) -> None:
        """Acknowledge what was fetched last."""
        self._call(self._acknowledge)

    def close(self) -> None:
        """Disconnect."""
        if self._broker is not None:
            with suppress(Exception):
                self._portal.call(self._stop)
        self._broker = self._portal = None
        self._running.close()

    def _call(self, work: Callable[..., Awaitable[T]], *words: object) -> T:
        """Run the client; whatever it says of the connection becomes a ConnectionError."""
        theirs: tuple[type[Exception], ...] = (OSError, EOFError, *self._errors())
        try:
            found: T = self._portal.call(work, *words)
        except theirs as error:
            raise ConnectionError(errno.ECONNABORTED, str(error) or type(error).__name__, self._shown) from error
        return found

    async def _start(self) -> None:
        self._came = asyncio.Queue[Any](_MOST)
        self._logged = asyncio.Event()
        # Without types it makes nothing of a message; without a logger, each one is not logged.
        self._broker = self._made(apply_types=False, decoder=_as_it_is, logger=None, graceful_timeout=None)
        # A reply is what a message may ask for.
        policy = extra("faststream", _EXTRA).AckPolicy.MANUAL
        self._subscribed = self._subscriber(ack_policy=policy, no_reply=True)
        self._subscribed(self._take)
        await asyncio.wait_for(self._connect(), _ANSWER_S)

    async def _connect(self) -> None:
        await self._broker.start()

    async def _take(self, message: Any) -> None:
        await self._came.put(message)

    async def _taken(self, most: int, wait_s: float) -> list[Any]:
        found = list[Any]()
        if not self._lost:
            with suppress(TimeoutError):
                found.append(await asyncio.wait_for(self._came.get(), wait_s))
        if self._lost or not (found or await self._broker.ping(_ANSWER_S)):
            raise OSError("the connection was lost")
        while found and len(found) < most and not self._came.empty():
            found.append(self._came.get_nowait())
        if time.monotonic() - self._asked > _LAG_S:
            self.lag, self._asked = await self._waiting(), time.monotonic()
        return found

    async def _acknowledge(self) -> None:
        for message in self._fetched:
            await message.ack()
        self._fetched = ()

    async def _stop(self) -> None:
        await asyncio.wait_for(self._broker.stop(), _ANSWER_S)

    def _place(self, known: str | None) -> tuple[str, int | None]:
        """Give a message its place, by which it is known again if its producer gave it an id."""
        if not known:
            self._brought += 1
            return f"{self._opened}.{self._brought}", None
        number = sequence_of(known) if len(known) <= _LONGEST_ID else None
        if number is None:
            number = int.from_bytes(hashlib.sha256(known.encode()).digest()[:8])
            known = str(number)
        return known, number

    def _message(self, content: bytes, known: str | None) -> Message:
        place, number = self._place(known)
        return Message(f"{self.name}:{place}", content, f"message {place}", number)

    @abstractmethod
    def _errors(self) -> tuple[type[Exception], ...]:
        """Name what its client raises."""

    @abstractmethod
    def _made(self, **options: Any) -> Any:
        """Make FastStream's broker."""

    @abstractmethod
    def _subscriber(self, **options: Any) -> Any:
        """Make FastStream's subscriber."""

    @abstractmethod
    def _messages(self, brought: Any) -> Iterator[Message]:
        """Read what FastStream brought."""

    async def _waiting(self) -> int | None:
        """Ask how much waits; None if the broker does not say."""
        return None

    async def _left(self, *_: object) -> None:
        """Take note that the broker went away."""
        self._lost = True


class RabbitQueue(Pushed):
    """A queue of RabbitMQ; of its messages those with a `message_id` are known again."""

    kind, libraries = "rabbitmq", ("aio_pika", "aiormq")

    def _errors(self) -> tuple[type[Exception], ...]:
        errors = extra("aio_pika.exceptions", _EXTRA)
        return errors.AMQPError, errors.ChannelInvalidStateError

    def _made(self, **options: Any) -> Any:
        rabbit = extra("faststream.rabbit", _EXTRA)
        channel = rabbit.Channel(prefetch_count=_MOST)
        # By itself its client would connect again, and the log not be asked what it has.
        return rabbit.RabbitBroker(self._server, default_channel=channel, on_close=[self._left], **options)

    def _subscriber(self, **options: Any) -> Any:
        self._queue = extra("faststream.rabbit", _EXTRA).RabbitQueue(self._stream, declare=False)
        return self._broker.subscriber(self._queue, **options)

    async def _start(self) -> None:
        try:
            await super()._start()
        except extra("aio_pika.exceptions", _EXTRA).ChannelNotFoundEntity as error:
            raise FormatError(
                f"{self._shown}: no queue {self._stream!r} there; create it, or name another one"
            ) from error

    def _messages(self, brought: Any) -> Iterator[Message]:
        yield self._message(brought.body, brought.raw_message.message_id)

    async def _waiting(self) -> int | None:
        queue = await self._broker.declare_queue(self._queue)
        return self._came.qsize() + int((await queue.declare()).message_count)


class MqttTopic(Pushed):
    """A topic of MQTT 5, in a session that the broker keeps; of its messages those with a `message_id` are known again.

    MQTT has no such property, so it is one of those that it calls the user's.
    """

    kind, libraries = "mqtt", ("zmqtt",)

    def _errors(self) -> tuple[type[Exception], ...]:
        return (extra("zmqtt", _EXTRA).MQTTError,)

    def _made(self, **options: Any) -> Any:
        return extra("faststream.mqtt", _EXTRA).MQTTBroker(
            self._server,
            client_id=self._consumer,
            clean_session=False,
            session_expiry_interval=_FOR_EVER_S,
            session_replay_buffer_size=0,  # of what comes before it has subscribed, none may be dropped
            reconnect=extra("zmqtt", _EXTRA).ReconnectConfig(enabled=False),  # it is opened again, and the log asked
            on_connection_recovery_failed=self._left,
            mqtt_connect_timeout=_ANSWER_S,
            **options,
        )

    def _subscriber(self, **options: Any) -> Any:
        return self._broker.subscriber(self._stream, qos=extra("zmqtt", _EXTRA).QoS.AT_LEAST_ONCE, **options)

    async def _connect(self) -> None:
        client = await self._broker.connect()
        # A broker may send all that a session waits for. If its client's buffer is full, it reads no answers either.
        client.subscribe = partial(client.subscribe, receive_buffer_size=_NUMBERS)
        await super()._connect()

    async def _acknowledge(self) -> None:
        await super()._acknowledge()
        # Its answer comes after the broker has read what was sent before.
        if not await self._broker.ping(_ANSWER_S):
            raise OSError("the connection was lost")

    async def _stop(self) -> None:
        # FastStream unsubscribes when it stops, and the broker would keep nothing for the next time.
        if self._broker.running:
            await (await self._broker.connect()).disconnect()
        await super()._stop()

    def _messages(self, brought: Any) -> Iterator[Message]:
        yield self._message(brought.body, brought.headers.get("message_id"))


class KafkaTopic(Pushed):
    """A topic of Kafka, read by a consumer group; a message is known again by its partition and offset."""

    kind, libraries = "kafka", ("aiokafka",)

    def _errors(self) -> tuple[type[Exception], ...]:
        return (extra("aiokafka.errors", _EXTRA).KafkaError,)

    def _made(self, **options: Any) -> Any:
        kafka = extra("faststream.kafka", _EXTRA)
        server = self._server.partition("://")[2]
        return kafka.KafkaBroker(server, allow_auto_create_topics=False, parser=_without_headers, **options)

    def _subscriber(self, **options: Any) -> Any:
        return self._broker.subscriber(
            self._stream,
            group_id=self._consumer,
            batch=True,
            max_records=_MOST,
            auto_offset_reset="earliest",
            **options,
        )

    async def _take(self, message: Any) -> None:
        await super()._take(message)
        # To acknowledge is to commit all that was consumed, so no other batch is before this one is logged.
        await self._logged.wait()
        self._logged.clear()

    async def _acknowledge(self) -> None:
        await super()._acknowledge()
        self._logged.set()

    def _messages(self, brought: Any) -> Iterator[Message]:
        for record in brought.raw_message:
            yield self._message(record.value or b"", f"{record.partition}-{record.offset}")

    async def _waiting(self) -> int | None:
        consumer = self._subscribed.consumer
        newest = {partition: consumer.highwater(partition) for partition in consumer.assignment()}
        told = [partition for partition, offset in newest.items() if offset is not None]
        return sum([int(newest[partition] - await consumer.position(partition)) for partition in told])


async def _as_it_is(message: Any) -> Any:
    return message


async def _without_headers(records: Sequence[Any], parsed: Callable[..., Awaitable[Any]]) -> Any:
    # FastStream passes over a batch with a header that is not UTF-8, and the next commit would hold for it, too.
    return await parsed(tuple(replace(record, headers=()) for record in records))
