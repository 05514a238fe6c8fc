"""What lies in the log in the place of a part, or of a file of outcomes, is said and never passed over."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli import main
from pytest_modelgates.errors import FormatError
from pytest_modelgates.predictions.outcomes import read_outcomes
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.predictions.reading import Reading, read_part
from tests.support.handmade import log_predictions, predictions

ODD = {
    "a pipe": os.mkfifo,
    "a folder": os.mkdir,
    "a dangling link": lambda path: path.symlink_to("gone"),
    "a link to the part": lambda path: path.symlink_to(path.with_suffix(".away").name),
}
odd = pytest.mark.parametrize("put", ODD.values(), ids=ODD)


def two_parts(root: Path) -> tuple[Artifacts, Path]:
    """Write a log of two days, and give the older part."""
    artifacts = Artifacts(root / "artifacts")
    artifacts.models.mkdir(parents=True)
    now = datetime.now(UTC)
    for end in (now - timedelta(days=1), now):
        log_predictions(artifacts, predictions("0" * 64, [0.1] * 20, hours=0, end=end, arm="live"))
    return artifacts, parts(artifacts, "live")[0].path


@odd
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_it_is_listed_and_said(tmp_path: Path, put: Callable[[Path], None], suffix: str) -> None:
    artifacts, part = two_parts(tmp_path)
    part.rename(part.with_suffix(".away"))
    place = part.with_suffix(suffix)
    put(place)
    reading = Reading()
    first, _ = parts(artifacts, "live")
    assert first.path == place
    assert not list(read_part(first, reading))
    kind = "a link" if place.is_symlink() else "a pipe" if place.is_fifo() else "a folder"
    assert reading.bad == 1
    assert reading.notes == [
        f"{place}: {kind}, expected a part of the log, which is a file; put it back, or move it away"
    ]


@odd
def test_no_verb_passes_over_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], put: Callable[[Path], None]
) -> None:
    artifacts, part = two_parts(tmp_path)
    part.rename(part.with_suffix(".away"))
    put(part)
    assert main(["predictions", "--artifacts", str(artifacts.root)]) == 1
    assert f"{part}: " in capsys.readouterr().out


@odd
def test_a_file_of_outcomes(tmp_path: Path, put: Callable[[Path], None]) -> None:
    artifacts = Artifacts(tmp_path)
    artifacts.outcomes.mkdir()
    put(artifacts.outcomes / "20260101T000000.000000Z-0.jsonl")
    with pytest.raises(FormatError, match=r"0\.jsonl: (a pipe, expected|a folder, expected|no such file)"):
        read_outcomes(artifacts)


def test_the_folder_of_outcomes(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    artifacts.outcomes.write_text("")
    with pytest.raises(FormatError, match="outcomes: a file, expected the folder of outcomes; move it away"):
        read_outcomes(artifacts)
