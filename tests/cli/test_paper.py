"""`modelgates paper` and `modelgates reconcile`: what they say, and how they end."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.model.directory import LocalDirectory, ModelDirectory
from pytest_modelgates.predictions.records import Prediction
from tests.support.handmade import Registry, log_predictions, predictions

Capture = pytest.CaptureFixture[str]
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
ASSETS = [f"A{number:02d}" for number in range(20)]


def words(registry: Registry, verb: str, *given: str) -> list[str]:
    return [verb, *given, "--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]


def predicted(registry: Registry, *, sign: float = 1.0) -> list[Prediction]:
    values = [sign * float((7 * row) % 20) for row in range(40)]
    return predictions("0" * 64, values, arm="live", model_id=registry.live)


def prices(folder: Path, days: list[str] = DAYS) -> Path:
    rows = [(day, name, 100.0 + 3 * row * place) for row, day in enumerate(days) for place, name in enumerate(ASSETS)]
    pd.DataFrame(rows, columns=["time", "asset", "price"]).to_csv(folder / "prices.csv", index=False)
    return folder / "prices.csv"


def traded(registry: Registry, folder: Path) -> int:
    return main(words(registry, "paper", "--prices", str(prices(folder))))


def test_days_are_booked_once_and_agree_with_the_gates(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    assert traded(registry, tmp_path) == 0
    said = capsys.readouterr()
    assert [line[:10] for line in said.out.splitlines()[:3]] == DAYS
    first, second, third, last = said.out.splitlines()
    assert first == "2024-01-01  traded 0.00, earned +0.00, paid 0.00, value 1,000,000.00"
    assert second == "2024-01-02  traded 1,000,000.00, earned +0.00, paid 200.00, value 999,800.00"
    assert third.startswith("2024-01-03  traded ")
    assert last.startswith("3 days booked (live), 3 in all: value ")
    assert last.endswith(f"after costs; ledger: {registry.artifacts.paper('live')}")
    assert said.err == ""
    assert traded(registry, tmp_path) == 0
    assert capsys.readouterr().out.startswith("0 days booked (live), 3 in all: value ")
    assert main(words(registry, "reconcile")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "paper (live): 2 days, 2024-01-02 to 2024-01-03, 40 positions compared"
    assert lines[1:4] == ["  signal: agrees", "  fill: agrees", "  cost: agrees"]
    assert lines[-1] == "agrees"


def test_what_differs_ends_with_one_and_is_named(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    assert traded(registry, tmp_path) == 0
    log_predictions(registry.artifacts, predicted(registry, sign=-1))
    capsys.readouterr()
    assert main(words(registry, "reconcile")) == 1
    said = capsys.readouterr().out
    assert (
        "\n  signal: 40 differ\n    2024-01-02 A00: weight -0.095 by 2024-01-01 was booked, the log says 0.095" in said
    )
    assert said.endswith("\ndiffers: signal\n")
    assert main(words(registry, "reconcile", "--json")) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["causes"], len(found["differences"]), found["days"]) == (["signal"], 40, 2)
    assert main(words(registry, "reconcile", "--since", "2025-01-01")) == 1
    assert "modelgates: inconclusive: " in capsys.readouterr().err


def test_without_a_ledger_it_is_inconclusive(registry: Registry, capsys: Capture) -> None:
    assert main(words(registry, "reconcile")) == 1
    assert capsys.readouterr().err == (
        f"modelgates: inconclusive: {registry.artifacts.paper('live')}: nothing was booked on paper yet; run: "
        "modelgates paper --prices FILE\n"
    )


def test_caps_missing_prices_and_days_without_predictions_are_said(
    registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    log_predictions(registry.artifacts, predicted(registry)[:20])
    registry.policy_file.with_name("operations.toml").write_text("[paper]\nweight = 0.05\n")
    rows = pd.read_csv(prices(tmp_path))
    rows[(rows["time"] != DAYS[2]) | (rows["asset"] != "A03")].to_csv(tmp_path / "some.csv", index=False)
    assert main(words(registry, "paper", "--prices", str(tmp_path / "some.csv"))) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "modelgates: 2024-01-02: the cap of weight cut from 0.095 to 0.05",
        "modelgates: 2024-01-03: nothing was predicted for the day before, so no position is taken by it",
        "modelgates: 2024-01-03: no price of A03: closed at the last one",
    ]
    assert main(words(registry, "reconcile")) == 0
    assert "  caps cut 1 day\n" in capsys.readouterr().out


def test_a_model_that_is_gone_and_one_that_is_no_signal_are_refused(
    registry: Registry, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_predictions(
        registry.artifacts, [msgspec.structs.replace(each, model_id="1600000000") for each in predicted(registry)]
    )
    assert traded(registry, tmp_path) == 1
    assert "1600000000 has predicted, and its directory is gone, so nobody knows" in capsys.readouterr().err
    with LocalDirectory(registry.artifacts.model(registry.live)) as model:
        sidecar = model.sidecar
    monkeypatch.setattr(
        ModelDirectory, "sidecar", msgspec.structs.replace(sidecar, task="regression", metric="r2", horizon=0)
    )
    assert traded(registry, tmp_path) == 1
    assert "not a signal whose rows name a time and an asset, so nothing can be traded" in capsys.readouterr().err


def test_borrow_is_charged_by_the_models_own_year(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    with registry.policy_file.open("a") as file:
        file.write("[costs]\nborrow_bps_per_year = 252\n")
    assert traded(registry, tmp_path) == 0
    # Two basis points of what is traded, and one of the half that is sold short.
    assert "\n2024-01-02  traded 1,000,000.00, earned +0.00, paid 250.00, " in capsys.readouterr().out
    assert main(words(registry, "reconcile")) == 0
    capsys.readouterr()


def booked(registry: Registry) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in registry.artifacts.paper("live").read_bytes().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("booked", "opened", "parts")} for line in lines]


@pytest.mark.integration
def test_a_run_that_is_killed_is_continued(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    file = prices(tmp_path, [f"2024-01-{day:02d}" for day in range(1, 29)])
    command = words(registry, "paper", "--prices", str(file))
    assert main(command) == 0
    path, whole = registry.artifacts.paper("live"), booked(registry)
    path.unlink()
    for _ in range(3):
        before = path.stat().st_size if path.exists() else 0
        with subprocess.Popen([sys.executable, "-m", "pytest_modelgates", *command], stdout=subprocess.DEVNULL) as run:
            while run.poll() is None and (not path.exists() or path.stat().st_size == before):
                time.sleep(0.0005)
            run.kill()
    assert main(command) == 0
    capsys.readouterr()
    assert booked(registry) == whole


def test_a_day_is_a_date(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["reconcile", "--since", "soon"])
    assert "'soon' is not a date; give one such as 2026-01-31" in capsys.readouterr().err
