"""The runbook, followed to the letter: each incident is made to happen, and its commands are run as they stand."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.status import status
from tests.support.handmade import Registry, green_report

RUNBOOK = Path(__file__).parents[2] / "registry" / "README.md"
INCIDENTS = re.split(r"^### (\d)\. .*\n", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)[1:]
COMMANDS = {
    number: re.findall(r"^\$ (.*)", text, flags=re.MULTILINE)
    for number, text in zip(INCIDENTS[::2], INCIDENTS[1::2], strict=True)
}


def wrong(registry: Registry) -> dict[str, str]:
    return {}


def second(registry: Registry) -> None:
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="better")


def damaged(registry: Registry) -> dict[str, str]:
    second(registry)
    shutil.rmtree(registry.artifacts.model(registry.candidate))
    registry.artifacts.latest_id.write_text(f"{registry.live}\n")
    return {"ID": registry.live}


def moved(registry: Registry) -> dict[str, str]:
    registry.artifacts.latest.unlink()
    registry.artifacts.latest.symlink_to(registry.candidate)
    return {"ID": registry.live}


def lost(registry: Registry) -> dict[str, str]:
    second(registry)
    registry.artifacts.promotions.unlink()
    return {}


def stray(registry: Registry) -> dict[str, str]:
    with registry.artifacts.promotions.open("ab") as file:
        file.write(b"\n" + b"\0" * 40 + b"\n{")
    return {}


HELD: list["subprocess.Popen[bytes]"] = []
HANG = """
import os, signal, sys
from pytest_modelgates.registry import store
from pytest_modelgates.cli import main
store.point_latest_at = lambda *_: os.kill(os.getpid(), signal.SIGSTOP)
main(sys.argv[1:])
"""


def held(registry: Registry) -> dict[str, str]:
    words = ["promote", "--report", str(green_report(registry)), "--policy", str(registry.policy_file)]
    command = [sys.executable, "-c", HANG, *words, "--artifacts", str(registry.artifacts.root)]
    process = subprocess.Popen(command)
    state = Path(f"/proc/{process.pid}/stat")
    while state.read_text().rpartition(")")[2].split()[0] != "T":
        assert process.poll() is None
        time.sleep(0.05)
    HELD.append(process)
    return {"PID": str(process.pid)}


def full(registry: Registry) -> dict[str, str]:
    for number in range(1, 8):
        shutil.copytree(registry.artifacts.model(registry.live), registry.artifacts.model(f"170000000{number}"))
    return {}


@pytest.mark.skipif(sys.platform != "linux", reason="a stopped process is found in /proc")
@pytest.mark.parametrize(
    ("number", "happens"),
    [
        pytest.param("0", wrong, id="predictions-wrong"),
        pytest.param("1", damaged, id="live-model-gone"),
        pytest.param("2", moved, id="link-moved"),
        pytest.param("3", lost, id="log-lost"),
        pytest.param("4", stray, id="log-ends-in-something-else"),
        pytest.param("5", held, id="lock-held"),
        pytest.param("6", full, id="disk-full"),
    ],
)
def test_who_follows_the_runbook_ends_with_a_sound_registry(
    registry: Registry, number: str, happens: Callable[[Registry], dict[str, str]]
) -> None:
    names = happens(registry)
    folder, said = registry.artifacts.root.parent, ""
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in COMMANDS[number]:
        words = re.sub(r"\b(ID|PID)\b", lambda found: names[found[0]], command)
        if "PID" in command or "ID" in command:
            assert names.get("PID", names.get("ID", "")) in said, "what to type was not said before"
        done = subprocess.run(
            ["bash", "-c", words], cwd=folder, env=os.environ | {"PATH": tools}, capture_output=True, text=True
        )
        said += done.stdout + done.stderr
        assert "Traceback" not in said
        assert done.returncode in (0, 1), said
    while HELD:
        HELD.pop().wait(30)
    assert done.returncode == 0, said
    found = status(registry.artifacts, registry.in_force)
    assert found.sound, found.problems
    assert found.live is not None


def test_every_incident_is_followed() -> None:
    assert list(COMMANDS) == ["0", "1", "2", "3", "4", "5", "6"]
    assert all(commands for commands in COMMANDS.values())
    assert "Never delete `artifacts/.lock`" in RUNBOOK.read_text("utf-8")
