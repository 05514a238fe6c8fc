"""What promotion asks for besides the gates: quiet nights, hours in shadow, no drift. Computed from stored records."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from ..artifacts import Artifacts, checked_id
from ..drift import psi
from ..drift.distances import MINIMUM_ROWS
from ..errors import FormatError, MissingExtraError, RegistryError, SealError, StatisticsError
from ..evidence.reasons import Reason
from ..evidence.report import read_report
from ..evidence.verdict import Verdict, judge
from ..policy.limits import Bounds
from ..policy.policy import Policy
from ..predictions.records import Prediction, values_of

NIGHT = re.compile(r"[0-9]{8}")


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
    first = now - timedelta(days=policy.promotion.parity_nights + 1)
    oldest = first.strftime("%Y%m%d")
    runs: dict[date, list[tuple[int, bool, str, bool]]] = {}
    # A folder that did not change since holds no report of these nights; there may be thousands of old ones.
    folders = [path for path in artifacts.all_reports.glob("*/") if path.stat().st_mtime >= first.timestamp()]
    for path in (path for folder in folders for path in folder.glob("*.json")):
        if not (NIGHT.match(path.stem) and oldest <= path.stem[:8] <= now.strftime("%Y%m%d")):
            continue
        try:
            model_id, day = checked_id(path.parent.name), datetime.strptime(path.stem[:8], "%Y%m%d").date()
        except (RegistryError, ValueError):
            continue
        parity = _parity_passed(path, model_id, day, policy)
        runs.setdefault(day, []).append((int(model_id), parity is not None, path.stem, bool(parity)))
    # The newest candidate's last run that measured parity counts; file names sort by time.
    newest = {day: max(runs[day]) for day in sorted(runs, reverse=True)}
    return [Night(day, str(model_id), parity) for day, (model_id, _, _, parity) in newest.items()]


def _parity_passed(path: Path, model_id: str, day: date, policy: Policy) -> bool | None:
    """Judge parity by one report; None if the run measured none (``-m pnl``), or lacks a seal that counts."""
    wanted = sorted(name for name, slo in policy.slo.items() if name.startswith("parity.") and slo.severity == "hard")
    try:
        report = read_report(path, keys=policy.evidence.keys)
        records = [record for record in report.modelgates.models[model_id].gates if record.gate in wanted]
        # A report that was copied to the name of another night is of its own night still.
        if report.modelgates.run.started.astimezone(UTC).date() != day:
            return False
    except (FormatError, KeyError):
        return False
    except (SealError, MissingExtraError):
        return None  # the report that was sealed lies beside it
    if not records:
        return None
    passed = sorted(record.gate for record in records if judge(record, policy)[0] is Verdict.PASSED)
    if passed == wanted and policy.evidence.level == "sealed" and report.sealed_by is None:
        return None  # it may speak against the night, but not for it
    return passed == wanted


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
        # An error long past must not bar a candidate for ever: the last hours count.
        recent = [record for record in seen if max(times) - record.time <= timedelta(hours=wanted.shadow_hours)]
        failed = [record for record in recent if record.error is not None]
        if failed:
            reasons.append(Reason(f"{len(failed)} shadow records with an error, the last: {failed[-1].error}", repair))
        if recent:
            p95 = float(np.quantile([record.latency_ms for record in recent], 0.95))
            if not latency.contains(p95):
                reasons.append(Reason(f"shadow latency p95 {p95:.1f} ms, limit {latency}", repair))
    if wanted.drift_psi:
        values = values_of(seen)
        try:
            if len(values) < MINIMUM_ROWS:
                raise StatisticsError(f"{len(values)} rows scored, at least {MINIMUM_ROWS} are needed")
            distance = psi(golden, values)
        except StatisticsError as error:
            reasons.append(Reason(f"drift in shadow cannot be measured: {error}", repair))
        else:
            if not distance < wanted.drift_psi:
                reasons.append(
                    Reason(f"drift in shadow: PSI {distance:.3f}, must be below {wanted.drift_psi:g}", repair)
                )
    return reasons
