"""What tests of the plugin share: a model directory that only its gate looks at, a gate of a team's own, its ledger."""

import json
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

import pytest_modelgates
from pytest_modelgates.evidence.report import GateRecord, Ledger, read_report
from pytest_modelgates.policy.load import load_policy

# pytester forgets what is imported inside a run, and C extensions can be loaded only once. So can pandas' types of
# Arrow, which it imports when it first reads Parquet.
for module in pkgutil.walk_packages(pytest_modelgates.__path__, "pytest_modelgates."):
    import_module(module.name)
import_module("pandas.core.arrays.arrow.extension_types")

GATES = Path(__file__).parents[2] / "gates"
MODEL_ID = "1700000000"
PACKAGED = load_policy(None)
# Gates of a signal with two feature groups.
SHIPPED = sum(
    2 if slo.each else 1 for name, slo in PACKAGED.slo.items() if slo.gate is None and PACKAGED.applies(name, "signal")
)

POLICY = """
[slo."{name}"]
at_most = 1
unit = "x"
severity = "{severity}"
advice = "give less"
"""

GATE = """
import pytest

@pytest.mark.{severity}
@pytest.mark.gate("mine.answer")
def test_answer(gate):
    gate.check({value})
"""


def bare_model(pytester: pytest.Pytester, model_id: str = MODEL_ID) -> Path:
    """Make a directory that is a model's by its name alone."""
    directory = pytester.path / "artifacts" / "models" / model_id
    directory.mkdir(parents=True)
    (directory / "model.onnx").write_bytes(b"bytes")
    return directory


def write_policy(
    pytester: pytest.Pytester, *, severity: str = "soft", name: str = "mine.answer", more: str = ""
) -> Path:
    """Write a repository's own policy, with a limit of 1 for the team's own gate."""
    path = pytester.path / "registry" / "policy.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(more + POLICY.format(name=name, severity=severity))
    return path


def own_gate(pytester: pytest.Pytester, *, severity: str = "soft", value: str = "2", marked: str | None = None) -> Path:
    """Make a bare model, a policy and a gate of the team's own that measures `value` against a limit of 1."""
    write_policy(pytester, severity=severity)
    pytester.makepyfile(test_mine=GATE.format(severity=marked or severity, value=value))
    return bare_model(pytester)


# Hypothesis would be imported anew at the end of every run inside this process.
PLAIN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def run(pytester: pytest.Pytester, *arguments: object) -> pytest.RunResult:
    """Run pytest in this process, by the policy of the test's own folder even if the model lies elsewhere."""
    policy, words = pytester.path / "registry" / "policy.toml", " ".join(map(str, arguments))
    elsewhere = "--model-dir=" in words and f"--model-dir={pytester.path}" not in words
    if elsewhere and policy.exists() and "--policy" not in words:
        arguments = (f"--policy={policy}", *arguments)
    return pytester.runpytest_inprocess(*PLAIN, *map(str, arguments))


def run_apart(pytester: pytest.Pytester, *arguments: object) -> pytest.RunResult:
    """Run pytest in a process of its own."""
    return pytester.runpytest_subprocess(*PLAIN, *map(str, arguments))


def reports_of(model_dir: Path) -> list[Path]:
    """Where reports of a model lie by default, oldest first."""
    return sorted((model_dir.parents[1] / "reports" / model_dir.name).glob("*.json"))


def report_of(model_dir: Path) -> dict[str, Any]:
    """The one report of a model, as JSON."""
    (path,) = reports_of(model_dir)
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return report


def ledger_of(model_dir: Path) -> Ledger:
    """The ledger in the one report of a model, read as the promoter reads it."""
    (path,) = reports_of(model_dir)
    return read_report(path).report.modelgates


def record_of(model_dir: Path, gate: str = "mine.answer") -> GateRecord:
    """The one record of a gate."""
    (record,) = [record for record in ledger_of(model_dir).models[model_dir.name].gates if record.gate == gate]
    return record


def outcomes(result: pytest.RunResult) -> dict[str, int]:
    """Count the outcomes by their names, ours among them."""
    return {name: count for name, count in result.parseoutcomes().items() if name != "seconds"}


MEASURED_BY_THE_CLOCK = ("latency.onnx_p95_ms", "latency.serve_p95_ms")


def normalised(ledger: Ledger, *differing: str) -> dict[str, Any]:
    """Leave out what differs between any two runs, times and the order of the gates, and what differs between these."""
    value = msgspec.to_builtins(ledger)
    for key in ("started", "finished", "arguments", *differing):
        del value["run"][key]
    for model in value["models"].values():
        model["gates"] = sorted(
            (gate for gate in model["gates"] if gate["gate"] not in MEASURED_BY_THE_CLOCK),
            key=lambda gate: gate["gate"],
        )
        for gate in model["gates"]:
            for phase in gate["phases"]:
                del phase["duration_s"]
    return value
