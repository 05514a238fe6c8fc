"""Records as columns: whatever a block of lines holds, they are those that the decoder of records would give."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.predictions.columns import ROOM, Columns, columns_of, row_numbers
from pytest_modelgates.predictions.records import CONTENT, FORMAT, NOT_A_RECORD, Prediction, encode_predictions

MODEL, OTHER = "a" * 64, "b" * 64
TIME = datetime(2026, 1, 1, 12, tzinfo=UTC)
ARRAYS = ("time", "row", "alike", "prediction", "latency_ms", "day")


def record(**changes: object) -> Prediction:
    plain = Prediction(
        time=TIME,
        row_key="2026-01-01|A00",
        model_id="1700000000",
        digest=MODEL,
        schema_crc32="00000000",
        prediction=0.5,
        latency_ms=0.1,
        arm="live",
        row_time=TIME,
        format=FORMAT,
    )
    return msgspec.structs.replace(plain, **changes)


def same(found: Columns, expected: Columns) -> None:
    for name in ARRAYS:
        a, b = getattr(found, name), getattr(expected, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert (found.others, dict(found.records)) == (expected.others, dict(expected.records))
    assert (found.keys is None) == (expected.keys is None)
    assert found.keys is None or found.keys.tolist() == expected.keys.tolist()  # type: ignore[union-attr]


def decoded(block: bytes) -> Columns | None:
    """What the decoder of records says; None if a line is not a record."""
    try:
        records = [msgspec.json.decode(line, type=Prediction) for line in block.removesuffix(b"\n").split(b"\n")]
    except NOT_A_RECORD:
        return None
    return Columns.of(records, MODEL)


MOMENTS = st.datetimes(timezones=st.just(UTC)) | st.integers(0, 200).map(lambda us: TIME + timedelta(microseconds=us))
KEYS = st.one_of(
    st.sampled_from(["2026-01-01|A00", "2026-01-01T16:00|A1", "A", "", "a" * 127, "b" * 128, "c" * 300, "ü|é", 'a"b']),
    st.text(max_size=40),
    st.sampled_from([f"2026-01-01|{CONTENT}00ff", f"{CONTENT}00ff", f"x|{CONTENT}1|A"]),
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
RECORDS = st.builds(
    record,
    time=MOMENTS,
    row_key=KEYS,
    prediction=FLOATS,
    latency_ms=st.sampled_from([0.0, 0.1, 0.1, 12.5]) | FLOATS,
    row_time=st.just(TIME) | MOMENTS,
)
ODD = st.builds(
    record,
    prediction=st.none() | FLOATS,
    digest=st.sampled_from([MODEL, OTHER]),
    arm=st.sampled_from(["live", "shadow"]),
    error=st.none() | st.text(max_size=20),
    row_time=st.none() | MOMENTS,
    request=st.none() | st.sampled_from(["feed:1", "r" * 79, "r" * 80, "q" * 200, "é"]) | st.text(max_size=20),
    features=st.none() | st.lists(st.none() | FLOATS, max_size=3),
    format=st.sampled_from([1, 2]),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(RECORDS, min_size=1, max_size=12),
    st.lists(ODD, max_size=4),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_they_are_the_records(plain: list[Prediction], odd: list[Prediction], random: object, keys: bool) -> None:
    records = [*plain, *odd]
    random.shuffle(records)  # type: ignore[attr-defined]
    found = columns_of(encode_predictions(records), MODEL, keys=keys)
    if found is not None:
        same(found, Columns.of(records, MODEL, keys=keys))


@pytest.mark.parametrize("request_", [None, "feed:17"])
@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize(("digest", "format_"), [(MODEL, FORMAT), (OTHER, FORMAT), (MODEL, 1)])
def test_lines_that_are_written_alike_are_read_at_once(
    request_: str | None, dated: bool, digest: str, format_: int
) -> None:
    records = [
        record(
            time=TIME + timedelta(microseconds=number // 3 * 400_000),
            row_key=f"2026-01-{1 + number % 31:02}|A{number}",
            prediction=number / 7 - 3,
            row_time=TIME + timedelta(hours=number) if dated else None,
            request=request_ and f"{request_}{number}",
            digest=digest,
            format=format_,
        )
        for number in range(500)
    ]
    records[7] = msgspec.structs.replace(records[7], prediction=None, error="model: the score is inf")
    records[9] = msgspec.structs.replace(records[9], features=[1.0, None])
    found = columns_of(encode_predictions(records), MODEL, keys=True)
    assert found is not None
    same(found, Columns.of(records, MODEL, keys=True))
    assert set(found.records) == ({7, 9} if digest == MODEL else set())


LINES = encode_predictions(
    record(row_key=f"2026-01-01|A{number}", prediction=number / 7, request=f"feed:{number}") for number in range(6)
)
UNDATED = encode_predictions(record(row_key=f"2026-01-01|A{number}", row_time=None) for number in range(6))
PIECES = [
    b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b" ", b"\n", b"\x00", b"\x1f", b"\x7f", b"\xff", b"\xc3\xa9",
    b"null", b"1e999", b"NaN", b"-", b"0.5", b'"a"', b"Z", b"+01:00", b"24", b"60", b"13", b"00", b',"x":1',
    b',"digest":"' + OTHER.encode() + b'"', b',"prediction":9.5', b',"time":"2026-01-01T00:00:00Z"', b'","row_key":"',
    b',"latency_ms":', b'","request":"', b'","format":2}',
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    lines=st.sampled_from([LINES, UNDATED]),
    place=st.integers(0, len(LINES)),
    cut=st.sampled_from([0, 0, 1, 1, 2, 5, 20]),
    piece=st.sampled_from(PIECES) | st.binary(max_size=3),
)
def test_a_block_that_was_spoiled_is_read_as_by_the_decoder_or_not_at_all(
    lines: bytes, place: int, cut: int, piece: bytes
) -> None:
    block = (lines[:place] + piece + lines[place + cut :]).removesuffix(b"\n") + b"\n"
    found, expected = columns_of(block, MODEL), decoded(block)
    if found is not None:
        assert expected is not None
        same(found, expected)


@pytest.mark.parametrize("piece", PIECES[:8])
def test_each_place_of_a_line_is_looked_at(piece: bytes) -> None:
    size = len(LINES) // 6
    for place in range(2 * size, 3 * size):
        block = LINES[:place] + piece + LINES[place + 1 :]
        found, expected = columns_of(block, MODEL), decoded(block)
        if found is not None:
            assert expected is not None, block
            same(found, expected)


def test_a_line_that_differs_from_the_one_before_by_a_zero_alone_is_not_read() -> None:
    first, second, third, *_ = UNDATED.splitlines()
    assert columns_of(b"\n".join([first, second, third, b""]), MODEL) is not None
    assert columns_of(b"\n".join([first, second + b"\0", third, b""]), MODEL) is None


@pytest.mark.parametrize("us", [0, 123_456])
@pytest.mark.parametrize("second", [b"60", b"75", b"6:", b"/5", b"5/"])
def test_a_second_that_is_none_is_not_read(us: int, second: bytes) -> None:
    records = [record(row_key=f"2026-01-01|A{number}", time=TIME + timedelta(microseconds=us)) for number in range(6)]
    lines = encode_predictions(records).splitlines(keepends=True)
    assert columns_of(b"".join(lines), MODEL) is not None
    lines[2] = lines[2].replace(b"T12:00:00", b"T12:00:" + second, 1)
    assert columns_of(b"".join(lines), MODEL) is None


def test_what_follows_the_lines_is_not_looked_at() -> None:
    found = columns_of(LINES, MODEL)
    for behind in (LINES, b"\0", b'"', b","):
        again = columns_of(bytearray(LINES) + (behind * ROOM)[:ROOM], MODEL, size=len(LINES))
        assert found is not None
        assert again is not None
        same(again, found)


def test_numbers_of_rows_are_the_same_for_ever() -> None:
    """They lie in files beside the parts of a log."""
    keys = ["2026-01-01|A00", "", "x" * 8, "x" * 9, "y" * 500, "é"]
    alone = [int(row_numbers([key])[0]) for key in keys]
    assert row_numbers(keys).tolist() == alone
    assert [f"{number:016x}" for number in alone] == KNOWN


KNOWN = [
    "5d90699f8011c35a",
    "0000000000000000",
    "8927299c03fc9974",
    "d413f9c27085b842",
    "9172bc3508c14822",
    "ff22b81d800ebfa2",
]


def test_keys_that_are_nearly_alike_have_numbers_of_their_own() -> None:
    keys = [f"2026-01-{day:02}|A{asset:04}" for day in range(1, 29) for asset in range(5000)]
    numbers = row_numbers(keys)
    assert np.unique(numbers).size == numbers.size
    for shift in (0, 16, 32, 48):
        share = np.bincount((numbers >> np.uint64(shift)).astype(np.uint16) >> 8, minlength=256) / numbers.size
        assert np.abs(share * 256 - 1).max() < 0.25
