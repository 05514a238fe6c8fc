"""A model's golden: the predictions that its live ones are compared with.

They are those on its own panel, or those in a file.
"""

from pathlib import Path

import numpy as np

from ..artifacts import Artifacts
from ..audit.writer import locked
from ..drift import save_golden_predictions
from ..drift.golden import COLUMN
from ..errors import FormatError
from ..model.directory import PANEL, ModelDirectory
from ..model.features import numeric_column
from ..model.panel import read_native_scores
from ..model.tables import read_user_table
from ..policy.operations import LockRules
from ..storage.rows import Column


def panel_predictions(model: ModelDirectory) -> np.ndarray:
    """Read a model's panel predictions, which are its golden."""
    return read_native_scores(model.verified(PANEL))


def set_golden(artifacts: Artifacts, model_id: str, source: Path | None, rules: LockRules) -> Path:
    """Save a model's panel predictions, or the predictions in a file, as its golden."""
    with ModelDirectory(artifacts.model(model_id)) as model:
        digest = model.verify(keep={PANEL})
        values = panel_predictions(model) if source is None else _predictions_in(source)
    # All goldens share one metadata file, and a promotion writes it too.
    with locked(artifacts, rules):
        return save_golden_predictions(
            values, model_id, folder=artifacts.golden, digest=digest if source is None else None
        )


def _predictions_in(source: Path) -> np.ndarray:
    values = numeric_column(read_user_table(source, [Column(COLUMN, "float64")]), COLUMN, source=str(source))
    if values.dtype.kind == "b":  # Parquet has truth values of its own
        raise FormatError(f"{source}: {COLUMN} is bool, expected numbers")
    return values
