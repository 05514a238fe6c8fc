"""Disks that fill up page by page, and run out of inodes: a tmpfs in a user namespace, which needs no rights."""

import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from tests.crash.injection import Server
from tests.crash.registries import OLD, OLDEST, Registry
from tests.crash.sweep import Case, afterwards, judge
from tests.serving.test_server import ROW, Running, flip, started
from tests.support.handmade import logged

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


FEW = 16  # pages, which those who ask use up; or inodes, of which the flip needs one
ROWS = [ROW] * 8  # more than what is left of a page at most times
FULL = "the prediction log cannot be written (No space left on device); nothing is given away"


@pytest.mark.parametrize("what", ["pages", "inodes"])
def test_a_server_follows_the_link_while_its_disk_is_full_and_answers_once_it_is_not(
    used: Registry, small_disk: tuple[Server, Path], what: str
) -> None:
    holder, disk = small_disk
    registry = used.copy_to(disk / "served")
    artifacts, onnx = Artifacts(registry.artifacts), Path("/", *registry.models.parts[4:], "latest.onnx")
    (registry.folder / "registry" / "operations.toml").write_text("")
    answers, over = Counter[str](), threading.Event()

    def ask(server: Running) -> str:
        status, said = server.ask("/predict", {"rows": ROWS})
        found = said["model_version"] if status == 200 else said["error"]
        answers[found] += 1
        return str(found)

    def load(server: Running) -> None:
        while not over.wait(0.02):  # their log alone must not fill the disk
            ask(server)

    def answered(server: Running, wanted: str) -> None:
        until = time.monotonic() + 60
        while (found := ask(server)) != wanted:
            assert time.monotonic() < until, found

    # A namespace has the names that it sees, and its processes the ports of all.
    within = ["nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials"]
    with started(onnx, within=within) as server, ThreadPoolExecutor() as pool:
        loads = [pool.submit(load, server) for _ in range(2)]
        try:
            for target in (OLDEST, OLD) * 2:
                if what == "pages":  # the part that is open needs no other inode
                    filler = fill(disk, pages=FEW)
                    answered(server, FULL)
                    assert server.ask("/v2/health/ready")[0] == 503
                    shutil.rmtree(filler)
                    answered(server, artifacts.latest.readlink().name)
                filler = fill(disk, **{what: FEW})
                flip(artifacts, target)
                if what == "inodes":
                    for number in range(os.statvfs(disk).f_favail):
                        (filler / f"last{number}").touch()
                until = time.monotonic() + 60
                while (ready := server.ask("/v2/health/ready")[1])["serving"]["version"] != target:
                    assert time.monotonic() < until, ready
                    time.sleep(0.05)
                answered(server, FULL)
                shutil.rmtree(filler)
                answered(server, target)
        finally:
            over.set()
        for each in loads:
            each.result(60)
    assert server.process.returncode == 0
    print(f"\n{what}: {dict(answers)}")
    logged_rows = Counter(record.model_id for record in logged(artifacts, "live"))
    assert logged_rows == {name: len(ROWS) * answers[name] for name in (OLD, OLDEST)}
