"""Events: what is worth auditing and moves no link, in the chain of changes and in what people are shown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_modelgates.audit.chain import append, read_history, read_log, tail
from pytest_modelgates.audit.kinds import ACKNOWLEDGE, KILL, KINDS
from pytest_modelgates.cli import main
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.registry.events import record_event
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.status import status
from pytest_modelgates.registry.store import point_latest_at, state
from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.strict_json import canonical
from tests.registry.test_status import second
from tests.support.handmade import Registry, green_report

Capture = pytest.CaptureFixture[str]
LATER = {"record": "re\x1bload", "time": "2027-01-01T00:00:00Z", "workers": 4}


def note(registry: Registry, **changes: str) -> object:
    words = {"kind": ACKNOWLEDGE, "subject": registry.live, "reason": "two  days\nof drift", **changes}
    return record_event(registry.artifacts, registry.rules, **words)


def note_of_a_later_version(registry: Registry) -> None:
    log = registry.artifacts.promotions
    end = tail(log).head
    log.write_bytes(log.read_bytes() + canonical({"n": end.n + 1, "prev": end.digest} | LATER))


def asked(registry: Registry, *words: str) -> int:
    return main([*words, "--artifacts", str(registry.artifacts.root)])


def test_an_event_says_what_happened_to_what_and_who_said_so(registry: Registry, capsys: Capture) -> None:
    change = read_log(registry.artifacts.promotions)[0]
    head = note(registry, evidence="ab" * 32)
    event = read_history(registry.artifacts.promotions)[-1]
    assert head == tail(registry.artifacts.promotions).head
    assert asked(registry, "log") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{change.time:%Y-%m-%d %H:%M:%S}  promote   - → {registry.live}  {change.actor}  all hard gates passed",
        f"    policy: registry/policy.toml sha256:{registry.policy.digest[:16]}",
        f"{event.time:%Y-%m-%d %H:%M:%S}  acknowledge  {registry.live}  {event.actor}  two days of drift",
        f"    shown by its record or report, sha256:{'ab' * 8}",
    ]
    assert asked(registry, "log", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    shown = [(entry["record"], entry["n"]) for entry in found]
    assert shown == [("event", 1), ("intent", 2), ("event", 4), ("event", 5)]
    assert (found[3]["subject"], found[3]["evidence"], found[3]["signature"]) == (registry.live, "ab" * 32, None)


def test_a_record_of_a_later_version_is_shown_and_never_refused(registry: Registry, capsys: Capture) -> None:
    note_of_a_later_version(registry)
    assert asked(registry, "log") == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "2027-01-01 00:00:00  re\\x1bload  record 5, of a later version; to see it whole: modelgates log --json"
    )
    assert asked(registry, "log", "--json") == 0
    shown = json.loads(capsys.readouterr().out)[-1]
    assert shown == {"n": 5, "prev": shown["prev"]} | LATER
    assert asked(registry, "log", "--verify") == 0
    assert ": 5 records, 0 signed, 1 heads kept by models; head 5:" in capsys.readouterr().out


ADDED = [pytest.param(note, id="event"), pytest.param(note_of_a_later_version, id="later-version")]


@pytest.mark.parametrize("add", ADDED)
def test_the_registry_works_on_with_it(registry: Registry, capsys: Capture, add: Callable[[Registry], object]) -> None:
    add(registry)
    assert status(registry.artifacts, registry.in_force).lines() == [
        *status(registry.artifacts, registry.in_force).lines()[:3],
        "assurance: digest-bound, unsigned",
        f"audit log: chained, head kept by {registry.candidate}",
        f"policy: registry/policy.toml sha256:{registry.policy.digest[:16]}",
        "way back: none",
    ]
    assert state(registry.artifacts).live == registry.live
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="x")
    add(registry)
    rollback(registry.artifacts, registry.live, registry.in_force, reason="y")
    add(registry)
    for words in (["status"], ["recover"], ["log", "--verify"], ["list"], ["gc", "--keep", "0"]):
        assert asked(registry, *words) == 0, capsys.readouterr()
    assert asked(registry, "log", "--at", "2999-01-01") == 0
    assert capsys.readouterr().out.endswith(f"\n{registry.live}\n")
    digests = [sha256(line) for line in registry.artifacts.promotions.read_bytes().split(b"\n")[:-1]]
    assert len(digests) == 11


@pytest.mark.parametrize("flipped", [False, True])
def test_a_change_that_was_cut_short_is_settled_before_the_event(registry: Registry, flipped: bool) -> None:
    append(registry.artifacts.promotions, second(registry))
    if flipped:
        point_latest_at(registry.artifacts, registry.candidate)
    note(registry)
    found = state(registry.artifacts)
    assert (found.live, found.open) == (registry.candidate if flipped else registry.live, None)
    kinds = [json.loads(line)["record"] for line in registry.artifacts.promotions.read_text().splitlines()]
    assert kinds[1:] == ["intent", "commit", "event", "intent", "commit" if flipped else "abort", "event"]


def test_a_change_cut_short_is_found_below_events_by_recover_too(registry: Registry, capsys: Capture) -> None:
    note(registry)
    append(registry.artifacts.promotions, second(registry))
    assert asked(registry, "recover") == 1
    assert f"would: forget the promote to {registry.candidate} that was cut short\n" in capsys.readouterr().out
    assert asked(registry, "recover", "--yes") == 0
    assert asked(registry, "log", "--verify") == 0


def test_an_event_needs_a_reason(registry: Registry) -> None:
    before = registry.state()
    with pytest.raises(RefusedError, match=r'^a record of kind acknowledge needs a reason: --reason "…"$'):
        note(registry, reason=" \n")
    assert registry.state() == before


@pytest.mark.parametrize("kind", ["", "Kill", "kill ", "alert"])
def test_a_kind_that_nobody_has_named_is_not_written(registry: Registry, kind: str) -> None:
    before = registry.state()
    with pytest.raises(AssertionError):
        note(registry, kind=kind)
    assert registry.state() == before


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_shown_in_words_and_found_by_its_name(registry: Registry, capsys: Capture, kind: str) -> None:
    note(registry, kind=kind, subject="7", evidence="ab" * 32)
    assert asked(registry, "log", "--kind", kind) == 0
    *_, line, below = capsys.readouterr().out.splitlines()
    assert line[19:].split() == [kind, "7", *line.split()[4:5], "two", "days", "of", "drift"]
    assert below == f"    shown by {KINDS[kind].evidence}, sha256:{'ab' * 8}"
    assert len(below) <= 80


def kinds_shown(registry: Registry, capsys: Capture, *words: str) -> list[str]:
    assert asked(registry, "log", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line.split()[2] for line in lines if not line.startswith("    ")]


def test_the_log_shows_the_kinds_that_are_asked_for(registry: Registry, capsys: Capture) -> None:
    note(registry, kind=KILL, subject="live")
    note_of_a_later_version(registry)
    assert kinds_shown(registry, capsys) == ["promote", "kill", r"re\x1bload"]
    assert kinds_shown(registry, capsys, "--kind", "trial") == ["trial", "trial"]
    assert kinds_shown(registry, capsys, "--kind", "promote,kill") == ["promote", "kill"]
    assert kinds_shown(registry, capsys, "--kind", "kill", "--kind", "promote, trial") == [
        *("trial", "promote", "trial", "kill")
    ]
    assert asked(registry, "log", "--kind", "kill", "--json") == 0
    assert [entry["kind"] for entry in json.loads(capsys.readouterr().out)] == ["kill"]
    assert asked(registry, "log", "--kind", "trip,unkill") == 0
    assert capsys.readouterr().out == "no record of kind trip, unkill\n"


@pytest.mark.parametrize("text", ["alert", "kill,alert", "", "kill,", "Kill"])
def test_a_kind_that_is_not_known_is_refused_with_those_that_are(
    registry: Registry, capsys: Capture, text: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        asked(registry, "log", "--kind", text)
    wrong = text.rpartition(",")[2]
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"argument --kind: no kind {wrong!r}; there are promote, rollback, adopt, trial, trials-added," in said


@pytest.mark.parametrize(
    "more", [["--at", "2999-01-01"], ["--verify"], ["--head", f"1:{'a' * 64}"]], ids=lambda m: m[0]
)
def test_kinds_are_not_mixed_with_questions_that_have_one_answer(
    registry: Registry, capsys: Capture, more: list[str]
) -> None:
    assert asked(registry, "log", "--kind", "kill", *more) == 2
    assert capsys.readouterr().err == (
        "modelgates: --kind goes with neither --at nor --verify nor --head; give it alone, or with --json\n"
    )


def test_a_rollback_keeps_the_digest_of_what_it_was_decided_on(
    registry: Registry, capsys: Capture, tmp_path: Path
) -> None:
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="x")
    finding = tmp_path / "finding.json"
    before = registry.state()
    words = ["rollback", registry.live, "--reason", "wrong scores", "--evidence", str(finding)]
    assert asked(registry, *words) == 2
    assert capsys.readouterr().err == (f"modelgates: {finding}: no such file; give what the rollback was decided on\n")
    assert registry.state() == before
    finding.write_text("{}")
    assert asked(registry, *words) == 0
    assert read_log(registry.artifacts.promotions)[-1].evidence_digest == sha256(b"{}")
    capsys.readouterr()
    assert asked(registry, "log", "--kind", "rollback") == 0
    assert capsys.readouterr().out.splitlines()[1] == f"    decided on sha256:{sha256(b'{}')[:16]}"
    assert asked(registry, "log", "--verify") == 0
    # What was decided on nothing else is written as it always was.
    assert b"evidence_digest" not in registry.artifacts.promotions.read_bytes().split(b"\n")[1]


def test_what_an_event_is_about_breaks_no_line(registry: Registry, tmp_path: Path) -> None:
    note(registry, subject="a\nb\x1b[2J")
    assert read_history(registry.artifacts.promotions)[-1].subject == r"a\nb\x1b[2J"
