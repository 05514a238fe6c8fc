"""Promotion and rollback: gather what there is, let `decide` judge, and change the registry in one step."""

import getpass
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from ..drift import save_golden_predictions
from ..drift.records import read_predictions
from ..errors import FormatError, ModelgatesError, RefusedError, RegistryError
from ..model.files import read_json
from ..model.layout import MANIFEST, PANEL, SIDECAR, Artifacts
from ..model.manifest import Manifest, verified_bytes, verify
from ..model.panel import Panel
from ..model.sidecar import Sidecar
from .audit import Head, Intent, changes
from .criteria import Reason, night_reasons, nights, shadow_reasons
from .decide import Subject, report_reasons
from .policy import Policy, Waiver
from .proof import proof_reasons, read_proof
from .report import Report, read_report
from .seal import load_key
from .store import is_model, locked, past_live, state, switch
from .suite import trust

SERVE_LATENCY = "latency.serve_p95_ms"


@dataclass(frozen=True, slots=True)
class Done:
    """A change that took place, and the end of the log after it."""

    change: Intent
    head: Head


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
        raise RefusedError(f"{source}: a report of {len(names)} models ({', '.join(names)}); name the one to promote")
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
        digest = verify(directory)
    except ModelgatesError as error:
        lost = [Reason(line, "pack it again") for line in str(error).splitlines()]
        return Plan(model_id, live, "", report.digest, lost, [], report.sealed_by, np.empty(0))
    sidecar = read_json(directory / SIDECAR, Sidecar)
    subject = Subject(model_id, str(directory), digest, read_json(directory / MANIFEST, Manifest), sidecar)
    golden = reference(directory, sidecar)
    known = trust(policy, Path.cwd())
    reasons, waivers = report_reasons(subject, report, policy, known, first=first, now=now, gate=gate)
    if policy.evidence.proof:
        proof, required = read_proof(artifacts.proof(model_id)), policy.required_gates(sidecar)
        prove = f"modelgates prove {directory}"
        reasons += proof_reasons(proof, required, policy, known, digest=digest, repair=prove)
    if model_id == live:
        reasons.append(Reason(f"{model_id} is live already", "modelgates status"))
    if why := _may_not("promote", policy.registry.may_promote):
        reasons.append(Reason(why, "ask one of them, or add the actor to [registry] may_promote in the policy"))
    if not first:
        reasons += night_reasons(
            nights(artifacts, policy, now=now), policy, today=now.date(), repair=f"{gate} every night"
        )
        records = read_predictions(artifacts.shadow_predictions, digest=digest)
        shadow = f"modelgates shadow --onnx {directory / 'model.onnx'} --csv live_data.csv"
        reasons += shadow_reasons(records, golden, policy, policy.limit(SERVE_LATENCY), repair=shadow)
    return Plan(model_id, live, digest, report.digest, reasons, waivers, report.sealed_by, golden)


def reference(directory: Path, sidecar: Sidecar) -> np.ndarray:
    """Read a model's panel predictions, which are its golden."""
    try:
        return Panel.read(verified_bytes(directory, PANEL), sidecar).reference
    except (TypeError, ValueError) as error:
        raise FormatError(f"{directory / PANEL}: its predictions are no numbers ({error}); pack again") from error


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
    if not reason.strip():
        raise RefusedError('a promotion needs a reason: --reason "…"')
    private = load_key(key) if key else None
    with locked(artifacts, policy.registry):
        now = datetime.now(UTC)
        plan = plan_promotion(artifacts, model_id, report_path, policy, now=now)
        plan.refuse()
        save_golden_predictions(plan.golden, model_id, folder=artifacts.golden, digest=plan.digest)
        change = _change("promote", plan.live, model_id, plan.digest, reason.strip(), now)
        change = msgspec.structs.replace(
            change,
            report_digest=plan.report_digest,
            sealed_by=plan.sealed_by,
            waivers=tuple(map(str, plan.waivers)),
        )
        return Done(change, switch(artifacts, change, key=private))


def rollback(artifacts: Artifacts, model_id: str, policy: Policy, *, reason: str, key: Path | None = None) -> Done:
    """Make a model live again that was live before; parameters as for `promote`.

    Raises
    ------
    RefusedError
        If no reason is given, the actor may not, or the model was never live, or is live now.
    IntegrityError
        If its files are not what they were.
    """
    if not reason.strip():
        raise RefusedError('a rollback needs a reason: --reason "…"')
    if why := _may_not("roll back", policy.registry.may_roll_back):
        raise RefusedError(why)
    private = load_key(key) if key else None
    with locked(artifacts, policy.registry):
        # What the link names may be gone: that is when a rollback is needed most.
        live = state(artifacts).live
        if model_id == live:
            raise RefusedError(f"{model_id} is live already")
        was = next((change.digest for change in changes(artifacts.promotions) if change.to == model_id), None)
        if was is None:
            past = ", ".join(past_live(artifacts, live)) or "none yet"
            raise RefusedError(f"{model_id} was never live; rollback goes to one of: {past}")
        digest = verify(artifacts.model(model_id))
        if digest != was:
            raise RefusedError(
                f"{model_id} has other bytes ({digest[:12]}…) than when it was live ({was[:12]}…); roll back further"
            )
        change = _change("rollback", live, model_id, digest, reason.strip(), datetime.now(UTC))
        return Done(change, switch(artifacts, change, key=private))


def _may_not(verb: str, listed: Sequence[str]) -> str | None:
    if listed and actor() not in listed:
        return f"{actor()} may not {verb}; the policy lets {', '.join(listed)}"
    return None


def actor() -> str:
    """Who acts, as far as can be told: ``$MODELGATES_ACTOR``, else the user."""
    return os.environ.get("MODELGATES_ACTOR") or _user()


def _change(
    action: Literal["promote", "rollback"], live: str | None, model_id: str, digest: str, reason: str, now: datetime
) -> Intent:
    return Intent(
        time=now,
        actor=actor(),
        host=socket.gethostname(),
        action=action,
        from_=live,
        to=model_id,
        digest=digest,
        report_digest=None,
        reason=reason,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"
