"""What drift costs: against one sum of the same values, against other tools, and as a command.

    python -m benchmarks.drift [--rows ROWS] [--peers PYTHON]

Ratios in one run, medians of five rounds that alternate between both sides, of processor time, so that what else runs
on the machine is left out; but for `drift-check` and Dask. Each question is asked in a process of its own. `--peers` is
an interpreter with scipy, scouter-ml, frouros and evidently (which needs pandas before 3) and with NumPy and msgspec;
what it lacks is left out. Whole processes find their modules compiled. Promised, with ten million float64: PSI in 8
times `np.sum`, PSI and the interval of KS in 25 times with 32 MiB beside them; PSI and exact KS of two files, which all
map, in an eighth of scipy's KS alone and a thirtieth of Evidently's; a Parquet file in 5 times the decoding of its
column; lines of JSON in 4 times what reading their bytes and counting newlines takes; a check of 5,000 live rows in
half a second; ten times as many rows in files, in 256 MB, and on a Dask cluster of two workers on this machine, which
runs already, in 1.6 times what this takes in one process.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

ROUNDS = 5
PRELUDE = """
import json, statistics, sys, time
from pathlib import Path
import numpy as np

def scores(rows, shift=0.0):
    return 1 / (1 + np.exp(-np.random.default_rng(rows).normal(shift, 1.5, rows)))

def ratio(*sides):
    taken = [[] for _ in sides]
    for _ in range(ROUNDS):
        for side, times in zip(sides, taken, strict=True):
            begin = time.process_time()
            side()
            times.append(time.process_time() - begin)
    return [statistics.median(times) for times in taken]

rows, folder = int(sys.argv[1]), Path(sys.argv[2])

def saved(name):
    return np.load(folder / f"{name}.npy", mmap_mode="r")
"""
QUESTIONS = {
    "PSI, golden kept, against np.sum": """
from pytest_modelgates.drift.summary import Reference
current = scores(rows, 0.02)
reference = Reference.of(scores(rows // 10))
one, ours = ratio(current.sum, lambda: reference.bins.of_values(current))
print(json.dumps(ours / one))
""",
    "PSI and the interval of KS, golden kept, against np.sum": """
from pytest_modelgates.drift.summary import Reference
current = scores(rows, 0.02)
reference = Reference.of(scores(rows // 10))
reference.count(current[: 2**18])
one, ours = ratio(current.sum, lambda: reference.count(current))
print(json.dumps(ours / one))
""",
    "memory beside the values [MiB]": """
from pytest_modelgates.drift.summary import Reference
reference, current = Reference.of(scores(rows // 10)), scores(rows, 0.02)
import tracemalloc
tracemalloc.start()  # NumPy tells it of every array
reference.count(current)
print(json.dumps(tracemalloc.get_traced_memory()[1] / 2**20))
""",
    "Parquet, against decoding its column": """
import pyarrow.parquet as pq
from pytest_modelgates.drift.summary import Reference
reference = Reference.of(scores(rows // 10))
def decode():
    for batch in pq.ParquetFile(folder / "log.parquet").iter_batches(2**20, columns=["prediction"]):
        batch.column(0).to_numpy()
def count():
    total = reference.none()
    for batch in pq.ParquetFile(folder / "log.parquet").iter_batches(2**20, columns=["prediction"]):
        total = total + reference.count(batch.column(0).to_numpy())
one, ours = ratio(decode, count)
print(json.dumps(ours / one))
""",
}
PEERS = {
    "PSI of scouter-ml, times as long": """
from scouter.alert import PsiAlertConfig
from scouter.drift import Drifter, PsiDriftConfig
from pytest_modelgates.drift.summary import Reference
golden, current = scores(rows // 10), scores(rows, 0.02)
drifter, reference = Drifter(), Reference.of(golden)
profile = drifter.create_drift_profile(golden.reshape(-1, 1), PsiDriftConfig(name="a", space="b", version="0.1.0"))
matrix = current.reshape(-1, 1)
theirs, ours = ratio(lambda: drifter.compute_drift(matrix, profile), lambda: reference.bins.of_values(current))
print(json.dumps(theirs / ours))
""",
    "PSI of frouros, times as long": """
from frouros.detectors.data_drift import PSI
from pytest_modelgates.drift.summary import Reference
golden, current = scores(rows // 10), scores(rows, 0.02)
reference, detector = Reference.of(golden), PSI()
detector.fit(X=golden)
theirs, ours = ratio(lambda: detector.compare(X=current), lambda: reference.bins.of_values(current))
print(json.dumps(theirs / ours))
""",
}
OURS = """
from pytest_modelgates.drift import detect_drift
found = detect_drift(saved("golden"), saved("current"))
print(json.dumps([found["psi"]["value"], found["ks"]["statistic"], found["ks"]["p_value"]]))
"""
WHOLE = {
    "scipy's KS alone, times as long": """
from scipy import stats
golden, current = saved("golden"), saved("current")
found = stats.ks_2samp(golden, current, method="asymp")
print(json.dumps([found.statistic, found.pvalue]))
""",
    "Evidently's PSI and KS, times as long": """
import pandas as pd
from evidently.legacy.calculations.stattests import ks_stat_test, psi_stat_test
from evidently.legacy.core import ColumnType
golden, current = (pd.Series(saved(name)) for name in ("golden", "current"))
tests = psi_stat_test, ks_stat_test
print(json.dumps([float(test.func(golden, current, ColumnType.Numerical, 0.1)[0]) for test in tests]))
""",
}


def asked(python: str, question: str, rows: int, folder: Path) -> tuple[float | list[float] | None, float]:
    """Ask one question in a process of its own; give its answer, None if it cannot, and its processor time [s]."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [python, "-c", f"ROUNDS = {ROUNDS}\n" + PRELUDE + question, str(rows), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    if done.returncode:
        print(f"  left out: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return None, took
    return json.loads(done.stdout.splitlines()[-1]), took


def drift_check(folder: Path) -> float:
    """Time `modelgates drift-check` over 5,000 live rows of a model, once they were counted [s]."""
    import time

    from pytest_modelgates.registry.store import live_change
    from tests.support.handmade import golden_of, log_predictions, modelgates, predictions, promote_first

    registry, _ = promote_first(folder)
    values = (golden_of(registry.artifacts.model(registry.live)) * 5)[:5000]
    log_predictions(registry.artifacts, predictions(live_change(registry.artifacts).digest, values, arm="live"))
    taken = []
    for _ in range(ROUNDS + 1):
        begin = time.perf_counter()
        done = modelgates("drift-check", "--artifacts", registry.artifacts.root)
        taken.append(time.perf_counter() - begin)
        assert done.returncode == 0, done.stderr
    print(f"drift-check of 5,000 rows: the first {taken[0]:.2f} s, the others {statistics.median(taken[1:]):.2f} s")
    return statistics.median(taken[1:])


FILES = """
import pyarrow as pa, pyarrow.parquet as pq
for place in range(10):
    values = np.random.default_rng(place).normal(*spread, rows // 10)
    pq.write_table(pa.table({"prediction": values}), folder / f"{place}.parquet")
print("null")
"""
# The system's own figure for a child begins with the memory of its parent.
COMMAND = """
import re, sys
from pathlib import Path
from pytest_modelgates.cli import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1], file=sys.stderr)
sys.exit(code)
"""


@contextlib.contextmanager
def dask_cluster(folder: Path) -> Iterator[str]:
    """Start a scheduler and two workers, bound to this machine; give the scheduler's address."""
    import time

    file, place = folder / "scheduler.json", ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = ["scheduler", "--port", "0", "--scheduler-file", str(file)]
    worker = [
        "worker",
        "--scheduler-file",
        str(file),
        "--no-nanny",
        "--nthreads",
        "1",
        "--local-directory",
        str(folder),
    ]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *words, *place], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        for words in (scheduler, worker, worker)
    ]
    try:
        while not file.exists():
            time.sleep(0.1)
        time.sleep(5)  # for the workers
        yield json.loads(file.read_text())["address"]
    finally:
        for process in started:
            process.kill()
            process.wait()


def on_dask(root: Path, folder: Path, rows: int) -> None:
    """Check files of so many rows in one process and on Dask: both take turns, and say the same."""
    import time

    from tests.support.handmade import golden_of

    golden = golden_of(next((root / "models").glob("[0-9]*")))
    spread = statistics.fmean(golden), statistics.pstdev(golden)
    folder.mkdir()
    asked(sys.executable, f"spread = {spread}\n{FILES}", rows, folder)
    command = [sys.executable, "-c", COMMAND, "drift-check", str(folder), "--artifacts", str(root), "--json"]
    with dask_cluster(folder.parent) as address:
        sides = [command, [*command, "--engine", "dask", "--scheduler", address]]
        taken, memory, said = [list[float](), list[float]()], [0, 0], set[str]()
        for _ in range(ROUNDS):
            for place, side in enumerate(sides):
                begin = time.perf_counter()
                done = subprocess.run(side, capture_output=True, text=True, check=True)
                taken[place].append(time.perf_counter() - begin)
                memory[place] = max(memory[place], int(done.stderr.split()[-1]) // 1000)
                said.add(done.stdout)
        assert len(said) == 1, "the verdict is not the same to the last bit"
    here, there = map(statistics.median, taken)
    print(f"files of {rows} rows: {here:.1f} s, {memory[0]} MB; on Dask {there / here:.2f} times ({there:.1f} s)")


def json_lines(folder: Path, rows: int) -> None:
    """Count a log of JSON lines for the first time, against reading its bytes; and again when a day was added.

    Two readings are the base, side by side: each part as one object of bytes whose newlines are counted, which is what
    any reader of lines begins with, and the bytes alone, into memory that is used again. Processor time, so that what
    else runs on the machine, and waiting for the disk, are left out of both.
    """
    import hashlib
    import time

    import numpy as np

    from benchmarks.records import write_log
    from pytest_modelgates.artifacts import Artifacts
    from pytest_modelgates.drift.summary import Reference
    from pytest_modelgates.monitoring.part_counts import count_part, tasks_of
    from pytest_modelgates.predictions.counting import Window
    from pytest_modelgates.predictions.parts import parts

    write_log(folder, rows)
    artifacts, reference = Artifacts(folder), Reference.of(np.random.default_rng(1).standard_normal(15_000))
    paths, memory = [part.path for part in parts(artifacts, "live")], bytearray(2**18)

    def newlines() -> None:
        for path in paths:
            path.read_bytes().count(b"\n")

    def bytes_alone() -> None:
        for path in paths:
            with path.open("rb", buffering=0) as file:
                while file.readinto(memory):
                    pass

    def digest() -> None:
        for path in paths:
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")

    def count() -> None:
        for task in tasks_of(artifacts, "live", Window(digest="0" * 64)):
            count_part(reference, task)

    def add() -> None:
        forget(paths[-1:])
        count()

    def forget(which: list[Path]) -> None:
        for path in which:
            path.with_suffix(".counts").unlink(missing_ok=True)

    taken: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        forget(paths)
        for name, side in {
            "newlines": newlines,
            "alone": bytes_alone,
            "digest": digest,
            "first": count,
            "again": count,
            "added": add,
        }.items():
            begin = time.process_time()
            side()
            taken.setdefault(name, []).append(time.process_time() - begin)
    found = {name: statistics.median(times) for name, times in taken.items()}
    print(
        f"JSON lines, {rows // 2} rows, the first time: {found['first'] / found['newlines']:.1f} times reading their "
        f"bytes and counting newlines, {found['first'] / found['alone']:.1f} times the bytes alone (their digest: "
        f"{found['digest'] / found['newlines']:.1f} and {found['digest'] / found['alone']:.1f}; "
        f"{found['first'] / rows * 2e6:.2f} us a row); again {found['again']:.2f} s, with a part of 50,000 added "
        f"{found['added']:.2f} s, the first time {found['first']:.2f} s"
    )


def main() -> int:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--peers", default=sys.executable)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Compiled once, as in any environment in use, whatever this one says of bytecode.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
        written = """
import pyarrow as pa, pyarrow.parquet as pq
np.save(folder / "golden.npy", scores(rows)), np.save(folder / "current.npy", scores(rows + 1, 0.02))
pq.write_table(pa.table({"key": np.arange(rows), "prediction": scores(rows, 0.02)}), folder / "log.parquet")
print("null")
"""
        asked(sys.executable, written, given.rows, folder)
        for what, question in QUESTIONS.items():
            found, _ = asked(sys.executable, question, given.rows, folder)
            print(f"{what}: {found:.1f}", flush=True)
        for what, question in PEERS.items():
            found, _ = asked(given.peers, question, given.rows, folder)
            print(f"{what}: {found:.1f}" if found else f"{what}: -", flush=True)
        for what, question in WHOLE.items():
            sides, rows = (OURS, question), given.rows
            rounds = [[asked(given.peers, side, rows, folder) for side in sides] for _ in range(ROUNDS + 1)]
            pairs = rounds[1:]  # the first only compiles
            if all(theirs[0] is not None for _, theirs in pairs):
                ours, theirs = (statistics.median(pair[side][1] for pair in pairs) for side in (0, 1))
                print(f"{what}: {theirs / ours:.1f} ({theirs:.1f} s, {ours:.2f} s)", flush=True)
        json_lines(folder / "lines", max(200_000, given.rows // 10))
        drift_check(folder / "registry")
        on_dask(folder / "registry" / "registry" / "artifacts", folder / "files", 10 * given.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
