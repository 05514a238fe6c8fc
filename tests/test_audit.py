"""The audit log: what it says, and what it refuses to guess."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import FormatError, RegistryError
from pytest_modelgates.registry.audit import (
    Entry,
    append_entry,
    check_agreement,
    drop_torn_line,
    live_at,
    past_live,
    read_log,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def entry(to: str, *, hour: int = 0, from_: str | None = None, reason: str = "why") -> Entry:
    return Entry(
        time=BEGIN + timedelta(hours=hour),
        actor="ada",
        host="desk",
        action="promote",
        from_=from_,
        to=to,
        digest="0" * 64,
        report_digest=None,
        reason=reason,
    )


def test_no_file_is_an_empty_log(tmp_path: Path) -> None:
    assert read_log(tmp_path / "promotions.log") == []


@given(reasons=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_what_was_written_is_read_whatever_the_reason(
    tmp_path_factory: pytest.TempPathFactory, reasons: list[str]
) -> None:
    log = tmp_path_factory.mktemp("log") / "promotions.log"
    entries = [entry("1700000000", reason=reason) for reason in reasons]
    for each in entries:
        append_entry(log, each)
    assert read_log(log) == entries


def test_an_entry_and_the_name_of_its_file_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, genuine = [], os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        genuine(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    append_entry(tmp_path / "log", entry("1700000000"))
    assert synced == [(tmp_path / "log").stat().st_ino, tmp_path.stat().st_ino]


def test_the_keys_of_a_line_are_those_of_the_format(tmp_path: Path) -> None:
    append_entry(tmp_path / "log", entry("1700000000"))
    assert (tmp_path / "log").read_text() == (
        '{"action":"promote","actor":"ada","digest":"' + "0" * 64 + '","from":null,"host":"desk","reason":"why",'
        '"report_digest":null,"sealed_by":null,"time":"2026-01-01T00:00:00Z","to":"1700000000","waivers":[]}\n'
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b"", "not JSON", id="blank"),
        pytest.param(b'{"time": "2026', "not JSON", id="torn"),
        pytest.param(b"{}", "Object missing required field `time`", id="empty"),
        pytest.param(b"\xff", "not JSON", id="no-text"),
    ],
)
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    log = tmp_path / "promotions.log"
    append_entry(log, entry("1700000000"))
    with log.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(FormatError, match=f"promotions.log, line 2: .*{said}"):
        read_log(log)


def test_an_interrupted_write_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "promotions.log"
    drop_torn_line(log)
    append_entry(log, entry("1700000000"))
    whole = log.read_bytes()
    for torn in range(len(whole)):
        log.write_bytes(whole + whole[:torn])
        drop_torn_line(log)
        assert log.read_bytes() == whole
    log.write_bytes(whole[:-1])
    drop_torn_line(log)
    assert log.read_bytes() == b""


def test_what_was_live_at_a_moment_is_what_was_made_live_last() -> None:
    entries = [entry("1700000001", hour=1), entry("1700000002", hour=2)]
    assert live_at(entries, BEGIN) is None
    assert live_at(entries, BEGIN + timedelta(hours=1)) == entries[0]
    assert live_at(entries, BEGIN + timedelta(hours=1, minutes=59)) == entries[0]
    assert live_at(entries, BEGIN + timedelta(days=1)) == entries[1]
    assert live_at([], BEGIN) is None


def test_past_models_are_listed_once_the_last_one_first() -> None:
    assert past_live([entry("1"), entry("2"), entry("1"), entry("3")]) == ["3", "1", "2"]


@pytest.mark.parametrize(
    ("logged", "linked"), [(None, "1700000001"), ("1700000001", None), ("1700000001", "1700000002")]
)
def test_log_and_link_must_agree(logged: str | None, linked: str | None) -> None:
    with pytest.raises(RegistryError) as refused:
        check_agreement([entry(logged)] if logged else [], linked)
    assert f"promotions.log says {logged or 'nothing'} is live, latest points at {linked or 'nothing'};" in str(
        refused.value
    )
    assert "modelgates status mends what a crash left" in str(refused.value)


def test_log_and_link_may_both_say_nothing_or_the_same() -> None:
    check_agreement([], None)
    check_agreement([entry("1700000001"), entry("1700000002")], "1700000002")
