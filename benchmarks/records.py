"""What a long prediction log costs to read: summed, compared and checked for drift, in how much memory.

    python -m benchmarks.records [ROWS]

The log has parts of 50,000 rows, half of them live and half in shadow: 200 parts at ten million rows. Each question is
asked in a process of its own, of a tenth of the log and of the whole. Promised: ten times the rows take at most 1.3
times the memory beyond that of the imports.
"""

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.predictions.parts import Closing
from pytest_modelgates.predictions.records import FORMAT, Prediction, encode_predictions
from pytest_modelgates.storage.digests import sha256

OF_A_PART, NAMES = 50_000, 500  # rows of a part, and of a day
QUESTION = """
import resource, sys, time
from pathlib import Path
import numpy as np
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.drift.running import RunningDrift
from pytest_modelgates.monitoring.compare import agreement
from pytest_modelgates.predictions.counting import Tally, Window, count_log, count_whole

artifacts, question = Artifacts(Path(sys.argv[1])), sys.argv[2]
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
if question == "sum":
    tally = Tally()
    for arm in ("live", "shadow"):
        for part in count_log(artifacts, arm, Window(), tally):
            pass
    assert tally.complete
    found = tally.counted
elif question == "compare":
    found = agreement(count_whole(artifacts, "shadow", Window()), count_whole(artifacts, "live", Window())).mean
else:
    drift = RunningDrift(np.random.default_rng(1).standard_normal(5000))
    for part in count_whole(artifacts, "live", Window()):
        drift.add([record.prediction for record in part])
    found = drift.report()["psi"]["value"]
took = time.perf_counter() - begin
print(found, took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1024)
"""


def write_log(root: Path, rows: int) -> None:
    """Write both arms, in parts of equal length, of rows of as many days as are needed."""
    artifacts, rng = Artifacts(root), np.random.default_rng(2)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(rows // (2 * OF_A_PART)):
        scores = rng.standard_normal(OF_A_PART)
        for arm in ("live", "shadow"):
            moved = scores + 0.1 * rng.standard_normal(OF_A_PART)
            records = []
            for row, score in enumerate(moved.tolist()):
                place = number * OF_A_PART + row
                day = begin + timedelta(days=place // NAMES)
                records.append(
                    Prediction(
                        time=begin + timedelta(hours=number, microseconds=row),
                        row_key=f"{day:%Y-%m-%d}|A{place % NAMES:03d}",
                        model_id="1700000000",
                        digest="0" * 64,
                        schema_crc32="00000000",
                        prediction=score,
                        latency_ms=0.1,
                        arm=arm,
                        row_time=day,
                        format=FORMAT,
                    )
                )
            content = encode_predictions(records)
            closing = msgspec.json.encode(Closing(closed=OF_A_PART, sha256=sha256(content)))
            path = artifacts.predictions / arm / f"{records[0].time:%Y-%m-%d}" / f"host-1-{number}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content + closing + b"\n")


def main() -> int:
    """Measure, print, and fail if the promise is not kept."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    if rows < 1 or rows % (20 * OF_A_PART):
        sys.exit(f"ROWS is {rows}, expected a multiple of {20 * OF_A_PART}: a tenth of it has whole parts in both arms")
    kept = []
    with tempfile.TemporaryDirectory() as name:
        roots = {}
        for size in (rows // 10, rows):
            begin = time.perf_counter()
            roots[size] = Path(name) / str(size)
            write_log(roots[size], size)
            print(f"wrote {size} rows in {size // OF_A_PART} parts in {time.perf_counter() - begin:.0f} s", flush=True)
        for question in ("sum", "compare", "drift"):
            memory = []
            for size, root in roots.items():
                command = [sys.executable, "-c", QUESTION, str(root), question]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found, took, used = map(float, done.stdout.split())
                memory.append(used)
                print(f"{question}: {size} rows, {found:.6g}, {took:.1f} s, {used:.0f} MiB", flush=True)
            kept.append(memory[1] <= 1.3 * memory[0])
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
