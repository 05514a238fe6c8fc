"""The audit log: what it says, what it is chained to, and what it refuses to guess."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.audit.chain import (
    EMPTY,
    Abort,
    Commit,
    Event,
    Intent,
    Unknown,
    adoption,
    append,
    committed,
    live_at,
    read_history,
    read_log,
    stray_end,
    tail,
)
from pytest_modelgates.audit.head import head_of
from pytest_modelgates.audit.whole import read_chain
from pytest_modelgates.errors import FormatError, RegistryError
from pytest_modelgates.storage import lines
from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.lines import BLOCK, LONGEST, drop_torn_line, first
from pytest_modelgates.storage.strict_json import canonical

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def intent(to: str, *, hour: int = 0, from_: str | None = None, reason: str = "why") -> Intent:
    return Intent(
        time=BEGIN + timedelta(hours=hour),
        actor="ada",
        host="registry",
        action="promote",
        from_=from_,
        to=to,
        digest="0" * 64,
        report_digest=None,
        reason=reason,
    )


def write(log: Path, *changes: Intent) -> Path:
    for change in changes:
        append(log, change)
        append(log, Commit(time=change.time))
    return log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three promotions, an hour apart."""
    return write(tmp_path / "promotions.log", *(intent(f"170000000{n}", hour=n) for n in (1, 2, 3)))


def test_no_file_is_an_empty_log(tmp_path: Path) -> None:
    assert read_log(tmp_path / "promotions.log") == []
    assert tail(tmp_path / "promotions.log").head == EMPTY
    assert read_chain(tmp_path / "promotions.log").problems == []


@given(reasons=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_what_was_written_is_read_whatever_the_reason(
    tmp_path_factory: pytest.TempPathFactory, reasons: list[str]
) -> None:
    log = tmp_path_factory.mktemp("log") / "promotions.log"
    write(log, *(intent("1700000000", reason=reason) for reason in reasons))
    assert [change.reason for change in read_log(log)] == reasons
    assert read_chain(log).problems == []


def test_a_record_and_the_name_of_its_file_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, genuine = [], os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        genuine(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path / "log", intent("1700000000"))
    log = (tmp_path / "log").stat().st_ino
    assert synced == [log, tmp_path.stat().st_ino, log]


def test_the_keys_of_a_line_are_those_of_the_format(tmp_path: Path) -> None:
    first, second, _ = write(tmp_path / "log", intent("1700000000")).read_text().split("\n")
    assert first == (
        '{"action":"promote","actor":"ada","digest":"' + "0" * 64 + '","from":null,"host":"registry","n":1,"prev":null,'
        '"reason":"why","record":"intent","report_digest":null,"sealed_by":null,"time":"2026-01-01T00:00:00Z",'
        '"to":"1700000000","waivers":[]}'
    )
    assert second == (
        '{"n":2,"prev":"' + sha256(first.encode()) + '","record":"commit","signature":null,'
        '"time":"2026-01-01T00:00:00Z"}'
    )


def test_only_what_was_committed_took_place(log: Path) -> None:
    append(log, intent("1700000008"))
    assert tail(log).open == intent("1700000008").__class__(**{**_fields(intent("1700000008")), **_place(log)})
    append(log, Abort(time=BEGIN))
    append(log, intent("1700000009"))
    assert [change.to for change in read_log(log)] == ["1700000001", "1700000002", "1700000003"]
    found = tail(log)
    assert (found.head.n, found.open and found.open.to) == (9, "1700000009")
    assert found.change is not None
    assert found.change.to == "1700000003"


def _fields(record: Intent) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _place(log: Path) -> dict[str, object]:
    lines = log.read_bytes().split(b"\n")[:-1]
    return {"n": len(lines), "prev": sha256(lines[-2])}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b"", "a blank line, not a record of the audit log (Input data was truncated)", id="blank"),
        pytest.param(b"\0" * 9, "zeros, as a disk leaves them after a power cut, not a record", id="zeros"),
        pytest.param(
            canonical(intent("1700000004"))[:-1] + b"\r", "a line end of two bytes (CR and LF), not as it", id="crlf"
        ),
        pytest.param(b'{"time": "2026', "not a record of the audit log (Input data was truncated)", id="torn"),
        pytest.param(b"{}", "not a record of the audit log (Object missing required field `record`)", id="empty"),
        pytest.param(b"\xff", "not a record of the audit log (JSON is malformed", id="no-text"),
        pytest.param(canonical(intent("1700000004"))[:-2] + b',"n":7}', "not as it was written", id="duplicate-key"),
        pytest.param(canonical(intent("1700000004"))[:-1] + b" ", "not as it was written", id="a-space"),
    ],
)
def test_a_line_that_is_no_record_is_named(log: Path, line: bytes, said: str) -> None:
    with log.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(FormatError) as refused:
        tail(log)
    assert str(refused.value).startswith(f"{log}, line 7: {said}")
    assert str(refused.value).endswith("; see: modelgates recover")
    (problem,) = read_chain(log).problems
    assert problem.startswith(f"line 7: {said}")


def test_changes_are_found_past_whatever_is_wrong_with_the_log(log: Path) -> None:
    lines = log.read_bytes().split(b"\n")[:-1]
    append(log, intent("1700000004"))  # without an outcome
    for damage in (edit, lambda lines: [*lines[:1], b"\0", *lines[1:], b"", b"# a remark"]):
        log.write_bytes(b"".join(line + b"\n" for line in damage(lines)))
        found = [change.to for change in committed(log)]
        assert found == ["1700000003", *(["1700000002"] if damage is not edit else [])] + (
            ["1700000001"] if damage is edit else []
        )
    log.write_bytes(b"".join(line + b"\r\n" for line in lines))
    assert [change.to for change in committed(log)] == ["1700000003", "1700000002", "1700000001"]
    assert [change.to for change in committed(log, "1700000002")] == ["1700000002"]
    assert list(committed(log, "1700000004")) == []


def edit(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b"ada", b"eve"), *lines[3:]]


HANDS = [
    pytest.param(edit, ["line 4: record 4 does not follow on the line before it"], id="edited"),
    pytest.param(lambda lines: lines[:2] + lines[4:], ["line 3: record 5 does not follow"], id="deleted"),
    pytest.param(lambda lines: lines[2:], ["line 1: record 3 does not follow"], id="beginning-lost"),
    pytest.param(
        lambda lines: [*lines[:2], lines[4], lines[5], lines[2], lines[3]],
        ["line 3: record 5 does not follow", "line 5: record 3 does not follow"],
        id="swapped",
    ),
    pytest.param(
        lambda lines: [*lines[:2], b"", *lines[2:]], ["line 3: a blank line, not a record of the audit log"], id="blank"
    ),
    pytest.param(lambda lines: [*lines[:4], lines[4]], [], id="cut-after-an-intent"),
]


@pytest.mark.parametrize(("hand", "said"), HANDS)
def test_a_hand_in_the_log_shows(log: Path, hand: Callable[[list[bytes]], list[bytes]], said: list[str]) -> None:
    log.write_bytes(b"".join(line + b"\n" for line in hand(log.read_bytes().split(b"\n")[:-1])))
    problems = read_chain(log).problems
    for text in said:
        assert [problem for problem in problems if problem.startswith(text)], problems
    assert bool(problems) == bool(said)
    if said:
        with pytest.raises(FormatError):
            read_log(log)


def test_outcomes_and_intents_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "promotions.log"
    append(log, Commit(time=BEGIN))
    head = append(log, intent("1700000001"))
    again = msgspec.structs.replace(intent("1700000002"), n=head.n + 1, prev=head.digest)
    log.write_bytes(log.read_bytes() + canonical(again))
    assert read_chain(log).problems == ["line 1: commit after nothing", "line 3: intent after intent"]


def event(kind: str = "alert", *, hour: int = 0) -> Event:
    return Event(
        time=BEGIN + timedelta(hours=hour),
        actor="ada",
        host="registry",
        kind=kind,
        subject="1700000001",
        evidence="0" * 64,
        reason="drift",
    )


LATER = {"record": "reload", "time": "2027-01-01T00:00:00Z", "workers": [{"pid": 7, "share": 0.25}], "to": "1700000009"}


def add(log: Path, **content: object) -> None:
    """Chain a line by hand, of whatever it holds."""
    lines = log.read_bytes().split(b"\n")[:-1]
    placed = {"n": len(lines) + 1, "prev": sha256(lines[-1]) if lines else None} | content
    log.write_bytes(log.read_bytes() + canonical(placed))


def test_the_keys_of_an_event_are_those_of_the_format(log: Path) -> None:
    before = log.read_bytes()
    append(log, event())
    assert log.read_bytes().removeprefix(before).decode() == (
        '{"actor":"ada","evidence":"'
        + "0" * 64
        + '","host":"registry","kind":"alert","n":7,"prev":"'
        + sha256(before.split(b"\n")[-2])
        + '","reason":"drift","record":"event","signature":null,'
        '"subject":"1700000001","time":"2026-01-01T00:00:00Z"}\n'
    )


@pytest.mark.parametrize("kinds", [["alert"], ["alert", "of a later version"], [None], ["alert", None, None]])
def test_events_and_records_of_a_later_version_move_nothing(log: Path, kinds: list[str | None]) -> None:
    before, changes = tail(log), read_log(log)
    for kind in kinds:
        if kind is None:
            add(log, **LATER)
        else:
            append(log, event(kind))
    after = tail(log)
    assert (after.change, after.open, after.head.n) == (before.change, before.open, 6 + len(kinds))
    assert read_log(log) == changes
    assert live_at(log, BEGIN + timedelta(days=9999)) == changes[-1]
    assert read_chain(log).problems == []
    assert [getattr(record, "kind", "change") for record in read_history(log)] == [
        *["change"] * 3,
        *(kind or "reload" for kind in kinds),
    ]
    # What follows is chained to them.
    append(log, intent("1700000004", hour=4))
    opened = tail(log).open
    assert opened is not None
    assert (opened.n, opened.prev) == (after.head.n + 1, after.head.digest)
    append(log, Commit(time=BEGIN))
    assert [change.to for change in read_log(log)][-1] == "1700000004"
    assert read_chain(log).problems == []


def test_a_record_of_a_later_version_is_kept_whole(log: Path) -> None:
    add(log, **LATER)
    found = read_history(log)[-1]
    assert isinstance(found, Unknown)
    assert (found.kind, found.n, found.time.year) == ("reload", 7, 2027)
    assert found.content == {**LATER, "n": 7, "prev": found.prev}


@pytest.mark.parametrize(
    ("hand", "said"),
    [
        pytest.param(lambda line: line.replace(b"reload", b"reboot"), "record 8 does not follow", id="edited"),
        pytest.param(lambda line: line.replace(b":", b": ", 1), "line 7: not as it was written", id="a-space"),
        pytest.param(lambda line: line.replace(b'"n"', b'"m"'), "missing required field `n`", id="no-number"),
        pytest.param(lambda line: line.replace(b"Z", b""), "line 7: not a record of the audit log", id="no-zone"),
        pytest.param(lambda line: line.replace(b'"n"', b'"n":7,"n"'), "key 'n' appears twice", id="duplicate-key"),
        pytest.param(lambda line: line.replace(b"reload", b"commit"), "contains unknown field `to`", id="known"),
        pytest.param(
            lambda line: line.replace(b"[{", b"[" * 100_000 + b"[{").replace(b"}]", b"}]" + b"]" * 100_000),
            "line 7: nested too deeply to be read",
            id="deep",
        ),
    ],
)
def test_a_hand_in_a_record_of_a_later_version_shows(log: Path, hand: Callable[[bytes], bytes], said: str) -> None:
    add(log, **LATER)
    append(log, event())
    lines = log.read_bytes().split(b"\n")[:-1]
    log.write_bytes(b"".join(line + b"\n" for line in [*lines[:6], hand(lines[6]), lines[7]]))
    assert any(said in problem for problem in read_chain(log).problems), read_chain(log).problems
    with pytest.raises(FormatError):
        tail(log)


@pytest.mark.parametrize(("content", "word"), [(msgspec.to_builtins(event()), "event"), (LATER, "'reload'")])
def test_nothing_comes_between_an_intent_and_its_outcome(log: Path, content: dict[str, object], word: str) -> None:
    append(log, intent("1700000004"))
    add(log, **{key: value for key, value in content.items() if key not in ("n", "prev")})
    opened = tail(log).open
    assert opened is not None
    assert opened.to == "1700000004", "a hand in the log does not settle a change that was cut short"
    append(log, Commit(time=BEGIN))
    assert read_chain(log).problems == [f"line 8: {word} after intent"]


def test_an_event_is_not_written_behind_an_intent(log: Path) -> None:
    append(log, intent("1700000004"))
    before = log.read_bytes()
    for record in (event(), intent("1700000005")):
        with pytest.raises(RegistryError) as refused:
            append(log, record)
        assert str(refused.value) == (
            f"{log}: another process wrote to it while this one held the lock, so its .lock was deleted or replaced; "
            "nothing more is written here; see: modelgates status"
        )
    assert log.read_bytes() == before


def test_an_outcome_is_written_behind_its_own_intent_only(log: Path) -> None:
    own = append(log, intent("1700000004"))
    append(log, Abort(time=BEGIN), after=own)
    before = log.read_bytes()
    with pytest.raises(RegistryError, match="another process wrote to it while this one held the lock"):
        append(log, Commit(time=BEGIN), after=own)
    assert log.read_bytes() == before


def test_an_outcome_needs_an_intent_whatever_stands_before_it(log: Path) -> None:
    append(log, event())
    append(log, Abort(time=BEGIN))
    assert read_chain(log).problems == ["line 8: abort after event"]


def test_a_torn_last_line_is_no_record_yet(log: Path) -> None:
    before = tail(log)
    with log.open("ab") as file:
        file.write(b'{"n":7,')
    assert tail(log) == before
    assert read_chain(log).problems == []


def test_an_interrupted_write_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "promotions.log"
    drop_torn_line(log)
    write(log, intent("1700000000"))
    whole = log.read_bytes()
    for torn in range(len(whole.split(b"\n")[0])):
        log.write_bytes(whole + whole[:torn])
        drop_torn_line(log)
        assert log.read_bytes() == whole
    log.write_bytes(whole[:50])
    drop_torn_line(log)
    assert log.read_bytes() == b""


def test_a_log_is_read_from_its_end_and_no_further_than_needed(tmp_path: Path) -> None:
    log = write(tmp_path / "log", *(intent("1700000000", reason="x" * (BLOCK // 3 + n)) for n in range(9)))
    assert [len(change.reason) - BLOCK // 3 for change in read_log(log)] == list(range(9))
    damaged = b"\0" * BLOCK + log.read_bytes()[BLOCK:]
    log.write_bytes(damaged)
    assert tail(log).change is not None
    with pytest.raises(FormatError):
        read_log(log)


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * (LONGEST + BLOCK) + b"\n")
    with pytest.raises(
        FormatError, match="a line of more than 1048576 bytes, longer than any that is written; see: modelgates recover"
    ):
        tail(tmp_path / "log")


@pytest.mark.parametrize("head", [b"", b"a line\n"])
def test_what_no_crash_left_behind_the_end_is_not_cut_off(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "log").write_bytes(head + b"x" * (LONGEST + 1))
    with pytest.raises(
        FormatError, match="a line of more than 1048576 bytes, longer than any that is written; see: modelgates recover"
    ):
        drop_torn_line(tmp_path / "log")
    assert (tmp_path / "log").stat().st_size == len(head) + LONGEST + 1
    (tmp_path / "log").write_bytes(head + b"x" * LONGEST)
    drop_torn_line(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == head


@pytest.mark.parametrize("place", ["to", "from_"])
@pytest.mark.parametrize("name", ["../../etc", "latest", "1700000001\n", "１７０００００００１"])
def test_a_record_names_models_by_ids_alone(log: Path, place: str, name: str) -> None:
    """A process that can write the log can chain it anew; `recover` would then point the link there."""
    append(log, msgspec.structs.replace(intent("1700000004"), **{place: name}))
    with pytest.raises(FormatError, match=r"not a record of the audit log \(Expected `str` matching regex"):
        tail(log)


def test_what_could_not_be_read_again_is_not_written(log: Path) -> None:
    before = log.read_bytes()
    with pytest.raises(RegistryError, match="bytes, expected at most 1048576: give a shorter reason"):
        append(log, intent("1700000001", reason="x" * LONGEST))
    assert log.read_bytes() == before


@pytest.mark.parametrize(
    "use",
    [tail, drop_torn_line, read_chain, lambda path: append(path, intent("1700000001"))],
    ids=lambda use: use.__name__,
)
@pytest.mark.parametrize(
    ("put", "said"),
    [
        pytest.param(lambda path: path.symlink_to("precious"), "a link, expected the log itself", id="link"),
        pytest.param(lambda path: path.symlink_to("nowhere"), "a link, expected the log itself", id="dangling-link"),
        pytest.param(os.mkfifo, "a folder, pipe or socket, expected a regular file", id="pipe"),
        pytest.param(os.mkdir, "a folder, pipe or socket, expected a regular file", id="folder"),
    ],
)
def test_only_a_plain_file_is_a_log(
    tmp_path: Path, put: Callable[[Path], None], said: str, use: Callable[[Path], object]
) -> None:
    (tmp_path / "precious").write_bytes(b"another file's\nlines")
    put(tmp_path / "log")
    with pytest.raises(FormatError, match=f"log: {said}; see: modelgates recover"):
        use(tmp_path / "log")
    assert (tmp_path / "precious").read_bytes() == b"another file's\nlines"


def test_a_write_that_did_not_arrive_is_not_believed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda _, content: len(content))
    with pytest.raises(OSError, match="What was written is not there; do not trust this disk"):
        append(log, intent("1700000004"))


def test_a_new_log_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        append(tmp_path / "log", intent("1700000001"), mode=0o664)
    finally:
        os.umask(before)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o664


def test_what_was_live_at_a_moment_is_what_was_made_live_last(log: Path, tmp_path: Path) -> None:
    assert live_at(log, BEGIN) is None
    for minutes, live in ((60, "1700000001"), (119, "1700000001"), (120, "1700000002"), (9999, "1700000003")):
        found = live_at(log, BEGIN + timedelta(minutes=minutes))
        assert found is not None
        assert found.to == live
    assert live_at(tmp_path / "none", BEGIN) is None


READERS = [
    pytest.param(tail, id="tail"),
    pytest.param(stray_end, id="stray-end"),
    pytest.param(adoption, id="adoption"),
    pytest.param(head_of, id="head"),
    pytest.param(lambda log: live_at(log, BEGIN + timedelta(days=9)), id="live-at"),
    pytest.param(lambda log: append(log, event()), id="append"),
    pytest.param(lambda log: first(committed(log)), id="committed"),
]


@pytest.mark.parametrize("read", READERS)
def test_an_interrupt_while_a_log_is_closed_is_not_swallowed(
    log: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def interrupted(descriptor: int) -> None:
        os.close(descriptor)
        raise KeyboardInterrupt

    monkeypatch.setattr(lines, "close_quietly", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(log)
