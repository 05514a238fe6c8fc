"""`serve` and `shadow` on what has no end: a file that grows, or a feed, until SIGTERM or Ctrl-C."""

import argparse
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import UsageError
from ..storage.text import shown
from .options import note

if TYPE_CHECKING:
    from ..predictions.records import Arm, Prediction
    from ..serving.adapter import Adapter
    from ..serving.feeds import Feed, Reader
    from ..serving.metrics import FeedMetrics

SHOWN = 10  # refused rows on stderr
_NATS, _REDIS, _RABBIT, _MQTT, _KAFKA = "nats", "redis", "rabbit", "mqtt", "kafka"
_KINDS = {
    "nats": _NATS,
    "tls": _NATS,
    "redis": _REDIS,
    "rediss": _REDIS,
    "amqp": _RABBIT,
    "amqps": _RABBIT,
    "mqtt": _MQTT,
    "mqtts": _MQTT,
    "kafka": _KAFKA,
}
_TWICE = "experimental: no row is lost, but after a crash one whose message has no message_id may be logged twice"
_CAUTIONS = {_RABBIT: _TWICE, _MQTT: _TWICE, _KAFKA: "experimental: no real broker of this kind was tried yet"}


def address(text: str) -> tuple[str, int]:
    """Read where to listen."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address; give a port such as 8080, or 0.0.0.0:8080")
    return host.strip("[]") or "127.0.0.1", int(port)


@dataclass(frozen=True, slots=True)
class Broker:
    """A stream of a message broker, as `--feed` names it; what is `shown` of the address holds no password."""

    kind: str
    server: str
    shown: str
    stream: str
    consumer: str | None

    @classmethod
    def at(cls, text: str) -> "Broker":
        """Read an address such as `nats://localhost:4222/PRICES` or `amqp://localhost:5672/prices`."""
        refused = argparse.ArgumentTypeError(  # without the text, which may hold a password
            "not the address of a stream; give nats://HOST:PORT/STREAM, redis://HOST:PORT/DB/STREAM, "
            "amqp://HOST:PORT/VHOST/QUEUE, mqtt://HOST:PORT/TOPIC or kafka://HOST:PORT/TOPIC; with ?consumer=NAME if "
            "another one reads the same, but for a queue"
        )
        try:
            parts = urlsplit(text)
            kind, host, _ = _KINDS[parts.scheme], parts.hostname, parts.port
        except (ValueError, KeyError):
            raise refused from None
        path, asked = parts.path.strip("/"), parse_qs(parts.query)
        *before, stream = [path] if kind == _MQTT else path.split("/")
        if not (host and stream) or "#" in text or len(before) > (kind in (_REDIS, _RABBIT)):
            raise refused
        if not asked.keys() <= (set() if kind == _RABBIT else {"consumer"}):
            raise refused
        if kind == _REDIS and not all(database.isascii() and database.isdecimal() for database in before):
            raise refused
        if kind == _KAFKA and "@" in parts.netloc:
            raise argparse.ArgumentTypeError("a name or a password for Kafka, which is reached without; leave it out")
        place = "/".join(("", *before))
        return cls(
            kind,
            f"{parts.scheme}://{parts.netloc}{place}",
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{place}/{stream}",
            unquote(stream),
            asked["consumer"][-1] if "consumer" in asked else None,
        )

    @property
    def caution(self) -> str | None:
        """What people must know of it."""
        return _CAUTIONS.get(self.kind)

    def opened(self, arm: "Arm") -> "Feed":
        """Make the feed of it; the consumer is called after the arm."""
        consumer = self.consumer or f"modelgates-{arm}".replace(".", "_")
        if self.kind in _CAUTIONS:
            from ..serving.pushed import KafkaTopic, MqttTopic, RabbitQueue

            kinds: dict[str, Callable[[str, str, str, str], Feed]]
            kinds = {_RABBIT: RabbitQueue, _MQTT: MqttTopic, _KAFKA: KafkaTopic}
            return kinds[self.kind](self.server, self.shown, self.stream, consumer)
        if self.kind == _REDIS:
            from ..serving.redis_streams import RedisStream

            return RedisStream(self.server, self.shown, self.stream, consumer)
        from ..serving.jetstream import JetStream

        return JetStream(self.server, self.shown, self.stream, consumer)


class Count:
    """Rows as they are logged: how many, and the first that are refused on stderr."""

    def __init__(self, source: object) -> None:
        from ..serving.adapter import ANY_ROW  # here, since no other verb needs what it loads

        self.scored = self.refused = 0
        self._source, self._any = source, ANY_ROW

    def add(self, record: "Prediction") -> None:
        """Count a row."""
        if record.error is None:
            self.scored += 1
            return
        self.refused += 1
        if self.refused <= SHOWN:
            row = "" if record.row_key == self._any else f", {record.row_key}"
            note(f"{self._source}{row}: {record.error}")

    def said(self) -> str:
        """Say how many there were; of those that stderr has not, also there how many."""
        if self.refused > SHOWN:
            note(f"{self._source}: {self.refused - SHOWN} more rows are refused; the log has the reason for each")
        return f"{self.scored} rows scored, {self.refused} refused"


class Watch:
    """Ends a feed at SIGTERM or Ctrl-C, and says on stderr what keeps it from going on."""

    def __init__(self, source: str, metrics: "FeedMetrics | None") -> None:
        self._source, self._metrics = source, metrics
        self._end = threading.Event()
        self.moved: Callable[[], bool] = lambda: False
        self.repeated = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, *_: object) -> None:
        self._end.set()
        # Who asks again does not want to wait.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def ended(self, wait_s: float = 0.0) -> bool:
        """Whether it was told to end."""
        return self._end.wait(wait_s) if wait_s else self._end.is_set()

    def trouble(self, why: str | None) -> None:
        """Say why nothing goes on, and that it does again."""
        note(f"{self._source}: {f'{why}; tried again every second' if why else 'goes on'}")
        if self._metrics:
            self._metrics.trouble(why)

    def not_taken(self, why: str | None) -> None:
        """Say why another model scores than the link names."""
        if why:
            note(why)
        if self._metrics:
            self._metrics.not_taken(why)

    def went_on(self, feed: "Feed", rows: int, dead: int, repeated: int) -> None:
        """Count what was dropped."""
        self.repeated += repeated
        if self._metrics:
            self._metrics.went_on(feed, rows, dead, repeated)


def pull(arguments: argparse.Namespace, arm: "Arm") -> int:
    """Score what comes until it is told to end."""
    from ..serving.metrics import FeedMetrics
    from ..serving.relinked import Relinked
    from ..serving.running import Announced
    from ..serving.settings import settings_of

    source = str(arguments.csv) if arguments.csv else arguments.feed.shown
    metrics = FeedMetrics() if arguments.metrics else None
    watch, count = Watch(source, metrics), Count(source)
    if arguments.feed and arguments.feed.caution:
        note(f"{source}: {arguments.feed.caution}")
    at = ""
    if metrics:
        host, port = arguments.metrics
        at = f"; metrics: http://{shown(host, metrics.answer(host, port))}/metrics"
    model = Relinked(arguments.onnx, arm=arm, settings=settings_of, trouble=watch.not_taken)
    with closing(model), Announced(model.adapter.artifacts, arm):
        signal.signal(signal.SIGUSR1, lambda *_: model.adapter.switch.stop("SIGUSR1"))
        watch.moved = model.moved
        while True:
            adapter = model.adapter
            if metrics:
                metrics.serves(adapter)
            print(f"{adapter.model_id} ({arm}): follows {source}{at}", flush=True)
            feed, read = feed_of(arguments, arm, adapter)
            for record in adapter.run_feed(feed, watch, read=read):
                count.add(record)
            if watch.ended():
                break
            model.take()
    repeated = f", {watch.repeated} repeated" if watch.repeated else ""
    dead = f"; dead letters: {adapter.dead_letters}" if count.refused else ""
    print(f"{adapter.model_id} ({arm}): {count.said()}{repeated}; log: {adapter.log}{dead}")
    return 0


def feed_of(arguments: argparse.Namespace, arm: "Arm", adapter: "Adapter") -> "tuple[Feed, Reader]":
    """Make the feed that is asked for, and name what reads its messages."""
    from ..serving.following import FollowedCsv
    from ..serving.sources import read_messages

    if arguments.feed:
        return arguments.feed.opened(arm), read_messages
    feed = FollowedCsv(arguments.csv, adapter.sidecar, reorder=adapter.reorder, say=note)
    return feed, feed.read


def refuse_words(arguments: argparse.Namespace) -> None:
    """Refuse options that mean nothing together."""
    if arguments.follow and arguments.csv is None:
        raise UsageError("--follow what? Give --csv FILE with it; --jsonl - reads what comes without it")
    if arguments.metrics and not (arguments.follow or arguments.feed or getattr(arguments, "workers", 1) > 1):
        raise UsageError(
            "--metrics is for --follow, --feed and --workers; one server of --http has /metrics of its own"
        )
