"""What is pulled is checked as if an enemy had written it, and machines that follow go on without the bucket."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_modelgates.audit.shared import name_of
from pytest_modelgates.cli import main
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.storage.digests import listing_digest, sha256
from pytest_modelgates.storage.strict_json import canonical
from tests.crash.registries import NEW, OLD, OLDEST, Registry, promotion, rollback
from tests.support.buckets import Machine
from tests.support.handmade import green_ledger, write_report
from tests.support.once import once


def spoiled_record(bucket: Path, number: int, spoil: Callable[[dict], None]) -> None:
    """Write a record anew, as its chain would want it."""
    path = bucket / name_of(number)
    record = json.loads(path.read_bytes())
    spoil(record)
    path.write_bytes(canonical(record))


def manifest_of(bucket: Path, number: int) -> Path:
    return bucket / "files" / json.loads((bucket / name_of(number)).read_bytes())["manifest"]


def with_another_manifest(bucket: Path, number: int, spoil: Callable[[dict], None]) -> None:
    """Let a record name a manifest that was spoiled, and the digest that its listing gives."""
    manifest = json.loads(manifest_of(bucket, number).read_bytes())
    spoil(manifest)
    content = canonical(manifest)
    (bucket / "files" / sha256(content)).write_bytes(content)
    listed = {name: entry["sha256"] for name, entry in manifest["files"].items()}

    def other(record: dict) -> None:
        record["manifest"] = sha256(content)
        record["change"]["digest"] = listing_digest(listed | {"manifest.json": sha256(content)})

    spoiled_record(bucket, number, other)


def file_of(bucket: Path, number: int, name: str) -> Path:
    return bucket / "files" / json.loads(manifest_of(bucket, number).read_bytes())["files"][name]["sha256"]


def entry(manifest: dict, name: str = "model.onnx") -> dict:
    return manifest["files"][name]


def path_outside(manifest: dict) -> None:
    manifest["files"]["../../../outside"] = manifest["files"].pop("CHANGES.md")


def more_files(manifest: dict) -> None:
    manifest["files"]["conftest.py"] = entry(manifest)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


HOSTILE = {
    "a record that is none": (
        lambda bucket: (bucket / name_of(2)).write_bytes(b'{"record":"shared"}\n'),
        "log/000000000002.json: not a record of the audit log",
    ),
    "a record of one machine's own log": (
        lambda bucket: spoiled_record(
            bucket, 2, lambda record: record.update(record["change"], n=2, prev=record["prev"])
        ),
        "log/000000000002.json: ",
    ),
    "a record with a blank": (
        lambda bucket: (bucket / name_of(2)).write_bytes((bucket / name_of(2)).read_bytes().replace(b",", b", ", 1)),
        "log/000000000002.json: not as it was written; somebody who can write there altered it",
    ),
    "a record without an end of line": (
        lambda bucket: (bucket / name_of(2)).write_bytes((bucket / name_of(2)).read_bytes()[:-1]),
        "log/000000000002.json: not as it was written, it has no end of line",
    ),
    "a record of a mebibyte and more": (
        lambda bucket: (bucket / name_of(2)).write_bytes(b" " * 2**21),
        "log/000000000002.json has 2097152 bytes, expected at most 1048576",
    ),
    "a record that follows on another one": (
        lambda bucket: spoiled_record(bucket, 2, lambda record: record.update(prev="0" * 64)),
        "log/000000000002.json does not follow on record 1: one of the two was altered; see what another machine has",
    ),
    "an id that is a path": (
        lambda bucket: spoiled_record(bucket, 2, lambda record: record["change"].update(to="../../outside")),
        "log/000000000002.json: Expected `str` matching regex",
    ),
    "a manifest that is a path": (
        lambda bucket: spoiled_record(bucket, 2, lambda record: record.update(manifest="../log/000000000001.json")),
        "log/000000000002.json: Expected `str` matching regex",
    ),
    "another model's digest": (
        lambda bucket: spoiled_record(bucket, 2, lambda record: record["change"].update(digest="0" * 64)),
        f"lists other files than the record of {OLD} was made of",
    ),
    "another model's manifest": (
        lambda bucket: spoiled_record(bucket, 2, lambda record: record.update(manifest=manifest_of(bucket, 1).name)),
        f"is not the manifest of {OLD}, or lists other files than a model has",
    ),
    "a manifest that was altered": (
        lambda bucket: flipped(manifest_of(bucket, 2)),
        "was altered: SHA-256 ",
    ),
    "a manifest that is not there": (
        lambda bucket: manifest_of(bucket, 2).unlink(),
        f"the manifest of {OLD}, is not there; put it back: modelgates push --restore on a machine that has the model",
    ),
    "a manifest with a path in it": (
        lambda bucket: with_another_manifest(bucket, 2, path_outside),
        "or lists other files than a model has",
    ),
    "a manifest with a file more": (
        lambda bucket: with_another_manifest(bucket, 2, more_files),
        "or lists other files than a model has",
    ),
    "a file of a terabyte": (
        lambda bucket: with_another_manifest(bucket, 2, lambda manifest: entry(manifest).update(size=2**40)),
        "lists model.onnx with more than 2147483648 bytes",
    ),
    "a file that is longer than listed": (
        lambda bucket: file_of(bucket, 2, "CHANGES.md").write_bytes(b"x" * 2**20),
        "bytes, expected ",
    ),
    "a file that was altered": (
        lambda bucket: flipped(file_of(bucket, 2, "CHANGES.md")),
        f"CHANGES.md of {OLD}, was altered: SHA-256 ",
    ),
    "a file that is not there": (
        lambda bucket: file_of(bucket, 2, "CHANGES.md").unlink(),
        " is not there",
    ),
    "a listed file whose schema is another": (
        lambda bucket: with_another_sidecar(bucket),
        f"what it holds of {OLD} is not sound: ",
    ),
}


def with_another_sidecar(bucket: Path) -> None:
    """Forge all of it: sidecar, manifest and record fit each other, and the model is not sound."""
    sidecar = json.loads(file_of(bucket, 2, "sidecar.json").read_bytes())
    sidecar["schema_crc32"] = "00000000"
    content = canonical(sidecar)
    (bucket / "files" / sha256(content)).write_bytes(content)
    with_another_manifest(
        bucket,
        2,
        lambda manifest: entry(manifest, "sidecar.json").update(sha256=sha256(content), size=len(content)),
    )


@pytest.fixture(scope="session")
def behind_once(request: pytest.FixtureRequest, some_models: Registry) -> Path:
    def build(folder: Path) -> Path:
        machine = Machine(some_models.copy_to(folder / "a").folder).shares(f"file://{folder}/bucket")
        machine.do(*promotion(OLDEST))
        (folder / "server").mkdir()
        Machine(folder / "server").do("pull", f"file://{folder}/bucket")
        machine.do(*promotion(OLD))
        return folder

    return once(request, "behind", build)


@pytest.fixture
def behind(behind_once: Path, tmp_path: Path) -> Machine:
    """A machine that has the first record; the bucket has two, of which the second is of a model that is not here."""
    for name in ("bucket", "server"):
        shutil.copytree(behind_once / name, tmp_path / name, symlinks=True)
    return Machine(tmp_path / "server")


@pytest.mark.parametrize("name", HOSTILE)
def test_what_was_altered_in_the_bucket_is_named_and_nothing_of_it_is_kept(behind: Machine, name: str) -> None:
    bucket = behind.folder.parent / "bucket"
    spoil, expected = HOSTILE[name]
    spoil(bucket)
    before, there = behind.everything(), sorted(behind.folder.rglob("*"))
    said = behind.do("pull", f"file://{bucket}", status=1)
    assert expected in said
    assert said.count("\n") == 1
    assert behind.everything() == before
    assert sorted(behind.folder.rglob("*")) == there
    assert not (behind.folder.parent / "outside").exists()
    behind.do("status")


def test_a_model_before_that_cannot_be_had_is_a_note(behind: Machine) -> None:
    bucket = behind.folder.parent / "bucket"
    manifest_of(bucket, 1).unlink()
    fresh = Machine(behind.folder.with_name("fresh"))
    fresh.folder.mkdir()
    said = fresh.do("pull", f"file://{bucket}")
    assert f"note: {OLDEST}, which was live before, could not be had: " in said
    assert fresh.live() == OLD


def test_who_sealed_a_report_is_not_believed_where_no_key_must_sign(behind: Machine) -> None:
    bucket = behind.folder.parent / "bucket"
    spoiled_record(bucket, 2, lambda record: record["change"].update(sealed_by="ed25519:" + "0" * 64))
    behind.do("pull", f"file://{bucket}")
    assert "assurance: digest-bound, unsigned" in behind.do("status")


def test_another_model_under_the_same_id_stays_and_is_named(behind: Machine) -> None:
    other = behind.models / OLD
    shutil.copytree(behind.models / OLDEST, other)
    manifest = json.loads((other / "manifest.json").read_bytes())
    manifest["id"] = OLD
    (other / "manifest.json").write_bytes(canonical(manifest))
    said = behind.do("pull", f"file://{behind.folder.parent}/bucket", status=1)
    assert f"{OLD} is another model here (sha256:" in said
    assert f"two machines packed in one second; move artifacts/models/{OLD}" in said.replace(f"{behind.folder}/", "")
    assert behind.live() == OLDEST


def test_a_record_of_a_later_version_keeps_its_place_and_moves_nothing(behind: Machine) -> None:
    bucket = behind.folder.parent / "bucket"
    behind.do("pull", f"file://{bucket}")
    last = (bucket / name_of(2)).read_bytes()[:-1]
    later = {"n": 3, "prev": sha256(last), "record": "yearbook", "time": "2026-11-30T12:00:00Z", "more": [1]}
    (bucket / name_of(3)).write_bytes(canonical(later))
    assert f"nothing is new; {OLD} is live" in behind.do("pull", f"file://{bucket}")
    assert (behind.artifacts / "shared.log").read_bytes().endswith(canonical(later))
    behind.do("status")


def test_where_the_policy_lists_keys_a_record_must_be_signed_by_one(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cryptography")
    keys = []
    for name in ("ours", "theirs"):
        assert main(["keygen", str(tmp_path / f"{name}.pem")]) == 0
        keys.append(next(word for word in capsys.readouterr().out.split() if "ed25519:" in word).strip('"[],'))
    policy = machine.folder / "registry" / "policy.toml"
    plain = policy.read_text()
    other, stranger = machine.another("b"), machine.another("c")
    for each, key in ((machine, keys[0]), (other, keys[0]), (stranger, keys[1])):
        path = each.folder / "registry" / "policy.toml"
        path.write_text(f'{plain}[evidence]\nkeys = ["{key}"]\n')
    for model_id in (OLDEST, OLD, NEW):
        write_report(machine.folder / f"{model_id}.json", green_ledger(machine.models / model_id, load_policy(policy)))
    said = machine.do(*promotion(OLDEST), status=1)
    assert "no machine takes a shared record without a signature; give --key FILE" in said
    ours = ("--key", str(tmp_path / "ours.pem"))
    machine.do(*promotion(OLDEST), *ours)
    other.do("pull")
    assert "record 1 is signed by none of the 1 keys that the policy lists" in stranger.do("pull", status=1)
    machine.do(*promotion(OLD), *ours)
    spoiled_record(tmp_path / "bucket", 2, lambda record: record.update(signature=None))
    assert "record 2 is not signed, and the policy lists keys that must sign" in other.do("pull", status=1)
    assert (other.live(), stranger.live()) == (OLDEST, None)
    assert "without a signature; give --key FILE; then: modelgates push" in machine.do(*rollback(OLDEST))


def test_a_folder_that_is_not_an_artifacts_root_is_not_filled(behind: Machine, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(b"")
    said = behind.do("pull", f"file://{tmp_path}/bucket", "--artifacts", str(tmp_path / "photos"), status=1)
    assert "holds no folder `models`, so it is not an artifacts root" in said
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["one.png"]


def test_an_empty_bucket_says_nothing_yet(machine: Machine) -> None:
    assert machine.do("pull") == "the bucket holds no change yet\n"
    assert not machine.root.shared.exists()


def test_without_the_library_the_extra_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert "obstore is not installed; run: pip install 'pytest-modelgates[s3]'" in machine.do("pull", status=1)
