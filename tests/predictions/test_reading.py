"""What is read of a part: records in order, past lines that are none, which are named."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.predictions.counting import Tally, Window, count_log, count_whole, values_of
from pytest_modelgates.predictions.parts import Part, parts
from pytest_modelgates.predictions.reading import Reading, read_part
from pytest_modelgates.predictions.records import Prediction, encode_predictions
from pytest_modelgates.storage.row_keys import in_utc
from tests.support.handmade import log_predictions, predictions

DIGEST = "0" * 64
RECORDS = predictions(DIGEST, [1.0, 2.0, 3.0])


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """An artifacts root without models."""
    root = Artifacts(tmp_path / "artifacts")
    root.models.mkdir(parents=True)
    return root


def closed(artifacts: Artifacts, records: list[Prediction] = RECORDS) -> Part:
    """Log records as a closed part."""
    log_predictions(artifacts, records)
    return parts(artifacts, records[0].arm)[-1]


def tally_of(artifacts: Artifacts, window: Window | None = None) -> Tally:
    tally = Tally()
    for _ in count_log(artifacts, "shadow", window or Window(), tally):
        pass
    return tally


@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_what_was_logged_is_read(tmp_path_factory: pytest.TempPathFactory, values: list[float | None]) -> None:
    artifacts = Artifacts(tmp_path_factory.mktemp("artifacts"))
    part = closed(artifacts, predictions(DIGEST, values))
    reading = Reading()
    assert [record for batch in read_part(part, reading) for record in batch] == predictions_as(values, part)
    assert (reading.bad, reading.torn, reading.altered) == (0, 0, None)
    assert reading.closing
    assert reading.closing.closed == len(values)


def predictions_as(values: list[float | None], part: Part) -> list[Prediction]:
    """The same records, with the times that were written."""
    times = [msgspec.json.decode(line)["time"] for line in part.path.read_bytes().splitlines()[:-1]]
    return [
        msgspec.structs.replace(record, time=in_utc(time))
        for record, time in zip(predictions(DIGEST, values), times, strict=True)
    ]


def test_the_keys_of_a_line_are_those_of_the_format() -> None:
    (record,) = predictions(DIGEST, [0.5], row_time=datetime(2024, 1, 1, tzinfo=UTC), format=2, features=[1.5, None])
    time = f"{record.time:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert encode_predictions([record]).decode() == (
        f'{{"time":"{time}","row_key":"2024-01-01|A00","model_id":"1700000000","digest":"{DIGEST}",'
        '"schema_crc32":"00000000","prediction":0.5,"latency_ms":1.0,"arm":"shadow",'
        '"row_time":"2024-01-01T00:00:00Z","features":[1.5,null],"format":2}\n'
    )


def test_fields_of_a_later_version_are_read_over(artifacts: Artifacts) -> None:
    part = closed(artifacts)
    lines = encode_predictions(RECORDS).replace(b'"arm"', b'"region":{"of":"later"},"arm"')
    part.path.write_bytes(lines)
    assert [record.prediction for batch in read_part(part, Reading()) for record in batch] == [1.0, 2.0, 3.0]
    assert tally_of(artifacts).complete


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b'{"time":"2026-01-01T00:0\n', "Input data was truncated", id="torn"),
        pytest.param(b"\n", "Input data was truncated", id="blank"),
        pytest.param(b"\xff\xfe\n", "invalid character", id="no-text"),
        pytest.param(b"{}\n", "missing required field `time`", id="empty"),
        pytest.param(encode_predictions(RECORDS).replace(b"shadow", b"Sh ow"), "matching regex", id="arm"),
        pytest.param(b'{"closed":1}\n', "missing required field `time`", id="half-closed"),
    ],
)
def test_a_line_inside_that_is_no_record_is_named_and_counted(artifacts: Artifacts, line: bytes, said: str) -> None:
    part, good = closed(artifacts), encode_predictions(RECORDS)
    part.path.write_bytes(good + line + good)
    tally = tally_of(artifacts)
    assert (tally.counted, tally.replaced, tally.bad) == (3, 3, line.count(b"\n"))
    assert tally.notes[0].startswith(f"{part.path}, line 4: not a record of a prediction (")
    assert said in tally.notes[0]
    with pytest.raises(InsufficientDataError) as refused:
        list(count_whole(artifacts, "shadow", Window()))
    assert str(refused.value) == (
        f"the log of shadow predictions is not whole: {tally.notes[0]}; see: modelgates predictions --arm shadow"
    )


ALTERED: dict[str, tuple[Callable[[bytes], bytes], str, int]] = {
    "another-value": (
        lambda content: content.replace(b'"prediction":2.0', b'"prediction":9.0'),
        "{path}: its lines do not have the digest that its last line gives; it was altered",
        0,
    ),
    "a-line-less": (
        lambda content: b"".join(content.splitlines(keepends=True)[1:]),
        "{path}: 2 lines, its last line says 3; it was altered",
        0,
    ),
    "a-line-after-its-end": (
        lambda content: content + content.splitlines(keepends=True)[0],
        "{path}, line 5: after the line that closes the part, where nothing may be",
        1,
    ),
}


@pytest.mark.parametrize("case", ALTERED)
def test_a_part_that_was_altered_after_its_end_is_named(artifacts: Artifacts, case: str) -> None:
    change, says, bad = ALTERED[case]
    part = closed(artifacts)
    part.path.write_bytes(change(part.path.read_bytes()))
    tally = tally_of(artifacts)
    assert (tally.notes, tally.bad, tally.closed) == ([says.format(path=part.path)], bad, 1)
    assert not tally.complete


@pytest.mark.parametrize("cut", [1, 30, 200, 400])
def test_a_part_that_was_cut_short_is_one_that_is_not_closed(artifacts: Artifacts, cut: int) -> None:
    part = closed(artifacts)
    content = part.path.read_bytes()
    part.path.write_bytes(content[:-cut])
    tally = tally_of(artifacts)
    assert (tally.closed, tally.torn, tally.bad) == (0, 1, 0)
    assert tally.counted == content[:-cut].count(b"\n")


def test_a_line_without_an_end_is_not_read_into_memory(artifacts: Artifacts) -> None:
    part = closed(artifacts)
    part.path.write_bytes(encode_predictions(RECORDS) + b"x" * 3_000_000)
    tally = tally_of(artifacts)
    assert (tally.counted, tally.bad) == (3, 1)
    assert tally.notes == [f"{part.path}, line 4: longer than 1048576 bytes; not read further"]


def test_a_record_from_the_future_does_not_count_and_is_named(artifacts: Artifacts) -> None:
    soon, later = datetime.now(UTC) + timedelta(minutes=3), datetime.now(UTC) + timedelta(minutes=9)
    part = closed(artifacts, [*predictions(DIGEST, [1.0], end=soon), *predictions(DIGEST, [2.0], end=later)])
    tally = tally_of(artifacts)
    assert (tally.counted, tally.future, tally.complete) == (1, 1, False)
    assert tally.notes == [f"{part.path}: a record of {later:%Y-%m-%d %H:%M} UTC, which is yet to come"]


@settings(max_examples=30, deadline=None)
@given(
    drawn=st.lists(
        st.tuples(st.sampled_from("abc"), st.none() | st.just(1.0), st.booleans(), st.integers(-3, 3), st.booleans()),
        min_size=1,
        max_size=40,
    ),
    split=st.integers(1, 5),
)
def test_the_counts_of_a_log_add_up_to_its_lines(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, float | None, bool, int, bool]], split: int
) -> None:
    artifacts, now = Artifacts(tmp_path_factory.mktemp("artifacts")), datetime.now(UTC)
    for begin in range(0, len(drawn), split):
        lines = []
        for key, value, own, hours, good in drawn[begin : begin + split]:
            (record,) = predictions(DIGEST if own else "1" * 64, [value], row_key=key, end=now + timedelta(hours=hours))
            lines.append(encode_predictions([record]) if good else b"?\n")
        path = artifacts.predictions / "shadow" / f"{now:%Y-%m-%d}" / f"host-1-{begin}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(lines))
    tally = Tally()
    window = Window(digest=DIGEST, since=now - timedelta(hours=1))
    found = [record for part in count_log(artifacts, "shadow", window, tally) for record in part]
    parted = (tally.counted, tally.failed, tally.replaced, tally.others, tally.outside, tally.future, tally.bad)
    assert sum(parted) == tally.lines == len(drawn)
    assert len(found) == tally.counted
    assert len({record.row_key for record in found}) == round(tally.counted * (1 - tally.repeated))


def test_the_last_prediction_of_a_row_counts_within_a_part_and_again_in_another(artifacts: Artifacts) -> None:
    closed(artifacts, [*predictions(DIGEST, [1.0, 2.0, 3.0]), *predictions(DIGEST, [4.0, None])])
    closed(artifacts, predictions(DIGEST, [5.0]))
    tally = Tally()
    assert values_of(count_log(artifacts, "shadow", Window(), tally)).tolist() == [2.0, 3.0, 4.0, 5.0]
    assert (tally.lines, tally.counted, tally.replaced, tally.failed) == (6, 4, 1, 1)
    assert tally.repeated == pytest.approx(1 / 4)


def test_rows_without_a_name_are_all_rows_however_alike(artifacts: Artifacts) -> None:
    """What a row holds is no name: equal rows are many rows."""
    drawn = predictions(DIGEST, [1.0, 1.0, 2.0, None, 1.0])
    keys = ["content:aa", "content:aa", "2024-01-01|content:aa", "content:aa", "content:aa"]
    closed(
        artifacts,
        [msgspec.structs.replace(record, row_key=key) for record, key in zip(drawn, keys, strict=True)],
    )
    tally = Tally()
    assert values_of(count_log(artifacts, "shadow", Window(), tally)).tolist() == [1.0, 1.0, 2.0, 1.0]
    assert (tally.replaced, tally.repeated) == (0, 0)


def test_the_share_of_rows_that_come_again_is_near_in_a_log_of_any_length() -> None:
    tally = Tally()
    tally.add_rows(f"2024-01-01|{number}" for number in range(300_000))
    assert tally.repeated == pytest.approx(0, abs=0.012)
    tally.add_rows(f"2024-01-01|{number}" for number in range(100_000))
    assert tally.repeated == pytest.approx(1 / 4, abs=0.012)


def test_a_window_takes_records_by_the_time_they_were_scored(artifacts: Artifacts) -> None:
    begin = datetime(2026, 3, 2, tzinfo=UTC)
    closed(artifacts, predictions(DIGEST, [1.0, 2.0, 3.0], hours=2, end=begin + timedelta(hours=2)))
    window = Window(since=begin + timedelta(hours=1), until=begin + timedelta(hours=2))
    tally = Tally()
    assert values_of(count_log(artifacts, "shadow", window, tally)).tolist() == [2.0]
    assert tally.outside == 2


def test_a_batch_that_ends_after_midnight_is_in_the_window_of_its_second_day(artifacts: Artifacts) -> None:
    late = datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC)
    log_predictions(artifacts, predictions("0" * 64, [1.0, 2.0], hours=1 / 1800, end=late + timedelta(seconds=2)))
    found = count_log(artifacts, "shadow", Window(since=late + timedelta(seconds=1)), Tally())
    assert [record.prediction for part in found for record in part] == [2.0]


DAYS = {
    "2026-01-01": "2026-01-01",
    "2026-01-01 23:59:59": "2026-01-01",
    "2026-01-01T00:00Z|A|B": "2026-01-01",
    "2026-01-01T23:00-05:00|A": "2026-01-02",
    "2026-01-01T05:00+09:00|A": "2025-12-31",
    "2026-01-01T15:30:00.123456789|A": "2026-01-01",
    "20260101|A": "2026-01-01",
}


@pytest.mark.parametrize("key", DAYS)
def test_the_day_of_a_record_of_0_1_is_the_utc_date_of_its_rows_time(key: str) -> None:
    (record,) = predictions(DIGEST, [1.0], row_key=key)
    assert str(record.day) == DAYS[key]


def test_the_day_of_a_record_is_that_of_its_row_whatever_its_key() -> None:
    (record,) = predictions(DIGEST, [1.0], row_key="hidden", row_time=datetime(2020, 5, 1, 23, tzinfo=UTC))
    assert str(record.day) == "2020-05-01"


@pytest.mark.parametrize("time", ["", "alone", "01/02/2026", "2026-1-2", "1704153600", "0001-01-01T00:00+14:00"])
def test_a_time_that_is_not_iso_8601_has_no_day(time: str) -> None:
    (record,) = predictions(DIGEST, [1.0], row_key=f"{time}|A00")
    message = (
        f"row '{time}|A00' begins with no time of ISO 8601, so its day is unknown; write times as 2024-01-31 or "
        "2024-01-31T16:00Z, and serve and shadow again"
    )
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        _ = record.day
