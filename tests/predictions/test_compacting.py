"""Closed parts as Parquet: the same records and the same closing line, or left as they are."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.predictions.compacting import compact
from pytest_modelgates.predictions.counting import Tally, Window, count_log
from pytest_modelgates.predictions.following import Follower
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.predictions.reading import Reading, read_part
from pytest_modelgates.predictions.records import encode_predictions
from tests.support.handmade import log_predictions, logged, predictions

DIGEST = "0" * 64
FULL = {
    "row_time": datetime(2024, 1, 1, 16, tzinfo=UTC),
    "request": "feed-7",
    "features": [0.1, None, 3.0],
    "format": 2,
}


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """A root with two closed parts; the link leads to the second."""
    root = Artifacts(tmp_path / "artifacts")
    root.models.mkdir(parents=True)
    log_predictions(root, predictions(DIGEST, [0.1, None, 1 / 3, -0.0, 5e-324], **FULL))
    log_predictions(root, predictions(DIGEST, [1.0]))
    return root


def test_a_part_reads_the_same_as_parquet(artifacts: Artifacts) -> None:
    before, (part, _) = logged(artifacts, "shadow"), parts(artifacts, "shadow")
    follower = Follower(artifacts, "shadow", DIGEST, hours=0)
    first = follower.read()
    assert compact(artifacts, part) is None
    packed, _ = parts(artifacts, "shadow")
    assert packed.path == part.path.with_suffix(".parquet")
    assert not part.path.exists()
    assert logged(artifacts, "shadow") == before
    tally = Tally()
    list(count_log(artifacts, "shadow", Window(), tally))
    assert (tally.lines, tally.counted, tally.failed, tally.closed, tally.complete) == (6, 5, 1, 2, True)
    again = follower.read()
    assert first
    assert again
    assert sorted(again.values) == sorted(first.values)
    assert (packed.day, packed.name) == (part.day, part.name)


def test_parquet_that_was_altered_is_named(artifacts: Artifacts) -> None:
    part, _ = parts(artifacts, "shadow")
    compact(artifacts, part)
    path = part.path.with_suffix(".parquet")
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    tally = Tally()
    list(count_log(artifacts, "shadow", Window(), tally))
    assert tally.notes == [f"{path}: 4 lines, its last line says 5; it was altered"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and no more PAR1"])
def test_parquet_that_cannot_be_read_is_named_and_stops_no_reader(artifacts: Artifacts, content: bytes) -> None:
    part, _ = parts(artifacts, "shadow")
    compact(artifacts, part)
    path = part.path.with_suffix(".parquet")
    path.write_bytes(content)
    tally = Tally()
    assert [len(records) for records in count_log(artifacts, "shadow", Window(), tally)] == [1]
    (note,) = tally.notes
    assert note.startswith(f"{path}: not what compact made of a part (")
    assert not tally.complete


def test_parquet_of_another_tool_is_not_a_part(artifacts: Artifacts) -> None:
    part, _ = parts(artifacts, "shadow")
    path = part.path.with_suffix(".parquet")
    pq.write_table(pa.table({"prediction": [1.0]}), path)
    tally = Tally()
    list(count_log(artifacts, "shadow", Window(), tally))
    assert tally.notes == [f"{path}: not what compact made of a part (b'closing'); it was altered"]


def test_a_part_that_became_parquet_since_it_was_listed_is_read(artifacts: Artifacts) -> None:
    before, (part, _) = logged(artifacts, "shadow"), parts(artifacts, "shadow")
    compact(artifacts, part)
    assert [record for batch in read_part(part, Reading()) for record in batch] == before[:5]


def test_parts_keep_their_order_whenever_they_became_parquet(artifacts: Artifacts) -> None:
    before = [part.name for part in parts(artifacts, "shadow")]
    log_predictions(artifacts, predictions(DIGEST, [2.0], end=datetime.now(UTC) - timedelta(days=3)))
    for part in parts(artifacts, "shadow"):
        compact(artifacts, part)
    assert [part.name for part in parts(artifacts, "shadow")][-2:] == before


def test_while_a_part_lies_there_twice_it_counts_once(artifacts: Artifacts) -> None:
    part, _ = parts(artifacts, "shadow")
    content, before = part.path.read_bytes(), logged(artifacts, "shadow")
    compact(artifacts, part)
    part.path.write_bytes(content)
    assert logged(artifacts, "shadow") == before


def left(artifacts: Artifacts, change: bytes, to: bytes) -> str | None:
    part, _ = parts(artifacts, "shadow")
    content = part.path.read_bytes()
    assert change in content
    part.path.write_bytes(content.replace(change, to))
    why = compact(artifacts, part)
    assert part.path.exists()
    return why


def test_what_is_not_whole_is_left_as_it_is(artifacts: Artifacts) -> None:
    part, newest = parts(artifacts, "shadow")
    lines = part.path.read_bytes().splitlines(keepends=True)
    assert compact(artifacts, newest) == "the newest part, which a link leads to"
    altered = f"{part.path}: its lines do not have the digest that its last line gives"
    assert left(artifacts, b"feed-7", b"feed-8") == altered
    assert left(artifacts, lines[-1], b"") == "not closed"


@pytest.mark.parametrize("field", [b'"later":1,"arm"', b'"error":null,"arm"'], ids=["later", "of-0.1"])
def test_records_of_another_version_are_left_as_they_are(tmp_path: Path, field: bytes) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    artifacts.models.mkdir(parents=True)
    plain = artifacts.newest_parts["shadow"]
    plain.parent.mkdir()
    plain.write_bytes(encode_predictions(predictions(DIGEST, [1.0])).replace(b'"arm"', field))
    log_predictions(artifacts, predictions(DIGEST, [1.0]))
    part = parts(artifacts, "shadow")[0]
    assert compact(artifacts, part) == "records of another version, which Parquet would not keep as they are"
    assert len(logged(artifacts, "shadow")) == 2
    assert os.listdir(part.path.parent)
