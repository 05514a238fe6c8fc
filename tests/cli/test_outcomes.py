"""`modelgates outcomes`: what is added, and what is shown."""

import json
import re
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import ModelDirectory
from pytest_modelgates.storage.digests import tree_digest
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
        "10 outcomes in 1 file, 0 corrections",
        "live: 5 of 20 predictions have one",
        "shadow: 5 of 20 predictions have one",
    ]
    assert main(words(registry, "show", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arms"]["live"] == {"rows": 20, "with_outcome": 5}


def test_a_file_that_matches_nothing_ends_with_one(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "o.csv").write_text("time,asset,return\n1999-01-01,A00,0.1\n")
    assert main(words(registry, "add", str(tmp_path / "o.csv"))) == 1
    assert "1 row, none predicted, such as 1999-01-01|A00; write times" in capsys.readouterr().err


def test_what_predictions_have_come_to_is_shown(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    rng, digest = np.random.default_rng(1), tree_digest(registry.artifacts.model(registry.live))
    records = predictions(digest, rng.standard_normal(800).tolist(), arm="live")
    log_predictions(registry.artifacts, records)
    times, assets = zip(*(record.row_key.split("|") for record in records), strict=True)
    returns = 0.01 * rng.standard_normal(800)
    pd.DataFrame({"time": times, "asset": assets, "return": returns}).to_csv(tmp_path / "o.csv", index=False)
    assert main(words(registry, "add", str(tmp_path / "o.csv"))) == 0
    capsys.readouterr()
    assert main(words(registry, "realised")) == 0
    first, days, means, earned, risk = capsys.readouterr().out.splitlines()
    assert first == f"{registry.live} as live: 800 rows with an outcome; 0 have none yet"
    assert days == "  39 days, 2024-01-01 to 2024-02-09"
    number = r"-?\d\.\d{4}"
    interval = rf"{number} \({number} to {number}\)"
    assert re.fullmatch(rf"  IC of a day {interval}; after costs {interval}", means)
    assert re.fullmatch(r"  earned -?\d+\.\d\d% of capital after costs, on paper", earned)
    number = r"-?\d+\.\d\d"
    risks = rf"  Sharpe {number} ± {number} a year, drawdown {number}%, turnover {number} a day"
    assert re.fullmatch(risks, risk)
    assert main(words(registry, "realised", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["days"], found["metric"]) == (800, 39, None)
    assert main(words(registry, "realised", registry.candidate, "--arm", "shadow")) == 1
    assert "no outcome is known of the 0 rows that" in capsys.readouterr().err


@pytest.mark.parametrize(("lacks", "named"), [("asset", "a name"), ("time", "a time")])
def test_rows_that_go_by_what_they_hold_have_no_outcomes(
    lacks: str, named: str, registry: Registry, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "o.csv").write_text("time,asset,label\n2024-01-01,A00,1\n")
    changes = {"task": "regression", "metric": "r2", "horizon": 0, lacks: None}
    changes |= {"trained_until": None} if lacks == "time" else {}
    sidecar = msgspec.structs.replace(Candidate(registry.artifacts.model(registry.live)).sidecar, **changes)
    monkeypatch.setattr(ModelDirectory, "sidecar", sidecar)
    assert main(words(registry, "add", str(tmp_path / "o.csv"))) == 1
    assert capsys.readouterr().err == (
        f"modelgates: the model's rows lack {named}, so they go by what they hold, and no outcome names them\n"
    )
