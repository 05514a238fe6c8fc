"""What a look of the watch costs beside a long prediction log.

    python -m benchmarks.watch [ROWS]

The log has parts of 50,000 rows of one live model, all but the newest of days before. Promised: a look at 100,000 new
rows costs what reading them costs, however long the log is. Times are of the processor: medians of five looks, each
at other new rows, beside which these are read alone.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_modelgates.monitoring import drift_check, watch
from pytest_modelgates.monitoring.watch import Watch
from pytest_modelgates.predictions.counting import Tally, Window, asked_columns, count_part
from pytest_modelgates.predictions.parts import Part, parts
from pytest_modelgates.predictions.reading import Reading
from pytest_modelgates.predictions.records import FORMAT
from pytest_modelgates.registry.store import live_change
from tests.support.handmade import Registry, golden_of, log_predictions, predictions, promote_first

OF_A_PART, NEW, TIMES = 50_000, 100_000, 5


def timed(of: Callable[[], object]) -> float:
    """Measure how long something takes."""
    begin = time.process_time()
    of()
    return time.process_time() - begin


def write(registry: Registry, rows: int, end: datetime, rng: np.random.Generator) -> None:
    """Write rows as the live model would score them, in parts of half an hour."""
    golden = np.array(golden_of(registry.artifacts.model(registry.live)))
    digest = live_change(registry.artifacts).digest
    parts = rows // OF_A_PART
    for number in range(parts):
        values = rng.choice(golden, OF_A_PART).tolist()
        until = end - timedelta(hours=0.4 * (parts - 1 - number))
        scored = predictions(digest, values, arm="live", end=until, hours=0.39, row_time=until, format=FORMAT)
        log_predictions(registry.artifacts, scored)


def not_asked(*_: object, **__: object) -> None:
    """Do nothing: no look here ends in a rollback."""


def main(rows: int) -> None:
    """Print the table."""
    rng = np.random.default_rng(16)
    with tempfile.TemporaryDirectory() as folder:
        registry, _ = promote_first(Path(folder))
        artifacts, now = registry.artifacts, datetime.now(UTC)
        live = msgspec.structs.replace(live_change(artifacts), time=now - timedelta(days=60))
        for module in (watch, drift_check):
            vars(module)["live_change"] = lambda _: live
        write(registry, rows, now - timedelta(days=2), rng)

        def process() -> Watch:
            return Watch(artifacts, rehearse=not_asked, rescore=not_asked, tell=not_asked)  # type: ignore[arg-type]

        window = Window(digest=live.digest)

        def newest() -> list[Part]:
            return parts(artifacts, "live")[-NEW // OF_A_PART :]

        def records() -> int:
            return sum(len(count_part(part, window, Tally())) for part in newest())

        def columns() -> int:
            return sum(len(each) for part in newest() for each in asked_columns(part, window, Tally(), Reading()))

        loop, begun = process(), datetime.now(UTC) - timedelta(hours=3 * TIMES)
        at = iter(begun + timedelta(hours=number) for number in range(3 * TIMES))
        taken: dict[str, list[float]] = {}

        def look(what: str, by: Watch, now: datetime) -> None:
            in_force = registry.in_force
            taken.setdefault(what, []).append(timed(lambda: by.look(in_force, now=now)))

        look("the first look", loop, next(at))
        for new in (f"a look at {NEW:,} new rows", "the same, by another process"):
            for _ in range(TIMES):
                now = next(at)
                write(registry, NEW, now - timedelta(minutes=1), rng)
                look(new, loop if "look" in new else process(), now)
                if "look" in new:
                    look("a look at nothing new", loop, now + timedelta(minutes=1))
                for what, of in (("records", records), ("columns", columns)):
                    taken.setdefault(f"reading {NEW:,} rows alone, as {what}", []).append(timed(of))
        alone = taken[f"reading {NEW:,} rows alone, as columns"]
        print(f"{rows:,} rows before\n\n| what | time | of reading as columns |\n|---|---|---|")
        for what, times in taken.items():
            ratio = statistics.median(one / other for one, other in zip(times, alone, strict=False))
            print(f"| {what} | {statistics.median(times):.3f} s | {ratio:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
