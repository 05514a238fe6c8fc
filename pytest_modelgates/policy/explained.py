"""What the SLOs of a gate ask, in words for a terminal."""

import difflib
from collections.abc import Iterator, Sequence

from ..errors import RefusedError
from ..storage.text import printable, wrapped
from .limits import Slo
from .policy import Policy


def explained(policy: Policy, asked: str) -> Sequence[str]:
    """Explain each SLO that a gate, an SLO, or a family of gates stands for.

    Parameters
    ----------
    policy : Policy
    asked : str
        ``pnl.sharpe``, which explains all limits of the gate; ``pnl.drawdown``, one of them; ``ablation.harmless[rev]``
        or ``pnl``.

    Raises
    ------
    RefusedError
        If the policy knows no such name.
    """
    name = asked.partition("[")[0]
    named = policy.slos_of(name) or [slo for slo in policy.slo if slo == name or slo.partition(".")[0] == name]
    if not named:
        known = [*policy.slo, *(slo.partition(".")[0] for slo in policy.slo)]
        near = difflib.get_close_matches(name, dict.fromkeys(known), n=3)
        meant = f"names like it: {', '.join(near)}" if near else "modelgates policy show lists all"
        raise RefusedError(f"no gate {printable(asked)!r} in the policy; {meant}")
    return ["\n".join(_lines(each, policy.slo[each])) for each in named]


def _lines(name: str, slo: Slo) -> Iterator[str]:
    yield f"{name} ({slo.severity})"
    rows = {
        "gate": slo.gate or (f"once for each {slo.each.replace('_', ' ')}" if slo.each else ""),
        "asks": slo.asks,
        "formula": slo.formula,
        "limit": f"{slo} {slo.unit}",
        "if missed": slo.advice,
        "twins": ", ".join(slo.twins),
    }
    for head, text in rows.items():
        if text:
            yield wrapped(printable(text), head=f"  {head:11}", indent=13)
