"""Writers that promote, roll back, pack and collect garbage, some of them killed, beside readers that verify.

Runs in a child of the server and prints what everybody saw, as JSON.
"""

import fcntl
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pytest_modelgates import cli
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.place import NEIGHBOUR
from tests.crash.registries import GC, PACK, Registry, promotion, rollback
from tests.support.handmade import green_ledger, write_report

WRITERS, READERS = 3, 2
KILLED = 0.25


def choose(registry: Registry, chance: random.Random) -> list[str]:
    """One command, on a model that is there."""
    there = sorted(path.name for path in (registry.artifacts / "models").glob("1*") if path.is_dir())
    model_id = chance.choice(there)
    either = {"promote": promotion(model_id), "rollback": rollback(model_id), "gc": [*GC[:-1], "2"], "pack": PACK}
    return either[chance.choices(list(either), [40, 50, 8, 2])[0]]


def run(command: list[str], chance: random.Random) -> str:
    """Run a command in a child, which is killed in some cases, and say how it ended."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            status = cli.main(command)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    if chance.random() < KILLED:
        time.sleep(chance.random() * 0.1)
        os.kill(pid, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"{command[0]} {'killed' if ended < 0 else ended}"


def write(registry: Registry, seconds: float, seed: int, results: Any) -> None:
    """Change the registry until the time is up."""
    chance, seen = random.Random(seed), Counter[str]()
    sys.stderr = open(os.devnull, "w")  # refusals are no news  # noqa: SIM115
    policy, end = load_policy(registry.folder / NEIGHBOUR), time.monotonic() + seconds
    os.chdir(registry.folder)
    while time.monotonic() < end:
        command = choose(registry, chance)
        seen[run(command, chance)] += 1
        for directory in (registry.artifacts / "models").glob("1*"):
            report = registry.folder / f"{directory.name}.json"
            if not report.exists() and (directory / "manifest.json").exists():
                write_report(report, green_ledger(directory, policy))
    results.put(dict(seen))


def read(registry: Registry, seconds: float, results: Any) -> None:
    """Resolve the link once, pin what it leads to, and hold every file against the manifest; until the time is up."""
    seen, end = Counter[str](), time.monotonic() + seconds
    while time.monotonic() < end:
        seen[read_once(registry.latest)] += 1
    results.put(dict(seen))


def read_once(latest: Path) -> str:
    """Read the live model through one descriptor."""
    try:
        folder = os.open(latest, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return "missing"
    try:
        fcntl.flock(folder, fcntl.LOCK_SH)
        if not there(folder, latest.parent):
            return "gone before it was held"
        manifest = json.loads(content(folder, "manifest.json"))
        found = {name: hashlib.sha256(content(folder, name)).hexdigest() for name in manifest["files"]}
    except (OSError, ValueError):
        return "unverifiable"
    finally:
        os.close(folder)
    good = all(found[name] == entry["sha256"] for name, entry in manifest["files"].items())
    return "read" if good else "mixed"


def there(folder: int, models: Path) -> bool:
    """Whether a pinned folder still lies where models lie: garbage collection may have come first."""
    name = Path(os.readlink(f"/proc/self/fd/{folder}")).name
    return (models / name).is_dir() and name.isdigit()


def content(folder: int, name: str) -> bytes:
    """Read one file of a pinned folder."""
    with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
        return file.read()


def main(folder: str, seconds: str) -> None:
    """Start everybody, wait, and add up."""
    fork, registry = multiprocessing.get_context("fork"), Registry(Path(folder))
    results = fork.SimpleQueue()
    writers = [fork.Process(target=write, args=(registry, float(seconds), seed, results)) for seed in range(WRITERS)]
    everybody = writers + [fork.Process(target=read, args=(registry, float(seconds), results)) for _ in range(READERS)]
    for process in everybody:
        process.start()
    seen = sum((Counter(results.get()) for _ in everybody), Counter[str]())
    for process in everybody:
        process.join()
    print(json.dumps(dict(sorted(seen.items()))))
