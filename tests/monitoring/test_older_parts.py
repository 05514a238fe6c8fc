"""The sum over older parts: a look that takes it finds what one finds that counts every part, whatever happened."""

import itertools
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.drift.over_time import Next
from pytest_modelgates.drift.summary import Reference, Summary
from pytest_modelgates.monitoring import part_counts
from pytest_modelgates.monitoring.looks import Before, Looking
from pytest_modelgates.monitoring.older_parts import FILE
from pytest_modelgates.monitoring.part_counts import add_parts, count_part, tasks_of
from pytest_modelgates.policy.place import operations_at
from pytest_modelgates.predictions.compacting import compact
from pytest_modelgates.predictions.counting import NUMBERS, Distinct, Tally, Window
from pytest_modelgates.predictions.parts import Part, PartWriter, parts
from tests.crash.watched import KILLED, forked, killed_at
from tests.support.handmade import predictions

MODEL, OTHER = "0" * 64, "1" * 64
RULES = operations_at(Artifacts(Path("nowhere"))).registry
REFERENCE = Reference.of(np.random.default_rng(1).standard_normal(500))
NOW = datetime.now(UTC).replace(microsecond=0)


def hours_ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def write(
    artifacts: Artifacts, rows: int, *, end: float, hours: float = 0.5, model: str = MODEL, seed: int = 0
) -> None:
    """Write a closed part whose last row was scored so many hours ago; rows of two parts have names in common."""
    values = np.random.default_rng(seed).standard_normal(rows).tolist()
    with PartWriter(artifacts, "live", RULES) as log:
        log.write(predictions(model, values, arm="live", end=hours_ago(end), hours=hours))


def in_lists(summary: Summary) -> list[object]:
    days = {day: pieces.tolist() for day, pieces in sorted(summary.days.items())}
    return [summary.counts.cells.tolist(), summary.counts.missing, days, summary.undated]


def looked(
    artifacts: Artifacts,
    window: float,
    mark: float,
    since: float | None = None,
    *,
    model: str = MODEL,
    reference: Reference = REFERENCE,
) -> list[Any]:
    """Count what a look counts, in all and from each of its moments on."""
    begin = None if since is None else hours_ago(since)
    left = Next(spent=hours_ago(window), window=hours_ago(window), mark=hours_ago(mark))
    looking = Looking(reference, Before(since=begin, left=left, evidence=None, future=0), live=hours_ago(1000))
    tally = Tally()
    tasks = looking.tasks(tasks_of(artifacts, "live", Window(digest=model)))
    found = looking.beside([part for _, part, *_ in tasks], (count_part(reference, task) for task in tasks))
    total = add_parts(found, reference, tally)
    of = [getattr(tally, name) for name in NUMBERS]
    since_each = {time: in_lists(summary) for time, summary in sorted(looking._since.items())}
    notes = [note.replace(str(artifacts.root), "") for note in tally.notes]
    return [in_lists(total), since_each, of, tally.repeated, notes]


def counted_one_by_one(artifacts: Artifacts, *given: Any, **more: Any) -> list[Any]:
    """Do the same where no sum is kept, nor counts beside a part."""
    copied = Artifacts(artifacts.root.with_name("copied"))
    shutil.copytree(artifacts.root, copied.root, symlinks=True)
    for path in copied.predictions.rglob("*.counts"):
        path.unlink()
    found = looked(copied, *given, **more)
    shutil.rmtree(copied.root)
    return found


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    artifacts = Artifacts(tmp_path / "artifacts")
    for number in range(8):
        write(artifacts, 30, end=100 - 10 * number, seed=number)
    write(artifacts, 5, end=15, model=OTHER)
    return artifacts


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of parts that were counted one by one."""
    found, whole = list[str](), part_counts._whole

    def counting(artifacts: Artifacts, part: Part, *given: Any) -> Any:
        found.append(part.name)
        return whole(artifacts, part, *given)

    monkeypatch.setattr(part_counts, "_whole", counting)
    return found


def test_a_look_opens_only_parts_that_are_not_in_the_sum(artifacts: Artifacts, opened: list[str]) -> None:
    first = looked(artifacts, 55, 25)
    assert (len(opened), first[2][NUMBERS.index("parts")]) == (9, 9)
    opened.clear()
    assert looked(artifacts, 55, 25) == first
    assert len(opened) == 4, "three after the longer window began, and one of another model"
    opened.clear()
    write(artifacts, 10, end=1)
    assert looked(artifacts, 25, 5) == counted_one_by_one(artifacts, 25, 5)
    opened.clear()
    looked(artifacts, 25, 5)
    assert len(opened) == 2


def compacted(part: Part, artifacts: Artifacts) -> None:
    assert compact(artifacts, part) is None


def appended(part: Part, artifacts: Artifacts) -> None:
    part.path.write_bytes(part.path.read_bytes() + b"{}\n")


def put_back(part: Part, artifacts: Artifacts) -> None:
    """Change a part, and let it have its size and its time again."""
    at = part.path.stat()
    part.path.write_bytes(part.path.read_bytes().replace(b'"latency_ms":1.0', b'"latency_ms":2.0', 1))
    os.utime(part.path, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert (part.path.stat().st_size, part.path.stat().st_mtime_ns) == (at.st_size, at.st_mtime_ns)


def replaced(part: Part, artifacts: Artifacts) -> None:
    moved = part.path.rename(part.path.with_suffix(".away"))
    part.path.symlink_to(moved)


def removed(part: Part, artifacts: Artifacts) -> None:
    part.path.unlink()


CHANGES = [compacted, appended, put_back, replaced, removed]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_where_an_older_part_lies_otherwise_each_is_opened(
    artifacts: Artifacts, opened: list[str], change: Callable[[Part, Artifacts], None]
) -> None:
    looked(artifacts, 35, 25)
    third = parts(artifacts, "live")[2]
    change(third, artifacts)
    opened.clear()
    found = looked(artifacts, 35, 25)
    assert len(opened) == len(parts(artifacts, "live"))
    if change is not put_back:  # which is believed of a part by itself, too
        assert found == looked(artifacts, 35, 25) == counted_one_by_one(artifacts, 35, 25)


def test_an_open_part_is_not_in_the_sum(artifacts: Artifacts, opened: list[str]) -> None:
    with PartWriter(artifacts, "live", RULES) as log:
        for end in (75, 74):
            log.write(predictions(MODEL, [1.0, 2.0], arm="live", end=hours_ago(end), hours=0.1))
            for _ in range(2):
                opened.clear()
                assert looked(artifacts, 35, 25) == counted_one_by_one(artifacts, 35, 25)
        assert len(opened) == 3 + 10, "it and two after the longer window began; then those that are counted one by one"


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut-short": lambda content: content[: len(content) // 2],
    "noise": lambda content: b"\xff" * 99,
    "a-later-version": lambda content: content.replace(b"\xa6format\x01", b"\xa6format\x02"),
    "other-numbers": lambda content: content.replace(b"counted", b"counter"),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_sum_that_is_damaged_is_made_again(artifacts: Artifacts, opened: list[str], spoil: str) -> None:
    expected = looked(artifacts, 35, 25)
    place = artifacts.predictions / "live" / FILE
    whole = place.read_bytes()
    place.write_bytes(SPOILED[spoil](whole))
    assert place.read_bytes() != whole
    opened.clear()
    assert looked(artifacts, 35, 25) == expected
    assert (len(opened), place.read_bytes()) == (9, whole)


OTHERS: dict[str, dict[str, Any]] = {
    "another-model": {"model": OTHER},
    "another-golden": {"reference": Reference.of(np.random.default_rng(2).standard_normal(500))},
    "another-beginning": {"since": 70},
    "a-clock-that-went-back": {"window": 65},
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_sum_of_something_else_does_not_count(artifacts: Artifacts, opened: list[str], other: str) -> None:
    looked(artifacts, 35, 25)
    asked = {"window": 35, "mark": 25} | OTHERS[other]
    opened.clear()
    first = looked(artifacts, **asked)
    assert len(opened) == 9
    assert first == looked(artifacts, **asked) == counted_one_by_one(artifacts, **asked)


def test_a_sum_that_may_not_be_written_is_made_each_time(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    expected = counted_one_by_one(artifacts, 35, 25)
    monkeypatch.setattr(Artifacts, "write", refused)
    assert looked(artifacts, 35, 25) == expected
    assert not (artifacts.predictions / "live" / FILE).exists()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_wherever_a_look_is_killed_the_next_one_counts_the_same(artifacts: Artifacts) -> None:
    expected, place = looked(artifacts, 35, 25), artifacts.predictions / "live" / FILE
    for step in itertools.count(1):
        place.unlink()

        def spoiled(step: int = step) -> None:
            killed_at(step, os.open(os.devnull, os.O_WRONLY))
            looked(artifacts, 35, 25)

        status = forked(spoiled)
        assert looked(artifacts, 35, 25) == expected
        if status == 0:
            break
        assert status == KILLED
    assert step > 5, "the file is opened, written, synced and renamed, and its folder synced"


HOURS = st.integers(0, 24).map(lambda step: step * 5 + 2.5)
ACTIONS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 40), HOURS, st.sampled_from([MODEL, MODEL, OTHER])),
    st.tuples(st.just("change"), st.sampled_from([compacted, appended, replaced, removed]), st.integers(0, 9)),
    st.tuples(st.just("look"), HOURS, HOURS, st.none() | HOURS),
    st.tuples(st.just("look"), HOURS, HOURS, st.none()),
)


@settings(deadline=None, max_examples=15)
@given(actions=st.lists(ACTIONS, max_size=12), most=st.sampled_from([2**4, 2**16]))
def test_whatever_happens_to_a_log_a_look_counts_what_one_does_that_has_no_sum(
    actions: list[tuple[Any, ...]], most: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(Distinct.__init__, "__defaults__", (most,))
        artifacts = Artifacts(Path(folder) / "artifacts")
        write(artifacts, 20, end=130)
        for place, (what, *given) in enumerate([*actions, ("look", 5.0, 2.5, None)]):
            if what == "write":
                rows, end, model = given
                write(artifacts, rows, end=end, hours=7, model=model, seed=place)
            elif what == "change":
                change, number = given
                for part in parts(artifacts, "live")[number : number + 1]:
                    with suppress(AssertionError, OSError):  # as where there is nothing to compact
                        change(part, artifacts)
            else:
                window, mark, since = given
                asked = max(window, mark), min(window, mark), since
                assert looked(artifacts, *asked) == counted_one_by_one(artifacts, *asked)
