"""What a model did lately: batches and rows minute by minute, read on where the last look ended."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.monitoring import lately
from pytest_modelgates.monitoring.lately import Lately, Sums
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.predictions.columns import Columns
from pytest_modelgates.predictions.counting import Read, Tally, Window
from pytest_modelgates.predictions.parts import Part, PartWriter, parts
from pytest_modelgates.predictions.reading import Reading
from pytest_modelgates.predictions.records import Prediction
from tests.support.handmade import log_predictions, predictions

NOW = datetime.now(UTC)
DIGEST, OTHER = "a" * 64, "b" * 64
RULES = LockRules(lock_timeout_s=5, network_file_system=True)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    found = Artifacts(tmp_path / "artifacts")
    found.models.mkdir(parents=True)
    return found


def rows(count: int, *, minutes_ago: float = 1, digest: str = DIGEST, **changes: object) -> list[Prediction]:
    """Rows of one batch."""
    end = NOW - timedelta(minutes=minutes_ago)
    return [
        msgspec.structs.replace(record, time=end, arm="live")
        for record in predictions(digest, [0.1] * count, end=end, **changes)
    ]


def reader(artifacts: Artifacts) -> Lately:
    return Lately(artifacts, "live", DIGEST, slow_ms=200.0)


def hour(found: Lately) -> Sums:
    since = NOW - timedelta(hours=1)
    assert found.read(since) is None
    return found.since(since)


def test_rows_that_were_scored_together_are_one_batch(artifacts: Artifacts) -> None:
    batches = [*rows(5, latency_ms=3.0), *rows(7, latency_ms=201.0), *rows(2, latency_ms=3.0)]
    refused = [msgspec.structs.replace(rows(1)[0], prediction=None, error="schema: x is nan", latency_ms=0.0)]
    failed = [msgspec.structs.replace(rows(1, latency_ms=5.0)[0], prediction=None, error="model: the score is inf")]
    log_predictions(artifacts, [*batches, *refused, *failed, *rows(9, digest=OTHER)])
    found = hour(reader(artifacts))
    assert (found.rows, found.rejected, found.failed) == (16, 1, 1)
    assert (found.batches, found.slow) == (4, 1)


def test_the_quantile_is_at_most_two_per_cent_too_long(artifacts: Artifacts) -> None:
    times = np.random.default_rng(2).gamma(2.0, 20.0, 400)
    records = [
        row
        for number, time in enumerate(times.tolist())
        for row in rows(1, minutes_ago=1 + number / 100, latency_ms=time)
    ]
    log_predictions(artifacts, records)
    exact = np.sort(times)[int(np.ceil(0.95 * 400)) - 1]
    assert exact <= hour(reader(artifacts)).p95_ms <= 1.02 * exact
    assert np.isnan(Sums().p95_ms)


def test_what_was_read_once_is_not_read_again(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[str]()
    real = lately.asked_columns

    def counting(part: Part, window: Window, tally: Tally, reading: Reading, *, read: Read) -> Iterator[Columns]:
        for columns in real(part, window, tally, reading, read=read):
            seen.extend([part.name] * len(columns))
            yield columns

    monkeypatch.setattr(lately, "asked_columns", counting)
    log_predictions(artifacts, rows(50, minutes_ago=180))
    found = reader(artifacts)
    with PartWriter(artifacts, "live", RULES) as log:
        log.write(rows(30))
        assert (hour(found).rows, len(seen)) == (30, 30)  # the part of three hours ago is not opened
        log.write(rows(20, minutes_ago=0.5))
        assert (hour(found).rows, len(seen)) == (50, 50)
    assert (hour(found).rows, len(seen)) == (50, 50)
    later = NOW - timedelta(minutes=0.9)
    found.read(later)
    assert found.since(later).rows in (20, 50)  # both may lie in one minute


def test_rows_with_features_are_handed_over_once(artifacts: Artifacts) -> None:
    kept = [msgspec.structs.replace(row, features=[1.0, None]) for row in rows(3)]
    log_predictions(artifacts, [*kept, *rows(4)])
    found = reader(artifacts)
    hour(found)
    sample = found.taken()
    assert [row.key for row in sample] == [row.row_key for row in kept]
    assert (sample[0].features, sample[0].prediction) == ([1.0, None], 0.1)
    assert found.taken() == []


def test_a_line_that_is_not_a_record_is_named(artifacts: Artifacts) -> None:
    log_predictions(artifacts, rows(3))
    (part,) = parts(artifacts, "live")
    part.path.write_bytes(b"nonsense\n" + part.path.read_bytes())
    said = reader(artifacts).read(NOW - timedelta(hours=1))
    assert said is not None
    assert said.startswith(f"{part.path}, line 1: not a record of a prediction (")
