"""From the record of a gate to its verdict, and from many verdicts to one. The only place that says what passed."""

from collections.abc import Iterable
from datetime import date
from enum import StrEnum

from ..policy.limits import short
from ..policy.policy import Policy
from ..policy.sections import Waiver
from .report import GateRecord


class Verdict(StrEnum):
    """All that a gate's record can amount to, from best to worst."""

    PASSED = "passed"
    NO_REFERENCE = "no reference yet"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"
    ERRORED = "errored"
    FAILED = "failed"


# What a gate raises when its own comparison fails; any other exception is an error of the gate or its input.
FAILURES = ("Failed", "AssertionError", "NoReference")
# The families that hold a model against what is live; nothing else can lack a reference.
COMPARING = ("drift", "shadow")
# A gate that measured and missed may be waived; one that did not run shows nothing that could be.
WAIVABLE = (Verdict.FAILED, Verdict.INCONCLUSIVE)


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Say what several verdicts amount to: the worst of them. None at all is *not run*: nothing is vacuously true."""
    return max(verdicts, key=list(Verdict).index, default=Verdict.NOT_RUN)


def promotes(verdict: Verdict, policy: Policy, *, first: bool) -> bool:
    """Whether a verdict promotes: only *passed*, bar what the policy says for the first model."""
    return verdict is Verdict.PASSED or (
        verdict is Verdict.NO_REFERENCE and first and policy.promotion.first_without_reference
    )


def base_name(gate: str) -> str:
    """Strip a gate's parameter: ``ablation.harmless[momentum]`` is measured against ``ablation.harmless``."""
    return gate.partition("[")[0]


def judge(record: GateRecord, policy: Policy) -> tuple[Verdict, str]:
    """Judge one record by the numbers in it and the limits of the policy, never by the outcome it claims.

    Returns
    -------
    Verdict
    str
        Why, in words; empty for a gate that passed.
    """
    phases = {phase.when: phase for phase in record.phases}
    exceptions = {when: phase.exception for when, phase in phases.items() if phase.exception}
    if record.attempts != 1 or len(record.phases) > len(phases):
        return Verdict.NOT_RUN, f"ran {record.attempts} times, expected once"
    if "Skipped" in exceptions.values():
        return Verdict.NOT_RUN, "was skipped"
    errors = [name for when, name in exceptions.items() if when != "call" or name not in FAILURES]
    if errors:
        return Verdict.ERRORED, f"raised {errors[0]}"
    if set(phases) != {"setup", "call", "teardown"}:
        return Verdict.NOT_RUN, f"only {', '.join(phases) or 'nothing'} ran, expected set-up, call and teardown"
    for evidence in record.evidence:
        if evidence.state == "no reference yet" and record.gate.partition(".")[0] not in COMPARING:
            return (
                Verdict.INCONCLUSIVE,
                f"says it has no reference yet, which only {' and '.join(COMPARING)} gates need",
            )
        if evidence.state != "measured":
            return Verdict(evidence.state), evidence.note or ""
    for name in policy.slos_of(base_name(record.gate)) or [base_name(record.gate)]:
        shown = [evidence for evidence in record.evidence if evidence.slo == name]
        if not shown and "call" not in exceptions:
            return Verdict.NOT_RUN, f"recorded no evidence for {name}"
        for evidence in shown:
            limit = policy.limit(name)
            if not limit.contains(evidence.value):
                measured = "nothing finite" if evidence.value is None else short(evidence.value)
                of = "" if name == base_name(record.gate) else f"{name} "
                return Verdict.FAILED, f"{of}measured {measured} {evidence.unit}, limit {limit}"
    if "call" in exceptions:
        return Verdict.FAILED, f"raised {exceptions['call']}"
    wrong = [phase.when for phase in record.phases if phase.outcome != "passed"]
    if wrong:
        return Verdict.NOT_RUN, f"{wrong[0]} ended as {phases[wrong[0]].outcome}"
    return Verdict.PASSED, ""


def weigh(record: GateRecord, policy: Policy, *, digest: str, day: date) -> tuple[Verdict, str, Waiver | None]:
    """Judge one record, and find the waiver that lets it off for the model's bytes on a day, if it needs one."""
    verdict, why = judge(record, policy)
    row = policy.waiver_of(record.gate, digest)
    return verdict, why, row if row and row.in_force(day) and verdict in WAIVABLE else None
