"""Which policy and operations hold for a registry: what its place says, compared with what the audit log kept.

A verb that changes or judges is refused where that cannot be told. One that only looks warns. The emergency exit,
rollback and recover, stays open.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..artifacts import Artifacts
from ..audit.actor import actor, host
from ..audit.chain import Intent, PolicyKept
from ..audit.kinds import Action
from ..errors import PolicyError
from ..policy.load import load_policy
from ..policy.operations import Operations, load_operations
from ..policy.place import Place, find_place
from ..policy.policy import Policy
from ..storage.paths import is_there
from .store import went_live


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The policy and the operations of a registry.

    Parameters
    ----------
    policy : Policy
    operations : Operations
    place : Place
        Where they were found.
    kept : PolicyKept
        What the log keeps of the policy with a change.
    warnings : sequence of str
        For people.
    found : {"found", "lost", "broken"}
        What became of the registry's policy. Another stands in for one that is lost or broken.
    """

    policy: Policy
    operations: Operations
    place: Place
    kept: PolicyKept
    warnings: Sequence[str] = ()
    found: Literal["found", "lost", "broken"] = "found"

    @property
    def keys(self) -> Sequence[str] | None:
        """The public keys that the policy lists; None if they are not known."""
        return self.policy.evidence.keys if self.found == "found" else None

    def intent(
        self, action: Action, *, from_: str | None, to: str, digest: str, reason: str, time: datetime, **more: Any
    ) -> Intent:
        """Make the record of a change under this policy, by the one who runs this process; `more` are its fields."""
        return Intent(
            time=time,
            actor=actor(),
            host=host(),
            action=action,
            from_=from_,
            to=to,
            digest=digest,
            report_digest=more.pop("report_digest", None),
            **asdict(self.kept),
            reason=reason,
            **more,
        )


def for_acting(artifacts: Artifacts, asked: Path | None = None) -> InForce:
    """Read what holds for a verb that changes or judges something; `asked` is a policy to use instead.

    Raises
    ------
    PolicyError
        If a file is broken or lost, if it cannot be told which one counts, or if the last change was made under a
        policy of its own and there is none now.
    """
    place = find_place(artifacts, asked)
    if problem := why_unclear(artifacts, place):
        raise PolicyError(problem)
    return _read(place)


def for_looking(artifacts: Artifacts, asked: Path | None = None) -> InForce:
    """Read what holds for a verb that only looks or scores; a policy that is lost is a warning.

    Raises
    ------
    PolicyError
        If a file is broken.
    """
    place = find_place(artifacts, asked)
    problem = why_unclear(artifacts, place)
    if place.file and not is_there(place.file):
        place = replace(place, file=None, own=None)
    found = _read(place)
    return replace(found, warnings=[*([problem] if problem else []), *found.warnings])


def for_emergency(artifacts: Artifacts, asked: Path | None = None) -> InForce:
    """Read what holds for the emergency exit, which no broken or lost file of the team's may bar.

    In place of such a policy counts whom the last change in the log let roll back.
    """
    place = find_place(artifacts, asked)
    problem = why_unclear(artifacts, place)
    policy = load_policy(None)
    kept = _kept(policy, None)
    warnings = []
    found: Literal["found", "lost", "broken"] = "found"
    try:
        if problem:
            raise PolicyError(problem)
        policy = load_policy(place.file)
        kept = _kept(policy, place)
    except PolicyError as error:
        found = "lost" if problem else "broken"
        before = last_kept(artifacts)
        kept = before or kept
        policy = _let_roll_back(policy, kept.may_roll_back)
        names = ", ".join(kept.may_roll_back) or "anybody"
        since = (
            "as at the last change in the log" if before else "the log does not say who may, so by the packaged policy"
        )
        warnings.append(f"{error}; {since}, {names} may roll back")
    try:
        operations, more = load_operations(place.operations, policy=place.own, asked=place.file)
    except PolicyError as error:
        operations, more = _operations_alone(place.operations, error)
    return InForce(
        policy=policy, operations=operations, place=place, kept=kept, warnings=[*warnings, *more], found=found
    )


def last_kept(artifacts: Artifacts) -> PolicyKept | None:
    """Find the policy of the last change whose record keeps one, past damage of the log; None if there is none."""
    with closing(went_live(artifacts)) as found:
        return next((change.policy for change in found if change.policy), None)


def why_unclear(artifacts: Artifacts, place: Place) -> str | None:
    """Say why it cannot be told which policy counts; None if it can."""
    if place.problem or place.file:
        return place.problem
    kept = last_kept(artifacts)
    if kept and kept.policy_file:
        return (
            f"the last change was made under the policy {kept.policy_file}, and there is none now; "
            "put it back, or give one as --policy"
        )
    return None


def _read(place: Place) -> InForce:
    policy = load_policy(place.file)
    operations, warnings = load_operations(place.operations, policy=place.own, asked=place.file)
    return InForce(policy=policy, operations=operations, place=place, kept=_kept(policy, place), warnings=warnings)


def _kept(policy: Policy, place: Place | None) -> PolicyKept:
    return PolicyKept(policy.digest, place.source if place else None, policy.registry.may_roll_back)


def _let_roll_back(policy: Policy, names: tuple[str, ...]) -> Policy:
    rules = msgspec.structs.replace(policy.registry, may_roll_back=names)
    return msgspec.structs.replace(policy, registry=rules)


def _operations_alone(path: Path | None, error: PolicyError) -> tuple[Operations, list[str]]:
    """Read operations.toml without the policy, which is broken; the packaged one if it is broken itself."""
    try:
        return load_operations(path, policy=None)
    except PolicyError:
        return load_operations(None, policy=None)[0], [f"{error}; the packaged limits count"]
