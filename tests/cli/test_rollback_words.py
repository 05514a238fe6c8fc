"""What `rollback` without an id says when there is nowhere to go: the truth, and what to type."""

import os
from pathlib import Path

import pytest

from pytest_modelgates.cli import main
from tests.support.handmade import Registry

Capture = pytest.CaptureFixture[str]


def _missing(path: Path) -> None:
    path.unlink()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _words(path: Path) -> None:
    path.write_text("hello\n")


@pytest.mark.parametrize("spoil", [_missing, _pipe, _words])
def test_a_log_that_cannot_be_read(registry: Registry, capsys: Capture, spoil: object) -> None:
    assert callable(spoil)
    spoil(registry.artifacts.promotions)
    assert main(["rollback", "--reason", "x", "--artifacts", str(registry.artifacts.root)]) == 1
    assert capsys.readouterr().err == (
        f"modelgates: the audit log cannot be read, or does not say that {registry.live} is live; "
        "see: modelgates recover\n"
    )


def test_models_that_are_gone(registry: Registry, capsys: Capture) -> None:
    artifacts = registry.artifacts
    artifacts.latest.unlink()
    artifacts.latest.symlink_to(registry.candidate)  # a hand moved it
    artifacts.model(registry.live).rename(artifacts.root / "away")
    assert main(["rollback", "--reason", "x", "--artifacts", str(artifacts.root)]) == 1
    assert capsys.readouterr().err == (
        f"modelgates: was live before, and not there any more: {registry.live}; put one back from a copy of models/\n"
    )
