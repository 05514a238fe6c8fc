"""Writers and readers at once."""

import json
from pathlib import Path

import pytest
from injection import Server
from registries import Registry, command

pytest_plugins = ["seeds"]


def race(server: Server, registry: Registry, seconds: float, **more: object) -> dict[str, int]:
    """Let them loose and return what everybody saw."""
    done = server.run(registry.folder, ["race", str(registry.folder), str(seconds)], **more)
    assert done.status == 0, done.err
    return json.loads(done.out)


def wrong(registry: Registry, seen: dict[str, int]) -> list[str]:
    """Everything that a reader or the registry has to complain about."""
    found = [f"{count} reads {what}" for what, count in seen.items() if what in ("missing", "mixed", "unverifiable")]
    found += [f"{what}, {count} times" for what, count in seen.items() if what.endswith((" 2", " 3", " 70"))]
    status, said = command(registry, ["status"])
    return [*found, *([said] if status else []), *registry.problems((registry.live(),))]


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.crash)])
def test_writers_and_readers_never_see_less_than_a_whole_model(
    servers: list[Server], used: Registry, tmp_path: Path, seconds: int
) -> None:
    registry = used.copy_to(tmp_path / "race")
    seen = race(servers[0], registry, seconds)
    print(f"\n{seconds} s: {seen}")
    assert wrong(registry, seen) == []
    assert seen["read"] > 30 * seconds
    assert seen["promote 0"] + seen["rollback 0"] > seconds
    assert any(what.endswith("killed") for what in seen)


@pytest.mark.parametrize("mutant", ["no_lock", "naive_link"])
def test_without_a_defence_the_race_is_lost(servers: list[Server], used: Registry, tmp_path: Path, mutant: str) -> None:
    for _ in range(10):
        registry = used.copy_to(tmp_path / "race")
        if wrong(registry, race(servers[0], registry, 2, mutant=mutant)):
            return
    pytest.fail("nobody saw anything wrong")
