"""The map in CONTRIBUTING.md is that of the house: its paths exist, its rooms are those of the package."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
MAP = re.findall(r"^\| (\d+) \| `(\w+)` \|", TEXT, flags=re.MULTILINE)
GENERATED = {"artifacts/"}


def test_every_path_named_exists() -> None:
    named = set(re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md|toml))`", TEXT)) - GENERATED
    named |= set(re.findall(r"(?<= )(?:tests|gates)/[\w./-]+", TEXT))
    assert len(named) > 40
    places = [ROOT, ROOT / "pytest_modelgates" / "proving"]
    assert [path for path in sorted(named) if not any((place / path).exists() for place in places)] == []


def test_every_room_of_the_package_is_in_the_map_and_nothing_else() -> None:
    package = ROOT / "pytest_modelgates"
    rooms = [path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert sorted(room for _, room in MAP) == sorted(set(rooms) - {"__init__"})


def test_the_floors_are_those_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    floors = [(str(len(layers) - n), room) for n, layer in enumerate(layers) for room in layer.split(" | ")]
    assert floors == MAP
