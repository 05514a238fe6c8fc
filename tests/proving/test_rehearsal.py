"""Rollback is rehearsed before a model goes live: what is seen, what is refused, and what the log and status keep."""

import shutil
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit.chain import read_log
from pytest_modelgates.cli import main
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.proving.rehearsal import rehearse, score_golden_rows
from pytest_modelgates.registry.store import live_id
from pytest_modelgates.registry.way_back import WayBack, way_back_reasons
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import Registry, green_report

Capture = pytest.CaptureFixture[str]

LIMITS = load_operations(None, policy=None)[0].hermetic
POLICY = load_policy(None)
LIVE, DIGEST = "1700000000", "a" * 64


def promote(registry: Registry, *more: str) -> int:
    report = str(green_report(registry))
    return main(["promote", "--report", report, "--artifacts", str(registry.artifacts.root), *more])


def status_line(registry: Registry, capsys: Capture) -> str:
    capsys.readouterr()
    main(["status", "--artifacts", str(registry.artifacts.root)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("way back: ")]
    return line


@pytest.mark.integration
def test_a_sound_model_is_rehearsed_in_a_process_of_its_own(good_model: Path) -> None:
    found = rehearse(good_model, LIMITS)
    assert (found.model_id, found.digest, found.problem) == (good_model.name, tree_digest(good_model), None)
    assert found.rows > 0
    assert found == score_golden_rows(good_model)
    assert found.difference is not None
    assert found.difference < 1e-5


@pytest.mark.integration
def test_what_goes_wrong_is_a_problem_that_is_named(good_model: Path) -> None:
    small = msgspec.structs.replace(LIMITS, memory_gib=0.001)  # with little more, an old OpenBLAS asks for ever
    assert "the rehearsal of a rollback ended with " in (rehearse(good_model, small).problem or "")
    hurried = msgspec.structs.replace(LIMITS, minutes=0.001)
    assert rehearse(good_model, hurried).problem == (
        "the rehearsal of a rollback ran longer than 0.001 minutes and had to be stopped; "
        "raise [hermetic] minutes in registry/operations.toml if the model is that large"
    )
    (good_model / "CHANGES.md").write_text("!")
    assert rehearse(good_model, LIMITS).problem == "CHANGES.md: 1 bytes, the manifest says 19"
    shutil.rmtree(good_model)
    assert "no such directory" in (rehearse(good_model, LIMITS).problem or "")


REASONS = [
    pytest.param({}, None, id="sound"),
    pytest.param(
        {"model_id": "1700000001"}, f"rollback was rehearsed to 1700000001, and {LIVE} is live now", id="other"
    ),
    pytest.param({"problem": "it is gone"}, f"there is no way back to {LIVE}: it is gone", id="problem"),
    pytest.param(
        {"digest": "b" * 64}, f"there is no way back to {LIVE}: it has other bytes than when it went live", id="bytes"
    ),
    pytest.param(
        {"difference": 0.5},
        f"there is no way back to {LIVE}: its scores differ from its golden by 0.5, limit 0 ≤ · ≤ 1e-05",
        id="scores",
    ),
]


@pytest.mark.parametrize(("changes", "said"), REASONS)
def test_what_bars_the_way_back_is_a_reason(changes: dict[str, object], said: str | None) -> None:
    sound = WayBack(model_id=LIVE, digest=DIGEST, rows=9, difference=0.0)
    found = way_back_reasons(msgspec.structs.replace(sound, **changes), POLICY, live=LIVE, digest=DIGEST, repair="R")
    assert [reason.text for reason in found] == ([said] if said else [])
    for reason in found:
        again = reason.text.startswith("rollback was")
        assert reason.repair == (
            "R" if again else "roll back to a model that is sound first, or go without: R --no-way-back"
        )


@pytest.mark.integration
def test_promotion_proves_the_way_back_and_status_says_so(registry: Registry, capsys: Capture) -> None:
    assert status_line(registry, capsys) == "way back: none"
    assert promote(registry) == 0
    rows = score_golden_rows(registry.artifacts.model(registry.live)).rows
    assert f"\nway back: {registry.live}, rehearsed: it verifies, loads and scores {rows} golden rows\n" in (
        capsys.readouterr().out
    )
    assert read_log(registry.artifacts.promotions)[-1].way_back == tree_digest(registry.artifacts.model(registry.live))
    assert status_line(registry, capsys) == f"way back: {registry.live}, rehearsed at the promotion"
    assert main(["rollback", registry.live, "--reason", "x", "--artifacts", str(registry.artifacts.root)]) == 0
    assert status_line(registry, capsys) == f"way back: {registry.candidate}, not rehearsed"
    shutil.rmtree(registry.artifacts.model(registry.candidate))
    assert status_line(registry, capsys) == f"way back: {registry.candidate}, which is not there any more"


@pytest.mark.integration
@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["in-fact", "dry-run"])
def test_nothing_is_promoted_over_a_model_that_nobody_can_go_back_to(
    registry: Registry, capsys: Capture, more: tuple[str, ...]
) -> None:
    (registry.artifacts.model(registry.live) / "CHANGES.md").write_text("!")
    before, directory = registry.state(), registry.artifacts.model(registry.candidate)
    assert promote(registry, *more) == 1
    assert (
        f"  there is no way back to {registry.live}: CHANGES.md: 1 bytes, the manifest says 19 → roll back to a model "
        f"that is sound first, or go without: modelgates promote {directory} --no-way-back\n"
    ) in capsys.readouterr().err
    assert registry.state() == before
    assert promote(registry, *more, "--no-way-back") == 0
    if not more:
        assert live_id(registry.artifacts) == registry.candidate
        assert read_log(registry.artifacts.promotions)[-1].way_back is None
        assert status_line(registry, capsys) == f"way back: {registry.live}, not rehearsed"
