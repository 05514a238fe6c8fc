"""Promote, rollback, recover, gc and status ask a `Disk` for link, log, lock and models, and go past it nowhere."""

import ast
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import pytest_modelgates
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import tail
from pytest_modelgates.audit.writer import settle
from pytest_modelgates.registry.garbage import collect
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.recover import recover
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.status import status
from pytest_modelgates.registry.store import model_ids, state, went_live
from pytest_modelgates.storage.disk import LOCAL, Disk
from tests.support.disks import LinksAndLogInMemory, watched
from tests.support.handmade import Registry, green_report


def on(registry: Registry, disk: Disk) -> Registry:
    """The same registry, on another disk."""
    return replace(registry, artifacts=replace(registry.artifacts, disk=disk))


def promoted(registry: Registry, model_id: str) -> None:
    promote(registry.artifacts, model_id, green_report(registry, model_id), registry.in_force, reason="green")


def test_a_registry_whose_link_and_log_lie_in_no_folder_goes_through_its_whole_life(empty_registry: Registry) -> None:
    disk = LinksAndLogInMemory()
    registry = on(empty_registry, disk)
    artifacts, rules = registry.artifacts, registry.rules
    promoted(registry, registry.live)
    promoted(registry, registry.candidate)
    assert [change.to for change in went_live(artifacts)] == [registry.candidate, registry.live]
    assert disk.links == {artifacts.latest: registry.candidate, artifacts.latest_onnx: "latest/model.onnx"}

    rollback(artifacts, registry.live, registry.in_force, reason="it was better")
    found = status(artifacts, registry.in_force)
    assert (found.live, found.problems) == (registry.live, [])

    disk.links[artifacts.latest_onnx] = "elsewhere"
    disk.logs[artifacts.promotions].content += b'{"record":'
    assert len(recover(artifacts, rules, do=True).steps) == 2
    assert status(artifacts, registry.in_force).problems == []
    disk.links[artifacts.latest] = registry.candidate
    assert recover(artifacts, rules, do=False).contradicted
    disk.links[artifacts.latest] = registry.live

    kept = dict(collect(artifacts, rules, keep=0).kept)
    assert kept == {registry.live: "live", registry.candidate: "was live before"}
    on_disk = Artifacts(artifacts.root)
    assert not any(map(LOCAL.is_there, (on_disk.latest, on_disk.latest_onnx, on_disk.promotions)))


WRITES = ["append", "point latest.onnx", "point latest", "append"]  # the intent comes first, the commit last


def test_a_promotion_moves_the_link_between_two_lines_of_the_log(empty_registry: Registry) -> None:
    disk, calls = watched()
    promoted(on(empty_registry, disk), empty_registry.live)
    assert [call for call in calls if call.startswith(("append", "point"))][-4:] == WRITES


def test_a_disk_that_fails_at_any_call_of_a_promotion_leaves_one_answer(registry: Registry, tmp_path: Path) -> None:
    disk, calls = watched()
    counted = on(copied(registry, tmp_path / "counted"), disk)
    promoted(counted, counted.candidate)
    assert calls[-3:] == ["append", "point latest", "append"]
    for number in range(len(calls)):
        broken = copied(registry, tmp_path / str(number))
        failing, _ = watched(fails_at=number)
        with pytest.raises(OSError, match="No space left"):
            promoted(on(broken, failing), broken.candidate)
        settle(broken.artifacts, broken.rules)
        found = state(broken.artifacts)
        assert found.open is None
        assert found.live == tail(broken.artifacts.log).change.to  # type: ignore[union-attr]
        assert found.live in (broken.live, broken.candidate)
        assert model_ids(broken.artifacts) == [broken.live, broken.candidate]
        shutil.rmtree(broken.artifacts.root.parent)


def copied(registry: Registry, to: Path) -> Registry:
    root = registry.artifacts.root.parent
    shutil.copytree(root, to, symlinks=True)
    return replace(
        registry, artifacts=Artifacts(to / "artifacts"), policy_file=to / registry.policy_file.relative_to(root)
    )


AROUND = {"os", "fcntl", "shutil", "paths", "atomic", "regular_files", "sync_folder", "is_link", "is_there"}


@pytest.mark.parametrize("name", ["promote", "rollback", "recover", "garbage", "status", "store"])
def test_what_changes_a_registry_imports_no_other_way_to_the_disk(name: str) -> None:
    source = Path(pytest_modelgates.__file__).parent / "registry" / f"{name}.py"
    names = set[str]()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {part for each in node.names for part in each.name.split(".")}
            names |= {*(getattr(node, "module", None) or "").split(".")}
    assert names & AROUND == set()
