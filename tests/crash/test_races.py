"""Writers and readers at once."""

import json
import multiprocessing
import os
from collections import Counter
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.registry.store import point_latest_at
from tests.crash.injection import Server
from tests.crash.race import read_once
from tests.crash.registries import NEW, OLD, OLDEST, RECOVER, Registry, command

pytest_plugins = ["tests.crash.seeds"]
pytestmark = pytest.mark.integration


def race(server: Server, registry: Registry, seconds: float, **more: object) -> dict[str, int]:
    """Let them loose and return what everybody saw."""
    done = server.run(registry.folder, ["race", str(registry.folder), str(seconds)], **more)
    assert done.status == 0, done.err
    return json.loads(done.out)


def wrong(registry: Registry, seen: dict[str, int]) -> list[str]:
    """Everything that a reader or the registry has to complain about."""
    found = [f"{count} reads {what}" for what, count in seen.items() if what in ("missing", "mixed", "unverifiable")]
    found += [f"{what}, {count} times" for what, count in seen.items() if what.endswith((" 2", " 3", " 70"))]
    for words in (RECOVER, ["status"], ["log", "--verify"]):
        status, said = command(registry, words)
        found += [said] if status else []
    return found + registry.problems((registry.live(),))


@pytest.mark.parametrize("seconds", [3, pytest.param(24, marks=pytest.mark.crash)])
def test_writers_and_readers_never_see_less_than_a_whole_model(
    servers: list[Server], used: Registry, tmp_path: Path, seconds: int
) -> None:
    registry, seen = used.copy_to(tmp_path / "race"), Counter[str]()
    for longer in (1, 2, 4, 8, 16):  # a busy machine does less in the time
        if longer * seconds > 50:  # a server takes what lasts a minute for hung
            pytest.fail(f"too little was done to see anything: {seen}")
        seen.update(race(servers[0], registry, longer * seconds))
        assert wrong(registry, seen) == []
        changes, killed = seen["promote 0"] + seen["rollback 0"], any(what.endswith("killed") for what in seen)
        if seen["read"] > 90 and changes > 3 and killed:
            break
    print(f"\n{seconds} s: {seen}")


@pytest.mark.parametrize("mutant", ["no_lock", "naive_link"])
def test_without_a_defence_the_race_is_lost(servers: list[Server], used: Registry, tmp_path: Path, mutant: str) -> None:
    for _ in range(30):  # one or two are enough, but not on every machine
        registry = used.copy_to(tmp_path / "race")
        if wrong(registry, race(servers[0], registry, 2, mutant=mutant)):
            return
    pytest.fail("nobody saw anything wrong")


@pytest.mark.parametrize("flips", [2_000, pytest.param(100_000, marks=pytest.mark.crash)])
def test_a_reader_that_resolves_the_link_once_never_misses_while_it_flips(
    used: Registry, tmp_path: Path, flips: int
) -> None:
    registry = used.copy_to(tmp_path / "flips")
    fork = multiprocessing.get_context("fork")
    flipper = fork.Process(daemon=True, target=flip_so_often, args=(registry, flips))
    flipper.start()
    seen: Counter[str] = Counter()
    while flipper.is_alive():
        seen[read_once(registry.latest)] += 1
    flipper.join()
    print(f"\n{flips} flips: {dict(seen)}")
    assert flipper.exitcode == 0
    assert set(seen) == {"read"}
    assert seen["read"] > flips / 100


def flip_so_often(registry: Registry, flips: int) -> None:
    """Flip to and fro; whether it lasts is not asked here, so nobody waits for the disk."""
    os.fsync = lambda descriptor: None
    for number in range(flips):
        point_latest_at(Artifacts(registry.artifacts), (OLDEST, OLD, NEW)[number % 3])
