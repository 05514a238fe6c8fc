"""How far the log can be believed, and who signed it."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit.chain import Abort, append, decoded, read_chain, read_log, tail
from pytest_modelgates.audit.head import Head
from pytest_modelgates.cli import main
from pytest_modelgates.evidence.seal import generate_key
from pytest_modelgates.model.directory import MANIFEST
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.status import status
from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.strict_json import canonical
from tests.support.handmade import Desk, green_report

Capture = pytest.CaptureFixture[str]


def verify(desk: Desk, *more: object) -> int:
    root, policy = str(desk.artifacts.root), str(desk.policy_file)
    return main(["log", "--verify", "--artifacts", root, "--policy", policy, *map(str, more)])


@pytest.fixture
def signed(desk: Desk, tmp_path: Path) -> Desk:
    """The candidate is promoted, and the first model rolled back to, under a key that the policy lists."""
    key = tmp_path / "key.pem"
    with desk.policy_file.open("a") as file:
        file.write(f'[evidence]\nkeys = ["{generate_key(key)}"]\n')
    promote(desk.artifacts, desk.candidate, green_report(desk), desk.policy, reason="signed", key=key)
    rollback(desk.artifacts, desk.live, desk.policy, reason="signed too", key=key)
    return desk


def lines_of(desk: Desk) -> list[bytes]:
    return desk.artifacts.promotions.read_bytes().split(b"\n")[:-1]


def put(desk: Desk, lines: list[bytes]) -> None:
    desk.artifacts.promotions.write_bytes(b"".join(line + b"\n" for line in lines))


def test_a_whole_log_is_said_to_be_one(desk: Desk, capsys: Capture) -> None:
    end = tail(desk.artifacts.promotions).head
    assert verify(desk) == 0
    said = f"{desk.artifacts.promotions}: 2 records, 0 signed, 1 heads kept by models; head {end}\n"
    assert capsys.readouterr().out == said
    assert verify(desk, "--head", end) == 0


def test_a_head_is_held_against_the_log_whether_or_not_verify_is_said(desk: Desk, capsys: Capture) -> None:
    arguments = ["log", "--artifacts", str(desk.artifacts.root), "--head"]
    assert main([*arguments, str(tail(desk.artifacts.promotions).head)]) == 0
    assert main([*arguments, f"2:{'0' * 64}"]) == 1
    assert "problem: record 2 is not, or no longer, the one that --head kept" in capsys.readouterr().out


def test_a_manifest_whose_head_no_log_can_have_is_no_manifest(desk: Desk, capsys: Capture) -> None:
    directory = desk.artifacts.model(desk.candidate)
    manifest = json.loads((directory / MANIFEST).read_bytes())
    manifest["audit_head"] = "9" * 5000 + ":" + "0" * 64
    (directory / MANIFEST).write_bytes(canonical(manifest))
    assert verify(desk) == 0
    assert " 0 heads kept by models; " in capsys.readouterr().out
    assert main(["verify", str(directory)]) == 1
    assert "`$.audit_head`" in capsys.readouterr().out


def test_promote_and_rollback_take_the_key_as_gate_does(desk: Desk, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    with desk.policy_file.open("a") as file:
        file.write(f'[evidence]\nkeys = ["{generate_key(key)}"]\n')
    registry = ["--key", str(key), "--artifacts", str(desk.artifacts.root), "--policy", str(desk.policy_file)]
    for command in (["promote", "--report", str(green_report(desk))], ["rollback", desk.live, "--reason", "x"]):
        assert main([*command, *registry]) == 0
    assert len([commit for commit in read_chain(desk.artifacts.promotions).commits if commit.signature]) == 2
    assert verify(desk, "--json") == 0


def test_without_a_head_kept_elsewhere_a_log_is_chained_only(desk: Desk) -> None:
    shutil.rmtree(desk.artifacts.model(desk.candidate))
    assert status(desk.artifacts, desk.policy).audit_log == "chained only"


def test_a_head_that_was_kept_while_a_change_was_under_way_is_still_one(desk: Desk) -> None:
    # The last commit is older than the head: the search for one must not pass by the other.
    change = read_log(desk.artifacts.promotions)[-1]
    append(desk.artifacts.promotions, msgspec.structs.replace(change, from_=desk.live, to=desk.candidate))
    append(desk.artifacts.promotions, Abort(time=change.time))
    manifest = desk.artifacts.model(desk.candidate) / "manifest.json"
    content = json.loads(manifest.read_bytes()) | {"audit_head": str(tail(desk.artifacts.promotions).head)}
    manifest.write_text(json.dumps(content))
    found = status(desk.artifacts, desk.policy)
    assert (found.audit_log, found.problems) == (f"chained, head kept by {desk.candidate}", [])


def test_a_cut_tail_shows_by_the_head_that_a_later_model_kept(desk: Desk, capsys: Capture) -> None:
    put(desk, lines_of(desk)[:1])
    kept = f"record 2 is not, or no longer, the one that {desk.candidate} kept: the log was cut off or written anew"
    assert kept in status(desk.artifacts, desk.policy).problems
    assert verify(desk) == 1
    assert f"problem: {kept}\n" in capsys.readouterr().out


def test_a_chain_written_anew_shows_by_the_head_that_was_printed(desk: Desk, capsys: Capture) -> None:
    shutil.rmtree(desk.artifacts.model(desk.candidate))
    head = tail(desk.artifacts.promotions).head
    first, second = lines_of(desk)
    anew = first.replace(b"all hard gates passed", b"nobody looked")
    put(desk, [anew, second.replace(sha256(first).encode(), sha256(anew).encode())])
    assert verify(desk) == 0, "a chain alone does not show it"
    capsys.readouterr()
    assert verify(desk, "--head", head) == 1
    said = "problem: record 2 is not, or no longer, the one that --head kept: the log was cut off or written anew\n"
    assert said in capsys.readouterr().out


def test_signed_changes_are_named_by_their_key(signed: Desk, capsys: Capture) -> None:
    found = status(signed.artifacts, signed.policy)
    assert found.sound
    (key,) = signed.policy.evidence.keys
    assert found.audit_log == f"chained, head kept by {signed.candidate}, head signed by {key}"
    assert verify(signed) == 0
    assert ": 6 records, 2 signed, 1 heads kept by models; head 6:" in capsys.readouterr().out


def test_a_rewritten_log_cannot_be_signed_without_the_key(signed: Desk, capsys: Capture) -> None:
    lines = lines_of(signed)
    lines[4] = lines[4].replace(b"signed too", b"no reason ")
    lines[5] = lines[5].replace(sha256(lines_of(signed)[4]).encode(), sha256(lines[4]).encode())
    put(signed, lines)
    problem = "record 6 is signed by none of the 1 keys that the policy lists"
    assert status(signed.artifacts, signed.policy).problems == [problem]
    assert verify(signed) == 1
    assert f"problem: {problem}\n" in capsys.readouterr().out


def test_another_key_signs_nothing_here(signed: Desk, tmp_path: Path, capsys: Capture) -> None:
    (old,), new = signed.policy.evidence.keys, generate_key(tmp_path / "other.pem")
    signed.policy_file.write_text(signed.policy_file.read_text().replace(old, new))
    assert verify(signed) == 1
    assert capsys.readouterr().out.count("is signed by none of the 1 keys") == 2


def test_the_key_in_the_environment_signs(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELGATES_KEY", str(tmp_path / "key.pem"))
    generate_key(tmp_path / "key.pem")
    report, root, policy = green_report(desk), desk.artifacts.root, desk.policy_file
    assert main(["promote", "--report", str(report), "--artifacts", str(root), "--policy", str(policy)]) == 0
    commit = decoded(lines_of(desk)[-1], "here")
    assert commit.signature  # type: ignore[union-attr]


def test_a_key_that_others_can_read_signs_nothing(
    desk: Desk, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.pem"
    generate_key(key)
    key.chmod(0o644)
    monkeypatch.setenv("MODELGATES_KEY", str(key))
    before = desk.state()
    report, root, policy = green_report(desk), desk.artifacts.root, desk.policy_file
    assert main(["promote", "--report", str(report), "--artifacts", str(root), "--policy", str(policy)]) == 1
    assert "mode 644 lets others read the key" in capsys.readouterr().err
    assert desk.state() == before


@pytest.mark.parametrize("text", ["", "1", "0:" + "0" * 64, "1:" + "0" * 63, "１:" + "0" * 64, "1:" + "g" * 64])
def test_a_head_has_one_form(desk: Desk, capsys: Capture, text: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        verify(desk, f"--head={text}")
    assert f"{text!r} is no head as promote prints it: a number, a colon, a SHA-256" in capsys.readouterr().err


def test_a_head_is_read_as_it_is_printed() -> None:
    head = Head(12, "0" * 64)
    assert Head.parse(str(head)) == head


@pytest.mark.parametrize(
    ("may", "arguments", "verb"),
    [
        ("may_promote", ["promote", "--report", "{report}"], "promote"),
        ("may_roll_back", ["rollback", "{live}", "--reason", "x"], "roll back"),
    ],
)
def test_the_policy_says_who_may(
    desk: Desk, capsys: Capture, monkeypatch: pytest.MonkeyPatch, may: str, arguments: list[str], verb: str
) -> None:
    report = green_report(desk)
    if verb == "roll back":
        promote(desk.artifacts, desk.candidate, report, desk.policy, reason="x")
    with desk.policy_file.open("a") as file:
        file.write(f'[registry]\n{may} = ["ada", "bob"]\n')
    report, before = green_report(desk), desk.state()
    command = [word.format(report=report, live=desk.live) for word in arguments]
    command += ["--artifacts", str(desk.artifacts.root), "--policy", str(desk.policy_file)]
    monkeypatch.setenv("MODELGATES_ACTOR", "eve")
    assert main(command) == 1
    assert f"eve may not {verb}; the policy lets ada, bob" in capsys.readouterr().err
    assert desk.state() == before
    monkeypatch.setenv("MODELGATES_ACTOR", "bob")
    assert main(command) == 0
    assert read_log(desk.artifacts.promotions)[-1].actor == "bob"
