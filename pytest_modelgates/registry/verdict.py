"""From the record of a gate to its verdict. The only place that says what passed."""

from enum import StrEnum

from .policy import Policy
from .report import GateRecord


class Verdict(StrEnum):
    """All that a gate's record can amount to; only `PASSED` promotes."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"
    NO_REFERENCE = "no reference yet"


# What a gate raises when its own comparison fails; any other exception is an error of the gate or its input.
FAILURES = ("Failed", "AssertionError", "NoReference")
# The families that hold a model against what is live; nothing else can lack a reference.
COMPARING = ("drift", "shadow")


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
            if not limit.hold(evidence.value):
                measured = "nothing finite" if evidence.value is None else f"{evidence.value:.4g}"
                of = "" if name == base_name(record.gate) else f"{name} "
                return Verdict.FAILED, f"{of}measured {measured} {evidence.unit}, limit {limit}"
    if "call" in exceptions:
        return Verdict.FAILED, f"raised {exceptions['call']}"
    wrong = [phase.when for phase in record.phases if phase.outcome != "passed"]
    if wrong:
        return Verdict.NOT_RUN, f"{wrong[0]} ended as {phases[wrong[0]].outcome}"
    return Verdict.PASSED, ""
