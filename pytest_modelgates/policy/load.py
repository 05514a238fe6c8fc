"""Reading a team's policy over the packaged default."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..errors import PolicyError
from ..storage.text import cut
from ..storage.toml_positions import Keys
from .limits import Slo
from .operations import NAME, Operations, without_moved
from .policy import Policy
from .sections import PANEL_DIGEST
from .toml import checked, over, packaged, read_toml

DIGEST = re.compile(PANEL_DIGEST)
BREAK_EVEN = "pnl.break_even"


def load_policy(path: Path | None) -> Policy:
    """Read a policy over the packaged default.

    Parameters
    ----------
    path : Path, optional
        A team's file; the packaged default alone if left out.

    Raises
    ------
    PolicyError
        If the file is missing or not TOML, has an unknown key, a wrong type, or an SLO that bounds nothing.
    """
    source = str(path or "the packaged policy")
    own, moved = without_moved(read_toml(path, "policy file") if path else {})
    # Nothing here follows from these keys, but a wrong one is refused wherever the policy is read.
    checked(over(packaged(NAME), moved), Operations, source)
    _check_panel(source, own)
    policy = complete(over_default(own), source)
    for _, text in contradictions(policy):
        raise PolicyError(f"{source}: {text}")
    return policy


def over_default(own: dict[str, Any]) -> dict[str, Any]:
    """Put a team's tables over those of the packaged policy."""
    return over(_without_other_ends(packaged("default.toml"), own), own)


def complete(tables: dict[str, Any], source: str) -> Policy:
    """Give whole tables their type, and the limits that follow from other keys."""
    return _with_costs_to_exceed(checked(tables, Policy, source))


def contradictions(policy: Policy) -> Iterator[tuple[Keys, str]]:
    """Find keys that have the right type and contradict others: the place of each, and what is wrong with it."""
    for name, slo in policy.slo.items():
        yield from _of_slo(name, slo, policy)
    families = {name.partition(".")[0] for name in policy.slo}
    places: list[tuple[Keys, tuple[str, ...]]] = [(("not_applicable",), policy.not_applicable)]
    places += [(("tasks", task), names) for task, names in policy.tasks.items()]
    for place, names in places:
        for index, name in enumerate(names):
            if name not in families and name not in policy.slo:
                there = ", ".join(sorted(families))
                yield (*place, index), f"{place[-1]}: no family {name!r}; there are {there}"


def _check_panel(source: str, own: dict[str, Any]) -> None:
    """Refuse a digest that was typed by hand, with where the whole one comes from."""
    data = own.get("data")
    panel = data.get("panel") if isinstance(data, dict) else None
    if isinstance(panel, str) and not DIGEST.fullmatch(panel):
        raise PolicyError(
            f"{source}: [data] panel is {cut(repr(panel))}, expected sha256: and 64 hex digits; give the line that "
            "`modelgates panel FILE` prints"
        )


def _without_other_ends(default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Drop the default's open bound where the team's file gives a closed one, and the other way round."""
    given = own.get("slo")
    slos = {name: dict(slo) for name, slo in default["slo"].items()}
    for name, slo in (given if isinstance(given, dict) else {}).items():
        for one, other in (("above", "at_least"), ("below", "at_most")):
            if name in slos and isinstance(slo, dict):
                if one in slo:
                    slos[name].pop(other, None)
                if other in slo:
                    slos[name].pop(one, None)
    return default | {"slo": slos}


def _with_costs_to_exceed(policy: Policy) -> Policy:
    """Ask of the break-even that it exceeds what a unit of turnover costs by the policy, unless that says otherwise."""
    slo = policy.limit(BREAK_EVEN)
    if slo.lower > -math.inf:
        return policy
    asked = msgspec.structs.replace(slo, above=policy.costs.per_turnover_bps)
    return msgspec.structs.replace(policy, slo=policy.slo | {BREAK_EVEN: asked})


def _of_slo(name: str, slo: Slo, policy: Policy) -> Iterator[tuple[Keys, str]]:
    row, path = f'[slo."{name}"]', ("slo", name)
    bounds = [slo.above, slo.at_least, slo.below, slo.at_most]
    given = [bound for bound in bounds if bound is not None]
    if not given or not all(math.isfinite(bound) for bound in given):
        yield path, f"{row} needs a finite bound: above or at_least, below or at_most"
    elif None not in bounds[:2] or None not in bounds[2:]:
        yield path, f"{row} has two bounds on one side; keep the open or the closed one"
    elif slo.lower > slo.upper or (slo.lower == slo.upper and None in (slo.at_least, slo.at_most)):
        yield path, f"{row}: no value can satisfy its bounds ({slo}); widen one"
    if slo.parameters and (slo.each or slo.gate):
        other = "each" if slo.each else "gate"
        yield (*path, "parameters"), f"{row} has parameters and {other}; keep one, they contradict"
    if slo.gate is None:
        return
    if slo.gate not in policy.slo:
        yield (*path, "gate"), f"{row} is measured by {slo.gate!r}, which is not a gate of the policy"
    elif slo.severity == "hard" and policy.slo[slo.gate].severity == "soft":
        yield (*path, "severity"), f"{row} is hard, but {slo.gate}, which measures it, is soft; make both hard"
