"""What promotion asks for besides the gates: quiet nights, hours in shadow, no drift. Computed from stored records."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from ..drift import psi
from ..drift.records import Prediction, by_row_key
from ..errors import FormatError, StatisticsError
from ..model.layout import Artifacts
from .policy import Bounds, Policy
from .report import read_report
from .verdict import Verdict, base_name, judge


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a promotion is refused, and the command that would repair it."""

    text: str
    repair: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.text} → {self.repair}"


@dataclass(frozen=True, slots=True)
class Night:
    """Parity of the newest candidate that was gated in one UTC night."""

    day: date
    model_id: str
    parity: bool


def nights(artifacts: Artifacts, policy: Policy, *, now: datetime) -> list[Night]:
    """Read the nights that the streak may consist of from the stored reports, newest first.

    A report that cannot be read counts as a night without parity: what did not verifiably run is not green.
    """
    oldest = now - timedelta(days=policy.promotion.parity_nights + 1)
    found: dict[date, tuple[str, str, bool]] = {}
    for path in sorted((artifacts.root / "reports").glob("*/*.json")):
        stamp = path.stem[:8]
        if not stamp.isdecimal() or stamp < oldest.strftime("%Y%m%d"):
            continue
        model_id, day = path.parent.name, datetime.strptime(stamp, "%Y%m%d").date()
        newest = found.get(day)
        # Of one candidate's runs in a night the last one counts; file names sort by time.
        if newest is None or (int(model_id), path.stem) >= (int(newest[0]), newest[1]):
            found[day] = (model_id, path.stem, _parity_passed(path, model_id, policy))
    return [Night(day, found[day][0], found[day][2]) for day in sorted(found, reverse=True)]


def _parity_passed(path: Path, model_id: str, policy: Policy) -> bool:
    try:
        report = read_report(path)
        records = report.modelgates.models[model_id].gates
    except (FormatError, KeyError):
        return False
    verdicts = {record.gate: judge(record, policy)[0] for record in records}
    wanted = [
        name for name in policy.slo if base_name(name).startswith("parity.") and policy.slo[name].severity == "hard"
    ]
    return bool(wanted) and all(verdicts.get(name) is Verdict.PASSED for name in wanted)


def streak(found: list[Night], *, today: date) -> int:
    """Count consecutive nights with parity that end today or yesterday.

    Parameters
    ----------
    found : list of Night
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


def night_reasons(found: list[Night], policy: Policy, *, today: date, repair: str) -> list[Reason]:
    """Hold the streak against the policy."""
    needed, length = policy.promotion.parity_nights, streak(found, today=today)
    if length >= needed:
        return []
    return [Reason(f"{length} consecutive UTC nights with ONNX parity, the policy asks for {needed}", repair)]


def shadow_reasons(
    records: Iterable[Prediction], golden: np.ndarray, policy: Policy, latency: Bounds, *, repair: str
) -> list[Reason]:
    """Hold a candidate's shadow records against the policy: hours, errors, latency, drift.

    Parameters
    ----------
    records : iterable of Prediction
        Of this candidate alone.
    golden : ndarray, shape (n,)
        The candidate's predictions on its panel.
    policy : Policy
    latency : Bounds
        Limit of the p95 of one call [ms].
    repair : str
        The command that shadows it.
    """
    wanted, seen = policy.promotion, list(records)
    reasons = []
    if wanted.shadow_hours:
        times = [record.time for record in seen]
        hours = (max(times) - min(times)).total_seconds() / 3600 if times else 0.0
        if hours < wanted.shadow_hours:
            reasons.append(
                Reason(f"{hours:.1f} h of shadow records, the policy asks for {wanted.shadow_hours:g} h", repair)
            )
        failed = [record for record in seen if record.error is not None]
        if failed:
            reasons.append(Reason(f"{len(failed)} shadow records with an error, the last: {failed[-1].error}", repair))
        if seen:
            p95 = float(np.quantile([record.latency_ms for record in seen], 0.95))
            if not latency.hold(p95):
                reasons.append(Reason(f"shadow latency p95 {p95:.1f} ms, limit {latency}", repair))
    if wanted.drift_psi:
        values = np.array(list(by_row_key(seen).values()))
        try:
            distance = psi(golden, values)
        except StatisticsError as error:
            reasons.append(Reason(f"drift in shadow cannot be measured: {error}", repair))
        else:
            if not distance < wanted.drift_psi:
                reasons.append(
                    Reason(f"drift in shadow: PSI {distance:.3f}, must be below {wanted.drift_psi:g}", repair)
                )
    return reasons
