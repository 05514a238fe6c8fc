"""Invented panels, and a ridge packed with one."""

import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FEATURES = {"momentum": "price", "value": "fundamental"}
DAYS, ASSETS = 400, 20


def invented_panel(*, days: int = DAYS, signal: float = 0.01, seed: int = 1) -> pd.DataFrame:
    """Rows whose next return follows yesterday's `momentum`; `signal` 0 leaves noise."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=days), [f"A{i:02d}" for i in range(ASSETS)]]
    )
    frame = index.to_frame(index=False, name=["time", "asset"])
    frame[list(FEATURES)] = rng.uniform(-0.5, 0.5, (len(frame), len(FEATURES))).astype(np.float32)
    # A position is entered a day after its score, so the signal must last that long.
    yesterday = frame.groupby("asset")["momentum"].shift(1).fillna(0)
    frame["ret_next"] = signal * yesterday + 0.01 * rng.standard_normal(len(frame))
    frame["target"] = frame["ret_next"]
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
            horizon=1,
            trained_until=date(2019, 12, 31),
            changes=changes,
            **{"tried": 1, **more},
            artifacts=artifacts,
        )
