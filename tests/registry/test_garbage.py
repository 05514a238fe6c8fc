"""Which models may be deleted, and that nobody sees half of one."""

import fcntl
import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit import ab
from pytest_modelgates.audit.chain import Commit, append, read_log
from pytest_modelgates.cli import main
from pytest_modelgates.drift import save_golden_predictions
from pytest_modelgates.drift.golden import put_golden, version_content
from pytest_modelgates.drift.versions import golden_metadata
from pytest_modelgates.model.directory import LocalDirectory
from pytest_modelgates.registry.garbage import collect
from pytest_modelgates.registry.status import status
from pytest_modelgates.registry.store import live_id, model_ids, point_latest_at
from tests.support.ab import plan_of
from tests.support.handmade import Registry

Capture = pytest.CaptureFixture[str]
OLD = ["1700000001", "1700000002", "1700000003"]


@pytest.fixture
def crowded(registry: Registry) -> Registry:
    """Three models older than the live one, of which the second was live before it; and the candidate."""
    for name in OLD:
        shutil.copytree(registry.artifacts.model(registry.live), registry.artifacts.model(name))
    (live,) = read_log(registry.artifacts.promotions)
    for change in ({"from_": registry.live, "to": OLD[1]}, {"from_": OLD[1], "to": registry.live}):
        append(registry.artifacts.promotions, msgspec.structs.replace(live, **change))
        append(registry.artifacts.promotions, Commit(time=live.time))
    return registry


def gc(registry: Registry, keep: int, *more: str) -> int:
    root, policy = str(registry.artifacts.root), str(registry.policy_file)
    return main(["gc", "--keep", str(keep), "--artifacts", root, "--policy", policy, *more])


def test_only_what_is_old_and_was_not_live_last_goes(crowded: Registry, capsys: Capture) -> None:
    assert gc(crowded, 0) == 0
    assert model_ids(crowded.artifacts) == [OLD[1], crowded.live, crowded.candidate]
    said = capsys.readouterr().out.splitlines()
    size = sum(path.stat().st_size for path in crowded.artifacts.model(crowded.live).iterdir())
    assert said == [
        f"{OLD[0]}  {size} bytes",
        f"{OLD[2]}  {size} bytes",
        f"kept {OLD[1]}: was live before",
        f"kept {crowded.live}: live",
        f"kept {crowded.candidate}: a candidate, newer than the live one",
        f"freed {2 * size / 1e6:.1f} MB in 2 places",
    ]
    assert status(crowded.artifacts, crowded.in_force).sound


def test_the_newest_of_them_are_kept(crowded: Registry) -> None:
    assert [folder.name for folder in collect(crowded.artifacts, crowded.rules, keep=1).removed] == [OLD[0]]
    assert collect(crowded.artifacts, crowded.rules, keep=1).removed == []


def test_the_models_of_an_ab_test_are_kept(crowded: Registry, capsys: Capture) -> None:
    ab.start(crowded.artifacts, plan_of(crowded.artifacts, crowded.live, OLD[0]))
    assert gc(crowded, 0) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"kept {OLD[0]}: in an A/B test" in said
    assert f"kept {crowded.live}: live" in said
    assert model_ids(crowded.artifacts) == [OLD[0], OLD[1], crowded.live, crowded.candidate]


def test_while_a_plan_cannot_be_read_no_model_goes(crowded: Registry, capsys: Capture) -> None:
    artifacts, there = crowded.artifacts, model_ids(crowded.artifacts)
    artifacts.ab.write_text("{")
    (artifacts.models / ".staging-abc").mkdir()
    assert gc(crowded, 0) == 0
    said = capsys.readouterr().out.splitlines()
    why = f"it may be in an A/B test: {artifacts.ab}: not JSON"
    assert [line for line in said if line.startswith(f"kept {OLD[0]}: {why}")]
    assert said[-1].endswith(" in 1 places")
    assert model_ids(artifacts) == there


def test_a_dry_run_says_what_would_go_and_deletes_nothing(crowded: Registry, capsys: Capture) -> None:
    before = sorted(crowded.artifacts.root.rglob("*"))
    assert gc(crowded, 0, "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("would free ")
    assert sorted(crowded.artifacts.root.rglob("*")) == before


def test_what_somebody_reads_is_kept(crowded: Registry) -> None:
    reader = os.open(crowded.artifacts.model(OLD[0]), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert [folder.name for folder in collect(crowded.artifacts, crowded.rules, keep=0).removed] == [OLD[2]]
    finally:
        os.close(reader)
    assert [folder.name for folder in collect(crowded.artifacts, crowded.rules, keep=0).removed] == [OLD[0]]


def test_candidates_are_newer_than_the_live_model_and_stay(registry: Registry) -> None:
    assert collect(registry.artifacts, registry.rules, keep=0).removed == []
    assert registry.candidate in model_ids(registry.artifacts)


def test_before_the_first_promotion_every_model_is_a_candidate(empty_registry: Registry) -> None:
    assert collect(empty_registry.artifacts, empty_registry.rules, keep=0).removed == []


def test_what_killed_commands_left_behind_goes_unless_it_is_in_use(registry: Registry) -> None:
    for name in (".trash-1700000001", ".staging-abc", ".staging-used"):
        (registry.artifacts.models / name).mkdir()
        (registry.artifacts.models / name / "model.onnx").write_bytes(b"12345")
    used = os.open(registry.artifacts.models / ".staging-used", os.O_RDONLY)
    try:
        fcntl.flock(used, fcntl.LOCK_SH)
        removed = collect(registry.artifacts, registry.rules, keep=0).removed
    finally:
        os.close(used)
    assert [(folder.name, folder.size) for folder in removed] == [(".staging-abc", 5), (".trash-1700000001", 5)]
    assert sorted(path.name for path in registry.artifacts.models.iterdir() if path.name.startswith(".")) == [
        ".staging-used"
    ]


def test_while_link_and_log_disagree_nothing_goes(crowded: Registry, capsys: Capture) -> None:
    point_latest_at(crowded.artifacts, OLD[0])
    assert gc(crowded, 0) == 1
    assert "promotions.log says" in capsys.readouterr().err
    assert set(OLD) <= set(model_ids(crowded.artifacts))


def test_what_cannot_be_deleted_stops_nothing_and_is_named(
    crowded: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = shutil.rmtree

    def busy(path: Path) -> None:
        if OLD[0] in path.name:
            raise OSError(1, "Operation not permitted", str(path / "bench.json"))
        delete(path)

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", busy)
        assert gc(crowded, 0) == 3
    out, err = capsys.readouterr()
    trash = crowded.artifacts.models / f".trash-{OLD[0]}-0"
    assert err == f"modelgates: {OLD[0]} cannot be deleted: Operation not permitted ({trash}/bench.json)\n"
    assert out.splitlines()[0].startswith(f"{OLD[2]}  ")
    assert out.splitlines()[-1].endswith(" MB in 1 places")
    assert OLD[0] not in model_ids(crowded.artifacts), "it is out of sight, and goes next time"
    assert gc(crowded, 0) == 0
    assert not list(crowded.artifacts.models.glob(".trash-*"))
    assert live_id(crowded.artifacts) == crowded.live


def test_files_that_killed_commands_left_anywhere_go_after_a_day(registry: Registry, capsys: Capture) -> None:
    artifacts, number = registry.artifacts, "0" * 16
    left = [
        artifacts.golden / f".metadata.json.{number}",
        artifacts.earlier_goldens / f".{'0' * 64}.parquet.{number}",
        artifacts.root / f".promotions.log.{number}",
        artifacts.root / f".latest_id.txt.{number}",
        artifacts.root / f".KILL.live.{number}",
        artifacts.root / f"..KILL.{number}.{number}",
        artifacts.ended_abs / f".ab-20260101T000000Z-00000000.json.{number}",
        artifacts.outcomes / f".20261130T160528.208962Z-{number}.jsonl.{number}",
        artifacts.predictions / "live" / "2026-01-01" / f".vm-1-0.parquet.{number}",
        artifacts.watch / f".state.json.{number}",
        artifacts.signatures / f".{registry.live}.sigstore.json.{number}",
        artifacts.reports(registry.live) / f".20260101T000000.000000Z.html.{number}",
    ]
    link = artifacts.root / f".predictions.jsonl.{number}"
    others = [artifacts.golden / ".hidden", artifacts.root / f".notes.{number}", artifacts.model(registry.live) / "x"]
    for path in (*left, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
    link.symlink_to("nowhere")
    yesterday = time.time() - 86_410
    for path in (*left, *others, link):
        os.utime(path, (yesterday, yesterday), follow_symlinks=False)
    fresh = artifacts.golden / f".metadata.json.{'f' * 16}"  # a command may be writing it
    fresh.write_bytes(b"123")
    assert gc(registry, 0) == 0
    assert f"golden/.metadata.json.{number}  3 bytes\n" in capsys.readouterr().out
    assert [path for path in (*left, link) if os.path.lexists(path)] == []
    assert [path for path in (*others, fresh) if not path.exists()] == []


def test_a_folder_that_cannot_be_listed_is_named_and_stops_nothing(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (registry.artifacts.models / ".staging-abc").mkdir()
    scan = os.scandir

    def barred(path: str) -> object:
        if str(path) == str(registry.artifacts.golden):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    with monkeypatch.context() as broken:
        broken.setattr(os, "scandir", barred)
        assert gc(registry, 0) == 3
    assert "golden cannot be deleted: Permission denied" in capsys.readouterr().err
    assert not (registry.artifacts.models / ".staging-abc").exists()


def test_why_a_model_is_kept_is_said(crowded: Registry, capsys: Capture) -> None:
    with LocalDirectory(crowded.artifacts.model(OLD[0])):
        assert gc(crowded, 1) == 0
        assert f"kept {OLD[2]}: among the newest 1\n" in (said := capsys.readouterr().out)
        assert f"kept {OLD[0]}: a process has it open\n" in said


def test_what_was_put_back_beside_its_own_trash_goes_again(crowded: Registry) -> None:
    trash = crowded.artifacts.models / f".trash-{OLD[0]}-0"
    shutil.copytree(crowded.artifacts.model(OLD[0]), trash)
    with LocalDirectory(trash):  # an open folder stays
        removed = collect(crowded.artifacts, crowded.rules, keep=0).removed
    assert [folder.name for folder in removed] == [OLD[0], OLD[2]]
    assert [folder.name for folder in collect(crowded.artifacts, crowded.rules, keep=0).removed] == [trash.name]


def test_a_pack_that_ends_in_between_is_left_alone(
    crowded: Registry, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    staged = crowded.artifacts.models / ".staging-abc"
    shutil.copytree(crowded.artifacts.model(crowded.live), staged)
    delete = shutil.rmtree
    named = crowded.artifacts.model("1999999999")
    monkeypatch.setattr(shutil, "rmtree", lambda path: (delete(path), staged.exists() and staged.rename(named)))
    assert gc(crowded, 0) == 0
    assert capsys.readouterr().out.endswith(" MB in 2 places\n")
    assert named.is_dir()


@pytest.mark.parametrize("keep", ["-1", "x", "１", ""])
def test_how_many_to_keep_is_a_whole_number(registry: Registry, capsys: Capture, keep: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["gc", f"--keep={keep}", "--artifacts", str(registry.artifacts.root)])
    assert f"{keep!r} is not a whole number; give one such as 5" in capsys.readouterr().err


def golden_files(registry: Registry) -> list[str]:
    return sorted(path.stem for path in (registry.artifacts.golden / "earlier").glob("*.parquet"))


@pytest.fixture
def changed(registry: Registry) -> Registry:
    """The live model's golden was replaced four times, the first time by the same as the third time."""
    for value in (1.0, 2.0, 1.0, 3.0):
        save_golden_predictions([value], folder=registry.artifacts.golden)
    return registry


def test_the_newest_goldens_that_were_in_force_before_are_kept(changed: Registry, capsys: Capture) -> None:
    metadata = golden_metadata(changed.artifacts.golden)
    panel, one, two, again = (each.sha256 for each in metadata.goldens[changed.live].history)
    assert one == again
    assert golden_files(changed) == sorted([panel, one, two])
    size = (changed.artifacts.golden / "earlier" / f"{panel}.parquet").stat().st_size
    assert gc(changed, 2) == 0
    assert f"golden/earlier/{panel}.parquet  {size} bytes\n" in capsys.readouterr().out
    assert golden_files(changed) == sorted([one, two])
    assert gc(changed, 0) == 0
    assert golden_files(changed) == []
    assert golden_metadata(changed.artifacts.golden) == metadata, "the history still names them"


def test_a_golden_that_another_model_keeps_or_that_is_in_force_stays(changed: Registry) -> None:
    artifacts, history = changed.artifacts, golden_metadata(changed.artifacts.golden).goldens[changed.live].history
    panel, one = history[0], history[1]
    for version in (panel, one):  # the first is put back, and the second becomes the candidate's
        content = version_content(artifacts.golden, changed.live, version)
        assert content is not None
        put_golden(artifacts.golden, changed.live if version == panel else changed.candidate, content, version)
    assert gc(changed, 0) == 0
    assert golden_files(changed) == sorted([panel.sha256, one.sha256])


@pytest.mark.parametrize("content", [None, b"{"], ids=["lost", "damaged"])
def test_goldens_that_no_list_names_are_kept(changed: Registry, capsys: Capture, content: bytes | None) -> None:
    before, path = golden_files(changed), changed.artifacts.golden_metadata
    path.unlink() if content is None else path.write_bytes(content)
    assert gc(changed, 0) == 0
    said = {
        None: "kept 3 files in golden/earlier: not in metadata.json; delete by hand what you do not need\n",
        b"{": f"kept earlier goldens: nobody can tell whose they are: {path}: not JSON in UTF-8",
    }
    assert said[content] in capsys.readouterr().out
    assert golden_files(changed) == before
