"""What lies at a path, and what says that it cannot be seen."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_modelgates.storage.paths import entries, is_file, is_folder, is_link, is_there, walk

KINDS = (is_there, is_file, is_folder, is_link)


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, target in {"to-file": "file", "to-folder": "folder", "dangling": "nothing", "circle": "circle"}.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("file", {is_there, is_file}),
        ("folder", {is_there, is_folder}),
        ("pipe", {is_there}),
        ("to-file", {is_there, is_file, is_link}),
        ("to-folder", {is_there, is_folder, is_link}),
        ("dangling", {is_there, is_link}),
        ("circle", {is_there, is_link}),
        ("nothing", set()),
        ("file/below", set()),
        ("circle/below", set()),
    ],
)
def test_a_path_is_what_lies_there(places: Path, name: str, kinds: set[Callable[[Path], bool]]) -> None:
    assert {kind for kind in KINDS if kind(places / name)} == kinds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ENOSPC])
def test_what_cannot_be_seen_is_not_taken_for_nothing(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[[Path], bool], code: int
) -> None:
    def refuse(path: Path, **options: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(OSError, match="some/path"):
        kind(Path("some/path"))


def test_what_a_folder_holds_is_listed_by_name_in_order(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", ".c.json", "a.txt", "below/d.json"):
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.touch()
    assert [path.name for path in entries(tmp_path, "[!.]*.json")] == ["a.json", "b.json"]
    found = sorted(name for _, _, names in walk(tmp_path) for name in names)
    assert found == [".c.json", "a.json", "a.txt", "b.json", "d.json"]
    assert entries(tmp_path / "nothing") == entries(tmp_path / "a.txt") == [*walk(tmp_path / "nothing")] == []


@pytest.mark.parametrize("look", [entries, lambda folder: [*walk(folder)]], ids=["entries", "walk"])
def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, look: Callable[[Path], object]
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        look(tmp_path)


def test_the_package_asks_only_these() -> None:
    # glob and walk of the standard library pass over folders that they may not read.
    asked = re.compile(
        r"\.(exists|is_dir|is_file|is_symlink)\(\)|\.r?glob\(f?\"|os\.path\.(exists|lexists|isdir|isfile|islink)\("
    )
    package = Path(__file__).parents[2] / "pytest_modelgates"
    assert [str(path) for path in package.rglob("*.py") if asked.search(path.read_text())] == []
