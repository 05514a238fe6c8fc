"""How far the log can be believed, and who signed it."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit.chain import Abort, append, decoded, read_log, tail
from pytest_modelgates.audit.head import Head
from pytest_modelgates.audit.whole import read_chain
from pytest_modelgates.cli import main
from pytest_modelgates.evidence.seal import generate_key
from pytest_modelgates.model.directory import MANIFEST
from pytest_modelgates.registry.events import record_event
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.status import status
from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.strict_json import canonical
from tests.support.handmade import Registry, green_report

Capture = pytest.CaptureFixture[str]


def verify(registry: Registry, *more: object) -> int:
    root, policy = str(registry.artifacts.root), str(registry.policy_file)
    return main(["log", "--verify", "--artifacts", root, "--policy", policy, *map(str, more)])


@pytest.fixture
def signed(registry: Registry, tmp_path: Path) -> Registry:
    """The candidate is promoted, and the first model rolled back to, under a key that the policy lists."""
    key = tmp_path / "key.pem"
    with registry.policy_file.open("a") as file:
        file.write(f'[evidence]\nkeys = ["{generate_key(key)}"]\n')
    promote(
        registry.artifacts,
        registry.candidate,
        green_report(registry),
        registry.in_force,
        reason="signed",
        key=key,
    )
    rollback(registry.artifacts, registry.live, registry.in_force, reason="signed too", key=key)
    return registry


def lines_of(registry: Registry) -> list[bytes]:
    return registry.artifacts.promotions.read_bytes().split(b"\n")[:-1]


def put(registry: Registry, lines: list[bytes]) -> None:
    registry.artifacts.promotions.write_bytes(b"".join(line + b"\n" for line in lines))


def test_a_whole_log_is_said_to_be_one(registry: Registry, capsys: Capture) -> None:
    end = tail(registry.artifacts.promotions).head
    assert verify(registry) == 0
    said = f"{registry.artifacts.promotions}: 4 records, 0 signed, 1 heads kept by models; head {end}\n"
    assert capsys.readouterr().out == said
    assert verify(registry, "--head", end) == 0


def test_a_head_is_held_against_the_log_whether_or_not_verify_is_said(registry: Registry, capsys: Capture) -> None:
    arguments = ["log", "--artifacts", str(registry.artifacts.root), "--head"]
    assert main([*arguments, str(tail(registry.artifacts.promotions).head)]) == 0
    assert main([*arguments, f"2:{'0' * 64}"]) == 1
    assert "problem: record 2 is not the one that --head kept" in capsys.readouterr().out


def test_a_manifest_whose_head_no_log_can_have_is_no_manifest(registry: Registry, capsys: Capture) -> None:
    directory = registry.artifacts.model(registry.candidate)
    manifest = json.loads((directory / MANIFEST).read_bytes())
    manifest["audit_head"] = "9" * 5000 + ":" + "0" * 64
    (directory / MANIFEST).write_bytes(canonical(manifest))
    assert verify(registry) == 0
    assert " 0 heads kept by models; " in capsys.readouterr().out
    assert main(["verify", str(directory)]) == 1
    assert "`$.audit_head`" in capsys.readouterr().out


def test_promote_and_rollback_take_the_key_as_gate_does(registry: Registry, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    with registry.policy_file.open("a") as file:
        file.write(f'[evidence]\nkeys = ["{generate_key(key)}"]\n')
    words = ["--key", str(key), "--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]
    for command in (["promote", "--report", str(green_report(registry))], ["rollback", registry.live, "--reason", "x"]):
        assert main([*command, *words]) == 0
    assert len(read_chain(registry.artifacts.promotions).signed) == 2
    assert verify(registry, "--json") == 0


def test_without_a_head_kept_elsewhere_a_log_is_chained_only(registry: Registry) -> None:
    shutil.rmtree(registry.artifacts.model(registry.candidate))
    assert status(registry.artifacts, registry.in_force).audit_log == "chained only"


def test_a_head_that_was_kept_while_a_change_was_under_way_is_still_one(registry: Registry) -> None:
    # The last commit is older than the kept head, so the search must go on until it has seen both.
    change = read_log(registry.artifacts.promotions)[-1]
    append(registry.artifacts.promotions, msgspec.structs.replace(change, from_=registry.live, to=registry.candidate))
    append(registry.artifacts.promotions, Abort(time=change.time))
    manifest = registry.artifacts.model(registry.candidate) / "manifest.json"
    content = json.loads(manifest.read_bytes()) | {"audit_head": str(tail(registry.artifacts.promotions).head)}
    manifest.write_text(json.dumps(content))
    found = status(registry.artifacts, registry.in_force)
    assert (found.audit_log, found.problems) == (f"chained, head kept by {registry.candidate}", [])


def test_a_cut_tail_shows_by_the_head_that_a_later_model_kept(registry: Registry, capsys: Capture) -> None:
    put(registry, lines_of(registry)[:2])
    kept = f"record 4 is not the one that {registry.candidate} kept: the log was cut off or rewritten"
    assert f"{kept}; see: modelgates recover" in status(registry.artifacts, registry.in_force).problems
    assert verify(registry) == 1
    assert f"problem: {kept}\nwhat to do about it: modelgates recover\n" in capsys.readouterr().out


def test_a_chain_written_anew_shows_by_the_head_that_was_printed(registry: Registry, capsys: Capture) -> None:
    shutil.rmtree(registry.artifacts.model(registry.candidate))
    head = tail(registry.artifacts.promotions).head
    trial, first, second, _ = lines_of(registry)
    anew = first.replace(b"all hard gates passed", b"nobody looked")
    put(registry, [trial, anew, second.replace(sha256(first).encode(), sha256(anew).encode())])
    assert verify(registry) == 0, "a chain alone does not show it"
    capsys.readouterr()
    assert verify(registry, "--head", head) == 1
    said = "problem: record 4 is not the one that --head kept: the log was cut off or rewritten\n"
    assert said in capsys.readouterr().out


def test_signed_changes_are_named_by_their_key(signed: Registry, capsys: Capture) -> None:
    found = status(signed.artifacts, signed.in_force)
    assert found.sound
    (key,) = signed.policy.evidence.keys
    assert found.audit_log == f"chained, head kept by {signed.candidate}, head signed by {key}"
    assert verify(signed) == 0
    assert ": 8 records, 2 signed, 1 heads kept by models; head 8:" in capsys.readouterr().out


def test_a_rewritten_log_cannot_be_signed_without_the_key(signed: Registry, capsys: Capture) -> None:
    lines = lines_of(signed)
    lines[6] = lines[6].replace(b"signed too", b"no reason ")
    lines[7] = lines[7].replace(sha256(lines_of(signed)[6]).encode(), sha256(lines[6]).encode())
    put(signed, lines)
    problem = "record 8 is signed by none of the 1 keys that the policy lists"
    assert status(signed.artifacts, signed.in_force).problems == [problem]
    assert verify(signed) == 1
    assert f"problem: {problem}\n" in capsys.readouterr().out


def note(registry: Registry, *, key: Path | None = None) -> None:
    rules = registry.rules
    record_event(registry.artifacts, rules, kind="trip", subject=registry.live, reason="drift", key=key)


def test_a_signed_event_vouches_for_the_log_up_to_it(signed: Registry, tmp_path: Path, capsys: Capture) -> None:
    note(signed, key=tmp_path / "key.pem")
    found, (key,) = status(signed.artifacts, signed.in_force), signed.policy.evidence.keys
    assert (found.audit_log, found.problems) == (f"chained, head kept by {signed.candidate}, head signed by {key}", [])
    assert verify(signed) == 0
    assert ": 9 records, 3 signed, 1 heads kept by models; head 9:" in capsys.readouterr().out


def test_what_follows_on_the_last_signature_is_said_not_to_be_signed(signed: Registry) -> None:
    note(signed)
    found, (key,) = status(signed.artifacts, signed.in_force), signed.policy.evidence.keys
    level = f"chained, head kept by {signed.candidate}, signed by {key} up to record 8"
    assert (found.audit_log, found.problems) == (level, [])


@pytest.mark.parametrize(
    ("was", "becomes"), [(b'"reason":"drift"', b'"reason":"a test"'), (b'"kind":"trip"', b'"kind":"kill"')]
)
def test_a_signed_event_cannot_be_rewritten_without_the_key(
    signed: Registry, tmp_path: Path, capsys: Capture, was: bytes, becomes: bytes
) -> None:
    note(signed, key=tmp_path / "key.pem")
    *before, last = lines_of(signed)
    put(signed, [*before, last.replace(was, becomes)])
    problem = "record 9 is signed by none of the 1 keys that the policy lists"
    assert status(signed.artifacts, signed.in_force).problems == [problem]
    assert verify(signed) == 1
    assert f"problem: {problem}\n" in capsys.readouterr().out


def test_another_key_signs_nothing_here(signed: Registry, tmp_path: Path, capsys: Capture) -> None:
    (old,), new = signed.policy.evidence.keys, generate_key(tmp_path / "other.pem")
    signed.policy_file.write_text(signed.policy_file.read_text().replace(old, new))
    assert verify(signed) == 1
    assert capsys.readouterr().out.count("is signed by none of the 1 keys") == 2


def test_the_key_in_the_environment_signs(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELGATES_KEY", str(tmp_path / "key.pem"))
    with registry.policy_file.open("a") as file:
        file.write(f'[evidence]\nkeys = ["{generate_key(tmp_path / "key.pem")}"]\n')
    report, root, policy = green_report(registry), registry.artifacts.root, registry.policy_file
    assert main(["promote", "--report", str(report), "--artifacts", str(root), "--policy", str(policy)]) == 0
    commit = decoded(lines_of(registry)[-1], "here")
    assert commit.signature  # type: ignore[union-attr]


def test_a_key_that_the_policy_does_not_list_is_refused_before_any_gate_runs(
    registry: Registry, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, before = generate_key(tmp_path / "key.pem"), registry.state()
    monkeypatch.setattr("pytest_modelgates.proving.hermetic.run_gates", None)
    for command in (
        ["promote", str(registry.artifacts.model(registry.candidate))],
        ["promote", "--report", str(green_report(registry)), "--artifacts", str(registry.artifacts.root)],
    ):
        assert main([*command, "--key", str(tmp_path / "key.pem")]) == 1
        assert capsys.readouterr().err == (
            f"modelgates: {tmp_path / 'key.pem'}: the policy lists no such key; add to [evidence] keys: {public}\n"
        )
    assert registry.state() == before


def test_a_key_that_others_can_read_signs_nothing(
    registry: Registry, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.pem"
    generate_key(key)
    key.chmod(0o644)
    monkeypatch.setenv("MODELGATES_KEY", str(key))
    before = registry.state()
    report, root, policy = green_report(registry), registry.artifacts.root, registry.policy_file
    assert main(["promote", "--report", str(report), "--artifacts", str(root), "--policy", str(policy)]) == 1
    assert "mode 644 lets others read the key" in capsys.readouterr().err
    assert registry.state() == before


@pytest.mark.parametrize("text", ["", "1", "0:" + "0" * 64, "1:" + "0" * 63, "１:" + "0" * 64, "1:" + "g" * 64])
def test_a_head_has_one_form(registry: Registry, capsys: Capture, text: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        verify(registry, f"--head={text}")
    assert f"{text!r} is not a head as promote prints it: a number, a colon, a SHA-256" in capsys.readouterr().err


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
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch, may: str, arguments: list[str], verb: str
) -> None:
    report = green_report(registry)
    if verb == "roll back":
        promote(registry.artifacts, registry.candidate, report, registry.in_force, reason="x")
    with registry.policy_file.open("a") as file:
        file.write(f'[registry]\n{may} = ["ada", "bob"]\n')
    report, before = green_report(registry), registry.state()
    command = [word.format(report=report, live=registry.live) for word in arguments]
    command += ["--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]
    monkeypatch.setenv("MODELGATES_ACTOR", "eve")
    assert main(command) == 1
    assert f"eve may not {verb}; the policy lets ada, bob" in capsys.readouterr().err
    assert registry.state() == before
    monkeypatch.setenv("MODELGATES_ACTOR", "bob")
    assert main(command) == 0
    assert read_log(registry.artifacts.promotions)[-1].actor == "bob"
