"""The nights that a streak of ONNX parity may consist of, read from the stored reports."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ..artifacts import Artifacts, checked_id
from ..errors import FormatError, MissingExtraError, RegistryError, SealError
from ..evidence.report import read_report
from ..evidence.results import contradictions, lists_as_passed, own_results
from ..evidence.verdict import Verdict, judge
from ..policy.policy import Policy
from ..storage.paths import entries, is_folder

NIGHT = re.compile(r"[0-9]{8}")


@dataclass(frozen=True, slots=True)
class Night:
    """Parity of the newest candidate that was gated in one UTC night."""

    day: date
    model_id: str
    parity: bool


def nights(artifacts: Artifacts, policy: Policy, *, now: datetime) -> list[Night]:
    """Read the nights that a streak may consist of, newest first.

    A report that cannot be read makes a night without parity: a run that nobody can check is not green.
    """
    first = now - timedelta(days=policy.promotion.parity_nights + 1)
    oldest = first.strftime("%Y%m%d")
    runs: dict[date, list[tuple[int, bool, str, bool]]] = {}
    # A folder that did not change since then holds no report of these nights. There may be thousands of them.
    kept = filter(is_folder, entries(artifacts.all_reports))
    folders = [path for path in kept if path.stat().st_mtime >= first.timestamp()]
    for path in (path for folder in folders for path in entries(folder, "*.json")):
        if not (NIGHT.match(path.stem) and oldest <= path.stem[:8] <= now.strftime("%Y%m%d")):
            continue
        try:
            model_id, day = checked_id(path.parent.name), datetime.strptime(path.stem[:8], "%Y%m%d").date()
        except (RegistryError, ValueError):
            continue
        parity = _parity_passed(path, model_id, day, policy)
        runs.setdefault(day, []).append((int(model_id), parity is not None, path.stem, bool(parity)))
    # Of the newest candidate, the last run that measured parity counts. File names sort by time.
    newest = {day: max(runs[day]) for day in sorted(runs, reverse=True)}
    return [Night(day, str(model_id), parity) for day, (model_id, _, _, parity) in newest.items()]


def _parity_passed(path: Path, model_id: str, day: date, policy: Policy) -> bool | None:
    """Judge parity by one report; None if the run did not measure it (``-m pnl``), or if nobody listed sealed it."""
    wanted = sorted(name for name, slo in policy.slo.items() if name.startswith("parity.") and slo.severity == "hard")
    try:
        stored = read_report(path, keys=policy.evidence.keys)
        ledger = stored.report.modelgates
        run = ledger.models[model_id]
        records = [record for record in run.gates if record.gate in wanted]
        # A report copied under the name of another night still belongs to its own.
        if ledger.run.started.astimezone(UTC).date() != day:
            return False
    except (FormatError, KeyError):
        return False
    except (SealError, MissingExtraError):
        return None  # the plain report lies beside it and is judged by itself
    if not records:
        return None
    passed = sorted(record.gate for record in records if judge(record, policy)[0] is Verdict.PASSED)
    said = stored.sealed
    if said and (contradictions(said, own_results(run, ledger.run, policy)) or not lists_as_passed(said, wanted)):
        return False  # who signed it says otherwise, and is believed
    if passed == wanted and policy.evidence.level == "sealed" and stored.sealed_by is None:
        return None  # an unsealed report may count against its night, but not for it
    return passed == wanted
