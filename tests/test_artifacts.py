"""Model ids, and where everything lies below the artifacts root."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts, checked_id
from pytest_modelgates.errors import RegistryError
from pytest_modelgates.model.directory import FILES


@given(seconds=st.integers(10**9, 10**12 - 1))
def test_the_time_of_packing_is_a_model_id(seconds: int) -> None:
    assert checked_id(str(seconds)) == str(seconds)


NOT_IDS = [
    pytest.param("", id="empty"),
    pytest.param("latest", id="word"),
    pytest.param("..", id="parent"),
    pytest.param("176388467", id="nine-digits"),
    pytest.param("1763884678123", id="thirteen-digits"),
    pytest.param("1763884678\n", id="newline"),
    pytest.param("1763884678/..", id="path"),
    pytest.param("-1763884678", id="negative"),
    pytest.param("\uff11" * 10, id="full-width-digits"),
    pytest.param(".staging-17638846", id="staging"),
]


@pytest.mark.parametrize("name", NOT_IDS)
def test_anything_else_is_refused(name: str) -> None:
    message = f"{name!r} is not a model id: expected the 10 to 12 digits of a Unix time, such as 1763884678"
    for check in (checked_id, Artifacts(Path("root")).model, Artifacts(Path("root")).reports):
        with pytest.raises(RegistryError, match=f"^{re.escape(message)}$"):
            check(name)


def test_the_root_lies_two_levels_above_a_model(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    model = artifacts.model("1763884678")
    model.mkdir(parents=True)
    assert Artifacts.of(model) == artifacts
    artifacts.latest.symlink_to(model.name)
    assert Artifacts.of(artifacts.latest) == artifacts


def test_every_place_keeps_the_name_that_others_rely_on() -> None:
    artifacts = Artifacts(Path("artifacts"))
    assert set(FILES) == {
        "model.onnx",
        "sidecar.json",
        "parity.json",
        "bench.json",
        "CHANGES.md",
        "evaluation.parquet",
        "manifest.json",
    }
    moment = datetime(2026, 11, 23, 7, 30, 0, 1, tzinfo=UTC)
    places = {
        "models": artifacts.models,
        "models/1763884678": artifacts.model("1763884678"),
        "models/latest": artifacts.latest,
        "models/latest.onnx": artifacts.latest_onnx,
        "latest_id.txt": artifacts.latest_id,
        "promotions.log": artifacts.promotions,
        "golden": artifacts.golden,
        "predictions": artifacts.predictions,
        "predictions.jsonl": artifacts.newest_parts["live"],
        "shadow/predictions.jsonl": artifacts.newest_parts["shadow"],
        "reports/1763884678": artifacts.reports("1763884678"),
        "reports/1763884678/20261123T073000.000001Z.json": artifacts.new_report("1763884678", moment),
    }
    assert {name: Path("artifacts") / name for name in places} == places
