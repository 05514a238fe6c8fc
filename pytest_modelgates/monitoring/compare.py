"""How far a candidate in shadow agrees with the live model, day by day, on the rows that both have scored."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, RegistryError
from ..predictions.counting import Window, count_whole
from ..predictions.records import Prediction
from ..registry.store import is_model, live_change
from ..stats.agreement import DailyAgreement, DayAgreement, mean_agreement
from ..storage.digests import tree_digest
from .pairs import pairs_by_day


def agreement(candidate: Iterable[list[Prediction]], live: Iterable[list[Prediction]]) -> DailyAgreement:
    """Pair predictions by row key and correlate their ranks day by day.

    Raises
    ------
    InsufficientDataError
        If fewer than 20 days have two or more rows that both have scored.
    StatisticsError
        If a row key does not begin with a time of ISO 8601; a day is the UTC date of that time.
    """
    days, rows = dict[date, DayAgreement](), 0
    for day, ours, theirs in pairs_by_day(candidate, live):
        rows += ours.size
        if ours.size > 1:
            days[day] = DayAgreement.of(ours, theirs)
    if rows < 2:
        raise InsufficientDataError(
            f"{rows} rows were scored by both models, at least 2 are needed; serve and shadow the same CSV"
        )
    return mean_agreement(days[day] for day in sorted(days))


def agree_with_live(artifacts: Artifacts, digest: str) -> DailyAgreement:
    """Compare a candidate's predictions in shadow, by row key, with the live model's."""
    live = Window(digest=live_change(artifacts).digest)
    return agreement(count_whole(artifacts, "shadow", Window(digest=digest)), count_whole(artifacts, "live", live))


def compare(artifacts: Artifacts, model_dir: Path) -> DailyAgreement:
    """Compare a candidate's shadow predictions with the live model's."""
    if not is_model(model_dir):
        raise RegistryError(f"{model_dir.name} is unknown: no directory {model_dir}")
    return agree_with_live(artifacts, tree_digest(model_dir))
