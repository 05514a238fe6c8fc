"""Timing inside a gate: pytest-benchmark's own rounds, or no verdict at all."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..stats.quantiles import quantile
from .gate import Gate

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 200


def p95_ms(benchmark: "BenchmarkFixture", gate: Gate, call: Callable[[], object]) -> float:
    """Time single calls and take the 95 % quantile.

    Parameters
    ----------
    benchmark : BenchmarkFixture
    gate : Gate
        Becomes inconclusive when benchmarks are disabled, as they are on xdist workers, whose neighbours would be
        timed along with the model.
    call : callable
        What a caller waits for.

    Returns
    -------
    float
        [ms]
    """
    benchmark.pedantic(call, rounds=ROUNDS, iterations=1, warmup_rounds=10)  # type: ignore[no-untyped-call]
    if benchmark.stats is None:
        gate.inconclusive("benchmarks are disabled; run without -n and --benchmark-disable", sample=0)
    seconds = benchmark.stats.stats.data
    if len(seconds) < ROUNDS:
        gate.inconclusive(f"{len(seconds)} rounds were timed, at least {ROUNDS} are needed", sample=len(seconds))
    return quantile(seconds, 0.95) * 1000
