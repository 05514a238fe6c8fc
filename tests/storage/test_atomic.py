"""Files and folders written whole or not at all."""

import ctypes
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_modelgates.storage.atomic import rename_new, write_atomic


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    for content in (b"old", b"new"):
        write_atomic(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file"]


def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"old")
    script = (
        "import resource, sys; from pathlib import Path; from pytest_modelgates.storage.atomic import write_atomic;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); write_atomic(Path(sys.argv[1]), bytes(2000))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "file"], capture_output=True, text=True)
    assert f"File too large: '{tmp_path / 'file'}'" in done.stderr
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_threads_that_write_one_file_never_trip_over_each_other(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomic(tmp_path / "file", content), contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("place", ["empty", "full", "file", "link"])
@pytest.mark.parametrize("knows", [True, False], ids=["system-call", "without-it"])
def test_a_rename_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, knows: bool) -> None:
    if not knows:
        monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: object())
    (tmp_path / "new").mkdir()
    rename_new(tmp_path / "new", tmp_path / "source")
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    for name in ("file", "full/file", "source/mine"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match=f"File exists: '{tmp_path / place}'"):
        rename_new(tmp_path / "source", tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before


def test_any_other_failure_of_a_rename_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        rename_new(tmp_path / "source", tmp_path / "target")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_umask_has_no_say_in_modes(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "a" / "b" / "usual", b"")
        write_atomic(tmp_path / "c" / "narrow", b"", mode=0o640, folder_mode=0o750)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"a": 0o755, "b": 0o755, "usual": 0o644, "c": 0o750, "narrow": 0o640}


def test_the_name_of_a_new_folder_is_durable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    write_atomic(tmp_path / "a" / "b" / "file", b"")
    assert {tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino, (tmp_path / "a" / "b").stat().st_ino} < set(synced)
