"""Kill files: the file comes first, the event follows, and whatever lies there stops."""

import errno
import json
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.actor import LONGEST_ACTOR, LONGEST_REASON
from pytest_modelgates.audit.chain import Event, append, read_history
from pytest_modelgates.audit.events import event_of
from pytest_modelgates.audit.kill import kill, killed, unkill
from pytest_modelgates.audit.writer import locked
from pytest_modelgates.cli import main
from pytest_modelgates.errors import KilledError, RefusedError, RegistryError
from pytest_modelgates.serving.guards import KillSwitch
from tests.support.handmade import Registry


def events(registry: Registry) -> list[Event]:
    """What the log says of the kill switch."""
    kinds = ("kill", "unkill", "trip")
    return [event for event in read_history(registry.artifacts.promotions) if getattr(event, "kind", "") in kinds]  # type: ignore[misc]


def settled(registry: Registry) -> list[Event]:
    """The same, after a command that wrote nothing of its own."""
    with locked(registry.artifacts, registry.rules):
        pass
    return events(registry)


def test_the_file_comes_first_and_the_next_writer_adds_its_event(registry: Registry) -> None:
    done = kill(registry.artifacts, "live", "the feed\nis stale", "kill")
    assert json.loads((registry.artifacts.root / "KILL.live").read_text())["reason"] == "the feed is stale"
    assert events(registry) == []
    for _ in range(2):  # once is enough
        (event,) = settled(registry)
        assert (event.kind, event.subject, event.reason) == ("kill", "live", "the feed is stale")
        assert (event.evidence, event.time, event.actor) == (done.digest, done.kill.time, done.kill.actor)


def test_a_second_kill_keeps_the_first_file(registry: Registry) -> None:
    first = kill(registry.artifacts, "all", "first", "trip")
    assert kill(registry.artifacts, "all", "second", "kill") == first
    assert str(first).startswith("every arm was tripped by ")
    assert str(first).endswith(": first")


def test_unkill_says_so_in_the_log_and_the_file_goes(registry: Registry) -> None:
    for _ in range(2):  # killed and let go twice, with the same words
        kill(registry.artifacts, "live", "stale", "kill")
        kill(registry.artifacts, "all", "fire", "kill")
        assert [each.arm for each in killed(registry.artifacts)] == ["all", "live"]
        with locked(registry.artifacts, registry.rules):
            for arm in ("live", "all"):
                unkill(registry.artifacts, arm, "mended")
        assert killed(registry.artifacts) == []
    found = [(event.kind, event.subject) for event in events(registry)]
    assert found == [("kill", "all"), ("kill", "live"), ("unkill", "live"), ("unkill", "all")] * 2


def test_a_kill_file_that_was_put_back_is_logged_anew(registry: Registry) -> None:
    path = kill(registry.artifacts, "all", "fire", "kill").path
    content = path.read_bytes()
    with locked(registry.artifacts, registry.rules):
        unkill(registry.artifacts, "all", "out")
    path.write_bytes(content)
    assert [event.kind for event in settled(registry)] == ["kill", "unkill", "kill"]


def test_unkill_of_an_arm_that_is_not_killed_names_those_that_are(registry: Registry) -> None:
    with pytest.raises(RefusedError, match=r"^all is not killed; killed: none$"):
        unkill(registry.artifacts, "all", "x")
    kill(registry.artifacts, "live", "stale", "kill")
    with pytest.raises(RefusedError, match=r"^all is not killed; killed: live$"):
        unkill(registry.artifacts, "all", "x")


@pytest.mark.parametrize("change", [kill, unkill])
def test_a_reason_is_asked_for(registry: Registry, change: Callable[..., object]) -> None:
    more = () if change is unkill else ("kill",)
    if change is unkill:
        kill(registry.artifacts, "all", "fire", "kill")
    with pytest.raises(RefusedError, match=r'needs a reason: --reason "…"$'):
        change(registry.artifacts, "all", " \n", *more)
    assert len(killed(registry.artifacts)) == (change is unkill)


def test_a_file_made_by_hand_stops_and_is_logged(registry: Registry) -> None:
    path = registry.artifacts.root / "KILL"
    path.touch()
    os.utime(path, (1.8e9, 1.8e9))
    (found,) = killed(registry.artifacts)
    assert str(found) == (
        f"every arm was killed by uid {os.getuid()} on {found.kill.host} at 2027-01-15 08:00:00 UTC: "
        f"{path} lies there, made by hand"
    )
    (event,) = settled(registry)
    assert event.actor == f"uid {os.getuid()}"


@pytest.mark.parametrize("content", [b"\xff", b"{}", b"[" * 10**5, b'{"time": 1}'])
def test_a_damaged_kill_file_stops_as_well(registry: Registry, content: bytes) -> None:
    (registry.artifacts.root / "KILL.live").write_bytes(content)
    (found,) = killed(registry.artifacts)
    assert found.kill.reason.endswith("made by hand")
    settled(registry)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_stops_and_is_removed_by_hand(registry: Registry, make: Callable[[Path], None]) -> None:
    make(registry.artifacts.root / "KILL")
    assert [each.arm for each in killed(registry.artifacts)] == ["all"]
    assert settled(registry) == []
    with pytest.raises(RegistryError, match=r"KILL: not a file, though it stops all; remove it by hand$"):
        unkill(registry.artifacts, "all", "x")


def test_words_of_others_reach_no_terminal_as_they_are(registry: Registry) -> None:
    path = kill(registry.artifacts, "all", "fire", "kill").path
    path.write_text(path.read_text().replace('"fire"', '"\\u001b[2J"'))
    assert "\x1b" not in str(killed(registry.artifacts)[0])
    assert "\x1b" not in registry.artifacts.promotions.read_text()


def test_on_a_full_disk_an_empty_file_stops(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Artifacts, "write", full)
    done = kill(registry.artifacts, "all", "fire", "kill")
    assert done.path.read_bytes() == b""
    assert killed(registry.artifacts)[0].kill.reason.endswith("made by hand")
    assert stat.S_IMODE(done.path.stat().st_mode) & 0o077 == 0o044


def test_where_no_file_can_be_made_it_is_said_that_nothing_is_stopped_and_what_stops_a_process(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_only(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Artifacts, "write", lambda _, path, content: read_only(path))
    with monkeypatch.context() as mounted:
        mounted.setattr(os, "open", read_only)
        status = main(["kill", "--reason", "x", "--artifacts", str(registry.artifacts.root)])
    assert status == 3
    assert capsys.readouterr().err == (
        "modelgates: Read-only file system; nothing is stopped; stop each process that predicts by itself: kill -USR1 "
        f"PID: {registry.artifacts.kill('all')}\n"
    )


def test_one_that_cannot_print_does_not_say_that_nothing_is_stopped(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys.stdout, "write", full)
    assert main(["kill", "--reason", "x", "--artifacts", str(registry.artifacts.root)]) == 3
    assert killed(registry.artifacts)
    assert "nothing is stopped" not in capsys.readouterr().err


def test_a_file_named_after_all_arms_stops_them_and_goes_with_the_other(registry: Registry) -> None:
    (registry.artifacts.root / "KILL.all").touch()
    with pytest.raises(KilledError, match=r"^every arm was killed .*KILL\.all lies there, made by hand; nothing is sc"):
        KillSwitch(registry.artifacts, "live").refuse()
    kill(registry.artifacts, "all", "fire", "kill")
    assert [event.subject for event in settled(registry)] == ["all", "all"]
    with locked(registry.artifacts, registry.rules):
        unkill(registry.artifacts, "all", "out")
    assert killed(registry.artifacts) == []
    KillSwitch(registry.artifacts, "live").refuse()
    assert [event.kind for event in events(registry)] == ["kill", "kill", "unkill", "unkill"]


def test_of_killers_at_once_the_first_ones_file_stays(registry: Registry) -> None:
    gate, found = threading.Barrier(8), list[str]()

    def stop(number: int) -> None:
        gate.wait()
        found.append(kill(registry.artifacts, "live", f"killer {number}", "kill").kill.reason)

    threads = [threading.Thread(target=stop, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert [name for name in os.listdir(registry.artifacts.root) if "KILL" in name] == ["KILL.live"]


def test_a_kill_file_from_the_future_is_logged_once(registry: Registry) -> None:
    path = registry.artifacts.root / "KILL"
    path.touch()
    os.utime(path, (4e9, 4e9))
    settled(registry)
    with locked(registry.artifacts, registry.rules):
        append(registry.artifacts.promotions, event_of("acknowledge", "x", "seen"), mode=0o644)
    assert len(settled(registry)) == 1


def test_other_names_are_no_kill_files(registry: Registry) -> None:
    for name in ("KILL.", "KILLED", "kill", "KILL~", "NOKILL", "KILL.Live", "KILL.a b", "KILL.\udcff", "KILL.live\n"):
        (registry.artifacts.root / name).touch()
    assert killed(registry.artifacts) == []


@pytest.mark.parametrize("reason", ["", " \n", "long " * 5_000, "\x1b" * 9_000])
def test_no_words_of_a_kill_file_bar_the_registry(registry: Registry, reason: str) -> None:
    path = kill(registry.artifacts, "all", "fire", "kill").path
    path.write_text(json.dumps(json.loads(path.read_text()) | {"reason": reason, "actor": "a" * 9_000}))
    (event,) = settled(registry)
    assert 0 < len(event.reason) <= LONGEST_REASON
    assert len(event.actor) <= LONGEST_ACTOR
    with locked(registry.artifacts, registry.rules):
        unkill(registry.artifacts, "all", "mended")


def test_no_name_of_the_actor_keeps_an_arm_from_being_stopped(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELGATES_ACTOR", "ada\udcff" + "a" * 300)
    found = kill(registry.artifacts, "live", "drill", "kill")
    assert found.kill.actor == ("ada\\udcff" + "a" * 300)[:200]
