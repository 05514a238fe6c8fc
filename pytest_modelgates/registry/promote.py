"""Promotion: gather what there is, let `decide` judge, and change the registry in one step."""

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ..artifacts import Artifacts
from ..audit.chain import Intent
from ..drift import save_golden_predictions
from ..errors import ModelgatesError, RefusedError, RegistryError
from ..evidence.proof import proof_reasons, read_proof
from ..evidence.reasons import Reason
from ..evidence.report import Report, read_report
from ..evidence.seal import load_key
from ..evidence.trust import trust
from ..model.directory import PANEL, ModelDirectory
from ..policy.policy import Policy
from ..policy.sections import Waiver
from ..predictions.records import read_predictions
from ..storage.text import printable
from .actor import actor, one_line_reason, why_denied
from .audit_check import verify_log
from .criteria import night_reasons, nights, shadow_reasons
from .decide import Subject, report_reasons
from .golden import panel_predictions
from .store import Done, change_live, is_model, locked, state

SERVE_LATENCY = "latency.serve_p95_ms"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a promotion would do, and every reason against it."""

    model_id: str
    live: str | None
    digest: str
    report_digest: str
    reasons: list[Reason]
    waivers: list[Waiver]
    sealed_by: str | None
    golden: np.ndarray

    def refuse(self) -> None:
        """Raise with every reason, one a line, if there is one."""
        if self.reasons:
            lines = "\n".join(f"  {reason}" for reason in self.reasons)
            raise RefusedError(f"{self.model_id} is not promoted:\n{lines}")


def model_of(report: Report, source: Path) -> str:
    """The one model that a report is of."""
    names = list(report.modelgates.models)
    if len(names) != 1:
        raise RefusedError(
            f"{source}: a report of {len(names)} models ({printable(', '.join(names))}); name the one to promote"
        )
    return names[0]


def plan_promotion(artifacts: Artifacts, model_id: str, report_path: Path, policy: Policy, *, now: datetime) -> Plan:
    """Gather everything that speaks for or against a promotion; changes nothing.

    Raises
    ------
    RegistryError, FormatError
        If the registry or the report cannot be read at all, or there is no such model.
    """
    directory = artifacts.model(model_id)
    if not is_model(directory):
        raise RegistryError(f"{model_id} is unknown: no directory {directory}")
    report, live = read_report(report_path, keys=policy.evidence.keys), state(artifacts).live
    first = live is None
    gate = f"pytest --model-dir={directory}"
    try:
        with ModelDirectory(directory) as model:
            digest, golden = model.verify(keep={PANEL}), panel_predictions(model)
            subject = Subject(model_id, str(directory), digest, model.manifest, model.sidecar)
    except ModelgatesError as error:
        lost = [Reason(line, "pack it again") for line in str(error).splitlines()]
        return Plan(model_id, live, "", report.digest, lost, [], report.sealed_by, np.empty(0))
    known = trust(policy, Path.cwd())
    reasons, waivers = report_reasons(subject, report, policy, known, first=first, now=now, gate=gate)
    if policy.evidence.proof:
        proof = read_proof(artifacts.proof(model_id), keys=policy.evidence.keys)
        required = policy.required_gates(subject.sidecar)
        prove = f"modelgates prove {directory}"
        reasons += proof_reasons(proof, required, policy, known, digest=digest, repair=prove)
    if model_id == live:
        reasons.append(Reason(f"{model_id} is live already", "modelgates status"))
    if why := why_denied("promote", policy.registry.may_promote):
        reasons.append(Reason(why, "ask one of them, or add the actor to [registry] may_promote in the policy"))
    if first:
        # Nothing is live, but a manifest that kept a head says that something was.
        contradicted = verify_log(artifacts, policy.evidence.keys)[1]
        reasons += [Reason(problem, "put promotions.log and latest back") for problem in contradicted]
    else:
        reasons += night_reasons(
            nights(artifacts, policy, now=now), policy, today=now.date(), repair=f"{gate} every night"
        )
        records = read_predictions(artifacts.shadow_predictions, digest=digest)
        shadow = f"modelgates shadow --onnx {directory / 'model.onnx'} --csv live_data.csv"
        reasons += shadow_reasons(records, golden, policy, policy.limit(SERVE_LATENCY), repair=shadow)
    return Plan(model_id, live, digest, report.digest, reasons, waivers, report.sealed_by, golden)


def promote(
    artifacts: Artifacts, model_id: str, report_path: Path, policy: Policy, *, reason: str, key: Path | None = None
) -> Done:
    """Make a model live.

    Parameters
    ----------
    artifacts : Artifacts
    model_id : str
    report_path : Path
        The report of its gate run.
    policy : Policy
    reason : str
        For the audit log.
    key : Path, optional
        The private key that signs the end of the log.

    Raises
    ------
    RefusedError
        With every reason, one a line. Nothing has changed then.
    """
    reason = one_line_reason(reason, "promotion")
    private = load_key(key) if key else None
    with locked(artifacts, policy.registry):
        now = datetime.now(UTC)
        plan = plan_promotion(artifacts, model_id, report_path, policy, now=now)
        plan.refuse()
        change = Intent(
            time=now,
            actor=actor(),
            host=socket.gethostname(),
            action="promote",
            from_=plan.live,
            to=model_id,
            digest=plan.digest,
            report_digest=plan.report_digest,
            sealed_by=plan.sealed_by,
            waivers=tuple(map(str, plan.waivers)),
            reason=reason,
        )
        save_golden_predictions(plan.golden, model_id, folder=artifacts.golden, digest=plan.digest)
        return change_live(artifacts, change, key=private)
