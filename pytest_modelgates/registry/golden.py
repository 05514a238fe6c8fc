"""A model's golden: the predictions that its live ones are compared with.

They are those on its own panel, or those in a file.
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from ..artifacts import Artifacts
from ..audit.events import event_of
from ..audit.kinds import GOLDEN_SET
from ..audit.writer import locked
from ..drift import save_golden_predictions
from ..drift.golden import COLUMN, golden_digest
from ..errors import FormatError
from ..evidence.seal import load_key
from ..model.directory import PANEL, ModelDirectory
from ..model.features import numeric_column
from ..model.panel import read_native_scores
from ..model.tables import read_user_table
from ..policy.operations import LockRules
from ..storage.rows import Column
from .store import append_signed


def panel_predictions(model: ModelDirectory) -> np.ndarray:
    """Read a model's panel predictions, which are its golden."""
    return read_native_scores(model.verified(PANEL))


def set_golden(
    artifacts: Artifacts,
    model_id: str,
    source: Path | None,
    rules: LockRules,
    *,
    reason: str = "",
    key: Path | None = None,
) -> Path:
    """Save a model's panel predictions, or the predictions in a file, as its golden; it is an event in the audit log.

    Parameters
    ----------
    artifacts : Artifacts
    model_id : str
    source : Path, optional
        A table whose column `prediction` becomes the golden; the model's own panel if None.
    rules : LockRules
    reason : str, optional
        For people; where the predictions are from, if left out.
    key : Path, optional
        The private key that signs the event.
    """
    with ModelDirectory(artifacts.model(model_id)) as model:
        digest = model.verify(keep={PANEL})
        values = panel_predictions(model) if source is None else _predictions_in(source)
    reason = reason or (f"from {source.name}" if source else "from its own panel")
    event = event_of(GOLDEN_SET, model_id, reason, golden_digest(values))
    private = load_key(key) if key else None
    # All goldens share one metadata file, and a promotion writes it too.
    with locked(artifacts, rules):
        # The event comes first, so that no golden changes unseen, not even through a crash.
        append_signed(artifacts, msgspec.structs.replace(event, time=datetime.now(UTC)), private)
        return save_golden_predictions(
            values, model_id, folder=artifacts.golden, digest=digest if source is None else None
        )


def _predictions_in(source: Path) -> np.ndarray:
    values = numeric_column(read_user_table(source, [Column(COLUMN, "float64")]), COLUMN, source=str(source))
    if values.dtype.kind == "b":  # Parquet has truth values of its own
        raise FormatError(f"{source}: {COLUMN} is bool, expected numbers")
    return values
