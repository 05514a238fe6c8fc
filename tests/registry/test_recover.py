"""Repairing what a crash or a change by hand left, first as a list of steps."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Intent, append, read_log
from pytest_modelgates.cli import main
from pytest_modelgates.model.directory import verify
from pytest_modelgates.registry.status import status
from pytest_modelgates.registry.store import live_id, point_latest_at
from tests.support.handmade import Registry

Capture = pytest.CaptureFixture[str]


def recover(registry: Registry, *more: str) -> int:
    return main(["recover", "--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file), *more])


def intend(registry: Registry) -> None:
    (live,) = read_log(registry.artifacts.promotions)
    digest = verify(registry.artifacts.model(registry.candidate))
    change = msgspec.structs.replace(live, from_=registry.live, to=registry.candidate, digest=digest)
    append(registry.artifacts.promotions, change)


def by_hand(artifacts: Artifacts, target: str) -> None:
    artifacts.latest.unlink()
    artifacts.latest.symlink_to(target)


def into_a_folder(registry: Registry) -> None:
    registry.artifacts.latest.unlink()
    shutil.copytree(registry.artifacts.model(registry.live), registry.artifacts.latest)


def tear(registry: Registry) -> None:
    with registry.artifacts.promotions.open("ab") as file:
        file.write(b'{"digest"')


def cut_short_and_moved(registry: Registry) -> None:
    intend(registry)
    by_hand(registry.artifacts, "../elsewhere")


POINT = "point latest at {live}, which the log says is live; it "
CASES = [
    pytest.param(tear, ["cut off the 9 bytes that a crash left behind the log's end"], "live", id="torn-line"),
    pytest.param(intend, ["forget the promote to {candidate} that was cut short"], "live", id="before-the-flip"),
    pytest.param(
        lambda registry: (intend(registry), point_latest_at(registry.artifacts, registry.candidate)),
        ["finish the promote to {candidate} that was cut short"],
        "candidate",
        id="after-the-flip",
    ),
    pytest.param(
        cut_short_and_moved,
        ["forget the promote to {candidate} that was cut short", POINT + "points at '../elsewhere'"],
        "live",
        id="cut-short-and-moved",
    ),
    pytest.param(
        lambda registry: by_hand(registry.artifacts, registry.candidate),
        [POINT + "points at '{candidate}'"],
        "live",
        id="moved-by-hand",
    ),
    pytest.param(
        lambda registry: by_hand(registry.artifacts, "/etc"), [POINT + "points at '/etc'"], "live", id="points-outside"
    ),
    pytest.param(
        lambda registry: registry.artifacts.latest.unlink(),
        [POINT + "is missing or not a link"],
        "live",
        id="link-missing",
    ),
    pytest.param(
        into_a_folder,
        ["move what lies in the place of latest to {models}/latest.moved-", POINT + "is missing or not a link"],
        "live",
        id="folder-in-its-place",
    ),
    pytest.param(
        lambda registry: registry.artifacts.latest_onnx.unlink(),
        ["point latest.onnx at latest/model.onnx"],
        "live",
        id="onnx-link-missing",
    ),
    pytest.param(
        lambda registry: (registry.artifacts.latest_onnx.unlink(), registry.artifacts.latest_onnx.mkdir()),
        ["move what lies in the place of latest.onnx to {models}/latest.onnx.moved-", "point latest.onnx at latest/"],
        "live",
        id="folder-in-the-onnx-links-place",
    ),
]


@pytest.mark.parametrize(("hand", "steps", "then"), CASES)
def test_recover_says_what_it_would_do_and_does_it_only_when_told(
    registry: Registry, capsys: Capture, hand: Callable[[Registry], object], steps: list[str], then: str
) -> None:
    hand(registry)
    before = _everything(registry.artifacts.root)
    said = [
        text.format(live=registry.live, candidate=registry.candidate, models=registry.artifacts.models)
        for text in steps
    ]
    assert recover(registry) == 1
    *would, last = capsys.readouterr().out.splitlines()
    assert [line[: len(text) + 7] for line, text in zip(would, said, strict=True)] == [
        f"would: {text}" for text in said
    ]
    assert last == "nothing was done; to do it: modelgates recover --yes"
    assert _everything(registry.artifacts.root) == before
    assert recover(registry, "--yes") == 0
    assert capsys.readouterr().out.count("did: ") == len(steps)
    assert live_id(registry.artifacts) == getattr(registry, then)
    assert os.readlink(registry.artifacts.latest_onnx) == "latest/model.onnx"
    assert status(registry.artifacts, registry.in_force).sound
    assert recover(registry) == 0
    assert capsys.readouterr().out == "nothing to recover\n"


def _everything(root: Path) -> list[tuple[str, object]]:
    return sorted(
        (str(path), os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
        if path.name != ".lock"
    )


def test_a_log_that_is_not_whole_is_not_guessed_at(registry: Registry, capsys: Capture) -> None:
    log = registry.artifacts.promotions
    log.write_bytes(log.read_bytes().split(b"\n", 1)[1])
    assert recover(registry, "--yes") == 1
    assert capsys.readouterr().err == (
        f"modelgates: {log}: line 1: record 2 does not follow on the line before it\n"
        "put the log back from a copy; nothing else says what was live\n"
    )


def test_a_link_without_its_log_is_not_believed(registry: Registry, capsys: Capture) -> None:
    registry.artifacts.promotions.unlink()
    assert recover(registry, "--yes") == 1
    assert capsys.readouterr().err == (
        f"modelgates: {registry.artifacts.latest} is there, but {registry.artifacts.promotions} holds no promotion: "
        "put the log back from a copy\n"
    )


def test_before_the_first_promotion_there_is_nothing_to_recover(empty_registry: Registry, capsys: Capture) -> None:
    assert recover(empty_registry) == 0
    assert capsys.readouterr().out == "nothing to recover\n"


def test_a_first_promotion_that_was_cut_short_is_forgotten(empty_registry: Registry, capsys: Capture) -> None:
    registry = empty_registry
    append(registry.artifacts.promotions, _first(registry))
    assert recover(registry, "--yes") == 0
    assert f"did: forget the promote to {registry.live}" in capsys.readouterr().out
    assert live_id(registry.artifacts) is None
    assert read_log(registry.artifacts.promotions) == []


def _first(registry: Registry) -> Intent:
    return Intent(
        time=datetime.now(UTC),
        actor="ada",
        host="registry",
        action="promote",
        from_=None,
        to=registry.live,
        digest="0" * 64,
        report_digest=None,
        reason="why",
    )


def test_recover_says_when_what_the_log_calls_live_is_damaged(registry: Registry, capsys: Capture) -> None:
    by_hand(registry.artifacts, registry.candidate)
    (registry.artifacts.model(registry.live) / "CHANGES.md").write_text("changed")
    assert recover(registry) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"would: {POINT.format(live=registry.live)}points at {registry.candidate!r}; ")
    assert first.endswith(f"; {registry.live} is damaged: afterwards roll back")
