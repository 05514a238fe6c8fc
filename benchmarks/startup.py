"""What the plugin adds to every pytest run of its environment: an empty run with it against one without it.

    python -m benchmarks.startup [PAIRS]

Runs are paired and each pair changes its order, so that a machine that slows down slows both. What both runs of a pair
share cancels in their difference, and the median of the differences ignores a single pair that something disturbed. At
most 5 ms are promised, of processor time: on a machine that does other work too, the clock counts that work.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMISED_MS = 5.0


def measure(folder: Path, *switches: str) -> tuple[float, float]:
    """Run pytest on one empty test and return how long it took, by the clock and of the processor [ms]."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": str(folder / "pyc")}  # compiled once, as in any environment in use
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *switches, "test_empty.py"]
    begin, before = time.perf_counter_ns(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    clock, after = time.perf_counter_ns() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return clock / 1e6, processor * 1e3


def main() -> int:
    """Measure, print, and fail if the promise is not kept."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with_it: list[tuple[float, float]] = []
    without: list[tuple[float, float]] = []
    sides = [(with_it, ()), (without, ("-p", "no:modelgates"))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_empty(): pass\n")
        for pair in range(-2, pairs):
            for times, switches in sides if pair % 2 else reversed(sides):
                elapsed = measure(folder, *switches)
                if pair >= 0:  # the first two only warm up
                    times.append(elapsed)
    median = PROMISED_MS
    for word, ours, theirs in zip(
        ("clock", "processor"), zip(*with_it, strict=True), zip(*without, strict=True), strict=True
    ):
        low, median, high = statistics.quantiles([one - other for one, other in zip(ours, theirs, strict=True)], n=4)
        one, other = statistics.median(ours), statistics.median(theirs)
        print(
            f"{word}: {one:.1f} ms with, {other:.1f} ms without, ratio {one / other:.3f}; "
            f"{median:+.2f} ms in a pair (quartiles {low:+.2f} to {high:+.2f})"
        )
    print(f"{pairs} pairs; promised: at most {PROMISED_MS:g} ms of the processor")
    return 0 if median <= PROMISED_MS else 1


if __name__ == "__main__":
    sys.exit(main())
