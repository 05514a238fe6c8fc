"""Seals, checked with securesystemslib's own reading of DSSE."""

import base64
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from pytest_modelgates.errors import FormatError, MissingExtraError, SealError
from pytest_modelgates.evidence.seal import generate_key, load_key, open_seal, public_key, seal, statement

PAYLOAD = statement({"model.onnx": "0" * 64}, {"policy": "1" * 64}, {}, result="PASSED")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    generate_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


@pytest.fixture
def sealed(key_file: Path) -> tuple[bytes, str]:
    key = load_key(key_file)
    return seal(PAYLOAD, key), public_key(key)


def outside_reading(content: bytes, public: str) -> None:
    """Verify with somebody else's library."""
    envelope = json.loads(content)
    key = SSlibKey(
        envelope["signatures"][0]["keyid"], "ed25519", "ed25519", {"public": public.removeprefix("ed25519:")}
    )
    Envelope.from_dict(envelope).verify([key], 1)


def test_another_library_verifies_the_seal(sealed: tuple[bytes, str]) -> None:
    outside_reading(*sealed)


def test_another_library_refuses_an_edited_payload(sealed: tuple[bytes, str]) -> None:
    content, public = sealed
    envelope = json.loads(content)
    envelope["payload"] = base64.b64encode(PAYLOAD.replace(b"PASSED", b"FAILED")).decode()
    with pytest.raises(VerificationError):
        outside_reading(json.dumps(envelope).encode(), public)
    with pytest.raises(SealError, match="signed by none of the 1 keys"):
        open_seal(json.dumps(envelope).encode(), [public], "run.dsse.json")


def test_the_payload_that_was_signed_comes_back(sealed: tuple[bytes, str]) -> None:
    content, public = sealed
    assert open_seal(content, [public], "run.dsse.json") == (PAYLOAD, public)


def test_the_second_listed_key_may_have_signed(sealed: tuple[bytes, str], tmp_path: Path) -> None:
    other = generate_key(tmp_path / "other.pem")
    content, public = sealed
    assert open_seal(content, [other, public], "run.dsse.json")[1] == public


@pytest.mark.parametrize("keys", [pytest.param([], id="no-key"), pytest.param(["another"], id="another-key")])
def test_a_seal_of_no_listed_key_is_refused(sealed: tuple[bytes, str], tmp_path: Path, keys: list[str]) -> None:
    listed = [generate_key(tmp_path / "other.pem") for _ in keys]
    with pytest.raises(SealError, match=f"run.dsse.json: signed by none of the {len(keys)} keys"):
        open_seal(sealed[0], listed, "run.dsse.json")


def test_a_listed_key_that_is_none_is_named(sealed: tuple[bytes, str]) -> None:
    with pytest.raises(SealError, match="the policy's key 'ed25519:zz' is not an Ed25519 public key"):
        open_seal(sealed[0], ["ed25519:zz"], "run.dsse.json")


def test_another_payload_type_is_refused(sealed: tuple[bytes, str]) -> None:
    envelope = json.loads(sealed[0]) | {"payloadType": "text/plain"}
    with pytest.raises(FormatError, match="payloadType"):
        open_seal(json.dumps(envelope).encode(), [sealed[1]], "run.dsse.json")


def test_without_cryptography_a_seal_is_refused_with_the_extra_that_brings_it(
    sealed: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    message = "cryptography is not installed; run: pip install 'pytest-modelgates[sign]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(message)}$"):
        open_seal(sealed[0], [sealed[1]], "report")


def test_what_is_not_base64_is_refused(sealed: tuple[bytes, str]) -> None:
    envelope = json.loads(sealed[0]) | {"payload": "ä"}
    with pytest.raises(SealError, match="payload or signature is not base64"):
        open_seal(json.dumps(envelope).encode(), [sealed[1]], "run.dsse.json")


def test_a_key_is_written_for_its_owner_alone(key_file: Path) -> None:
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_can_read_is_refused(key_file: Path) -> None:
    key_file.chmod(0o644)
    with pytest.raises(SealError, match=r"mode 644 lets others read the key; run: chmod 600"):
        load_key(key_file)


def test_a_key_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(SealError, match="a key is never overwritten"):
        generate_key(key_file)
    assert key_file.read_bytes() == before


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"no key")
    path.chmod(0o600)
    with pytest.raises(SealError, match="not a private key"):
        load_key(path)


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_is_accepted(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    folder = tmp_path_factory.mktemp("seal")
    public = generate_key(folder / "key.pem")
    content = bytearray(seal(PAYLOAD, load_key(folder / "key.pem")))
    content[position % len(content)] ^= 1 << bit
    try:
        payload, _ = open_seal(bytes(content), [public], "run.dsse.json")
    except (SealError, FormatError):
        return
    assert payload == PAYLOAD  # a flipped bit in the key's hint, which proves nothing


def test_the_statement_is_a_test_result_of_in_toto() -> None:
    """By the predicate's specification, version 0.1: result and configuration are compulsory, the rest is not."""
    content = statement(
        {"model.onnx": "0" * 64}, {"policy": "1" * 64}, {"report": {}}, result="WARNED", passed=["a.a"], warned=["b.b"]
    )
    assert json.loads(content) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.onnx", "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "WARNED",
            "configuration": [{"name": "policy", "digest": {"sha256": "1" * 64}}],
            "passedTests": ["a.a"],
            "warnedTests": ["b.b"],
            "failedTests": [],
            "report": {},
        },
    }
