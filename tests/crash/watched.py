"""A look of the watch that is killed before each thing that it does to a file, each time in a fresh copy.

    python -m tests.crash.watched FOLDER LIVE CANDIDATE [EVERY]

FOLDER holds a registry whose CANDIDATE is live and drifted, and LIVE was before it. Prints a line of JSON for each
place: what was done there, and what was wrong afterwards.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.whole import read_chain
from pytest_modelgates.monitoring.rescored import Rescored
from pytest_modelgates.monitoring.watch import Watch
from pytest_modelgates.monitoring.way_out import own_rollbacks
from pytest_modelgates.registry.in_force import for_acting
from pytest_modelgates.registry.store import link_text, live_change, state, went_live
from pytest_modelgates.registry.way_back import WayBack
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import NEIGHBOUR

KILLED, ENDLESS = 9, 10_000
_TO_FILES = {
    "fcntl.flock", "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
}  # fmt: skip


def sound(directory: Path) -> WayBack:
    """What the rehearsal of a rollback finds of a sound model; the real one is a process of its own."""
    return WayBack(model_id=directory.name, digest=tree_digest(directory), rows=9, difference=0.0)


def look(root: Path, now: datetime) -> None:
    artifacts = Artifacts(root / "artifacts")
    watch = Watch(
        artifacts,
        rehearse=sound,
        rescore=lambda directory, rows: Rescored(model_id=directory.name, problem="not asked"),
        tell=lambda *_, **__: None,
    )
    watch.look(for_acting(artifacts, root / NEIGHBOUR), now=now)


def killed_at(place: int, out: int) -> None:
    """End this process before the file is touched for so manieth a time; a write is cut in half then."""
    count = 0

    def step(what: str) -> bool:
        nonlocal count
        count += 1
        if count == place:
            write(out, what.encode())
        return count == place

    def hook(event: str, given: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or event in _TO_FILES) and step(f"{event} {given[0]}"):
            die()

    def half(file: int, content: Any) -> int:
        if file != out and step(f"write {len(content)} bytes"):
            write(file, bytes(content)[: len(content) // 2])
            die()
        return write(file, content)

    def synced(file: int) -> None:
        if step("fsync"):
            die()
        sync(file)

    write, sync = os.write, os.fsync
    os.write, os.fsync = half, synced  # type: ignore[assignment]
    sys.addaudithook(hook)


def die() -> NoReturn:
    os._exit(KILLED)


def forked(what: Callable[[], None]) -> int:
    """Do something in a process of its own; give its exit status."""
    if not (child := os.fork()):
        status = 1
        try:
            what()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wrong_afterwards(root: Path, live: str, candidate: str, now: datetime) -> list[str]:
    """Look again, unharmed, and say what is not as it should be."""
    artifacts = Artifacts(root / "artifacts")
    found = [] if (at := link_text(artifacts)) in (live, candidate) else [f"{at} is live after the end"]
    if forked(lambda: look(root, now + timedelta(minutes=1))):
        found.append("the next look failed")
    if (at := link_text(artifacts)) != live:
        found.append(f"{at} is live after the next look")
    found += [f"the log: {problem}" for problem in read_chain(artifacts.promotions).problems]
    if state(artifacts).open is not None:
        found.append("a change is open")
    later = max(now, live_change(artifacts).time) + timedelta(minutes=2)
    if (times := len(own_rollbacks(went_live(artifacts), now=later))) != 1:
        found.append(f"{times} rollbacks by the watch")
    return found


def main(folder: Path, live: str, candidate: str, every: int = 1) -> int:
    """Kill a look at every place, or at every n-th, until one is not reached."""
    for place in range(1, ENDLESS, every):
        with tempfile.TemporaryDirectory(dir=folder.parent) as copied:
            root, now = Path(copied) / "registry", datetime.now(UTC)
            shutil.copytree(folder, root, symlinks=True)
            reads, out = os.pipe()

            def spoiled(place: int = place, out: int = out, root: Path = root, now: datetime = now) -> None:
                killed_at(place, out)
                look(root, now)

            status = forked(spoiled)
            os.close(out)
            what = os.read(reads, 4096).decode()
            os.close(reads)
            if not what:
                return 0 if status == 0 else 1
            wrong = wrong_afterwards(root, live, candidate, now)
            print(json.dumps({"place": place, "what": what.replace(copied, ""), "status": status, "wrong": wrong}))
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], *map(int, sys.argv[4:])))
