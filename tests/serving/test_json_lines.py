"""Rows as JSON lines: each line has its record, in order, and what has come is scored before more is there."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli import main
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.serving.adapter import Adapter
from tests.support.handmade import logged

ROW = {"time": "2026-01-02", "asset": "A", "momentum": 0.5, "value": 0.25}
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def adapter(good_model: Path) -> Iterator[Adapter]:
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        yield adapter


def scored(adapter: Adapter, content: bytes, tmp_path: Path) -> list[Prediction]:
    (tmp_path / "rows.jsonl").write_bytes(content)
    descriptor = os.open(tmp_path / "rows.jsonl", os.O_RDONLY)
    try:
        return list(adapter.run_json_lines(descriptor))
    finally:
        os.close(descriptor)


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_rows_are_scored_as_those_of_a_csv_file_are(adapter: Adapter, tmp_path: Path, good_model: Path) -> None:
    rows = [ROW | {"asset": f"A{number}", "momentum": number / 7} for number in range(1000)]
    found = scored(adapter, lines(*rows), tmp_path)
    header, *cells = ["time,asset,momentum,value", *(",".join(str(value) for value in row.values()) for row in rows)]
    (tmp_path / "rows.csv").write_text("\n".join([header, *cells]) + "\n")
    same = list(adapter.run_csv(tmp_path / "rows.csv"))
    assert [(one.row_key, one.prediction, one.row_time) for one in found] == [
        (one.row_key, one.prediction, one.row_time) for one in same
    ]
    assert logged(Artifacts.of(good_model), "live")[:1000] == found


def test_a_line_that_is_not_a_row_has_its_record_in_its_place(adapter: Adapter, tmp_path: Path) -> None:
    content = (
        lines(ROW)
        + b"{\n\n[1]\n\xff\n"
        + lines(ROW | {"value": "x"}, {"time": "2026-01-02"}, ROW | {"time": "soon"}, ROW | {"asset": "B"})
    )
    found = scored(adapter, content, tmp_path)
    assert [record.error for record in found] == [
        None,
        "schema: line 2: not a JSON object (Input data was truncated)",
        "schema: line 3: not a JSON object (Input data was truncated)",
        "schema: line 4: not a JSON object (Expected `object`, got `array`)",
        "schema: line 5: not a JSON object (JSON is malformed: invalid character (byte 0))",
        "schema: line 6: value is 'x', expected float32",
        "schema: line 7: column 'asset' is missing",
        "schema: line 8: time is 'soon', expected a date or time of ISO 8601, such as 2020-01-31",
        None,
    ]
    assert [record.row_key for record in found[5:]] == ["2026-01-02|A", "*", "soon|A", "2026-01-02|B"]


def test_a_row_that_gives_a_column_twice_is_refused_and_one_with_quotes_in_its_name_is_not(
    adapter: Adapter, tmp_path: Path
) -> None:
    twice = lines(ROW).replace(b'"value"', b'"momentum": 7.0, "value"')
    renamed = lines(ROW).replace(b'"asset"', b'"asset": "B", "\\u0061sset"')
    assert b'"\\u0061sset"' in renamed
    content = twice + renamed + lines(ROW | {"asset": 'the "A"'})
    assert [record.error for record in scored(adapter, content, tmp_path)] == [
        "schema: line 1: column 'momentum' appears twice; give it once",
        "schema: line 2: column 'asset' appears twice; give it once",
        None,
    ]


def test_the_last_line_may_lack_its_end_and_an_endless_one_is_skipped(adapter: Adapter, tmp_path: Path) -> None:
    assert [record.error for record in scored(adapter, lines(ROW)[:-1], tmp_path)] == [None]
    content = lines(ROW) + b"x" * 3 * 2**20 + b"\n" + lines(ROW | {"asset": "B"}) + b"{\n" + b"y" * 2**21
    assert [record.error for record in scored(adapter, content, tmp_path)] == [
        None,
        "schema: line 2: more than 1048576 bytes; end each row with a newline",
        None,
        "schema: line 4: not a JSON object (Input data was truncated)",
        "schema: line 5: more than 1048576 bytes; end each row with a newline",
    ]


def test_a_pipe_that_does_not_wait_is_waited_for(adapter: Adapter) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def write() -> None:
        time.sleep(0.1)
        os.write(writing, lines(ROW))
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    assert [record.error for record in adapter.run_json_lines(reading)] == [None]
    thread.join()
    os.close(reading)


@pytest.mark.integration
def test_what_has_come_through_a_pipe_is_logged_before_more_is_there(good_model: Path) -> None:
    command = [sys.executable, "-m", "pytest_modelgates", "shadow", "--onnx", good_model / "model.onnx", "--jsonl", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        for count in (1, 2, 3):
            process.stdin.write(lines(ROW | {"asset": f"A{count}"}).decode())
            process.stdin.flush()
            while len(logged(Artifacts.of(good_model), "shadow")) < count:
                assert process.poll() is None
        said, _ = process.communicate()
    assert (process.returncode, said.partition(";")[0]) == (0, f"{good_model.name} (shadow): 3 rows scored, 0 refused")


def test_the_verb_says_which_line_and_ends_with_one(good_model: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "rows.jsonl"
    words = ["serve", "--onnx", str(good_model / "model.onnx"), "--jsonl", str(path)]
    assert main(words) == 1
    assert capsys.readouterr().err == f"modelgates: {path}: no such file\n"
    path.write_bytes(lines(ROW) + b"x\n")
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{good_model.name} (live): 1 rows scored, 1 refused; log: ")
    assert captured.err.startswith(f"modelgates: {path}: schema: line 2: not a JSON object (")
    assert main([*words[:-1], str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"modelgates: {tmp_path}: a folder, expected a file or a pipe of rows\n"
    path.write_bytes(b"")
    assert main(words) == 0
    assert capsys.readouterr().err == f"modelgates: warning: {path}: not a row\n"


def test_shadow_wants_one_source(capsys: Capture) -> None:
    assert main(["shadow", "--onnx", "x"]) == 2
    assert capsys.readouterr().err == "modelgates: shadow what? Give one of --csv FILE, --jsonl FILE and --feed URL\n"
