"""Registries, reports and records made by hand, for tests of the registry half."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.evidence.report import (
    Evidence,
    GateRecord,
    Ledger,
    ModelRun,
    Phase,
    Report,
    RunInfo,
    StoredReport,
)
from pytest_modelgates.evidence.trust import package_digest, shipped_gates
from pytest_modelgates.model.directory import MANIFEST, PANEL, SIDECAR, LocalDirectory
from pytest_modelgates.model.manifest import Manifest
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.policy.limits import Slo
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.policy.place import NEIGHBOUR, operations_at
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.predictions.parts import PartWriter, parts
from pytest_modelgates.predictions.reading import Reading, read_part
from pytest_modelgates.predictions.records import Arm, Prediction
from pytest_modelgates.registry.golden import panel_predictions
from pytest_modelgates.registry.in_force import InForce, for_acting
from pytest_modelgates.storage.digests import sha256, sha256_of, tree_digest
from pytest_modelgates.storage.strict_json import canonical, read_json, readable
from tests.support.once import once
from tests.support.panels import invented_panel, pack_ridge

LENIENT = "format = 1\n[promotion]\nparity_nights = 0\nshadow_hours = 0\ndrift_psi = 0\n"


@dataclass(frozen=True)
class Registry:
    """An artifacts root in which `live` was promoted by its own gates and `candidate` waits."""

    artifacts: Artifacts
    live: str
    candidate: str
    policy_file: Path
    """A policy without nights, hours and drift."""

    @property
    def policy(self) -> Policy:
        """The policy in force, read anew."""
        return load_policy(self.policy_file)

    @property
    def in_force(self) -> InForce:
        """The policy and the operations in force, read anew."""
        return for_acting(self.artifacts, self.policy_file)

    @property
    def rules(self) -> LockRules:
        """How its lock is taken, read anew."""
        return self.in_force.operations.registry

    def state(self) -> tuple[str | None, bytes, bytes]:
        """What a refusal must leave alone: the link, the goldens, and the log but for its trials."""
        link = self.artifacts.latest.readlink().name if self.artifacts.latest.is_symlink() else None
        files = [self.artifacts.promotions, self.artifacts.golden / "metadata.json"]
        log, golden = (file.read_bytes() if file.exists() else b"" for file in files)
        log = b"".join(line for line in log.splitlines(keepends=True) if b'"kind":"trial"' not in line)
        return link, log, golden


def inside(slo: Slo) -> float:
    """A value that keeps a limit."""
    if math.isfinite(slo.lower) and math.isfinite(slo.upper):
        return (slo.lower + slo.upper) / 2
    return slo.upper if math.isfinite(slo.upper) else slo.lower + 1


def evidence(name: str, slo: Slo, value: float | None = None, *, state: str = "measured", **more: object) -> Evidence:
    bounds = {side: getattr(slo, side) for side in ("above", "at_least", "below", "at_most")}
    measured = inside(slo) if value is None and state == "measured" else value
    return Evidence(slo=name, state=state, value=measured, unit=slo.unit, **bounds, **more)


# A file of the trusted suite; the records made here claim that any gate lies in it.
PLACE = "gates/test_integrity.py"
SUITE = {PLACE: sha256_of(shipped_gates() / "test_integrity.py")}


def record(name: str, policy: Policy, value: float | None = None, **changes: object) -> GateRecord:
    """A gate that ran once and passed, or what `changes` make of it."""
    slo = policy.slo[name.partition("[")[0]]
    green = GateRecord(
        gate=name,
        severity=slo.severity,
        node_id=f"gates/test_x.py::test_{name}",
        file=PLACE,
        fixtures={},
        attempts=1,
        phases=tuple(phase(when) for when in ("setup", "call", "teardown")),
        evidence=tuple(evidence(each, policy.slo[each], value) for each in policy.slos_of(name.partition("[")[0])),
    )
    return msgspec.structs.replace(green, **changes)


def phase(when: str, *, outcome: str = "passed", exception: str | None = None, message: str | None = None) -> Phase:
    return Phase(when=when, outcome=outcome, duration_s=0.01, exception=exception, message=message)


def green_run(directory: Path, policy: Policy) -> ModelRun:
    """Every required gate of a model, passed."""
    names = policy.required_gates(read_json(directory / SIDECAR, Sidecar))
    digest = tree_digest(directory)
    return ModelRun(
        directory=str(directory),
        digest_before=digest,
        digest_after=digest,
        gates=tuple(record(name, policy) for name in names),
    )


def green_ledger(
    directory: Path, policy: Policy, *, finished: datetime | None = None, run: ModelRun | None = None, **changes: object
) -> Ledger:
    """The ledger of a fully green hard run that ended now."""
    finished = finished or datetime.now(UTC)
    info = RunInfo(
        started=finished - timedelta(milliseconds=1),
        finished=finished,
        exit_status=0,
        arguments=(f"--model-dir={directory}",),
        strict_soft=False,
        policy_source="registry/policy.toml",
        policy_digest=policy.digest,
        not_applicable=policy.not_applicable,
        suite=SUITE,
        suite_digest=sha256(canonical(SUITE)),
        package_digest=package_digest(),
        hooks={},
        optimize=0,
        nonce=None,
        libraries={},
    )
    return Ledger(
        run=msgspec.structs.replace(info, **changes), models={directory.name: run or green_run(directory, policy)}
    )


def write_report(path: Path, ledger: Ledger, *, exitcode: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(readable({"exitcode": exitcode, "modelgates": msgspec.to_builtins(ledger)}))
    return path


def stored_report(ledger: Ledger, *, exitcode: int = 0) -> StoredReport:
    """A report as its reader would have it, though no file was ever written."""
    report = Report(exitcode=exitcode, modelgates=ledger)
    return StoredReport(path=None, content=b"", parsed=msgspec.to_builtins(report), report=report, sealed_by=None)


def green_report(
    registry: Registry, model_id: str | None = None, *, policy: Policy | None = None, **changes: object
) -> Path:
    """A report by which the candidate may go live."""
    model_id = model_id or registry.candidate
    ledger = green_ledger(registry.artifacts.model(model_id), policy or registry.policy, **changes)
    return write_report(registry.artifacts.root / "handmade.json", ledger)


def edited(path: Path, *keys: object, value: object) -> Path:
    """Set one value inside a report."""
    report = json.loads(path.read_text())
    place = report
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(report))
    return path


def golden_of(directory: Path) -> list[float]:
    """A model's predictions on its panel."""
    with LocalDirectory(directory) as model:
        model.verify(keep={PANEL})
        return panel_predictions(model).tolist()


def predictions(
    digest: str, values: Iterable[float | None], *, hours: float = 24.0, end: datetime | None = None, **changes: object
) -> list[Prediction]:
    """Records of a model in shadow, evenly over some hours; rows of twenty assets a day."""
    values, end = list(values), end or datetime.now(UTC)
    steps = max(len(values) - 1, 1)
    return [
        msgspec.structs.replace(
            Prediction(
                time=end - timedelta(hours=hours) * (len(values) - 1 - index) / steps,
                row_key=f"{date(2024, 1, 1) + timedelta(days=index // 20)}|A{index % 20:02d}",
                model_id="1700000000",
                digest=digest,
                schema_crc32="00000000",
                prediction=value,
                latency_ms=1.0,
                arm="shadow",
                error=None if value is not None else "schema: x is nan",
            ),
            **changes,
        )
        for index, value in enumerate(values)
    ]


def log_predictions(artifacts: Artifacts, records: list[Prediction]) -> None:
    """Write records of one arm as a closed part of the log."""
    with PartWriter(artifacts, records[0].arm, operations_at(artifacts).registry) as log:
        log.write(records)


def logged(artifacts: Artifacts, arm: Arm, *, digest: str | None = None) -> list[Prediction]:
    """Read all records of an arm."""
    found = [record for part in parts(artifacts, arm) for batch in read_part(part, Reading()) for record in batch]
    return [record for record in found if digest in (None, record.digest)]


def renamed(directory: Path, model_id: str) -> Path:
    """Copy a model directory under another id."""
    other = directory.with_name(model_id)
    shutil.copytree(directory, other)
    manifest = read_json(other / "manifest.json", Manifest)
    (other / "manifest.json").write_bytes(canonical(msgspec.structs.replace(manifest, id=model_id)))
    return other


def modelgates(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "pytest_modelgates", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, **options)


@pytest.fixture(scope="session")
def first_promotion(request: pytest.FixtureRequest) -> tuple[Registry, "subprocess.CompletedProcess[str]"]:
    """A registry after `modelgates promote DIR` ran the real gates of its first model, and what that printed."""
    return once(request, "registry", promote_first)


def promote_first(root: Path) -> tuple[Registry, "subprocess.CompletedProcess[str]"]:
    """Pack a model, promote it, pack another."""
    artifacts = Artifacts(root / "registry" / "artifacts")
    live = pack_ridge(artifacts.root)
    policy = root / "registry" / NEIGHBOUR
    policy.parent.mkdir()
    policy.write_text(LENIENT)
    done = modelgates("promote", live, cwd=artifacts.root.parent)
    candidate = pack_ridge(artifacts.root, invented_panel(seed=2), changes="Another ridge.")
    return Registry(artifacts, live.name, candidate.name, policy), done


@pytest.fixture
def registry(first_promotion: tuple[Registry, "subprocess.CompletedProcess[str]"], tmp_path: Path) -> Registry:
    """A registry of its own with a live model, and a candidate."""
    original, done = first_promotion
    assert done.returncode == 0, done.stdout + done.stderr
    root = tmp_path / "registry"
    shutil.copytree(original.artifacts.root.parent, root, symlinks=True)
    return Registry(Artifacts(root / "artifacts"), original.live, original.candidate, root / NEIGHBOUR)


@pytest.fixture
def empty_registry(registry: Registry) -> Registry:
    """The same models before anything was ever promoted."""
    registry.artifacts.latest.unlink()
    registry.artifacts.latest_onnx.unlink()
    registry.artifacts.promotions.unlink()
    shutil.rmtree(registry.artifacts.golden)
    path = registry.artifacts.model(registry.candidate) / MANIFEST
    path.write_bytes(canonical(msgspec.structs.replace(read_json(path, Manifest), audit_head=None)))
    return registry
