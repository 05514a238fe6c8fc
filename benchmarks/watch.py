"""What a look of the watch costs beside a long prediction log.

    python -m benchmarks.watch [ROWS]

The log has parts of 50,000 rows of one live model, all but the newest of days before. Promised: a look at 100,000 new
rows costs what reading them costs, however long the log is. Times are of the processor: medians of five looks, each
at other new rows, beside which these are read alone.

A second table is of a log of so many rows with 100,000 of each day, of which outcomes arrive day by day: one look each.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_modelgates.monitoring import drift_check, watch
from pytest_modelgates.monitoring.seldom import OF_OUTCOMES, Held, seldom
from pytest_modelgates.monitoring.watch import Watch
from pytest_modelgates.policy.operations import Mode
from pytest_modelgates.predictions.counting import Tally, Window, asked_columns, count_part
from pytest_modelgates.predictions.outcomes import Added, Outcome
from pytest_modelgates.predictions.parts import Part, parts
from pytest_modelgates.predictions.reading import Reading
from pytest_modelgates.predictions.records import FORMAT
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.storage.digests import sha256
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


def name_rows(day: date) -> list[str]:
    """Name the rows of a day."""
    return [f"{day}|A{number:05d}" for number in range(NEW)]


def tell(registry: Registry, days: list[date], rng: np.random.Generator) -> None:
    """Write what came of the rows of some days, as `outcomes add` does, which would first look for them in the log."""
    returns = 0.01 * rng.standard_normal((len(days), NEW))
    of_all = zip((name for day in days for name in name_rows(day)), returns.ravel().tolist(), strict=True)
    lines = msgspec.json.Encoder().encode_lines([Outcome(row_key=name, value=value) for name, value in of_all])
    digest, now = sha256(lines), datetime.now(UTC)
    added = Added(
        added=now, actor="benchmark", kind="return", rows=returns.size, source=digest, sha256=digest, reason="given"
    )
    path = registry.artifacts.outcomes / f"{now:%Y%m%dT%H%M%S.%fZ}-{digest[:16]}.jsonl"
    registry.artifacts.write(path, msgspec.json.encode(added) + b"\n" + lines)


def outcomes(rows: int) -> None:
    """Print the second table."""
    rng, days = np.random.default_rng(61), rows // NEW
    today = datetime.now(UTC).date()
    dates = [today - timedelta(days=days - number) for number in range(days)]
    with tempfile.TemporaryDirectory() as folder:
        registry, _ = promote_first(Path(folder))
        artifacts = registry.artifacts
        live = msgspec.structs.replace(live_change(artifacts), time=datetime.now(UTC) - timedelta(days=days + 5))
        for day in dates:
            scored = datetime(day.year, day.month, day.day, 21, tzinfo=UTC)
            values, names = rng.standard_normal(NEW).tolist(), name_rows(day)
            found = predictions(live.digest, values, arm="live", end=scored, hours=0.3, row_time=scored, format=FORMAT)
            for begin in range(0, NEW, OF_A_PART):
                some = zip(found[begin : begin + OF_A_PART], names[begin : begin + OF_A_PART], strict=True)
                log_predictions(artifacts, [msgspec.structs.replace(one, row_key=name) for one, name in some])
        for day in dates[: -TIMES - 1]:
            tell(registry, [day], rng)
        modes: dict[str, Mode] = dict.fromkeys(OF_OUTCOMES, "dry_run")
        watched = registry.in_force.operations.watch
        window, now = Window(digest=live.digest, since=live.time), datetime.now(UTC)

        def look(*of: date) -> float:
            if of:
                tell(registry, [*of], rng)
            held: dict[str, Held] = {}
            return timed(lambda: held.update(seldom(artifacts, registry.policy, watched, live, modes, held, now=now)))

        def records() -> int:
            return sum(len(count_part(part, window, Tally())) for part in parts(artifacts, "live")[-NEW // OF_A_PART :])

        taken: dict[str, list[float]] = {"the first look": [look()]}
        for number in range(TIMES):
            taken.setdefault("outcomes of the newest day", []).append(look(dates[number - TIMES]))
            taken.setdefault("outcomes of an older day are corrected", []).append(look(dates[days // 2]))
            taken.setdefault("nothing is new", []).append(look())
            taken.setdefault(f"reading {NEW:,} rows alone, as records", []).append(timed(records))
        print(f"\n{rows:,} rows, {NEW:,} a day\n\n| what | time | of reading as records |\n|---|---|---|")
        for what, times in taken.items():
            alone = taken[f"reading {NEW:,} rows alone, as records"]
            ratio = statistics.median(one / other for one, other in zip(times, alone, strict=False))
            print(f"| {what} | {statistics.median(times):.3f} s | {ratio:.2f} |")


if __name__ == "__main__":
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    main(asked)
    outcomes(asked)
