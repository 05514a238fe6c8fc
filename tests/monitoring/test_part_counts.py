"""What is counted of the parts of the log: each line once, ever, and the same as if all of it were read at once."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.drift.summary import Reference, Summary
from pytest_modelgates.monitoring import part_counts
from pytest_modelgates.monitoring.part_counts import add_parts, count_part, tasks_of
from pytest_modelgates.policy.place import operations_at
from pytest_modelgates.predictions import reading
from pytest_modelgates.predictions.compacting import compact
from pytest_modelgates.predictions.counting import Tally, Window, count_log
from pytest_modelgates.predictions.parts import PartWriter, parts
from pytest_modelgates.predictions.records import CONTENT, Prediction
from tests.support.handmade import predictions

MODEL, OTHER = "0" * 64, "1" * 64
RULES = operations_at(Artifacts(Path("nowhere"))).registry
REFERENCE = Reference.of(np.random.default_rng(1).standard_normal(500))
ALL = Window(digest=MODEL)
VALUES = np.random.default_rng(2).standard_normal(300).tolist()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many bytes of lines were decoded."""
    found = [0]
    blocks = reading._blocks

    def counting(*given: Any, **more: Any) -> Iterator[tuple[bytearray, int]]:
        for block, size in blocks(*given, **more):
            found[0] += size
            yield block, size

    monkeypatch.setattr(reading, "_blocks", counting)
    return iter([found])  # type: ignore[arg-type]


def write(artifacts: Artifacts, *batches: list[Prediction]) -> None:
    for batch in batches:
        with PartWriter(artifacts, "live", RULES) as log:
            log.write(batch)


def summed(artifacts: Artifacts, reference: Reference = REFERENCE, window: Window = ALL) -> tuple[Summary, Tally]:
    tally = Tally()
    found = (count_part(reference, task) for task in tasks_of(artifacts, "live", window))
    return add_parts(found, reference, tally), tally


def numbers(summary: Summary, tally: Tally) -> list[object]:
    days = {day: pieces.tolist() for day, pieces in sorted(summary.days.items())}
    of = [getattr(tally, name) for name in part_counts.NUMBERS]
    return [
        summary.counts.cells.tolist(),
        summary.counts.missing,
        days,
        summary.undated,
        of,
        tally.repeated,
        tally.notes,
    ]


def at_once(artifacts: Artifacts, window: Window = ALL) -> list[object]:
    """Count as every other reader of the log does."""
    tally, total = Tally(), REFERENCE.none()
    for records in count_log(artifacts, "live", window, tally):
        days = [record.day for record in records]
        total = total + REFERENCE.count([record.prediction for record in records], days=days)
    return numbers(total, tally)


def a_log(artifacts: Artifacts) -> None:
    """Parts with rows that failed, came again, were scored by others, or have no name."""
    mine, others = predictions(MODEL, VALUES, arm="live"), predictions(OTHER, VALUES[:50], arm="live")
    nameless = [msgspec.structs.replace(each, row_key=f"2024-02-01|{CONTENT}abc") for each in mine[:7]]
    failed = predictions(MODEL, [None] * 3, arm="live")
    write(artifacts, [*mine[:100], *failed], [*mine[100:], *mine[150:160], *others], [*nameless, *mine[:20]], others)


def test_counts_are_those_of_the_log_read_at_once_and_stay_so(artifacts: Artifacts) -> None:
    a_log(artifacts)
    expected = at_once(artifacts)
    for _ in range(3):
        assert numbers(*summed(artifacts)) == expected


def test_a_closed_part_is_read_once(artifacts: Artifacts, read_bytes: Iterator[list[int]]) -> None:
    (found,) = read_bytes
    a_log(artifacts)
    summed(artifacts)
    assert found[0] > 0
    found[0] = 0
    summed(artifacts)
    assert found[0] == 0
    write(artifacts, predictions(MODEL, VALUES[:10], arm="live"))
    summed(artifacts)
    new = parts(artifacts, "live")[-1].path.stat().st_size
    assert 0 < found[0] <= new


def test_an_open_part_is_read_on(artifacts: Artifacts, read_bytes: Iterator[list[int]]) -> None:
    (found,) = read_bytes
    mine = predictions(MODEL, VALUES, arm="live", hours=0)  # of one day, so that one part takes them
    with PartWriter(artifacts, "live", RULES) as log:
        for batch in (mine[:100], mine[90:200], mine[200:]):  # ten rows are scored again
            log.write(batch)
            before = found[0]
            summary, tally = summed(artifacts)
            assert found[0] - before < 60_000
            assert [tally.parts, tally.closed, tally.torn] == [1, 0, 0]
        assert (summary.counts.rows, tally.replaced, tally.lines) == (300, 10, 310)
        before = found[0]
        summed(artifacts)
        assert found[0] == before
    summary, tally = summed(artifacts)
    assert (summary.counts.rows, tally.replaced, tally.closed) == (300, 10, 1)
    assert numbers(summary, tally) == at_once(artifacts)


def test_rows_from_a_moment_on_are_counted_and_an_open_part_is_not_read_again(
    artifacts: Artifacts, read_bytes: Iterator[list[int]]
) -> None:
    (found,) = read_bytes
    mine = predictions(MODEL, VALUES, arm="live", hours=0)
    moments = tuple(mine[200].time + timedelta(microseconds=shift) for shift in (-(10**9), 0, 10**9))
    with PartWriter(artifacts, "live", RULES) as log:
        log.write(mine)
        for closed in (False, False, True, True):
            if closed:
                log.close()
            before = found[0]
            ((of, part, window, _),) = tasks_of(artifacts, "live", ALL)
            counts = count_part(REFERENCE, (of, part, window, moments))
            if not closed and before:
                assert found[0] == before
            rows = [counts.since[time].counts.rows if time in counts.since else 0 for time in moments]
            assert rows == [sum(record.time >= time for record in mine) for time in moments]


NOW = datetime.now(UTC).replace(microsecond=0)
WINDOWS = [
    pytest.param(None, None, id="all"),
    pytest.param(NOW - timedelta(hours=50), None, id="since"),
    pytest.param(None, NOW - timedelta(hours=60), id="until"),
    pytest.param(NOW - timedelta(hours=70), NOW - timedelta(hours=30), id="between"),
    pytest.param(NOW - timedelta(hours=48), NOW - timedelta(hours=24), id="ends-are-half-open"),
    pytest.param(NOW - timedelta(days=30), NOW - timedelta(days=20), id="before-all"),
    pytest.param(NOW - timedelta(minutes=1), None, id="the-newest"),
]


@pytest.mark.parametrize(("since", "until"), WINDOWS)
def test_a_window_counts_what_was_scored_in_it(
    artifacts: Artifacts, since: datetime | None, until: datetime | None
) -> None:
    for back in (3, 2, 1, 0):
        mine = predictions(MODEL, VALUES[back::4], arm="live", end=NOW - timedelta(days=back))
        failed = predictions(MODEL, [None] * 3, arm="live", end=NOW - timedelta(days=back))
        write(artifacts, [*mine, *failed, *mine[20:30], *predictions(OTHER, VALUES[:9], arm="live")])
    window = Window(digest=MODEL, since=since, until=until)
    expected = at_once(artifacts, window)
    for _ in range(2):  # read, and then from what was kept where that can tell
        assert numbers(*summed(artifacts, window=window)) == expected
    assert compact(artifacts, parts(artifacts, "live")[0]) is None
    for path in artifacts.predictions.glob("*/*/*.counts"):
        path.unlink()
    assert numbers(*summed(artifacts, window=window)) == expected


def test_of_a_window_only_the_parts_at_its_ends_are_read_again(
    artifacts: Artifacts, read_bytes: Iterator[list[int]]
) -> None:
    (found,) = read_bytes
    for back in (3, 2, 1, 0):
        write(artifacts, predictions(MODEL, VALUES, arm="live", hours=1, end=NOW - timedelta(days=back)))
    summed(artifacts)
    sizes = [part.path.stat().st_size for part in parts(artifacts, "live")]
    for hours, read in ((30.0, 0), (24.5, 1)):
        found[0] = 0
        summary, tally = summed(artifacts, window=Window(digest=MODEL, since=NOW - timedelta(hours=hours)))
        assert (summary.counts.rows > 300, tally.outside > 0) == (True, True)
        assert found[0] <= read * max(sizes)
        assert bool(found[0]) == bool(read)


def test_counts_that_do_not_say_when_are_read_again_for_a_window(artifacts: Artifacts) -> None:
    write(artifacts, predictions(MODEL, VALUES, arm="live"))
    summed(artifacts)
    _, path = part_of(artifacts)
    kept = msgspec.msgpack.decode(path.read_bytes())
    del kept["span"]  # as an earlier version wrote them
    path.write_bytes(msgspec.msgpack.encode(kept))
    window = Window(digest=MODEL, since=NOW - timedelta(hours=12))
    assert numbers(*summed(artifacts, window=window)) == at_once(artifacts, window)


def test_a_part_that_became_parquet_is_not_read_again(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    write(artifacts, predictions(MODEL, VALUES[:100], arm="live"), predictions(MODEL, VALUES[100:], arm="live"))
    expected = numbers(*summed(artifacts))
    assert compact(artifacts, parts(artifacts, "live")[0]) is None
    monkeypatch.setattr(reading, "_read_parquet", None)
    assert numbers(*summed(artifacts)) == expected


def part_of(artifacts: Artifacts) -> tuple[Path, Path]:
    path = parts(artifacts, "live")[0].path
    return path, path.with_suffix(".counts")


def test_a_part_that_was_altered_after_it_was_counted_is_seen(artifacts: Artifacts) -> None:
    write(artifacts, predictions(MODEL, VALUES, arm="live"))
    summed(artifacts)
    path, kept = part_of(artifacts)
    path.write_bytes(path.read_bytes().replace(b'"latency_ms":1.0', b'"latency_ms":2.0', 1))
    os.utime(path, ns=(1, 1))
    assert summed(artifacts)[1].altered == 1
    assert summed(artifacts)[1].altered == 1, "said again, since it is not kept"
    assert kept.exists()


def test_an_open_part_whose_beginning_changed_is_read_anew(artifacts: Artifacts) -> None:
    with PartWriter(artifacts, "live", RULES) as log:
        log.write(predictions(MODEL, VALUES, arm="live"))
        summed(artifacts)
        path, _ = part_of(artifacts)
        path.write_bytes(path.read_bytes().split(b"\n", 1)[1])
        assert summed(artifacts)[0].counts.rows == 299


SPOILED = [
    pytest.param(lambda content: b"", id="empty"),
    pytest.param(lambda content: content[: len(content) // 2], id="cut-short"),
    pytest.param(lambda content: b"\xff" * 99, id="noise"),
    pytest.param(lambda content: content.replace(MODEL.encode(), OTHER.encode()), id="of-another-model"),
    pytest.param(lambda content: content.replace(b"\xa6format\x02", b"\xa6format\x03"), id="of-a-later-version"),
    pytest.param(lambda content: content.replace(b"counted", b"counter"), id="other-numbers"),
]


@pytest.mark.parametrize("spoil", SPOILED)
def test_counts_that_are_damaged_or_others_are_made_again(artifacts: Artifacts, spoil: object) -> None:
    write(artifacts, predictions(MODEL, VALUES, arm="live"))
    expected = numbers(*summed(artifacts))
    _, kept = part_of(artifacts)
    whole = kept.read_bytes()
    kept.write_bytes(spoil(whole))  # type: ignore[operator]
    assert kept.read_bytes() != whole
    assert numbers(*summed(artifacts)) == expected
    assert kept.read_bytes() == whole


def test_another_golden_is_counted_for_anew(artifacts: Artifacts) -> None:
    write(artifacts, predictions(MODEL, VALUES, arm="live"))
    summed(artifacts)
    other = Reference.of([0.0, 1.0])
    assert summed(artifacts, other)[0].counts.grid == other.grid.golden.grid


def test_a_line_that_is_not_a_record_is_said_each_time(artifacts: Artifacts) -> None:
    write(artifacts, predictions(MODEL, VALUES[:10], arm="live"))
    path, kept = part_of(artifacts)
    path.write_bytes(b"{}\n")
    for _ in range(2):
        tally = summed(artifacts)[1]
        assert (tally.bad, len(tally.notes)) == (1, 1)
    assert not kept.exists()


def test_counts_that_may_not_be_written_are_made_each_time(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    write(artifacts, predictions(MODEL, VALUES, arm="live"))
    monkeypatch.setattr(Artifacts, "write", refused)
    assert numbers(*summed(artifacts)) == at_once(artifacts)
    assert not part_of(artifacts)[1].exists()


def test_counts_survive_a_copy_of_the_registry(artifacts: Artifacts, tmp_path: Path) -> None:
    write(artifacts, predictions(MODEL, VALUES, arm="live"))
    expected = numbers(*summed(artifacts))
    shutil.copytree(artifacts.root, tmp_path / "copy", symlinks=True)
    assert numbers(*summed(Artifacts(tmp_path / "copy"))) == expected


@pytest.mark.parametrize("most", [1, 3, 40, 1_000, 10**9])
def test_a_number_that_comes_again_is_found_wherever_it_stands(most: int) -> None:
    """Few of them share a place in the table in any case, and many do if they have the same last bits."""
    rng = np.random.default_rng(most)
    for shift in (0, 8, 40):
        for size in [0, 1, 2, 3, 5, 8, 30, 200]:
            numbers = rng.integers(0, most, size, endpoint=True).astype(np.uint64) << np.uint64(shift)
            assert part_counts._any_twice(numbers) == (np.unique(numbers).size < size)
