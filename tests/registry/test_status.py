"""What people ask of the registry: what is live, and what is there."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Intent, append, read_log
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry.status import listing, status
from pytest_modelgates.registry.store import flip, locked
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import Desk


def test_status_says_what_is_live_since_when_and_by_whom(desk: Desk) -> None:
    found, (entry,) = status(desk.artifacts, desk.policy), read_log(desk.artifacts.promotions)
    assert found.sound
    assert found.lines() == [
        f"live: {desk.live} since {entry.time:%Y-%m-%d %H:%M:%S} UTC, by {entry.actor}",
        f"digest: sha256:{tree_digest(desk.artifacts.model(desk.live))}",
        f"newest candidate: {desk.candidate}",
        "assurance: digest-bound, unsigned",
        "audit log: chained, head kept by " + desk.candidate,
    ]


def test_status_of_nothing_is_no_problem(tmp_path: Path) -> None:
    found = status(Artifacts(tmp_path / "none"), load_policy(None))
    assert found.sound
    assert found.lines() == [
        "nothing is live",
        "newest candidate: none",
        "assurance: digest-bound, unsigned",
        "audit log: chained only",
    ]


def test_status_names_a_file_that_changed(desk: Desk) -> None:
    with (desk.artifacts.model(desk.live) / "CHANGES.md").open("a") as file:
        file.write("!")
    assert status(desk.artifacts, desk.policy).problems == [f"{desk.live}: CHANGES.md: 20 bytes, the manifest says 19"]


def test_status_names_a_model_that_was_packed_anew_under_its_name(desk: Desk) -> None:
    manifest = desk.artifacts.model(desk.live) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"code":null', '"code":"another"'))
    (problem,) = status(desk.artifacts, desk.policy).problems
    assert problem.startswith(f"{desk.live} has other bytes than when it was promoted (sha256:")


def test_status_names_a_live_model_that_is_gone(desk: Desk) -> None:
    directory = desk.artifacts.model(desk.live)
    shutil.rmtree(directory)
    found = status(desk.artifacts, desk.policy)
    assert found.live == desk.live
    assert found.problems == [f"{directory}: no such directory"]


def test_status_names_an_onnx_link_that_leads_past_the_live_model(desk: Desk) -> None:
    desk.artifacts.latest_onnx.unlink()
    desk.artifacts.latest_onnx.symlink_to(f"{desk.candidate}/model.onnx")
    assert status(desk.artifacts, desk.policy).problems == [
        f"{desk.artifacts.latest_onnx} does not lead to latest/model.onnx; see: modelgates recover"
    ]


def test_status_of_a_link_without_its_log_is_still_printed(desk: Desk) -> None:
    desk.artifacts.promotions.unlink()
    found = status(desk.artifacts, desk.policy)
    assert found.lines()[0] == f"live: {desk.live}, says the link; the log does not know it"
    assert [problem[:50] for problem in found.problems] == [
        "promotions.log says nothing is live, latest points",
        f"record 2 is not, or no longer, the one that {desk.candidate}"[:50],
    ]


def test_status_says_everything_that_is_wrong_at_once(desk: Desk) -> None:
    desk.artifacts.promotions.write_bytes(b"\0\n")
    desk.artifacts.latest_id.write_bytes(b"\xff")
    with (desk.artifacts.model(desk.live) / "model.onnx").open("ab") as file:
        file.write(b"\0")
    found = status(desk.artifacts, desk.policy)
    assert not found.sound
    for said in ("promotions.log, line 1 from the end: no record of the audit log", "latest_id.txt: holds no"):
        assert [problem for problem in found.problems if said in problem]
    assert [problem for problem in found.problems if problem.startswith(f"{desk.live}: model.onnx: ")]


def test_status_says_that_the_newest_model_which_keeps_a_head_is_not_there(desk: Desk) -> None:
    desk.artifacts.latest_id.write_text("1999999999\n")
    found = status(desk.artifacts, desk.policy)
    assert found.audit_log == "chained only"
    assert found.problems == [
        f"{desk.artifacts.latest_id}: names no model that is there; write the newest one's id into it"
    ]


def test_status_names_a_change_that_was_cut_short(desk: Desk) -> None:
    append(desk.artifacts.promotions, second(desk))
    flip(desk.artifacts, desk.candidate)
    found = status(desk.artifacts, desk.policy)
    assert found.live == desk.candidate
    assert found.problems == [
        f"a promote to {desk.candidate} was cut short; the next change settles it, or: modelgates recover"
    ]
    with locked(desk.artifacts, desk.policy.registry):
        append(desk.artifacts.promotions, second(desk))
        assert status(desk.artifacts, desk.policy).sound, "it is under way"


def second(desk: Desk) -> Intent:
    return Intent(
        time=datetime.now(UTC),
        actor="ada",
        host="desk",
        action="promote",
        from_=desk.live,
        to=desk.candidate,
        digest=tree_digest(desk.artifacts.model(desk.candidate)),
        report_digest=None,
        reason="why",
    )


def test_the_list_shows_every_model_and_what_it_is(desk: Desk) -> None:
    rows = listing(desk.artifacts)
    assert [(row.id, row.state, row.changes) for row in rows] == [
        (desk.live, "live", "A ridge for tests."),
        (desk.candidate, "candidate", "Another ridge."),
    ]
    assert rows[0].created == datetime.fromtimestamp(int(desk.live), UTC)


def test_one_broken_model_does_not_hide_the_others(desk: Desk) -> None:
    (desk.artifacts.models / "1700000000").mkdir()
    (desk.artifacts.models / "123").mkdir()
    (desk.artifacts.model(desk.candidate) / "CHANGES.md").write_bytes(b"\xff caf\xe9\nmore\n")
    rows = listing(desk.artifacts)
    assert [(row.id, row.state) for row in rows] == [
        ("1700000000", "damaged"),
        (desk.live, "live"),
        (desk.candidate, "candidate"),
    ]
    assert "manifest.json: no such file" in rows[0].changes
    assert rows[2].changes == "� caf�"
