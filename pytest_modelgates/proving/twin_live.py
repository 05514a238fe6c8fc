"""Changes of what happened while a twin was live."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ..artifacts import Artifacts
from ..model.candidate import Candidate
from ..policy.place import operations_at
from ..predictions.parts import PartWriter
from ..predictions.records import FORMAT, Prediction
from ..serving.drill import Drill, Shown, record_drill
from ..serving.paper import trade_on_paper
from ..serving.prices import Quotes
from ..stats.costs import Costs
from ..storage.digests import tree_digest

__all__ = ["old_drill", "other_ledger"]

_LONG_AGO = timedelta(days=36_500)
_DAYS, _CAPITAL, _PRICE = 3, 1e6, 100.0


def old_drill(target: Path) -> None:
    """Record a drill of the kill switch that was made a hundred years ago."""
    then = datetime.now(UTC) - _LONG_AGO
    shown = Shown(server="twin", model="twin", stopped_s=0.0, resumed_s=0.0, why=None)
    record_drill(Artifacts.of(target), Drill(began=then, ended=then, actor="twin", servers=(shown,)))


def other_ledger(target: Path) -> None:
    """Trade on paper by the opposite of what the log then says was predicted."""
    candidate = Candidate(target)
    panel, artifacts = candidate.panel, candidate.artifacts
    operations = operations_at(artifacts)
    frame = panel.frame.assign(score=panel.native_scores)[panel.day_codes < _DAYS]
    times, names = (frame[key] for key in panel.sidecar.keys)
    scores: dict[date, dict[str, float]] = {}
    for time, name, score in zip(times, names, frame["score"], strict=True):
        scores.setdefault(time.date(), {})[str(name)] = float(score)
    prices = {day: Quotes(dict.fromkeys(row, _PRICE)) for day, row in scores.items()}
    for sign in (-1, 1):
        _predict(candidate, scores, sign)
        trade_on_paper(
            artifacts,
            "live",
            prices,
            horizon_of=lambda _: panel.sidecar.horizon,
            costs=Costs(),
            capital=_CAPITAL,
            limits=operations.paper,
            lock_timeout_s=operations.registry.lock_timeout_s,
        )


def _predict(candidate: Candidate, scores: Mapping[date, Mapping[str, float]], sign: int) -> None:
    digest, artifacts = tree_digest(candidate.directory), candidate.artifacts
    with PartWriter(artifacts, "live", operations_at(artifacts).registry) as log:
        log.write(
            [
                Prediction(
                    time=candidate.manifest.created,
                    row_key=f"{day}|{name}",
                    model_id=candidate.directory.name,
                    digest=digest,
                    schema_crc32=candidate.sidecar.schema_crc32,
                    prediction=sign * score,
                    latency_ms=1.0,
                    arm="live",
                    format=FORMAT,
                )
                for day, row in scores.items()
                for name, score in row.items()
            ]
        )
