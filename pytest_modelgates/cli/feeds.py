"""`serve` and `shadow` on what has no end: a file that grows, or a feed, until SIGTERM or Ctrl-C."""

import argparse
import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError
from .options import note

if TYPE_CHECKING:
    from ..model.sidecar import Sidecar
    from ..predictions.records import Arm, Prediction
    from ..serving.feeds import Feed, Reader
    from ..serving.metrics import FeedMetrics

SHOWN = 10  # refused rows on stderr


def address(text: str) -> tuple[str, int]:
    """Read where to listen."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address; give a port such as 8080, or 0.0.0.0:8080")
    return host.strip("[]") or "127.0.0.1", int(port)


class Count:
    """Rows as they are logged: how many, and the first that are refused on stderr."""

    def __init__(self, source: object) -> None:
        self.scored = self.refused = 0
        self._source = source

    def add(self, record: "Prediction") -> None:
        """Count a row."""
        from ..serving.adapter import ANY_ROW

        if record.error is None:
            self.scored += 1
            return
        self.refused += 1
        if self.refused <= SHOWN:
            row = "" if record.row_key == ANY_ROW else f", {record.row_key}"
            note(f"{self._source}{row}: {record.error}")

    def __str__(self) -> str:
        if self.refused > SHOWN:
            note(f"{self._source}: {self.refused - SHOWN} more rows are refused; the log has the reason for each")
        return f"{self.scored} rows scored, {self.refused} refused"


class Watch:
    """Ends a feed at SIGTERM or Ctrl-C, and says on stderr what keeps it from going on."""

    def __init__(self, source: str, metrics: "FeedMetrics | None") -> None:
        self._source, self._metrics = source, metrics
        self._end = threading.Event()
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

    def went_on(self, feed: "Feed", rows: int, dead: int, repeated: int) -> None:
        """Count what was dropped."""
        self.repeated += repeated
        if self._metrics:
            self._metrics.went_on(feed, rows, dead, repeated)


def pull(arguments: argparse.Namespace, arm: "Arm") -> int:
    """Score what comes until it is told to end."""
    from ..serving.adapter import Adapter
    from ..serving.metrics import FeedMetrics
    from ..serving.settings import settings_of

    source = str(arguments.csv)
    metrics = FeedMetrics() if arguments.metrics else None
    with Adapter(arguments.onnx, arm=arm, settings=settings_of) as adapter:
        signal.signal(signal.SIGUSR1, lambda *_: adapter.switch.stop("SIGUSR1"))
        watch, count = Watch(source, metrics), Count(source)
        feed, read = feed_of(arguments, adapter.sidecar)
        said = f"{adapter.model_id} ({arm}): follows {source}"
        if metrics:
            metrics.serves(adapter)
            host, port = arguments.metrics
            said += f"; metrics: http://{host}:{metrics.answer(host, port)}/metrics"
        print(said, flush=True)
        for record in adapter.run_feed(feed, watch, read=read):
            count.add(record)
    repeated = f", {watch.repeated} repeated" if watch.repeated else ""
    dead = f"; dead letters: {adapter.dead_letters}" if count.refused else ""
    print(f"{adapter.model_id} ({arm}): {count}{repeated}; log: {adapter.log}{dead}")
    return 0


def feed_of(arguments: argparse.Namespace, sidecar: "Sidecar") -> "tuple[Feed, Reader]":
    """Make the feed that is asked for, and name what reads its messages."""
    from ..serving.following import FollowedCsv
    from ..serving.sources import read_csv_messages

    columns: Sequence[str] = [*sidecar.keys, *sidecar.names]
    return FollowedCsv(arguments.csv, columns, say=note), read_csv_messages


def refuse_words(arguments: argparse.Namespace) -> None:
    """Refuse options that mean nothing together."""
    if arguments.follow and arguments.csv is None:
        raise UsageError("--follow what? Give --csv FILE with it; --jsonl - reads what comes without it")
    if arguments.metrics and not arguments.follow:
        raise UsageError("--metrics is for a feed: give --csv FILE --follow with it; --http has /metrics of its own")
