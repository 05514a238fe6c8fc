"""What the registry costs: promoting a large model against hashing it, moving the link with its log, and what age adds.

    python -m benchmarks.registry [ROUNDS]

Medians of pairs measured side by side. Promised: promoting a model of 50 MB takes at most 1.2 times as long as what no
promotion can do without: hashing once the files of the model and the code that must be the run's, and as many syncs of
as many bytes and of folders; flip and log of a small one take at most 5 ms;
status and list take at most 10 ms longer beside 10,000 old models and 100,000 lines of log than without them, and
promote 30 ms, because it looks through the whole log for trials.
"""

import hashlib
import os
import shutil
import stat
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import msgspec
import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Commit, Event, Intent, decoded, read_log, tail
from pytest_modelgates.audit.writer import locked
from pytest_modelgates.evidence.trust import CODE, PACKAGE
from pytest_modelgates.model.directory import MANIFEST, MODEL, verify
from pytest_modelgates.model.manifest import FileEntry, Manifest
from pytest_modelgates.policy.place import NEIGHBOUR
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.status import listing, status
from pytest_modelgates.registry.store import change_live
from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.strict_json import canonical, read_json
from tests.support.handmade import LENIENT, Registry, green_report
from tests.support.panels import invented_panel, pack_ridge

MEGABYTES = 50
OLD_MODELS, OLD_LINES = 10_000, 100_000
FIRST_OLD = 1_000_000_000


def milliseconds(action: Callable[[], object]) -> float:
    """Time one call [ms]."""
    begin = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - begin) / 1e6


def enlarge(directory: Path, megabytes: int) -> None:
    """Give a packed model a tensor of that size."""
    path = directory / MODEL
    model = onnx.load(str(path))
    padding = np.random.default_rng(1).standard_normal(megabytes * 125_000).view(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(padding, "padding"))
    path.write_bytes(model.SerializeToString(deterministic=True))
    manifest = read_json(directory / MANIFEST, Manifest)
    entry = FileEntry.of(path.read_bytes())
    (directory / MANIFEST).write_bytes(
        canonical(msgspec.structs.replace(manifest, files=manifest.files | {MODEL: entry}))
    )


def registry(root: Path, *, old: bool = False) -> Registry:
    """A registry with a small live model and a candidate that was packed later."""
    artifacts, policy = Artifacts(root / "artifacts"), root / NEIGHBOUR
    live = pack_ridge(artifacts.root, invented_panel(seed=1)).name
    policy.parent.mkdir()
    policy.write_text(LENIENT)
    registry = Registry(artifacts, live, live, policy)
    promote(artifacts, live, green_report(registry), registry.in_force, reason="first")
    if old:
        age(registry)
    return replace(registry, candidate=pack_ridge(artifacts.root, invented_panel(seed=2)).name)


def there_and_back(registry: Registry, report: Path) -> float:
    """Time a promotion of the candidate, and undo it."""
    in_force = registry.in_force
    taken = milliseconds(lambda: promote(registry.artifacts, registry.candidate, report, in_force, reason="there"))
    rollback(registry.artifacts, registry.live, in_force, reason="back")
    return taken


def syncs_of(action: Callable[[], object]) -> list[int | None]:
    """List the syncs that an action asks for, in order: how large the file is [bytes], or None for a folder."""
    kinds: list[int | None] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        entry = os.fstat(descriptor)
        kinds.append(None if stat.S_ISDIR(entry.st_mode) else entry.st_size)
        sync(descriptor)

    with mock.patch.object(os, "fsync", noted):
        action()
    return kinds


def floor(files: list[Path], syncs: list[int | None], place: Path) -> None:
    """Hash files, and ask for such syncs, each of something that was just changed."""
    for each in files:
        digest = hashlib.sha256()
        with each.open("rb", buffering=0) as file:
            while piece := file.read(2**16):
                digest.update(piece)
    for number, size in enumerate(syncs):
        path = place if size is None else place / str(number)
        if size is None:
            (place / "new").symlink_to("nowhere")
            os.replace(place / "new", place / "link")
        else:
            path.write_bytes(bytes(size))
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def code_files() -> list[Path]:
    """List the files of code whose digests a promotion compares with those of the run."""
    found = (Path(place, name) for place, _, names in os.walk(PACKAGE, followlinks=True) for name in names)
    return [path for path in found if path.suffix in CODE]


def flip_and_log(registry: Registry) -> float:
    """Time the change of link and log alone, there and back, and halve it."""
    last, rules = read_log(registry.artifacts.promotions)[-1], registry.rules
    there = msgspec.structs.replace(last, from_=registry.live, to=registry.candidate)
    back = msgspec.structs.replace(last, from_=registry.candidate, to=registry.live)

    def both() -> None:
        for change in (there, back):
            with locked(registry.artifacts, rules):
                change_live(registry.artifacts, change)

    return milliseconds(both) / 2


def decoded_line(line: bytes) -> Intent | Commit | Event:
    """Read a line of a log without errors."""
    record = decoded(line, "line")
    assert isinstance(record, Intent | Commit | Event)
    return record


def age(registry: Registry) -> None:
    """Add old models, and lines of log before those there are."""
    oldest = registry.artifacts.model(registry.live)
    for number in range(OLD_MODELS):
        directory = registry.artifacts.model(str(FIRST_OLD + number))
        directory.mkdir()
        for name in (MANIFEST, "CHANGES.md"):
            shutil.copy(oldest / name, directory / name)
    recent = registry.artifacts.promotions.read_bytes().splitlines()
    intent = next(record for record in map(decoded_line, recent) if isinstance(record, Intent))
    lines: list[bytes] = []
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    for n in range(1, OLD_LINES + 1):
        prev = sha256(lines[-1]) if lines else None
        old: Intent | Commit = (
            msgspec.structs.replace(intent, n=n, prev=prev, time=long_ago, to=str(FIRST_OLD + n % OLD_MODELS))
            if n % 2
            else Commit(n=n, prev=prev, time=long_ago)
        )
        lines.append(canonical(old)[:-1])
    for line in recent:
        record = msgspec.structs.replace(decoded_line(line), n=len(lines) + 1, prev=sha256(lines[-1]))
        lines.append(canonical(record)[:-1])
    registry.artifacts.promotions.write_bytes(b"".join(line + b"\n" for line in lines))


def main() -> int:
    """Measure, print, and fail if a promise is not kept."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    kept = []
    with tempfile.TemporaryDirectory() as name:
        large = registry(Path(name) / "large")
        enlarge(large.artifacts.model(large.candidate), MEGABYTES)
        directory, report = large.artifacts.model(large.candidate), green_report(large)
        files = [*directory.iterdir(), *code_files()]
        in_force = large.in_force
        there_and_back(large, report)  # enters it in the ledger of trials, as it was changed after packing
        syncs = syncs_of(lambda: promote(large.artifacts, large.candidate, report, in_force, reason="counted"))
        rollback(large.artifacts, large.live, in_force, reason="back")
        place = Path(name) / "floor"
        place.mkdir()
        pairs = [
            (milliseconds(lambda: floor(files, syncs, place)), there_and_back(large, report)) for _ in range(rounds)
        ]
        bare, promoting = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(promotion / least for least, promotion in pairs)
        kept.append(ratio <= 1.2)
        print(
            f"promoting {MEGABYTES} MB: {promoting:.1f} ms, hashing {len(files)} files and {len(syncs)} syncs "
            f"{bare:.1f} ms: {ratio:.2f} times (at most 1.2)"
        )

        small = registry(Path(name) / "small")
        flip = statistics.median(flip_and_log(small) for _ in range(rounds * 4))
        kept.append(flip <= 5)
        print(f"flip and log: {flip:.2f} ms (at most 5)")

        old = registry(Path(name) / "old", old=True)
        in_force = old.in_force
        assert tail(old.artifacts.promotions).change is not None
        verify(old.artifacts.model(old.live))
        reports = {id(registry): green_report(registry) for registry in (small, old)}
        questions: dict[str, Callable[[Registry], float]] = {
            "status": lambda registry: milliseconds(lambda: status(registry.artifacts, in_force)),
            "list": lambda registry: milliseconds(lambda: listing(registry.artifacts, last=2)),
            "promote": lambda registry: there_and_back(registry, reports[id(registry)]),
        }
        for verb, ask in questions.items():
            times = [(ask(small), ask(old)) for _ in range(rounds)]
            young, aged = (statistics.median(column) for column in zip(*times, strict=True))
            print(
                f"{verb}: {young:.1f} ms in a new registry, {aged:.1f} ms beside {OLD_MODELS} models and "
                f"{OLD_LINES} lines"
            )
            kept.append(aged - young <= (30 if verb == "promote" else 10))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
