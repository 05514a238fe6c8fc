"""Message brokers as Debian has them, each in a folder and on a port of its own, and what publishes to them."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import nats
import pytest
import redis

from pytest_modelgates.cli.feeds import Broker as Address
from pytest_modelgates.serving.feeds import Feed

STREAM = "PRICES"


class Broker:
    """One that can be killed and started again; what it took survives."""

    command: str
    scheme: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{STREAM}"

    def words(self) -> Sequence[object]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def create(self) -> None:
        raise NotImplementedError

    def publish(self, contents: Sequence[bytes]) -> None:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "said").open("ab") as log:
            self._process = subprocess.Popen([self.command, *map(str, self.words())], stdout=log, stderr=log)
        until = time.monotonic() + 30
        while not self.answers():
            assert time.monotonic() < until, (self.folder / "said").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it as the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def feed(self, arm: str = "live") -> Feed:
        return Address.at(self.url).opened(arm)


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


async def _unheard(_: Exception) -> None:
    pass


def running(kind: type[Broker], folder: Path) -> Iterator[Any]:
    """Run one. Where nobody looks, a missing one may skip; in CI it fails."""
    if shutil.which(kind.command) is None:
        missing = f"{kind.command} is not installed: apt-get install --no-install-recommends {kind.command}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    broker = kind(folder)
    try:
        broker.start()
        broker.create()
        yield broker
    finally:
        broker.kill()
