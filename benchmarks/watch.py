"""What a look of the watch costs beside a long prediction log.

    python -m benchmarks.watch [ROWS]

The log has parts of 50,000 rows of one live model, all but the newest of days before. Promised: a look at 100,000 new
rows costs what reading them costs, however long the log is. Times are of the processor.
"""

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
from pytest_modelgates.predictions.counting import Tally, Window, asked_columns, count_log
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.predictions.reading import Reading
from pytest_modelgates.predictions.records import FORMAT
from pytest_modelgates.registry.store import live_change
from tests.support.handmade import Registry, golden_of, log_predictions, predictions, promote_first

OF_A_PART, NEW = 50_000, 100_000


def timed(what: str, of: Callable[[], object]) -> None:
    """Print how long something takes."""
    begin = time.process_time()
    of()
    print(f"| {what} | {time.process_time() - begin:.2f} s |", flush=True)


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

        since = datetime.now(UTC) - timedelta(hours=1)

        def records() -> int:
            return sum(len(part) for part in count_log(artifacts, "live", Window(since=since), Tally()))

        def columns() -> int:
            window, newest = Window(digest=live.digest, since=since), parts(artifacts, "live")[-NEW // OF_A_PART :]
            return sum(len(each) for part in newest for each in asked_columns(part, window, Tally(), Reading()))

        print(f"{rows:,} rows before\n\n| what | time |\n|---|---|")
        timed("the first look", lambda: process().look(registry.in_force))
        loop = process()
        loop.look(registry.in_force)
        timed("a look at nothing new", lambda: loop.look(registry.in_force))
        write(registry, NEW, datetime.now(UTC), rng)
        timed(f"a look at {NEW:,} new rows", lambda: loop.look(registry.in_force))
        timed("the same, by another process", lambda: process().look(registry.in_force))
        timed(f"reading {NEW:,} rows alone, as records", records)
        timed(f"reading {NEW:,} rows alone, as columns", columns)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
