"""What a seal says of the gates of a run, and whether the ledger in it says the same."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

from ..policy.policy import Policy
from .reasons import few
from .report import ModelRun, RunInfo
from .seal import PARTS, Predicate, Result
from .verdict import Verdict, weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The three lists of a test-result statement, and what they amount to."""

    result: Result
    passed: tuple[str, ...]
    warned: tuple[str, ...]
    failed: tuple[str, ...]

    def of_each(self) -> Iterator[tuple[str, str]]:
        """Give each gate with the name of its list."""
        for name in ("passed", "warned", "failed"):
            yield from ((gate, name) for gate in getattr(self, name))


def results_of(run: ModelRun, policy: Policy, *, day: date) -> Results:
    """Judge the gates of a run by a policy, as they are sealed: what blocks failed, any other miss is a warning."""
    judged = [weigh(record, policy, digest=run.digest_before, day=day) for record in run.gates]
    passed = tuple(each.record.gate for each in judged if each.verdict is Verdict.PASSED)
    failed = tuple(each.record.gate for each in judged if each.blocks)
    result: Result = "PASSED" if len(passed) == len(judged) else "WARNED"
    if failed or not any(each.binds for each in judged):
        result = "FAILED"
    warned = tuple(each.record.gate for each in judged if each.record.gate not in {*passed, *failed})
    return Results(result=result, passed=passed, warned=warned, failed=failed)


def own_results(run: ModelRun, info: RunInfo, policy: Policy) -> Results | None:
    """Judge the gates of a run as they were when they were sealed; None if that was by another policy."""
    return results_of(run, policy, day=info.started.date()) if info.policy_digest == policy.digest else None


def seal_problems(said: Predicate, own: Results | None) -> list[str]:
    """Say what speaks against what was sealed. A signer who says that it failed is believed.

    Parameters
    ----------
    said : Predicate
        What was signed.
    own : Results or None
        What the ledger or the proof in it amounts to by the promoter's policy; None if it was made under another one.
    """
    failed = [f"the seal lists failed gates: {few(said.failedTests)}"] if said.failedTests else []
    return failed + contradictions(said, own)


def contradictions(said: Predicate, own: Results | None) -> list[str]:
    """Say where a seal contradicts itself, or what is in it; its parameters are those of `seal_problems`."""
    sealed = Results(
        result=said.result,
        passed=said.passedTests or (),
        warned=said.warnedTests or (),
        failed=said.failedTests or (),
    )
    found = []
    if sealed.result == "FAILED" and not sealed.failed:
        found.append("the seal says FAILED, and lists no gate that did")
    # Version 0.1 sealed proofs without lists.
    if own and len(said.missing) < len(PARTS):
        one, other = Counter(sealed.of_each()), Counter(own.of_each())
        if different := dict.fromkeys(gate for gate, _ in [*(one - other), *(other - one)]):
            found.append(f"the seal and what is in it do not say the same of {few(tuple(different))}")
    return found


def lists_as_passed(said: Predicate, gates: Collection[str]) -> bool:
    """Whether a seal lists each of these gates as passed, and none as anything else."""
    otherwise = {*(said.warnedTests or ()), *(said.failedTests or ())}
    return set(gates) <= set(said.passedTests or ()) - otherwise
