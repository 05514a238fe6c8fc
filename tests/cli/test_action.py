"""The GitHub action, run step by step as it stands; pip is a stand-in, because tests use no network."""

import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from pytest_modelgates.cli.scaffold import write_templates
from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.evidence.seal import generate_key
from tests.support.actions import Ran, run_action

pytestmark = pytest.mark.integration

ACTION = Path(__file__).parents[2] / "action.yml"


def run(folder: Path, action: Path = ACTION, **inputs: str) -> Ran:
    commands = folder / "bin"
    commands.mkdir()
    (commands / "pip").write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/pip.log"\n')
    (commands / "pip").chmod(0o755)
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
    return run_action(action, folder, inputs, {"PATH": path})


def test_a_model_is_gated_and_its_report_page_and_junit_are_uploaded(tmp_path: Path, good_model: Path) -> None:
    ran = run(tmp_path, model=str(good_model.relative_to(tmp_path)))
    assert ran.statuses == [0, 0, 0], ran.printed
    assert (tmp_path / "bin" / "pip.log").read_text() == f"install --quiet {ACTION.parent}[pages,sign]\n"
    report = Path(ran.outputs["report"])
    assert ran.outputs["verdict"] == "passed"
    assert read_report(report).report.modelgates.run.exit_status == 0
    uploaded = Path(ran.uses["actions/upload-artifact@v4"]["path"])
    assert {path.name for path in uploaded.iterdir()} == {"junit.xml", report.name, report.with_suffix(".html").name}
    cases = ET.parse(uploaded / "junit.xml").getroot().iter("testcase")
    assert len(list(cases)) == len(read_report(report).report.modelgates.models[good_model.name].gates)
    assert ran.summary.startswith(f"### gates of {good_model.name}: green\n\n- ")
    assert "| gate | sev. | measured | limit | margin | verdict |\n|---|---|---|---|---|---|\n" in ran.summary
    assert "| parity.max\\_abs\\_diff | hard | " in ran.summary
    # A gate that only warns is a warning beside the code; a shipped one has no file in the repository.
    assert "::warning title=pnl.turnover WARN::" in ran.printed
    assert "::error" not in ran.printed


def test_a_model_that_cannot_be_gated_is_refused_and_the_summary_says_why(tmp_path: Path) -> None:
    ran = run(tmp_path, model="artifacts/models/1", policy="p.toml", package="pytest-modelgates==9")
    assert ran.statuses == [0, 0, 1]
    assert (tmp_path / "bin" / "pip.log").read_text() == "install --quiet pytest-modelgates==9\n"
    assert ran.outputs == {"verdict": "refused", "report": ""}
    assert ran.summary == (
        "### modelgates gate: refused\n\nartifacts/models/1: no such model directory; give its path, such as "
        "artifacts/models/1763884678, or its id\n\n"
    )
    assert ran.uses["actions/upload-artifact@v4"]["name"] == "modelgates"


def test_with_a_key_the_sealed_report_is_uploaded_beside_the_plain_one(
    tmp_path: Path, good_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate_key(tmp_path / "key.pem")
    monkeypatch.setenv("MODELGATES_KEY", str(tmp_path / "key.pem"))
    ran = run(tmp_path, model=str(good_model.relative_to(tmp_path)))
    assert (ran.statuses, ran.outputs["verdict"]) == ([0, 0, 0], "passed"), ran.printed
    time = Path(ran.outputs["report"]).name.removesuffix(".dsse.json")
    uploaded = {path.name for path in Path(ran.uses["actions/upload-artifact@v4"]["path"]).iterdir()}
    assert uploaded == {"junit.xml", f"{time}.dsse.json", f"{time}.json", f"{time}.html"}


def test_a_model_that_is_called_like_an_option_is_none_of_ours(tmp_path: Path) -> None:
    ran = run(tmp_path, model="--help")
    assert ran.statuses == [0, 0, 1]
    assert ran.outputs["verdict"] == "refused"
    assert "--help: no such model directory" in ran.printed


def test_options_on_further_lines_count_too(tmp_path: Path, good_model: Path) -> None:
    ran = run(tmp_path, model=str(good_model.relative_to(tmp_path)), command="gate\n  --policy=strict.toml\n")
    assert (ran.statuses, ran.outputs["verdict"]) == ([0, 0, 1], "refused")
    assert "strict.toml: no such policy file" in ran.printed


def test_a_command_that_gates_nothing_has_not_passed(tmp_path: Path) -> None:
    ran = run(tmp_path, command="gate --help")
    assert ran.statuses == [0, 0, 1]
    assert ran.outputs == {"verdict": "error", "report": ""}
    assert ran.printed.endswith("gate --help: it ended with 0 and no gate ran\n")


def test_what_prepares_fails_the_step_and_nothing_is_gated(tmp_path: Path) -> None:
    ran = run(tmp_path, model="artifacts/models/1", prepare="echo one\nfalse\necho two")
    assert ran.statuses == [0, 1]
    assert ran.printed == "one\n"
    assert ran.outputs == {"verdict": "", "report": ""}


def test_the_workflow_of_init_packs_and_does_what_is_due_by_the_action_that_init_wrote(tmp_path: Path) -> None:
    write_templates(tmp_path)
    workflow = yaml.safe_load((tmp_path / ".github/workflows/modelgates-nightly.yml").read_text())
    (inputs,) = [step["with"] for step in workflow["jobs"]["gates"]["steps"] if step["uses"].startswith("./")]
    (used,) = [step["uses"] for step in workflow["jobs"]["gates"]["steps"] if step["uses"].startswith("./")]
    written = tmp_path / used / "action.yml"
    assert written.read_bytes() == ACTION.read_bytes()
    ran = run(tmp_path, written, **inputs)
    assert ran.statuses == [0, 0, 0], ran.printed
    assert (tmp_path / "bin" / "pip.log").read_text() == "install --quiet pytest-modelgates[pack,pages]\n"
    assert ran.outputs["verdict"] == "passed"
    report = Path(ran.outputs["report"])
    assert report.parent.name == (tmp_path / "artifacts" / "latest_id.txt").read_text().strip()
    uploaded = {path.name for path in Path(ran.uses["actions/upload-artifact@v4"]["path"]).iterdir()}
    assert uploaded == {"junit.xml", report.name, report.with_suffix(".html").name}
    assert ran.summary.startswith("### modelgates nightly, ")
