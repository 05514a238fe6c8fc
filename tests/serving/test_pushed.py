"""RabbitMQ and Mosquitto, as Debian has them, and Kafka in FastStream's memory: a kill of either side loses no row."""

import asyncio
import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aiokafka import TopicPartition
from faststream.kafka import TestKafkaBroker
from faststream.kafka import testing as kafka_testing
from faststream.rabbit import RabbitBroker, RabbitQueue

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli import main
from pytest_modelgates.cli.feeds import Broker as Address
from pytest_modelgates.errors import FormatError, MissingExtraError
from pytest_modelgates.predictions.parts import PartWriter
from pytest_modelgates.serving.feeds import Feed
from pytest_modelgates.serving.pushed import KafkaTopic
from pytest_modelgates.serving.sources import Message
from tests.serving.test_brokers import Until, names, pull, pull_both, row, rows, started
from tests.support.brokers import STREAM, Mosquitto, Rabbit, running
from tests.support.handmade import logged

brokers = pytest.mark.integration


@pytest.fixture(scope="module")
def one_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    yield from running(Rabbit, tmp_path_factory.mktemp("rabbit") / "broker")


@pytest.fixture
def rabbit(one_rabbit: Rabbit) -> Rabbit:
    """Give each test a queue of its own, since RabbitMQ takes seconds to start."""
    one_rabbit.queue = f"prices-{uuid4().hex}"
    one_rabbit.create()
    return one_rabbit


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    yield from running(Mosquitto, tmp_path / "broker")


@pytest.fixture(params=["rabbit", "mosquitto"])
def broker(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def artifacts(good_model: Path) -> Artifacts:
    return Artifacts.of(good_model)


def died(_: object) -> None:
    raise SystemError


def ids(begin: int, end: int) -> list[str | None]:
    return [f"price {number}" for number in range(begin, end)]


@brokers
def test_messages_are_logged_once_with_a_place(broker: Any, good_model: Path, artifacts: Artifacts) -> None:
    broker.publish(rows(0, 300))
    feed = broker.feed()
    found = pull(good_model, feed, Until(300))
    assert sorted(names(found)) == list(range(300))
    assert [record.request for record in found] == [record.request for record in logged(artifacts, "live")]
    assert len({record.request for record in found}) == 300
    assert {(record.request or "").rpartition(":")[0] for record in found} == {feed.name}
    broker.publish(rows(300, 310))
    assert sorted(names(pull(good_model, broker.feed(), Until(10)))) == list(range(300, 310))
    assert pull(good_model, broker.feed(), Until(1, idle=2)) == []


@brokers
def test_a_message_that_is_no_row_becomes_a_dead_letter(broker: Any, good_model: Path, artifacts: Artifacts) -> None:
    broker.publish([row(1), b"\xff\x00", b"", row(2)])
    found = pull(good_model, broker.feed(), Until(4))
    assert [bool(record.error) for record in found] == [False, True, True, False]
    letters = artifacts.dead_letters("live").read_text().splitlines()
    assert [json.loads(letter)["request"] for letter in letters] == [found[1].request, found[2].request]
    assert pull(good_model, broker.feed(), Until(1, idle=2)) == []


@brokers
def test_what_was_logged_and_not_acknowledged_is_dropped_by_its_id_and_logged_again_without(
    broker: Any, good_model: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By itself the client gives each message an id.
    monkeypatch.setattr("aiormq.channel.UUID", lambda **_: SimpleNamespace(hex=""))
    broker.publish(rows(0, 10), [*ids(0, 7), "9" * 200, None, None])
    seen = 0
    while seen < 10:  # it dies again and again, and has no place but the log
        feed = broker.feed()
        feed.commit = died
        with pytest.raises(SystemError):
            pull(good_model, feed, Until(10))
        seen = len({*names(logged(artifacts, "live"))})
    broker.publish(rows(10, 12), ids(10, 12))
    pull(good_model, broker.feed(), watched := Until(10**6, idle=4))
    found = names(logged(artifacts, "live"))
    assert sorted({*found}) == list(range(12))
    assert [found.count(number) for number in (*range(8), 10, 11)] == [1] * 10
    assert found.count(8) > 1, "it has no id by which it could be known again"
    assert watched.repeated == 8


@brokers
def test_what_the_broker_forgot_is_known_from_older_parts_of_the_log(
    rabbit: Rabbit, good_model: Path, artifacts: Artifacts
) -> None:
    # After a crash it may have lost what was acknowledged, to an earlier process as well.
    for begin in (0, 10):
        rabbit.publish(rows(begin, begin + 10), ids(begin, begin + 10))
        pull(good_model, rabbit.feed(), Until(10))
    rabbit.publish(rows(0, 21), ids(0, 21))
    pull(good_model, rabbit.feed(), watched := Until(1))
    assert sorted(names(logged(artifacts, "live"))) == list(range(21))
    assert watched.repeated == 20


@brokers
def test_what_an_ab_test_logged_is_known_again(rabbit: Rabbit, good_model: Path, artifacts: Artifacts) -> None:
    started(good_model)
    rabbit.publish(rows(0, 40), ids(0, 40))
    pull_both(good_model, rabbit.feed(), Until(40))
    rabbit.publish(rows(0, 41), ids(0, 41))
    pull_both(good_model, rabbit.feed(), Until(1))
    ours, theirs = (names(logged(artifacts, arm)) for arm in ("live", "ab"))
    assert ours
    assert theirs
    assert sorted(ours + theirs) == list(range(41))


@brokers
def test_with_a_handler_that_raises_faststream_loses_what_the_adapter_does_not(
    rabbit: Rabbit, good_model: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = list[int]()

    async def by_default() -> None:
        broker = RabbitBroker(rabbit.server, logger=None)
        over = asyncio.Event()

        @broker.subscriber(RabbitQueue(rabbit.queue, declare=False))
        async def handler(content: dict[str, Any]) -> None:
            number = int(content["asset"][1:])
            if number == 9:
                over.set()
            if 4 <= number < 8:
                raise OSError("No space left on device")
            kept.append(number)

        await broker.start()
        await asyncio.wait_for(over.wait(), 30)
        await broker.stop()

    rabbit.publish(rows(0, 10))
    asyncio.run(by_default())
    assert sorted(kept) == [0, 1, 2, 3, 8, 9]
    assert rabbit.waiting() == 0, "4 of 10 rows are gone"

    write, full = PartWriter.write, [True] * 4

    def written(self: PartWriter, records: Any) -> None:
        if full and full.pop():
            raise OSError(28, "No space left on device")
        write(self, records)

    monkeypatch.setattr(PartWriter, "write", written)
    rabbit.publish(rows(0, 10))
    pull(good_model, rabbit.feed(), Until(10))
    assert sorted(names(logged(artifacts, "live"))) == list(range(10))


@brokers
def test_no_more_is_pulled_than_is_acknowledged(rabbit: Rabbit) -> None:
    rabbit.publish(rows(0, 600))
    feed = rabbit.feed()
    feed.open()
    try:
        found = feed.fetch(256, 5)
        for _ in range(5):
            assert rabbit.waiting() >= 600 - 256
        feed.commit(found)
        count = len(found)
        while count < 600:
            found = feed.fetch(256, 5)
            assert found
            feed.commit(found)
            count += len(found)
    finally:
        feed.close()
    assert rabbit.waiting() == 0


@brokers
def test_what_comes_while_nobody_reads_is_there_the_next_time(mosquitto: Mosquitto, good_model: Path) -> None:
    pull(good_model, mosquitto.feed(), Until(1, idle=1))
    mosquitto.publish(rows(0, 30))
    assert sorted(names(pull(good_model, mosquitto.feed(), Until(30)))) == list(range(30))


@brokers
def test_a_reply_that_a_message_asks_for_is_not_given(rabbit: Rabbit, good_model: Path) -> None:
    asking, rabbit.queue = rabbit.queue, f"{rabbit.queue}-replies"
    rabbit.create()
    message = aio_pika.Message(row(1), reply_to=rabbit.queue, correlation_id="1")
    rabbit.do(lambda channel: channel.default_exchange.publish(message, asking))
    feed = Address.at(f"{rabbit.server}/{asking}").opened("live")
    assert names(pull(good_model, feed, Until(1))) == [1]
    assert rabbit.waiting() == 0


@brokers
def test_killed_in_the_middle_no_row_is_lost(broker: Any, good_model: Path, artifacts: Artifacts) -> None:
    command = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", str(good_model / "model.onnx")]
    command += ["--feed", broker.url]
    until, pipe = time.monotonic() + 240, subprocess.PIPE

    def wait_for(count: int, process: "subprocess.Popen[Any]") -> None:
        while len({*names(logged(artifacts, "live"))}) < count:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until

    for count in (0, 1000):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=pipe) as process:
            broker.publish(rows(count, count + 1000), ids(count, count + 1000))
            wait_for(count + 300, process)
            process.kill()
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"{good_model.name} (live): follows {broker.url}\n"
        broker.publish(rows(2000, 3000), ids(2000, 3000))
        wait_for(2300, process)
        if isinstance(broker, Mosquitto):
            broker.save()
        broker.kill()
        broker.start()
        broker.publish(rows(3000, 3010), ids(3000, 3010))
        wait_for(3010, process)
        process.send_signal(signal.SIGTERM)
        said, told = process.communicate()
    assert process.returncode == 0
    assert " rows scored, 0 refused" in said
    caution, lost, again = told.splitlines()
    assert caution == (
        f"modelgates: {broker.url}: experimental: no row is lost, but after a crash one whose message has no "
        "message_id may be logged twice"
    )
    assert lost.endswith("; tried again every second")
    assert again == f"modelgates: {broker.url}: goes on"
    # Each has an id, so that none is logged twice either.
    assert sorted(names(logged(artifacts, "live"))) == list(range(3010))


def refusal(good_model: Path, url: str, capsys: pytest.CaptureFixture[str], status: int) -> str:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        assert main(["shadow", "--onnx", str(good_model / "model.onnx"), "--feed", url]) == status
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return capsys.readouterr().err.splitlines()[-1].removeprefix("modelgates: ")


@brokers
def test_what_is_not_a_queue_is_refused_in_a_line(
    rabbit: Rabbit, good_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{rabbit.server}/none"
    assert refusal(good_model, url, capsys, 1) == f"{url}: no queue 'none' there; create it, or name another one"


@brokers
def test_a_queue_that_is_deleted_meanwhile_is_refused_too(rabbit: Rabbit, good_model: Path) -> None:
    class Deleting(Until):
        def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
            super().went_on(feed, rows, dead, repeated)
            if rows:
                rabbit.do(lambda channel: channel.queue_delete(rabbit.queue))

    rabbit.publish(rows(0, 1))
    with pytest.raises(FormatError, match=f": no queue '{rabbit.queue}' there; create it, or name another one$"):
        pull(good_model, rabbit.feed(), Deleting(2, idle=100))


@pytest.mark.filterwarnings("ignore:.*AIOKafka:pytest.PytestUnraisableExceptionWarning")  # FastStream leaves it open
@pytest.mark.parametrize("scheme", ["amqp", "mqtt", "kafka"])
def test_a_broker_that_is_not_there_is_told_in_a_line(
    scheme: str, good_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(good_model, f"{scheme}://127.0.0.1:9/prices", capsys, 3)
    assert told.endswith(f": {scheme}://127.0.0.1:9/prices")
    gc.collect()


@pytest.mark.parametrize("url", ["amqp://h/q", "mqtt://h/q", "kafka://h/q"])
def test_a_library_that_is_not_installed_is_named_with_its_extra(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faststream", None)
    feed = Address.at(url).opened("live")
    with pytest.raises(MissingExtraError, match=r"^faststream is not installed; run: pip install '.*\[faststream\]'$"):
        feed.open()
    feed.close()


class InMemory(KafkaTopic):
    """A topic of FastStream's broker in memory; as by a consumer, a batch comes once the one before is acknowledged.

    It has two partitions, of which only the first tells how much it holds.
    """

    def __init__(self, *batches: Sequence[bytes], headers: dict[str, Any] | None = None) -> None:
        super().__init__("kafka://h:9092", "kafka://h:9092/prices", STREAM, "modelgates-live")
        self._batches, self._headers, self._brought_so_far = batches, headers, 0
        self.committed = list[int]()

    async def _connect(self) -> None:
        await TestKafkaBroker(self._broker).__aenter__()
        two = [TopicPartition(STREAM, 0), TopicPartition(STREAM, 1)]
        self._subscribed.consumer = SimpleNamespace(
            commit=self._commit,
            assignment=lambda: two,
            highwater=lambda partition: (70, None)[partition.partition],
            position=self._position,
        )
        self._subscribed.parser._setup(self._subscribed.consumer)
        self._bringing = asyncio.create_task(self._bring())

    async def _bring(self) -> None:
        for batch in self._batches:
            self._brought_so_far += len(batch)
            await self._broker.publish_batch(*batch, topic=STREAM, headers=self._headers)

    async def _commit(self) -> None:
        self.committed.append(self._brought_so_far)

    async def _position(self, _: object) -> int:
        return 63


@pytest.fixture(autouse=True)
def numbers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number records that are in memory, where FastStream gives each the same; the list has the next number."""
    build, following = kafka_testing._build_record, [0]

    def built(**words: Any) -> Any:
        number = following[0]
        following[0] += 1
        return replace(build(**words), offset=number // 2, partition=number % 2)

    monkeypatch.setattr(kafka_testing, "_build_record", built)
    return following


def test_a_batch_of_kafka_is_committed_once_it_is_logged(good_model: Path, artifacts: Artifacts) -> None:
    feed = InMemory(rows(0, 4), rows(4, 7))
    in_log, commit = list[int](), feed.commit

    def committed(messages: Sequence[Message]) -> None:
        assert len(feed.committed) == len(in_log)
        in_log.append(len(logged(artifacts, "live")))
        commit(messages)

    feed.commit = committed  # type: ignore[method-assign]
    found = pull(good_model, feed, watched := Until(7))
    assert in_log == feed.committed == [4, 7]
    assert [record.request for record in found] == [
        f"kafka:PRICES:{place}" for place in ("0-0", "1-0", "0-1", "1-1", "0-2", "1-2", "0-3")
    ]
    assert names(found) == list(range(7))
    assert watched.lags[0] == 7


def test_a_batch_of_kafka_that_was_logged_and_not_committed_is_dropped_when_it_comes_again(
    good_model: Path, artifacts: Artifacts, numbers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = InMemory(rows(0, 3))
    monkeypatch.setattr(feed, "commit", died)
    with pytest.raises(SystemError):
        pull(good_model, feed, Until(3))
    assert feed.committed == []
    numbers[0] = 0
    again = InMemory(rows(0, 3), rows(3, 5))
    assert names(pull(good_model, again, watched := Until(2))) == [3, 4]
    assert watched.repeated == 3
    assert again.committed == [3, 5]
    assert names(logged(artifacts, "live")) == list(range(5))


def test_a_header_that_is_not_text_keeps_no_batch_of_kafka_from_the_log(good_model: Path) -> None:
    class Odd(str):
        def encode(self, *_: object) -> bytes:  # type: ignore[override]
            return b"\xff"

    feed = InMemory(rows(0, 3), headers={"trace": Odd("x")})
    assert names(pull(good_model, feed, Until(3, idle=4))) == [0, 1, 2]
    assert feed.committed == [3]
