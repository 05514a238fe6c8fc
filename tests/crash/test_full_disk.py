"""Disks that fill up page by page, and run out of inodes: a tmpfs in a user namespace, which needs no rights."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.injection import Server
from tests.crash.sweep import Case, afterwards, judge

pytest_plugins = ["tests.crash.seeds"]
pytestmark = pytest.mark.crash

LEVELS = 16
MOUNT = 'mount -t tmpfs -o size=4m,nr_inodes=300 none "$1" && shift && exec "$@"'


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with a small disk of its own, and the path under which everybody finds that disk."""
    inside = tmp_path_factory.mktemp("disk")
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    tried = shutil.which("unshare") and subprocess.run(
        [*namespace, "sh", "-c", MOUNT, "sh", inside, "true"], check=False
    )
    if not tried or tried.returncode:
        missing = (
            "no user namespaces here, so no disk can be filled: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with Server([*namespace, "sh", "-c", MOUNT, "sh", str(inside)]) as server:
        server.run(Path("/"))  # it has started, so the disk is there
        yield server, Path(f"/proc/{server.pid}/root{inside}")


def fill(disk: Path, *, pages: int | None = None, inodes: int | None = None) -> Path:
    """Take everything but so many pages or inodes."""
    filler, left = disk / "filler", os.statvfs(disk)
    filler.mkdir()
    if pages is not None:
        with (filler / "big").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (left.f_bavail - pages) * left.f_bsize)
    if inodes is not None:
        for number in range(os.statvfs(disk).f_favail - inodes):
            (filler / str(number)).touch()
    return filler


@pytest.mark.parametrize("what", ["pages", "inodes"])
@pytest.mark.parametrize("name", ["first", "promote", "rollback", "pack", "gc", "recover finishes"])
def test_however_little_space_is_left_the_registry_stays_sound(
    cases: dict[str, Case], small_disk: tuple[Server, Path], name: str, what: str
) -> None:
    server, disk = small_disk
    case, ended, bad = cases[name], [], []
    for left in range(LEVELS):
        registry = case.seed.copy_to(disk / "registry")
        filler = fill(disk, **{what: left})
        outcome = server.run(registry.folder, case.command)
        problems = judge(case, registry, outcome, "full")
        shutil.rmtree(filler)
        problems += afterwards(server, registry, case, recover=bool(left % 2))
        bad += [f"{left} {what} left: {problem}" for problem in problems]
        ended.append(outcome.status)
    print(f"\n{name}: {ended.count(3)} of {len(ended)} levels of {what} were too low, {len(bad)} bad")
    assert bad == []
    assert ended[-1] == 0, "the disk was always too small"
    assert 3 in ended or name not in ("first", "promote", "pack"), "the disk was never full"
