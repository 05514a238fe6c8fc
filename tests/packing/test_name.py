"""What the models of an artifacts root are called: one name."""

import re
from pathlib import Path

import pytest

from pytest_modelgates.errors import PackError
from pytest_modelgates.model.directory import LocalDirectory
from pytest_modelgates.packing.kinds import SCOPE
from tests.support.panels import invented_panel, pack_ridge


def name_of(directory: Path) -> str:
    with LocalDirectory(directory) as model:
        return model.sidecar.name


def test_a_model_without_a_name_is_called_model(good_model: Path) -> None:
    assert name_of(good_model) == "model"


def test_every_model_of_a_root_has_the_name_of_the_newest(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    assert name_of(pack_ridge(root, name="equities-5d")) == "equities-5d"
    message = (
        f"name: 'model', but the models of {root} are called 'equities-5d'; give that name, or pack into another "
        "artifacts root"
    )
    with pytest.raises(PackError, match=f"^{re.escape(message)}\n{SCOPE}$"):
        pack_ridge(root, invented_panel(seed=2))
    assert name_of(pack_ridge(root, invented_panel(seed=2), name="equities-5d")) == "equities-5d"


@pytest.mark.parametrize("name", ["", "Model", "-x", "a b", "a/b", "é", "x" * 65])
def test_a_name_fits_an_address_and_a_metric(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackError, match=r"^name: Expected `str` "):
        pack_ridge(tmp_path / "artifacts", name=name)
