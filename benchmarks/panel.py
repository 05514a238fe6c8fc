"""What the gates need of memory and time on a large panel: all shipped gates of a signal, in a process of its own.

    python -m benchmarks.panel [ROWS] [--features N] [--days N] [--memory-gib G] [--folder PATH]

A ridge on float32 features; so many days of as many names as the rows need, in row groups of some 250,000 rows. Memory
is what is the process's own, and not what it maps of temporary files. Bytes a row are those beyond what a panel of
100,000 rows needs. With --memory-gib, that process may not have more than so much (RLIMIT_DATA, as a hermetic run has).
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import Ridge

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_modelgates import pack
from pytest_modelgates.model.directory import MANIFEST, MODEL, PANEL, PARITY, LocalDirectory
from pytest_modelgates.model.manifest import FileEntry
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.model.sidecar import FirstRows, ParityClaim
from pytest_modelgates.storage.digests import sha256_of
from pytest_modelgates.storage.strict_json import canonical, readable

GROUP, IC, SMALL = 250_000, 0.03, 100_000


def days_of(names: int, features: int, count: int) -> Iterator[pd.DataFrame]:
    """Give the rows of one day after another."""
    rng = np.random.default_rng(1)
    days = pd.bdate_range("2012-01-02", periods=count)
    called = [f"A{number:06d}" for number in range(names)]
    state, later = rng.standard_normal((names, features), dtype=np.float32), rng.standard_normal(names)
    for day in days:
        now, state = state, 0.5 * state + 0.866 * rng.standard_normal((names, features), dtype=np.float32)
        returns, later = 0.01 * later, rng.standard_normal(names) + IC * now[:, 0]
        frame = pd.DataFrame(now, columns=[f"f{number:02d}" for number in range(features)])
        yield frame.assign(time=day, asset=called, target=0.01 * later, ret_next=returns)


def packed(root: Path, rows: int, features: int, days: int = 2_000) -> Path:
    """Pack a model with a small panel, and give it a large one, written a row group at a time."""
    small, weights = pd.concat(list(days_of(2, features, days))), np.eye(features, dtype=np.float32)
    names = [f"f{number:02d}" for number in range(features)]
    model = Ridge(alpha=1e-6).fit(np.vstack([weights, -weights]), np.concatenate([weights[:, 0], -weights[:, 0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own deprecations
        directory = pack(
            model,
            small.reset_index(drop=True),
            features={name: ("price", "fundamental")[number % 2] for number, name in enumerate(names)},
            changes="A ridge on a large panel.",
            horizon=1,
            trained_until=date(2011, 12, 30),
            tried=1,
            artifacts=root,
        )
    with LocalDirectory(directory) as files:
        sidecar, manifest = files.sidecar, files.manifest
        onnx, claim = OnnxModel(files.read(MODEL), sidecar), files.json(PARITY, ParityClaim)
    waiting: list[pd.DataFrame] = []
    writer, count = None, rows // days
    for number, frame in enumerate(days_of(count, features, days), 1):
        waiting.append(frame.assign(reference=onnx.predict(frame[names].to_numpy()))[sidecar.panel_columns])
        if len(waiting) * count >= GROUP or number == days:
            table = pa.Table.from_pandas(pd.concat(waiting), preserve_index=False)
            writer = writer or pq.ParquetWriter(directory / PANEL, table.schema)
            writer.write_table(table)
            waiting = []
    assert writer is not None
    writer.close()
    large = msgspec.structs.replace(claim, rows=days * count, first=FirstRows())
    (directory / PARITY).write_bytes(readable(large))
    entries = {
        name: FileEntry(sha256=sha256_of(directory / name), size=(directory / name).stat().st_size)
        for name in manifest.files
    }
    (directory / MANIFEST).write_bytes(canonical(msgspec.structs.replace(manifest, files=entries)))
    return directory


def gated(directory: Path, memory_gib: float | None) -> tuple[float, float, str]:
    """Run the gates; return the peak of memory [bytes], the processor time [s], and what they said."""
    most = int(memory_gib * 2**30) if memory_gib else resource.RLIM_INFINITY
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", f"--model-dir={directory}", "-p", "no:cacheprovider"],
            cwd=directory.parents[1],
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdout=said,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (most, most)),
        )
        peak = 0
        while process.poll() is None:
            own = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            peak = max(peak, int(own[1]) * 1024 if own else 0)
            time.sleep(0.02)
        said.seek(0)
        output = said.read()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(peak), used.ru_utime + used.ru_stime - begin.ru_utime - begin.ru_stime, output


def main() -> int:
    """Measure a small panel, then the large one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=2_000_000)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--days", type=int, default=2_000)
    parser.add_argument("--memory-gib", type=float)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        floor = 0.0
        for rows in (SMALL, given.rows):
            begin = time.perf_counter()
            directory = packed(Path(name) / str(rows), rows, given.features, given.days)
            size, made = (directory / PANEL).stat().st_size, time.perf_counter() - begin
            peak, seconds, said = gated(directory, given.memory_gib)
            for line in re.findall(r"^(?:FAILED|ERROR|E  |\S+ failed: ).*", said, re.MULTILINE)[:20]:
                print(line)
            last = said.strip().splitlines()[-1]
            a_row = f", {(peak - floor) / (rows - SMALL):.0f} bytes a row" if floor else ""
            floor = floor or peak
            print(
                f"{rows:,} rows of {given.features} features, a file of {size / 1e6:,.0f} MB, made in {made:.0f} s: "
                f"gated in {seconds:.0f} s of processor time with {peak / 1e6:,.0f} MB at most{a_row}: {last}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
