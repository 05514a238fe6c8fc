"""Where each value in force comes from."""

import tomllib
from pathlib import Path

from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.policy.sources import Layer, Value, values
from pytest_modelgates.policy.toml import packaged
from pytest_modelgates.storage.toml_positions import Keys, Positions

TEXT = """
[costs]
half_spread_bps = 3
[tasks]
regression = ["wf"]
[slo]
"drift.psi" = {below = 0.2}
[[waiver]]
gate = "drift.psi"
digest = "DIGEST"
reason = "r"
owner = "o"
until = 2026-12-01
""".replace("DIGEST", "0" * 64)


def by_key(tmp_path: Path) -> dict[Keys, Value]:
    file = tmp_path / "policy.toml"
    file.write_text(TEXT)
    own = Layer("registry/policy.toml", tomllib.loads(TEXT), Positions(TEXT))
    found = list(values(load_policy(file), [Layer(None, packaged("default.toml")), own]))
    assert len({value.key for value in found}) == len(found)
    return {value.key: value for value in found}


def test_a_value_comes_from_the_file_that_says_it_last(tmp_path: Path) -> None:
    found = by_key(tmp_path)
    sources = {key: (found[key].value, found[key].source) for key in found}
    assert sources["costs", "half_spread_bps"] == (3, "policy.toml:3")
    assert sources["costs", "capital"] == (1e6, "packaged")
    assert sources["tasks", "regression"] == (("wf",), "policy.toml:5")
    assert sources["tasks", "signal"][1] == "packaged"
    assert sources["slo", "drift.psi", "below"] == (0.2, "policy.toml:7")
    assert sources["slo", "drift.psi", "severity"] == ("hard", "packaged")
    assert sources["waiver", 0, "owner"] == ("o", "policy.toml:12")


def test_what_follows_from_other_keys_is_called_computed(tmp_path: Path) -> None:
    found = by_key(tmp_path)
    assert found["slo", "pnl.break_even", "above"] == Value(("slo", "pnl.break_even", "above"), 3, None, None, True)
    assert [key for key, value in found.items() if value.computed] == [("slo", "pnl.break_even", "above")]


def test_a_bound_that_another_one_took_the_place_of_is_not_in_force(tmp_path: Path) -> None:
    assert ("slo", "drift.psi", "at_most") not in by_key(tmp_path)


def test_every_packaged_value_is_in_force_by_itself() -> None:
    for kind, name in ((load_policy(None), "default.toml"), (load_operations(None, policy=None)[0], "operations.toml")):
        tables = packaged(name)
        found = {value.key: value for value in values(kind, [Layer(None, tables)])}
        leaves = [
            (*path, name) for path, table in tables_of(tables, ()) for name, item in table.items() if not_table(item)
        ]
        assert set(leaves) <= set(found)
        assert {value.source for key, value in found.items() if key in leaves} == {"packaged"}


def tables_of(table: dict[str, object], path: Keys) -> list[tuple[Keys, dict[str, object]]]:
    inner = [
        place for name, item in table.items() if isinstance(item, dict) for place in tables_of(item, (*path, name))
    ]
    return [(path, table), *inner]


def not_table(item: object) -> bool:
    return not isinstance(item, dict)
