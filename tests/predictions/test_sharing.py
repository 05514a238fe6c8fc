"""Two readers of one log: what one has read is not read again for the other, and both see the same."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.predictions import reading, sharing
from pytest_modelgates.predictions.parts import PartWriter, parts
from pytest_modelgates.predictions.reading import Reading, read_columns
from pytest_modelgates.predictions.sharing import Shared
from tests.support.handmade import predictions

MODEL, OTHER = "0" * 64, "1" * 64
RULES = LockRules(lock_timeout_s=5, network_file_system=True)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PartWriter]:
    with PartWriter(Artifacts(tmp_path / "artifacts"), "live", RULES) as writer:
        write(writer, 0, 100)
        yield writer


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes of lines were read."""
    found, blocks = [0], reading._blocks

    def counting(*given: Any, **more: Any) -> Iterator[tuple[bytearray, int]]:
        for block, size in blocks(*given, **more):
            found[0] += size
            yield block, size

    monkeypatch.setattr(reading, "_blocks", counting)
    return found


def write(log: PartWriter, first: int, last: int) -> None:
    log.write(predictions(MODEL, [float(each) for each in range(first, last)], arm="live", end=datetime.now(UTC)))


def read(log: PartWriter, shared: Shared, at: Reading, model: str = MODEL) -> list[float]:
    (part,) = parts(log._artifacts, "live")
    return np.concatenate([[], *(columns.prediction for columns in shared.read(part, at, model))]).tolist()


def numbers(first: int, last: int) -> list[float]:
    return [float(each) for each in range(first, last)]


def test_lines_are_read_once_for_both(log: PartWriter, read_bytes: list[int]) -> None:
    one, two = Reading(), Reading()
    for first, last in ((0, 100), (100, 250)):
        if first:
            write(log, first, last)
        shared, before = Shared(), read_bytes[0]
        assert read(log, shared, one) == read(log, shared, two) == numbers(first, last)
        (part,) = parts(log._artifacts, "live")
        assert read_bytes[0] - before == one.size - before
        assert (one.size, one.lines, one.digest) == (two.size, two.lines, two.digest)
        assert one.size == part.path.stat().st_size


def test_both_stop_where_the_first_one_did(log: PartWriter) -> None:
    one, two, three, shared = Reading(), Reading(), Reading(), Shared()
    assert read(log, shared, one) == numbers(0, 100)
    write(log, 100, 120)
    assert read(log, shared, two) == numbers(0, 100)
    assert read(log, shared, one) == [], "asked again at the same moment"
    assert read(log, Shared(), three) == numbers(0, 120)
    shared = Shared()
    assert read(log, shared, one) == read(log, shared, two) == numbers(100, 120)
    assert (one.digest, one.lines) == (three.digest, three.lines)


def test_who_stands_elsewhere_or_asks_for_another_model_reads_for_himself(log: PartWriter) -> None:
    behind, shared = Reading(), Shared()
    ahead = Reading()
    assert read(log, Shared(), ahead) == numbers(0, 100)
    write(log, 100, 110)
    assert read(log, shared, ahead) == numbers(100, 110)
    assert read(log, shared, behind) == numbers(0, 110)
    assert read(log, shared, Reading(), OTHER) == []


def test_the_end_of_a_part_is_handed_on(log: PartWriter) -> None:
    log.close()
    one, two, shared = Reading(), Reading(), Shared()
    assert read(log, shared, one) == read(log, shared, two) == numbers(0, 100)
    assert one.closing == two.closing
    assert one.closing is not None


def test_what_is_wrong_is_said_to_both(log: PartWriter) -> None:
    (part,) = parts(log._artifacts, "live")
    with part.path.open("ab") as file:
        file.write(b"{}\n")
    one, two, shared = Reading(), Reading(), Shared()
    assert read(log, shared, one) == read(log, shared, two) == numbers(0, 100)
    assert one.notes == two.notes
    assert (one.bad, two.bad, len(two.notes)) == (1, 1, 1)


def test_little_is_kept_for_the_next(log: PartWriter, read_bytes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    log.close()
    write(log, 100, 160)
    monkeypatch.setattr(sharing, "_MOST_ROWS", 100)
    found, shared = parts(log._artifacts, "live"), Shared()
    for _ in range(2):
        for part in found:
            list(shared.read(part, Reading(), MODEL))
    sizes = [part.path.stat().st_size for part in found]
    assert read_bytes[0] == 2 * sizes[0] + 2 * sizes[1], "each pass drives out the one before"
    assert sum(map(len, read_columns(found[1], Reading(), MODEL))) == 60


def test_who_is_further_than_the_end_reads_nothing(log: PartWriter) -> None:
    (part,) = parts(log._artifacts, "live")
    at = Reading()
    list(read_columns(part, at, MODEL))
    write(log, 100, 120)
    assert list(read_columns(part, at, MODEL, until=at.size - 10)) == []
    assert sum(map(len, read_columns(part, at, MODEL))) == 20
