"""What people ask of the registry: what is live, and which models there are."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import whole
from pytest_modelgates.audit.chain import Abort, Commit, Intent, append, read_log
from pytest_modelgates.audit.writer import locked, require_root
from pytest_modelgates.cli import main
from pytest_modelgates.errors import RegistryError
from pytest_modelgates.model import directory
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry.audit_check import verify_log
from pytest_modelgates.registry.in_force import for_acting
from pytest_modelgates.registry.status import listing, status
from pytest_modelgates.registry.store import point_latest_at
from pytest_modelgates.storage.digests import tree_digest
from pytest_modelgates.storage.disk import LocalDisk
from tests.support.handmade import Registry
from tests.support.panels import invented_panel, pack_ridge


def test_status_says_what_is_live_since_when_and_by_whom(registry: Registry) -> None:
    found, (entry,) = status(registry.artifacts, registry.in_force), read_log(registry.artifacts.promotions)
    assert found.sound
    assert found.lines() == [
        f"live: {registry.live} since {entry.time:%Y-%m-%d %H:%M:%S} UTC, by {entry.actor}",
        f"digest: sha256:{tree_digest(registry.artifacts.model(registry.live))}",
        f"newest candidate: {registry.candidate}",
        "assurance: digest-bound, unsigned",
        "audit log: chained, head kept by " + registry.candidate,
        f"policy: registry/policy.toml sha256:{registry.policy.digest[:16]}",
        "way back: none",
    ]


def test_status_of_nothing_is_no_problem(tmp_path: Path) -> None:
    nothing = Artifacts(tmp_path / "none")
    found = status(nothing, for_acting(nothing))
    assert found.sound
    assert found.lines() == [
        "nothing is live",
        "newest candidate: none",
        "assurance: digest-bound, unsigned",
        "audit log: chained only",
        f"policy: packaged default sha256:{load_policy(None).digest[:16]}",
        "way back: none",
    ]


def test_status_names_a_file_that_changed(registry: Registry) -> None:
    with (registry.artifacts.model(registry.live) / "CHANGES.md").open("a") as file:
        file.write("!")
    assert status(registry.artifacts, registry.in_force).problems == [
        f"{registry.live}: CHANGES.md: 20 bytes, the manifest says 19; see: modelgates recover"
    ]


def test_status_names_a_model_that_was_packed_anew_under_its_name(registry: Registry) -> None:
    manifest = registry.artifacts.model(registry.live) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"code":null', '"code":"another"'))
    (problem,) = status(registry.artifacts, registry.in_force).problems
    assert problem.startswith(f"{registry.live} has other bytes than when it was promoted (sha256:")


def test_status_names_a_live_model_that_is_gone(registry: Registry) -> None:
    directory = registry.artifacts.model(registry.live)
    shutil.rmtree(directory)
    found = status(registry.artifacts, registry.in_force)
    assert found.live == registry.live
    assert found.problems == [f"{directory}: no such directory; see: modelgates recover"]


def test_status_names_an_onnx_link_that_leads_past_the_live_model(registry: Registry) -> None:
    registry.artifacts.latest_onnx.unlink()
    registry.artifacts.latest_onnx.symlink_to(f"{registry.candidate}/model.onnx")
    assert status(registry.artifacts, registry.in_force).problems == [
        f"{registry.artifacts.latest_onnx} does not lead to latest/model.onnx; see: modelgates recover"
    ]


def test_status_of_a_link_without_its_log_is_still_printed(registry: Registry) -> None:
    registry.artifacts.promotions.unlink()
    found = status(registry.artifacts, registry.in_force)
    assert found.lines()[0] == f"live: {registry.live}, says the link; the log does not know it"
    assert found.problems == [
        f"promotions.log says nothing is live, latest points at {registry.live}: somebody moved the link or "
        "lost the log; see: modelgates recover",
        f"record 4 is not the one that {registry.candidate} kept: the log was cut off or rewritten; see: "
        "modelgates recover",
    ]


def test_status_says_everything_that_is_wrong_at_once(registry: Registry) -> None:
    registry.artifacts.promotions.write_bytes(b"\0\n")
    registry.artifacts.latest_id.write_bytes(b"\xff")
    with (registry.artifacts.model(registry.live) / "model.onnx").open("ab") as file:
        file.write(b"\0")
    found = status(registry.artifacts, registry.in_force)
    assert not found.sound
    for said in (
        "promotions.log: line 1: zeros, as a disk leaves them after a power cut, not a record of the audit log",
        "latest_id.txt: holds no",
    ):
        assert [problem for problem in found.problems if said in problem]
    assert [problem for problem in found.problems if problem.startswith(f"{registry.live}: model.onnx: ")]


def test_status_says_that_the_newest_model_which_keeps_a_head_is_not_there(registry: Registry) -> None:
    registry.artifacts.latest_id.write_text("1999999999\n")
    found = status(registry.artifacts, registry.in_force)
    assert found.audit_log == f"chained, head kept by {registry.candidate}"
    assert found.problems == [
        f"{registry.artifacts.latest_id}: names a model that is not there; write the newest model's id into it"
    ]


def test_status_names_a_candidate_that_was_not_noted_as_the_newest(registry: Registry) -> None:
    registry.artifacts.latest_id.write_text(f"{registry.live}\n")
    found = status(registry.artifacts, registry.in_force)
    said = f"{registry.candidate} is newer than {registry.artifacts.latest_id} says; if that is the candidate, "
    assert (found.notes, found.problems) == ([f"{said}write its id there"], [])
    # A newer model that was live and is not any more came from a bucket.
    registry.artifacts.latest_id.write_text("1000000000\n")
    registry.artifacts.model(registry.candidate).rename(registry.artifacts.root / "away")
    assert status(registry.artifacts, registry.in_force).notes == []


def test_status_names_a_change_that_was_cut_short(registry: Registry) -> None:
    append(registry.artifacts.promotions, second(registry))
    point_latest_at(registry.artifacts, registry.candidate)
    found = status(registry.artifacts, registry.in_force)
    assert found.live == registry.candidate
    assert found.problems == [
        f"a promote to {registry.candidate} was cut short; the next change settles it, or: modelgates recover"
    ]
    with locked(registry.artifacts, registry.rules):
        append(registry.artifacts.promotions, second(registry))
        assert status(registry.artifacts, registry.in_force).sound, "it is under way"


def second(registry: Registry) -> Intent:
    return Intent(
        time=datetime.now(UTC),
        actor="ada",
        host="registry",
        action="promote",
        from_=registry.live,
        to=registry.candidate,
        digest=tree_digest(registry.artifacts.model(registry.candidate)),
        report_digest=None,
        reason="why",
    )


def test_the_list_shows_every_model_and_what_it_is(registry: Registry) -> None:
    rows = listing(registry.artifacts)
    assert [(row.id, row.state, row.changes) for row in rows] == [
        (registry.live, "live", "A ridge for tests."),
        (registry.candidate, "candidate", "Another ridge."),
    ]
    assert rows[0].created == datetime.fromtimestamp(int(registry.live), UTC)


def test_one_broken_model_does_not_hide_the_others(registry: Registry) -> None:
    (registry.artifacts.models / "1700000000").mkdir()
    (registry.artifacts.models / "123").mkdir()
    (registry.artifacts.model(registry.candidate) / "CHANGES.md").write_bytes(b"\xff caf\xe9\nmore\n")
    rows = listing(registry.artifacts)
    assert [(row.id, row.state) for row in rows] == [
        ("1700000000", "damaged"),
        (registry.live, "live"),
        (registry.candidate, "candidate"),
    ]
    assert "manifest.json: no such file" in rows[0].changes
    assert rows[2].changes == "� caf�"


def test_a_change_that_ends_while_status_looks_was_not_cut_short(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = append(registry.artifacts.promotions, second(registry))
    point_latest_at(registry.artifacts, registry.candidate)

    def ends(_: Path) -> bool:
        append(registry.artifacts.promotions, Commit(time=datetime.now(UTC)), after=own)
        return False

    monkeypatch.setattr(LocalDisk, "is_locked", staticmethod(ends))
    assert status(registry.artifacts, registry.in_force).problems == []


def test_a_clock_that_was_set_back_is_a_note(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    early = msgspec.structs.replace(second(registry), time=datetime(2020, 1, 1, tzinfo=UTC))
    append(registry.artifacts.promotions, early)
    append(registry.artifacts.promotions, Abort(time=early.time))
    found = status(registry.artifacts, registry.in_force)
    assert found.sound
    (note,) = found.notes
    assert note.startswith("record 5 is of 2020-01-01 00:00:00 UTC, ")
    assert f"note: {note}" in found.lines()
    for words in (["log"], ["log", "--at", "2020-01-02"]):
        assert main([*words, "--artifacts", str(registry.artifacts.root)]) == 0
        assert capsys.readouterr().err == f"modelgates: note: {note}\n"
    assert main(["log", "--verify", "--artifacts", str(registry.artifacts.root)]) == 0
    assert f"note: {note}\n" in capsys.readouterr().out


def test_without_latest_id_the_newest_model_still_keeps_a_head(registry: Registry) -> None:
    registry.artifacts.latest_id.unlink()
    found = status(registry.artifacts, registry.in_force)
    assert (found.audit_log, found.problems) == (f"chained, head kept by {registry.candidate}", [])


def test_status_of_a_long_log_remembers_how_far_it_was_sound(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "WORTH_BYTES", 0)
    assert status(registry.artifacts, registry.in_force).sound
    assert registry.artifacts.verified.exists()
    monkeypatch.setattr(whole, "decoded", None)
    monkeypatch.setattr(Artifacts, "write", None)  # so it does not write what it knows
    assert status(registry.artifacts, registry.in_force).sound


def test_status_looks_for_models_once(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, genuine = [], LocalDisk.folders
    monkeypatch.setattr(LocalDisk, "folders", lambda disk, path: asked.append(path) or genuine(disk, path))
    assert status(registry.artifacts, registry.in_force).sound
    assert asked == [registry.artifacts.models]


def test_a_model_that_may_not_be_read_hides_no_other(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = directory.open_folder

    def closed(path: Path) -> int:
        if path.name == registry.candidate:
            raise PermissionError(13, "Permission denied", str(path))
        return genuine(path)

    monkeypatch.setattr(directory, "open_folder", closed)
    assert [(row.id, row.state) for row in listing(registry.artifacts)] == [
        (registry.live, "live"),
        (registry.candidate, "damaged"),
    ]
    assert verify_log(registry.artifacts, ()).problems == []


@pytest.mark.parametrize("place", [".latest.new", ".latest.onnx.new"])
def test_a_folder_where_a_link_is_made_is_a_problem(registry: Registry, place: str) -> None:
    (registry.artifacts.models / place).mkdir()
    said = f"{registry.artifacts.models / place}: a folder, where the link is made before it is moved"
    assert status(registry.artifacts, registry.in_force).problems == [f"{said}; see: modelgates recover"]


@pytest.mark.parametrize("name", ["golden", "trials", "attestations", "reports"])
def test_a_file_in_the_place_of_a_folder_that_promotions_write_into_is_a_problem(registry: Registry, name: str) -> None:
    folder = registry.artifacts.root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_bytes(b"")
    said = f"{folder}: not a folder, and every promotion writes into it; move it away"
    assert said in status(registry.artifacts, registry.in_force).problems


def test_what_lies_in_the_locks_place_is_a_problem(registry: Registry) -> None:
    registry.artifacts.lock.unlink(missing_ok=True)
    registry.artifacts.lock.mkdir()
    (problem,) = status(registry.artifacts, registry.in_force).problems
    assert problem.startswith(f"{registry.artifacts.lock}: a folder, link or pipe, expected the registry's lock")


def test_a_damaged_manifest_of_the_newest_model_does_not_hide_the_heads_that_others_kept(registry: Registry) -> None:
    newest = pack_ridge(registry.artifacts.root, invented_panel(seed=3))
    (newest / "manifest.json").write_bytes(b"{")
    found = status(registry.artifacts, registry.in_force)
    assert found.audit_log == f"chained, head kept by {registry.candidate}"


def test_a_registry_without_its_models_is_not_told_to_pack(registry: Registry) -> None:
    registry.artifacts.models.rename(registry.artifacts.root / "elsewhere")
    log = registry.artifacts.promotions
    said = f"{registry.artifacts.models}: no such folder, though {log} is there; put it back from a copy"
    with pytest.raises(RegistryError, match=re.escape(said)):
        require_root(registry.artifacts)
