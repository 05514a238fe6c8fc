"""What promotion asks for besides the gates: nights of parity, hours in shadow, no drift.

Pure: records in, reasons out.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from ..drift.dependence import as_independent
from ..drift.summary import Reference
from ..drift.verdict import DriftLimits, PsiReading, read_psi
from ..evidence.reasons import Reason, few
from ..policy.policy import Policy
from ..predictions.following import Recent
from .nights import Night

SERVE_LATENCY = "latency.serve_p95_ms"
DRIFT = "drift.psi"
SHOW_LOG = "modelgates predictions --arm shadow"


def streak(found: Sequence[Night], *, today: date) -> int:
    """Count consecutive nights with parity that end today or yesterday.

    Parameters
    ----------
    found : sequence of Night
        Newest first, one a day.
    today : date
        In UTC.
    """
    expected, length = today, 0
    for night in found:
        if length == 0 and night.day == today - timedelta(days=1):
            expected = night.day
        if night.day != expected or not night.parity:
            break
        length += 1
        expected -= timedelta(days=1)
    return length


def night_reasons(found: Sequence[Night], policy: Policy, *, today: date, repair: str) -> list[Reason]:
    """Compare the streak with the policy."""
    needed, length = policy.promotion.parity_nights, streak(found, today=today)
    if length >= needed:
        return []
    text = f"{length} consecutive UTC nights with ONNX parity, the policy asks for {needed} (parity_nights)"
    broken = bool(found) and found[0].day >= today - timedelta(days=1) and not found[0].parity
    return [Reason(f"{text}; the last one broke the streak" if broken else text, repair, waits=not broken)]


def shadow_reasons(
    recent: Recent | None,
    golden: np.ndarray,
    policy: Policy,
    *,
    repair: str,
    waiting: Sequence[str] = (),
    drift_waived: bool = False,
) -> list[Reason]:
    """Compare a candidate's shadow records with the policy: hours, errors, latency, drift.

    Parameters
    ----------
    recent : Recent or None
        What this candidate did in shadow lately; None if it was not run.
    golden : ndarray, shape (n,)
        The candidate's predictions on its panel.
    policy : Policy
    repair : str
        The command that runs it in shadow.
    waiting : sequence of str
        Gates that found nothing to measure, because there is no record.
    drift_waived : bool
        Whether the gate of drift is waived. That says nothing of what promotion itself asks for.
    """
    wanted, latency = policy.promotion, policy.limit(SERVE_LATENCY)
    if recent is None:
        asked = [f"{wanted.shadow_hours:g} h"] if wanted.shadow_hours else []
        asked += ["rows enough to measure drift from"] if wanted.drift_psi else []
        wants = f"; the policy asks for {' and '.join(asked)}" if asked else ""
        lacks = f"; {few(waiting)} could not be measured" if waiting else ""
        return [Reason(f"the candidate has no record in shadow{wants}{lacks}", repair)] if asked or waiting else []
    reasons = []
    if wanted.shadow_hours:
        if recent.hours < wanted.shadow_hours:
            asks = f"the policy asks for {wanted.shadow_hours:g} h (shadow_hours)"
            reasons.append(Reason(f"{recent.hours:.1f} h of shadow records, {asks}", repair, waits=True))
        # Only the last hours count, so that one old error does not bar a candidate for good.
        if recent.failed:
            reasons.append(
                Reason(f"{recent.failed} shadow records with an error, the last: {recent.last_error}", repair)
            )
        p95 = float(np.quantile(recent.latencies, 0.95))
        if not latency.contains(p95):
            reasons.append(Reason(f"shadow latency p95 {p95:.1f} ms, limit {latency}", repair))
    if recent.problem:
        reasons.append(Reason(f"the log of shadow predictions is not whole: {recent.problem}", SHOW_LOG))
    if wanted.drift_psi:
        psi = _psi(golden, recent.values, wanted.drift_psi)
        if psi is None or psi["doubt"]:
            why = psi["doubt"] if psi else "no row was scored"
            reasons.append(Reason(f"drift in shadow cannot be measured: {why}", repair))
        elif not psi["judged"] < wanted.drift_psi:
            note = f"; the waiver of {DRIFT} covers the gate alone" if drift_waived else ""
            limit = f"must be below {wanted.drift_psi:g} (drift_psi){note}"
            reasons.append(Reason(f"drift in shadow: PSI {psi['judged']:.3f}, {limit}", repair))
    return reasons


def _psi(golden: np.ndarray, values: np.ndarray, limit: float) -> PsiReading | None:
    """Measure the index; None of no row."""
    if not values.size:
        return None
    reference = Reference.of(golden)
    current = reference.count(values)
    limits = DriftLimits(psi_moderate=0, psi=limit)
    return read_psi(reference, current.counts, limits, as_independent(reference.golden, current, "as asked"))
