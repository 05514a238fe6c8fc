"""What `modelgates verify` finds, and that what is used is what was hashed."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.errors import IntegrityError
from pytest_modelgates.model.files import canonical, sha256, tree_digest
from pytest_modelgates.model.layout import FILES, MANIFEST
from pytest_modelgates.model.manifest import problems_of, verified_bytes, verify


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
    pytest.param(_to_link, ["CHANGES.md: not a plain file with one name (a link, folder or device)"], id="link"),
    pytest.param(
        lambda model: os.link(model / "model.onnx", model.parent / "second-name"),
        ["model.onnx: not a plain file with one name (a link, folder or device)"],
        id="second-name",
    ),
    pytest.param(
        lambda model: ((model / "bench.json").unlink(), os.mkfifo(model / "bench.json")),
        ["bench.json: not a plain file with one name (a link, folder or device)"],
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


def test_what_is_no_directory_is_one_problem(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: no such directory"]
    (tmp_path / "file").touch()
    assert problems_of(tmp_path / "file") == [f"{tmp_path / 'file'}: no such directory"]


def test_a_model_under_another_id_is_not_sound(good_model: Path) -> None:
    copy = good_model.with_name("1000000000")
    shutil.copytree(good_model, copy)
    assert problems_of(copy) == [f"manifest.json: written for model {good_model.name}, found in 1000000000"]


def test_verified_bytes_are_those_of_the_manifest(good_model: Path) -> None:
    assert verified_bytes(good_model, "model.onnx") == (good_model / "model.onnx").read_bytes()
    _flip_last_bit(good_model)
    message = f"{good_model.name}: model.onnx is not the file that manifest.json lists; run modelgates verify"
    with pytest.raises(IntegrityError, match=f"^{re.escape(message)}$"):
        verified_bytes(good_model, "model.onnx")


def test_a_file_that_the_manifest_does_not_list_is_never_used(good_model: Path) -> None:
    (good_model / "other").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"other is not the file that manifest\.json lists"):
        verified_bytes(good_model, "other")
