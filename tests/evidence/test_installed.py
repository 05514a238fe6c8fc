"""Where a file of code belongs: looked up, never read off its path."""

import json
from pathlib import Path

import _pytest
import numpy as np
import pytest

from pytest_modelgates.evidence.installed import Installed, Kind, Place, installed


def location(root: Path, recorded: str, *, editable: Path | None = None) -> Path:
    """A folder of installed packages, with one distribution that recorded one file."""
    folder = root / "lib" / "packages"
    metadata = folder / "ours-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "RECORD").write_text(f"{recorded},sha256=x,1\nours-1.0.dist-info/direct_url.json,,\n")
    if editable:
        (metadata / "direct_url.json").write_text(
            json.dumps({"url": editable.as_uri(), "dir_info": {"editable": True}})
        )
    return folder


@pytest.mark.parametrize(
    ("file", "place"),
    [
        pytest.param(_pytest.__file__, Place(Kind.INSTALLED, "_pytest"), id="a-package"),
        pytest.param(np.linalg.__file__, Place(Kind.INSTALLED, "numpy"), id="inside-a-package"),
        pytest.param(json.__file__, Place(Kind.LIBRARY, "json/__init__.py"), id="standard-library"),
        pytest.param(
            __file__, Place(Kind.EDITABLE, f"pytest_modelgates:tests/evidence/{Path(__file__).name}"), id="us"
        ),
        pytest.param("/x/site-packages/numpy.py", Place(Kind.STRANGER, "/x/site-packages/numpy.py"), id="by-name"),
        pytest.param("<string>", Place(Kind.STRANGER, "<string>"), id="text"),
    ],
)
def test_this_interpreter_knows_what_it_has(file: str, place: Place) -> None:
    assert installed().place(file) == place


def test_a_file_that_no_distribution_recorded_is_a_stranger(tmp_path: Path) -> None:
    folder = location(tmp_path, "ours/a.py")
    here = Installed([str(folder)], [])
    assert here.place(str(folder / "ours" / "a.py")) == Place(Kind.INSTALLED, "ours")
    assert here.place(str(folder / "ours" / "b.py")) == Place(Kind.STRANGER, str(folder / "ours" / "b.py"))
    assert here.place(str(folder / "ours" / "b.py"), recorded=False) == Place(Kind.INSTALLED, "ours")


def test_a_location_without_any_record_is_believed_whole(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    assert Installed([str(tmp_path)], []).place(str(tmp_path / "ours" / "a.py")) == Place(Kind.INSTALLED, "ours")


def test_packages_that_are_links_to_a_cache_are_installed(tmp_path: Path) -> None:
    folder = location(tmp_path, "ours.py")
    (tmp_path / "cache.py").touch()
    (folder / "ours.py").symlink_to(tmp_path / "cache.py")
    (tmp_path / "another").symlink_to(folder)
    for place in (folder, tmp_path / "another"):
        assert Installed([str(place)], []).place(str(place / "ours.py")) == Place(Kind.INSTALLED, "ours")


def test_other_packages_below_the_standard_library_are_strangers(tmp_path: Path) -> None:
    here = Installed([], [str(tmp_path)])
    assert here.place(str(tmp_path / "json" / "tool.py")) == Place(Kind.LIBRARY, "json/tool.py")
    assert here.place(str(tmp_path / "site-packages" / "a.py")).kind is Kind.STRANGER


def test_a_file_of_an_editable_install_goes_by_its_path_there(tmp_path: Path) -> None:
    source = tmp_path / "our source"
    here = Installed([str(location(tmp_path, "ours.pth", editable=source))], [])
    assert here.place(str(source / "src" / "ours.py")) == Place(Kind.EDITABLE, "ours:src/ours.py")
