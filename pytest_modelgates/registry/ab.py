"""An A/B test of a candidate beside the live model: what may keep one from beginning, and its two events."""

from datetime import UTC, datetime
from pathlib import Path

from ..artifacts import Artifacts
from ..audit import ab
from ..audit.ab import By, Ended, Plan
from ..audit.kill import killed
from ..audit.writer import locked
from ..errors import RefusedError
from ..evidence.report import StoredReport
from ..model.directory import LocalDirectory
from ..policy.operations import LockRules
from .decide import Facts
from .in_force import InForce
from .promote import plan_promotion
from .store import live_change


def refuse_beforehand(artifacts: Artifacts, *, share: float, reason: str) -> None:
    """Refuse what no report would change, so that nobody waits for gates in vain; raises as `start_ab` does."""
    ab.checked(share, reason)
    ab.refuse_second(artifacts)


def start_ab(
    artifacts: Artifacts,
    model_id: str,
    report: StoredReport | Path,
    in_force: InForce,
    *,
    share: float,
    by: By,
    reason: str,
) -> Plan:
    """Let a candidate answer a share of the rows, if nothing keeps it from being promoted; moves no link.

    Parameters
    ----------
    artifacts, model_id, report, in_force
        As for `promote`.
    share : float
        Of the rows that it answers, above 0, at most a half.
    by : {"row", "asset"}
    reason : str
        For the audit log.

    Raises
    ------
    RefusedError
        With every reason, one a line. Nothing has changed then.
    """
    with locked(artifacts, in_force.operations.registry):
        if stopped := next((each for each in killed(artifacts) if each.arm == ab.ARM), None):
            raise RefusedError(f"{model_id} could answer no row: {stopped}; to let the arm go on: {stopped.way_on}")
        decided = plan_promotion(artifacts, model_id, report, in_force, now=datetime.now(UTC))
        facts = decided.facts
        if facts.live is None:
            raise RefusedError(
                f"nothing is live, so there is nothing to test {model_id} beside; promote a model: modelgates promote"
            )
        if decided.decision.reasons:
            lines = "\n".join(f"  {each}" for each in decided.decision.reasons)
            raise RefusedError(f"{model_id} answers no live row, as it could not be promoted:\n{lines}")
        assert isinstance(facts, Facts), "a damaged model is refused"
        assert facts.live_digest, "a live model has a digest"
        with LocalDirectory(artifacts.model(facts.live)) as model:
            served = model.sidecar
        sidecar = facts.sidecar
        if sidecar.schema_crc32 != served.schema_crc32:
            raise RefusedError(
                f"{model_id} takes other features than {facts.live}, which is live (schema_crc32 "
                f"{sidecar.schema_crc32}, not {served.schema_crc32}), so they cannot share rows; compare them in shadow"
            )
        if by == "asset" and len(sidecar.keys) < 2:
            raise RefusedError(f"the rows of {model_id} name no time and asset; leave --by out, to deal them by row")
        plan = ab.new_plan(
            candidate=model_id,
            candidate_digest=facts.digest,
            live=facts.live,
            live_digest=facts.live_digest,
            live_since=live_change(artifacts).time,
            share=share,
            by=by,
            reason=reason,
        )
        ab.start(artifacts, plan)
    return plan


def stop_ab(artifacts: Artifacts, rules: LockRules, *, reason: str) -> Ended | None:
    """End the A/B test that runs; raises as `audit.ab.stop` does."""
    with locked(artifacts, rules):
        return ab.stop(artifacts, reason)
