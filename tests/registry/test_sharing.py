"""Machines that share a bucket: what one decides the others follow, and what does not fit is named."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_modelgates.audit.chain import Abort, Event, lines, read_log
from pytest_modelgates.audit.kinds import FOLLOW, PULL
from pytest_modelgates.audit.shared import changes, end_of, name_of, without_place
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.model.directory import PANEL
from pytest_modelgates.registry import sharing, store
from pytest_modelgates.registry.in_force import for_acting
from pytest_modelgates.registry.sharing import Sharing
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.storage.digests import tree_digest
from tests.crash.registries import NEW, NEXT, OLD, OLDEST, Registry, promotion, rollback
from tests.support.buckets import Machine
from tests.support.handmade import green_ledger, write_report
from tests.support.once import once


def bucket_of(machine: Machine) -> Path:
    return machine.folder.parent / "bucket"


def record_file(machine: Machine, number: int) -> Path:
    return bucket_of(machine) / name_of(number)


def away(machine: Machine) -> Path:
    """Take the bucket away; a file in its place can be no bucket."""
    bucket = bucket_of(machine)
    bucket.rename(bucket.with_name("taken"))
    bucket.write_text("")
    return bucket


def back(bucket: Path) -> None:
    bucket.unlink()
    bucket.with_name("taken").rename(bucket)


@pytest.fixture(scope="session")
def two_once(request: pytest.FixtureRequest, some_models: Registry) -> Path:
    def build(folder: Path) -> Path:
        machine = Machine(some_models.copy_to(folder / "a").folder).shares(f"file://{folder}/bucket")
        other = machine.another("b")
        machine.do(*promotion(OLDEST))
        other.do("pull")
        return folder

    return once(request, "two-machines", build)


@pytest.fixture
def two(two_once: Path, tmp_path: Path) -> tuple[Machine, Machine]:
    """Two machines, on which the first model is live by the bucket."""
    for name in ("a", "b", "bucket"):
        shutil.copytree(two_once / name, tmp_path / name, symlinks=True)
    ours, theirs = (Machine(tmp_path / name).shares(f"file://{tmp_path}/bucket") for name in ("a", "b"))
    return ours, theirs


def test_what_one_machine_promotes_goes_live_on_the_others_byte_for_byte(machine: Machine) -> None:
    machine.do(*promotion(OLDEST))
    machine.do(*promotion(OLD))
    server = Machine(machine.folder.with_name("server"))
    server.folder.mkdir()
    said = server.do("pull", f"file://{bucket_of(machine)}/")
    assert f"{OLD} is live, in place of nothing" in said
    for model_id in (OLDEST, OLD):  # the one before comes along, for a way back
        assert tree_digest(server.models / model_id) == tree_digest(machine.models / model_id)
    assert (server.artifacts / "shared.log").read_bytes() == (machine.artifacts / "shared.log").read_bytes()
    there, here = (live_change(each.root) for each in (machine, server))
    assert (here.actor, here.reason, here.digest, here.shared) == (
        there.actor,
        there.reason,
        there.digest,
        there.shared,
    )
    assert server.live() == OLD
    for words in (["status"], ["log", "--verify"], ["recover"]):
        server.do(*words)
    assert "nothing is new" in server.do("pull", f"file://{bucket_of(machine)}")
    assert f"{OLDEST} is live again" in server.do(*rollback(OLDEST))  # it was never live here, but elsewhere


def test_a_machine_that_is_behind_is_refused_before_anything_is_written(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    theirs.do(*promotion(OLD))
    before = ours.everything()
    said = ours.do(*promotion(NEW), status=1)
    assert said.endswith(
        f"this machine has 1 records of file://{bucket_of(ours)}, which holds 2; first: modelgates pull\n"
    )
    assert f"{NEW} is" not in said
    assert ours.everything()[:2] == before[:2]
    assert said == ours.do(*promotion(NEW), "--dry-run", status=1).partition("\n")[2].partition("\n")[2]
    ours.do("pull")
    ours.do(*promotion(NEW))
    assert record_file(ours, 3).exists()


def test_of_two_that_put_the_same_record_one_is_refused_and_does_not_move(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    proposals = []
    for each, model_id in ((ours, OLD), (theirs, NEW)):
        in_force = for_acting(each.root)
        sharing = Sharing.of(each.root, in_force, None)
        assert sharing is not None
        digest, manifest = sharing.upload(model_id)
        change = in_force.intent(
            "promote", from_=OLDEST, to=model_id, digest=digest, reason="a race", time=live_change(each.root).time
        )
        proposals.append(sharing.proposal(change, manifest))
    (_, first), (change, second) = proposals
    first.put()
    with pytest.raises(RefusedError) as refused:
        store.change_live(theirs.root, change, decide=second.put)
    assert str(refused.value) == (
        f"another machine was faster: the bucket has its record 2, by which {OLD} is live; nothing changed here; see "
        "what is live now: modelgates pull"
    )
    assert theirs.live() == OLDEST
    assert isinstance(next(lines(theirs.root.promotions))[0], Abort)
    assert end_of(theirs.root.shared).n == 1
    first.put()  # a machine that wrote a record finds its own there


def test_the_first_push_shares_what_was_promoted_before_there_was_a_bucket(machine: Machine) -> None:
    operations = machine.folder / "registry" / "operations.toml"
    named = operations.read_text()
    operations.unlink()
    machine.do(*promotion(OLDEST))
    operations.write_text(named)
    said = machine.do(*promotion(OLD), status=1)
    assert f"{OLDEST} is live here, and the bucket knows nothing of it; tell it first: modelgates push\n" in said
    assert f"told the bucket that {OLDEST} is live\nbucket: 1:" in machine.do("push")
    assert machine.do("push") == f"the bucket says {OLDEST} is live already\n"
    assert "bucket: record 1, says the same" in machine.do("status")
    machine.do(*promotion(OLD))
    assert [record.change.to for _, record in changes(machine.root.shared)] == [OLD, OLDEST]
    assert machine.do("log").count("\n    record 2 of the bucket\n") == 1
    shared = [without_place(change) for change in read_log(machine.root.promotions)]
    assert [record.change for _, record in changes(machine.root.shared)] == shared[::-1]


def test_a_root_that_shared_a_bucket_promotes_nothing_once_none_is_named(two: tuple[Machine, Machine]) -> None:
    ours, _ = two
    (ours.folder / "registry" / "operations.toml").unlink()
    said = ours.do(*promotion(OLD), status=1)
    assert (
        "shared.log shows that this registry shares a bucket, and operations.toml names none; set url under [" in said
    )
    said = ours.do("pull", status=1)
    assert "which bucket? Give its address, such as s3://models/desk, or set url under [bucket] in operations" in said


def test_a_file_that_a_bucket_cannot_create_by_one_call_is_refused_before_anything_is_written(
    two: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = two
    before, size = ours.everything(), (ours.models / OLD / PANEL).stat().st_size
    monkeypatch.setattr(sharing, "MAX_FILE_BYTES", size - 1)
    assert f"takes files of at most {size - 1} bytes, and {OLD}/{PANEL} has {size}; pack fewer rows" in ours.do(
        *promotion(OLD), status=1
    )
    assert ours.everything() == before


def test_another_bucket_than_the_registrys_own_is_refused(machine: Machine) -> None:
    said = machine.do("pull", "s3://elsewhere", status=1)
    assert f"this registry shares file://{bucket_of(machine)}, as its operations.toml says under [bucket]" in said
    for odd in ("elsewhere", "s3://user:secret@models", "ftp://models", "s3://models?key=secret", "s3://a/../b"):
        said = machine.do("pull", odd, status=2)
        assert said.startswith("modelgates: not the address of a bucket; give one such as s3://models/desk, and")
        assert "secret" not in said


def test_a_rollback_is_told_to_the_others(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    theirs.do(*promotion(OLD))
    ours.do("pull")
    assert "warning" not in ours.do(*rollback(OLDEST))
    assert f"{OLDEST} is live, in place of {OLD}" in theirs.do("pull")
    assert live_change(theirs.root).action == "rollback"


def test_a_rollback_needs_no_bucket_and_what_follows_is_named_and_never_chosen(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    ours.do(*promotion(OLD))
    theirs.do("pull")
    bucket = away(ours)
    said = ours.do(*rollback(OLDEST))
    assert f"{OLDEST} is live again" in said
    assert "the rollback holds on this machine, and the bucket was not told:" in said
    assert said.endswith("; then: modelgates push\n")
    assert "opening it failed" in ours.do(*promotion(NEW), status=1)
    back(bucket)
    theirs.do(*promotion(NEW))
    apart = (
        f"{OLDEST} is live here since a rollback on [-0-9: ]+, of which the bucket knows nothing; record 3 of the "
        f"bucket makes {NEW} live"
    )
    for words in (["pull"], ["pull"], ["status"]):
        said = ours.do(*words, status=1)
        assert re.search(apart, said), said
        assert 'modelgates push; to do as the bucket says: modelgates pull --reason "…"' in said
        assert ours.live() == OLDEST
    assert re.search(apart, ours.do(*promotion(NEXT), status=1))
    there = ours.folder.with_name("there")
    shutil.copytree(ours.folder, there, symlinks=True)
    assert f"told the bucket that {OLDEST} is live\nbucket: 4:" in Machine(there).do("push")
    assert f"{OLDEST} is live, in place of {NEW}" in theirs.do("pull")
    # Meanwhile we gave it up: there the bucket has moved on again, and says what is live here.
    assert re.search(apart.replace("record 3", "record 4").replace(NEW, OLDEST), ours.do("pull", status=0)) is None
    assert "says the same" in ours.do("status")


def test_a_local_rollback_is_given_up_with_a_reason(two: tuple[Machine, Machine]) -> None:
    ours, _ = two
    ours.do(*promotion(OLD))
    bucket = away(ours)
    ours.do(*rollback(OLDEST))
    back(bucket)
    ours.do("pull", status=1)
    assert f"{OLD} is live, in place of {OLDEST}" in ours.do("pull", "--reason", "it was the feed")
    assert live_change(ours.root).reason == "it was the feed; the bucket: all hard gates passed"
    ours.do(*promotion(NEW))


def test_machines_that_went_back_to_the_same_model_by_themselves_go_on_together(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    ours.do(*promotion(OLD))
    theirs.do("pull")
    bucket = away(ours)
    for each in two:
        each.do(*rollback(OLDEST))
    back(bucket)
    ours.do("push")
    assert f"nothing is new; {OLDEST} is live" in theirs.do("pull")
    events = [each for each, _ in lines(theirs.root.promotions) if isinstance(each, Event)]
    assert [each.kind for each in events if each.kind in (PULL, FOLLOW)] == [FOLLOW]
    ours.do(*promotion(NEW))
    assert f"{NEW} is live" in theirs.do("pull")


def test_a_promotion_that_the_bucket_never_saw_is_not_pushed_past_it(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    theirs.do(*promotion(OLD))
    operations, copy = ours.folder / "registry" / "operations.toml", ours.artifacts / "shared.log"
    named = operations.read_text()
    operations.unlink()
    copy.rename(copy.with_name("moved"))
    ours.do(*promotion(NEW))
    copy.with_name("moved").rename(copy)
    operations.write_text(named)
    assert "which holds 2; first: modelgates pull" in ours.do("push", status=1)
    ours.do("pull", status=1)
    assert "only a rollback is told afterwards. To go on: modelgates pull --reason" in ours.do("push", status=1)
    assert end_of(theirs.root.shared).n == 2


@pytest.mark.integration
def test_a_crash_between_the_put_and_the_flip_is_settled_by_recover_and_the_next_pull(
    two: tuple[Machine, Machine],
) -> None:
    ours, theirs = two
    code = (
        "import os, sys; from pytest_modelgates.registry import store; from pytest_modelgates.cli import main; "
        "store.point_latest_at = lambda *words: os._exit(9); main(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", code, *promotion(OLD)], cwd=ours.folder, check=False)
    assert done.returncode == 9
    assert record_file(ours, 2).exists()
    assert ours.live() == OLDEST
    there = Machine(shutil.copytree(ours.folder, ours.folder.with_name("there"), symlinks=True))
    assert f"forget the promote to {OLD} that was cut short" in there.do("recover", "--yes")
    assert f"record 2 of the bucket makes {OLD} live: modelgates pull" in there.do("status", status=1)
    for each in (ours, there):  # the next pull settles it by itself
        assert f"record 2 of shared.log makes {OLD} live" in each.do(*promotion(NEW), status=1)
        assert f"{OLD} is live, in place of {OLDEST}" in each.do("pull")
    assert f"{OLD} is live" in theirs.do("pull")


def test_a_machine_that_fails_once_it_has_won_says_so(two: tuple[Machine, Machine]) -> None:
    ours, _ = two
    obstacle = ours.models / ".latest.new"
    obstacle.mkdir()
    said = ours.do(*promotion(OLD), status=1)
    assert (
        f"the bucket took record 2, by which {OLD} is live for every machine, and this one failed; when it is "
        "repaired: modelgates pull\n"
    ) in said
    assert ours.live() == OLDEST
    obstacle.rmdir()
    for each in two:
        assert f"{OLD} is live" in each.do("pull")


@pytest.mark.parametrize("how", ["altered", "lost", "older copy", "gap", "stray"])
def test_a_bucket_that_does_not_fit_is_named_and_changes_nothing(two: tuple[Machine, Machine], how: str) -> None:
    ours, theirs = two
    early = shutil.copytree(bucket_of(ours), bucket_of(ours).with_name("early"))
    theirs.do(*promotion(OLD))
    theirs.do(*promotion(NEW))
    ours.do("pull")
    before, path = [each.everything() for each in two], record_file(ours, 3)
    match how:
        case "altered":
            path.write_bytes(path.read_bytes().replace(b"all hard gates", b"all soft gates"))
            expected = "record 3 is not the one that this machine has (sha256:"
        case "lost":
            path.unlink()
            expected = "record 3, which this machine has, is not there: the bucket lost it, or is an older copy; to put"
        case "older copy":
            shutil.rmtree(bucket_of(ours))
            early.rename(bucket_of(ours))
            expected = "which this machine has, is not there: the bucket lost it, or is an older copy; to put"
        case "gap":
            path.with_name("000000000005.json").write_bytes(path.read_bytes())
            expected = "record 4 is missing, and 'log/000000000005.json' is there; see: modelgates push --restore"
        case _:
            path.with_name("000000000003.json.bak").write_bytes(b"")
            expected = "something lies there that is no record, and 'log/000000000003.json.bak' is there"
    for words in (["pull"], promotion(NEXT), ["push"]):
        if words == ["push"] and how in ("gap", "stray"):
            continue
        assert expected in ours.do(*words, status=1), words
    assert [each.everything() for each in two] == before


def test_an_earlier_record_that_was_altered_is_found_by_a_pull(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    theirs.do(*promotion(OLD))
    ours.do("pull")
    path = record_file(ours, 1)
    path.write_bytes(path.read_bytes().replace(b"all hard gates", b"all soft gates"))
    assert "record 1 is not the one that this machine has" in ours.do("pull", status=1)


def test_what_a_bucket_lost_is_put_back_by_a_machine_that_has_it(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    theirs.do(*promotion(OLD))
    before = {path: path.read_bytes() for path in bucket_of(ours).rglob("*") if path.is_file()}
    for path in before:
        if path != record_file(ours, 1):
            path.unlink()
    said = theirs.do("push", "--restore")
    assert said == f"put back: {name_of(2)}\n"
    assert {path: path.read_bytes() for path in bucket_of(ours).rglob("*") if path.is_file()}.items() <= before.items()
    assert theirs.do("push", "--restore") == "the bucket has every record that this machine has\n"
    assert f"{OLD} is live" in ours.do("pull")
    record_file(ours, 2).write_bytes(b"{}\n")
    said = theirs.do("push", "--restore", status=1)
    assert f"{name_of(2)} is another one than this machine has; look at it, move it away there, and try again" in said


def test_a_machine_begins_anew_with_what_the_bucket_has_if_told_why(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    ours.do(*promotion(OLD))
    shutil.rmtree(bucket_of(ours))
    third = ours.another("c")
    for path in (third.artifacts / "shared.log", third.artifacts / "promotions.log", third.latest):
        path.unlink()
    third.do(*promotion(OLD))
    assert "to begin with what the bucket has: modelgates pull --anew --reason" in theirs.do("pull", status=1)
    assert 'say why: --reason "…"' in theirs.do("pull", "--anew", status=2)
    assert f"{OLD} is live, in place of {OLDEST}" in theirs.do("pull", "--anew", "--reason", "the bucket was lost")
    assert (theirs.artifacts / "shared.log").read_bytes() == (third.artifacts / "shared.log").read_bytes()
    assert len(list(theirs.artifacts.glob("shared.log.*"))) == 1
    assert "recover" in theirs.do("log")
    theirs.do("log", "--verify")
    theirs.do(*promotion(NEW))


def test_a_damaged_copy_is_named_with_the_way_on(two: tuple[Machine, Machine]) -> None:
    ours, _ = two
    copy = ours.artifacts / "shared.log"
    copy.write_bytes(b"{}\n")
    for words in (["pull"], ["status"], promotion(OLD)):
        said = ours.do(*words, status=1)
        assert 'it is a copy of the bucket\'s log, so take that instead: modelgates pull --anew --reason "…"' in said
        assert "modelgates recover" not in said.partition("shared.log")[2].partition("--anew")[0]
    ours.do("pull", "--anew", "--reason", "somebody edited it")
    ours.do("status")


def test_ends_of_the_log_that_pulled_models_kept_are_not_asked_of_this_log(two: tuple[Machine, Machine]) -> None:
    ours, _ = two
    # Packed after the promotion, a model keeps an end of the log of the machine that packed it.
    ours.do("pack", "model.onnx", "--panel", "panel.parquet", "--spec", "pack.toml")
    packed = max(path.name for path in ours.models.iterdir() if path.name.isdigit())
    kept = json.loads((ours.models / packed / "manifest.json").read_bytes())["audit_head"]
    assert kept
    ours.do(*promotion(OLD))
    server = Machine(ours.folder.with_name("server"))
    server.folder.mkdir()
    server.do("pull", f"file://{bucket_of(ours)}")
    shutil.copytree(ours.models / packed, server.models / packed)
    assert "the log was cut off or rewritten" in server.do("log", "--verify", status=1)
    shutil.rmtree(server.models / packed)
    write_report(ours.folder / f"{packed}.json", green_ledger(ours.models / packed, for_acting(ours.root).policy))
    ours.do(*promotion(packed))
    server.do("pull", f"file://{bucket_of(ours)}")
    assert server.live() == packed
    assert "0 heads kept by models" in server.do("log", "--verify")
    server.do("status")
