"""What `modelgates verify` finds; and that only hashed bytes are used, from a directory that stays where it is."""

import errno
import fcntl
import gc
import io
import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.errors import FormatError, GoneError, IntegrityError
from pytest_modelgates.model import directory as directories
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import (
    FILES,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    LocalDirectory,
    ModelDirectory,
    verify,
)
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.storage.digests import sha256, tree_digest
from pytest_modelgates.storage.regular_files import MAX_FILE_BYTES, digest_regular, open_regular
from pytest_modelgates.storage.strict_json import canonical
from tests.support.handmade import golden_of


def rewrite(path: Path, change: Callable[[dict[str, Any]], object], *, seal: bool = True) -> None:
    """Change a JSON file of a model directory, and enter it in the manifest as a forger would."""
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(canonical(content))
    if seal and path.name != MANIFEST:
        entry = {"sha256": sha256(path.read_bytes()), "size": path.stat().st_size}
        rewrite(path.parent / MANIFEST, lambda manifest: manifest["files"].update({path.name: entry}))


def test_a_packed_model_is_sound_and_its_digest_is_what_sha256sum_prints(
    good_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(good_model)]) == 0
    shell = subprocess.run(
        "LC_ALL=C sha256sum * | sha256sum", shell=True, cwd=good_model, capture_output=True, text=True
    ).stdout.split()[0]
    assert capsys.readouterr().out == f"{good_model.name}: sound, sha256:{shell}\n"
    assert verify(good_model) == tree_digest(good_model) == shell


def test_a_link_to_a_model_is_verified_as_that_model(good_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (good_model.parent / "latest").symlink_to(good_model.name)
    assert main(["verify", str(good_model.parent / "latest")]) == 0
    assert capsys.readouterr().out.startswith(f"{good_model.name}: sound, ")


def _append(name: str) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        with (model / name).open("ab") as file:
            file.write(b" ")

    return change


def _flip_last_bit(model: Path) -> None:
    content = bytearray((model / "model.onnx").read_bytes())
    content[-1] ^= 1
    (model / "model.onnx").write_bytes(content)


def _to_link(model: Path) -> None:
    (model / "CHANGES.md").rename(model.parent / "CHANGES.md")
    (model / "CHANGES.md").symlink_to("../CHANGES.md")


def _json(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    return lambda model: rewrite(model / name, change)


BROKEN = [
    pytest.param(lambda model: (model / "parity.json").unlink(), ["parity.json: missing"], id="missing"),
    pytest.param(
        lambda model: (model / "conftest.py").touch(),
        ["conftest.py: does not belong in a model directory"],
        id="code",
    ),
    pytest.param(
        lambda model: (model / ".hidden").touch(), [".hidden: does not belong in a model directory"], id="hidden"
    ),
    pytest.param(
        lambda model: (model / "x\n1763884678: sound, sha256:00").touch(),
        ["x\\n1763884678: sound, sha256:00: does not belong in a model directory"],
        id="name-that-forges-a-line",
    ),
    pytest.param(
        lambda model: Path(os.fsdecode(bytes(model) + b"/\xff")).touch(),
        ["\\udcff: does not belong in a model directory"],
        id="name-that-is-no-text",
    ),
    pytest.param(_to_link, ["CHANGES.md: not a regular file with one name (a link, folder or device)"], id="link"),
    pytest.param(
        lambda model: os.link(model / "model.onnx", model.parent / "second-name"),
        [
            "model.onnx: has 2 names (hard links, as cp -al makes), so it could change through another; its bytes may "
            "be right, give it a copy of its own: cp -p FILE FILE.copy && mv FILE.copy FILE"
        ],
        id="second-name",
    ),
    pytest.param(
        lambda model: ((model / "bench.json").unlink(), os.mkfifo(model / "bench.json")),
        ["bench.json: not a regular file with one name (a link, folder or device)"],
        id="pipe",
    ),
    pytest.param(
        lambda model: [(model / name).unlink() for name in FILES], [f"{name}: missing" for name in FILES], id="empty"
    ),
    pytest.param(_append("bench.json"), ["bench.json: * bytes, the manifest says *"], id="size"),
    pytest.param(_flip_last_bit, ["model.onnx: SHA-256 *…, the manifest says *…"], id="one-bit"),
    pytest.param(
        _json(MANIFEST, lambda manifest: manifest.update(id="1000000000")),
        ["manifest.json: written for model 1000000000, found in *"],
        id="other-id",
    ),
    pytest.param(
        _json(MANIFEST, lambda manifest: manifest.update(id="a\nb")),
        ["manifest.json: written for model a\\nb, found in *"],
        id="id-of-two-lines",
    ),
    pytest.param(
        _json(MANIFEST, lambda manifest: manifest["files"].pop("CHANGES.md")),
        ["manifest.json: must list every other file and nothing else; look at CHANGES.md"],
        id="file-not-listed",
    ),
    pytest.param(
        _json(MANIFEST, lambda manifest: manifest["files"].update({"../x\n": manifest["files"]["CHANGES.md"]})),
        ["manifest.json: must list every other file and nothing else; look at ../x\\n"],
        id="file-elsewhere-listed",
    ),
    pytest.param(
        _json(MANIFEST, lambda manifest: manifest["files"]["CHANGES.md"].update(sha256="0" * 63 + "\n")),
        ["*/manifest.json: Expected `str` matching regex '^[0-9a-f]{64}\\\\Z' - at `$.files[...].sha256`"],
        id="digest-that-is-none",
    ),
    pytest.param(
        _json(MANIFEST, lambda manifest: manifest.update(created="2020-01-01T00:00:00")),
        ["*/manifest.json: Expected `datetime` with a timezone component - at `$.created`"],
        id="time-without-zone",
    ),
    pytest.param(
        lambda model: (model / MANIFEST).write_bytes(b"\xff\xfe"),
        ["*/manifest.json: not JSON in UTF-8 (*"],
        id="manifest-that-is-no-json",
    ),
    pytest.param(
        _json("sidecar.json", lambda sidecar: sidecar.update(schema_crc32="00000000")),
        ["sidecar.json: schema_crc32 00000000, its features give edb3e2b1"],
        id="other-crc",
    ),
    pytest.param(
        _json("sidecar.json", lambda sidecar: sidecar["features"].reverse()),
        ["sidecar.json: schema_crc32 edb3e2b1, its features give *"],
        id="other-order",
    ),
    pytest.param(
        _json("sidecar.json", lambda sidecar: sidecar.update(horizont=1)),
        ["*/sidecar.json: Object contains unknown field `horizont`"],
        id="misspelt-key",
    ),
    pytest.param(
        lambda model: (
            _append("bench.json")(model),
            _append("CHANGES.md")(model),
            (model / "sidecar.json").write_bytes(b"{}"),
        ),
        [
            "CHANGES.md: * bytes, *",
            "bench.json: * bytes, *",
            "sidecar.json: 2 bytes, *",
            "*/sidecar.json: Object missing required field `*`",
        ],
        id="several-at-once",
    ),
]


@pytest.mark.parametrize(("change", "lines"), BROKEN)
def test_verify_says_in_a_line_each_what_is_wrong(
    good_model: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], object], lines: list[str]
) -> None:
    change(good_model)
    assert main(["verify", str(good_model)]) == 1
    found = capsys.readouterr().out.splitlines()
    assert len(found) == len(lines)
    for line, expected in zip(found, lines, strict=True):
        assert re.fullmatch(re.escape(f"{good_model.name}: {expected}").replace(r"\*", ".*"), line)
    with pytest.raises(IntegrityError) as refusal:
        verify(good_model)
    assert str(refusal.value).splitlines() == found


def test_a_path_that_is_not_a_directory_of_its_own_is_not_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("nowhere", "file", "file/below", "link"):
        with pytest.raises(GoneError, match=f"^{re.escape(str(tmp_path / name))}: no such directory$"):
            LocalDirectory(tmp_path / name)
    assert main(["verify", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().out == f"{tmp_path / 'nowhere'}: no such directory\n"


def test_a_model_under_another_id_is_not_sound(good_model: Path) -> None:
    copy = good_model.with_name("1000000000")
    shutil.copytree(good_model, copy)
    assert LocalDirectory(copy).problems() == [
        f"manifest.json: written for model {good_model.name}, found in 1000000000"
    ]


def test_verified_bytes_are_those_of_the_manifest(good_model: Path) -> None:
    assert LocalDirectory(good_model).verified("model.onnx") == (good_model / "model.onnx").read_bytes()
    _flip_last_bit(good_model)
    message = f"{good_model.name}: model.onnx is not the file that manifest.json lists; run modelgates verify"
    with pytest.raises(IntegrityError, match=f"^{re.escape(message)}$"):
        LocalDirectory(good_model).verified("model.onnx")


def test_a_file_that_the_manifest_does_not_list_is_never_used(good_model: Path) -> None:
    (good_model / "other").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"other is not the file that manifest\.json lists"):
        LocalDirectory(good_model).verified("other")


ORDERS: list[tuple[Callable[[ModelDirectory], object], Callable[[ModelDirectory], object]]] = [
    (ModelDirectory.verify, lambda model: model.read("CHANGES.md")),
    (lambda model: model.read("CHANGES.md"), ModelDirectory.verify),
]


@pytest.mark.parametrize(("first", "then"), ORDERS, ids=["digested-first", "read-first"])
def test_what_was_read_once_is_what_is_read_ever_after(
    good_model: Path, first: Callable[[ModelDirectory], object], then: Callable[[ModelDirectory], object]
) -> None:
    model = LocalDirectory(good_model)
    first(model)
    content = (good_model / "CHANGES.md").read_bytes()
    (good_model / "CHANGES.md").write_bytes(content.swapcase())
    message = f"{good_model.name}: CHANGES.md changed while it was in use; leave a packed model alone"
    with pytest.raises(IntegrityError, match=f"^{re.escape(message)}$"):
        then(model)
    (good_model / "CHANGES.md").write_bytes(content)
    then(model)


def test_an_open_model_is_read_to_its_end_wherever_it_is_moved(good_model: Path) -> None:
    """By then another directory lies at its path."""
    model = LocalDirectory(good_model)
    content = (good_model / "model.onnx").read_bytes()
    good_model.rename(good_model.with_name("away"))
    good_model.mkdir()
    (good_model / "model.onnx").write_bytes(b"another")
    assert model.verified("model.onnx") == content
    assert model.verify() == tree_digest(good_model.with_name("away"))


def _may_delete(directory: Path) -> bool:
    """Whether garbage collection would get the lock without which it deletes nothing."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_model_in_use_is_leased_until_it_is_let_go(good_model: Path) -> None:
    with LocalDirectory(good_model), LocalDirectory(good_model) as second:
        assert not _may_delete(good_model)
    assert _may_delete(good_model)
    second.close()
    candidate = Candidate(good_model)
    assert candidate.sidecar.names
    adapter = Adapter(good_model / "model.onnx", arm="shadow")
    assert not _may_delete(good_model)
    del candidate
    assert not _may_delete(good_model)
    del adapter
    gc.collect()
    assert _may_delete(good_model)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_model_moved_away_before_the_lease_was_had_is_gone(
    good_model: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    def moved(descriptor: int, operation: int) -> None:
        good_model.rename(good_model.with_name(".trash"))
        if replaced:
            good_model.mkdir()

    monkeypatch.setattr(fcntl, "flock", moved)
    with pytest.raises(GoneError, match=f"{good_model.name}: no such directory$"):
        LocalDirectory(good_model)


@pytest.mark.parametrize(("code", "skipped"), [(errno.EOPNOTSUPP, True), (errno.ENOSYS, True), (errno.EIO, False)])
def test_only_a_file_system_without_locks_goes_without(
    good_model: Path, monkeypatch: pytest.MonkeyPatch, code: int, skipped: bool
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    if skipped:
        assert verify(good_model)
        return
    with pytest.raises(OSError, match=os.strerror(code)):
        verify(good_model)


def test_files_are_digested_once_and_none_of_another_size(good_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digested = []

    def count(file: BinaryIO, *, limit: int) -> str:
        digested.append(limit)
        return digest_regular(file, limit=limit)

    def count_read(content: bytes) -> str:
        digested.append(len(content))
        return sha256(content)

    monkeypatch.setattr(directories, "digest_regular", count)
    monkeypatch.setattr(directories, "sha256", count_read)
    verify(good_model)
    assert sorted(digested) == sorted((good_model / name).stat().st_size for name in FILES)
    digested.clear()
    for name in FILES:
        if name != MANIFEST:
            with (good_model / name).open("ab") as file:
                file.truncate(10**12)
    with pytest.raises(IntegrityError, match="1000000000000 bytes, the manifest says"):
        verify(good_model)
    assert digested == [(good_model / MANIFEST).stat().st_size]


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda model: Adapter(model / "model.onnx", arm="shadow"), id="serving"),
        pytest.param(golden_of, id="golden"),
    ],
)
def test_what_is_verified_to_be_used_is_opened_once(
    good_model: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[Path], object]
) -> None:
    opened: Counter[str] = Counter()

    def count(folder: int, name: str, source: object, *, limit: int) -> AbstractContextManager[BinaryIO]:
        opened[name] += 1
        return open_regular(folder, name, source, limit=limit)

    monkeypatch.setattr(directories, "open_regular", count)
    use(good_model)
    assert opened == dict.fromkeys(FILES, 1)


def test_kept_bytes_are_handed_over_once_and_are_those_that_were_digested(good_model: Path) -> None:
    content = (good_model / "model.onnx").read_bytes()
    with LocalDirectory(good_model) as model:
        assert model.verify(keep={"model.onnx"}) == tree_digest(good_model)
        _flip_last_bit(good_model)
        assert model.verified("model.onnx") == content
        with pytest.raises(IntegrityError, match=r"model\.onnx changed while it was in use"):
            model.verified("model.onnx")


def test_kept_bytes_are_no_way_around_a_cap(good_model: Path) -> None:
    with LocalDirectory(good_model) as model:
        model.verify(keep={"CHANGES.md"})
        with pytest.raises(FormatError, match=r"CHANGES\.md: 19 bytes, expected at most 18$"):
            model.read("CHANGES.md", limit=18)


def test_a_file_is_read_no_further_than_its_size(tmp_path: Path) -> None:
    class Endless(io.RawIOBase):
        """A file that grows as fast as it is read."""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return len(buffer)

    assert digest_regular(Endless(), limit=10**6) != sha256(bytes(10**6))
    assert digest_regular(Endless(), limit=3 * 2**20) != sha256(bytes(3 * 2**20))


@pytest.mark.parametrize("size", [0, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20, 3 * 2**20 + 5])
def test_a_digest_is_that_of_all_pieces_in_their_order(size: int) -> None:
    content = np.random.default_rng(0).bytes(size)
    assert digest_regular(io.BytesIO(content), limit=size) == sha256(content)


def test_a_piece_that_cannot_be_read_ends_the_digest() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 2**20:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    with pytest.raises(OSError, match="Input/output error"):
        digest_regular(Broken(bytes(4 * 2**20)))


def test_without_a_thread_to_read_with_the_machine_has_failed(
    good_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    (good_model / "CHANGES.md").write_bytes(bytes(2**21))
    rewrite(good_model / MANIFEST, lambda manifest: manifest["files"]["CHANGES.md"].update(size=2**21))
    monkeypatch.setattr(threading.Thread, "start", exhausted)
    assert main(["verify", str(good_model)]) == 3
    assert capsys.readouterr().err == "modelgates: No thread left to read with\n"


def test_more_than_protobuf_can_hold_is_not_read(good_model: Path) -> None:
    with (good_model / "model.onnx").open("ab") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    message = f"{good_model}/model.onnx: 2147483649 bytes, expected at most 2147483648"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        LocalDirectory(good_model).read("model.onnx")
    assert re.fullmatch("[0-9a-f]{64}", tree_digest(good_model))


def test_a_manifest_has_a_cap(good_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (good_model / MANIFEST).write_bytes(b" " * (MAX_MANIFEST_BYTES + 1))
    assert main(["verify", str(good_model)]) == 1
    assert capsys.readouterr().out == (
        f"{good_model.name}: {good_model}/manifest.json: 1048577 bytes, expected at most 1048576\n"
    )


def test_every_verification_reads_the_files_anew(good_model: Path) -> None:
    with LocalDirectory(good_model) as model:
        model.verify(keep={"model.onnx"})
        model.verify(keep={"model.onnx"})
        for name in ("model.onnx", "sidecar.json"):
            content = bytearray((good_model / name).read_bytes())
            content[-1] ^= 1
            (good_model / name).write_bytes(content)
            with pytest.raises(IntegrityError, match=rf"{name} changed while it was in use"):
                model.verify(keep={"model.onnx"})
            content[-1] ^= 1
            (good_model / name).write_bytes(content)
