"""What a desk does on one day: python -m tests.monitoring.a_day ROOT DAY. The test of a month sets the clock."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from examples.sp500.e2e import freeze, packed
from examples.sp500.features import FEATURES, load_prices
from examples.sp500.models import MODELS
from pytest_modelgates.artifacts import Artifacts, newest_id
from pytest_modelgates.cli import main
from pytest_modelgates.proving import hermetic
from pytest_modelgates.registry.store import link_text

PACKED = {0: "lightgbm_5d", 1: "ridge_5d"}  # the day on which a model is packed
DRIFTS = 20
HOURS = 20


def feed(live: pd.DataFrame, day: int) -> pd.DataFrame:
    """The rows of a day: each hour has those of some day of 2022, drawn anew; on one day all feeds stop."""
    days = np.random.default_rng(day).choice(live["time"].unique(), HOURS, replace=False)
    hours = dict(zip(days, [f"{datetime.now(UTC).date()}T{hour:02d}:00" for hour in range(HOURS)], strict=True))
    rows = live[live["time"].isin(days)]
    rows = rows.assign(time=rows["time"].map(hours)).sort_values("time", kind="stable")
    return freeze(rows, FEATURES) if day == DRIFTS else rows


def live_one_day(root: Path, day: int) -> None:
    """Pack what is due, score the rows of the day, and do the night's work; each verb says how it ended."""
    artifacts = Artifacts(root / "artifacts")
    trained = MODELS[PACKED.get(day, "ridge_5d")](load_prices())
    if day in PACKED:
        packed(trained, artifacts.root)
    csv = root / "today.csv"
    feed(trained.data.live, day).to_csv(csv, index=False)
    live, newest = link_text(artifacts), newest_id(artifacts)
    assert newest
    verbs = [["nightly", "--promote"], ["watch"]]
    if newest != live:
        verbs.insert(0, ["shadow", f"--onnx={artifacts.model(newest) / 'model.onnx'}", f"--csv={csv}"])
    if live:
        verbs.insert(0, ["serve", f"--onnx={artifacts.latest_onnx}", f"--csv={csv}"])
    for verb, *words in verbs:
        place = [] if verb in ("serve", "shadow") else [f"--artifacts={artifacts.root}"]
        status = main([verb, *words, *place])
        print(f"== day {day}: {verb} ended with {status}; live: {link_text(artifacts)}", flush=True)


if __name__ == "__main__":
    # The processes that run gates and rehearsals live on the same day.
    hermetic.KEPT += ("LD_PRELOAD", "FAKETIME", "FAKETIME_NO_CACHE")
    live_one_day(Path(sys.argv[1]), int(sys.argv[2]))
