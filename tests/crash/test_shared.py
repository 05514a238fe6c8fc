"""Machines that share a bucket, of which one is killed in the middle of a change: no two ever go apart for good."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.injection import Server
from tests.crash.registries import NEW, OLD, OLDEST, RECOVER, Registry, promotion, rollback
from tests.support.buckets import Machine

pytest_plugins = ["tests.crash.seeds"]
pytestmark = pytest.mark.crash


@dataclass(frozen=True)
class Pair:
    """Two machines and their bucket, of which a copy always lies in the same place: a bucket is a path."""

    seed: Path
    folder: Path
    server: Server

    @property
    def ours(self) -> Machine:
        """The machine on which something happens."""
        return Machine(self.folder / "a")

    @property
    def theirs(self) -> Machine:
        """One that follows."""
        return Machine(self.folder / "b")

    def keep(self) -> None:
        """From now on begin with things as they are."""
        shutil.rmtree(self.seed, ignore_errors=True)
        shutil.copytree(self.folder, self.seed, symlinks=True)

    def again(self) -> None:
        """Begin again."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.seed, self.folder, symlinks=True)

    def told(self) -> None:
        """Let the machine tell the bucket, or find what it told before it was killed, as it says."""
        done = self.server.run(self.ours.folder, ["push"])
        if done.status:
            assert "first: modelgates pull" in done.err
            self.do(self.ours, ["pull"])

    def do(self, machine: Machine, *commands: list[str], mutant: str | None = None) -> int:
        """Run commands on a machine in a process of their own."""
        done = self.server.run(machine.folder, *commands, mutant=mutant)
        assert done.status in (0, 9), done.out + done.err
        return done.status


@pytest.fixture
def pair(some_models: Registry, servers: list[Server], tmp_path: Path) -> Pair:
    """Two machines on which the second model is live, by a bucket that is a folder."""
    found = Pair(tmp_path / "seed", tmp_path / "pair", servers[0])
    some_models.copy_to(found.ours.folder)
    found.ours.shares(f"file://{found.folder}/bucket").another("b")
    found.do(found.ours, promotion(OLDEST), promotion(OLD))
    found.do(found.theirs, ["pull"])
    found.keep()
    return found


def problems(machine: Machine, *allowed: str) -> list[str]:
    """What is wrong with a machine; what was pulled has its attestation where it was promoted."""
    return [each for each in machine.problems(allowed) if "left no attestation" not in each]


def wrong(pair: Pair, before: str, after: str) -> list[str]:
    """What is wrong before anybody repairs anything, and what the other machine is led to."""
    found = [f"ours: {each}" for each in problems(pair.ours, before, after)]
    pair.do(pair.theirs, ["pull"], ["status"], ["log", "--verify"])
    return found + [f"theirs: {each}" for each in problems(pair.theirs, before, after)]


def together(pair: Pair, after: str) -> list[str]:
    """What is wrong once all is said to be repaired."""
    pair.do(pair.theirs, ["pull"])
    found = []
    for machine in (pair.ours, pair.theirs):
        pair.do(machine, ["status"], ["log", "--verify"])
        found += problems(machine, after)
    same = pair.ours.root.shared.read_bytes() == pair.theirs.root.shared.read_bytes()
    return found + ([] if same else ["they have other records"])


def killed(pair: Pair, machine: Machine, command: list[str]) -> Iterator[int]:
    """Kill a command at each of its steps, as things are, and begin again after each."""
    step = 1
    while pair.do(machine, command, mutant=f"killed_at {step}"):
        yield step
        pair.again()
        step += 1
    print(f"\n{command[0]}: killed at {step - 1} steps")
    assert step > 5


def test_a_rollback_that_is_killed_is_never_told_before_it_holds(pair: Pair) -> None:
    bad = []
    for step in killed(pair, pair.ours, rollback(OLDEST)):
        found = wrong(pair, OLD, OLDEST)
        if pair.theirs.live() == OLDEST != pair.ours.live():
            found.append("the bucket was told of a rollback that does not hold")
        if step % 2:
            pair.do(pair.ours, RECOVER)
        if pair.ours.live() != OLDEST:
            pair.do(pair.ours, rollback(OLDEST))
        pair.told()
        bad += [f"step {step}: {each}" for each in found + together(pair, OLDEST)]
    assert bad == []


def test_a_push_of_a_rollback_that_is_killed_is_pushed_again(pair: Pair) -> None:
    bucket = pair.folder / "bucket"
    aside = bucket.rename(bucket.with_name("aside"))
    bucket.touch()  # in place of a folder: it cannot be told
    pair.do(pair.ours, rollback(OLDEST))
    bucket.unlink()
    aside.rename(bucket)
    pair.keep()
    bad = []
    for step in killed(pair, pair.ours, ["push"]):
        found = wrong(pair, OLD, OLDEST)
        pair.told()
        bad += [f"step {step}: {each}" for each in found + together(pair, OLDEST)]
    assert bad == []


def test_a_pull_of_a_rollback_that_is_killed_is_pulled_again(pair: Pair) -> None:
    pair.do(pair.ours, rollback(OLDEST))
    pair.keep()
    bad = []
    for step in killed(pair, pair.theirs, ["pull"]):
        found = problems(pair.theirs, OLD, OLDEST)
        if step % 2:
            pair.do(pair.theirs, RECOVER)
        bad += [f"step {step}: {each}" for each in found + together(pair, OLDEST)]
    assert bad == []


def test_a_promotion_that_is_killed_is_pulled_or_made_again(pair: Pair) -> None:
    bad = []
    for step in killed(pair, pair.ours, promotion(NEW)):
        found = wrong(pair, OLD, NEW)
        if step % 2:
            pair.do(pair.ours, RECOVER)
        pair.do(pair.ours, ["pull"])
        if pair.ours.live() != NEW:
            pair.do(pair.ours, promotion(NEW))
        bad += [f"step {step}: {each}" for each in found + together(pair, NEW)]
    assert bad == []
