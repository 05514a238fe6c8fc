"""How far a candidate in shadow agrees with the live model, day by day, on the rows that both have scored."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, RegistryError
from ..predictions.records import by_row_key, day_of, read_predictions
from ..registry.store import is_model, live_change
from ..stats.agreement import DailyAgreement, daily_agreement
from ..storage.digests import tree_digest


def agreement(candidate: Mapping[str, float], live: Mapping[str, float]) -> DailyAgreement:
    """Pair predictions by row key and correlate their ranks day by day.

    Raises
    ------
    InsufficientDataError
        If fewer than 20 days have two or more rows that both have scored.
    StatisticsError
        If a row key does not begin with a time of ISO 8601; a day is the UTC date of that time.
    """
    keys = [key for key in candidate if key in live]
    if len(keys) < 2:
        raise InsufficientDataError(
            f"{len(keys)} rows were scored by both models, at least 2 are needed; serve and shadow the same CSV"
        )
    days = np.array([day_of(key) for key in keys], dtype="datetime64[D]")
    return daily_agreement([candidate[key] for key in keys], [live[key] for key in keys], days)


def agree_with_live(artifacts: Artifacts, candidate: Mapping[str, float]) -> DailyAgreement:
    """Compare a candidate's predictions in shadow, by row key, with the live model's."""
    live = by_row_key(read_predictions(artifacts.predictions, digest=live_change(artifacts).digest))
    return agreement(candidate, live)


def compare(artifacts: Artifacts, model_dir: Path) -> DailyAgreement:
    """Compare a candidate's shadow predictions with the live model's."""
    if not is_model(model_dir):
        raise RegistryError(f"{model_dir.name} is unknown: no directory {model_dir}")
    candidate = by_row_key(read_predictions(artifacts.shadow_predictions, digest=tree_digest(model_dir)))
    return agree_with_live(artifacts, candidate)
