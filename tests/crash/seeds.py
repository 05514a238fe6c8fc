"""Fixtures: servers, and registries in every state from which the sweeps start; `pytest_plugins` loads it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.injection import Server
from tests.crash.registries import (
    AB,
    ADOPT,
    EVENT,
    GC,
    GOLDEN,
    NEW,
    OLD,
    OLDEST,
    PACK,
    RECOVER,
    Registry,
    build,
    promotion,
    rollback,
)
from tests.crash.sweep import WORKERS, Case, Workshop


@pytest.fixture(scope="session")
def strace() -> None:
    """Where nobody looks, a missing strace may skip; in CI it fails, as nothing that did not run is green."""
    if shutil.which("strace") is None:
        missing = "strace is not installed, so nothing can be killed in mid-call: apt-get install strace"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)


@pytest.fixture(scope="session")
def servers() -> Iterator[list[Server]]:
    """Processes that have imported everything."""
    with ExitStack() as stack:
        yield [stack.enter_context(Server()) for _ in range(WORKERS)]


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Models, and nothing was ever promoted."""
    return build(tmp_path_factory.mktemp("crash") / "fresh")


@pytest.fixture(scope="session")
def used(fresh: Registry, servers: list[Server]) -> Registry:
    """The second model is live, the first was."""
    registry = fresh.copy_to(fresh.folder.with_name("used"))
    done = servers[0].run(registry.folder, promotion(OLDEST), promotion(OLD))
    assert done.status == 0, done.err
    return registry


@pytest.fixture(scope="session")
def cases(fresh: Registry, used: Registry, servers: list[Server]) -> dict[str, Case]:
    """Every command that changes a registry, by name."""

    def prepared(name: str, command: list[str], mutant: str | None = None) -> Registry:
        registry = used.copy_to(fresh.folder.with_name(name))
        done = servers[0].run(registry.folder, command, mutant=mutant)
        assert (done.status == 0) == (mutant is None), done.err
        return registry

    full = prepared("full", promotion(NEW))
    (full.models / ".staging-x").mkdir()
    (full.models / ".staging-x" / "model.onnx").write_bytes(b"half")
    tested = prepared("tested", AB)
    moved = used.copy_to(fresh.folder.with_name("moved"))
    moved.latest.unlink()
    moved.latest.symlink_to(OLDEST)
    missing = used.copy_to(fresh.folder.with_name("missing"))
    missing.latest.unlink()
    return {
        "first": Case(fresh, promotion(OLDEST), None, OLDEST),
        "promote": Case(used, promotion(NEW), OLD, NEW),
        "rollback": Case(used, rollback(OLDEST), OLD, OLDEST),
        "promote in an A/B test": Case(tested, promotion(NEW), OLD, NEW),
        "rollback in an A/B test": Case(tested, rollback(OLDEST), OLD, OLDEST),
        "pack": Case(used, PACK, OLD, OLD),
        "gc": Case(full, GC, NEW, NEW),
        "event": Case(used, EVENT, OLD, OLD),
        "golden set": Case(used, GOLDEN, OLD, OLD),
        "recover finishes": Case(prepared("flipped", promotion(NEW), "killed_after_the_flip"), RECOVER, NEW, NEW),
        "recover forgets": Case(prepared("begun", promotion(NEW), "killed_before_the_flip"), RECOVER, OLD, OLD),
        "recover puts back": Case(missing, RECOVER, None, OLD, agree=False),
        "recover adopts": Case(moved, ADOPT, OLDEST, OLDEST, agree=False, repair=ADOPT),
        "rollback of a moved link": Case(moved, rollback(OLD), OLDEST, OLD, agree=False, repair=rollback(OLD)),
    }


@pytest.fixture
def workshop(strace: None, servers: list[Server], tmp_path: Path) -> Workshop:
    """The servers, each with a folder of this test."""
    return Workshop(tmp_path, servers)
