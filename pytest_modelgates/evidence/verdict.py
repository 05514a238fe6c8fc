"""From the record of a gate to its verdict, and from many verdicts to one. The only place that says what passed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ..policy.families import FAMILIES, compares
from ..policy.limits import Severity, short
from ..policy.policy import Policy
from ..policy.sections import Waiver
from ..storage.text import printable
from .report import Evidence, GateRecord


class Verdict(StrEnum):
    """All that a gate's record can amount to, from best to worst."""

    PASSED = "passed"
    NO_REFERENCE = "no reference yet"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"
    ERRORED = "errored"
    FAILED = "failed"


# What a gate raises when there is too little to measure from, or nothing to compare with; a fixture may raise it too.
UNMEASURED = ("InsufficientDataError", "NoReference")
# What a gate raises when its own comparison fails; any other exception is an error of the gate or its input.
FAILURES = ("Failed", "AssertionError", *UNMEASURED)
*_FIRST, _LAST = (name for name, family in FAMILIES.items() if family.compares)
_COMPARING = ", ".join(
    (
        f"gates of {', '.join(_FIRST)} and {_LAST}",
        " and ".join(gate for family in FAMILIES.values() for gate in sorted(family.gates_compare)),
    )
)
# Only a measured miss can be waived. A gate that did not run produced nothing to waive.
WAIVABLE = (Verdict.FAILED, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One record and its verdict: made once, and read by the table, the exit status, the ledger and the seal.

    `why` is empty for a gate that passed; `waiver` is the row that excuses it, if it needs one; `binds` says whether
    its verdict counts at all, `blocks` whether it keeps the run from being green.
    """

    record: GateRecord
    verdict: Verdict
    why: str
    waiver: Waiver | None
    binds: bool
    blocks: bool


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Combine several verdicts into the worst of them; none at all is *not run*, since nothing is vacuously true."""
    return max(verdicts, key=list(Verdict).index, default=Verdict.NOT_RUN)


def promotes(verdict: Verdict, policy: Policy, *, first: bool) -> bool:
    """Whether a verdict promotes: *passed* does; *no reference yet* only for a first model, if the policy admits it."""
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
    if record.attempts != 1:
        return Verdict.NOT_RUN, f"ran {record.attempts} times, expected once"
    when, times = Counter(phase.when for phase in record.phases).most_common(1)[0] if phases else ("call", 0)
    if times > 1:
        return Verdict.NOT_RUN, f"has {times} reports of its {when}, expected one; a gate takes no subtests"
    if "Skipped" in exceptions.values():
        return Verdict.NOT_RUN, "was skipped"
    expected = {"setup": UNMEASURED, "call": FAILURES}
    errors = [when for when, name in exceptions.items() if name not in expected.get(when, ())]
    if errors:
        said = phases[errors[0]].message
        return Verdict.ERRORED, f"raised {exceptions[errors[0]]}" + (f": {printable(said)}" if said else "")
    if set(phases) != {"setup", "call", "teardown"} and "setup" not in exceptions:
        return Verdict.NOT_RUN, f"only {', '.join(phases) or 'nothing'} ran, expected set-up, call and teardown"
    for evidence in record.evidence:
        if evidence.state == "no reference yet" and not compares(record.gate):
            return Verdict.INCONCLUSIVE, f"says it has no reference yet, which only {_COMPARING} need"
        if evidence.state != "measured":
            return Verdict(evidence.state), printable(evidence.note or "")
    if "setup" in exceptions:
        return Verdict.NOT_RUN, f"raised {exceptions['setup']} in set-up and recorded no evidence of it"
    for name in policy.slos_of(base_name(record.gate)) or [base_name(record.gate)]:
        shown = [evidence for evidence in record.evidence if evidence.slo == name]
        if not shown and "call" not in exceptions:
            return Verdict.NOT_RUN, f"recorded no evidence for {name}"
        for evidence in shown:
            limit = policy.limit(name)
            if not limit.contains(evidence.value):
                measured = "nothing finite" if evidence.value is None else short(evidence.value)
                of = "" if name == base_name(record.gate) else f"{name} "
                return Verdict.FAILED, f"{of}measured {measured} {evidence.unit}, limit {limit}{_found(evidence)}"
    if "call" in exceptions:
        return Verdict.FAILED, f"raised {exceptions['call']}"
    wrong = [phase.when for phase in record.phases if phase.outcome != "passed"]
    if wrong:
        return Verdict.NOT_RUN, f"{wrong[0]} ended as {phases[wrong[0]].outcome}"
    return Verdict.PASSED, ""


def _found(evidence: Evidence) -> str:
    """Name what a gate found: its offenders, else the column, row, day or fold in the texts of its detail."""
    if evidence.note:
        return f": {printable(evidence.note)}"
    texts = {key: text for key, text in evidence.detail.items() if isinstance(text, str)}
    return "".join(f", {key} {printable(text)}" for key, text in texts.items())


def advice(record: GateRecord, policy: Policy) -> str:
    """Say what to do about a gate that failed: by the first of its SLOs that it missed, else by its own."""
    own = base_name(record.gate)
    for name in policy.slos_of(own):
        if any(shown.slo == name and not policy.limit(name).contains(shown.value) for shown in record.evidence):
            return policy.limit(name).advice
    return policy.limit(own).advice


def binds(severity: Severity, waiver: Waiver | None, *, strict_soft: bool = False) -> bool:
    """Whether missing a gate counts: a hard one without a waiver, or any if soft ones are strict."""
    return strict_soft or (severity == "hard" and waiver is None)


def weigh(
    record: GateRecord, policy: Policy, *, digest: str, day: date, first: bool = True, strict_soft: bool = False
) -> Judged:
    """Judge one record, excuse it by a waiver for the model's bytes on a day if it needs one, and say if it blocks."""
    verdict, why = judge(record, policy)
    row = policy.waiver_of(record.gate, digest)
    waiver = row if row and row.in_force(day) and verdict in WAIVABLE else None
    counts = binds(record.severity, waiver, strict_soft=strict_soft)
    return Judged(
        record=record,
        verdict=verdict,
        why=why,
        waiver=waiver,
        binds=counts,
        blocks=counts and not promotes(verdict, policy, first=first),
    )
