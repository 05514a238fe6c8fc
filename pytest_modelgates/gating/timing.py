"""Timing inside a gate: the model beside a reference workload, so that a busy machine is not taken for a slow model."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..stats.quantiles import quantile, quantile_interval
from .gate import Gate

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 200
# The reference takes about as long as the call, within these bounds [s]: shorter and the clock matters, longer and the
# gate does. Time slices of a busy machine are some milliseconds, so the longest still meets them.
_SHORTEST, _LONGEST = 0.0002, 0.01


def check_p95_ms(gate: Gate, benchmark: "BenchmarkFixture", call: Callable[[], object]) -> None:
    """Time single calls, and hold the 95 % quantile against the limit of the gate [ms].

    A fixed workload is timed before each call. The quantile has an interval of order statistics that holds it in 90 %,
    and the gate says one of three things: *passed* if the quantile keeps the limit; *failed* if the lower end of the
    interval misses it even when divided by what slowed the workload, and does so once more in as many further rounds,
    because a machine may be busy for a spell; otherwise *inconclusive*. It is inconclusive too when benchmarks are
    disabled, as they are on xdist workers, whose neighbours would be timed along with the model.

    Parameters
    ----------
    gate : Gate
    benchmark : BenchmarkFixture
    call : callable
        What a caller waits for.
    """
    reference = Reference.lasting(_fastest(call))
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        call, setup=reference.run, rounds=ROUNDS, iterations=1, warmup_rounds=10
    )
    if benchmark.stats is None:
        gate.inconclusive("benchmarks are disabled; run without -n and --benchmark-disable", sample=0)
    seconds = benchmark.stats.stats.data
    if len(seconds) < ROUNDS:
        gate.inconclusive(f"{len(seconds)} rounds were timed, at least {ROUNDS} are needed", sample=len(seconds))
    p95 = 1000 * quantile(seconds, 0.95)
    low, high = (1000 * end for end in quantile_interval(seconds, 0.95))
    slowed = reference.slowed(ROUNDS)
    limit = gate.limit.upper
    doubt = why_unsettled(low, high, limit=limit, slowed=slowed)
    if p95 > limit and doubt is None:
        ends = _once_more(call, reference)
        otherwise = why_unsettled(*ends, limit=limit, slowed=reference.slowed(ROUNDS))
        doubt = otherwise and f"{ROUNDS} further rounds say otherwise: {otherwise}"
    gate.check(p95, sample=ROUNDS, interval=(low, high), doubt_miss=doubt, reference_slowed=slowed)


def why_unsettled(low: float, high: float, *, limit: float, slowed: float) -> str | None:
    """Say why a quantile above a limit shows nothing of the model; None if it does.

    Parameters
    ----------
    low, high : float
        Between what the quantile lies [ms].
    limit : float
        [ms]
    slowed : float
        How many times longer than its fastest round the reference took.
    """
    if low <= limit:
        return f"it lies between {low:.3g} and {high:.3g} ms by {ROUNDS} rounds: run again"
    if low / slowed <= limit:
        return (
            f"the machine is too noisy: a fixed workload beside it took up to {slowed:.2f} times its fastest round; "
            "measure on a quieter one"
        )
    return None


class Reference:
    """A workload that is the same on every run, and what its rounds took.

    Parameters
    ----------
    repeats : int
        How often a round does the same.
    """

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        # 16 KiB, so that it leaves the caches to the model. NumPy does this on one thread, as ONNX Runtime is told to.
        self._values, self._roots = np.linspace(1, 2, 1024), np.empty(1024)
        self._wall: list[float] = []
        self._processor: list[float] = []

    @classmethod
    def lasting(cls, seconds: float) -> "Reference":
        """Make one whose rounds take about so long."""
        once = _fastest(cls(100).run) / 100
        return cls(max(1, round(min(max(seconds, _SHORTEST), _LONGEST) / once)))

    def run(self) -> None:
        """Do one round, and note what it took by the clock on the wall and by that of the processor."""
        wall, processor = time.perf_counter(), time.thread_time()
        for _ in range(self.repeats):
            np.sqrt(self._values, out=self._roots)
        self._processor.append(time.thread_time() - processor)
        self._wall.append(time.perf_counter() - wall)

    def slowed(self, rounds: int) -> float:
        """Compare what 95 % of the last rounds took at most, surely, with the fastest, whose waiting is left out."""
        wall, processor = self._wall[-rounds:], self._processor[-rounds:]
        # On a machine that is busy all the time no round is fast by the clock on the wall.
        fastest = min(seconds for seconds in (*wall, *processor) if seconds > 0)
        return quantile_interval(wall, 0.95)[1] / fastest


def _once_more(call: Callable[[], object], reference: Reference) -> tuple[float, float]:
    """Time further rounds, for which pytest-benchmark is not asked twice; give the ends of the interval [ms]."""
    times = []
    for _ in range(ROUNDS):
        reference.run()
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    low, high = quantile_interval(times, 0.95)
    return 1000 * low, 1000 * high


def _fastest(call: Callable[[], object]) -> float:
    """Time a call a few times, and take the fastest [s]."""
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)
