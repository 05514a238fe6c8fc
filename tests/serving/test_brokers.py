"""Real brokers, as Debian has them: each message is logged once, also if one side is killed in the middle."""

import asyncio
import gc
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import AckPolicy, ConsumerConfig
from redis import Redis as Client

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import ab
from pytest_modelgates.cli import main
from pytest_modelgates.cli.feeds import Broker as Address
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.serving.adapter import Adapter, Settings
from pytest_modelgates.serving.dealing import Dealer
from pytest_modelgates.serving.feeds import Feed
from pytest_modelgates.serving.jetstream import JetStream
from tests.support.ab import logged_as_live, plan_of
from tests.support.brokers import STREAM, Broker, Nats, Redis, running
from tests.support.handmade import logged, renamed

pytestmark = pytest.mark.integration


@pytest.fixture(params=[Nats, Redis], ids=["nats", "redis"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    yield from running(request.param, tmp_path / "broker")


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    yield from running(Nats, tmp_path / "broker")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    yield from running(Redis, tmp_path / "broker")


@pytest.fixture
def artifacts(good_model: Path) -> Artifacts:
    return Artifacts.of(good_model)


def row(number: int, **changes: object) -> bytes:
    values = {"time": "2026-01-02", "asset": f"A{number:05d}", "momentum": number / 7, "value": 0.25}
    return json.dumps(values | changes).encode()


def rows(begin: int, end: int) -> list[bytes]:
    return [row(number) for number in range(begin, end)]


def names(records: Sequence[Prediction]) -> list[int]:
    return [int(record.row_key.rpartition("|A")[2]) for record in records]


class Until:
    """Ends when so many rows were logged, or nothing came for a while."""

    def __init__(self, rows: int, idle: int = 20) -> None:
        self._left, self._idle = rows, idle
        self.told: list[str | None] = []
        self.repeated = 0
        self.lags: list[int | None] = []

    def ended(self, wait_s: float = 0.0) -> bool:
        if wait_s:
            time.sleep(0.05)
        return self._left <= 0 or self._idle <= 0

    def moved(self) -> bool:
        return False

    def trouble(self, why: str | None) -> None:
        self.told.append(why)

    def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
        self._left -= rows
        self._idle -= not rows and not repeated
        self.repeated += repeated
        self.lags.append(feed.lag)


def pull(model: Path, feed: Feed, watched: Until, arm: str = "live") -> list[Prediction]:
    with Adapter(model / "model.onnx", arm=arm) as adapter:
        return list(adapter.run_feed(feed, watched))


def started(model: Path) -> ab.Plan:
    """Start an A/B test of the live model with a copy of it."""
    artifacts = Artifacts.of(model)
    logged_as_live(artifacts, model.name)
    plan = plan_of(artifacts, model.name, renamed(model, "1800000000").name)
    ab.start(artifacts, plan)
    return plan


def pull_both(model: Path, feed: Feed, watched: Until) -> list[Prediction]:
    with Adapter(model / "model.onnx", arm="live") as adapter:
        adapter.dealer = Dealer(adapter, lambda _: Settings())
        return list(adapter.run_feed(feed, watched))


def test_messages_are_logged_once_with_their_place(broker: Any, good_model: Path, artifacts: Artifacts) -> None:
    broker.publish(rows(0, 300))
    watched = Until(300)
    feed = broker.feed()
    found = pull(good_model, feed, watched)
    assert names(found) == list(range(300))
    assert [record.request for record in found] == [record.request for record in logged(artifacts, "live")]
    assert {(record.request or "").rpartition(":")[0] for record in found} == {feed.name}
    broker.publish(rows(300, 310))
    assert names(pull(good_model, broker.feed(), Until(10))) == list(range(300, 310))
    assert pull(good_model, broker.feed(), Until(1, idle=2)) == []
    # Another arm has a place of its own.
    assert names(pull(good_model, broker.feed("shadow"), Until(310), "shadow")) == list(range(310))
    assert None not in watched.lags[-1:]


def test_a_message_that_is_no_row_becomes_a_dead_letter(broker: Any, good_model: Path, artifacts: Artifacts) -> None:
    broker.publish([row(1), b"\xff\x00", row(2, value="x"), row(3)])
    found = pull(good_model, broker.feed(), Until(4))
    assert [bool(record.error) for record in found] == [False, True, True, False]
    assert (found[2].error or "").endswith(": value is 'x', expected float32")
    letters = artifacts.dead_letters("live").read_text().splitlines()
    assert [json.loads(letter)["request"] for letter in letters] == [found[1].request, found[2].request]
    assert pull(good_model, broker.feed(), Until(1, idle=2)) == []


def test_what_was_logged_and_not_acknowledged_comes_again_and_is_dropped(
    broker: Any, good_model: Path, artifacts: Artifacts
) -> None:
    quick_acknowledgements(broker)
    broker.publish(rows(0, 10))
    feed = broker.feed()

    def died(_: object) -> None:
        raise SystemError

    feed.commit = died
    with pytest.raises(SystemError):
        pull(good_model, feed, Until(10))
    assert names(logged(artifacts, "live")) == list(range(10))
    broker.publish(rows(10, 12))
    watched = Until(10**6, idle=8)
    assert names(pull(good_model, broker.feed(), watched)) == [10, 11]
    assert watched.repeated == 10


def test_a_message_that_comes_twice_at_once_is_acknowledged_once(broker: Any) -> None:
    broker.publish(rows(0, 3))
    feed = broker.feed()
    feed.open()
    try:
        found = [message for _ in range(5) for message in feed.fetch(10, 1)]
        feed.commit([*found, *found])
    finally:
        feed.close()
    assert len(found) == 3


def test_the_same_stream_of_another_database_is_another_one(
    redis: Redis, good_model: Path, artifacts: Artifacts
) -> None:
    for number in (0, 1):
        with Client(port=redis.port, db=number) as client:
            client.xadd(STREAM, {"row": row(number)}, id="7-1")
        feed = Address.at(redis.url.replace(f"/{STREAM}", f"/{number}/{STREAM}")).opened("live")
        assert names(pull(good_model, feed, Until(1))) == [number]
    assert [record.request for record in logged(artifacts, "live")] == ["redis:0/PRICES:7-1", "redis:1/PRICES:7-1"]
    redis.publish([row(2)])
    feed = redis.feed()
    assert names(pull(good_model, feed, Until(1))) == [2]
    assert feed.name == "redis:0/PRICES"


def test_a_broker_that_forgot_the_place_is_told_it_by_the_log(
    broker: Any, good_model: Path, artifacts: Artifacts
) -> None:
    broker.publish(rows(0, 20))
    pull(good_model, broker.feed(), Until(20))
    if isinstance(broker, Nats):
        broker.do(lambda stream: stream.delete_consumer(STREAM, "modelgates-live"))
    else:
        broker.client.xgroup_destroy(STREAM, "modelgates-live")
    broker.publish(rows(20, 22))
    watched = Until(2)
    assert names(pull(good_model, broker.feed(), watched)) == [20, 21]
    assert names(logged(artifacts, "live")) == list(range(22))
    assert watched.repeated == 19, "those behind the first place of the newest part of the log"


def test_in_an_ab_test_each_message_is_logged_once_by_one_of_both(
    broker: Any, good_model: Path, artifacts: Artifacts
) -> None:
    quick_acknowledgements(broker)
    plan = started(good_model)

    def died(_: object) -> None:
        raise SystemError

    broker.publish(rows(0, 40))
    feed = broker.feed()
    feed.commit = died
    with pytest.raises(SystemError):
        pull_both(good_model, feed, Until(40))
    broker.publish(rows(40, 60))
    assert names(pull_both(good_model, broker.feed(), Until(20))) == list(range(40, 60))
    if isinstance(broker, Nats):
        broker.do(lambda stream: stream.delete_consumer(STREAM, "modelgates-live"))
    else:
        broker.client.xgroup_destroy(STREAM, "modelgates-live")
    broker.publish(rows(60, 70))
    assert names(pull_both(good_model, broker.feed(), Until(10))) == list(range(60, 70))
    ours, theirs = (logged(artifacts, arm) for arm in ("live", "ab"))
    assert sorted(names(ours + theirs)) == list(range(70))
    assert all(plan.takes(record.row_key) for record in theirs)
    assert not any(plan.takes(record.row_key) for record in ours)


def test_a_broker_that_is_killed_and_comes_back_is_waited_for(
    broker: Any, good_model: Path, artifacts: Artifacts
) -> None:
    class Killing(Until):
        def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
            super().went_on(feed, rows, dead, repeated)
            if rows and not self.told:
                broker.kill()

        def ended(self, wait_s: float = 0.0) -> bool:
            if wait_s and len(self.told) == 1 and not broker.answers():
                broker.start()
            return super().ended(wait_s)

    quick_acknowledgements(broker)
    broker.publish(rows(0, 600))
    watched = Killing(600)
    found = pull(good_model, broker.feed(), watched)
    assert sorted(names(found)) == list(range(600))
    assert len(watched.told) == 2
    assert watched.told[0]


def test_what_is_not_a_broker_leaves_no_open_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        feed = JetStream(f"nats://127.0.0.1:{server.getsockname()[1]}", "it", STREAM, "modelgates-live")
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(server.accept)
            pool.submit(lambda: asked.result()[0].sendall(b"220 mail\r\n"))
            with pytest.raises(ConnectionError):
                feed.open()
        feed.close()
        asked.result()[0].close()
    del feed
    gc.collect()


def test_a_client_that_just_heard_its_broker_die_leaves_no_open_socket(nats: Nats) -> None:
    feed = nats.feed()
    feed.open()
    nats.kill()
    while not feed._client.is_closed:
        feed._loop.run_until_complete(asyncio.sleep(0))
    feed.close()
    del feed
    gc.collect()


def quick_acknowledgements(broker: Broker) -> None:
    """Let what is not acknowledged come again soon; by default JetStream waits for half a minute."""
    if isinstance(broker, Nats):
        config = ConsumerConfig(durable_name="modelgates-live", ack_policy=AckPolicy.EXPLICIT, ack_wait=1)
        broker.do(lambda stream: stream.add_consumer(STREAM, config))


def test_killed_in_the_middle_no_row_is_lost_and_none_logged_twice(
    broker: Any, good_model: Path, artifacts: Artifacts
) -> None:
    quick_acknowledgements(broker)
    command = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", str(good_model / "model.onnx")]
    count, until = 0, time.monotonic() + 240
    for turn in range(4):
        with subprocess.Popen([*command, "--feed", broker.url], stdout=subprocess.DEVNULL) as process:
            broker.publish(rows(count, count + 3000))
            count += 3000
            while len(logged(artifacts, "live")) < count - 2000:
                assert process.poll() is None
                assert time.monotonic() < until
            if turn % 2:
                broker.kill()
            process.kill()
        if turn % 2:
            broker.start()
    with subprocess.Popen([*command, "--feed", broker.url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"{good_model.name} (live): follows {broker.url}\n"
        while len(logged(artifacts, "live")) < count:
            assert process.poll() is None
            assert time.monotonic() < until
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate()
    assert process.returncode == 0
    assert " rows scored, 0 refused" in said
    assert sorted(names(logged(artifacts, "live"))) == list(range(count))


def test_a_stream_that_was_made_anew_begins_anew(nats: Nats, good_model: Path, artifacts: Artifacts) -> None:
    nats.publish(rows(0, 10))
    pull(good_model, nats.feed(), Until(10))
    nats.do(lambda stream: stream.delete_stream(STREAM))
    nats.create()
    nats.publish(rows(10, 15))
    assert names(pull(good_model, nats.feed(), Until(5))) == list(range(10, 15))


def test_an_entry_with_other_fields_than_one_is_refused_for_what_it_is(
    redis: Redis, good_model: Path, artifacts: Artifacts
) -> None:
    redis.client.xadd(STREAM, json.loads(row(1)), id="7-1")
    (record,) = pull(good_model, redis.feed(), Until(1))
    assert record.error == "schema: message 7-1: momentum is '0.14285714285714285', expected float32"
    (letter,) = artifacts.dead_letters("live").read_text().splitlines()
    assert json.loads(json.loads(letter)["row"])["asset"] == "A00001"


def refusal(good_model: Path, url: str, capsys: pytest.CaptureFixture[str], status: int) -> str:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        assert main(["shadow", "--onnx", str(good_model / "model.onnx"), "--feed", url]) == status
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return capsys.readouterr().err.removeprefix("modelgates: ").rstrip()


def test_what_is_not_a_feed_is_refused_in_a_line(
    nats: Nats, good_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = nats.url.replace(STREAM, "OTHER")
    why = f"{other}: no stream 'OTHER' there; create it, or name another one"
    assert refusal(good_model, other, capsys, 1) == why
    config = ConsumerConfig(durable_name="pushing", ack_policy=AckPolicy.ALL)
    nats.do(lambda stream: stream.add_consumer(STREAM, config))
    assert refusal(good_model, f"{nats.url}?consumer=pushing", capsys, 1) == (
        f"{nats.url}: the consumer 'pushing' is one that acknowledges all; delete it, and a pulled one is made that "
        "acknowledges each message, or name another one with ?consumer=NAME"
    )
    nats.kill()
    assert refusal(good_model, nats.url.replace("//", "//ada:s3cret@"), capsys, 3).endswith(f": {nats.url}")


def test_what_is_not_a_stream_of_redis_is_refused_in_a_line(
    redis: Redis, good_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redis.client.set(STREAM, "1")
    why = f"{redis.url}: '{STREAM}' is not a stream; name another key"
    assert refusal(good_model, redis.url, capsys, 1) == why
    redis.kill()
    assert refusal(good_model, redis.url, capsys, 3).endswith(f": {redis.url}")
