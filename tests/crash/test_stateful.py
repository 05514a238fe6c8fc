"""The registry against a model of itself, over any order of commands, crashes and changes of the link by hand."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.crash.registries import ADOPT, GC, MODELS, RECOVER, Registry, command, promotion, rollback

pytest_plugins = ["tests.crash.seeds"]

SABOTAGED = ("write", "fsync", "replace", "rename", "symlink", "unlink", "mkdir")
CALLS = st.integers(1, 30)
ANY = st.sampled_from(MODELS)


def killed(registry: Registry, words: list[str], nth: int) -> int:
    """Run a command in a child that vanishes at the n-th call which would change the disk; 9 if it did."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    left = nth

    def sabotage(name: str) -> None:
        genuine = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if not left:
                os._exit(9)
            return genuine(*arguments, **options)

        setattr(os, name, call)

    for name in SABOTAGED:
        sabotage(name)
    try:
        os._exit(command(registry, words)[0])
    finally:
        os._exit(70)


class Machine(RuleBasedStateMachine):
    """What should be live, what was, and whether somebody moved the link."""

    fresh: Registry

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.live: str | None = None
        self.past: list[str] = []
        self.there = set(MODELS)
        self.moved = False

    @initialize()
    def begin(self) -> None:
        self.registry = self.fresh.copy_to(self.folder / "registry")

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def went(self, model_id: str) -> None:
        """A change came through."""
        self.past = [*[name for name in self.past if name != model_id], model_id]
        self.live = model_id

    def try_to(
        self, words: list[str], model_id: str, *, allowed: bool, nth: int | None = None, whatever: bool = False
    ) -> None:
        """Run a command; it changes what it should exactly if it may, which may be so wherever the link was moved."""
        allowed = allowed and (whatever or not self.moved)
        if nth is None:
            status, said = command(self.registry, words)
            assert (status == 0) == allowed, said
            assert status in (0, 1), said
        else:
            status = killed(self.registry, words, nth)
            assert status in (0, 1, 9)
            assert status == 1 or allowed
        if allowed and self.registry.live() == model_id:
            self.went(model_id)
            self.moved = False

    @rule(model_id=ANY)
    def promote(self, model_id: str) -> None:
        self.try_to(promotion(model_id), model_id, allowed=model_id in self.there - {self.live})

    @rule(model_id=ANY, nth=CALLS)
    def promote_and_crash(self, model_id: str, nth: int) -> None:
        self.try_to(promotion(model_id), model_id, allowed=model_id in self.there - {self.live}, nth=nth)

    @rule(model_id=ANY)
    def roll_back(self, model_id: str) -> None:
        self.try_to(rollback(model_id), model_id, allowed=self.may_go_back(model_id), whatever=True)

    @rule(model_id=ANY, nth=CALLS)
    def roll_back_and_crash(self, model_id: str, nth: int) -> None:
        self.try_to(rollback(model_id), model_id, allowed=self.may_go_back(model_id), nth=nth, whatever=True)

    def may_go_back(self, model_id: str) -> bool:
        """It was live, is not, and is still there."""
        return model_id in self.there.intersection(self.past) - {self.registry.live()}

    @rule()
    def collect_garbage(self) -> None:
        status, said = command(self.registry, GC)
        assert status == int(self.moved), said
        if self.live and not self.moved:
            previous = next((name for name in reversed(self.past) if name in self.there - {self.live}), None)
            self.there -= {name for name in self.there if name < self.live and name != previous}
        assert {path.name for path in self.registry.models.glob("1*")} == self.there

    @precondition(lambda self: self.live and not self.moved)
    @rule(model_id=ANY)
    def move_the_link_by_hand(self, model_id: str) -> None:
        command(self.registry, RECOVER)  # what a crash left is finished
        self.registry.latest.unlink()
        self.registry.latest.symlink_to(model_id)
        self.moved = model_id != self.live

    @precondition(lambda self: self.moved)
    @rule()
    def put_the_link_back(self) -> None:
        self.registry.latest.unlink()
        self.registry.latest.symlink_to(str(self.live))
        self.moved = False

    @rule()
    def recover(self) -> None:
        before = self.registry.live()
        status, said = command(self.registry, ["recover"])
        assert not self.moved or (status, self.registry.live()) == (1, before), said
        status, said = command(self.registry, RECOVER)
        contradicts = self.moved and before in self.there
        assert status == int(contradicts), said
        self.moved = contradicts
        if contradicts:  # nothing chooses between link and log but a person
            status, said = command(self.registry, ADOPT)
            assert status == 0, said
            assert before is not None
            self.went(before)
            self.moved = False
        for words in (["status"], ["log", "--verify"]):
            status, said = command(self.registry, words)
            assert status == 0, said
        assert self.registry.live() == self.live

    @invariant()
    def holds(self) -> None:
        if self.moved:
            status, said = command(self.registry, ["status"])
            assert (status, "problem: " in said) == (1, True)
        else:
            assert self.registry.problems((self.live,)) == []


@pytest.mark.parametrize("examples", [6, pytest.param(200, marks=pytest.mark.crash)])
def test_the_registry_does_what_a_model_of_it_does(fresh: Registry, examples: int) -> None:
    machine = type("Machine", (Machine,), {"fresh": fresh})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=20, deadline=None))
