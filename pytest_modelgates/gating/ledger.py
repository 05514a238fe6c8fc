"""What a run leaves: the phases of every gate, what it measured, and on which bytes."""

import math
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, ModelgatesError, NoReference
from ..evidence.report import Evidence, GateRecord, Ledger, ModelRun, Phase, RunInfo
from ..evidence.trust import NONCE, package_digest
from ..evidence.verdict import UNMEASURED, Judged, binds, weigh
from ..model.manifest import installed
from ..policy.families import family_of
from ..policy.limits import Severity
from ..policy.policy import Policy
from ..policy.sections import Waiver
from ..storage.digests import sha256, tree_digest
from ..storage.paths import is_folder
from ..storage.strict_json import canonical, readable
from ..storage.text import printable
from .code import Code, CodeSeen, Watch
from .collection import ATTEMPTS, GATE, checked_model_dirs, identity, policy_of, read_sidecar, severity
from .gate import Gate
from .origins import fixture_origins, third_party_hooks
from .report_place import refuse_other_places

LIBRARIES = (
    "pytest-modelgates",
    "pytest",
    "pytest-benchmark",
    "pytest-json-report",
    "numpy",
    "scipy",
    "pandas",
    "onnx",
    "onnxruntime",
)


class PhaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one phase of one gate leaves. It travels on pytest's report, so that xdist workers leave the same ledger."""

    model_id: str
    gate: str
    severity: Severity
    node_id: str
    file: str
    fixtures: dict[str, str]
    hooks: dict[str, list[str]]
    attempts: int
    phase: Phase
    evidence: tuple[Evidence, ...]
    code: CodeSeen


def begin_attempt(item: pytest.Item, policy: Policy) -> None:
    """Count an attempt and give the gate an empty record; some plugins repeat a test without another trace."""
    item.stash[ATTEMPTS] = item.stash.get(ATTEMPTS, 0) + 1
    if name := identity(item):
        item.stash[GATE] = Gate(name, policy)


def is_unmeasured(report: pytest.TestReport) -> bool:
    """Whether a gate, or one of its fixtures, found too little data or nothing to compare with."""
    return hasattr(report, "modelgates") and report.modelgates["phase"]["exception"] in UNMEASURED


def record_phase(item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport, run: "Run") -> None:
    """Turn what a gate raised into its outcome, and attach the record of this phase to the report."""
    name = identity(item)
    if name is None:
        return
    # A plugin whose hook comes before ours may fail the set-up, and `begin_attempt` is then never called.
    gate = item.stash.get(GATE, None) or Gate(name, run.policy)
    error = call.excinfo.value if call.excinfo else None
    # Measuring is over at teardown, so whatever is raised there is an error.
    unmeasured = report.when != "teardown" and isinstance(error, InsufficientDataError | NoReference)
    if isinstance(error, InsufficientDataError | NoReference) and unmeasured:
        report.longrepr = gate.record_unmeasured(error)
    elif isinstance(error, ModelgatesError | OSError):
        report.longrepr = "\n".join(map(printable, f"{name}: {error}".splitlines()))
    elif report.when == "call" and report.passed and not gate.evidence:
        report.outcome, report.longrepr = (
            "failed",
            f"{name}: recorded no evidence; call gate.check with what it measured",
        )
    model_id = getattr(item, "callspec").params["model_dir"].name  # noqa: B009  # unknown to mypy
    # Only a miss may be a warning. Any other exception fails the run, since a broken gate says nothing.
    missed = unmeasured or (report.when == "call" and isinstance(error, AssertionError | pytest.fail.Exception))
    if unmeasured and isinstance(error, NoReference) and family_of(name).compares:
        report.outcome = "no reference yet"  # type: ignore[assignment]  # ours, beside pytest's three
    elif missed and report.failed and not run.binds(name, severity(item), model_id):
        report.outcome = "warned"  # type: ignore[assignment]  # ours, beside pytest's three
    record = PhaseRecord(
        model_id=model_id,
        gate=name,
        severity=severity(item),
        node_id=item.nodeid,
        file=str(item.path),
        # Asked again at the end, because a gate may ask for further fixtures while it runs.
        fixtures=fixture_origins(item) if report.when != "call" else {},
        # Asked for each gate anew, because a plugin may be registered while the run goes on.
        hooks=third_party_hooks(item.config, item) if report.when == "setup" else {},
        attempts=item.stash.get(ATTEMPTS, 0),
        phase=Phase(
            when=report.when,
            # pytest reports a non-strict xfail that passes as "passed".
            outcome="xpassed" if report.passed and hasattr(report, "wasxfail") else report.outcome,
            duration_s=report.duration,
            exception=_name_of(error, unmeasured=unmeasured) if error else None,
        ),
        evidence=tuple(gate.evidence) if report.when == "teardown" else (),
        code=run.watch.seen(item, report.when),
    )
    report.modelgates = as_json(msgspec.to_builtins(record))  # type: ignore[attr-defined]


def _name_of(error: BaseException, *, unmeasured: bool) -> str:
    """Name what was raised; a team's own kind of too little data goes by the name of ours."""
    if unmeasured:
        return (NoReference if isinstance(error, NoReference) else InsufficientDataError).__name__
    return type(error).__name__


class Run:
    """A gate run, from the first digest to the written report."""

    def __init__(self, config: pytest.Config) -> None:
        # An xdist worker gets the directories that its controller resolved: a link may have moved in between.
        given = getattr(config, "workerinput", {}).get("modelgates", config.option.model_dir)
        self.model_dirs = checked_model_dirs(given)
        self.policy, self.policy_source = policy_of(config)
        sidecars = {directory.name: read_sidecar(directory) for directory in self.model_dirs}
        for model_id, sidecar in sidecars.items():
            why = self.policy.why_not_admitted(sidecar) if sidecar else None
            if why:
                raise pytest.UsageError(f"{model_id} {': '.join(why)}")
        self.tasks = {model_id: sidecar.task if sidecar else None for model_id, sidecar in sidecars.items()}
        self.started = datetime.now(UTC)
        self.nonce = os.environ.get(NONCE)
        self.strict_soft: bool = config.option.strict_soft
        self.digests = {directory.name: tree_digest(directory) for directory in self.model_dirs}
        self._after = dict(self.digests)
        self._arguments = tuple(map(str, config.invocation_params.args))
        self._records: dict[tuple[str, str, str], GateRecord] = {}
        self._judged: dict[str, list[Judged]] = {}
        self._crashed: Counter[str] = Counter()
        self.lost_worker = False
        self._hooks: dict[str, set[str]] = {origin: set(names) for origin, names in third_party_hooks(config).items()}
        self._option = config.option
        refuse_other_places(config.option, [Artifacts.of(directory) for directory in self.model_dirs])
        self._code = Code()
        self.watch = Watch()

    def header(self) -> list[str]:
        """Name the subject: every model with its digest, and the policy."""
        return [
            *(f"model: {model_id} sha256:{digest[:16]}" for model_id, digest in self.digests.items()),
            f"policy: {self.policy_source} sha256:{self.policy.digest[:16]}",
        ]

    def add(self, report: pytest.TestReport) -> None:
        """Add what one phase of one gate left."""
        if not hasattr(report, "modelgates"):
            # xdist reports the gate that a dead worker was running; a plugin may let another worker repeat it.
            self._crashed[report.nodeid] += report.when == "???"  # type: ignore[comparison-overlap]  # xdist's value
            return
        added = msgspec.convert(report.modelgates, PhaseRecord)
        for origin, names in added.hooks.items():
            self._hooks.setdefault(origin, set()).update(names)
        place = self._code.add(added.code, Path(added.file))
        key = (added.model_id, added.gate, added.node_id)
        known = self._records.get(key) or GateRecord(
            gate=added.gate,
            severity=added.severity,
            node_id=added.node_id,
            file=place,
            fixtures=added.fixtures,
            attempts=0,
            phases=(),
            evidence=(),
        )
        # A repeat shows in one of three ways: in the count of its own process, as a second set-up, or as a crash
        # beside a complete attempt.
        phases = (*known.phases, added.phase)
        begun, ended = (sum(phase.when == when for phase in phases) for when in ("setup", "teardown"))
        self._records[key] = msgspec.structs.replace(
            known,
            fixtures=known.fixtures | added.fixtures,
            attempts=max(added.attempts, begun, ended + self._crashed[added.node_id]),
            phases=phases,
            evidence=known.evidence + added.evidence,
            code=tuple(sorted({*known.code, *added.code.uses})),
        )

    @property
    def empty(self) -> bool:
        """Whether no gate ran at all."""
        return not self._records

    def clear(self) -> None:
        """Remove the report of an earlier run from where this one's goes."""
        for path in self.report_paths():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Take the digests again, now that every gate is done with the files, and judge each record, once."""
        self._after = {
            # A directory that is gone counts as changed: no model has the digest of nothing.
            directory.name: tree_digest(directory) if is_folder(directory) else sha256(b"")
            for directory in self.model_dirs
        }
        used = (file for record in self._records.values() for file in record.code)
        self._code.close(used, all_count=self.nonce is not None)
        day = self.started.date()
        for (model_id, _, _), found in self._records.items():
            record = msgspec.structs.replace(
                found,
                fixtures={name: self._code.place(origin) for name, origin in found.fixtures.items()},
                code=tuple(map(self._code.place, found.code)),
            )
            digest = self.digests[model_id]
            judged = weigh(record, self.policy, digest=digest, day=day, strict_soft=self.strict_soft)
            self._judged.setdefault(model_id, []).append(judged)

    @property
    def changed(self) -> list[str]:
        """Models whose files are no longer those that the run began with."""
        return [model_id for model_id, digest in self.digests.items() if self._after[model_id] != digest]

    @property
    def code_problems(self) -> list[str]:
        """What speaks against the files of code, whatever the gates say."""
        changed = [f"{name} changed while the gates ran; run again" for name in self._code.changed]
        return [*changed, *(f"{what}; give each a name of its own" for what in self._code.twice)]

    def waiver(self, gate: str, model_id: str) -> Waiver | None:
        """Find the row of the policy that waives a gate for the bytes of this run, unless it has expired."""
        row = self.policy.waiver_of(gate, self.digests[model_id])
        return row if row and row.in_force(self.started.date()) else None

    def binds(self, gate: str, severity: Severity, model_id: str) -> bool:
        """Whether missing a gate fails the run; asked while it runs, before there is a verdict."""
        return binds(severity, self.waiver(gate, model_id), strict_soft=self.strict_soft)

    def judged(self, model_id: str) -> list[Judged]:
        """The judged records of one model, in the order the gates ran; none before the run is closed."""
        return self._judged.get(model_id, [])

    @property
    def green(self) -> bool:
        """Whether gates ran and none blocks, no file of a model changed, and no worker was lost."""
        blocked = any(judged.blocks for some in self._judged.values() for judged in some)
        return not (self.empty or blocked or self.changed or self.code_problems or self.lost_worker)

    def ledger(self, exit_status: int) -> Ledger:
        """Assemble the ledger: the circumstances of the run, the digests, every record."""
        suite = self._code.suite
        return Ledger(
            run=RunInfo(
                started=self.started,
                finished=datetime.now(UTC),
                exit_status=exit_status,
                arguments=self._arguments,
                strict_soft=self.strict_soft,
                policy_source=self.policy_source,
                policy_digest=self.policy.digest,
                not_applicable=self.policy.not_applicable,
                suite=suite,
                suite_digest=sha256(canonical(suite)),
                package_digest=package_digest(),
                hooks={self._code.place(origin): tuple(sorted(names)) for origin, names in sorted(self._hooks.items())},
                optimize=sys.flags.optimize,  # under -O a gate's assert does nothing
                nonce=self.nonce,
                libraries=installed(LIBRARIES) | {"platform": sys.platform},
                modules=self._code.modules,
                changed=self._code.changed,
                twice=self._code.twice,
            ),
            models={
                directory.name: ModelRun(
                    directory=str(directory),
                    digest_before=self.digests[directory.name],
                    digest_after=self._after[directory.name],
                    gates=tuple(judged.record for judged in self.judged(directory.name)),
                    waivers=tuple(str(judged.waiver) for judged in self.judged(directory.name) if judged.waiver),
                )
                for directory in self.model_dirs
            },
        )

    def report_paths(self) -> list[Path]:
        """Where the report goes: to the file asked for, else beside each model; and to --json-report-file."""
        own = [Path(file) for file in [getattr(self._option, "json_report_file", None)] if file and file != "none"]
        if self._option.gate_report:
            return [Path(self._option.gate_report), *own]
        return [*(Artifacts.of(path).new_report(path.name, self.started) for path in self.model_dirs), *own]

    def write(self, report: dict[str, Any], exit_status: int) -> None:
        """Write the report with the ledger in it; without a gate there is nothing to report."""
        if self.empty:
            return
        ledger = msgspec.to_builtins(self.ledger(exit_status))
        content = readable(as_json({**report, "exitcode": exit_status, "modelgates": ledger}))
        artifacts = Artifacts.of(self.model_dirs[0])
        for path in self.report_paths():
            artifacts.write(path, content)


RUN = pytest.StashKey[Run]()


def as_json(value: Any) -> Any:
    """Keep what JSON and xdist can carry: records of other tests may hold NaN, lone surrogates, or any object."""
    match value:
        case dict():
            return {as_json(str(key)): as_json(entry) for key, entry in value.items()}
        case list() | tuple():
            return [as_json(entry) for entry in value]
        case float():
            return float(value) if math.isfinite(value) else None
        case bool() | int() | None:
            return value
        case _:
            return str(value).encode("utf-8", "backslashreplace").decode()
