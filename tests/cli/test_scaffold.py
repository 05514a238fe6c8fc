"""What `modelgates init` writes, and that it works as written."""

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import yaml

from pytest_modelgates.cli import main
from pytest_modelgates.cli.scaffold import templates, write_templates
from pytest_modelgates.errors import ModelgatesError
from pytest_modelgates.model.directory import verify
from pytest_modelgates.packing.packing_list import read_packing_list
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations

PLACES = list(templates().values())


def test_every_template_is_written_once_and_never_touched_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path)]) == 0
    places = [tmp_path / place for place in PLACES]
    assert capsys.readouterr().out.splitlines() == [f"wrote {place}" for place in places]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(places)
    places[0].write_text("format = 1\n")
    places[1].unlink()
    assert main(["init", str(tmp_path)]) == 0
    shown = [f"{'wrote' if place == places[1] else 'kept '} {place}" for place in places]
    assert capsys.readouterr().out.splitlines() == shown
    assert places[0].read_text() == "format = 1\n"


def test_a_link_in_a_templates_place_is_never_followed(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "pack_example.py").symlink_to(tmp_path / "elsewhere.py")
    assert dict(write_templates(repository))[repository / "pack_example.py"] is False
    assert not (tmp_path / "elsewhere.py").exists()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = f"{tmp_path / 'nowhere'}: no such folder; make it first, or run this in your repository"
    with pytest.raises(ModelgatesError, match=f"^{message}$"):
        write_templates(tmp_path / "nowhere")
    assert main(["init", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err == f"modelgates: {message}\n"


def test_a_file_in_a_folders_place_is_the_machines_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "registry").touch()
    assert main(["init", str(tmp_path)]) == 3
    assert "registry" in capsys.readouterr().err


def test_the_policy_changes_no_limit_of_the_packaged_one(tmp_path: Path) -> None:
    write_templates(tmp_path)
    written, packaged = load_policy(tmp_path / "registry/policy.toml"), load_policy(None)
    assert (written.slo, written.promotion, written.costs) == (packaged.slo, packaged.promotion, packaged.costs)
    assert written.data.window_end_days == 30
    # The commented lines must be valid once their mark is removed.
    text = (tmp_path / "registry/policy.toml").read_text()
    lines = [
        line.removeprefix("# ") if line.startswith(("# [", "# at_most", "# severity")) else line
        for line in text.splitlines()
    ]
    (tmp_path / "other.toml").write_text("\n".join(lines))
    limit = load_policy(tmp_path / "other.toml").limit("latency.onnx_p95_ms")
    assert (limit.upper, limit.severity) == (20, "hard")


def test_the_operations_are_the_packaged_ones_even_where_they_are_comments(tmp_path: Path) -> None:
    write_templates(tmp_path)
    written, packaged = tmp_path / "registry/operations.toml", load_operations(None, policy=None)[0]
    assert load_operations(written, policy=None)[0] == packaged
    lines = [
        line.removeprefix("# ") if "=" in line or "[" in line else line for line in written.read_text().splitlines()
    ]
    assert len([line for line in lines if line and line[0] not in "#["]) == 1 + 10
    written.write_text("\n".join(lines))
    assert load_operations(written, policy=None)[0] == packaged


@pytest.mark.integration
def test_the_example_packs_a_sound_model_from_any_folder_and_so_does_its_packing_list(tmp_path: Path) -> None:
    write_templates(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "pack_example.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    directory = Path(done.stdout.splitlines()[-1])
    assert directory.parent == tmp_path / "artifacts" / "models"
    assert verify(directory)
    assert main(["shadow", f"--onnx={directory / 'model.onnx'}", f"--csv={tmp_path / 'artifacts/live_data.csv'}"]) == 0
    spec = tmp_path / "packing_list.toml"
    # The example's panel ends today, so its date changes every day.
    until = json.loads((directory / "sidecar.json").read_text())["trained_until"]
    spec.write_text(re.sub(r"(trained_until = )\S+", rf"\g<1>{until}", spec.read_text()))
    listed = read_packing_list(spec)
    panel = directory / "evaluation.parquet"
    files = [str(directory / "model.onnx"), f"--panel={panel}", f"--spec={spec}"]
    assert main(["pack", *files, f"--artifacts={tmp_path / 'again'}"]) == 0
    (again,) = (tmp_path / "again" / "models").iterdir()
    assert verify(again)
    assert (again / "sidecar.json").read_bytes() == (directory / "sidecar.json").read_bytes()
    assert listed["horizon"] == 1


def test_what_is_generated_is_ignored_and_the_rule_itself_is_not(tmp_path: Path) -> None:
    write_templates(tmp_path)
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (tmp_path / "artifacts" / "models").mkdir()
    (tmp_path / "artifacts" / "models" / "model.onnx").touch()
    shown = subprocess.run([*git, "status", "--porcelain", "-uall"], capture_output=True, text=True, check=True).stdout
    assert sorted(line[3:] for line in shown.splitlines()) == sorted(PLACES)


def test_the_nightly_workflow_keeps_what_the_streak_is_computed_from() -> None:
    text = (resources.files("pytest_modelgates") / "cli" / "templates" / "nightly.yml").read_text()
    assert 0 < text.index("command: nightly\n") < text.index("modelgates shadow --onnx ")
    assert "name: model_${{ github.run_id }}\n" in text
    assert "            artifacts/models/*/manifest.json\n            artifacts/reports\n" in text
    assert text.count("path: artifacts\n") == 2


@pytest.mark.parametrize(
    ("ci", "place"), [("github", ".github/workflows/modelgates-nightly.yml"), ("gitlab", ".gitlab-ci.yml")]
)
def test_one_ci_is_written_and_keeps_junit_and_reports(tmp_path: Path, ci: str, place: str) -> None:
    assert main(["init", str(tmp_path), "--ci", ci]) == 0
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(
        templates(ci).values()
    )
    parsed = yaml.safe_load((tmp_path / place).read_text())
    (job,) = (parsed.get("jobs") or parsed).values()
    if ci == "github":
        # The action keeps JUnit XML; tests/cli/test_action.py runs it.
        (given,) = [step["with"] for step in job["steps"] if step["uses"] == "./.github/actions/modelgates"]
        commands = [*given["prepare"].splitlines(), f"modelgates {given['command']}"]
        kept = job["steps"][-1]["with"]["path"].split()
    else:
        commands, kept = job["script"], [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]
        assert "junit.xml" in kept
    assert {"artifacts/reports", "artifacts/models/*/manifest.json"} <= set(kept)
    # Both run the same commands, so that neither is forgotten.
    shown = [command.partition(" --junitxml")[0] for command in commands]
    shadow = '"artifacts/models/$(cat artifacts/latest_id.txt)/model.onnx" --csv artifacts/live_data.csv'
    assert [command for command in shown if command.startswith(("modelgates", "python"))] == [
        "python pack_example.py",
        f"modelgates shadow --onnx {shadow}",
        "modelgates nightly",
    ]
