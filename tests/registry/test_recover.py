"""Repairing what a crash or a change by hand left, first as a list of steps."""

import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Event, Intent, append, read_history, read_log
from pytest_modelgates.cli import main
from pytest_modelgates.drift.golden import golden_metadata
from pytest_modelgates.evidence.seal import generate_key
from pytest_modelgates.model.directory import verify
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.status import status
from pytest_modelgates.registry.store import live_id, point_latest_at
from pytest_modelgates.storage.digests import sha256
from tests.support.handmade import Registry, green_report
from tests.support.panels import invented_panel, pack_ridge

Capture = pytest.CaptureFixture[str]


def recover(registry: Registry, *more: str) -> int:
    return main(["recover", "--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file), *more])


def intend(registry: Registry) -> None:
    (live,) = read_log(registry.artifacts.promotions)
    digest = verify(registry.artifacts.model(registry.candidate))
    change = msgspec.structs.replace(live, from_=registry.live, to=registry.candidate, digest=digest)
    append(registry.artifacts.promotions, change)


def by_hand(artifacts: Artifacts, target: str) -> None:
    artifacts.latest.unlink()
    artifacts.latest.symlink_to(target)


def into_a_folder(registry: Registry) -> None:
    registry.artifacts.latest.unlink()
    shutil.copytree(registry.artifacts.model(registry.live), registry.artifacts.latest)


def tear(registry: Registry) -> None:
    with registry.artifacts.promotions.open("ab") as file:
        file.write(b'{"digest"')


def cut_short_and_moved(registry: Registry) -> None:
    intend(registry)
    by_hand(registry.artifacts, "../elsewhere")


POINT = "point latest at {live}, which the log says is live; it "
CASES = [
    pytest.param(tear, ["cut off the 9 bytes that a crash left behind the log's end"], "live", id="torn-line"),
    pytest.param(intend, ["forget the promote to {candidate} that was cut short"], "live", id="before-the-flip"),
    pytest.param(
        lambda registry: (intend(registry), point_latest_at(registry.artifacts, registry.candidate)),
        ["finish the promote to {candidate} that was cut short"],
        "candidate",
        id="after-the-flip",
    ),
    pytest.param(
        lambda registry: registry.artifacts.models.joinpath(".latest.new").mkdir(),
        ["move what lies in the place of .latest.new to {models}/.latest.new.moved-"],
        "live",
        id="folder-where-the-link-is-made",
    ),
    pytest.param(
        cut_short_and_moved,
        ["forget the promote to {candidate} that was cut short", POINT + "points at '../elsewhere'"],
        "live",
        id="cut-short-and-moved",
    ),
    pytest.param(
        lambda registry: by_hand(registry.artifacts, "/etc"), [POINT + "points at '/etc'"], "live", id="points-outside"
    ),
    pytest.param(
        lambda registry: registry.artifacts.latest.unlink(),
        [POINT + "is missing or not a link"],
        "live",
        id="link-missing",
    ),
    pytest.param(
        into_a_folder,
        ["move what lies in the place of latest to {models}/latest.moved-", POINT + "is missing or not a link"],
        "live",
        id="folder-in-its-place",
    ),
    pytest.param(
        lambda registry: registry.artifacts.latest_onnx.unlink(),
        ["point latest.onnx at latest/model.onnx"],
        "live",
        id="onnx-link-missing",
    ),
    pytest.param(
        lambda registry: (registry.artifacts.latest_onnx.unlink(), registry.artifacts.latest_onnx.mkdir()),
        ["move what lies in the place of latest.onnx to {models}/latest.onnx.moved-", "point latest.onnx at latest/"],
        "live",
        id="folder-in-the-onnx-links-place",
    ),
]


@pytest.mark.parametrize(("hand", "steps", "then"), CASES)
def test_recover_says_what_it_would_do_and_does_it_only_when_told(
    registry: Registry, capsys: Capture, hand: Callable[[Registry], object], steps: list[str], then: str
) -> None:
    hand(registry)
    before = _everything(registry.artifacts.root)
    said = [
        text.format(live=registry.live, candidate=registry.candidate, models=registry.artifacts.models)
        for text in steps
    ]
    assert recover(registry) == 1
    *would, last = capsys.readouterr().out.splitlines()
    assert [line[: len(text) + 7] for line, text in zip(would, said, strict=True)] == [
        f"would: {text}" for text in said
    ]
    assert last == "nothing was done; to do it: modelgates recover --yes"
    assert _everything(registry.artifacts.root) == before
    assert recover(registry, "--yes") == 0
    assert capsys.readouterr().out.count("did: ") == len(steps)
    assert live_id(registry.artifacts) == getattr(registry, then)
    assert os.readlink(registry.artifacts.latest_onnx) == "latest/model.onnx"
    assert status(registry.artifacts, registry.in_force).sound
    assert recover(registry) == 0
    assert capsys.readouterr().out == "nothing to recover\n"


def _everything(root: Path) -> list[tuple[str, object]]:
    return sorted(
        (str(path), os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
        if path.name != ".lock"
    )


def test_before_the_first_promotion_there_is_nothing_to_recover(empty_registry: Registry, capsys: Capture) -> None:
    assert recover(empty_registry) == 0
    assert capsys.readouterr().out == "nothing to recover\n"


def test_a_first_promotion_that_was_cut_short_is_forgotten(empty_registry: Registry, capsys: Capture) -> None:
    registry = empty_registry
    append(registry.artifacts.promotions, _first(registry))
    assert recover(registry, "--yes") == 0
    assert f"did: forget the promote to {registry.live}" in capsys.readouterr().out
    assert live_id(registry.artifacts) is None
    assert read_log(registry.artifacts.promotions) == []


def _first(registry: Registry) -> Intent:
    return Intent(
        time=datetime.now(UTC),
        actor="ada",
        host="registry",
        action="promote",
        from_=None,
        to=registry.live,
        digest="0" * 64,
        report_digest=None,
        reason="why",
    )


def test_a_repair_is_an_event_in_the_log(registry: Registry) -> None:
    registry.artifacts.latest.unlink()
    assert recover(registry, "--yes") == 0
    event = read_history(registry.artifacts.promotions)[-1]
    assert isinstance(event, Event)
    assert (event.kind, event.subject) == ("recover", registry.live)
    assert event.reason == f"{POINT.format(live=registry.live)}is missing or not a link"


KEEP = '  → or keep {} live, and begin a new log: modelgates recover --adopt-link --reason "…"'
BACK = '  → or make {0} live: modelgates rollback {0} --reason "…"'


def copy_back(registry: Registry) -> str:
    """What the link names but for which the log is too old: a copy from before the last promotion was put back."""
    log = registry.artifacts.promotions
    copy, report = log.read_bytes(), green_report(registry)
    promote(registry.artifacts, registry.candidate, report, registry.in_force, reason="better")
    later = pack_ridge(registry.artifacts.root, invented_panel(seed=3), changes="It keeps the head.")
    log.write_bytes(copy)
    return later.name


def says(registry: Registry, capsys: Capture, *expected: str) -> None:
    """Recover, with or without --yes, changes nothing, and says this."""
    before = _everything(registry.artifacts.root)
    for words in ([], ["--yes"]):
        assert recover(registry, *words) == 1
        assert capsys.readouterr() == ("", "\n".join(expected) + "\n")
        assert _everything(registry.artifacts.root) == before


def copy_of(registry: Registry) -> str:
    log = registry.artifacts.promotions
    return f"  → put the newest copy of {log} back, and look again: modelgates recover"


def adopt(registry: Registry, *more: str) -> int:
    return recover(registry, "--adopt-link", "--reason", "the log was an old copy", *more)


def test_an_old_copy_of_the_log_takes_nothing_back(registry: Registry, capsys: Capture) -> None:
    later = copy_back(registry)
    says(
        registry,
        capsys,
        f"record 7 is not the one that {later} kept: the log was cut off or rewritten",
        f"promotions.log says {registry.live} is live, latest points at {registry.candidate}",
        copy_of(registry),
        KEEP.format(registry.candidate),
        BACK.format(registry.live),
    )


def test_a_link_that_somebody_moved_is_not_chosen_against(registry: Registry, capsys: Capture) -> None:
    by_hand(registry.artifacts, registry.candidate)
    says(
        registry,
        capsys,
        f"promotions.log says {registry.live} is live, latest points at {registry.candidate}",
        copy_of(registry),
        KEEP.format(registry.candidate),
        BACK.format(registry.live),
    )
    assert rollback_to(registry, registry.candidate) == 1
    assert capsys.readouterr().err == (
        f"modelgates: latest points at {registry.candidate} already, but promotions.log says {registry.live} is live; "
        f'to keep {registry.candidate}: modelgates recover --adopt-link --reason "…"\n'
    )
    assert rollback_to(registry, registry.live) == 0
    assert status(registry.artifacts, registry.in_force).sound


def rollback_to(registry: Registry, model_id: str) -> int:
    root, policy = str(registry.artifacts.root), str(registry.policy_file)
    return main(["rollback", model_id, "--reason", "it loses", "--artifacts", root, "--policy", policy])


def lose_the_log(registry: Registry) -> None:
    registry.artifacts.promotions.unlink()


def lose_the_first_line(registry: Registry) -> None:
    log = registry.artifacts.promotions
    log.write_bytes(log.read_bytes().split(b"\n", 1)[1])


def change_an_old_line(registry: Registry) -> None:
    log = registry.artifacts.promotions
    log.write_bytes(log.read_bytes().replace(b"all hard gates passed", b"nobody looked at it!!"))


def all_ends_of_two_bytes(registry: Registry) -> None:
    log = registry.artifacts.promotions
    log.write_bytes(log.read_bytes().replace(b"\n", b"\r\n"))


def folder_for_the_log(registry: Registry) -> None:
    registry.artifacts.promotions.unlink()
    registry.artifacts.promotions.mkdir()


LOST = [
    pytest.param(lose_the_log, "promotions.log says nothing is live, latest points at {live}", id="deleted"),
    pytest.param(lose_the_first_line, "{log}: line 1: record 2 does not follow on the line before it", id="first-line"),
    pytest.param(change_an_old_line, "{log}: line 3: record 3 does not follow on the line before it", id="old-line"),
    pytest.param(all_ends_of_two_bytes, "{log}: line 1: a line end of two bytes (CR and LF), not as it was", id="crlf"),
    pytest.param(folder_for_the_log, "{log}: a folder, pipe or socket, expected a regular file", id="folder"),
    pytest.param(copy_back, "promotions.log says {live} is live, latest points at {candidate}", id="old-copy"),
]


@pytest.mark.parametrize(("lose", "said"), LOST)
def test_whatever_became_of_the_log_there_is_a_way_on_from_the_link(
    registry: Registry, capsys: Capture, lose: Callable[[Registry], object], said: str
) -> None:
    lose(registry)
    artifacts = registry.artifacts
    live, damaged = os.readlink(artifacts.latest), artifacts.promotions.read_bytes() if lose not in NO_FILE else None
    assert not status(artifacts, registry.in_force).sound
    assert recover(registry, "--yes") == 1
    shown = capsys.readouterr().err.splitlines()
    said = said.format(live=registry.live, candidate=registry.candidate, log=artifacts.promotions)
    assert [line for line in shown if line.startswith(said)], shown
    assert KEEP.format(live) in shown
    assert adopt(registry) == 0
    assert os.readlink(artifacts.latest) == live
    found = status(artifacts, registry.in_force)
    assert (found.sound, found.live) == (True, live), found.problems
    assert found.audit_log == f"chained since the link was adopted on {datetime.now(UTC):%Y-%m-%d}"
    event, change = read_history(artifacts.promotions)
    assert isinstance(event, Event)
    assert isinstance(change, Intent)
    digest = verify(artifacts.model(live))
    assert (event.kind, event.subject) == ("adopt-link", f"{live} sha256:{digest}")
    assert event.evidence == (sha256(damaged) if damaged is not None else None)
    assert (change.action, change.to, change.digest) == ("adopt", live, digest)
    assert main(["log", "--verify", "--artifacts", str(artifacts.root)]) == 0
    assert recover(registry) == 0
    capsys.readouterr()
    assert adopt(registry) == 0
    assert capsys.readouterr().out == "nothing to adopt: log and link do not contradict each other\n"


NO_FILE = (lose_the_log, folder_for_the_log)


def test_a_log_that_was_not_kept_is_not_replaced(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_back(registry)
    before = registry.artifacts.promotions.read_bytes()
    monkeypatch.setattr("os.link", lambda *_: None)
    assert adopt(registry) == 3
    assert capsys.readouterr().err.startswith("modelgates: The log before was not kept: ")
    assert registry.artifacts.promotions.read_bytes() == before


def test_a_model_that_was_never_promoted_gets_its_golden_when_its_link_is_adopted(
    registry: Registry, capsys: Capture
) -> None:
    registry.artifacts.latest.unlink()
    registry.artifacts.latest.symlink_to(registry.candidate)
    assert adopt(registry) == 0
    assert f"save the golden of {registry.candidate}\n" in capsys.readouterr().out
    assert golden_metadata(registry.artifacts.golden).goldens.keys() == {registry.live, registry.candidate}


def test_a_link_is_adopted_though_no_golden_can_be_saved(registry: Registry, capsys: Capture) -> None:
    registry.artifacts.latest.unlink()
    registry.artifacts.latest.symlink_to(registry.candidate)
    registry.artifacts.golden_metadata.write_text("{")
    assert adopt(registry) == 0
    assert re.search(
        rf"leave {registry.candidate} without a golden \(.*metadata\.json: not JSON in UTF-8 \(.*\); put it back .*\); "
        rf"set one: modelgates golden set {registry.candidate}$",
        capsys.readouterr().out,
        re.M,
    )
    assert live_id(registry.artifacts) == registry.candidate


def test_who_adopted_a_link_can_still_go_back_to_what_the_log_before_knows(registry: Registry) -> None:
    copy_back(registry)
    assert adopt(registry) == 0
    assert rollback_to(registry, registry.live) == 0
    assert rollback_to(registry, registry.candidate) == 0
    assert status(registry.artifacts, registry.in_force).sound


def test_a_log_that_was_set_aside_and_altered_is_not_believed(registry: Registry, capsys: Capture) -> None:
    copy_back(registry)
    assert adopt(registry) == 0
    (aside,) = registry.artifacts.root.glob("promotions.log.*")
    aside.write_bytes(aside.read_bytes().replace(b"passed", b"Passed"))
    assert rollback_to(registry, registry.live) == 1
    assert f"{registry.live} was never live" in capsys.readouterr().err


REFUSED = [
    pytest.param(
        lambda registry: by_hand(registry.artifacts, "1999999999"),
        "modelgates: {models}/1999999999: no such directory\n",
        id="dangling",
    ),
    pytest.param(
        lambda registry: (registry.artifacts.latest.unlink(), registry.artifacts.promotions.write_bytes(b"\0\n")),
        "modelgates: {models}/latest is missing, so there is nothing to adopt; lead it to the model that should be "
        "live: ln -s ID {models}/latest\n",
        id="missing",
    ),
]


@pytest.mark.parametrize(("hand", "said"), REFUSED)
def test_only_a_link_to_a_sound_model_is_adopted(
    registry: Registry, capsys: Capture, hand: Callable[[Registry], object], said: str
) -> None:
    hand(registry)
    registry.artifacts.promotions.write_bytes(b"\0\n")
    before = _everything(registry.artifacts.root)
    assert adopt(registry) == 1
    assert capsys.readouterr().err == said.format(models=registry.artifacts.models)
    assert _everything(registry.artifacts.root) == before


def test_a_model_with_other_bytes_than_when_it_went_live_is_not_adopted(registry: Registry, capsys: Capture) -> None:
    change_an_old_line(registry)
    manifest = registry.artifacts.model(registry.live) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"code":null', '"code":"another"'))
    log = registry.artifacts.promotions  # the change itself is whole
    log.write_bytes(log.read_bytes().replace(b"nobody looked at it!!", b"all hard gates passed") + b"\0\n{}\n")
    (registry.artifacts.models / "1700000001").mkdir()
    append_after_damage(registry)
    assert adopt(registry) == 1
    assert " than when it went live (" in capsys.readouterr().err


def append_after_damage(registry: Registry) -> None:
    """A record that is chained to nothing, so that the log is damaged."""
    log = registry.artifacts.promotions
    log.write_bytes(log.read_bytes() + log.read_bytes().split(b"\n")[0] + b"\n")


def test_to_adopt_a_link_takes_a_reason_and_the_right_to_roll_back(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_log(registry)
    assert recover(registry, "--adopt-link") == 1
    assert capsys.readouterr().err == 'modelgates: a recover --adopt-link needs a reason: --reason "…"\n'
    with registry.policy_file.open("a") as file:
        file.write('[registry]\nmay_roll_back = ["ada"]\n')
    monkeypatch.setenv("MODELGATES_ACTOR", "eve")
    assert adopt(registry) == 1
    assert capsys.readouterr().err == "modelgates: eve may not adopt the link; the policy lets ada\n"


def test_a_new_log_is_signed_with_the_key(registry: Registry, tmp_path: Path) -> None:
    with registry.policy_file.open("a") as file:
        file.write(f'[evidence]\nkeys = ["{generate_key(tmp_path / "key.pem")}"]\n')
    lose_the_log(registry)
    assert adopt(registry, "--key", str(tmp_path / "key.pem")) == 0
    found = status(registry.artifacts, registry.in_force)
    assert found.sound
    assert "head signed by" in found.audit_log


STRAY = [
    pytest.param(lambda log: log + b"\n", "line 7 on (a blank line", id="newline"),
    pytest.param(lambda log: log + b"# a remark\n", "line 7 on (not a record of the", id="remark"),
    pytest.param(lambda log: log + b"\r\n\0\0\n", "line 7 on (a blank line, not", id="several"),
    pytest.param(lambda log: log + b"\0" * 700 + b"\n", "line 7 on (zeros, as a disk", id="zeros"),
    pytest.param(lambda log: log[:-1] + b"\r\n", "line 6 on (a line end of two bytes", id="crlf"),
    pytest.param(lambda log: log[: log[:-1].rindex(b"\n") + 1] + b"\0" * 99 + b"\n", "line 6 on (zeros", id="over-it"),
]


@pytest.mark.parametrize("way", ["recover", "rollback"])
@pytest.mark.parametrize(("spoil", "what"), STRAY)
def test_what_is_no_record_at_the_logs_end_is_named_set_aside_and_bars_nothing(
    registry: Registry, capsys: Capture, spoil: Callable[[bytes], bytes], what: str, way: str
) -> None:
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="better")
    log = registry.artifacts.promotions
    whole = log.read_bytes()
    log.write_bytes(spoil(whole))
    assert main(["list", "--artifacts", str(registry.artifacts.root)]) == 0
    found = status(registry.artifacts, registry.in_force)
    number = what.removesuffix(what[what.index(" on") :])
    assert [
        problem for problem in found.problems if f": {number}: " in problem and problem.endswith("modelgates recover")
    ]
    assert found.live == registry.candidate
    capsys.readouterr()
    assert recover(registry) == 1
    moves = capsys.readouterr().out.splitlines()[0]
    assert re.match(rf"would: move the \d+ bytes at the end of promotions\.log, from {re.escape(what)}", moves)
    if way == "recover":
        assert recover(registry, "--yes") == 0
        assert status(registry.artifacts, registry.in_force).live == registry.candidate
    assert rollback_to(registry, registry.live) == 0, capsys.readouterr()
    found = status(registry.artifacts, registry.in_force)
    assert (found.problems, found.live) == ([], registry.live)
    events = [record for record in read_history(log) if isinstance(record, Event) and record.kind != "trial"]
    (aside,) = registry.artifacts.root.glob("promotions.log.stray-*")
    assert [(event.kind, event.evidence) for event in events] == [("recover", sha256(aside.read_bytes()))]


def damage_the_live_model(registry: Registry) -> str:
    (registry.artifacts.model(registry.candidate) / "CHANGES.md").write_text("changed")
    return f"{registry.candidate}: CHANGES.md: 7 bytes, the manifest says "


def delete_the_live_model(registry: Registry) -> str:
    shutil.rmtree(registry.artifacts.model(registry.candidate))
    return f"{registry.artifacts.model(registry.candidate)}: no such directory"


def pack_the_live_model_anew(registry: Registry) -> str:
    manifest = registry.artifacts.model(registry.candidate) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"code":null', '"code":"another"'))
    return "it has other bytes than when it went live (sha256:"


@pytest.mark.parametrize("spoil", [damage_the_live_model, delete_the_live_model, pack_the_live_model_anew])
def test_a_live_model_that_is_not_sound_is_something_to_recover(
    registry: Registry, capsys: Capture, spoil: Callable[[Registry], str]
) -> None:
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="better")
    said = spoil(registry)
    assert main(["list", "--artifacts", str(registry.artifacts.root)]) == 0
    assert (
        f"{said.splitlines()[0]}" in "\n".join(status(registry.artifacts, registry.in_force).problems)
        or "other" in said
    )
    capsys.readouterr()
    assert recover(registry, "--yes") == 1
    problem, back, copy = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"{registry.candidate} is live and damaged: {said}")
    assert back == f'  → modelgates rollback {registry.live} --reason "…"'
    assert copy == f"  → or put {registry.artifacts.model(registry.candidate)} back from a copy"
    assert rollback_to(registry, registry.live) == 0
    assert recover(registry) == 0
    assert [problem for problem in _problems(registry) if "latest_id.txt: names a model" not in problem] == []


def _problems(registry: Registry) -> list[str]:
    return status(registry.artifacts, registry.in_force).problems


def test_a_damaged_model_without_another_to_go_back_to_leaves_two_ways(registry: Registry, capsys: Capture) -> None:
    shutil.rmtree(registry.artifacts.model(registry.live))
    assert recover(registry) == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"  → or put {registry.artifacts.model(registry.live)} back from a copy, or promote another model"
    ]


@pytest.mark.parametrize(
    ("put", "said"), [(Path.mkdir, "not a regular file"), (lambda path: path.write_text("{"), "not JSON in UTF-8 (")]
)
def test_a_spoilt_list_of_goldens_is_named_with_the_way_on(
    registry: Registry, capsys: Capture, put: Callable[[Path], object], said: str
) -> None:
    metadata = registry.artifacts.golden_metadata
    metadata.unlink()
    put(metadata)
    (problem,) = status(registry.artifacts, registry.in_force).problems
    assert problem.startswith(f"{metadata}: {said}")
    assert recover(registry, "--yes") == 1
    problem, way = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"{metadata}: {said}")
    assert way == f"  → mv {metadata} {metadata}.moved && modelgates golden set {registry.live}"
    metadata.rename(f"{metadata}.moved")
    assert main(["golden", "set", registry.live, "--artifacts", str(registry.artifacts.root)]) == 0
    assert recover(registry) == 0


def test_old_damage_bars_no_rollback(registry: Registry, capsys: Capture) -> None:
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="better")
    rollback(registry.artifacts, registry.live, registry.in_force, reason="worse")
    log = registry.artifacts.promotions
    log.write_bytes(log.read_bytes().replace(b"all hard gates passed", b"nobody looked at it!!"))
    (problem,) = status(registry.artifacts, registry.in_force).problems
    assert problem == f"{log}: line 3: record 3 does not follow on the line before it; see: modelgates recover"
    assert rollback_to(registry, registry.candidate) == 0
    assert status(registry.artifacts, registry.in_force).live == registry.candidate


def test_a_log_that_may_only_grow_is_named_with_the_way_on(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append_only(path: Path, size: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    tear(registry)
    monkeypatch.setattr(os, "truncate", append_only)
    assert recover(registry, "--yes") == 3
    assert capsys.readouterr().err == (
        "modelgates: Operation not permitted, to cut off what follows the last record; if it is append-only, chattr -a "
        f"it first: {registry.artifacts.promotions}\n"
    )


def test_with_log_and_link_lost_a_kept_head_still_says_that_something_was_live(
    registry: Registry, capsys: Capture
) -> None:
    artifacts = registry.artifacts
    artifacts.promotions.unlink()
    artifacts.latest.unlink()
    says(
        registry,
        capsys,
        f"record 4 is not the one that {registry.candidate} kept: the log was cut off or rewritten",
        copy_of(registry),
        "  → or lead latest to the model that should be live, and adopt it: "
        f'ln -sfn ID {artifacts.latest} && modelgates recover --adopt-link --reason "…"',
    )
    artifacts.latest.symlink_to(registry.live)
    assert adopt(registry) == 0
    assert status(artifacts, registry.in_force).sound


def test_rollback_without_an_id_lists_models_past_damage(registry: Registry, capsys: Capture) -> None:
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="second")
    with registry.artifacts.promotions.open("ab") as log:
        log.write(b"\n")
    by_hand(registry.artifacts, "../elsewhere")
    assert main(["rollback", "--artifacts", str(registry.artifacts.root)]) == 2
    wanted = f"roll back to which model? Give one of {registry.candidate}, {registry.live}\n"
    assert capsys.readouterr().err.endswith(wanted)


def test_without_a_log_rollback_and_log_say_where_to_look(registry: Registry, capsys: Capture) -> None:
    registry.artifacts.promotions.unlink()
    where = ["--artifacts", str(registry.artifacts.root)]
    assert main(["rollback", registry.candidate, "--reason", "the live model is bad", *where]) == 1
    wanted = f"{registry.candidate} was never live; rollback goes to one of: none; see: modelgates recover"
    assert wanted in capsys.readouterr().err
    for more, said in [([], "nothing was promoted yet\n"), (["--at", "2026-01-01"], "nothing was live then\n")]:
        assert main(["log", *more, *where]) == 0
        out, err = capsys.readouterr()
        assert out == said
        assert f"latest points at {registry.live}, and the log knows no change; see: modelgates recover" in err


@pytest.mark.parametrize("damaged", [False, True], ids=["sound-log", "damaged-log"])
@pytest.mark.parametrize("name", ["latest", "latest.onnx", ".latest.new", ".latest.onnx.new"])
def test_a_folder_in_a_links_place_bars_no_rollback(registry: Registry, name: str, damaged: bool) -> None:
    artifacts, back = registry.artifacts, registry.candidate
    promote(artifacts, back, green_report(registry), registry.in_force, reason="better")
    rollback(artifacts, registry.live, registry.in_force, reason="worse")
    if damaged:  # recover repairs nothing then, so that rollback is the only way
        change_an_old_line(registry)
    place = artifacts.models / name
    place.unlink(missing_ok=True)
    place.mkdir()
    (place / "notes").write_text("kept")
    assert rollback_to(registry, back) == 0
    assert live_id(artifacts) == back
    (moved,) = artifacts.models.glob(f"{name}.moved-*")
    assert (moved / "notes").read_text() == "kept"
    assert status(artifacts, registry.in_force).sound is not damaged
    if not damaged:
        event = read_history(artifacts.promotions)[-2]
        assert isinstance(event, Event)
        assert (event.kind, event.subject) == ("recover", name)
        assert event.reason == f"move what lies in the place of {name} to {moved}"
