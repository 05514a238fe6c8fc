"""What a run leaves: the phases of every gate, what it measured, and on which bytes."""

import os
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, MissingExtraError, NoReference
from ..evidence.report import Evidence, GateRecord, Ledger, ModelRun, Phase, RunInfo
from ..evidence.trust import NONCE, package_digest
from ..evidence.verdict import Judged, binds, weigh
from ..model.manifest import installed
from ..pages.render import require
from ..policy.limits import Severity
from ..policy.policy import Policy
from ..policy.sections import Waiver
from ..storage.digests import sha256, tree_digest
from ..storage.paths import is_folder
from ..storage.strict_json import canonical, readable
from ..storage.text import first_line
from .code import Code, CodeSeen, Watch
from .collection import ATTEMPTS, GATE, PACKAGED, checked_model_dirs, identity, in_force_of, read_first, severity
from .gate import Gate
from .origins import automatic_fixtures, fixture_origins, third_party_hooks
from .outcome import WORD, first_words, gate_of, is_miss, is_unmeasured, model_id_of
from .plain import as_json, carried
from .properties import properties
from .report_place import refuse_other_places
from .verdict_hook import HOOK, tell, verdict_record

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
    """What one phase of one gate leaves. It travels on pytest's report, so that xdist workers leave the same ledger.

    `word` is what the terminal says instead of pytest's own word for the outcome.
    """

    model_id: str
    gate: str
    severity: Severity
    node_id: str
    file: str
    fixtures: dict[str, str]
    automatic: tuple[str, ...]
    hooks: dict[str, list[str]]
    attempts: int
    phase: Phase
    evidence: tuple[Evidence, ...]
    code: CodeSeen
    word: str | None = None


def begin_attempt(item: pytest.Item, policy: Policy) -> None:
    """Count an attempt and give the gate an empty record; some plugins repeat a test without another trace."""
    item.stash[ATTEMPTS] = item.stash.get(ATTEMPTS, 0) + 1
    if name := identity(item):
        item.stash[GATE] = Gate(name, policy)


def record_phase(item: pytest.Item, error: BaseException | None, report: pytest.TestReport, run: "Run") -> None:
    """Attach the record of this phase to the report, as every other plugin left it."""
    report.user_properties = carried(report.user_properties)
    name = identity(item)
    if name is None:
        return
    gate = gate_of(item, name, run)
    record = PhaseRecord(
        model_id=model_id_of(item),
        gate=name,
        severity=severity(item),
        node_id=item.nodeid,
        file=str(item.path),
        # Asked again at the end, because a gate may ask for further fixtures while it runs.
        fixtures=fixture_origins(item) if report.when != "call" else {},
        automatic=tuple(automatic_fixtures(item)) if report.when == "teardown" else (),
        # Asked for each gate anew, because a plugin may be registered while the run goes on.
        hooks=third_party_hooks(item.config, item) if report.when == "setup" else {},
        attempts=item.stash.get(ATTEMPTS, 0),
        phase=Phase(
            when=report.when,
            outcome=_outcome(report),
            duration_s=report.duration,
            exception=_name_of(error, unmeasured=is_unmeasured(error, report)) if error else None,
            message=None if error is None or is_miss(error, report) else first_words(error),
        ),
        evidence=tuple(gate.evidence) if report.when == "teardown" else (),
        code=run.watch.seen(item, report.when),
        word=item.stash.get(WORD, None),
    )
    report.modelgates = as_json(msgspec.to_builtins(record))  # type: ignore[attr-defined]


def _outcome(report: pytest.TestReport) -> str:
    """Name an outcome as pytest's terminal does: an expected failure is reported as skipped, or as passed."""
    if not hasattr(report, "wasxfail"):
        return report.outcome
    return {"passed": "xpassed", "skipped": "xfailed"}.get(report.outcome, report.outcome)


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
        in_force = in_force_of(config)
        self.policy, self.root = in_force.policy, in_force.place.repository
        self.policy_source = in_force.place.source or PACKAGED
        found = {directory.name: read_first(directory) for directory in self.model_dirs}
        self.digests = {model_id: digest for model_id, (digest, _) in found.items()}
        self.sidecars = {model_id: sidecar for model_id, (_, sidecar) in found.items()}
        for model_id, sidecar in self.sidecars.items():
            why = self.policy.why_not_admitted(sidecar) if sidecar else None
            if why:
                raise pytest.UsageError(f"{model_id} {': '.join(why)}")
        self.tasks = {model_id: sidecar.task if sidecar else None for model_id, sidecar in self.sidecars.items()}
        self.started = datetime.now(UTC)
        self.nonce = os.environ.get(NONCE)
        self.strict_soft: bool = config.option.strict_soft
        self._after = dict(self.digests)
        self._arguments = tuple(map(str, config.invocation_params.args))
        self._records: dict[tuple[str, str, str], GateRecord] = {}
        self._ended: dict[tuple[str, str, str], Judged] = {}
        self._judged: dict[str, list[Judged]] = {}
        self._crashed: Counter[str] = Counter()
        self.cut_short = False
        self.lines: dict[str, tuple[str, int]] = {}
        self.hook_problems: list[str] = []
        self._config = config
        self._hooks: dict[str, set[str]] = {origin: set(names) for origin, names in third_party_hooks(config).items()}
        self._option = config.option
        refuse_other_places(config, [Artifacts.of(directory) for directory in self.model_dirs])
        self.page = Path(config.option.gate_html) if config.option.gate_html else None
        if self.page:
            try:
                require()
            except MissingExtraError as error:
                raise pytest.UsageError(f"--gate-html={self.page}: {error}") from error
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
        self.lines[added.node_id] = added.file, (report.location[1] or 0) + 1
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
            automatic=added.automatic,
        )
        if added.phase.when == "teardown":
            judged = self._ended[key] = self._judge(added.model_id, self._records[key])
            # For JUnit XML and every other plugin that shows them.
            report.user_properties += properties(judged, self.policy, added.model_id, self.digests[added.model_id])
            self._tell(added.model_id, judged)

    @property
    def empty(self) -> bool:
        """Whether no gate ran at all."""
        return not self._records

    def clear(self) -> None:
        """Remove report and page of an earlier run from where this one's go."""
        for path in [*self.report_paths(), *([self.page] if self.page else [])]:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Take the digests again, now that every gate is done with the files, and judge each record, once."""
        self._after = {directory.name: _digest_now(directory) for directory in self.model_dirs}
        used = (file for record in self._records.values() for file in record.code)
        self._code.close(used, all_count=self.nonce is not None)
        for key, found in self._records.items():
            record = msgspec.structs.replace(
                found,
                fixtures={name: self._code.place(origin) for name, origin in found.fixtures.items()},
                code=tuple(map(self._code.place, found.code)),
            )
            ended = self._ended.get(key)
            # A record that grew after its teardown, by a repeat, is judged anew.
            judged = ended if ended and ended.record is found else self._judge(key[0], found)
            if judged is not ended:
                try:
                    self._tell(key[0], judged)
                except pytest.exit.Exception as error:  # the run is over; this would set its status
                    self.cut_short = True
                    self.hook_problems.append(f"{HOOK}: Exit: {first_line(error)}")
            self._judged.setdefault(key[0], []).append(replace(judged, record=record))

    def _tell(self, model_id: str, judged: Judged) -> None:
        record = verdict_record(judged, self.policy, model_id, self.digests[model_id])
        self.hook_problems += tell(self._config, record)

    def _judge(self, model_id: str, record: GateRecord) -> Judged:
        digest, day = self.digests[model_id], self.started.date()
        return weigh(record, self.policy, digest=digest, day=day, strict_soft=self.strict_soft)

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

    def fails(self, gate: str, severity: Severity, model_id: str, *, nothing_yet: bool) -> bool:
        """Whether a gate that missed, or had nothing to compare with yet, fails the run; asked while it runs."""
        if nothing_yet and self.policy.promotion.first_without_reference:
            return False
        return binds(severity, self.waiver(gate, model_id), strict_soft=self.strict_soft)

    def judged(self, model_id: str) -> list[Judged]:
        """The judged records of one model, in the order the gates ran; none before the run is closed."""
        return self._judged.get(model_id, [])

    @property
    def green(self) -> bool:
        """Whether gates ran and none blocks, no file of a model changed, and nothing cut the run short."""
        blocked = any(judged.blocks for some in self._judged.values() for judged in some)
        return not (self.empty or blocked or self.changed or self.code_problems or self.cut_short)

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
                shard=self._option.gate_shard or msgspec.UNSET,
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
        """Write the report with the ledger in it, then its page; without a gate there is nothing to report."""
        if self.empty:
            return
        ledger = self.ledger(exit_status)
        content = readable(as_json({**report, "exitcode": exit_status, "modelgates": msgspec.to_builtins(ledger)}))
        artifacts, paths = Artifacts.of(self.model_dirs[0]), self.report_paths()
        for path in paths:
            artifacts.write(path, content)
        if self.page:
            from ..pages.run_page import run_page  # with the panel come pandas and statistics

            page = run_page(ledger, self.policy, report=str(paths[0]), report_digest=sha256(content))
            artifacts.write(self.page, page)


RUN = pytest.StashKey[Run]()


def _digest_now(directory: Path) -> str:
    """Digest a directory; one that is gone or out of reach counts as changed, since no model has this digest."""
    with suppress(OSError):
        if is_folder(directory):
            return tree_digest(directory)
    return sha256(b"")
