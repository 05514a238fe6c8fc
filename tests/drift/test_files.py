"""Predictions in files: which are meant, that each row counts once and exactly, and what is said of other files."""

import errno
import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pytest_modelgates.drift import files
from pytest_modelgates.drift.files import coarsest, count_piece, find_files, pieces_of
from pytest_modelgates.drift.summary import Reference, Summary
from pytest_modelgates.errors import FormatError

RNG = np.random.default_rng(3)
REFERENCE = Reference.of(RNG.standard_normal(5_000))
VALUES = np.where(RNG.random(2_000) < 0.02, np.nan, RNG.standard_normal(2_000))
VALUES[7:9] = np.inf, -np.inf


def table(values: object = VALUES, **more: object) -> pa.Table:
    return pa.table({"asset": ["x"] * len(values), "prediction": values, **more})  # type: ignore[arg-type]


def write_parquet(given: pa.Table, path: Path) -> None:
    pq.write_table(given, path, row_group_size=300)


def write_arrow(given: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(str(path), given.schema) as writer:
        writer.write_table(given, max_chunksize=300)


def write_stream(given: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(str(path), given.schema) as writer:
        writer.write_table(given, max_chunksize=300)


def write_csv(given: pa.Table, path: Path) -> None:
    finite = given.filter(pa.compute.is_finite(given["prediction"]))
    pa.csv.write_csv(finite, path, pa.csv.WriteOptions(quoting_style="needed"))


def count(*paths: Path, column: str = "prediction") -> Summary:
    pieces = [piece for path in paths for piece in pieces_of(path, column)]
    total = REFERENCE.none()
    for piece in pieces:
        total = total + count_piece(REFERENCE, (piece, coarsest(pieces)))
    return total


def same(one: Summary, other: Summary) -> bool:
    return bool((one.counts.cells == other.counts.cells).all()) and numbers(one) == numbers(other)


def numbers(of: Summary) -> list[int]:
    return [of.counts.nan, of.counts.lowest, of.counts.highest, of.undated]


WRITERS = [
    pytest.param(write_parquet, "part-0", id="parquet"),
    pytest.param(write_arrow, "part-0.feather", id="arrow"),
    pytest.param(write_stream, "part-0.arrows", id="stream"),
]


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_file_counts_as_its_values_do(tmp_path: Path, write: Callable[..., None], name: str) -> None:
    write(table(), tmp_path / name)
    assert same(count(tmp_path / name), REFERENCE.count(VALUES))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_csv_counts_as_its_values_do_and_an_empty_cell_is_missing(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.csv"
    write_csv(table(), path)
    with path.open("a") as file:
        file.write("x,\n")
    if packed:
        path = path.with_suffix(".csv.gz")
        path.write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    assert same(count(path), REFERENCE.count([*VALUES[np.isfinite(VALUES)], np.nan]))


def test_large_files_are_many_pieces_that_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PIECE", 500)
    path = tmp_path / "a.parquet"
    write_parquet(table(), path)
    pieces = pieces_of(path, "prediction")
    assert [(piece.groups, piece.rows) for piece in pieces] == [
        ((0, 2), 600),
        ((2, 4), 600),
        ((4, 6), 600),
        ((6, 7), 200),
    ]
    assert same(count(path), REFERENCE.count(VALUES))


NUMBERS = [
    pytest.param(pa.array([1, None, 2**62 + 1], pa.int64()), [1, 2**62 + 1], 1, id="integers-beside-null"),
    pytest.param(pa.array([2**64 - 1, 0], pa.uint64()), np.array([2**64 - 1, 0], np.uint64), 0, id="large"),
    pytest.param(pa.array([True, False, None]), [1, 0], 1, id="truth-values"),
    pytest.param(pa.nulls(3), [], 3, id="nothing-but-null"),
    pytest.param(pa.array([0.5, None, 0.5]).dictionary_encode(), [0.5, 0.5], 1, id="dictionary"),
    pytest.param(pa.array(np.array([0.5, 1], np.float16)), [0.5, 1], 0, id="half-floats"),
]


@pytest.mark.parametrize(("column", "values", "missing"), NUMBERS)
@pytest.mark.parametrize("write", [write_arrow, write_parquet])
def test_numbers_of_every_type_count_exactly(
    tmp_path: Path, write: Callable[..., None], column: pa.Array, values: object, missing: int
) -> None:
    write(table(column), tmp_path / "a")
    found = count(tmp_path / "a")
    expected = REFERENCE.count(values).counts.cells if len(values) else REFERENCE.none().counts.cells  # type: ignore[arg-type]
    assert found.counts.cells.tolist() == expected.tolist()
    assert found.counts.nan == missing


def test_partitions_may_have_other_columns_and_other_types_of_numbers(tmp_path: Path) -> None:
    write_parquet(table(VALUES), tmp_path / "a.parquet")
    write_parquet(table([1, 2, None], more=[1, 2, 3]), tmp_path / "b.parquet")
    write_arrow(table(pa.nulls(2)), tmp_path / "c.arrow")
    assert same(count(*find_files([str(tmp_path)])), REFERENCE.count([*VALUES, 1, 2, *[np.nan] * 3]))


def test_floats_of_fewer_bits_say_how_all_are_compared(tmp_path: Path) -> None:
    write_parquet(table(VALUES), tmp_path / "a.parquet")
    write_parquet(table(VALUES.astype(np.float32)), tmp_path / "b.parquet")
    narrow = VALUES.astype(np.float32)
    assert same(count(tmp_path / "a.parquet", tmp_path / "b.parquet"), REFERENCE.count([*narrow, *narrow]))
    pieces = pieces_of(tmp_path / "a.parquet", "prediction") + pieces_of(tmp_path / "b.parquet", "prediction")
    assert coarsest(pieces) == np.float32
    assert coarsest([]) is None


@pytest.mark.parametrize("name", ["scores", "scores/*/*.csv", "scores/**/a.csv"])
def test_a_folder_that_cannot_be_listed_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for folder in ("open", "closed"):
        (tmp_path / "scores" / folder).mkdir(parents=True)
        (tmp_path / "scores" / folder / "a.csv").touch()
    assert [path.parent.name for path in find_files([str(tmp_path / name)])] == ["closed", "open"]
    known = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return known(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="closed"):
        find_files([str(tmp_path / name)])


def test_files_are_found_by_name_pattern_and_folder_and_each_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["s/date=2026-01-01/b.parquet", "s/date=2026-01-01/a.parquet", "s/date=2026-01-02/a.parquet", "s/[x].csv"]
    apart = ["s/_SUCCESS", "s/.a.crc", "s/_temporary/0/a.parquet", "s/.hidden/a.parquet"]
    for name in [*names, *apart]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()

    def found(*given: str) -> list[str]:
        return [str(path) for path in find_files(given)]

    assert found("s") == sorted(names)
    assert found("s/*") == ["s/[x].csv", *sorted(names[:3])]
    assert found("s/_temporary/**/*.parquet") == ["s/_temporary/0/a.parquet"]
    assert found("s/**/a.parquet") == found("s/*/a.parquet")
    assert found("s/*/a.parquet") == ["s/date=2026-01-01/a.parquet", "s/date=2026-01-02/a.parquet"]
    assert found("s/**/b.parquet", "s/date=2026-01-02", "s/[x].csv") == [names[0], names[2], names[3]]
    Path("link.csv").symlink_to("s/[x].csv")
    os.link(names[0], "hard.parquet")
    assert found("link.csv", "s/[x].csv", "./link.csv", names[0], "hard.parquet", "*.parquet") == ["link.csv", names[0]]


def refused(given: str, message: str) -> None:
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        find_files([given])


def test_names_that_lead_to_no_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty/_temporary").mkdir(parents=True)
    os.mkfifo("empty/_pipe")
    os.mkfifo("pipe")
    Path("astray").symlink_to("nowhere")
    refused("a.parquet", "a.parquet: no such file; give files, folders, or a pattern such as 'scores/**/*.parquet'")
    refused("s/*.parquet", "s/*.parquet: no file has such a name; see: ls s")
    refused("*.parquet", "*.parquet: no file has such a name; see: ls .")
    refused("empty", "empty: a folder without a file; give one that holds predictions")
    refused("pipe", "pipe: a pipe, expected a file of predictions")
    refused("p*", "pipe: a pipe, expected a file of predictions")
    refused("astray", "astray: a link to nothing, expected a file of predictions")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    with pytest.raises(FormatError, match="a pipe, expected a file of predictions"):
        pieces_of(tmp_path / "a.parquet", "prediction")


COLUMNS = [
    pytest.param(
        {"score": [1.0]}, "has no column 'prediction'; it holds score; name the one of predictions", id="none"
    ),
    pytest.param({"prediction": ["1.0"]}, "prediction is string, expected numbers; cast it to double", id="text"),
    pytest.param({"prediction": [1j.__str__()]}, "prediction is string, expected numbers", id="complex"),
    pytest.param(
        {"prediction": pa.array([1], pa.timestamp("ms"))}, "prediction is timestamp[ms], expected numbers", id="times"
    ),
    pytest.param(
        {"prediction": pa.array([1], pa.decimal128(5, 2))}, "prediction is decimal128(5, 2), expected", id="decimals"
    ),
    pytest.param({"prediction": [[1.0]]}, "prediction is list<", id="lists"),
    pytest.param({"prediction": [{"a": 1.0}]}, "prediction is struct<a: double>, expected numbers", id="structs"),
]


@pytest.mark.parametrize(("columns", "message"), COLUMNS)
@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_a_column_that_is_not_one_of_numbers_is_named(
    tmp_path: Path, write: Callable[..., None], columns: dict[str, object], message: str
) -> None:
    path = tmp_path / "a"
    write(pa.table(columns), path)
    with pytest.raises(FormatError, match=re.escape(f"{path}: {message}")):
        pieces_of(path, "prediction")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_arrow(pa.Table.from_arrays([pa.array([1.0])] * 2, names=["prediction"] * 2), path)
    with pytest.raises(FormatError, match=re.escape(f"{path}: 2 columns are called 'prediction'; keep one")):
        pieces_of(path, "prediction")


def test_a_bad_csv_file_is_refused_at_its_first_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("asset,prediction\nx,1\nx,nan\n")
    with pytest.raises(FormatError, match=re.escape(f"{path}, line 3: column 'prediction' holds 'nan', expected a nu")):
        count(path)
    path.write_text("asset,score\nx,1\n")
    with pytest.raises(FormatError, match=re.escape("has no column 'prediction'; it holds asset, score; name the one")):
        count(path)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content, what in (
        (b"{}", "neither Parquet nor Arrow by its content, nor CSV by its name"),
        (b"", "an empty file"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=re.escape(f"{path}: {what}; give .parquet, .arrow, .csv or .csv.gz")):
            pieces_of(path, "prediction")
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(FormatError, match=re.escape(f"{path}: cannot be read as Parquet (")):
        pieces_of(path, "prediction")


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, write: Callable[..., None], name: str) -> None:
    path = tmp_path / name
    write(table(), path)
    content = path.read_bytes()
    pieces = pieces_of(path, "prediction")
    for size in (len(content) - 8, len(content) // 2, 9):
        path.write_bytes(content[:size])
        with pytest.raises(FormatError, match=re.escape(str(path))):
            pieces_of(path, "prediction")
        message = f"{path}: {size} bytes, {len(content)} when it was listed: let it be written first"
        with pytest.raises(FormatError, match=re.escape(message)):
            count_piece(REFERENCE, (pieces[0], None))


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_file_that_is_cut_off_while_it_is_read_is_refused(
    tmp_path: Path, write: Callable[..., None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = table(np.random.default_rng(5).standard_normal(400_000))
    path = tmp_path / name
    write(many, path)
    pieces = pieces_of(path, "prediction")
    counting = files.count_array

    def cut(*given: object) -> Summary:
        os.truncate(path, 2_000_000)
        return counting(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_BATCH", 1_000)
    monkeypatch.setattr(files, "count_array", cut)
    with pytest.raises(FormatError, match=re.escape(str(path))):
        count_piece(REFERENCE, (pieces[0], None))


def test_damaged_pages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(), path, compression="zstd", use_dictionary=False)
    content = path.read_bytes()
    pieces = pieces_of(path, "prediction")
    path.write_bytes(content[:200] + bytes(len(content) - 3_000) + content[-2_800:])
    with pytest.raises(FormatError, match=re.escape(f"{path}: cannot be read as Parquet (")):
        count_piece(REFERENCE, (pieces[0], None))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(table(), path)
    pieces = pieces_of(path, "prediction")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        count_piece(REFERENCE, (pieces[0], None))
