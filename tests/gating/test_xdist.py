"""Two workers leave the ledger that one process leaves."""

from pathlib import Path

import pytest

from pytest_modelgates.evidence.report import read_report
from tests.support.gate_runs import (
    MEASURED_BY_THE_CLOCK,
    PLAIN,
    SHIPPED,
    bare_model,
    ledger_of,
    normalised,
    outcomes,
    own_gate,
    record_of,
    reports_of,
    run,
)

pytestmark = pytest.mark.integration


def test_two_workers_leave_the_same_ledger(pytester: pytest.Pytester, good_model: Path) -> None:
    alone = run(pytester, f"--model-dir={good_model}", "--gate-report=alone.json")
    together = run(pytester, f"--model-dir={good_model}", "--gate-report=together.json", "-n", "2")
    assert alone.ret == together.ret == 0
    one, two = (read_report(pytester.path / f"{name}.json").report.modelgates for name in ("alone", "together"))
    # What else a process loaded is its own matter, and here one of them runs these tests.
    assert normalised(one, "hooks", "modules") == normalised(two, "hooks", "modules")
    records = {record.gate: record for record in two.models[good_model.name].gates}
    assert len(records) == SHIPPED
    for name in MEASURED_BY_THE_CLOCK:
        (shown,) = records[name].evidence
        assert (shown.state, shown.sample) == ("inconclusive", 0)
        together.stdout.fnmatch_lines([f"{name} inconclusive: benchmarks are disabled; run without -n and *"])


def test_a_worker_that_collects_no_gate_ends_the_run_with_the_message(pytester: pytest.Pytester) -> None:
    model = bare_model(pytester)
    pytester.makepyfile(test_a="def test_a(): pass")
    result = run(pytester, f"--model-dir={model}", "test_a.py", "-n", "2")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --model-dir was given, but no gate was collected; look at the paths *"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert not reports_of(model)


def test_gates_without_a_model_end_the_run_with_the_message(pytester: pytest.Pytester) -> None:
    own_gate(pytester)
    result = run(pytester, "test_mine.py", "-n", "2")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: 1 gates collected, such as test_mine.py::test_answer, but no model; *"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_gate_without_a_limit_ends_the_run_with_the_message(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    (pytester.path / "registry" / "policy.toml").unlink()
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "-n", "2")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: test_mine.py*: no SLO 'mine.answer' in the policy; add *"])


def test_a_gate_warns_in_a_worker_too(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "-n", "1")
    assert (outcomes(result), int(result.ret)) == ({"xfailed": 1}, 0)
    assert record_of(model).phases[1].outcome == "xfailed"


def test_workers_follow_latest_where_the_run_did(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    bare_model(pytester, "1700000001")
    (model.parent / "latest").symlink_to(model.name)
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.gate("mine.answer")
        def test_answer(gate, candidate):
            gate.check(0 if candidate.directory.name == "1700000000" else 2)
        """
    )
    # The link moves after the run has begun and before its workers have.
    pytester.makeconftest(
        """
        import os

        def pytest_xdist_setupnodes():
            os.remove("artifacts/models/latest")
            os.symlink("1700000001", "artifacts/models/latest")
        """
    )
    result = run(pytester, "--model-dir=artifacts/models/latest", "test_mine.py", "-n", "1")
    assert outcomes(result) == {"passed": 1}
    assert list(ledger_of(model).models) == ["1700000000"]


def test_a_worker_that_dies_leaves_a_red_run(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard")
    pytester.makepyfile(
        test_mine="""
        import os, pytest

        @pytest.mark.gate("mine.answer")
        def test_answer(gate):
            gate.check(0)
            os._exit(0)
        """
    )
    assert run(pytester, f"--model-dir={model}", "test_mine.py", "-n", "1").ret != 0


@pytest.mark.parametrize("how", ["load", "loadfile", "loadscope", "loadgroup", "worksteal"])
def test_a_run_that_loses_a_worker_ends(pytester: pytest.Pytester, how: str) -> None:
    """A worker that takes the place of another waits for a second test before it runs its first."""
    model = own_gate(pytester, severity="hard")
    pytester.makepyfile(
        test_dies="""
        import os, pytest

        @pytest.mark.gate("mine.answer")
        def test_answer(gate):
            os._exit(0)
        """,
        test_lives="""
        def test_one(): pass
        def test_two(): pass
        def test_three(): pass
        """,
    )
    words = (f"--model-dir={model}", "test_lives.py", "test_dies.py", "-n", "2", f"--dist={how}")
    assert pytester.runpytest_subprocess(*PLAIN, *words, timeout=60).ret == 1


def test_repeating_does_not_make_up_for_a_lost_worker(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="0")
    pytester.makepyfile(
        test_dies="""
        import os, pathlib

        def test_dies():
            tried = pathlib.Path("tried")
            if not tried.exists():
                tried.touch()
                os._exit(0)
        """
    )
    words = (f"--model-dir={model}", "test_mine.py", "test_dies.py", "-n", "2", "--reruns=2")
    assert pytester.runpytest_subprocess(*PLAIN, *words, timeout=60).ret == 1


# Each of them ended the worker that sent it, and the gate was lost.
UNCARRIED = {
    "numpy-number": "np.float32(0.5)",
    "numpy-array": "np.arange(3)",
    "not-a-number": "np.float64('nan')",
    "enumeration": "enum.IntEnum('Kind', 'ONE').ONE",
    "any-object": "object()",
    "lone-surrogate": "'\\udc80'",
}


@pytest.mark.parametrize("value", UNCARRIED.values(), ids=UNCARRIED)
@pytest.mark.parametrize("where", ["gate", "test"])
def test_a_property_of_any_type_loses_no_gate(pytester: pytest.Pytester, where: str, value: str) -> None:
    model = own_gate(pytester, value="0")
    asks, beside = ("gate, record_property", "") if where == "gate" else ("gate", "record_property")
    pytester.makepyfile(
        test_mine=f"""
        import enum, numpy as np, pytest

        {"def test_beside(record_property): record_property('shown', " + value + ")" if beside else ""}

        @pytest.mark.gate("mine.answer")
        def test_answer({asks}):
            {"" if beside else "record_property('shown', " + value + ")"}
            gate.check(0)
        """
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "-n", "1")
    assert (result.ret, outcomes(result)) == (0, {"passed": 1 + bool(beside)})
    assert record_of(model).evidence[0].value == 0


def test_a_worker_that_breaks_leaves_a_red_run(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    pytester.makeconftest(
        "def pytest_runtest_logfinish(nodeid, location): import os; 1 / ('PYTEST_XDIST_WORKER' not in os.environ)"
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "-n", "1")
    assert result.ret != 0
