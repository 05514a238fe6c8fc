"""Signatures of models, as OpenSSF Model Signing 1.0 has them: an in-toto statement of every file in a Sigstore bundle.

A bundle lies beside the registry's models and never in a model directory. See https://github.com/ossf/model-signing-spec.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from ..errors import IntegrityError, SealError
from ..extras import extra
from ..storage.digests import Sha256
from ..storage.strict_json import canonical, parse_json, read_bytes, typed
from ..storage.text import printable
from .seal import PAYLOAD_TYPE, STATEMENT_TYPE, Envelope, encoding, public_of, read_private_key

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE: Final = "https://model_signing/signature/v1.0"


class _Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A Sigstore bundle; its verification material says which key signed, which proves nothing."""

    mediaType: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]  # noqa: N815  # the standard's words
    dsseEnvelope: Envelope  # noqa: N815


class _Subject(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    digest: dict[str, str]


class _Resource(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    algorithm: Literal["sha256"]
    digest: Sha256


class _Serialization(msgspec.Struct, frozen=True, kw_only=True):
    method: Literal["files"]
    hash_type: Literal["sha256"]


class _Predicate(msgspec.Struct, frozen=True, kw_only=True):
    resources: tuple[_Resource, ...]
    serialization: _Serialization


class _Statement(msgspec.Struct, frozen=True, kw_only=True, rename={"type_": "_type"}):
    type_: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[_Subject, ...]
    predicateType: Literal["https://model_signing/signature/v1.0"]  # noqa: N815  # the standard's word
    predicate: _Predicate


def sign_model(name: str, files: Mapping[str, str], key: Path) -> bytes:
    """Sign the digests of a model's files.

    Parameters
    ----------
    name : str
        The model's id, under which the signature holds.
    files : mapping of str to str
        SHA-256 of every file, by its name.
    key : Path
        A private key, P-256 or Ed25519, in PEM. The reference package `model_signing` verifies P-256 alone.

    Returns
    -------
    bytes
        The bundle, as JSON.

    Raises
    ------
    SealError
        If it is not such a key, or others can read it.
    """
    private = _signing_key(key)
    resources = [{"name": each, "algorithm": "sha256", "digest": files[each]} for each in sorted(files)]
    payload = canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": _root(files[each] for each in sorted(files))}}],
            "predicateType": PREDICATE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": [],
                },
                "resources": resources,
            },
        }
    )
    public = private.public_key()
    signed = private.sign(encoding(payload), *_scheme(public))
    return canonical(
        {
            "mediaType": MEDIA_TYPE,
            # What the reference package asks for: the digest of the public key's PEM.
            "verificationMaterial": {
                "publicKey": {"hint": hashlib.sha256(_pem(public)).hexdigest()},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signed).decode(), "keyid": ""}],
            },
        }
    )


def verify_model(bundle: Path, name: str, files: Mapping[str, str], keys: Sequence[tuple[str, Any]]) -> str:
    """Check that a bundle is signed by one of the keys, for this model, over exactly these files.

    Parameters
    ----------
    bundle : Path
        Made by `sign_model`, or by the reference package over files (not shards) in SHA-256.
    name : str
        The model's id. A signature over the same files under another name is refused.
    files : mapping of str to str
        SHA-256 of every file that lies in the directory now.
    keys : sequence of (str, public key)
        Each with what people call it.

    Returns
    -------
    str
        What people call the key that signed it.

    Raises
    ------
    FormatError
        If it is not such a bundle.
    SealError
        If none of the keys signed it, or it contradicts itself.
    IntegrityError
        If it is for another model or other files, one line each.
    """
    payload, signed_by = _opened(bundle, keys)
    statement = typed(parse_json(payload, str(bundle)), _Statement, str(bundle))
    resources = statement.predicate.resources
    if twice := [each for each, times in Counter(resource.name for resource in resources).items() if times > 1]:
        raise SealError(f"{bundle}: the statement names {printable(', '.join(twice))} more than once")
    if len(statement.subject) != 1:
        raise SealError(f"{bundle}: {len(statement.subject)} subjects, expected one model")
    (subject,) = statement.subject
    if subject.digest != {"sha256": _root(resource.digest for resource in resources)}:
        raise SealError(f"{bundle}: its subject's digest is not that of the files it lists; sign the model again")
    signed = {resource.name: resource.digest for resource in resources}
    problems = [f"signed as {printable(subject.name)}, found as {name}"] if subject.name != name else []
    problems += [f"{printable(each)}: signed, and missing" for each in sorted(signed.keys() - files.keys())]
    problems += [f"{printable(each)}: there, and not signed" for each in sorted(files.keys() - signed.keys())]
    both = sorted(signed.keys() & files.keys())
    problems += [
        f"{each}: SHA-256 {files[each][:12]}…, {signed[each][:12]}… is signed"
        for each in both
        if files[each] != signed[each]
    ]
    if problems:
        raise IntegrityError("\n".join(f"{bundle.name}: {problem}" for problem in problems))
    return signed_by


def read_public_key(path: Path) -> tuple[str, Any]:
    """Read a public key in PEM, P-256 or Ed25519, with its path as its name."""
    try:
        key = extra("cryptography.hazmat.primitives.serialization", "sign").load_pem_public_key(read_bytes(path))
    except ValueError as error:
        raise SealError(f"{path}: not a public key in PEM ({error}); give what modelgates keygen wrote") from error
    if not (_is_p256(key) or isinstance(key, _ed25519().Ed25519PublicKey)):
        raise SealError(f"{path}: neither a P-256 nor an Ed25519 key; make one: modelgates keygen --p256 FILE")
    return str(path), key


def listed_keys(keys: Sequence[str]) -> list[tuple[str, Any]]:
    """Read the public keys that a policy lists."""
    return [(listed, public_of(listed)) for listed in keys]


def _opened(bundle: Path, keys: Sequence[tuple[str, Any]]) -> tuple[bytes, str]:
    envelope = typed(parse_json(read_bytes(bundle), str(bundle)), _Bundle, str(bundle)).dsseEnvelope
    try:
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = [base64.b64decode(entry.sig, validate=True) for entry in envelope.signatures]
    except ValueError as error:
        raise SealError(f"{bundle}: payload or signature is not base64 ({error})") from error
    invalid = extra("cryptography.exceptions", "sign").InvalidSignature
    for called, public in keys:
        for signature in signatures:
            try:
                public.verify(signature, encoding(payload), *_scheme(public))
            except invalid:
                continue
            return payload, called
    raise SealError(
        f"{bundle}: signed by none of the {len(keys)} keys at hand; give its public half by --public-key FILE"
    )


def _signing_key(path: Path) -> Any:
    key = read_private_key(path)
    if not (_is_p256(key) or isinstance(key, _ed25519().Ed25519PrivateKey)):
        raise SealError(f"{path}: neither a P-256 nor an Ed25519 key; make one: modelgates keygen --p256 FILE")
    return key


def _is_p256(key: Any) -> bool:
    return getattr(getattr(key, "curve", None), "name", None) == "secp256r1"


def _scheme(public: Any) -> tuple[Any, ...]:
    """Give what else a key's `sign` and `verify` take: for P-256 that it is ECDSA over SHA-256."""
    if not _is_p256(public):
        return ()
    hashes = extra("cryptography.hazmat.primitives.hashes", "sign")
    return (extra("cryptography.hazmat.primitives.asymmetric.ec", "sign").ECDSA(hashes.SHA256()),)


def _pem(public: Any) -> bytes:
    serialization = extra("cryptography.hazmat.primitives.serialization", "sign")
    found: bytes = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return found


def _root(digests: Any) -> str:
    # The specification's digest of a model: SHA-256 over the digests of its files, as bytes, in the order listed.
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def _ed25519() -> Any:
    return extra("cryptography.hazmat.primitives.asymmetric.ed25519", "sign")
