"""What a gate run leaves: the ledger inside the JSON report. Written by the pytest half, read by this one."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..errors import FormatError
from ..model.files import parse_json, read_bytes, sha256, typed
from ..model.manifest import Moment, Sha256
from .policy import Bounds, Severity

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
    """One gate of one model: who it is, how often it ran, and what it measured."""

    gate: str
    severity: Severity
    node_id: str
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
    """The circumstances of a run. `suite` holds the SHA-256 of every file that gates were collected from."""

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
    libraries: dict[str, str]


class Ledger(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The value under the key `modelgates` of a report."""

    format: Literal[1] = 1
    run: RunInfo
    models: dict[str, ModelRun]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report as read from disk: our ledger, pytest's own exit code in it, and the digest of the file."""

    exitcode: int
    modelgates: Ledger
    digest: str = ""


def read_report(path: Path) -> Report:
    """Read a report strictly.

    Raises
    ------
    FormatError
        If it is no JSON, or was not written by a gate run, or its ledger is not of the expected shape.
    """
    content = read_bytes(path)
    parsed = parse_json(content, str(path))
    if not isinstance(parsed, dict) or "modelgates" not in parsed:
        raise FormatError(f"{path}: not the report of a gate run; make one with pytest --model-dir=DIR")
    return msgspec.structs.replace(typed(parsed, Report, str(path)), digest=sha256(content))
