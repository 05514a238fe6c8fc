"""Timing in a gate: real rounds, or no verdict."""

from pathlib import Path

import pytest

from tests.support.gate_runs import own_gate, record_of, run

SOURCE = """
import pytest
from pytest_modelgates.gating.timing import ROUNDS, p95_ms

CALLS = []

@pytest.mark.gate("mine.answer")
def test_answer(gate, benchmark):
    p95 = p95_ms(benchmark, gate, lambda: CALLS.append(0))
    gate.check(0, sample=ROUNDS, p95=p95, calls=len(CALLS), rounds=len(benchmark.stats.stats.data))
"""


@pytest.fixture
def model(pytester: pytest.Pytester) -> Path:
    directory = own_gate(pytester)
    pytester.makepyfile(test_mine=SOURCE)
    return directory


def test_two_hundred_single_calls_are_timed(pytester: pytest.Pytester, model: Path) -> None:
    assert run(pytester, f"--model-dir={model}", "test_mine.py").ret == 0
    (shown,) = record_of(model).evidence
    assert shown.detail["rounds"] == shown.sample == 200
    assert shown.detail["calls"] == 210
    assert 0 < shown.detail["p95"] < 10


def test_the_p95_is_a_number_of_milliseconds(pytester: pytest.Pytester, model: Path) -> None:
    slow = "sum(range(100_000))"
    pytester.makepyfile(test_mine=SOURCE.replace("CALLS.append(0)", slow))
    assert run(pytester, f"--model-dir={model}", "test_mine.py").ret == 0
    # Faster than 0.1 ms no interpreter adds a hundred thousand numbers, and slower than 100 ms none does.
    assert 0.1 < record_of(model).evidence[0].detail["p95"] < 100


def test_without_benchmarks_a_gate_is_inconclusive_with_evidence(pytester: pytest.Pytester, model: Path) -> None:
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--benchmark-disable")
    assert result.ret == 0
    (shown,) = record_of(model).evidence
    assert (shown.state, shown.value, shown.sample) == ("inconclusive", None, 0)
    assert shown.note == "benchmarks are disabled; run without -n and --benchmark-disable"
    result.stdout.fnmatch_lines([f"mine.answer inconclusive: {shown.note}"])


def test_a_hard_latency_gate_without_benchmarks_fails(pytester: pytest.Pytester, good_model: Path) -> None:
    policy = pytester.path / "policy.toml"
    policy.write_text('[slo."latency.onnx_p95_ms"]\nseverity = "hard"\n')
    arguments = [f"--model-dir={good_model}", f"--policy={policy}", "-m", "latency", "--benchmark-disable"]
    result = run(pytester, *arguments)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["latency.onnx_p95_ms: inconclusive: benchmarks are disabled; run without -n and *"])


def test_skipped_benchmarks_do_not_pass(pytester: pytest.Pytester, model: Path) -> None:
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--benchmark-skip", "--strict-soft")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["mine.answer not run: was skipped"])


def test_no_table_of_pytest_benchmark_is_shown(pytester: pytest.Pytester, model: Path) -> None:
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    result.stdout.no_fnmatch_line("*Name (time in*")
