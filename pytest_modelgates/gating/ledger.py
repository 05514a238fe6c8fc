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
from ..errors import ModelgatesError
from ..evidence.report import GateRecord, Ledger, ModelRun, Phase, RunInfo
from ..evidence.trust import NONCE, package_digest
from ..evidence.verdict import Verdict, combine, promotes, weigh
from ..model.manifest import installed
from ..policy.limits import Severity
from ..policy.sections import Waiver
from ..storage.digests import sha256, sha256_of, tree_digest
from ..storage.strict_json import canonical, readable
from ..storage.text import printable
from .collection import ATTEMPTS, GATE, checked_model_dirs, identity, policy_of, read_sidecar, severity
from .gate import NoReference
from .origins import fixture_origins, third_party_hooks

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


def record_phase(item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport, run: "Run") -> None:
    """Turn what a gate raised into its outcome, and hang the record of this phase on the report.

    The record travels with the report, so that a run over xdist workers leaves the same ledger.
    """
    name = identity(item)
    if name is None:
        return
    gate, error = item.stash.get(GATE, None), call.excinfo.value if call.excinfo else None
    if isinstance(error, NoReference):
        report.outcome, report.longrepr = "no reference yet", str(error)  # type: ignore[assignment]  # ours, beside pytest's three
    elif isinstance(error, ModelgatesError | OSError):
        report.longrepr = "\n".join(map(printable, f"{name}: {error}".splitlines()))
    elif report.when == "call" and report.passed and not (gate and gate.evidence):
        report.outcome, report.longrepr = (
            "failed",
            f"{name}: recorded no evidence; call gate.check with what it measured",
        )
    missed = isinstance(error, AssertionError | pytest.fail.Exception)
    model_id = getattr(item, "callspec").params["model_dir"].name  # noqa: B009  # mypy knows no callspec
    if report.when == "call" and report.failed and missed and not run.binds(name, severity(item), model_id):
        report.outcome = "warned"  # type: ignore[assignment]  # as above
    record = {
        "model_id": model_id,
        "gate": name,
        "severity": severity(item),
        "node_id": item.nodeid,
        "file": str(item.path),
        "fixtures": fixture_origins(item) if report.when == "setup" else {},
        "hooks": third_party_hooks(item.config) if report.when == "setup" else {},
        "attempts": item.stash.get(ATTEMPTS, 0),
        "phase": {
            "when": report.when,
            # pytest calls it passed that a gate passed which was expected to fail.
            "outcome": "xpassed" if report.passed and hasattr(report, "wasxfail") else report.outcome,
            "duration_s": report.duration,
            "exception": type(error).__name__ if error else None,
        },
        "evidence": msgspec.to_builtins(gate.evidence) if gate and report.when == "teardown" else [],
    }
    report.modelgates = _as_json(record)  # type: ignore[attr-defined]


class Run:
    """A gate run, from the first digest to the written report."""

    def __init__(self, config: pytest.Config) -> None:
        # A worker of xdist gets the directories that its controller resolved: a link may have moved in between.
        given = getattr(config, "workerinput", {}).get("modelgates", config.option.model_dir)
        self.model_dirs = checked_model_dirs(given)
        self.policy, self.policy_source = policy_of(config)
        sidecars = {directory.name: read_sidecar(directory) for directory in self.model_dirs}
        for model_id, sidecar in sidecars.items():
            misfit = self.policy.why_not_admitted(sidecar) if sidecar else None
            if misfit:
                raise pytest.UsageError(f"{model_id} {': '.join(misfit)}")
        self.tasks = {model_id: sidecar.task if sidecar else None for model_id, sidecar in sidecars.items()}
        self.started = datetime.now(UTC)
        self.strict_soft: bool = config.option.strict_soft
        self._before = {directory.name: tree_digest(directory) for directory in self.model_dirs}
        self._after = dict(self._before)
        self._arguments = tuple(map(str, config.invocation_params.args))
        self._records: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._crashed: Counter[str] = Counter()
        self.lost_worker = False
        self._suite: dict[str, tuple[Path, str]] = {}
        self._hooks: dict[str, set[str]] = {origin: set(names) for origin, names in third_party_hooks(config).items()}
        self._option = config.option
        asked = Path(config.option.gate_report).resolve() if config.option.gate_report else None
        if asked and set(asked.parents) & set(self.model_dirs):
            raise pytest.UsageError(f"--gate-report={asked}: a model directory holds the model and nothing else")

    def header(self) -> list[str]:
        """Name the subject: every model with its digest, and the policy."""
        return [
            *(f"model: {model_id} sha256:{digest[:16]}" for model_id, digest in self._before.items()),
            f"policy: {self.policy_source} sha256:{self.policy.digest[:16]}",
        ]

    def add(self, report: pytest.TestReport) -> None:
        """Add what one phase of one gate left."""
        data = getattr(report, "modelgates", None)
        if data is None:
            # What a worker of xdist that died had in hand; a plugin may let another one repeat it.
            self._crashed[report.nodeid] += report.when == "???"  # type: ignore[comparison-overlap]  # xdist's word
            return
        for origin, names in data["hooks"].items():
            self._hooks.setdefault(origin, set()).update(names)
        path = Path(data["file"])
        # Two folders up, so that the same suite has the same digest wherever it lies.
        place = f"{path.parent.name}/{path.name}"
        if self._suite.get(place, (path,))[0] != path:
            place = str(path)
        if place not in self._suite:
            self._suite[place] = path, sha256_of(path)
        key = (data["model_id"], data["gate"], data["node_id"])
        record = self._records.setdefault(key, {**data, "phases": [], "evidence": [], "file": place})
        record["phases"].append(data["phase"])
        begun, ended = (sum(phase["when"] == when for phase in record["phases"]) for when in ("setup", "teardown"))
        record["attempts"] = max(data["attempts"], begun, ended + self._crashed[data["node_id"]])
        record["evidence"] += data["evidence"]

    def records(self, model_id: str) -> list[GateRecord]:
        """Every gate of one model, in the order they ran."""
        return [
            GateRecord(
                gate=record["gate"],
                severity=record["severity"],
                node_id=record["node_id"],
                file=record["file"],
                fixtures=record["fixtures"],
                attempts=record["attempts"],
                phases=msgspec.convert(record["phases"], tuple[Phase, ...]),
                evidence=msgspec.convert(record["evidence"], GateRecord.__annotations__["evidence"]),
            )
            for (owner, _, _), record in self._records.items()
            if owner == model_id
        ]

    @property
    def empty(self) -> bool:
        """Whether no gate ran at all."""
        return not self._records

    def clear(self) -> None:
        """Remove the report of an earlier run from where this one's goes."""
        for path in self.report_paths():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Take the digests again, now that every gate is done with the files."""
        self._after = {
            # One that is gone holds as little as an empty one.
            directory.name: tree_digest(directory) if directory.is_dir() else sha256(b"")
            for directory in self.model_dirs
        }

    @property
    def changed(self) -> list[str]:
        """Models whose files are no longer those that the run began with."""
        return [model_id for model_id, digest in self._before.items() if self._after[model_id] != digest]

    def waiver(self, gate: str, model_id: str) -> Waiver | None:
        """Find the row of the policy that waives a gate for the bytes of this run, unless it has expired."""
        row = self.policy.waiver_of(gate, self._before[model_id])
        return row if row and row.in_force(self.started.date()) else None

    def waivers(self, model_id: str) -> list[Waiver]:
        """Every row that lets a gate of this run off."""
        digest, day = self._before[model_id], self.started.date()
        rows = (weigh(record, self.policy, digest=digest, day=day)[2] for record in self.records(model_id))
        return [row for row in rows if row]

    def binds(self, gate: str, severity: Severity, model_id: str) -> bool:
        """Whether a gate that is missed fails the run: a hard one without a waiver, or any if soft ones are strict."""
        return self.strict_soft or (severity == "hard" and self.waiver(gate, model_id) is None)

    def counts(self, record: GateRecord, model_id: str) -> Verdict:
        """What a gate counts as: a miss that is waived, or of a soft gate unless those are strict, as passed."""
        digest, day = self._before[model_id], self.started.date()
        verdict, _, waiver = weigh(record, self.policy, digest=digest, day=day)
        let_off = waiver if record.severity == "hard" else True
        return Verdict.PASSED if let_off and not self.strict_soft else verdict

    def blocks(self, record: GateRecord, model_id: str) -> bool:
        """Whether a gate keeps the run from being green; pytest lets skipped, repeated and half-run tests pass."""
        return not promotes(self.counts(record, model_id), self.policy, first=True)

    @property
    def green(self) -> bool:
        """Whether gates ran, and none of them, no changed file and no lost worker speaks against a model."""
        ids = [directory.name for directory in self.model_dirs]
        verdict = combine(self.counts(record, model_id) for model_id in ids for record in self.records(model_id))
        return promotes(verdict, self.policy, first=True) and not self.changed and not self.lost_worker

    def ledger(self, exit_status: int) -> Ledger:
        """Close the books: the circumstances, the digests, every record."""
        suite = {place: digest for place, (_, digest) in self._suite.items()}
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
                hooks={origin: tuple(sorted(names)) for origin, names in sorted(self._hooks.items())},
                optimize=sys.flags.optimize,
                nonce=os.environ.get(NONCE),
                libraries=installed(LIBRARIES) | {"platform": sys.platform},
            ),
            models={
                directory.name: ModelRun(
                    directory=str(directory),
                    digest_before=self._before[directory.name],
                    digest_after=self._after[directory.name],
                    gates=tuple(self.records(directory.name)),
                    waivers=tuple(map(str, self.waivers(directory.name))),
                )
                for directory in self.model_dirs
            },
        )

    def report_paths(self) -> list[Path]:
        """Where the report goes: the file asked for, else a folder of each model; and where --json-report says."""
        own = [Path(file) for file in [getattr(self._option, "json_report_file", None)] if file and file != "none"]
        if self._option.gate_report:
            return [Path(self._option.gate_report), *own]
        return [*(Artifacts.of(path).new_report(path.name, self.started) for path in self.model_dirs), *own]

    def write(self, report: dict[str, Any], exit_status: int) -> None:
        """Write the report with the ledger in it; without a gate there is nothing to report."""
        if self.empty:
            return
        ledger = msgspec.to_builtins(self.ledger(exit_status))
        content = readable(_as_json({**report, "exitcode": exit_status, "modelgates": ledger}))
        artifacts = Artifacts.of(self.model_dirs[0])
        for path in self.report_paths():
            artifacts.write(path, content)


RUN = pytest.StashKey[Run]()


def _as_json(value: Any) -> Any:
    """Keep what JSON and xdist can carry: what tests of others record may be NaN, or no text, or anything."""
    match value:
        case dict():
            return {_as_json(str(key)): _as_json(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_as_json(entry) for entry in value]
        case float():
            return float(value) if math.isfinite(value) else None
        case bool() | int() | None:
            return value
        case _:
            return str(value).encode("utf-8", "backslashreplace").decode()
