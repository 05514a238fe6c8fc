"""Message brokers as Debian has them, each in a folder and on a port of its own, and what publishes to them."""

import asyncio
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aio_pika
import nats
import pytest
import redis
import zmqtt

from pytest_modelgates.cli.feeds import Broker as Address
from pytest_modelgates.serving.feeds import Feed

STREAM = "PRICES"


class Broker(ABC):
    """One that can be killed and started again; what it took survives."""

    command: str
    scheme: str
    package: str | None = None  # of Debian, if it is not called as the command

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{STREAM}"

    @abstractmethod
    def words(self) -> Sequence[object]: ...

    def environment(self) -> dict[str, str] | None:
        return None

    @abstractmethod
    def answers(self) -> bool: ...

    @abstractmethod
    def create(self) -> None: ...

    @abstractmethod
    def publish(self, contents: Sequence[bytes]) -> None: ...

    def start(self) -> None:
        with (self.folder / "said").open("ab") as log:
            words = [self.command, *map(str, self.words())]
            self._process = subprocess.Popen(
                words, stdout=log, stderr=log, env=self.environment(), start_new_session=True
            )
        until = time.monotonic() + 120  # Erlang's takes 5 s, and a minute on a machine that is very busy
        while not self.answers():
            assert time.monotonic() < until, (self.folder / "said").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it as the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        """Kill it for good."""
        self.kill()

    def feed(self, arm: str = "live") -> Feed:
        return Address.at(self.url).opened(arm)


class Rabbit(Broker):
    """RabbitMQ, with the daemon by which Erlang finds its nodes on a port of its own; a test names its queue."""

    command, scheme, package = "/usr/lib/rabbitmq/bin/rabbitmq-server", "amqp", "rabbitmq-server"
    queue = STREAM

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._names, self._between = free_port(), free_port()
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        return f"amqp://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.server}/{self.queue}"

    def start(self) -> None:
        words = ["epmd", "-port", str(self._names), "-address", "127.0.0.1"]
        self._daemon = self._daemon or subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        super().start()

    def words(self) -> Sequence[object]:
        return []

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_NODENAME": "modelgates@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._between),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "base"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def kill(self) -> None:
        """Kill the server that its script has started, too."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        super().kill()

    def end(self) -> None:
        super().end()
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()

    def do(self, work: Any) -> Any:
        """Run a coroutine function of a channel."""

        async def done() -> Any:
            connection = await aio_pika.connect(self.server, timeout=5)
            async with connection:
                return await work(await connection.channel())

        return asyncio.run(done())

    def answers(self) -> bool:
        with suppress(OSError, aio_pika.exceptions.AMQPError), socket.create_connection(("127.0.0.1", self.port)):
            self.do(_nothing)
            return True
        return False

    def create(self) -> None:
        self.do(lambda channel: channel.declare_queue(self.queue, durable=True))

    def publish(self, contents: Sequence[bytes], ids: Sequence[str | None] = ()) -> None:
        async def all_of_them(channel: Any) -> None:
            kept = aio_pika.DeliveryMode.PERSISTENT
            for content, known in itertools.zip_longest(contents, ids):
                message = aio_pika.Message(content, message_id=known, delivery_mode=kept)
                await channel.default_exchange.publish(message, self.queue)

        self.do(all_of_them)

    def waiting(self) -> int:
        """How many messages of the queue were brought to nobody."""

        async def asked(channel: Any) -> int:
            queue = await channel.declare_queue(self.queue, passive=True)
            return int(queue.declaration_result.message_count)

        return int(self.do(asked))


class Mosquitto(Broker):
    """Mosquitto, which writes what it keeps to its disk when it is told, and keeps it for who has subscribed."""

    command, scheme = "mosquitto", "mqtt"

    def words(self) -> Sequence[object]:
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self.folder}/",
            "max_queued_messages 0",
            "user root",
        ]
        path = self.folder / "conf"
        path.write_text("\n".join(lines) + "\n")
        return ["-c", path]

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def create(self) -> None:
        """Make the session of the reader, for nothing is kept before."""
        feed = self.feed()
        feed.open()
        feed.close()

    def save(self) -> None:
        """Have it write what it keeps to its disk, and wait for that."""
        assert self._process
        path = self.folder / "mosquitto.db"
        before = path.stat().st_mtime_ns if path.exists() else 0
        self._process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + 30
        while not path.exists() or path.stat().st_mtime_ns == before:
            assert time.monotonic() < until, (self.folder / "said").read_text()
            time.sleep(0.01)

    def publish(self, contents: Sequence[bytes], ids: Sequence[str | None] = ()) -> None:
        async def all_of_them() -> None:
            async with zmqtt.create_client("127.0.0.1", self.port, version="5.0") as client:
                for content, known in itertools.zip_longest(contents, ids):
                    named = zmqtt.PublishProperties(user_properties=(("message_id", known),) if known else ())
                    await client.publish(STREAM, content, qos=zmqtt.QoS.AT_LEAST_ONCE, properties=named)

        asyncio.run(all_of_them())


class Nats(Broker):
    """JetStream."""

    command, scheme = "nats-server", "nats"

    def words(self) -> Sequence[object]:
        return ["-a", "127.0.0.1", "-p", self.port, "-js", "-sd", self.folder / "js"]

    def do(self, work: Any) -> Any:
        """Run a coroutine function of a JetStream context."""

        async def done() -> Any:
            once = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0}
            client = await nats.connect(f"nats://127.0.0.1:{self.port}", error_cb=_unheard, **once)
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(done())

    def answers(self) -> bool:
        with suppress(Exception):
            self.do(lambda stream: stream.account_info())
            return True
        return False

    def create(self) -> None:
        self.do(lambda stream: stream.add_stream(name=STREAM, subjects=["prices.>"]))

    def publish(self, contents: Sequence[bytes]) -> None:
        async def all_of_them(stream: Any) -> None:
            for content in contents:
                await stream.publish("prices.eu", content)

        self.do(all_of_them)


class Redis(Broker):
    """Redis, which writes each entry to its disk."""

    command, scheme = "redis-server", "redis"

    def words(self) -> Sequence[object]:
        options = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    @property
    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port)

    def answers(self) -> bool:
        with suppress(redis.RedisError), self.client as client:
            return bool(client.ping())
        return False

    def create(self) -> None:
        """Do nothing: a stream is there once it has an entry."""

    def publish(self, contents: Sequence[bytes]) -> None:
        with self.client as client, client.pipeline(transaction=False) as pipe:
            for content in contents:
                pipe.xadd(STREAM, {"row": content})
            pipe.execute()


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def _nothing(_: object) -> None:
    pass


async def _unheard(_: Exception) -> None:
    pass


def running(kind: type[Broker], folder: Path) -> Iterator[Any]:
    """Run one. Where nobody looks, a missing one may skip; in CI it fails."""
    if shutil.which(kind.command) is None:
        package = kind.package or kind.command
        missing = f"{package} is not installed: apt-get install --no-install-recommends {package}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    broker = kind(folder)
    try:
        broker.start()
        broker.create()
        yield broker
    finally:
        broker.end()
