"""Promotion: gather the facts, let `decide` judge them, and change the registry in one step."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifacts import Artifacts
from ..audit.actor import one_line_reason, why_denied
from ..audit.chain import Event, Intent
from ..audit.writer import locked
from ..errors import FormatError, GoneError, IntegrityError, ModelgatesError, RefusedError, RegistryError
from ..evidence.proof import StoredProof, read_proof
from ..evidence.reasons import next_commands
from ..evidence.report import StoredReport, read_report
from ..evidence.seal import load_key, seal
from ..evidence.summary import verification_summary
from ..evidence.trust import trust
from ..model.directory import PANEL, LocalDirectory, ModelDirectory
from ..model.manifest import installed
from ..model.panel import Panel
from ..policy.policy import Policy
from ..predictions.following import Follower
from ..storage.text import printable
from ..storage.threads import SecondThread
from ..trials.kept import kept_of, market_of, trial_of
from ..trials.ledger import enter, read_ledger, seen_on
from .audit_check import verify_log
from .decide import Damaged, Decision, Facts, decide
from .golden import give_golden, panel_predictions
from .in_force import InForce
from .nights import nights
from .sharing import Proposal, Sharing
from .store import Done, change_live, is_model, link_text, state
from .way_back import WayBack

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Plan:
    """What a promotion would do, and what was decided about it."""

    facts: Facts | Damaged
    decision: Decision

    def refuse(self) -> None:
        """Raise with every reason, one a line, if there is one; what to type next, if there are several."""
        if self.decision.reasons:
            reasons = self.decision.reasons
            lines = [f"{self.facts.model_id} is not promoted:", *(f"  {reason}" for reason in reasons)]
            if len(reasons) > 1 and (commands := next_commands(reasons)):
                lines += ["next:", *(f"  {command}" for command in commands)]
            raise RefusedError("\n".join(lines))


def model_of(stored: StoredReport) -> str:
    """Find the one model that a report is of."""
    names = list(stored.report.modelgates.models)
    if len(names) != 1:
        raise RefusedError(
            f"{stored.path}: a report of {len(names)} models ({printable(', '.join(names))}); name the one to promote"
        )
    return names[0]


def plan_promotion(
    artifacts: Artifacts,
    model_id: str,
    report: StoredReport | Path,
    in_force: InForce,
    *,
    now: datetime,
    way_back: WayBack | None = None,
    shadow: Follower | None = None,
    ledger: list[Event] | None = None,
) -> Plan:
    """Gather everything that speaks for or against a promotion, and decide; changes nothing.

    Parameters
    ----------
    artifacts, model_id, report, in_force
        As for `promote`.
    now : datetime
    way_back : WayBack, optional
        As for `promote`.
    shadow : Follower, optional
        Of the model's shadow records, if some were read already.
    ledger : list of Event, optional
        The ledger of trials, if it was read already.

    Raises
    ------
    RegistryError, FormatError
        If the registry or the report cannot be read at all, or there is no such model.
    """
    facts = gather(artifacts, model_id, report, in_force, shadow, ledger, now=now)
    if isinstance(facts, Facts) and way_back:
        facts = replace(facts, way_back=way_back)
    return Plan(facts, decide(facts, in_force.policy, now=now))


def gather(
    artifacts: Artifacts,
    model_id: str,
    report: StoredReport | Path,
    in_force: InForce,
    shadow: Follower | None,
    ledger: list[Event] | None,
    *,
    now: datetime,
) -> Facts | Damaged:
    """Read all that a promotion is decided by; raises as `plan_promotion` does."""
    policy = in_force.policy
    directory = artifacts.model(model_id)
    if not is_model(artifacts, model_id):
        raise RegistryError(f"{model_id} is unknown: no directory {directory}")
    stored = read_report(report, keys=policy.evidence.keys) if isinstance(report, Path) else report
    found = state(artifacts)
    live = found.live
    proof = read_proof(artifacts.proof(model_id), keys=policy.evidence.keys) if policy.evidence.proof else None
    loaded = {*stored.report.modelgates.run.modules, *(proof.proof.modules if isinstance(proof, StoredProof) else ())}
    with SecondThread() as second:  # code is hashed while the model is: neither needs the other
        trusted = second.submit(trust, policy, in_force.place.repository, loaded)
        try:
            with LocalDirectory(directory) as model:
                digest, golden = model.verify(keep={PANEL}), panel_predictions(model)
                manifest, sidecar, files = model.manifest, model.sidecar, model.digests
                seen = _seen(artifacts, ledger, model, before=stored.report.modelgates.run.started)
        except ModelgatesError as error:
            return Damaged(model_id=model_id, live=live, problems=str(error).splitlines())
    facts = Facts(
        model_id=model_id,
        directory=directory,
        digest=digest,
        manifest=manifest,
        files=files,
        sidecar=sidecar,
        golden=golden,
        live=live,
        live_digest=found.change.digest if found.change else None,
        live_name=_name_of(artifacts, live) if live else None,
        stored=stored,
        trusted=trusted.result(),
        proof=proof,
        denied=why_denied("promote", policy.registry.may_promote),
        seen=seen,
    )
    if live is None:
        # Nothing is live now. A manifest that kept an end of the log would show that something once was.
        return replace(facts, log_problems=verify_log(artifacts, policy.evidence.keys).problems)
    if shadow is None or shadow.digest != digest:
        shadow = _shadow_records(artifacts, digest, policy)
    return replace(facts, nights=nights(artifacts, policy, now=now), shadow=shadow.read())


def _name_of(artifacts: Artifacts, model_id: str) -> str | None:
    with suppress(ModelgatesError, OSError), LocalDirectory(artifacts.model(model_id)) as model:
        return model.sidecar.name
    return None


def _shadow_records(artifacts: Artifacts, digest: str, policy: Policy) -> Follower:
    return Follower(artifacts, "shadow", digest, hours=policy.promotion.shadow_hours)


def _count(artifacts: Artifacts, model_id: str) -> list[Event]:
    """Enter a model that came from elsewhere in the ledger of trials, whether it will be promoted or not.

    Return the ledger as it was before.
    """
    directory, ledger = artifacts.model(model_id), read_ledger(artifacts)
    if not is_model(artifacts, model_id):
        return ledger
    state(artifacts)  # raises where link and log contradict each other; there nothing is written
    # What cannot be read cannot be judged either.
    with suppress(FormatError, IntegrityError, GoneError), LocalDirectory(directory) as model:
        if trial := trial_of(model):
            why = f"first seen when {model_id} was to be promoted"
            enter(artifacts, ledger, trial, lambda: kept_of(Panel.read(model.verified_panel(), model.sidecar)), why)
    return ledger


def _seen(artifacts: Artifacts, ledger: list[Event] | None, model: ModelDirectory, *, before: datetime) -> int:
    """Count the trials on a model's market data that were in the ledger when a run began."""
    if not (trial := trial_of(model)):
        return 1
    ledger = read_ledger(artifacts) if ledger is None else ledger
    return seen_on(
        artifacts, ledger, lambda: market_of(Panel.read(model.verified_panel(), model.sidecar)), trial, before=before
    ).count


def promote(
    artifacts: Artifacts,
    model_id: str,
    report: StoredReport | Path,
    in_force: InForce,
    *,
    reason: str,
    way_back: WayBack | None = None,
    key: Path | None = None,
) -> Done:
    """Make a model live.

    Parameters
    ----------
    artifacts : Artifacts
    model_id : str
    report : StoredReport or Path
        The report of its gate run.
    in_force : InForce
        The policy and the operations of this registry.
    reason : str
        For the audit log.
    way_back : WayBack, optional
        What the rehearsal of a rollback to the live model found; without one, none is asked for.
    key : Path, optional
        The private key that signs the end of the log.

    Raises
    ------
    RefusedError
        With every reason, one a line. Nothing has changed then.
    """
    reason = one_line_reason(reason, "promotion")
    private = load_key(key) if key else None
    policy = in_force.policy
    stored = read_report(report, keys=policy.evidence.keys) if isinstance(report, Path) else report
    run, shadow = stored.report.modelgates.models.get(model_id), None
    if run and link_text(artifacts):
        shadow = _shadow_records(artifacts, run.digest_before, policy)
        shadow.read()  # the log may be long, so most of it is read before others have to wait
    sharing = Sharing.of(artifacts, in_force, private)
    there = None
    if sharing:
        # Files may be large and a bucket slow, so they go before others have to wait; of a model that is refused, none.
        plan = plan_promotion(
            artifacts, model_id, stored, in_force, now=datetime.now(UTC), way_back=way_back, shadow=shadow
        )
        there = None if plan.decision.reasons else sharing.upload(model_id, [stored.content])
    with locked(artifacts, in_force.operations.registry):
        if sharing:
            sharing.refuse_behind()
        ledger = _count(artifacts, model_id)
        now = datetime.now(UTC)
        plan = plan_promotion(
            artifacts, model_id, stored, in_force, now=now, way_back=way_back, shadow=shadow, ledger=ledger
        )
        plan.refuse()
        facts = plan.facts
        assert isinstance(facts, Facts), "a damaged model is refused"
        change = in_force.intent(
            "promote",
            from_=facts.live,
            to=model_id,
            digest=facts.digest,
            reason=reason,
            time=now,
            report_digest=facts.stored.digest,
            sealed_by=facts.stored.sealed_by,
            waivers=tuple(map(str, plan.decision.waivers)),
            way_back=way_back.digest if way_back else None,
        )
        give_golden(artifacts, model_id, facts.golden, facts.digest, private)
        # It says what was decided above, which stays true if the change below does not come to pass.
        waived = [waiver.gate for waiver in plan.decision.waivers]
        _leave_summary(artifacts, facts, in_force, now, private, waived)
        if sharing is None or there is None:
            return change_live(artifacts, change, key=private)
        if there[0] != facts.digest:
            raise RegistryError(f"{model_id} was altered while it was promoted; try again")
        return _change_live_everywhere(artifacts, *sharing.proposal(change, there[1]), private)


def _change_live_everywhere(
    artifacts: Artifacts, change: Intent, proposal: Proposal, private: "Ed25519PrivateKey | None"
) -> Done:
    """Let the bucket decide between intent and move; if this machine fails afterwards, say what the bucket has."""
    try:
        return change_live(artifacts, change, key=private, decide=proposal.put)
    except (OSError, RegistryError) as error:
        if not proposal.won:
            raise
        said = (
            f"the bucket took record {proposal.record.n}, by which {change.to} is live for every machine, and this one "
            f"failed; when it is repaired: modelgates pull"
        )
        if isinstance(error, OSError):
            raise OSError(error.errno, f"{error.strerror}; {said}", error.filename) from error
        raise RegistryError(f"{error}; {said}") from error


def _leave_summary(
    artifacts: Artifacts,
    facts: Facts,
    in_force: InForce,
    now: datetime,
    key: "Ed25519PrivateKey | None",
    waived: Sequence[str],
) -> None:
    """Write the verification summary of a promotion, signed if there is a key."""
    path = facts.stored.path
    inside = path is not None and path.resolve().is_relative_to(artifacts.root)
    place = "" if path is None else str(path.resolve().relative_to(artifacts.root) if inside else path.name)
    content = verification_summary(
        facts.model_id,
        facts.files,
        time=now,
        version=installed(["pytest-modelgates"]).get("pytest-modelgates", "unknown"),
        policy=(in_force.place.source or "packaged default", in_force.policy.digest),
        report=(printable(place), facts.stored.digest),
        waived=waived,
    )
    artifacts.write(
        artifacts.attestation(facts.model_id, signed=key is not None), seal(content, key) if key else content
    )
