"""The page for those who come from scripts: each command runs, each path is there, each limit is the policy's."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_modelgates.drift
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "coming-from-scripts.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
POLICY = load_policy(None)


def cells(section: str) -> list[list[str]]:
    rows = [line.split("|")[1:-1] for line in SECTIONS[section].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def commands() -> list[str]:
    """All of what the right columns tell to type."""
    typed = [*cells("What to type"), *cells("The nightly job")]
    starts = ("make ", "modelgates ", "python ", "pytest ", "tail ")
    return [span for row in typed for span in re.findall(r"`(.+?)`", row[-1]) if span.startswith(starts)]


SHADOW = "python -m pytest_modelgates.serving --shadow --onnx artifacts/models/latest.onnx --csv live_data.csv"
# What a team types one day after another, with the status that each ends with, and which model ID is.
DAYS = [
    ("make shadow", 0, None),
    (SHADOW, 0, None),
    ("tail -F artifacts/shadow/predictions.jsonl", 124, None),
    ("modelgates compare", 0, None),
    ("python registry/compare_shadow_vs_prod.py", 0, None),
    ("modelgates golden set ID --from log", 0, "first"),
    ("make drift-check", 0, None),
    ("modelgates drift-check", 0, None),
    ("make gate:data gate:signal gate:parity gate:pnl gate:wf", 0, None),
    ("pytest --model-dir=artifacts/models/ID", 0, "second"),
    ("modelgates promote artifacts/models/ID", 0, "second"),
    ('modelgates rollback ID --reason "shadow_drift"', 0, "first"),
    ("python registry/promote.py artifacts/models/ID", 0, "second"),
    ('python registry/rollback.py ID --reason "shadow_drift"', 0, "first"),
    ("make promote", 0, None),
    ("make rollback", 2, None),  # it asks for the model, and nobody sits at a terminal
    ("modelgates nightly --promote", 0, None),
    ('modelgates rollback ID --reason "emergency"', 0, "first"),
    ('modelgates kill --reason "emergency"', 0, None),
]
ELSEWHERE = {"make e2e"}  # a step of its own in CI


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a team: one model is live and has scored rows, another one is packed."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(ROOT / "Makefile", folder)
    run(folder, "modelgates init")
    policy = folder / "registry" / "policy.toml"
    policy.write_text(re.sub("^(parity_nights|shadow_hours) = .*", r"\1 = 0", policy.read_text(), flags=re.MULTILINE))
    for script in (ROOT / "registry").glob("*.py"):
        shutil.copy(script, folder / "registry")
    run(folder, "python pack_example.py")
    run(folder, f"modelgates promote artifacts/models/{packed(folder)}")
    shutil.copy(folder / "artifacts" / "live_data.csv", folder)
    run(folder, "modelgates serve --onnx artifacts/models/latest.onnx --csv live_data.csv")
    return folder


def packed(folder: Path) -> str:
    return (folder / "artifacts" / "latest_id.txt").read_text().strip()


def run(folder: Path, command: str, *, status: int = 0) -> str:
    """Run a command as a person would, by the tools of this environment."""
    prefix = Path(sys.prefix)
    words = command.replace("make ", f"make -o env VENV={prefix} ", 1) if command.startswith("make ") else command
    variables = {**os.environ, "PATH": f"{prefix / 'bin'}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        ["bash", "-c", words], cwd=folder, env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert done.returncode == status, f"{command}: {said}"
    return said


@pytest.mark.integration
def test_each_command_of_the_page_runs(desk: Path) -> None:
    assert {command for command, _, _ in DAYS} | ELSEWHERE == set(commands())
    ids = {"first": packed(desk)}
    run(desk, "python pack_example.py")
    ids["second"] = packed(desk)
    for command, status, model in DAYS:
        typed = command.replace("ID", ids[model]) if model else command
        run(desk, f"timeout 1 {typed}" if typed.startswith("tail ") else typed, status=status)
    for path, _ in cells("What lies where"):
        place = desk / path.strip("`").replace("ID", ids["second"])
        assert place.exists(), place
        assert place.is_symlink() == (place.name in {"latest", "latest.onnx", "predictions.jsonl"})


@pytest.mark.integration
def test_the_python_of_the_page_runs_as_it_stands(desk: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (desk / "drift.py").write_text(f"current_predictions = [row / 1000 for row in range(1000)]\n{block}", "utf-8")
    assert run(desk, "python drift.py") == "PSI: 0.000\nDrift detected: False\n"


def test_each_limit_of_the_page_is_the_policys() -> None:
    for _, limit, here in cells("What is asked"):
        names = re.findall(r"`(\w+\.\w+)`", here)
        assert names
        for name in names:
            assert POLICY.slo[name].severity == ("hard" if ", hard" in here else "soft")
        if number := re.search(r"([≤≥>]) ([\d.e-]+)", limit):
            slo = POLICY.slo[names[0]]
            bound = {"≤": slo.at_most, "≥": slo.at_least, ">": slo.above}[number[1]]
            assert bound == float(number[2])
    asked = POLICY.promotion
    assert (asked.parity_nights, asked.shadow_hours, asked.drift_psi) == (7, 24, 0.25)
    assert POLICY.slo["drift.ks"].below == 0.05


def test_each_trigger_of_the_page_is_one_of_the_watch_by_the_policys_limit() -> None:
    watch, triggers = load_operations(None, policy=None)[0].watch, cells("What rolls back")
    for _, limit, here in triggers:
        for section in re.findall(r"`\[watch\.(\w+)\]`", here):
            assert getattr(watch, section).mode == ("warn" if section == "shadow" else "act")
        for name in re.findall(r"`(\w+\.\w+)`", here):
            slo = POLICY.slo[name]
            assert (slo.at_least if "<" in limit else slo.at_most) == float(re.findall(r"[<>] ([\d.]+)", limit)[0])
    assert len(triggers) == 4


def test_each_import_of_the_page_works() -> None:
    for _, here in cells("What to import"):
        names: dict[str, object] = {}
        exec(here.strip("`"), names)
        assert set(names) - {"__builtins__"} <= set(pytest_modelgates.drift.__all__)
