"""The tutorial, typed into an empty folder: each command runs as it stands and prints what the page says."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.transcript import Reader, said_alike, steps_of

ROOT = Path(__file__).parents[1]
STEPS = steps_of((ROOT / "docs" / "tutorial.md").read_text("utf-8"))


def test_it_takes_at_most_fifteen_commands_from_the_installation_to_a_rollback() -> None:
    assert len(STEPS) <= 15
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    installs = re.fullmatch(r"pip install --quiet '([\w-]+)\[(\w+)\]'", STEPS[0].command)
    assert installs
    assert installs[1] == project["name"]
    assert installs[2] in project["optional-dependencies"]
    assert "modelgates rollback " in "".join(step.command for step in STEPS)


def told(text: str, reader: Reader) -> list[str]:
    """Give what is compared. An older pytest runs gates that have parameters last, and so counts otherwise."""
    lines = said_alike(text, reader.written).splitlines()
    if pytest.version_tuple >= (9, 0):
        return lines
    return sorted(line for line in lines if not re.fullmatch(r"test_\w+\.py [.sx]+ \[ *\d+%\]", line))


@pytest.mark.integration
def test_every_command_prints_what_the_page_says(tmp_path: Path) -> None:
    folder = tmp_path.resolve()
    reader = Reader(folder, STEPS)
    for step in STEPS[1:]:  # what the first one installs is the environment under test
        printed = reader.type(step.command)
        assert told(printed, reader) == told(step.printed, reader), step.command
    assert len(reader.packed) == len(reader.written) == 2
    assert (folder / "artifacts" / "models" / "latest").readlink().name == reader.packed[0]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("1796038246 is live (sha256:3974da9a2235a41e)", "1796038246 is live (sha256:0123456789abcdef)", True),
        ("=== 5 passed in 5.34s ====", "===== 5 passed in 15.2s ==", True),
        ("wf.worst_fold  hard 0.119 p  0.01≤·≤1 passed", "wf.worst_fold hard 0.2 p 0.01≤·≤1 passed", True),
        ("wf.worst_fold  hard 0.119 p  0.01≤·≤1 passed", "wf.worst_fold hard 0.002 p 0.01≤·≤1 failed", False),
        ("pnl.p_value              hard 0.00156 p", "pnl.p_value hard 0.00157 p", False),
        ("=== 5 passed in 5.34s ====", "=== 4 passed in 5.34s ====", False),
        ("1796038246 is live", "1796038285 is live", False),
        ("  PSI 0.0242 (no significant change)", "  PSI 0.0243 (no significant change)", False),
    ],
    ids=["digest", "seconds", "years", "another-verdict", "another-p", "another-count", "another-model", "another-psi"],
)
def test_runs_are_compared_number_by_number_but_for_what_differs_each_time(one: str, other: str, alike: bool) -> None:
    ids = ["1796038246", "1796038285"]
    assert (said_alike(one, ids) == said_alike(other, ids)) is alike
