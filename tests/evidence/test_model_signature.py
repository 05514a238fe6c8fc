"""Signatures of models, held against the reference package: each side verifies what the other made."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_modelgates.cli import main
from pytest_modelgates.evidence.seal import PAYLOAD_TYPE, generate_key, read_private_key

Capture = pytest.CaptureFixture[str]


def reference(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the reference package, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "model_signing", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A P-256 key, with its public half beside it."""
    path = tmp_path / "key.pem"
    path.with_suffix(".pub").write_text(generate_key(path, p256=True) + "\n")
    return path


def bundle_of(model: Path) -> Path:
    return model.parents[1] / "signatures" / f"{model.name}.sigstore.json"


def sign(model: Path, key: Path) -> Path:
    assert main(["sign", str(model), "--key", str(key)]) == 0
    return bundle_of(model)


def verify(model: Path, key: Path, *more: object) -> int:
    return main(["verify", str(model), "--public-key", str(key.with_suffix(".pub")), "--signature", *map(str, more)])


@pytest.mark.integration
def test_the_reference_accepts_what_we_sign_and_refuses_it_after_one_byte(good_model: Path, key: Path) -> None:
    bundle = sign(good_model, key)
    words = ("verify", "key", good_model, "--public_key", key.with_suffix(".pub"), "--signature", bundle)
    done = reference(*words)
    assert (done.returncode, done.stdout.strip()) == (0, "Verification succeeded"), done.stderr
    changes = good_model / "CHANGES.md"
    changes.write_bytes(b"X" + changes.read_bytes()[1:])
    assert reference(*words).returncode == 1


@pytest.mark.integration
def test_we_accept_what_the_reference_signs_and_refuse_it_after_one_byte(
    good_model: Path, key: Path, tmp_path: Path, capsys: Capture
) -> None:
    bundle = tmp_path / "theirs.sig"
    done = reference("sign", "key", good_model, "--private_key", key, "--signature", bundle)
    assert done.returncode == 0, done.stderr
    assert verify(good_model, key, bundle) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        f"{good_model.name}: signed by {key.with_suffix('.pub')} ({bundle})"
    )
    content = json.loads(bundle.read_text())
    payload = base64.b64decode(content["dsseEnvelope"]["payload"]).replace(b"model.onnx", b"model.onny")
    content["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle.write_text(json.dumps(content))
    assert verify(good_model, key, bundle) == 1
    assert "signed by none of the 1 keys at hand" in capsys.readouterr().err


def test_an_ed25519_key_of_the_policy_signs_and_verifies_too(good_model: Path, tmp_path: Path, capsys: Capture) -> None:
    key, policy = tmp_path / "seal.pem", tmp_path / "policy.toml"
    public = generate_key(key)
    policy.write_text(f'[evidence]\nkeys = ["{public}"]\n')
    bundle = sign(good_model, key)
    assert main(["verify", str(good_model), "--policy", str(policy), "--signature"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{good_model.name}: signed by {public} ({bundle})"


def test_a_model_that_is_not_sound_is_not_signed(good_model: Path, key: Path) -> None:
    (good_model / "CHANGES.md").write_text("other")
    assert main(["sign", str(good_model), "--key", str(key)]) == 1
    assert not bundle_of(good_model).exists()


def test_a_copy_under_another_id_is_refused(good_model: Path, key: Path, capsys: Capture) -> None:
    bundle = sign(good_model, key)
    # With its manifest rewritten it would be sound, so the manifest differs as well.
    other = good_model.with_name("1800000000")
    good_model.rename(other)
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace(good_model.name, other.name))
    assert verify(other, key, bundle) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[2] == f"{bundle.name}: signed as {good_model.name}, found as {other.name}"
    assert said[3].startswith(f"{bundle.name}: manifest.json: SHA-256 ")


def resigned(bundle: Path, key: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a statement, and sign it anew with the right key: only its content can now speak against it."""
    content = json.loads(bundle.read_text())
    statement = json.loads(base64.b64decode(content["dsseEnvelope"]["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    signed = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload
    from cryptography.hazmat.primitives import hashes

    signature = read_private_key(key).sign(signed, ec.ECDSA(hashes.SHA256()))
    content["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    content["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(signature).decode(), "keyid": ""}]
    bundle.write_text(json.dumps(content))


CHANGED = [
    pytest.param(lambda s: s.update(subject=[]), "0 subjects, expected one model", id="no-subject"),
    pytest.param(lambda s: s["subject"].append(s["subject"][0]), "2 subjects", id="two-subjects"),
    pytest.param(
        lambda s: s["subject"][0].update(digest={"sha256": "0" * 64}), "not that of the files it lists", id="root"
    ),
    pytest.param(lambda s: s["predicate"]["resources"].pop(), "not that of the files it lists", id="one-left-out"),
    pytest.param(
        lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]),
        "the statement names CHANGES.md more than once",
        id="twice",
    ),
    pytest.param(
        lambda s: s.update(predicateType="https://in-toto.io/attestation/test-result/v0.1"),
        "Invalid enum value",
        id="a-report-is-no-signature",
    ),
    pytest.param(
        lambda s: s["predicate"]["resources"][0].update(algorithm="blake2b"), "Invalid enum value", id="other-digest"
    ),
    pytest.param(lambda s: s["predicate"]["serialization"].update(method="shards"), "Invalid enum value", id="shards"),
]


@pytest.mark.parametrize(("change", "said"), CHANGED)
def test_a_statement_that_contradicts_itself_is_refused_whoever_signed_it(
    good_model: Path, key: Path, capsys: Capture, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    resigned(sign(good_model, key), key, change)
    assert verify(good_model, key) == 1
    assert said in capsys.readouterr().err


@pytest.mark.integration
def test_a_signature_that_the_reference_made_over_fewer_files_is_refused(
    good_model: Path, key: Path, tmp_path: Path, capsys: Capture
) -> None:
    bundle, left_out = tmp_path / "theirs.sig", good_model / "bench.json"
    words = ("sign", "key", good_model, "--private_key", key, "--signature", bundle, "--ignore-paths", left_out)
    assert reference(*words).returncode == 0
    assert verify(good_model, key, bundle) == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["theirs.sig: bench.json: there, and not signed"]


def test_what_cannot_be_a_key_is_refused_with_what_to_do(
    good_model: Path, key: Path, tmp_path: Path, capsys: Capture
) -> None:
    other = tmp_path / "p384.pem"
    curve = ec.generate_private_key(ec.SECP384R1())
    other.write_bytes(
        curve.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    other.chmod(0o600)
    assert main(["sign", str(good_model), "--key", str(other)]) == 1
    assert f"{other}: neither a P-256 nor an Ed25519 key; make one: modelgates keygen --p256 FILE" in (
        capsys.readouterr().err
    )
    sign(good_model, key)
    assert main(["verify", str(good_model), "--signature", "--public-key", str(key)]) == 1
    assert "not a public key in PEM" in capsys.readouterr().err
    assert main(["verify", str(good_model), "--public-key", str(key)]) == 2
    assert "--public-key checks a signature; add --signature" in capsys.readouterr().err


def test_without_a_key_nothing_is_signed(good_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.delenv("MODELGATES_KEY", raising=False)
    assert main(["sign", str(good_model)]) == 2
    assert "modelgates keygen --p256 FILE" in capsys.readouterr().err


def test_a_seal_is_never_made_by_a_key_for_signatures(good_model: Path, key: Path, capsys: Capture) -> None:
    assert main(["promote", str(good_model), "--key", str(key)]) == 1
    assert f"{key}: not an Ed25519 key; make one: modelgates keygen FILE" in capsys.readouterr().err
