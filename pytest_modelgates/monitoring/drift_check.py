"""Whether the live model's predictions still look like its golden predictions."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import chain

import msgspec

from ..artifacts import Artifacts
from ..drift.running import RunningDrift
from ..drift.summary import Reference, Summary
from ..drift.verdict import DriftLimits, DriftReport, as_json
from ..errors import StatisticsError
from ..policy.policy import Policy
from ..predictions.counting import Tally, Window, count_whole, days_of, refuse_incomplete, values_of
from ..registry.store import live_change
from ..storage.atomic import make_folder
from ..storage.lines import append_atomic
from .part_counts import EPOCH, count_parts
from .prepared import prepared_golden


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a check found: of which model, over how many rows of which days, and all that was counted."""

    model_id: str
    digest: str
    last: int | None
    report: DriftReport
    reference: Reference
    summary: Summary
    tally: Tally = field(default_factory=Tally)

    @property
    def rows(self) -> int:
        """Rows that were compared."""
        return self.report["rows"]["current"]


def limits_of(policy: Policy) -> DriftLimits:
    """Take the same limits that the drift gates use."""
    return DriftLimits(
        psi_moderate=policy.limit("drift.psi_moderate").upper,
        psi=policy.limit("drift.psi").upper,
        ks_p=policy.drift.ks_p,
        ks_distance=policy.limit("drift.ks").upper,
    )


def check_live(artifacts: Artifacts, policy: Policy, *, last: int | None = None) -> Check:
    """Compare the live model's predictions with its golden.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
    last : int, optional
        Compare only so many of the newest rows.

    Raises
    ------
    StatisticsError
        If it has scored no row, or the log is not whole.
    """
    live, tally = live_change(artifacts), Tally()
    reference = prepared_golden(artifacts, live.to, digest=live.digest)
    drift = RunningDrift(reference, limits=limits_of(policy))
    if last is None:
        for _, summary in count_parts(artifacts, "live", live.digest, reference, tally):
            drift.add(summary)
        refuse_incomplete(tally, "live")
    else:
        records = count_whole(artifacts, "live", Window(digest=live.digest), tally)
        if newest := list(deque(chain.from_iterable(records), maxlen=last)):
            drift.add(values_of([newest]), days=days_of(newest))
    if not drift.rows:
        raise StatisticsError(
            f"no prediction of {live.to}, which is live, in {artifacts.predictions / 'live'}; run: modelgates serve "
            f"--onnx {artifacts.latest_onnx} --csv {artifacts.root / 'live_data.csv'}"
        )
    return Check(
        model_id=live.to,
        digest=live.digest,
        last=last,
        report=drift.report(),
        reference=reference,
        summary=drift.summary,
        tally=tally,
    )


def record(artifacts: Artifacts, check: Check, *, now: datetime | None = None) -> None:
    """Append a check to the list of all: model, golden, window, numbers, verdict.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    days = [str(day_of(day)) for day in sorted(check.summary.days)]
    line = {
        "format": 1,
        "time": now or datetime.now(UTC),
        "model_id": check.model_id,
        "digest": check.digest,
        "golden": check.reference.grid.golden.grid,
        "window": {
            "last": check.last,
            "first_day": days[0] if days else None,
            "last_day": days[-1] if days else None,
        },
        "repeated": check.tally.repeated,
        **as_json(check.report),
    }
    make_folder(artifacts.drift_checks.parent, mode=artifacts.directory_mode)
    append_atomic(artifacts.drift_checks, msgspec.json.encode(line) + b"\n", mode=artifacts.file_mode)


def day_of(number: int) -> date:
    """Give the date of a day, by its number since 1970."""
    return date.fromordinal(number + EPOCH)
