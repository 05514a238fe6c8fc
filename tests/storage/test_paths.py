"""What lies at a path, and what says that it cannot be seen."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_modelgates.storage.paths import is_file, is_folder, is_link, is_there

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


def test_the_package_asks_only_these() -> None:
    asked = re.compile(r"\.(exists|is_dir|is_file|is_symlink)\(\)|os\.path\.(exists|lexists|isdir|isfile|islink)\(")
    package = Path(__file__).parents[2] / "pytest_modelgates"
    assert [str(path) for path in package.rglob("*.py") if asked.search(path.read_text())] == []
