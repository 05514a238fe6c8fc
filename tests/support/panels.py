"""Invented panels, and a ridge packed with one."""

import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FEATURES = {"momentum": "price", "value": "fundamental"}
DAYS, ASSETS = 750, 20
IC = 0.05


def invented_panel(*, days: int = DAYS, ic: float = IC, seed: int = 1) -> pd.DataFrame:
    """Rows of assets whose `momentum` has an IC with the target, the return from the next close to the one after it."""
    rng = np.random.default_rng(seed)
    # Features last: half of yesterday's value remains, so that the position does not change altogether every day.
    features, luck = rng.standard_normal((days + 1, ASSETS, len(FEATURES))), rng.standard_normal((days + 1, ASSETS))
    for day in range(1, days + 1):
        features[day] = 0.5 * features[day - 1] + np.sqrt(0.75) * features[day]
    returns = 0.01 * luck
    returns[1:] += 0.01 * ic * features[:-1, :, 0]
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=days), [f"A{i:02d}" for i in range(ASSETS)]]
    )
    frame = index.to_frame(index=False, name=["time", "asset"])
    frame[list(FEATURES)] = features[:-1].reshape(len(frame), -1).astype(np.float32)
    frame["ret_next"], frame["target"] = returns[:-1].ravel(), returns[1:].ravel()
    return frame


def pack_ridge(
    artifacts: Path,
    panel: pd.DataFrame | None = None,
    *,
    changes: str = "A ridge for tests.",
    weights: tuple[float, float] = (1, 0),
    **more: Any,
) -> Path:
    """Pack a linear model, one that scores by `momentum` alone unless the weights say otherwise."""
    from sklearn.linear_model import Ridge

    from pytest_modelgates import pack

    rows = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float32)
    model = Ridge(alpha=1e-6).fit(rows, rows @ np.array(weights) * 0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own deprecations
        return pack(
            model,
            invented_panel() if panel is None else panel,
            features=FEATURES,
            changes=changes,
            **{"horizon": 1, "trained_until": date(2019, 12, 31), "tried": 1, **more},
            artifacts=artifacts,
        )


def served_rows(directory: Path, count: int) -> list[Any]:
    """Give the first rows of a model's panel as the log keeps them, with what the native model said of each."""
    from pytest_modelgates.model.directory import PANEL, LocalDirectory
    from pytest_modelgates.model.panel import Panel
    from pytest_modelgates.monitoring.lately import Sampled

    with LocalDirectory(directory) as files:
        files.verify(keep={PANEL})
        panel = Panel.read(files.verified_panel(), files.sidecar)
    rows, scores = panel.features[:count].astype(float).tolist(), panel.native_scores[:count].tolist()
    return [
        Sampled(key=f"row {number}", features=features, prediction=score)
        for number, (features, score) in enumerate(zip(rows, scores, strict=True))
    ]
