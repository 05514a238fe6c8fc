"""A local runner of a composite action: its `run:` steps one by one, as they stand, with the files of a runner."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Ran:
    """What a run of an action left: its outputs, the summary, what was uploaded, and the status of each step."""

    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    uses: dict[str, dict[str, str]] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    printed: str = ""


def run_action(action: Path, folder: Path, inputs: dict[str, str], environment: dict[str, str]) -> Ran:
    """Run an action in a folder; a step of another action is not run, only noted with its inputs."""
    spec: dict[str, Any] = yaml.safe_load(action.read_text("utf-8"))
    given = {name: entry.get("default", "") for name, entry in spec["inputs"].items()} | inputs
    assert set(given) == set(spec["inputs"]), "an input that the action does not have"
    temp = folder / "runner"
    temp.mkdir(exist_ok=True)
    values = {f"inputs.{name}": value for name, value in given.items()}
    values |= {"github.action_path": str(action.parent), "runner.temp": str(temp)}

    def evaluated(text: str) -> str:
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: values[found[1]], str(text))

    ran, failed = Ran(), False
    files = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for step in spec["runs"]["steps"]:
        if failed and step.get("if") != "always()":
            continue
        if "uses" in step:
            ran.uses[step["uses"]] = {name: evaluated(value) for name, value in step["with"].items()}
            continue
        assert step["shell"] == "bash", "a composite action names its shell"
        variables = {name: evaluated(value) for name, value in step.get("env", {}).items()}
        runner = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(folder), "RUNNER_TEMP": str(temp)}
        runner |= {name: str(path) for name, path in files.items()}
        assert "${{" not in step["run"], "an expression in a script lets its value run as code"
        script = folder / "step.sh"
        script.write_text(step["run"])
        # As GitHub starts bash where a step names it.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment, **runner, **variables},
            capture_output=True,
            text=True,
        )
        ran.printed += done.stdout + done.stderr
        ran.statuses.append(done.returncode)
        failed |= done.returncode != 0
        if files["GITHUB_OUTPUT"].exists():
            for line in files["GITHUB_OUTPUT"].read_text("utf-8").splitlines():
                name, _, value = line.partition("=")
                values[f"steps.{step['id']}.outputs.{name}"] = value
    ran.outputs = {
        name: evaluated(entry["value"]) if entry["value"][4:-3] in values else ""
        for name, entry in spec["outputs"].items()
    }
    if files["GITHUB_STEP_SUMMARY"].exists():
        ran.summary = files["GITHUB_STEP_SUMMARY"].read_text("utf-8")
    return ran
