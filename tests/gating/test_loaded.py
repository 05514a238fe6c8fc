"""Which files of code a process loaded, as they were before they ran."""

import importlib
import re
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest

from pytest_modelgates.gating.loaded import MEASURES, NO_FILE, Loaded, digest_of, foreign
from pytest_modelgates.policy import load
from pytest_modelgates.storage.digests import sha256


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loaded]:
    """A watch over what is imported from a folder that is on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    watch = Loaded()
    before = set(sys.modules)
    yield watch
    watch.close()
    for name in sys.modules.keys() - before:
        del sys.modules[name]


def test_what_is_installed_and_this_package_are_not_foreign(tmp_path: Path) -> None:
    assert not any(map(foreign, (np.__file__, importlib.__file__, load.__file__)))
    assert foreign(__file__)
    assert foreign(str(tmp_path / "ours.zip" / "ours.py"))


def test_a_module_that_stands_for_a_folder_holds_no_code(tmp_path: Path) -> None:
    (tmp_path / "repository.git").mkdir()
    assert not foreign(str(tmp_path / "repository.git"))


def test_a_file_that_rewrites_itself_is_digested_as_it_was_before(loaded: Loaded, tmp_path: Path) -> None:
    source = "import pathlib\npathlib.Path(__file__).write_text('')\n"
    (tmp_path / "turncoat.py").write_text(source)
    importlib.import_module("turncoat")
    assert loaded.look_again()[str(tmp_path / "turncoat.py")] == sha256(source.encode())


def test_what_stands_in_the_place_of_what_is_measured_with_is_known(loaded: Loaded, tmp_path: Path) -> None:
    for name in ("this", "own"):  # one of the standard library, which nobody has imported
        (tmp_path / f"{name}.py").touch()
        importlib.import_module(name)
    assert loaded.in_place == {str(tmp_path / "this.py")}
    needed = {re.split(r"[^\w-]", line)[0] for line in requires("pytest-modelgates") or () if ";" not in line}
    assert {name for name in needed if not name.startswith(("pytest-", "shtab"))} <= MEASURES


def test_a_module_uses_what_it_names_and_what_it_was_the_first_to_load(loaded: Loaded, tmp_path: Path) -> None:
    for name, text in {
        "gates": "import importlib\nimportlib.import_module('by_name')\ndef test():\n    from package import inner\n",
        "by_name": "import constants",
        "constants": "",
        "package/__init__": "",
        "package/inner": "from . import helper",
        "package/helper": "",
        "unused": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(text)
    importlib.import_module("unused")
    gates = importlib.import_module("gates")
    assert {Path(file).stem for file in loaded.used_by(gates)} == {"by_name", "constants"}
    gates.test()
    used = {str(Path(file).relative_to(tmp_path)) for file in loaded.used_by(gates)}
    assert used == {"by_name.py", "constants.py", "package/__init__.py", "package/inner.py", "package/helper.py"}


def test_a_file_that_is_given_to_a_loader_is_seen_though_nothing_looked_for_it(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    (tmp_path / "gates.py").write_text(
        "from importlib import util\n"
        f"spec = util.spec_from_file_location('os.helper', {str(tmp_path / 'helper.py')!r})\n"
        "helper = util.module_from_spec(spec)\n"
        "spec.loader.exec_module(helper)\n"
    )
    gates = importlib.import_module("gates")
    assert loaded.look_again()[str(tmp_path / "helper.py")] == sha256(b"VALUE = 1\n")
    assert loaded.used_by(gates) == {str(tmp_path / "helper.py")}
    assert "exec_module" in vars(SourceFileLoader)
    loaded.close()
    assert "exec_module" not in vars(SourceFileLoader), "it is Python's own again"


def test_what_cannot_be_read_has_a_digest_that_no_file_has(tmp_path: Path) -> None:
    assert digest_of(str(tmp_path / "gone.py")) == NO_FILE
