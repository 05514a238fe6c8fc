"""`modelgates outcomes`: what is added, and what is shown."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pytest_modelgates.cli import main
from tests.support.handmade import Registry, log_predictions, predictions

Capture = pytest.CaptureFixture[str]


def words(registry: Registry, *given: str) -> list[str]:
    return ["outcomes", *given, "--artifacts", str(registry.artifacts.root)]


def test_outcomes_are_added_by_the_live_models_columns_and_shown(
    registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    log_predictions(registry.artifacts, predictions("0" * 64, [0.5] * 20, arm="live"))
    log_predictions(registry.artifacts, predictions("0" * 64, [0.5] * 20))
    assets = [f"A{number:02d}" for number in range(15, 25)]
    pd.DataFrame({"time": "2024-01-01", "asset": assets, "return": 0.01}).to_csv(tmp_path / "o.csv", index=False)
    assert main(words(registry, "add", str(tmp_path / "o.csv"))) == 0
    said = "10 outcomes: 10 new, 0 known already, 0 corrected; 5 of rows that nobody predicted\n"
    assert capsys.readouterr().out == said
    assert main(words(registry, "show")) == 0
    assert capsys.readouterr().out.splitlines() == [
        "10 outcomes in 1 files, 0 corrections",
        "live: 5 of 20 predictions have one",
        "shadow: 5 of 20 predictions have one",
    ]
    assert main(words(registry, "show", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arms"]["live"] == {"rows": 20, "with_outcome": 5}


def test_a_file_that_matches_nothing_ends_with_one(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "o.csv").write_text("time,asset,return\n1999-01-01,A00,0.1\n")
    assert main(words(registry, "add", str(tmp_path / "o.csv"))) == 1
    assert "none of its 1 rows was predicted, such as 1999-01-01|A00; write times" in capsys.readouterr().err
