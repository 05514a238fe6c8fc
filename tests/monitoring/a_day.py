"""What a desk does on one day: python -m tests.monitoring.a_day ROOT DAY. The test of a month sets the clock."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from pytest_modelgates.artifacts import Artifacts, newest_id
from pytest_modelgates.cli import main
from pytest_modelgates.proving import hermetic
from pytest_modelgates.registry.store import link_text
from tests.support.panels import FEATURES, invented_panel, pack_ridge

PACKED = {0: (1.0, 0.0), 1: (1.0, 0.1)}  # the day on which a model is packed, and its weights
DRIFTS = 20
HOURS, ASSETS = 20, 20


def feed(day: int) -> pd.DataFrame:
    """The rows of a day, by the hour; on one day they have moved."""
    rng, today = np.random.default_rng(day), datetime.now(UTC).date()
    keys = [(f"{today}T{hour:02d}:00", f"A{asset:02d}") for hour in range(HOURS) for asset in range(ASSETS)]
    frame = pd.DataFrame(keys, columns=["time", "asset"])
    moved = 2.0 if day == DRIFTS else 0.0
    frame[list(FEATURES)] = (rng.standard_normal((len(frame), len(FEATURES))) + moved).astype(np.float32)
    return frame


def live_one_day(root: Path, day: int) -> None:
    """Pack what is due, score the rows of the day, and do the night's work; each verb says how it ended."""
    artifacts = Artifacts(root / "artifacts")
    if day in PACKED:
        weights = PACKED[day]
        pack_ridge(artifacts.root, invented_panel(seed=1), weights=weights, tried=day + 1, changes=f"Day {day}.")
    csv = root / "today.csv"
    feed(day).to_csv(csv, index=False)
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
