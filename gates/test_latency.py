"""How long a caller waits for one prediction."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pytest_modelgates import Adapter, Candidate, Gate, Rows, check_p95_ms

# A gate that fails before it can time anything gives its own reason.
pytestmark = pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all")


@pytest.mark.soft
@pytest.mark.gate("latency.onnx_p95_ms")
def test_onnx_p95(candidate: Candidate, gate: Gate, benchmark: BenchmarkFixture) -> None:
    """Five batches of 32 rows in a hundred may be slower than the limit, no more."""
    rows = candidate.panel.head(32)
    check_p95_ms(gate, benchmark, lambda: candidate.model.predict(rows))


@pytest.mark.soft
@pytest.mark.gate("latency.serve_p95_ms")
def test_serve_p95(idle_adapter: Adapter, live_rows: Rows, gate: Gate, benchmark: BenchmarkFixture) -> None:
    """The same through the serving adapter: schema check, model, log."""
    check_p95_ms(gate, benchmark, lambda: idle_adapter.score(live_rows))
