"""Seals: a report or a proof as an in-toto test-result statement in a DSSE envelope, signed with Ed25519."""

import base64
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from ..errors import SealError
from ..extras import extra
from ..storage.digests import listing_digest, sha256
from ..storage.strict_json import canonical, parse_json, read_bytes, typed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
KEY_PREFIX = "ed25519:"
SEALED_SUFFIX = ".dsse.json"
PARTS = ("configuration", "passedTests", "warnedTests", "failedTests")

Result = Literal["PASSED", "WARNED", "FAILED"]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature of an envelope; `keyid` is a hint and proves nothing."""

    keyid: str = ""
    sig: str


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A DSSE envelope."""

    payload: str
    payloadType: Literal["application/vnd.in-toto+json"]  # noqa: N815  # the standard's word
    signatures: tuple[Signature, ...]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One file that a statement is about."""

    name: str
    digest: dict[str, str]


class Predicate(msgspec.Struct, frozen=True, kw_only=True):
    """What a test-result statement says, with the whole report or the whole proof in it.

    Proofs of version 0.1 have neither the configuration nor the lists.
    """

    result: Result
    configuration: tuple[dict[str, Any], ...] | None = None
    passedTests: tuple[str, ...] | None = None  # noqa: N815  # the standard's words
    warnedTests: tuple[str, ...] | None = None  # noqa: N815
    failedTests: tuple[str, ...] | None = None  # noqa: N815
    report: Any = None
    proof: Any = None

    @property
    def missing(self) -> list[str]:
        """Name what a complete statement would have."""
        return [name for name in PARTS if getattr(self, name) is None]


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename={"type_": "_type"}):
    """An in-toto statement."""

    type_: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[Subject, ...]
    predicateType: Literal["https://in-toto.io/attestation/test-result/v0.1"]  # noqa: N815  # the standard's word
    predicate: Predicate

    @property
    def digest(self) -> str:
        """Digest of the model directory that it is about."""
        return listing_digest({entry.name: entry.digest.get("sha256", "") for entry in self.subject})


def statement(
    files: Mapping[str, str],
    configuration: Mapping[str, str],
    content: Mapping[str, Any],
    *,
    result: Result,
    passed: Sequence[str] = (),
    warned: Sequence[str] = (),
    failed: Sequence[str] = (),
) -> bytes:
    """Write an in-toto statement of a test result, version 0.1.

    Parameters
    ----------
    files : mapping of str to str
        SHA-256 of every file of the model directory.
    configuration : mapping of str to str
        SHA-256 of what the run was configured by, by its name.
    content : mapping
        The report or the proof, which the standard does not know.
    result : str
        Of all gates together.
    passed, warned, failed : sequence of str
        Every gate, each in one list.

    Returns
    -------
    bytes
        Canonical JSON.
    """
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(files.items())],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "result": result,
                "configuration": [{"name": name, "digest": {"sha256": each}} for name, each in configuration.items()],
                "passedTests": list(passed),
                "warnedTests": list(warned),
                "failedTests": list(failed),
                **content,
            },
        }
    )


def generate_key(path: Path, *, p256: bool = False) -> str:
    """Write a new private key that only its owner can read.

    Parameters
    ----------
    path : Path
        Must not exist yet.
    p256 : bool, default False
        Make a P-256 key, for signatures of models that the reference package verifies.

    Returns
    -------
    str
        The public key: as the policy lists it, or in PEM if it is P-256.

    Raises
    ------
    SealError
        If there is a file already.
    """
    serialization = _serialization()
    if p256:
        curves = extra("cryptography.hazmat.primitives.asymmetric.ec", "sign")
        key = curves.generate_private_key(curves.SECP256R1())
    else:
        key = _ed25519().Ed25519PrivateKey.generate()
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SealError(f"{path}: there is a file already; a key is never overwritten, choose another name") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except BaseException:  # half a key would block the name for a whole one
        path.unlink()
        raise
    if not p256:
        return public_key(key)
    public = key.public_key()
    pem: bytes = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode().strip()


def load_key(path: Path) -> "Ed25519PrivateKey":
    """Read a private key for seals, unless others can read it too."""
    key = read_private_key(path)
    if not isinstance(key, _ed25519().Ed25519PrivateKey):
        raise SealError(f"{path}: not an Ed25519 key; make one: modelgates keygen FILE")
    found: Ed25519PrivateKey = key
    return found


def read_private_key(path: Path) -> Any:
    """Read a private key of any kind, unless others can read it too."""
    content = read_bytes(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SealError(f"{path}: mode {mode:o} lets others read the key; run: chmod 600 {path}, or make a new key")
    try:
        return _serialization().load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise SealError(f"{path}: not a private key ({error}); make one: modelgates keygen FILE") from error


def refuse_unlisted(key: Path | None, keys: Sequence[str]) -> None:
    """Refuse a private key whose public half the policy does not list: nobody would believe what it signs."""
    if key and (public := public_key(load_key(key))) not in keys:
        raise SealError(f"{key}: the policy lists no such key; add to [evidence] keys: {public}")


def public_key(key: "Ed25519PrivateKey") -> str:
    """Write a key's public half as the policy lists it."""
    return KEY_PREFIX + key.public_key().public_bytes_raw().hex()


def seal(payload: bytes, key: "Ed25519PrivateKey") -> bytes:
    """Sign a statement and put it in an envelope."""
    signature = Signature(
        keyid=sha256(public_key(key).encode()), sig=base64.b64encode(key.sign(encoding(payload))).decode()
    )
    return canonical(
        Envelope(payload=base64.b64encode(payload).decode(), payloadType=PAYLOAD_TYPE, signatures=(signature,))
    )


def sign(content: bytes, key: "Ed25519PrivateKey") -> str:
    """Sign bytes of the audit log, in hex. They begin otherwise than an envelope's, so neither passes for the other."""
    return key.sign(content).hex()


def signer(content: bytes, signature: str, keys: Sequence[str]) -> str | None:
    """Find which of the policy's keys signed bytes of the audit log; None if none did."""
    for listed in keys:
        with suppress(_invalid(), ValueError):
            public_of(listed).verify(bytes.fromhex(signature), content)
            return listed
    return None


def open_seal(content: bytes, keys: Sequence[str], source: str) -> tuple[bytes, str]:
    """Check an envelope against the keys that the policy lists.

    Returns
    -------
    bytes
        The payload whose signature was checked. Read nothing else of the envelope afterwards.
    str
        The public key that signed it.

    Raises
    ------
    SealError
        If no listed key signed it.
    """
    envelope = typed(parse_json(content, source), Envelope, source)
    try:
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = [base64.b64decode(entry.sig, validate=True) for entry in envelope.signatures]
    except ValueError as error:
        raise SealError(f"{source}: payload or signature is not base64 ({error})") from error
    for listed in keys:
        public = public_of(listed)
        for signature in signatures:
            try:
                public.verify(signature, encoding(payload))
            except _invalid():
                continue
            return payload, listed
    raise SealError(f"{source}: signed by none of the {len(keys)} keys that the policy lists")


def open_statement(content: bytes, keys: Sequence[str], source: str) -> tuple[Statement, str]:
    """Check an envelope as `open_seal` does, and read the statement in it."""
    payload, sealed_by = open_seal(content, keys, source)
    opened = typed(parse_json(payload, source), Statement, source)
    names = Counter(entry.name for entry in opened.subject)
    if twice := [name for name, times in names.items() if times > 1]:
        # Readers differ in which of the two they take.
        raise SealError(f"{source}: the statement names {', '.join(twice)} more than once among its subjects")
    return opened, sealed_by


def public_of(listed: str) -> Any:
    """Read a public key as the policy lists it."""
    try:
        return _ed25519().Ed25519PublicKey.from_public_bytes(bytes.fromhex(listed.removeprefix(KEY_PREFIX)))
    except ValueError as error:
        raise SealError(
            f"the policy's key {listed!r} is not an Ed25519 public key ({error}); list what modelgates keygen printed"
        ) from error


def encoding(payload: bytes) -> bytes:
    """Give the bytes that are signed of a payload."""
    # DSSE's pre-authentication encoding (PAE): the type and the payload, each with its length.
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _ed25519() -> Any:
    return extra("cryptography.hazmat.primitives.asymmetric.ed25519", "sign")


def _serialization() -> Any:
    return extra("cryptography.hazmat.primitives.serialization", "sign")


def _invalid() -> Any:
    return extra("cryptography.exceptions", "sign").InvalidSignature
