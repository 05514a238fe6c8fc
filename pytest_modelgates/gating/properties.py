"""What reports of other plugins show of a gate, such as JUnit XML: its verdict and its numbers as properties."""

from ..evidence.shown import verdict_shown
from ..evidence.verdict import Judged, base_name
from ..policy.policy import Policy


def properties(judged: Judged, policy: Policy, model_id: str, digest: str) -> list[tuple[str, object]]:
    """List the properties of a gate.

    Parameters
    ----------
    judged : Judged
    policy : Policy
        Where the limits come from.
    model_id, digest : str
        The model, and the digest of its directory when the run began.

    Returns
    -------
    list of (str, str)
        The numbers of a further SLO of the gate have its name in brackets: ``measured[pnl.net_exposure]``.
    """
    record, found = judged.record, list[tuple[str, object]]()
    found += [("gate", record.gate), ("severity", record.severity), ("verdict", verdict_shown(judged))]
    found += [("model", model_id), ("model_digest", f"sha256:{digest}")]
    if judged.why:
        found.append(("reason", judged.why))
    if judged.waiver:
        found.append(("waiver", str(judged.waiver)))
    for evidence in record.evidence:
        limit, name = policy.limit(evidence.slo), evidence.slo
        of = "" if name == base_name(record.gate) else f"[{name}]"
        found.append((f"limit{of}", f"{limit} {limit.unit}"))
        if evidence.not_asked:
            found.append((f"not_asked{of}", evidence.not_asked))
        elif evidence.value is not None:
            found.append((f"measured{of}", repr(evidence.value)))
            if (margin := limit.margin(evidence.value)) is not None:
                found.append((f"margin{of}", f"{margin:.4g}"))
    return found
