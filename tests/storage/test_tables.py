"""The one reader of CSV: what is a row, what is none, and why."""

import csv
import gzip
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.errors import FormatError
from pytest_modelgates.storage import tables
from pytest_modelgates.storage.rows import Column
from pytest_modelgates.storage.tables import Rejected, Table, read_bytes, read_header, read_table
from tests.support.tables import Malformed, malformed_headers, malformed_rows

FEED = [
    Column("time", "time"),
    Column("asset", "text"),
    Column("momentum", "float32"),
    Column("value", "float32"),
]


def read(text: str | bytes, *columns: Column) -> Table:
    """Read a small table."""
    return read_table(text if isinstance(text, bytes) else text.encode(), columns, "it")


def whys(table: Table) -> list[str]:
    """What is said of the rows that are none."""
    return list(map(str, table.rejected))


@pytest.mark.parametrize("case", malformed_rows())
def test_a_line_that_is_no_row_is_named_and_spoils_no_other(case: Malformed) -> None:
    table = read(case.content, *FEED)
    assert whys(table) == [f"line 3: {case.says}"]
    assert table.lines.tolist() == [2, 4][: case.sound]
    assert table.values["asset"].tolist() == ["X", "Z"][: case.sound]
    assert table.matrix().tolist() == [[np.float32(0.1), 2]] * case.sound


@pytest.mark.parametrize(("content", "says"), malformed_headers())
def test_a_file_without_a_header_that_can_be_read_is_refused(content: bytes, says: str) -> None:
    for reader in (read_header, lambda content, source: read_table(content, FEED, source)):
        with pytest.raises(FormatError, match=f"^{re.escape(f'live.csv{says}')}$"):
            reader(content, "live.csv")


def test_a_whole_number_has_no_sign_of_zero_and_may_begin_with_it() -> None:
    for kind in ("int32", "int64"):
        table = read("n\n-0\n+0\n-07\n7\n", Column("n", kind))
        assert (table.values["n"].tolist(), whys(table)) == ([0, 0, -7, 7], [])
    assert np.signbit(read("n\n-0\n", Column("n", "float64")).values["n"]).tolist() == [True]


def test_keys_are_text_as_it_is_written() -> None:
    names = ["0001", "1", "1E5", "10E4", "NA", "null", "None", "nan", "12.50", "12.5", " A", "A ", "True", "é", "2020"]
    table = read("asset\n" + "".join(f"{name}\n" for name in names), Column("asset", "text"))
    assert table.values["asset"].tolist() == names
    quoted = read('asset\n"A,B"\n"say ""hi"""\n"A"\n', Column("asset", "text"))
    assert quoted.values["asset"].tolist() == ["A,B", 'say "hi"', "A"]


def test_times_are_text_of_iso_8601() -> None:
    times = [
        "2020-01-31",
        "2020-01-31T09:30",
        "2020-01-31 09:30:00",
        "2020-01-31T09:30:00.123456789",
        "2020-01-31T09:30:00Z",
        "2020-01-31T09:30+05:30",
        "2024-02-29",
    ]
    table = read("time\n" + "".join(f"{time}\n" for time in times), Column("time", "time"))
    assert table.values["time"].tolist() == times
    others = [
        "2023-02-29",
        "20200131",
        "2020-W05-5",
        "2020-1-31",
        "2020-01-31T24:00",
        "2020-01-31T09",
        "now",
        "2020-01",
    ]
    others += [
        "2020-01-31 ",
        "２０２０-01-31",
        "2020-01-31T09:30:60",
        "2020-01-31T09:30+25:00",
        "2020-01-31Z",
        "0000-01-01",
    ]
    table = read("time\n" + "".join(f"{time}\n" for time in others), Column("time", "time"))
    assert len(table.rejected) == len(others)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_mark_ends_of_lines_and_a_missing_last_one_change_nothing(ends: str, last: bool, mark: bytes) -> None:
    content = mark + ends.join(["a,b", "x,1", "y,2"] + [""] * last).encode()
    table = read(content, Column("a", "text"), Column("b", "float64"))
    assert table.values["a"].tolist() == ["x", "y"]
    assert table.values["b"].tolist() == [1, 2]
    assert table.rejected == []


def test_numbers_are_read_as_they_are_written() -> None:
    cells = ["1", "-2.5", "+3", ".5", "5.", "1e3", "1E-3", "-0.0", "1e-999", "0.1", "123456789.123456789", "00012"]
    table = read("x\n" + "".join(f"{cell}\n" for cell in cells), Column("x", "float64"))
    assert table.values["x"].tolist() == list(map(float, cells))
    assert np.signbit(table.values["x"][7])


def test_a_column_of_whole_numbers_stays_one() -> None:
    wide = str(2**63 - 1)
    assert read(f"x\n{wide}\n-5\n", Column("x", "float64")).values["x"].tolist() == [2**63 - 1, -5]
    assert read(f"x\n{wide}\n", Column("x", "int64")).matrix().tolist() == [[2**63 - 1]]
    mixed = read("x\n5\n0.5\n", Column("x", "float64")).values["x"]
    assert (mixed.dtype, mixed.tolist()) == (np.float64, [5, 0.5])
    assert np.signbit(read("x\n-0\n", Column("x", "float32")).matrix()[0, 0])


def test_a_matrix_has_the_one_dtype_that_all_kinds_fit_into() -> None:
    text = "time,n,b,x\n2020-01-01,7,True,0.1\n"
    columns = [Column("time", "time"), Column("n", "int32"), Column("b", "bool"), Column("x", "float32")]
    for wanted, dtype in (
        (columns, "float64"),
        (columns[2:], "float32"),
        (columns[:2], "int32"),
        (columns[2:3], "bool"),
    ):
        rows = read(text, *wanted).matrix()
        assert rows.dtype == dtype
    assert read(text, *columns).matrix().tolist() == [[7, 1, np.float32(0.1)]]
    assert read(text, columns[0]).matrix().shape == (1, 0)


def test_only_an_empty_field_is_a_missing_value_and_only_where_there_may_be_one() -> None:
    text = 'asset,x\nA,1\nB,\nC,""\nD,NA\n'
    table = read(text, Column("asset", "text"), Column("x", "float32", nullable=True))
    assert table.values["asset"].tolist() == ["A", "B", "C"]
    assert np.isnan(table.matrix()).ravel().tolist() == [False, True, True]
    assert whys(table) == ["line 5: column 'x' holds 'NA', expected a number; a missing value is an empty field"]
    strict = read(text, Column("x", "float32"))
    assert whys(strict)[0] == "line 3: column 'x' is empty, and it may not be missing"
    assert [each.line for each in strict.rejected] == [3, 4, 5]


@pytest.mark.parametrize(
    "cell", ["1.5", "1e3", "1.0", "3000000000", "99999999999999999999", "9" * 5000, "x", "", "--1"]
)
def test_what_is_no_whole_number_of_its_size_is_neither_rounded_nor_wrapped(cell: str) -> None:
    table = read(f"n,x\n1,1\n{cell},2\n-2147483648,3\n", Column("n", "int32", nullable=True), Column("x", "float32"))
    (rejected,) = table.rejected
    assert (rejected.line, rejected.column) == (3, "n")
    assert table.matrix().tolist() == [[1, 1], [-2147483648, 3]]
    if cell.isdigit():
        assert rejected.why.endswith(", which int32 cannot hold")
    elif cell:
        assert rejected.why == f"column 'n' holds {cell!r}, expected a whole number"
    else:
        assert rejected.why == "column 'n' is empty, and it may not be missing"


def test_truth_values_are_words_and_numbers_are_none() -> None:
    words = ["True", "TRUE", "true", "False", "FALSE", "false"]
    table = read("b\n" + "\n".join(words), Column("b", "bool"))
    assert table.matrix().ravel().tolist() == [True] * 3 + [False] * 3
    table = read("b\n1\n0\nyes\ntRUE\nTrue\n", Column("b", "bool"))
    assert whys(table)[0] == "line 2: column 'b' holds '1', expected True or False"
    assert table.lines.tolist() == [6]


def test_what_is_known_of_a_rejected_row_comes_with_it() -> None:
    text = "time,asset,momentum,value\n2020-01-01,A,x,1\n2020-01-01,,1,1\n1\n2020-01-01,A,1,1\n"
    assert read(text, *FEED).rejected == [
        Rejected(2, "momentum", "column 'momentum' holds 'x', expected a number", ("2020-01-01", "A")),
        Rejected(3, "asset", "column 'asset' is empty"),
        Rejected(4, None, "1 field, the header has 4"),
    ]


def test_columns_are_found_by_name_and_others_are_not_looked_at() -> None:
    table = read("note,b,a\nNA,2,1\n,4,3\n", Column("a", "float64"), Column("b", "float64"), Column("c", "float64"))
    assert [column.name for column in table.columns] == ["a", "b"]
    assert table.matrix().tolist() == [[1, 2], [3, 4]]


def test_a_header_alone_is_a_table_without_rows() -> None:
    for text in ("time,asset,momentum,value\n", "time,asset,momentum,value"):
        table = read(text, *FEED)
        assert (len(table.lines), table.rejected, table.matrix().shape) == (0, [], (0, 2))


def test_rows_are_the_same_however_the_file_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a,b\n" + "".join(f"{'x' * (number % 3)},{number}\n" if number % 5 else "\n" for number in range(40))
    tables_read = []
    for block in (1, 7, 64, 2**18):
        monkeypatch.setattr(tables, "_BLOCK", block)
        table = read(text, Column("a", "text"), Column("b", "float64"))
        tables_read.append((table.lines.tolist(), table.values["b"].tolist(), table.rejected))
    assert tables_read[0] == tables_read[1] == tables_read[2] == tables_read[3]
    assert [each.line for each in tables_read[0][2]] == [n + 2 for n in range(40) if n % 3 == 0 or n % 5 == 0]


def test_a_file_of_which_most_lines_are_no_rows_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_REJECTED", 9)
    monkeypatch.setattr(tables, "_BLOCK", 1)
    columns = Column("a", "float64"), Column("b", "float64")
    message = "it: 10 of the lines up to 11 are not rows, such as line 10: a blank line, expected 2 fields; delete it"
    with pytest.raises(FormatError, match=f"^{message}$"):
        read("a,b\n" + "\n" * 10**6, *columns)
    assert len(read("a,b\n" + "1,2\n\n" * 50, *columns).rejected) == 50


def test_a_line_without_an_end_is_not_divided() -> None:
    commas, said = "," * 2**25, f"{2**25} bytes, expected at most {2**24} in a line"
    assert whys(read(f"a\n1\n{commas}\n2\n", Column("a", "float64"))) == [f"line 3: {said}"]
    with pytest.raises(FormatError, match=re.escape(said)):
        read(commas)


def test_a_strict_reading_ends_at_the_first_line_that_is_no_row() -> None:
    with pytest.raises(FormatError, match=r"^it, line 3: 1 field, the header has 2$"):
        read_table(b"a,b\n1,2\n1\n\n", [Column("a", "float64")], "it", strict=True)


TEXT = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=8)
NUMBER = st.floats(allow_infinity=False, width=64) | st.integers(-(2**63), 2**63 - 1).map(float)


@given(
    rows=st.lists(st.tuples(TEXT, NUMBER, st.booleans()), max_size=12),
    header=st.lists(TEXT, min_size=3, max_size=3, unique=True),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read_as_it_was(
    rows: list[tuple[str, float, bool]], header: list[str], quoting: int, ends: str
) -> None:
    target = io.StringIO()
    writer = csv.writer(target, quoting=quoting, lineterminator=ends)
    writer.writerow(header)
    writer.writerows([name, "" if np.isnan(number) else number, truth] for name, number, truth in rows)
    content = target.getvalue().encode()
    kinds = [Column(header[0], "text"), Column(header[1], "float64", nullable=True), Column(header[2], "bool")]
    table = read_table(content, kinds, "it")
    assert table.rejected == []
    assert table.values[header[0]].tolist() == [name for name, _, _ in rows]
    np.testing.assert_array_equal(table.values[header[1]].astype(float), [number for _, number, _ in rows])
    assert table.values[header[2]].tolist() == [truth for _, _, truth in rows]


@given(content=st.binary(max_size=60) | st.text('ab,"\r\n0123456789.eE-+ ', max_size=60).map(str.encode))
def test_any_line_is_a_row_or_is_named(content: bytes) -> None:
    columns = [Column("a", "text"), Column("b", "float32", nullable=True)]
    table = read_table(b"a,b\n" + content, columns, "it")
    lines = content.count(b"\n") + (not content.endswith(b"\n")) if content else 0
    assert sorted([*table.lines.tolist(), *(each.line for each in table.rejected)]) == list(range(2, lines + 2))
    assert np.isfinite(table.matrix()[~np.isnan(table.matrix())]).all()
    assert all(table.values["a"].tolist())


@pytest.mark.parametrize("name", ["rows.csv.gz", "ROWS.CSV.GZ"])
def test_a_gz_file_is_read_as_what_is_in_it(tmp_path: Path, name: str) -> None:
    content, path = b"a,b\nx,1\n", tmp_path / name
    path.write_bytes(gzip.compress(content))
    assert read_bytes(path) == content
    path.write_bytes(gzip.compress(b"a,b\n") + gzip.compress(b"x,1\n"))
    assert read_bytes(path) == content


def _flipped(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes([packed[middle] ^ 255]) + packed[middle + 1 :]


PACKED = gzip.compress(("a,b\n" + "".join(f"{n},{n * n % 977}\n" for n in range(3000))).encode())
BROKEN = [
    pytest.param(PACKED[: len(PACKED) // 2], "Compressed file ended before the end-of-stream marker", id="half"),
    pytest.param(PACKED[:5], "Compressed file ended before the end-of-stream marker", id="five-bytes"),
    pytest.param(_flipped(PACKED), "", id="a-flipped-byte"),
    pytest.param(PACKED[:-8] + bytes(8), "CRC check failed", id="another-checksum"),
    pytest.param(PACKED + b"more", "Not a gzipped file", id="something-after-it"),
    pytest.param(b"a,b\nx,1\n", "Not a gzipped file", id="plain-text"),
    pytest.param(b"BZh91AY", "Not a gzipped file", id="bz2"),
]


@pytest.mark.parametrize(("content", "why"), BROKEN)
def test_a_broken_gz_file_is_refused_in_a_line(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(content)
    pattern = f"{re.escape(str(path))}: not a whole .gz file \\({why}.*\\); write or fetch it again"
    with pytest.raises(FormatError, match=f"^{pattern}$"):
        read_bytes(path)


def test_a_small_file_that_becomes_a_large_one_is_not_unpacked_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_BYTES", 2**21)
    monkeypatch.setattr(tables, "FREE_BYTES", 2**20)
    path = tmp_path / "rows.csv.gz"
    for size, most in ((2**20 + 1, 2**20), (2**24, 100 * len(gzip.compress(bytes(2**24)))), (2**26, 2**21)):
        path.write_bytes(gzip.compress(bytes(size)))
        message = f"{path}: decompressed more than {most} bytes, the most that is read of such a file; give fewer rows"
        with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
            read_bytes(path)
    path.write_bytes(gzip.compress(bytes(2**20)))
    assert len(read_bytes(path)) == 2**20
    plain = path.with_suffix("")
    plain.write_bytes(bytes(2**21))
    assert len(read_bytes(plain)) == 2**21
    plain.write_bytes(bytes(2**21 + 1))
    with pytest.raises(
        FormatError, match=f"^{re.escape(str(plain))}: more than {2**21} bytes, the most that is read of such "
    ):
        read_bytes(plain)


def test_a_name_of_any_length_is_cut_in_a_message() -> None:
    with pytest.raises(FormatError, match=r"^it: two columns are called 'x{40}…'; keep one, or rename one$"):
        read(f"{'x' * 99},{'x' * 99}\n")


HOSTILE = [
    *("1e5", "1E5", " 1", "1 ", "1.", ".5", "+1", "+.5", "-0", "-0.0", "00012.5", "0x1", "1_0", "1d5", "1e", "1e+5"),
    *("nan", "NaN", "inf", "-inf", "infinity", "nan(1)", "1e39", "-1e999", "1e-999", "", "-", ".", "--1", "1-", "+-1"),
    *("9" * 400, f"0.{'0' * 400}1", f"{'1' * 400}.5", "4.9e-324", "2.4703282292062328e-324", "1.4e-45", "7e-46"),
    *("١", "1,", "1\t", "\v1", "True", "é", '"1"', '"1', "1\r", "\0", "9007199254740993", "16777217.0", "8388609.5"),
]
NARROW = st.floats(allow_nan=False, allow_infinity=False, width=32)
WIDE = st.floats(allow_nan=False, allow_infinity=False)
SMALL = st.integers(-3, 3).map(str) | st.integers(-3, 3).map(float).map(str)
FIGURES = st.text("0123456789+-.eE", max_size=12)
ORDINARY = NARROW.map(lambda value: repr(np.float32(value).item())) | WIDE.map(repr) | WIDE.map("{:.17f}".format)


def drawn_table(data: st.DataObject) -> tuple[bytes, list[Column]]:
    """A table of ordinary numbers, in which some cells are not."""
    width = data.draw(st.integers(1, 4))
    kinds = st.sampled_from(["float32", "float64"]) | st.sampled_from(["text", "time", "int64", "bool"])
    wanted = [
        Column(f"c{place}", data.draw(kinds), data.draw(st.booleans()))
        for place in range(width)
        if not place or data.draw(st.integers(0, 5))
    ]
    odd = data.draw(st.sampled_from([0, 0, 1, 3]))
    lines = [",".join(f"c{place}" for place in range(width))]
    of_kind = {"text": st.sampled_from(["A", "é", "B B"]), "time": st.just("2026-01-31"), "bool": st.just("True")}
    cells = {column.name: of_kind.get(column.kind, ORDINARY | SMALL) for column in wanted}
    for _ in range(data.draw(st.integers(1, 8))):
        lines.append(",".join(data.draw(cells.get(f"c{place}", ORDINARY)) for place in range(width)))
    for _ in range(odd):
        line = data.draw(st.integers(1, len(lines) - 1))
        fields = lines[line].split(",")
        fields[data.draw(st.integers(0, len(fields) - 1))] = data.draw(st.sampled_from(HOSTILE) | FIGURES)
        lines[line] = ",".join(fields)
    ends = data.draw(st.sampled_from(["\n", "\r\n"]))
    return (ends.join(lines) + data.draw(st.sampled_from(["", ends]))).encode(), wanted


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_block_that_is_read_at_once_is_read_as_cell_by_cell(data: st.DataObject) -> None:
    content, wanted = drawn_table(data)
    at_once = read_table(content, wanted, "it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_regular", lambda *_: None)
        one_by_one = read_table(content, wanted, "it")
    assert at_once.rejected == one_by_one.rejected
    assert at_once.lines.tolist() == one_by_one.lines.tolist()
    for name, values in one_by_one.values.items():
        found = at_once.values[name]
        assert found.dtype == values.dtype
        assert found.tolist() == values.tolist() if values.dtype == object else found.tobytes() == values.tobytes()
    assert at_once.matrix().tobytes() == one_by_one.matrix().tobytes()


@pytest.mark.parametrize("cell", [cell for cell in HOSTILE if not set(cell) & set(',"\r\0')])
def test_a_cell_among_ordinary_numbers_is_what_float_makes_of_its_digits_or_refused(cell: str) -> None:
    text = f"time,asset,momentum,value\n2026-01-31,A,0.25,1.5\n2026-01-31,B,{cell},2.5\n"
    table = read(text, *FEED)
    digits = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", cell)
    with np.errstate(over="ignore"):
        expected = np.float32(float(cell)) if digits else np.float32(np.inf)
    if np.isfinite(expected):
        assert table.matrix()[1].tobytes() == np.array([expected, 2.5], np.float32).tobytes()
    else:
        assert [(each.line, each.column) for each in table.rejected] == [(3, "momentum")]
        assert table.matrix().tolist() == [[0.25, 1.5]]


def test_an_ordinary_feed_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_divided", None)
    text = "time,asset,momentum,value\n2026-01-31,A,0.25,1e-5\r\n2026-01-31,é,0,-.5\n2026-01-31,B,,2"
    table = read(text, *FEED[:2], Column("momentum", "float32", nullable=True), FEED[3])
    np.testing.assert_array_equal(table.matrix(), np.float32([[0.25, 1e-5], [0, -0.5], [np.nan, 2]]))
    assert table.values["asset"].tolist() == ["A", "é", "B"]
