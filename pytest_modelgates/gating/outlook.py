"""What a promoter would say against the code that took part in a run, before anybody tries to promote."""

import json

from ..errors import ModelgatesError
from ..evidence.origins import altering_plugins, gates_that_count, is_installed, origin_reasons
from ..evidence.trust import trust
from .ledger import Run


def outlook(run: Run) -> list[str]:
    """List what the code that took part in a green run has against its report, and the line that lets plugins in.

    Parameters
    ----------
    run : Run
        Closed. Of one that is not green, or that a promoter started itself, nothing is said.
    """
    if not run.green or run.nonce:
        return []
    ledger, policy = run.ledger(0), run.policy
    try:
        trusted = trust(policy, run.root, ledger.run.modules)
    except ModelgatesError as error:
        return [f"promotion would refuse this report: {error}"]
    found = []
    for directory in run.model_dirs:
        sidecar = run.sidecars[directory.name]
        of_model = ledger.models[directory.name]
        counting = gates_that_count(of_model, sidecar, policy)
        repair = f"modelgates gate {directory}"
        found += origin_reasons(ledger, of_model, counting, policy, trusted, repair=repair)
    if not found:
        return []
    lines = ["promotion would refuse this report:", *(f"  {reason}" for reason in dict.fromkeys(found))]
    strangers = [origin for origin in altering_plugins(ledger.run, policy, trusted) if is_installed(origin, ledger.run)]
    if strangers:
        # The whole list, because a policy's own replaces the packaged one.
        plugins = json.dumps(sorted({*policy.evidence.plugins, *strangers}))
        lines += ["to let these plugins take part, write this into the policy, and run again:"]
        lines += ["[evidence]", f"plugins = {plugins}"]
    return lines
