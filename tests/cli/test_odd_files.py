"""Where a registry keeps a file or a folder, something of another kind may lie: each verb ends, and says what to do."""

import errno
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.model.directory import verify
from tests.support.handmade import Registry, golden_of, log_predictions, predictions

Capture = pytest.CaptureFixture[str]


def bind(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(os.path.relpath(path))  # whole, it is too long for a socket


KINDS: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": bind,
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere/at/all"),
}
LOOKS = ("status", "list", "log", "log --verify", "recover")
WHO = {
    "artifacts/promotions.log": (*LOOKS, "trials", "kill --reason x"),
    "artifacts/.lock": ("recover", "kill --reason x"),
    "artifacts/.verified": ("log --verify", "status"),
    "artifacts/latest_id.txt": LOOKS,
    "artifacts/models/latest": ("status", "recover"),
    "artifacts/models/latest.onnx": ("status", "recover"),
    "artifacts/policy": ("status", "policy show"),
    "artifacts/KILL": ("status", "kill --reason x", "unkill --reason x"),
    "artifacts/ab.json": ("status", "ab status"),
    "artifacts/golden": ("status", "golden list", "golden set ID", "drift-check"),
    "artifacts/golden/metadata.json": ("status", "golden list", "golden set ID", "drift-check"),
    "artifacts/drift": ("drift-check", "watch"),
    "artifacts/drift/checks.jsonl": ("drift-check", "watch"),
    "artifacts/watch": ("watch", "metrics"),
    "artifacts/watch/.lock": ("watch",),
    "artifacts/watch/state.json": ("watch", "metrics"),
    "artifacts/alerts": ("alert send", "watch"),
    "artifacts/alerts/state.json": ("alert send", "watch"),
    "artifacts/alerts/outbox": ("alert send", "watch"),
    "artifacts/mlflow/state.json": ("mlflow mirror",),
    "artifacts/outcomes": ("outcomes add returns.csv", "outcomes show", "compare"),
    "artifacts/predictions": ("predictions", "compare", "drift-check"),
    "artifacts/predictions/live": ("predictions", "compare", "drift-check"),
    "artifacts/paper": ("paper --prices returns.csv", "reconcile"),
    "artifacts/paper/live.jsonl": ("paper --prices returns.csv", "reconcile"),
    "artifacts/trials": ("trials", "golden set ID"),
    "artifacts/running": ("status", "metrics"),
    "artifacts/reports": ("list", "metrics"),
    "registry/policy.toml": ("status", "policy show", "watch"),
    "registry/operations.toml": ("status", "policy show", "watch"),
}
BARE = [os.strerror(getattr(errno, name)) for name in ("EISDIR", "ENOTDIR", "ENOENT", "ENXIO", "ESPIPE", "EINVAL")]


class Hung(BaseException):
    """A verb that waits for a pipe."""


@pytest.fixture
def watched(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Stand in the repository of a registry that keeps something in most places; no verb may hang."""
    repository = registry.artifacts.root.parent
    monkeypatch.chdir(repository)
    directory = registry.artifacts.model(registry.live)
    rows = predictions(verify(directory), golden_of(directory)[:100], model_id=registry.live, arm="live")
    log_predictions(registry.artifacts, rows)
    lines = [f"{row.row_key.replace('|', ',')},0.01" for row in rows[:20]]
    Path("returns.csv").write_text("\n".join(["time,asset,return", *lines, ""]))
    Path("registry/operations.toml").write_text("format = 1\n")
    for words in ("outcomes add returns.csv", "drift-check", "watch", "log --verify"):
        assert main(words.split()) == 0, words

    def hung(_: int, frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, hung)
    yield registry
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_ends_and_says_more_than_the_system_does(watched: Registry, capsys: Capture, kind: str) -> None:
    found = []
    for place, verbs in WHO.items():
        path, kept = Path(place), Path("kept")
        for words in verbs:
            there = os.path.lexists(path)
            if there:
                path.rename(kept)
            path.parent.mkdir(exist_ok=True)
            KINDS[kind](path)
            capsys.readouterr()
            signal.alarm(20)
            try:
                status: object = main(words.replace("ID", watched.live).split())
            except (Exception, Hung) as error:
                status = repr(error)
            signal.alarm(0)
            said = capsys.readouterr()
            if status not in (0, 1, 2, 3) or any(bare in said.err + said.out for bare in BARE):
                found.append(f"{place}, {words}: {status} {said.err.strip()[-200:]}")
            if os.path.lexists(path):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            if there:
                kept.rename(path)
    assert not found, "\n".join(found)
