"""What a gate run leaves: the ledger inside the JSON report. Written by the pytest half, read by this one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..errors import FormatError, SealError
from ..model.files import listing_digest, parse_json, read_bytes, sha256, typed
from ..model.manifest import Moment, Sha256
from .policy import Bounds, Severity
from .seal import open_seal

SEALED_SUFFIX = ".dsse.json"

Count = Annotated[int, msgspec.Meta(ge=0)]


class Evidence(Bounds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a gate measured, and the limit it was held against.

    `value` is null when nothing could be measured, and `note` then says why. `detail` holds further numbers.
    """

    slo: str
    state: Literal["measured", "inconclusive", "no reference yet"]
    value: float | None
    unit: str
    sample: Count | None = None
    interval: tuple[float, float] | None = None
    detail: dict[str, str | float | int | None] = {}
    note: str | None = None


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One phase of one attempt; `exception` is the type that our own hook saw, whatever a report says later."""

    when: Literal["setup", "call", "teardown"]
    outcome: str
    duration_s: float
    exception: str | None


class GateRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One gate of one model: who it is, how often it ran, and what it measured.

    `file` is a key of the run's `suite`; `fixtures` says where each fixture of the gate was defined.
    """

    gate: str
    severity: Severity
    node_id: str
    file: str
    fixtures: dict[str, str]
    attempts: Count
    phases: tuple[Phase, ...]
    evidence: tuple[Evidence, ...]


class ModelRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every gate that ran on one model, and the model's bytes before and after."""

    directory: str
    digest_before: Sha256
    digest_after: Sha256
    gates: tuple[GateRecord, ...]


class RunInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The circumstances of a run.

    `suite` holds the SHA-256 of every file that gates were collected from, `package_digest` is that of this package's
    own code; `hooks` says who, besides pytest and this package, implements a hook that can alter a run; `optimize` is
    above 0 when asserts were switched off; `nonce` is what the parent of a hermetic run gave it.
    """

    started: Moment
    finished: Moment
    exit_status: int
    arguments: tuple[str, ...]
    strict_soft: bool
    policy_source: str
    policy_digest: Sha256
    not_applicable: tuple[str, ...]
    suite: dict[str, Sha256]
    suite_digest: Sha256
    package_digest: Sha256
    hooks: dict[str, tuple[str, ...]]
    optimize: int
    nonce: str | None
    libraries: dict[str, str]


class Ledger(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The value under the key `modelgates` of a report."""

    format: Literal[1] = 1
    run: RunInfo
    models: dict[str, ModelRun]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report as read from disk: our ledger, pytest's own exit code in it, the file's digest, and who sealed it."""

    exitcode: int
    modelgates: Ledger
    digest: str = ""
    sealed_by: str | None = None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One file that a statement is about."""

    name: str
    digest: dict[str, str]


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """The predicate of a test-result statement, with the whole report in it."""

    result: Literal["PASSED", "WARNED", "FAILED"]
    report: Report


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename={"type_": "_type"}):
    """An in-toto statement of a gate run."""

    type_: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[Subject, ...]
    predicateType: Literal["https://in-toto.io/attestation/test-result/v0.1"]  # noqa: N815  # the standard's word
    predicate: TestResult


def read_report(path: Path, *, keys: Sequence[str] = ()) -> Report:
    """Read a report, or one in an envelope, strictly.

    Parameters
    ----------
    path : Path
    keys : sequence of str
        Public keys that may have sealed an envelope.

    Raises
    ------
    FormatError
        If it is no JSON, or was not written by a gate run, or its ledger is not of the expected shape.
    SealError
        If it is an envelope that none of the keys signed.
    """
    try:
        return _read(path, keys)
    except FormatError as error:
        raise FormatError(f"{error} → pytest --model-dir=DIR") from error
    except SealError as error:
        raise SealError(f"{error} → modelgates gate DIR --key FILE") from error


def _read(path: Path, keys: Sequence[str]) -> Report:
    content, sealed_by = read_bytes(path), None
    digest = sha256(content)
    if path.name.endswith(SEALED_SUFFIX):
        content, sealed_by = open_seal(content, keys, str(path))
        statement = typed(parse_json(content, str(path)), Statement, str(path))
        found = msgspec.structs.replace(statement.predicate.report, digest=digest, sealed_by=sealed_by)
        named = {entry.name: entry.digest.get("sha256", "") for entry in statement.subject}
        if listing_digest(named) not in {run.digest_after for run in found.modelgates.models.values()}:
            raise SealError(f"{path}: the statement's subject is not the model that its ledger is of")
        return found
    parsed = parse_json(content, str(path))
    if not isinstance(parsed, dict) or "modelgates" not in parsed:
        raise FormatError(f"{path}: not the report of a gate run")
    return msgspec.structs.replace(typed(parsed, Report, str(path)), digest=digest)
