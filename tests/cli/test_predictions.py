"""What `modelgates predictions` shows of the log, and turns into Parquet."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli import main
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.predictions.records import encode_predictions
from tests.support.handmade import log_predictions, predictions

DIGEST = "0" * 64
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """A root with a log of each arm."""
    root = Artifacts(tmp_path / "artifacts")
    root.models.mkdir(parents=True)
    log_predictions(root, predictions(DIGEST, [1.0, 2.0, None], format=2))
    log_predictions(root, predictions(DIGEST, [3.0, 4.0, 5.0, 6.0], format=2))
    log_predictions(root, predictions(DIGEST, [1.0], arm="live", format=2))
    return root


def shown(artifacts: Artifacts, *words: str) -> int:
    return main(["predictions", *words, "--artifacts", str(artifacts.root)])


def test_every_line_is_accounted_for(artifacts: Artifacts, capsys: Capture) -> None:
    assert shown(artifacts) == 0
    assert capsys.readouterr().out.splitlines() == [
        "live: 1 line in 1 part, 1 of them closed",
        "  1 count",
        "shadow: 7 lines in 2 parts, 2 of them closed",
        "  6 count",
        "  1 are of rows that could not be scored",
        "  33.3% of those that count are of rows that another part counts too",
    ]


def test_a_log_that_is_not_whole_ends_with_one_and_names_the_place(artifacts: Artifacts, capsys: Capture) -> None:
    path = parts(artifacts, "shadow")[0].path
    path.write_bytes(b"?\n" + path.read_bytes() + b'{"ti')
    assert shown(artifacts, "--arm", "shadow") == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1:4] == ["  6 count", "  1 are of rows that could not be scored", "  1 are not records"]
    assert said[5] == "  1 part cut off within a line, which is or was being written"
    assert said[6].startswith(f"  {path}, line 1: not a record of a prediction (")
    assert said[7] == f"  {path}: 4 lines, its last line says 3; it was altered"


def test_a_window_and_json(artifacts: Artifacts, capsys: Capture) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    assert shown(artifacts, "--since", tomorrow, "--arm", "live", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    assert (found["lines"], found["outside"], found["counted"], found["repeated"]) == (1, 1, 0, 0.0)


def test_nothing_predicted_is_said(tmp_path: Path, capsys: Capture) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    artifacts.models.mkdir(parents=True)
    assert shown(artifacts) == 0
    assert capsys.readouterr().out == "nothing was predicted yet\n"


def test_closed_parts_become_parquet_and_others_are_named(artifacts: Artifacts, capsys: Capture) -> None:
    torn = artifacts.predictions / "blue" / "2026-03-02" / "host-1-0.jsonl"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(encode_predictions(predictions(DIGEST, [1.0], arm="blue")))
    assert shown(artifacts, "compact") == 0
    said = capsys.readouterr()
    assert said.out == "1 part turned into Parquet\n"
    assert f"modelgates: {torn}: left as it is (not closed)" in said.err.splitlines()
    assert shown(artifacts, "--arm", "shadow") == 0
    assert "  6 count" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("words", [["--model", "1700000000"], ["--json"], ["--until", "2026-01-01"]])
def test_compact_takes_no_option_that_it_would_ignore(artifacts: Artifacts, capsys: Capture, words: list[str]) -> None:
    assert shown(artifacts, "compact", *words) == 2
    assert capsys.readouterr().err == "modelgates: compact takes --arm and --since alone\n"


@pytest.mark.parametrize("arm", ["../models", "Live", "", "a/b"])
def test_an_arm_is_no_path(artifacts: Artifacts, capsys: Capture, arm: str) -> None:
    assert shown(artifacts, f"--arm={arm}") == (1 if arm else 0)
    if arm:
        assert capsys.readouterr().err == (
            f"modelgates: {arm!r} is not an arm: expected a name such as live, shadow or blue-2\n"
        )
