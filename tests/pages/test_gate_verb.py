"""`modelgates gate` writes the page of its run beside the report, and ends as it would without one."""

import json
import sys
from pathlib import Path

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.cli.gates import run_gates
from pytest_modelgates.evidence.report import Evidence
from pytest_modelgates.monitoring.checks import checks
from pytest_modelgates.pages.render import is_page
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import Registry, golden_of, log_predictions, predictions

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("there", [True, False], ids=["with the extra", "without it"])
def test_the_page_lies_beside_the_report(
    good_model: Path, there: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not there:
        monkeypatch.setitem(sys.modules, "jinja2", None)
    done = main(["gate", str(good_model)])
    said, reports = capsys.readouterr(), good_model.parents[1] / "reports" / good_model.name
    (report,) = reports.glob("*.json")
    assert done == 0
    assert f"kept: {report}" in said.out
    page = report.with_suffix(".html")
    if there:
        assert f"page: {page}" in said.out
        assert is_page(page.read_bytes())
    else:
        assert not page.exists()
        missing = "jinja2 is not installed; run: pip install 'pytest-modelgates[pages]'"
        assert f"modelgates: no page of the run is written: {missing}" in said.err


def gated_for_drift(registry: Registry) -> Evidence:
    """Run the gates of drift on the candidate, and give what they recorded of the index."""
    directory = registry.artifacts.model(registry.candidate)
    _, stored = run_gates(directory, registry.artifacts, registry.in_force, key=None, selection=["-m", "drift"])
    gates = stored.report.modelgates.models[registry.candidate].gates
    return next(each for gate in gates for each in gate.evidence if each.slo == "drift.psi")


def shadowed(registry: Registry) -> None:
    directory = registry.artifacts.model(registry.candidate)
    values = [value + 0.002 for value in golden_of(directory)[:400]]
    log_predictions(registry.artifacts, predictions(tree_digest(directory), values, model_id=registry.candidate))


def test_the_check_for_drift_that_the_gates_made_is_listed(registry: Registry) -> None:
    assert gated_for_drift(registry).state == "inconclusive"
    assert not registry.artifacts.drift_checks.exists()
    shadowed(registry)
    measured = gated_for_drift(registry)
    (check,) = map(json.loads, registry.artifacts.drift_checks.read_text().splitlines())
    assert (check["model_id"], check["arm"], check["by"]) == (registry.candidate, "shadow", "gates")
    assert check["overall_drift"] is False
    assert check["psi"] == {
        "value": measured.detail["index"],
        "judged": measured.value,
        "critical": measured.detail["critical"],
    }
    assert check["rows"]["current"] == measured.sample == 400
    (read,) = checks(registry.artifacts, most=1)
    assert (read.said, read.psi.value, read.over_time) == ("no drift", measured.detail["index"], None)


def test_a_list_of_checks_that_cannot_be_written_does_not_change_the_run(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    shadowed(registry)
    registry.artifacts.drift_checks.mkdir(parents=True)
    assert gated_for_drift(registry).state == "measured"
    said = f"modelgates: what the gates found of drift is not in {registry.artifacts.drift_checks}: "
    assert said in capsys.readouterr().err
