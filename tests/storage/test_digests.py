"""Digests of files and folders."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_modelgates.storage.digests import listing, sha256, tree_digest

CHANGES = [
    pytest.param(lambda folder: (folder / "a").write_bytes(b"other"), id="bytes"),
    pytest.param(lambda folder: (folder / "a").rename(folder / "c"), id="name"),
    pytest.param(lambda folder: (folder / ".hidden").touch(), id="hidden-file"),
    pytest.param(lambda folder: (folder / "sub").mkdir(), id="folder"),
    pytest.param(lambda folder: os.mkfifo(folder / "pipe"), id="pipe"),
    pytest.param(
        lambda folder: ((folder / "a").rename(folder.parent / "a"), (folder / "a").symlink_to("../a")), id="link"
    ),
]


def test_tree_digest_is_what_sha256sum_prints(tmp_path: Path) -> None:
    for name in ("b", "A", "a-1", "a_1", "model.onnx", "ü"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    shell = subprocess.run("LC_ALL=C sha256sum * | sha256sum", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert tree_digest(tmp_path) == shell.stdout.split()[0]


@pytest.mark.parametrize("change", CHANGES)
def test_tree_digest_sees_every_change(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode())
    before = tree_digest(folder)
    change(folder)
    assert tree_digest(folder) != before


def test_a_listing_opens_nothing_that_is_no_plain_file(tmp_path: Path) -> None:
    for name in ("regular", "twice"):
        (tmp_path / name).touch()
    os.link(tmp_path / "twice", tmp_path / "again")
    (tmp_path / "link").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    found = listing(tmp_path)
    assert found.pop("regular") == sha256(b"")
    assert found == dict.fromkeys(["twice", "again", "link", "pipe", "sparse"], "not a file")
