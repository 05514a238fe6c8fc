"""A feed, at least once: logged before it is acknowledged, repeats dropped, what cannot be scored kept with its reason.

The feed of these tests is a list in memory, which forgets nothing that was not acknowledged.
"""

import base64
import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.kill import kill
from pytest_modelgates.audit.kinds import KILL
from pytest_modelgates.cli import main
from pytest_modelgates.cli.feeds import Broker
from pytest_modelgates.errors import FormatError, KilledError, MissingExtraError
from pytest_modelgates.predictions import places as places_module
from pytest_modelgates.predictions.parts import PartWriter
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.feeds import Feed
from pytest_modelgates.serving.sources import Message
from pytest_modelgates.storage.lines import lines_from_end
from tests.support.handmade import logged

NAME = "listed:prices"


def row(number: int, **changes: object) -> bytes:
    values = {"time": "2026-01-02", "asset": f"A{number:04d}", "momentum": number / 7, "value": 0.25}
    return json.dumps(values | changes).encode()


class Listed:
    """A broker and its client: messages by number, those that were acknowledged, and faults on order."""

    name, ordered, unit = NAME, False, "messages"
    floor: int | None = 0
    since: date | None = None

    def __init__(self, contents: dict[int, bytes]) -> None:
        self.contents = contents
        self.acknowledged = set[int]()
        self.delivered = set[int]()
        self.sought: str | None = None
        self.faults = dict[str, list[int]]()  # a method, and at which of its calls it loses the connection
        self.calls = dict[str, int]()
        self.opened = 0
        self.before_commit: Callable[[], object] = lambda: None

    @property
    def lag(self) -> int:
        return len(self.contents.keys() - self.delivered)

    def _called(self, method: str) -> None:
        self.calls[method] = self.calls.get(method, 0) + 1
        if self.calls[method] in self.faults.get(method, []):
            raise ConnectionError(errno.ECONNRESET, "it went away", "listed://")

    def open(self) -> None:
        self._called("open")
        self.opened += 1
        self.delivered = set(self.acknowledged)  # what was not acknowledged comes again

    def seek(self, *places: str) -> str | None:
        self.sought = places[0]
        return places[0]

    def fetch(self, most: int, wait_s: float) -> Sequence[Message]:
        self._called("fetch")
        numbers = sorted(self.contents.keys() - self.delivered)[: min(most, 3)]
        self.delivered |= {*numbers}
        return [
            Message(f"{self.name}:{number}", self.contents[number], f"message {number}", number) for number in numbers
        ]

    def commit(self, messages: Sequence[Message]) -> None:
        self.before_commit()
        self._called("commit")
        self.acknowledged |= {message.sequence for message in messages if message.sequence is not None}

    def close(self) -> None:
        pass


class Until:
    """Ends a feed when it has nothing more, and remembers what it is told."""

    def __init__(self, feed: Listed) -> None:
        self.feed = feed
        self.told: list[str | None] = []
        self.rows = self.dead = self.repeated = 0
        self.at_wait: Callable[[], bool] = lambda: False

    def ended(self, wait_s: float = 0.0) -> bool:
        return self.at_wait() if wait_s else self.feed.contents.keys() <= self.feed.acknowledged

    def moved(self) -> bool:
        return False

    def trouble(self, why: str | None) -> None:
        self.told.append(why)

    def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
        self.rows, self.dead, self.repeated = self.rows + rows, self.dead + dead, self.repeated + repeated


@pytest.fixture
def adapter(good_model: Path) -> Iterator[Adapter]:
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        yield adapter


@pytest.fixture
def artifacts(good_model: Path) -> Artifacts:
    return Artifacts.of(good_model)


def requests(artifacts: Artifacts, arm: str = "live") -> list[str | None]:
    return [record.request for record in logged(artifacts, arm)]


def letters(artifacts: Artifacts) -> list[dict[str, Any]]:
    return [json.loads(line) for line in artifacts.dead_letters("live").read_text().splitlines()]


def places(*numbers: int) -> list[str]:
    return [f"{NAME}:{number}" for number in numbers]


def test_rows_are_logged_with_their_place_and_then_acknowledged(adapter: Adapter, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in range(1, 8)})
    in_log = []
    feed.before_commit = lambda: in_log.append(len(requests(artifacts)))
    watched = Until(feed)
    records = list(adapter.run_feed(feed, watched))
    assert in_log == [3, 6, 7]
    assert feed.acknowledged == {*range(1, 8)}
    assert requests(artifacts) == [record.request for record in records] == places(*range(1, 8))
    assert [record.prediction for record in records] == [pytest.approx(n / 700, abs=1e-6) for n in range(1, 8)]
    assert (watched.rows, watched.dead, watched.repeated, watched.told) == (7, 0, 0, [])
    assert not artifacts.dead_letters("live").exists()


def test_what_comes_again_is_dropped_and_acknowledged_again(adapter: Adapter, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in range(1, 8)})
    feed.faults = {"commit": [2]}
    watched = Until(feed)
    list(adapter.run_feed(feed, watched))
    assert requests(artifacts) == places(*range(1, 8))
    assert feed.acknowledged == {*range(1, 8)}
    assert (watched.repeated, feed.opened) == (3, 2)
    assert watched.told == ["it went away", None]


def test_after_a_restart_the_log_says_what_comes_again(good_model: Path, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in range(1, 8)})

    def killed() -> None:
        raise SystemError

    for _ in range(2):  # each time it dies after a batch is in the log, before it is acknowledged
        feed.before_commit = killed
        with Adapter(good_model / "model.onnx", arm="live") as adapter, pytest.raises(SystemError):
            list(adapter.run_feed(feed, Until(feed)))
        assert requests(artifacts) == places(1, 2, 3)
    feed.before_commit = lambda: None
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        list(adapter.run_feed(feed, Until(feed)))
    assert requests(artifacts) == places(*range(1, 8))
    assert feed.sought == "1"


@pytest.mark.parametrize("compacted", [False, True])
def test_a_closed_part_is_asked_too_as_lines_or_as_parquet(
    good_model: Path, artifacts: Artifacts, compacted: bool
) -> None:
    feed = Listed({number: row(number) for number in range(1, 8)})
    with Adapter(good_model / "model.onnx", arm="blue") as adapter:
        list(adapter.run_feed(feed, Until(feed)))
    with Adapter(good_model / "model.onnx", arm="blue") as adapter:  # a part of other rows, which is passed over
        list(adapter.run_feed(Listed({}), Until(Listed({}))))
    if compacted:
        assert main(["predictions", "compact", "--artifacts", str(artifacts.root)]) == 0
        assert [path.suffix for path in artifacts.predictions.glob("blue/*/*")] == [".parquet"]
    feed.acknowledged = {1, 2}
    watched = Until(feed)
    with Adapter(good_model / "model.onnx", arm="blue") as adapter:
        list(adapter.run_feed(feed, watched))
    assert watched.repeated == 5
    assert requests(artifacts, "blue") == places(*range(1, 8))


def test_a_damaged_part_is_named_before_anything_is_pulled(good_model: Path, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in range(1, 4)})
    with Adapter(good_model / "model.onnx", arm="blue") as adapter:
        list(adapter.run_feed(feed, Until(feed)))
    assert main(["predictions", "compact", "--artifacts", str(artifacts.root)]) == 0
    (part,) = artifacts.predictions.glob("blue/*/*.parquet")
    content = part.read_bytes()
    other = io.BytesIO()
    pq.write_table(pa.table({"other": [1]}), other)
    feed.acknowledged = {1}
    for damaged in (content[:-9], b"PAR1" + bytes(len(content) - 8) + content[-4:], other.getvalue()):
        part.chmod(0o644)
        part.write_bytes(damaged)
        with (
            Adapter(good_model / "model.onnx", arm="blue") as adapter,
            pytest.raises(FormatError, match=rf"{part.name}: not what compact made of a part \(.+\); put it back"),
        ):
            list(adapter.run_feed(feed, Until(feed)))
    assert feed.acknowledged == {1}


def test_the_log_is_read_back_only_as_far_as_messages_can_come_again(
    good_model: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Listed({})
    for begin in (1, 4, 7, 10):
        feed.contents |= {number: row(number) for number in range(begin, begin + 3)}
        with Adapter(good_model / "model.onnx", arm="live") as adapter:
            list(adapter.run_feed(feed, Until(feed)))
    read = list[Path]()

    def watched(path: Path, **options: Any) -> Any:
        read.append(path)
        return lines_from_end(path, **options)

    monkeypatch.setattr(places_module, "lines_from_end", watched)
    feed.acknowledged, feed.floor, until = {*range(1, 7)}, 6, Until(feed)
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        list(adapter.run_feed(feed, until))
    assert until.repeated == 6
    assert requests(artifacts) == places(*range(1, 13))
    assert len(read) == 3, "two parts with messages that can come again, and one without"


def test_what_the_broker_delivers_again_by_itself_is_dropped(adapter: Adapter, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in range(1, 8)})
    late = [{1, 3}, set[int]()]

    def forgotten() -> None:
        feed.delivered -= late.pop() if late else set()

    feed.before_commit, watched = forgotten, Until(feed)
    list(adapter.run_feed(feed, watched))
    assert requests(artifacts) == places(*range(1, 8))
    assert watched.repeated == 2


def test_a_stream_that_is_made_anew_meanwhile_repeats_nothing(adapter: Adapter, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in (1, 2, 3)})

    def made_anew() -> None:
        if feed.name == NAME:
            feed.name, feed.faults = f"{NAME}2", {"commit": [1]}

    feed.before_commit = made_anew
    list(adapter.run_feed(feed, Until(feed)))
    assert requests(artifacts) == [*places(1, 2, 3), *(f"{NAME}2:{number}" for number in (1, 2, 3))]


def test_a_stream_that_was_made_anew_repeats_nothing(good_model: Path, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in (1, 2)})
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        list(adapter.run_feed(feed, Until(feed)))
        feed.name, feed.acknowledged = f"{NAME}2", set()
        list(adapter.run_feed(feed, Until(feed)))
    assert requests(artifacts) == [*places(1, 2), f"{NAME}2:1", f"{NAME}2:2"]


def test_a_row_that_cannot_be_scored_becomes_a_dead_letter(adapter: Adapter, artifacts: Artifacts) -> None:
    odd = row(3, momentum=None)
    feed = Listed({1: row(1), 2: b"\xff", 3: odd, 4: b" " * 2**20 + b"{}", 5: row(5)})
    watched = Until(feed)
    list(adapter.run_feed(feed, watched))
    found = logged(artifacts, "live")
    why = "schema: message 2: not a JSON object (JSON is malformed: invalid character (byte 0))"
    long = "schema: message 4: more than 1048576 bytes"
    assert [record.error for record in found] == [None, why, "schema: momentum is nan", long, None]
    assert [record.request for record in found] == places(1, 2, 3, 4, 5)
    assert [(each["request"], each["error"]) for each in letters(artifacts)] == [
        (record.request, record.error) for record in found if record.error
    ]
    second, third, fourth = letters(artifacts)
    assert base64.b64decode(second["base64"]) == b"\xff"
    assert third["row"] == odd.decode()
    assert len(fourth["row"]) == 2**20 + 2
    assert watched.dead == 3
    assert artifacts.dead_letters("live").stat().st_mode & 0o777 == artifacts.file_mode


def test_nothing_is_pulled_while_the_log_cannot_be_written(
    adapter: Adapter, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Listed({number: row(number) for number in range(1, 8)})
    watched, write, full = Until(feed), PartWriter.write, [True] * 3

    def written(self: PartWriter, records: Any) -> None:
        if full and full.pop():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, records)

    monkeypatch.setattr(PartWriter, "write", written)
    fetched = []
    watched.at_wait = lambda: bool(fetched.append(feed.calls["fetch"]))
    list(adapter.run_feed(feed, watched))
    assert fetched == [1, 1, 1]
    assert requests(artifacts) == places(*range(1, 8))
    why = "the log cannot be written ([Errno 28] No space left on device); nothing is pulled until it can"
    assert watched.told == [why, None]


def test_who_ends_it_while_the_log_cannot_be_written_is_told_why(
    adapter: Adapter, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Listed({1: b"{"})
    watched = Until(feed)
    watched.at_wait = lambda: True

    def full(self: PartWriter, records: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PartWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        list(adapter.run_feed(feed, watched))
    assert not feed.acknowledged
    assert len(letters(artifacts)) == 1, "the letter is written first, and once"


def test_killed_it_acknowledges_nothing_more(adapter: Adapter, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in range(1, 8)})
    running = adapter.run_feed(feed, Until(feed))
    assert len([next(running) for _ in range(3)]) == 3
    kill(artifacts, "live", "enough", KILL)
    with pytest.raises(KilledError, match="enough"):
        next(running)
    assert requests(artifacts) == places(1, 2, 3)
    assert feed.acknowledged == {1, 2, 3}
    assert feed.calls["fetch"] == 1


def test_killed_while_a_batch_is_in_the_model_it_is_not_acknowledged(adapter: Adapter, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in range(1, 4)})
    fetch = feed.fetch

    def killed(most: int, wait_s: float) -> Sequence[Message]:
        kill(artifacts, "all", "enough", KILL)
        return fetch(most, wait_s)

    feed.fetch = killed  # type: ignore[method-assign]
    with pytest.raises(KilledError, match="enough"):
        list(adapter.run_feed(feed, Until(feed)))
    assert requests(artifacts) == []
    assert not feed.acknowledged


def test_a_feed_that_goes_away_is_opened_again_until_it_is_there(adapter: Adapter, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in range(1, 8)})
    feed.faults = {"fetch": [2], "open": [2, 3]}
    watched = Until(feed)
    list(adapter.run_feed(feed, watched))
    assert requests(artifacts) == places(*range(1, 8))
    assert watched.told == ["it went away", None]


def test_a_feed_that_is_not_there_at_the_start_is_an_error(adapter: Adapter) -> None:
    feed = Listed({})
    feed.faults = {"open": [1]}
    with pytest.raises(ConnectionError, match="it went away"):
        list(adapter.run_feed(feed, Until(feed)))


def test_one_process_alone_fills_an_arm_from_a_stream(adapter: Adapter, good_model: Path, artifacts: Artifacts) -> None:
    feed = Listed({number: row(number) for number in (1, 2)})
    running = adapter.run_feed(feed, Until(feed))
    next(running)
    other = f"^{NAME}: another process logs it as live already; stop that one first, or its rows would be logged twice$"
    with Adapter(good_model / "model.onnx", arm="live") as second, pytest.raises(FormatError, match=other):
        list(second.run_feed(beside := Listed({1: row(1)}), Until(beside)))
    with Adapter(good_model / "model.onnx", arm="shadow") as third:
        beside = Listed({1: row(1)})
        assert len(list(third.run_feed(beside, Until(beside)))) == 1
    list(running)
    assert len(os.listdir(artifacts.predictions / "live")) == 2  # a day and a lock


ODD = (
    "not the address of a stream; give nats://HOST:PORT/STREAM, redis://HOST:PORT/DB/STREAM, "
    "amqp://HOST:PORT/VHOST/QUEUE, mqtt://HOST:PORT/TOPIC or kafka://HOST:PORT/TOPIC; with ?consumer=NAME if another "
    "one reads the same, but for a queue"
)


@pytest.mark.parametrize(
    "url",
    [
        "pulsar://host/prices",
        "kafka://host",
        "kafka://host/a/prices",
        "amqp://host/a/b/prices",
        "amqp://host/prices?consumer=desk",
        "mqtt://host/prices/#",
        "nats://ada:s3cret@host",
        "nats:///PRICES",
        "nats://host/a/PRICES",
        "redis://host:port/prices",
        "redis://host/0/1/prices",
        "redis://host/desk/prices",
        "redis://host/prices?group=desk",
        "nats://[host/PRICES",
        "prices.csv",
    ],
)
def test_what_is_not_the_address_of_a_stream_is_refused_without_repeating_it(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["serve", "--onnx", "x", "--feed", url])
    assert capsys.readouterr().err.splitlines()[-1] == f"modelgates serve: error: argument --feed: {ODD}"


@pytest.mark.parametrize(
    ("url", "server", "shown", "stream", "consumer"),
    [
        ("nats://h/PRICES", "nats://h", "nats://h/PRICES", "PRICES", None),
        ("tls://ada:pw@h:1/P?consumer=desk", "tls://ada:pw@h:1", "tls://h:1/P", "P", "desk"),
        ("redis://h:1/0/prices", "redis://h:1/0", "redis://h:1/0/prices", "prices", None),
        ("rediss://:pw@h/eu%2Fprices", "rediss://:pw@h", "rediss://h/eu%2Fprices", "eu/prices", None),
        ("amqps://ada:pw@h/desk/prices", "amqps://ada:pw@h/desk", "amqps://h/desk/prices", "prices", None),
        ("mqtt://ada:pw@h/eu/+/%23", "mqtt://ada:pw@h", "mqtt://h/eu/+/%23", "eu/+/#", None),
        ("kafka://h:9092/prices?consumer=desk", "kafka://h:9092", "kafka://h:9092/prices", "prices", "desk"),
    ],
)
def test_the_address_of_a_stream_is_read_and_shown_without_its_password(
    url: str, server: str, shown: str, stream: str, consumer: str | None
) -> None:
    found = Broker.at(url)
    assert (found.server, found.shown, found.stream, found.consumer) == (server, shown, stream, consumer)


def test_a_password_for_kafka_is_refused_without_repeating_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["serve", "--onnx", "x", "--feed", "kafka://ada:s3cret@h/prices"])
    assert capsys.readouterr().err.splitlines()[-1] == (
        "modelgates serve: error: argument --feed: a name or a password for Kafka, which is reached without; leave it "
        "out"
    )


@pytest.mark.parametrize(("url", "library"), [("nats://h/P", "nats"), ("redis://h/p", "redis")])
def test_a_client_that_is_not_installed_is_named_with_its_extra(
    good_model: Path, url: str, library: str, monkeypatch: pytest.MonkeyPatch, adapter: Adapter
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"^{library} is not installed; run: pip install '.*\[feeds\]'$"):
        list(adapter.run_feed(Broker.at(url).opened("live"), Until(Listed({1: b""}))))
