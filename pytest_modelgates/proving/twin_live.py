"""Changes of what happened while a twin was live."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import msgspec

from ..artifacts import Artifacts
from ..audit import ab
from ..model.candidate import Candidate
from ..policy.place import operations_at
from ..predictions.outcomes import add_outcomes
from ..predictions.parts import PartWriter
from ..predictions.records import FORMAT, Prediction
from ..serving.drill import Drill, Shown, record_drill
from ..serving.paper import trade_on_paper
from ..serving.prices import Quotes
from ..stats.costs import Costs
from ..storage.digests import tree_digest
from ..storage.strict_json import readable

__all__ = ["old_drill", "other_ledger", "worse_on_live_rows"]

_LONG_AGO = timedelta(days=36_500)
_DAYS, _CAPITAL, _PRICE = 3, 1e6, 100.0
_DEALT, _NAMES, _STEP = 80, 30, 1e-3


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


def worse_on_live_rows(target: Path) -> None:
    """Record an A/B test in which the twin ranks the names the other way round than they came out."""
    candidate = Candidate(target)
    artifacts, rules = candidate.artifacts, operations_at(candidate.artifacts).registry
    now, digest = datetime.now(UTC), tree_digest(target)
    plan = ab.new_plan(
        candidate=target.name,
        candidate_digest=digest,
        live=target.name,
        live_digest=digest,
        live_since=now,
        share=ab.MOST,
        by="row",
        reason="a twin",
    )
    plan = msgspec.structs.replace(plan, started=now - timedelta(hours=2))
    rows = {
        f"{date(2024, 1, 1) + timedelta(days=day)}|T{name:02d}": name for day in range(_DEALT) for name in range(_NAMES)
    }
    for arm, sign in (("live", 1), (ab.ARM, -1)):
        with PartWriter(artifacts, arm, rules) as log:
            log.write(
                [
                    Prediction(
                        time=now - timedelta(hours=1),
                        row_key=key,
                        model_id=target.name,
                        digest=digest,
                        schema_crc32=candidate.sidecar.schema_crc32,
                        prediction=float(sign * name),
                        latency_ms=1.0,
                        arm=arm,
                        format=FORMAT,
                    )
                    for key, name in rows.items()
                    if plan.takes(key) == (arm == ab.ARM)
                ]
            )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.csv"
        # A little of each day's own, as a difference that never varies is none.
        lines = [f"{key.replace('|', ',')},{_STEP * (name + crc32(key.encode()) % 7)}" for key, name in rows.items()]
        path.write_text("\n".join(["time,asset,return", *lines]) + "\n")
        add_outcomes(artifacts, path, ["time", "asset"], rules)
    ended = ab.Ended(plan=plan, stopped=now, actor="twin", reason="a twin")
    artifacts.write(artifacts.ended_abs / f"{plan.name}.json", readable(ended))
