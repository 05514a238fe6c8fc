"""What a shared bucket costs: a record put, a promotion with it and without, and a pull of several models.

    python -m benchmarks.bucket [ROUNDS]

On SeaweedFS on this machine, which is started for it; medians.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pytest_modelgates.audit.shared import name_of
from tests.crash.registries import NEW, NEXT, OLD, OLDEST, Registry, build, promotion
from tests.support.buckets import Machine, SeaweedFS, opened


def milliseconds(action: Callable[[], object]) -> float:
    """Time one call [ms]."""
    begin = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - begin) / 1e6


def main(rounds: int = 5) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        server = SeaweedFS(Path(place) / "seaweedfs")
        try:
            server.start()
            os.environ |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
                "AWS_ACCESS_KEY_ID": "anybody",
                "AWS_SECRET_ACCESS_KEY": "anything",
            }
            measure(build(Path(place) / "models"), rounds)
        finally:
            server.kill()


def measure(models: Registry, rounds: int) -> None:
    """Put records, promote and pull on fresh machines, and print medians."""
    bucket, content = opened("s3://models/records"), b"x" * 1000
    puts = [milliseconds(lambda n=n: bucket.put_new(name_of(n), content)) for n in range(1, 40 * rounds)]  # type: ignore[misc]
    alone, shared, pulls, again = list[float](), list[float](), list[float](), list[float]()
    for number in range(rounds):
        plain = Machine(models.copy_to(models.folder.with_name(f"plain{number}")).folder)
        machine = Machine(models.copy_to(models.folder.with_name(f"a{number}")).folder).shares(f"s3://models/{number}")
        server = Machine(models.folder.with_name(f"server{number}"))
        server.folder.mkdir()
        for model_id in (OLDEST, OLD, NEW, NEXT):
            alone.append(milliseconds(lambda of=plain, to=model_id: of.do(*promotion(to))))  # type: ignore[misc]
            shared.append(milliseconds(lambda of=machine, to=model_id: of.do(*promotion(to))))  # type: ignore[misc]
        pull = ("pull", f"s3://models/{number}")
        pulls.append(milliseconds(lambda of=server, words=pull: of.do(*words)))  # type: ignore[misc]
        again.append(milliseconds(lambda of=server, words=pull: of.do(*words)))  # type: ignore[misc]
    print(f"a record of 1 kB is put in {statistics.median(puts):.1f} ms")
    print(
        f"promote takes {statistics.median(shared):.0f} ms with the bucket, {statistics.median(alone):.0f} ms without"
    )
    print(f"a first pull of 4 records and 2 models takes {statistics.median(pulls):.0f} ms")
    print(f"a pull of nothing new takes {statistics.median(again):.0f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
