"""Prediction logs: whole lines from many writers, read strictly."""

import multiprocessing
import os
import re
import resource
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import FormatError, StatisticsError
from pytest_modelgates.predictions.records import (
    Follower,
    Prediction,
    by_row_key,
    day_of,
    encode_predictions,
    read_predictions,
    values_of,
)
from pytest_modelgates.storage.lines import append_atomic
from tests.support.handmade import predictions

DIGEST = "0" * 64


def test_no_file_is_an_empty_log(tmp_path: Path) -> None:
    assert list(read_predictions(tmp_path / "predictions.jsonl")) == []


@given(
    counts=st.lists(st.integers(0, 30), max_size=5),
    hours=st.sampled_from([0, 1, 24, 1000]),
    spans=st.lists(st.sampled_from([0.5, 30.0]), min_size=5, max_size=5),
)
def test_a_follower_reads_what_was_added_and_keeps_the_last_hours(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], hours: float, spans: list[float]
) -> None:
    log = tmp_path_factory.mktemp("log") / "predictions.jsonl"
    follower, written = Follower(log, DIGEST, hours=hours), list[Prediction]()
    for count, span in zip(counts, spans, strict=False):
        begin = written[-1].time if written else datetime(2024, 1, 1, tzinfo=UTC)
        more = [
            msgspec.structs.replace(record, time=begin + timedelta(hours=span * number))
            for number, record in enumerate(predictions(DIGEST, [0.0] * count))
        ]
        written += more
        append_atomic(log, encode_predictions([*more, *predictions("1" * 64, [1.0])]))
        found = follower.records()
        recent = [record for record in written if not hours or written[-1].time - record.time <= timedelta(hours=hours)]
        older = written[: len(written) - len(recent)][-1:]
        assert found == older + recent


def test_a_follower_names_the_line_that_is_not_a_record(tmp_path: Path) -> None:
    log = tmp_path / "predictions.jsonl"
    append_atomic(log, encode_predictions(predictions(DIGEST, [0.5, 0.5])))
    follower = Follower(log, DIGEST, hours=24)
    assert len(follower.records()) == 2
    append_atomic(log, b"{}\n")
    with pytest.raises(FormatError, match=f"^{log}, line 3: not a record of a prediction"):
        follower.records()


@given(values=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_what_was_logged_is_read(tmp_path_factory: pytest.TempPathFactory, values: list[float | None]) -> None:
    log = tmp_path_factory.mktemp("log") / "predictions.jsonl"
    records = predictions(DIGEST, values)
    append_atomic(log, encode_predictions(records))
    assert list(read_predictions(log)) == records
    assert list(read_predictions(log, digest="1" * 64)) == []


def test_the_keys_of_a_line_are_those_of_the_format() -> None:
    (record,) = predictions(DIGEST, [0.5])
    time = f"{record.time:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert encode_predictions([record]).decode() == (
        f'{{"time":"{time}","row_key":"2024-01-01|A00","model_id":"1700000000","digest":"{DIGEST}",'
        '"schema_crc32":"00000000","prediction":0.5,"latency_ms":1.0,"arm":"shadow","error":null}\n'
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b'{"time":"2026-01-01T00:0', "Input data was truncated", id="torn"),
        pytest.param(b"\n", "Input data was truncated", id="blank"),
        pytest.param(b"\xff\xfe\n", "invalid character", id="no-text"),
        pytest.param(b"{}\n", "missing required field `time`", id="empty"),
        pytest.param(b'{"x":1}\n', "unknown field `x`", id="unknown-key"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    log = tmp_path / "predictions.jsonl"
    log.write_bytes(encode_predictions(predictions(DIGEST, [1.0])) + line)
    with pytest.raises(FormatError) as refused:
        list(read_predictions(log))
    assert str(refused.value).startswith(f"{log}, line 2: not a record of a prediction (")
    assert said in str(refused.value)
    assert str(refused.value).endswith("; delete it if a crash cut it short")


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_only_a_regular_file_is_read(tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path / "log")
    with pytest.raises(FormatError, match="log: a folder or pipe, expected a regular file; put the log back"):
        list(read_predictions(tmp_path / "log"))


def test_what_a_crash_left_swallows_no_later_record(tmp_path: Path) -> None:
    log, content = tmp_path / "log", encode_predictions(predictions(DIGEST, [1.0]))
    log.write_bytes(content + content[:20])
    append_atomic(log, content)
    assert log.read_bytes() == content + content[:20] + b"\n" + content


def test_a_row_scored_twice_is_one_row_and_the_newest(tmp_path: Path) -> None:
    again = [*predictions(DIGEST, [1.0, 2.0, 3.0]), *predictions(DIGEST, [4.0, None])]
    assert by_row_key(again) == {"2024-01-01|A00": 4.0, "2024-01-01|A01": 2.0, "2024-01-01|A02": 3.0}
    assert values_of(again).tolist() == [2.0, 3.0, 4.0]


def test_rows_without_a_name_are_all_rows_however_alike() -> None:
    """What a row holds is no name: equal rows are many rows, and the k-th of one log is the k-th of another."""
    nameless = [
        msgspec.structs.replace(record, row_key=key)
        for record, key in zip(
            predictions(DIGEST, [1.0, 1.0, 2.0, None, 1.0]),
            ["content:aa", "content:aa", "2024-01-01|content:aa", "content:aa", "content:aa"],
            strict=True,
        )
    ]
    assert values_of(nameless).tolist() == [1.0, 1.0, 2.0, 1.0]
    assert list(by_row_key(nameless)) == [
        "content:aa#1",
        "content:aa#2",
        "2024-01-01|content:aa#1",
        "content:aa#3",
    ]


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
def test_a_day_is_the_utc_date_of_a_rows_time(key: str) -> None:
    assert str(day_of(key)) == DAYS[key]


@pytest.mark.parametrize("time", ["", "alone", "01/02/2026", "2026-1-2", "1704153600", "0001-01-01T00:00+14:00"])
def test_a_time_that_is_not_iso_8601_has_no_day(time: str) -> None:
    message = (
        f"row '{time}|A00' begins with no time of ISO 8601, so its day is unknown; write times as 2024-01-31 or "
        "2024-01-31T16:00Z, and serve and shadow again"
    )
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        day_of(f"{time}|A00")


def _write_many(log: Path, letter: str, barrier: "multiprocessing.synchronize.Barrier") -> None:
    genuine = os.write
    # A disk may take any part of what is written to it.
    os.write = lambda descriptor, content: genuine(descriptor, bytes(content)[:5000])
    barrier.wait()
    for size in (10, 9_000, 70_000) * 10:  # a pipe takes 4,096 bytes at once
        append_atomic(log, (letter * size + "\n").encode() * 3)


def test_lines_of_processes_that_write_at_once_never_mix(tmp_path: Path) -> None:
    fork, log = multiprocessing.get_context("fork"), tmp_path / "log"
    barrier = fork.Barrier(3)
    processes = [fork.Process(daemon=True, target=_write_many, args=(log, letter, barrier)) for letter in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = log.read_text().splitlines()
    assert len(lines) == 3 * 30 * 3
    assert {len(set(line)) for line in lines} == {1}
    assert [line[0] for line in lines[::3]] == [line[0] for line in lines[2::3]], "a batch was torn apart"


def _write_with_little_room(log: Path, content: bytes, room: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        append_atomic(log, content)
    except OSError:
        raise SystemExit(3) from None


@pytest.mark.parametrize("room", [0, 1, 100, 400])
def test_a_disk_that_takes_a_part_keeps_none(tmp_path: Path, room: int) -> None:
    log, content = tmp_path / "log", encode_predictions(predictions(DIGEST, [1.0, 2.0]))
    append_atomic(log, content)
    process = multiprocessing.get_context("fork").Process(
        target=_write_with_little_room, args=(log, content, len(content) + room)
    )
    process.start()
    process.join()
    assert process.exitcode == 3
    assert log.read_bytes() == content
