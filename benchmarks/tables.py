"""How long the strict reading of CSV takes, beside pandas' C parser on the same bytes: a feed of float32 features.

    python -m benchmarks.tables [ROWS]

pandas is told every dtype. It checks neither the number of fields nor blank lines, so it does less. At most twice
its time is promised.
"""

import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_modelgates.storage.rows import Column
from pytest_modelgates.storage.tables import read_table

FEATURES, TIMES, PROMISED = 20, 9, 2.0


def timed(read: Callable[[], object]) -> float:
    """Measure the median time of a few readings [s]."""
    taken = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        read()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main() -> int:
    """Measure, print, and fail if the promise is not kept."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    names = [f"f{number}" for number in range(FEATURES)]
    rng = np.random.default_rng(0)
    feed = pd.DataFrame(rng.standard_normal((rows, FEATURES)).astype(np.float32), columns=names)
    feed.insert(0, "asset", [f"A{number % 500}" for number in range(rows)])
    feed.insert(0, "time", "2020-01-31")
    content = feed.to_csv(index=False).encode()
    columns = [Column("time", "time"), Column("asset", "text"), *(Column(name, "float32") for name in names)]
    dtypes = {"time": "str", "asset": "str"} | dict.fromkeys(names, "float32")
    np.testing.assert_array_equal(read_table(content, columns, "feed").matrix(), feed[names])
    ours = timed(lambda: read_table(content, columns, "feed").matrix())
    theirs = timed(lambda: pd.read_csv(io.BytesIO(content), dtype=dtypes))
    print(
        f"{rows} rows of {FEATURES} features: {ours / rows * 1e6:.1f} µs a row, pandas {theirs / rows * 1e6:.1f} µs; "
        f"{ours / theirs:.1f} times, promised: at most {PROMISED:g}"
    )
    return 0 if ours <= PROMISED * theirs else 1


if __name__ == "__main__":
    sys.exit(main())
