"""How late a row of a growing file is logged, and what a feed costs beside a loop of the broker's own client.

    python -m benchmarks.feeds [ROUNDS]

A LightGBM of 200 trees on 50 float32 features. A row is appended to a CSV file every 1 to 20 ms; a process that follows
it must log 99 of 100 within 20 ms. A stream of JetStream, and one of Redis, of 20 batches of 256 rows must cost at most
1.3 times the processor time of a bare loop: the client's own calls, the same rows read, scored and logged, and each
batch acknowledged. Least times of rounds that take turns. A broker that is not installed is left out.
"""

import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import nats
import numpy as np
import redis
from nats.js import api

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.serving import FEATURES, least, packed
from pytest_modelgates.model.directory import MODEL
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.feeds import Feed
from pytest_modelgates.serving.jetstream import JetStream
from pytest_modelgates.serving.named import rows_of
from pytest_modelgates.serving.redis_streams import RedisStream

APPENDED, BATCHES, SIZE, STREAM = 500, 20, 256, "PRICES"
ROWS = BATCHES * SIZE
Handler = Callable[[Sequence[bytes]], object]
_object = msgspec.json.Decoder(dict[str, Any]).decode


class Until:
    """Ends a feed after so many rows."""

    def __init__(self, rows: int) -> None:
        self._left = rows

    def ended(self, wait_s: float = 0.0) -> bool:
        """Whether all were logged."""
        return self._left <= 0

    def moved(self) -> bool:
        """No other model comes."""
        return False

    def trouble(self, why: str | None) -> None:
        """End: nothing may go wrong here."""
        raise RuntimeError(why)

    def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
        """Count."""
        self._left -= rows


@contextmanager
def broker(words: Sequence[object], answers: Callable[[], object]) -> Iterator[None]:
    """Run a broker until the end of the block."""
    with subprocess.Popen([*map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(500):
                with suppress(Exception):
                    answers()
                    break
                time.sleep(0.02)
            yield
        finally:
            process.kill()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def append_to_logged(directory: Path, root: Path) -> list[float]:
    """Append rows to a file that is followed, and time each until it is in the log [s]."""
    names = [f"f{number}" for number in range(FEATURES)]
    cells = ",".join(["0.25"] * FEATURES)
    csv = root / "rows" / "live.csv"
    csv.parent.mkdir()
    csv.write_text(",".join(["time", "asset", *names]) + f"\n2026-01-31,first,{cells}\n")
    words = ["-m", "pytest_modelgates", "serve", "--onnx", directory / MODEL, "--csv", csv, "--follow"]
    log, found, rng = root / "artifacts" / "predictions.jsonl", list[float](), np.random.default_rng(3)
    with subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.DEVNULL) as process:
        while not log.exists():
            time.sleep(0.02)
        with csv.open("ab", buffering=0) as file, log.open("rb") as part:
            for number in range(APPENDED):
                size = os.fstat(part.fileno()).st_size
                time.sleep(rng.uniform(0.001, 0.02))
                begin = time.perf_counter()
                file.write(f"2026-01-31,A{number},{cells}\n".encode())
                while os.fstat(part.fileno()).st_size == size:
                    time.sleep(0.0002)
                found.append(time.perf_counter() - begin)
        process.terminate()
    return found


async def publish(server: str, contents: Sequence[bytes]) -> None:
    """Fill a stream of JetStream."""
    client = await nats.connect(server)
    streams = client.jetstream()
    await streams.add_stream(name=STREAM, subjects=["prices"])
    for start in range(0, len(contents), SIZE):
        await asyncio.gather(*(streams.publish("prices", content) for content in contents[start : start + SIZE]))
    await client.close()


async def bare_nats(server: str, consumer: str, handler: Handler) -> None:
    """Take all rows with nats-py, as its documentation does."""
    client = await nats.connect(server)
    config = api.ConsumerConfig(ack_policy=api.AckPolicy.EXPLICIT)
    pulled = await client.jetstream().pull_subscribe("prices", consumer, STREAM, config)
    for _ in range(BATCHES):
        found = await pulled.fetch(SIZE, timeout=5)
        handler([message.data for message in found])
        for message in found:
            await message.ack()
    await client.close()


def bare_redis(port: int, group: str, handler: Handler) -> None:
    """Take all rows with redis-py, as its documentation does."""
    with redis.Redis(port=port) as client:
        client.xgroup_create(STREAM, group, id="0")
        for _ in range(BATCHES):
            answer: Any = client.xreadgroup(group, "one", {STREAM: ">"}, count=SIZE)
            entries = answer[0][1] if isinstance(answer, list) else next(iter(answer.values()))[0]
            handler([fields[b"row"] for _, fields in entries])
            client.xack(STREAM, group, *(entry for entry, _ in entries))


def main() -> int:
    """Measure, print, and fail if a promise is not kept."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    kept, turn = [], itertools.count()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        directory = packed(root)
        late = np.quantile(append_to_logged(directory, root), [0.5, 0.99]) * 1e3
        kept.append(late[1] <= 20)
        print(f"a row appended to a CSV file: logged after {late[0]:.1f} ms, p99 {late[1]:.1f} ms (at most 20)")

        rng = np.random.default_rng(2)
        contents = [
            json.dumps(
                {"time": "2026-01-31", "asset": f"A{number}"}
                | {f"f{place}": value for place, value in enumerate(rng.standard_normal(FEATURES).round(6).tolist())}
            ).encode()
            for number in range(ROWS)
        ]
        with Adapter(directory / MODEL, arm="bare") as adapter:

            def handled(rows: Sequence[bytes]) -> None:
                adapter.score(rows_of([*map(_object, rows)], adapter.sidecar))

            def ours(feed: Feed) -> None:
                # What an arm has logged it would take for repeated.
                with Adapter(directory / MODEL, arm=f"ours-{next(turn)}") as adapter:
                    for _ in adapter.run_feed(feed, Until(ROWS)):
                        pass

            def compare(name: str, bare: Callable[[str], object], feed: Callable[[str], Feed]) -> None:
                actions: dict[str, Callable[[], object]] = {
                    "ours": lambda: ours(feed(f"ours-{next(turn)}")),
                    "bare": lambda: bare(f"bare-{next(turn)}"),
                }
                found = {key: value / ROWS for key, value in least(actions, rounds=rounds, times=1).items()}
                ratio = found["ours"] / found["bare"]
                kept.append(ratio <= 1.3)
                print(
                    f"{name}: {found['ours']:.1f} µs a row, a bare loop {found['bare']:.1f}: {ratio:.2f} times "
                    "(at most 1.3)"
                )

            if shutil.which("nats-server"):
                server = f"nats://127.0.0.1:{(port := free_port())}"
                words = ["nats-server", "-a", "127.0.0.1", "-p", port, "-js", "-sd", root / "nats"]
                with broker(words, lambda: socket.create_connection(("127.0.0.1", port)).close()):
                    asyncio.run(publish(server, contents))
                    compare(
                        "JetStream",
                        lambda consumer: asyncio.run(bare_nats(server, consumer, handled)),
                        lambda consumer: JetStream(server, server, STREAM, consumer),
                    )
            if shutil.which("redis-server"):
                port = free_port()
                words = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", root, "--save", ""]
                with broker(words, lambda: redis.Redis(port=port).ping()):
                    with redis.Redis(port=port) as client:
                        for content in contents:
                            client.xadd(STREAM, {"row": content})
                    compare(
                        "Redis",
                        lambda group: bare_redis(port, group, handled),
                        lambda group: RedisStream(f"redis://127.0.0.1:{port}", "redis", STREAM, group),
                    )
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
