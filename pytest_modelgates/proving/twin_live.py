"""Changes of what happened while a twin was live."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..artifacts import Artifacts
from ..serving.drill import Drill, Shown, record_drill

__all__ = ["old_drill"]

_LONG_AGO = timedelta(days=36_500)


def old_drill(target: Path) -> None:
    """Record a drill of the kill switch that was made a hundred years ago."""
    then = datetime.now(UTC) - _LONG_AGO
    shown = Shown(server="twin", model="twin", stopped_s=0.0, resumed_s=0.0, why=None)
    record_drill(Artifacts.of(target), Drill(began=then, ended=then, actor="twin", servers=(shown,)))
