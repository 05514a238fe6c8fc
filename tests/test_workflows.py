"""The workflows of this repository: each can be read, has few rights and an end, and names actions by a tag."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
OF_INIT = ROOT / "pytest_modelgates" / "cli" / "templates" / "nightly.yml"
FILES = [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), OF_INIT, ROOT / "action.yml"]
BY_PATH = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in FILES]
WORKFLOWS = BY_PATH[:-1]


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


def test_each_file_for_github_can_be_read() -> None:
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / "action.yml", ROOT / ".pre-commit-config.yaml"]
    assert len(files) > 6
    assert [path for path in files if not read(path)] == []


@pytest.mark.parametrize("path", WORKFLOWS)
def test_a_workflow_may_only_read_unless_a_job_says_why_and_each_job_has_an_end(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job] == []


@pytest.mark.parametrize("path", BY_PATH)
def test_an_action_is_named_by_a_tag(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text("utf-8"))
    assert path.name == "action.yml" or used
    tagged = r"[\w.-]+(/[\w.-]+)+@v\d+(\.\d+)*|\./\.github/actions/modelgates"
    assert [name for name in used if not re.fullmatch(tagged, name)] == []


def test_what_they_name_is_kept_up_to_date() -> None:
    kept = {
        (entry["package-ecosystem"], entry["directory"]) for entry in read(ROOT / ".github/dependabot.yml")["updates"]
    }
    assert ("github-actions", "/") in kept


def test_the_suite_runs_on_macos_and_on_the_newest_python() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    elsewhere = jobs["elsewhere"]["strategy"]["matrix"]["include"]
    assert "macos-latest" in {each["os"] for each in elsewhere}
    setup = next(step for step in jobs["everything"]["steps"] if "setup-python" in step.get("uses", ""))
    assert "3.14" in setup["with"]["python-version"].split()
    assert 'make env test PYTHON="$(python_of 3.14)"' in (ROOT / ".ci" / "run").read_text("utf-8")


def test_a_tag_is_built_attested_and_then_published() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # to YAML 1.1 `on` is true
    assert workflow["jobs"]["publish"]["needs"] == "build"
    used = [
        step.get("uses", step.get("name", "")).split("@")[0]
        for job in workflow["jobs"].values()
        for step in job["steps"]
    ]
    order = [used.index(name) for name in ("build", "actions/attest-build-provenance", "pypa/gh-action-pypi-publish")]
    assert order == sorted(order)


def test_every_step_of_a_workflow_is_run_with_its_environment_whatever_became_of_those_before(tmp_path: Path) -> None:
    workflow = tmp_path / "night.yml"
    workflow.write_text(
        """
jobs:
  one:
    env: {OURS: 1, THEIRS: "${{ github.sha }}"}
    steps:
      - uses: actions/checkout@v4
      - run: exit 3
      - name: the second
        env: {OURS: ""}
        run: |
          echo "<$OURS> <${THEIRS:-nothing}>"
      - run: "false; echo went on"
""",
        "utf-8",
    )
    done = subprocess.run([sys.executable, ROOT / ".ci" / "steps", workflow], capture_output=True, text=True)
    assert done.returncode == 1
    assert "<> <nothing>\n" in done.stdout
    assert "went on\n" not in done.stdout.replace("echo went on", "")
    ended = [re.sub(r"\d+ s", "s", line) for line in done.stdout.split("-- ended\n")[1].splitlines()]
    assert ended == ["3 after s: exit 3", "0 after s: the second", "1 after s: false; echo went on"]
