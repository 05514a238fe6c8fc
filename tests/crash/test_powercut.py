"""What a power cut leaves, on a disk that forgets whatever was not waited for. Nothing is mounted."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.injection import Server
from tests.crash.powercut import OPTIONS, Disk, calls, write_tree
from tests.crash.registries import RECOVER, command
from tests.crash.sweep import Case

pytest_plugins = ["tests.crash.seeds"]
pytestmark = pytest.mark.integration

COMMANDS = (
    "first",
    "promote",
    "rollback",
    "pack",
    "gc",
    "event",
    "recover finishes",
    "recover forgets",
    "recover puts back",
)


def cut_at_every_call(case: Case, server: Server, folder: Path, *, mutant: str | None = None) -> Iterator[str]:
    """Record the command, cut the power after each call in every way, and say what is wrong with each tree left."""
    registry = case.seed.copy_to(folder / "recorded")
    disk, trace = Disk(registry.artifacts), registry.folder / "trace"
    done = server.run(registry.folder, case.command, strace=[*OPTIONS, "-o", str(trace)], mutant=mutant)
    assert done.status == 0, done.err
    for call in calls(trace.read_text(), registry.artifacts):
        # What the lock file says is for people who wait; nobody counts on it after a power cut.
        if call.name == "openat" or not call.words[0].endswith(b"/.lock"):
            disk.apply(call)
    left = case.seed.copy_to(folder / "left")
    for step, tree in disk.cuts():
        shutil.rmtree(left.artifacts)
        write_tree(tree, left.artifacts)
        # What a command said it did must last.
        allowed = (case.after,) if step == disk.steps else (case.before, case.after)
        problems = left.problems(allowed, agree=case.agree)
        for words in (RECOVER, ["status"], ["log", "--verify"]):
            status, said = command(left, words)
            problems += [said] if status else []
        problems += left.problems(allowed)
        yield f"after call {step} of {disk.steps}: {'; '.join(problems)}" if problems else ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_power_cut_leaves_the_old_or_the_new(
    strace: None, cases: dict[str, Case], servers: list[Server], tmp_path: Path, name: str
) -> None:
    trees = list(cut_at_every_call(cases[name], servers[0], tmp_path))
    assert [problem for problem in trees if problem] == []
    assert len(trees) > 3
    print(f"\n{name}: {len(trees)} trees after a power cut, 0 bad")


@pytest.mark.parametrize("name", ["promote", "rollback"])
@pytest.mark.parametrize("mutant", ["no_fsync", "no_folder_fsync", "no_intent", "naive_link"])
def test_without_a_defence_a_power_cut_shows(
    strace: None, cases: dict[str, Case], servers: list[Server], tmp_path: Path, name: str, mutant: str
) -> None:
    assert any(cut_at_every_call(cases[name], servers[0], tmp_path, mutant=mutant))
