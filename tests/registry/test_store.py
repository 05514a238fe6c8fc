"""The link on disk, its lock, and the step that changes both link and log."""

import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts, newest_id
from pytest_modelgates.audit.chain import Intent, append, read_log, tail
from pytest_modelgates.audit.whole import read_chain
from pytest_modelgates.audit.writer import finish_interrupted, locked
from pytest_modelgates.errors import RegistryError
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.registry import store
from pytest_modelgates.registry.store import change_live, is_first, is_model, live_id, model_ids, point_latest_at, state
from tests.support.handmade import Registry


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Two model directories and nothing promoted."""
    for name in ("1700000001", "1700000002"):
        (tmp_path / "models" / name).mkdir(parents=True)
    return Artifacts(tmp_path)


RULES = load_operations(None, policy=None)[0].registry


def change(to: str, from_: str | None = None) -> Intent:
    return Intent(
        time=datetime(2026, 1, 1, tzinfo=UTC),
        actor="ada",
        host="registry",
        action="promote",
        from_=from_,
        to=to,
        digest="0" * 64,
        report_digest=None,
        reason="why",
    )


def test_nothing_is_live_before_the_first_promotion(artifacts: Artifacts) -> None:
    assert live_id(artifacts) is None
    assert is_first(artifacts)


def test_a_flip_moves_both_links(artifacts: Artifacts) -> None:
    point_latest_at(artifacts, "1700000001")
    assert os.readlink(artifacts.latest) == "1700000001"
    assert os.readlink(artifacts.latest_onnx) == "latest/model.onnx"
    point_latest_at(artifacts, "1700000002")
    assert live_id(artifacts) == "1700000002"
    assert sorted(path.name for path in artifacts.models.iterdir()) == [
        "1700000001",
        "1700000002",
        "latest",
        "latest.onnx",
    ]


def test_a_link_to_the_onnx_file_that_somebody_broke_is_mended(artifacts: Artifacts) -> None:
    artifacts.latest_onnx.write_text("a copy")
    point_latest_at(artifacts, "1700000001")
    assert os.readlink(artifacts.latest_onnx) == "latest/model.onnx"


def test_a_folder_in_the_links_place_stops_the_flip_before_anything_moved(artifacts: Artifacts) -> None:
    artifacts.latest_onnx.mkdir()
    said = r"latest\.onnx: a folder, expected a link; see: modelgates recover$"
    with pytest.raises(RegistryError, match=said), locked(artifacts, RULES):
        change_live(artifacts, change("1700000001"))
    assert is_first(artifacts)
    assert state(artifacts).open is None


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("../../etc", id="upwards"),
        pytest.param("/etc", id="absolute"),
        pytest.param("1700000001/", id="slash"),
        pytest.param("１７０００００００１", id="full-width-digits"),
        pytest.param("1700000001\n", id="newline"),
        pytest.param("latest", id="itself"),
    ],
)
def test_a_link_that_leads_elsewhere_is_refused(artifacts: Artifacts, target: str) -> None:
    artifacts.latest.symlink_to(target)
    with pytest.raises(RegistryError) as refused:
        live_id(artifacts)
    assert (
        str(refused.value)
        == f"{artifacts.latest} leads to {target!r}, expected a model beside it; see: modelgates recover"
    )


def test_a_link_to_a_model_that_is_gone_says_what_to_do(artifacts: Artifacts) -> None:
    artifacts.latest.symlink_to("1700000009")
    with pytest.raises(RegistryError, match="points at 1700000009, which is not there; roll back to a model that is"):
        live_id(artifacts)


def test_what_is_no_link_is_refused(artifacts: Artifacts) -> None:
    artifacts.latest.mkdir()
    with pytest.raises(RegistryError, match="is not a symlink; see: modelgates recover"):
        live_id(artifacts)


def logged(artifacts: Artifacts) -> list[str]:
    return [done.to for done in read_log(artifacts.promotions)]


def test_a_switch_writes_link_and_log(artifacts: Artifacts) -> None:
    with locked(artifacts, RULES):
        end = change_live(artifacts, change("1700000001")).head
    assert (live_id(artifacts), logged(artifacts)) == ("1700000001", ["1700000001"])
    assert tail(artifacts.promotions).head == end
    assert end.n == 2
    assert not is_first(artifacts)


CUT_SHORT = [
    pytest.param(False, False, "1700000001", id="within-the-intent"),
    pytest.param(True, False, "1700000001", id="before-the-flip"),
    pytest.param(True, True, "1700000002", id="before-the-commit"),
]


@pytest.mark.parametrize(("intended", "flipped", "live"), CUT_SHORT)
def test_the_next_holder_of_the_lock_settles_what_was_cut_short(
    artifacts: Artifacts, intended: bool, flipped: bool, live: str
) -> None:
    with locked(artifacts, RULES):
        change_live(artifacts, change("1700000001"))
    if intended:
        append(artifacts.promotions, change("1700000002", "1700000001"))
    if flipped:
        point_latest_at(artifacts, "1700000002")
    with artifacts.promotions.open("ab") as file:
        file.write(b'{"digest":"0')
    assert state(artifacts).live == live
    with locked(artifacts, RULES):
        pass
    found = state(artifacts)
    assert (found.live, found.open) == (live, None)
    assert found.change is not None
    assert (found.change.to, logged(artifacts)[-1]) == (live, live)


def test_a_change_cut_short_whose_link_somebody_moved_is_refused(artifacts: Artifacts) -> None:
    append(artifacts.promotions, change("1700000001"))
    point_latest_at(artifacts, "1700000002")
    with pytest.raises(RegistryError) as refused:
        finish_interrupted(artifacts)
    assert str(refused.value) == (
        "a promote from nothing to 1700000001 was cut short, and latest points at 1700000002; see: modelgates recover"
    )


def test_what_fails_after_the_flip_is_put_back(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(artifacts, RULES):
        change_live(artifacts, change("1700000001"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_commit", full)
    with pytest.raises(OSError, match="No space left"), locked(artifacts, RULES):
        change_live(artifacts, change("1700000002", "1700000001"))
    assert (live_id(artifacts), logged(artifacts)) == ("1700000001", ["1700000001"])
    assert state(artifacts).open is None


def test_a_flip_that_did_not_happen_is_not_believed(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(artifacts, RULES):
        change_live(artifacts, change("1700000001"))
    monkeypatch.setattr(Path, "replace", lambda *_: None)
    with (
        pytest.raises(OSError, match="Does not point at 1700000002 after the link was moved"),
        locked(artifacts, RULES),
    ):
        change_live(artifacts, change("1700000002", "1700000001"))
    assert (live_id(artifacts), logged(artifacts)) == ("1700000001", ["1700000001"])


@pytest.mark.parametrize("when", ["before-the-flip", "after-the-flip"])
def test_a_holder_whose_lock_was_deleted_commits_nothing_behind_another_change(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    (artifacts.models / "1700000003").mkdir()
    with locked(artifacts, RULES):
        change_live(artifacts, change("1700000001"))

    def meanwhile(*_: object) -> None:
        # The holder stands still; somebody deletes the lock, and another promotion goes through.
        monkeypatch.undo()
        artifacts.lock.unlink()
        with locked(artifacts, RULES):
            live = state(artifacts).live
            change_live(artifacts, change("1700000003", live))

    if when == "before-the-flip":
        monkeypatch.setattr(store, "require_end", lambda *words: (meanwhile(), store.require_end(*words)))
    else:
        flip = store.point_latest_at
        monkeypatch.setattr(store, "point_latest_at", lambda *words: (flip(*words), meanwhile()))
    with pytest.raises(RegistryError) as refused, locked(artifacts, RULES):
        change_live(artifacts, change("1700000002", "1700000001"))
    assert str(refused.value) == (
        f"{artifacts.promotions}: another process wrote to it while this one held the lock, so its .lock was deleted "
        "or replaced; nothing more is written here; see: modelgates status"
    )
    assert state(artifacts).live == "1700000003"
    assert read_chain(artifacts.promotions).problems == []
    with locked(artifacts, RULES):
        change_live(artifacts, change("1700000001", "1700000003"))


def test_a_reader_sees_link_and_log_of_one_moment(artifacts: Artifacts) -> None:
    with locked(artifacts, RULES):
        change_live(artifacts, change("1700000001"))
    fork = multiprocessing.get_context("fork")
    stop = fork.Event()
    writer = fork.Process(daemon=True, target=_switch_until, args=(artifacts.root, stop))
    writer.start()
    try:
        seen = {state(artifacts).live for _ in range(3_000)}
    finally:
        stop.set()
        writer.join()
    assert seen == {"1700000001", "1700000002"}


def _switch_until(root: Path, stop: "multiprocessing.synchronize.Event") -> None:
    artifacts, here, there = Artifacts(root), "1700000001", "1700000002"
    while not stop.is_set():
        with locked(artifacts, RULES):
            change_live(artifacts, change(there, here))
        here, there = there, here


def test_a_link_moved_by_hand_is_not_taken_for_a_crash(artifacts: Artifacts) -> None:
    with locked(artifacts, RULES):
        change_live(artifacts, change("1700000001"))
    artifacts.latest.unlink()
    artifacts.latest.symlink_to("1700000002")
    with locked(artifacts, RULES):
        pass
    with pytest.raises(
        RegistryError, match=r"promotions\.log says 1700000001 is live, latest points at 1700000002: somebody moved"
    ):
        is_first(artifacts)


def _hold(root: Path, inside: "multiprocessing.synchronize.Event", leave: "multiprocessing.synchronize.Event") -> None:
    with locked(Artifacts(root), RULES):
        inside.set()
        leave.wait()


def _enter(root: Path, entered: "multiprocessing.synchronize.Event") -> None:
    with locked(Artifacts(root), RULES):
        entered.set()


def test_the_lock_holds_others_back_and_dies_with_its_holder(artifacts: Artifacts) -> None:
    fork = multiprocessing.get_context("fork")
    inside, leave, entered = fork.Event(), fork.Event(), fork.Event()
    holder = fork.Process(daemon=True, target=_hold, args=(artifacts.root, inside, leave))
    other = fork.Process(daemon=True, target=_enter, args=(artifacts.root, entered))
    holder.start()
    assert inside.wait(30)
    other.start()
    assert not entered.wait(0.2)
    holder.kill()
    assert entered.wait(30)
    holder.join()
    other.join()


def test_a_link_in_the_locks_place_is_not_followed(artifacts: Artifacts) -> None:
    victim = artifacts.root / "victim"
    victim.write_text("precious")
    artifacts.lock.symlink_to(victim)
    with pytest.raises(RegistryError, match=r"\.lock: a folder, link or pipe, expected"), locked(artifacts, RULES):
        pass
    assert victim.read_text() == "precious"


def test_a_mistyped_folder_is_not_made(tmp_path: Path) -> None:
    said = "typo: no such artifacts folder; pack a model first, or give --artifacts"
    with pytest.raises(RegistryError, match=said), locked(Artifacts(tmp_path / "typo"), RULES):
        pass
    assert not (tmp_path / "typo").exists()


def test_only_directories_named_as_models_are_models(artifacts: Artifacts) -> None:
    for name in ("123", "１７０００００００３", ".staging-x", "notes", "1700000004x"):
        (artifacts.models / name).mkdir()
    (artifacts.models / "1700000005").symlink_to("1700000001")
    (artifacts.models / "1700000006").write_text("")
    assert model_ids(artifacts) == ["1700000001", "1700000002"]
    assert not is_model(artifacts, "1700000005")
    assert model_ids(Artifacts(artifacts.root / "none")) == []


def test_the_newest_candidate_is_read_strictly(artifacts: Artifacts) -> None:
    assert newest_id(artifacts) is None
    artifacts.latest_id.write_text("1700000002\n")
    assert newest_id(artifacts) == "1700000002"
    for content in (b"\xff\0", b"", b"../../x", "１７０００００００２".encode()):
        artifacts.latest_id.write_bytes(content)
        with pytest.raises(RegistryError, match=r"latest_id\.txt: holds no model id; write the newest one into it"):
            newest_id(artifacts)


def test_readers_never_miss_the_link_while_it_flips(registry: Registry) -> None:
    fork = multiprocessing.get_context("fork")
    stop = fork.Event()
    flipper = fork.Process(daemon=True, target=_flip_until, args=(registry, stop))
    flipper.start()
    try:
        seen = {live_id(registry.artifacts) for _ in range(20_000)}
    finally:
        stop.set()
        flipper.join()
    assert seen == {registry.live, registry.candidate}


def _flip_until(registry: Registry, stop: "multiprocessing.synchronize.Event") -> None:
    while not stop.is_set():
        point_latest_at(registry.artifacts, registry.candidate)
        point_latest_at(registry.artifacts, registry.live)
