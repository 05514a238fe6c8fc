"""What a gate run leaves: the ledger inside the JSON report. Written by the pytest half, read by this one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ..errors import FormatError, SealError
from ..model.sidecar import Count
from ..policy.limits import Bounds, Severity
from ..storage.digests import Sha256, sha256
from ..storage.paths import entries
from ..storage.strict_json import Moment, parse_json, read_bytes, typed
from .seal import SEALED_SUFFIX, Predicate, open_statement

PAGE_SUFFIX = ".html"
# The clocks of the machines that pack, gate and promote may differ by so much.
CLOCKS_DIFFER = timedelta(minutes=5)


class Evidence(Bounds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a gate measured, and the limit it was compared with.

    `value` is null when nothing could be measured, and `note` then says why. `detail` holds further numbers.
    `not_asked` says why the question does not arise for this model; `value` is then one that keeps the limit.
    """

    slo: str
    state: Literal["measured", "inconclusive", "no reference yet"]
    value: float | None
    unit: str
    sample: Count | None = None
    interval: tuple[float, float] | None = None
    detail: dict[str, str | float | int | None] = {}
    note: str | None = None
    not_asked: str | None = None


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One phase of one attempt; `exception` is the type that our own hook saw, whatever a report says later.

    `message` is the first line of an exception that was not the gate's answer, for people.
    """

    when: Literal["setup", "call", "teardown"]
    outcome: str
    duration_s: float
    exception: str | None
    message: str | None = None


class GateRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One gate of one model: who it is, how often it ran, and what it measured.

    `file` is a key of the run's `suite`; `fixtures` says where each fixture of the gate was defined, and `automatic`
    which of them nothing asks for; `code` names what else it is made of: files that its own imports, or that its
    function lies in, as keys of the run's `modules`.
    """

    gate: str
    severity: Severity
    node_id: str
    file: str
    fixtures: dict[str, str]
    attempts: Count
    phases: tuple[Phase, ...]
    evidence: tuple[Evidence, ...]
    code: tuple[str, ...] = ()
    automatic: tuple[str, ...] = ()


class ModelRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every gate that ran on one model, the model's bytes before and after, and the waivers that excused a gate."""

    directory: str
    digest_before: Sha256
    digest_after: Sha256
    gates: tuple[GateRecord, ...]
    waivers: tuple[str, ...] = ()


class RunInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The circumstances of a run.

    `suite` holds the SHA-256 of every file that gates were collected from, `modules` that of every other file that was
    loaded and belongs to nothing installed, each as it was before its code ran; `changed` names those that are others
    by now, and `twice` says what gate files name twice. `package_digest` is that of this package's own code; `hooks`
    says who, besides pytest and this package, implements a hook that can alter a run; `optimize` is above 0 when
    asserts were switched off; `nonce` is the random word that a hermetic run got from its parent; `shard` says which
    part of the gates it was given, such as 1/4.
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
    modules: dict[str, Sha256] = {}
    changed: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    shard: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]*/[1-9][0-9]*\Z")] | msgspec.UnsetType = msgspec.UNSET


class Ledger(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The value under the key `modelgates` of a report."""

    format: Literal[1] = 1
    run: RunInfo
    models: dict[str, ModelRun]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says: our ledger, and pytest's own exit code beside it."""

    exitcode: int
    modelgates: Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """A report that was read once, and what only its reader can know about it.

    Parameters
    ----------
    path : Path or None
        Where it lies; None if it is not kept anywhere yet.
    content : bytes
        The file's bytes: the report itself, or the envelope around it.
    parsed : Any
        The report as JSON, with all that other plugins wrote beside the ledger.
    report : Report
    sealed_by : str or None
        The public key that signed the envelope.
    sealed : Predicate or None
        What was signed.
    """

    path: Path | None
    content: bytes
    parsed: Any
    report: Report
    sealed_by: str | None
    sealed: Predicate | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return sha256(self.content)


def name_of_run(path: Path) -> str:
    """Name the run that a file is of, by the moment it began: its report, that one sealed, or its page."""
    return path.name.removesuffix(SEALED_SUFFIX).removesuffix(".json").removesuffix(PAGE_SUFFIX)


def reports_in(folder: Path) -> list[Path]:
    """List a model's reports, oldest first and one of each run: the plain one if it lies beside a sealed one."""
    # A sealed one sorts before the plain one.
    return list({name_of_run(path): path for path in entries(folder, "*.json")}.values())


def read_report(path: Path, *, keys: Sequence[str] = ()) -> StoredReport:
    """Read a report, or one in an envelope, strictly.

    Parameters
    ----------
    path : Path
    keys : sequence of str
        Public keys that may have sealed an envelope.

    Raises
    ------
    FormatError
        If it is not JSON, was not written by a gate run, or its ledger has another shape than expected.
    SealError
        If it is an envelope that none of the keys signed.
    """
    try:
        return _read(path, keys)
    except FormatError as error:
        raise FormatError(f"{error} → pytest --model-dir=DIR") from error
    except SealError as error:
        raise SealError(f"{error} → modelgates gate DIR --key FILE, by a key that [evidence] keys lists") from error


def _read(path: Path, keys: Sequence[str]) -> StoredReport:
    content, source = read_bytes(path), str(path)
    statement, sealed_by = None, None
    if path.name.endswith(SEALED_SUFFIX):
        statement, sealed_by = open_statement(content, keys, source)
        parsed = statement.predicate.report
    else:
        parsed = parse_json(content, source)
    if not isinstance(parsed, dict) or "modelgates" not in parsed:
        raise FormatError(f"{path}: not the report of a gate run")
    report = typed(parsed, Report, source)
    if statement is None:
        return StoredReport(path=path, content=content, parsed=parsed, report=report, sealed_by=None)
    if {statement.digest} != {run.digest_after for run in report.modelgates.models.values()}:
        raise SealError(f"{path}: the statement's subject is not the model that its ledger is of")
    if missing := statement.predicate.missing:
        raise SealError(f"{path}: the statement lacks {', '.join(missing)}, which a test result of in-toto has")
    return StoredReport(
        path=path, content=content, parsed=parsed, report=report, sealed_by=sealed_by, sealed=statement.predicate
    )
