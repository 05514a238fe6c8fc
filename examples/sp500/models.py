"""The four models of the example, as they came out: none was tuned to pass a gate."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from .features import FEATURES, Split, build, split, training_label


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted model, the days it holds a position, and the data it was cut from.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    estimator : LGBMRegressor or Ridge
        Fitted on the training rows; takes the `FEATURES` in their order, no names.
    horizon : int
        Days that a position is held [day].
    data : Split
        Training, panel and live rows for that horizon.
    """

    name: str
    estimator: LGBMRegressor | Ridge
    horizon: int
    data: Split


def lightgbm_5d(prices: pd.DataFrame) -> Trained:
    """Fit small trees on a 5-day horizon."""
    return _train("lightgbm_5d", _trees(n_estimators=100, num_leaves=8, learning_rate=0.03, min_rows=500), prices, 5)


def ridge_5d(prices: pd.DataFrame) -> Trained:
    """Fit a line on a 5-day horizon."""
    return _train("ridge_5d", Ridge(alpha=1.0), prices, 5)


def ridge_1d(prices: pd.DataFrame) -> Trained:
    """Fit a line on a 1-day horizon: it trades so much that costs eat it."""
    return _train("ridge_1d", Ridge(alpha=1.0), prices, 1)


def lightgbm_overfit(prices: pd.DataFrame) -> Trained:
    """Fit trees that learn the training rows by heart, on a 5-day horizon."""
    return _train(
        "lightgbm_overfit", _trees(n_estimators=400, num_leaves=255, learning_rate=0.1, min_rows=5), prices, 5
    )


MODELS: dict[str, Callable[[pd.DataFrame], Trained]] = {
    "lightgbm_5d": lightgbm_5d,
    "ridge_5d": ridge_5d,
    "ridge_1d": ridge_1d,
    "lightgbm_overfit": lightgbm_overfit,
}


def inputs(frame: pd.DataFrame) -> NDArray[np.float32]:
    """Give the rows a model scores, shape (n_rows, n_features): the float32 that ONNX Runtime gets too."""
    return np.asarray(frame[FEATURES], dtype=np.float32)


def _trees(*, n_estimators: int, num_leaves: int, learning_rate: float, min_rows: int) -> LGBMRegressor:
    return LGBMRegressor(
        n_estimators=n_estimators,
        num_leaves=num_leaves,
        learning_rate=learning_rate,
        min_child_samples=min_rows,
        random_state=0,
        # Two threads on a busy machine took a hundred times as long as one.
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )


def _train(name: str, estimator: LGBMRegressor | Ridge, prices: pd.DataFrame, horizon: int) -> Trained:
    data = split(build(prices, horizon=horizon), horizon=horizon)
    # Ridge would solve in float32 if given float32, and its coefficients would then depend on the machine.
    estimator.fit(inputs(data.train).astype(np.float64), training_label(data.train))
    return Trained(name=name, estimator=estimator, horizon=horizon, data=data)
