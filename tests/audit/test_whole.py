"""Verifying a whole log: how far that is remembered, and when it is not believed."""

import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import whole
from pytest_modelgates.audit.chain import Commit, append, tail
from pytest_modelgates.audit.head import Head
from pytest_modelgates.audit.whole import read_chain, remember, remembered
from pytest_modelgates.storage.disk import LogFile
from tests.audit.test_chain import BEGIN, event, intent, write


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    """Three promotions, which are worth remembering."""
    monkeypatch.setattr(whole, "WORTH_BYTES", 0)
    found = Artifacts(tmp_path)
    write(found.promotions, *(intent(f"170000000{n}", hour=n) for n in (1, 2, 3)))
    remember(found, read_chain(found.promotions))
    return found


def again(artifacts: Artifacts) -> whole.Chain:
    return read_chain(artifacts.promotions, known=remembered(artifacts))


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    places, genuine = [], whole.decoded
    monkeypatch.setattr(whole, "decoded", lambda line, place: places.append(place) or genuine(line, place))
    return places


def test_a_log_that_nobody_touched_is_not_read_again(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogFile, "from_start", None)
    assert again(artifacts).end == tail(artifacts.promotions).head


def test_of_a_log_that_grew_only_the_rest_is_decoded(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    end = append(artifacts.promotions, event())
    places = decoded(monkeypatch)
    found = again(artifacts)
    assert (found.end, found.problems, places) == (end, [], ["line 7"])
    remember(artifacts, found)
    assert remembered(artifacts) == found.verified


def test_a_change_that_was_open_then_is_closed_now(artifacts: Artifacts) -> None:
    append(artifacts.promotions, intent("1700000004"))
    remember(artifacts, again(artifacts))
    append(artifacts.promotions, Commit(time=BEGIN))
    assert again(artifacts).problems == []
    log = artifacts.promotions
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:7]))
    append(log, Commit(time=BEGIN))
    append(log, Commit(time=BEGIN))
    assert again(artifacts).problems == ["line 9: commit after commit"]


@pytest.mark.parametrize("keep_the_time", [False, True])
def test_damage_in_what_was_verified_shows(artifacts: Artifacts, keep_the_time: bool) -> None:
    log = artifacts.promotions
    before = log.stat()
    log.write_bytes(log.read_bytes().replace(b"ada", b"eve", 1))
    if keep_the_time:
        os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again(artifacts).problems == ["line 2: record 2 does not follow on the line before it"]


def test_a_log_that_became_shorter_is_read_from_its_beginning(artifacts: Artifacts) -> None:
    log = artifacts.promotions
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    assert (again(artifacts).end.n, again(artifacts).problems) == (2, [])
    log.write_bytes(log.read_bytes() + b"x" * 4000)
    assert (again(artifacts).end.n, again(artifacts).problems) == (2, [])


@pytest.mark.parametrize("content", [b"", b"{}", b"\0", b"[" * 100_000])
def test_what_is_remembered_wrongly_is_not_believed(artifacts: Artifacts, content: bytes) -> None:
    artifacts.verified.write_bytes(content)
    assert remembered(artifacts) is None
    assert again(artifacts).end.n == 6


def test_a_log_that_is_damaged_or_short_is_not_remembered(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts.verified.unlink()
    artifacts.promotions.write_bytes(artifacts.promotions.read_bytes() + b"\n")
    remember(artifacts, read_chain(artifacts.promotions))
    monkeypatch.undo()
    artifacts.promotions.write_bytes(artifacts.promotions.read_bytes()[:-1])
    remember(artifacts, read_chain(artifacts.promotions))
    assert not artifacts.verified.exists()


def test_where_nothing_can_be_written_nothing_is_remembered(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Artifacts, "write", read_only)
    remember(artifacts, read_chain(artifacts.promotions))


def test_heads_are_found_in_what_was_verified_too(artifacts: Artifacts) -> None:
    end = tail(artifacts.promotions).head
    wrong = Head(2, "0" * 64)
    assert read_chain(artifacts.promotions, heads=[end, wrong], known=remembered(artifacts)).held == {end}
    newest = append(artifacts.promotions, event())
    asked = [end, wrong, newest, Head(9, "0" * 64)]
    assert read_chain(artifacts.promotions, heads=asked, known=remembered(artifacts)).held == {end, newest}


def test_a_clock_that_was_set_back_is_a_note_and_stays_one(artifacts: Artifacts) -> None:
    for minutes in (0, -4, -70):
        record = msgspec.structs.replace(event(), time=BEGIN + timedelta(hours=3, minutes=minutes))
        append(artifacts.promotions, record)
    said = (
        "record 9 is of 2026-01-01 01:50:00 UTC, 1:06:00 before the record before it: a clock was set back, or two "
        "machines' clocks differ; log --at may be wrong around it"
    )
    found = again(artifacts)
    assert (found.problems, found.notes) == ([], [said])
    remember(artifacts, found)
    assert again(artifacts).notes == [said]


def test_a_log_without_a_single_record_is_shown_in_part(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x\n" * 1000)
    assert len(read_chain(tmp_path / "log").problems) == 100
