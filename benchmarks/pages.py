"""How long the pages of a large registry take to be written.

    python -m benchmarks.pages [MODELS] [ROWS]

The registry has 10,000 model directories, each entered in the audit log and every tenth of them live for a while, and
reports of the newest. Its log of predictions has 200 parts of the last 50 days, the older half of them in Parquet, with
what was counted of them beside. Promised: each page takes at most a second, asked for the first time or again. A day of
that log has more rows than business joins, so that page is also asked of a shorter one.
"""

import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_modelgates.audit.chain import Commit, Event, Intent, Record, decoded
from pytest_modelgates.evidence.report import GateRecord
from pytest_modelgates.model.directory import MANIFEST, PANEL
from pytest_modelgates.model.manifest import Manifest
from pytest_modelgates.monitoring.drift_check import check_log, record
from pytest_modelgates.pages.dashboard import PAGES, one_page
from pytest_modelgates.predictions.compacting import compact
from pytest_modelgates.predictions.outcomes import add_outcomes
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.strict_json import canonical, read_json
from tests.support.handmade import (
    Registry,
    golden_of,
    green_ledger,
    green_run,
    log_predictions,
    predictions,
    promote_first,
    write_report,
)
from tests.support.panels import invented_panel, pack_ridge

PARTS, PARTS_A_DAY, NAMES = 200, 4, 500
GATED, RUNS = 10, 5
FIRST_OLD = 1_000_000_000
MOST = 1.0  # second a page


def add_models(registry: Registry, count: int) -> None:
    """Add old models, and the lines of log that packing and promoting them wrote, before those there are."""
    artifacts, oldest = registry.artifacts, registry.artifacts.model(registry.live)
    manifest = read_json(oldest / MANIFEST, Manifest)
    begin, lines = datetime(2020, 1, 1, tzinfo=UTC), list[bytes]()
    recent = [decoded(line, "line") for line in artifacts.promotions.read_bytes().splitlines()]
    trial = next(each for each in recent if isinstance(each, Event) and each.kind == "trial")
    change = next(each for each in recent if isinstance(each, Intent))

    def write(line: Record, **changes: object) -> None:
        prev = sha256(lines[-1]) if lines else None
        lines.append(canonical(msgspec.structs.replace(line, n=len(lines) + 1, prev=prev, **changes))[:-1])

    before = None
    for number in range(count):
        model_id, when = str(FIRST_OLD + number), begin + timedelta(hours=4 * number)
        directory = artifacts.model(model_id)
        directory.mkdir()
        for path in oldest.iterdir():
            # No page opens a panel, so that the old ones may share theirs.
            if path.name == PANEL and number:
                os.link(artifacts.model(str(FIRST_OLD)) / PANEL, directory / PANEL)
            elif path.name != MANIFEST:
                shutil.copy(path, directory / path.name)
        own = msgspec.structs.replace(manifest, id=model_id, created=when, audit_head=None)
        (directory / MANIFEST).write_bytes(canonical(own))
        write(trial, time=when, subject=model_id, evidence=sha256(model_id.encode()))
        if number % 10 == 0:
            write(change, time=when, to=model_id, from_=before)
            write(Commit(n=0, prev=None, time=when))
            before = model_id
    for each in recent:
        assert isinstance(each, Intent | Commit | Event)
        write(each, **({"from_": before} if isinstance(each, Intent) else {}))
    artifacts.promotions.write_bytes(b"".join(line + b"\n" for line in lines))


def add_reports(registry: Registry) -> None:
    """Keep several reports of the newest models, and one of every other."""
    artifacts, policy, now = registry.artifacts, registry.policy, datetime.now(UTC)
    first = None
    for number, model_id in enumerate(sorted(os.listdir(artifacts.models), reverse=True)):
        if not model_id.isdigit():
            continue
        run = green_run(artifacts.model(model_id), policy) if number < GATED + 2 else None
        for night in range(RUNS if run else 1):
            finished = now - timedelta(days=number + night)
            place = artifacts.new_report(model_id, finished)
            if run:
                gates = tuple(_varied(each, number) for each in run.gates)
                varied = msgspec.structs.replace(run, gates=gates)
                ledger = green_ledger(artifacts.model(model_id), policy, finished=finished, run=varied)
                first = write_report(place, ledger)
            elif first:
                place.parent.mkdir(parents=True)
                os.link(first, place)
                os.utime(place.parent, (finished.timestamp(), finished.timestamp()))


def _varied(gate: GateRecord, number: int) -> GateRecord:
    def value(measured: float | None) -> float | None:
        return measured if measured is None else measured * (1 - number / 100)

    return msgspec.structs.replace(
        gate, evidence=tuple(msgspec.structs.replace(each, value=value(each.value)) for each in gate.evidence)
    )


def add_rows(registry: Registry, rows: int) -> None:
    """Write the log of predictions, the older half of it in Parquet, a check for drift, and what came of the rows."""
    artifacts, rng = registry.artifacts, np.random.default_rng(17)
    golden, digest = np.array(golden_of(artifacts.model(registry.live))), live_change(artifacts).digest
    now, days = datetime.now(UTC), PARTS // PARTS_A_DAY
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(PARTS):
        day = midnight - timedelta(days=days - number // PARTS_A_DAY)
        until = day + timedelta(hours=23.9 * (number % PARTS_A_DAY + 1) / PARTS_A_DAY)
        values = rng.choice(golden, rows // PARTS).tolist()
        found = predictions(digest, values, arm="live", end=until, hours=5, model_id=registry.live)
        keys = [f"{day:%Y-%m-%d}|A{name:03d}" for name in range(NAMES)]
        log_predictions(
            artifacts,
            [msgspec.structs.replace(each, row_key=keys[at % NAMES]) for at, each in enumerate(found)],
        )
    for part in parts(artifacts, "live")[: PARTS // 2]:
        compact(artifacts, part)
    record(artifacts, check_log(artifacts, registry.policy))
    dates = [f"{midnight - timedelta(days=days - day):%Y-%m-%d}" for day in range(days)]
    frame = pd.MultiIndex.from_product([dates, [f"A{name:03d}" for name in range(NAMES)]], names=["time", "asset"])
    table = frame.to_frame(index=False).assign(**{"return": 0.01 * rng.standard_normal(len(frame))})
    file = artifacts.root.parent / "outcomes.csv"
    table.to_csv(file, index=False)
    add_outcomes(artifacts, file, ["time", "asset"], registry.rules)


def build(root: Path, models: int, rows: int) -> Registry:
    """Make the registry."""
    registry, _ = promote_first(root)
    add_models(registry, models)
    candidate = pack_ridge(registry.artifacts.root, invented_panel(seed=3), changes="A ridge that waits.")
    add_reports(registry)
    add_rows(registry, rows)
    return replace(registry, candidate=candidate.name)


def seconds(registry: Registry, name: str) -> bool:
    """Print a row of the table; say whether the promise is kept."""
    took, size = list[float](), 0
    for _ in range(4):
        begin = time.perf_counter()
        size = len(one_page(name, registry.artifacts, registry.in_force))
        took.append(time.perf_counter() - begin)
    print(f"| {name} | {took[0]:.2f} s | {min(took[1:]):.2f} s | {size / 1000:.0f} kB |", flush=True)
    return max(took) <= MOST


def main(models: int, rows: int, folder: Path) -> int:
    """Print the tables, and fail if a promise is not kept."""
    kept = []
    for many, long, pages in ((models, rows, list(PAGES)), (100, 100_000, ["business"])):
        begin = time.perf_counter()
        registry = build(folder / str(long), many, long)
        print(f"\n{many:,} models and {long:,} rows, made in {time.perf_counter() - begin:.0f} s\n", flush=True)
        print("| page | first | again | size |\n|---|---|---|---|")
        kept += [seconds(registry, name) for name in pages]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    given = dict(enumerate(map(int, sys.argv[1:3])))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(given.get(0, 10_000), given.get(1, 10_000_000), Path(temporary)))
