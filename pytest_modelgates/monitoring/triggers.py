"""Triggers of the watch: what was measured, held against a limit. Pure: sums and rules in, findings out."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from ..drift.over_time import OverTime
from ..policy.limits import Bounds, short
from ..policy.operations import Mode, ModeRules, ShareRules, TriggerRules
from ..stats.sequential import chance_of_share
from ..storage.strict_json import Moment
from ..storage.text import counted
from .lately import Sums

Verdict = Literal["clean", "inconclusive", "breach", "unseen"]
SLOW = 0.05
"""The share of batches that may take longer than a limit on the 95 % quantile [share]."""
DRIFT_SHARE = 0.5
"""The share of the budget of false alarms that is the drift's; the other triggers that chance may set off share the
rest."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger found at one look.

    Parameters
    ----------
    trigger : str
    mode : {"warn", "dry_run", "act"}
        What follows a breach now.
    verdict : {"clean", "inconclusive", "breach", "unseen"}
        `unseen` says that what it looks at cannot be read.
    text : str
        For people.
    value : float, optional
        What was measured [unit], of so many (`sample`) within the last `window_h` hours.
    limit : str
    level : float, optional
        The probability of a false alarm that this look spent [share].
    beyond : bool
        Whether this look found a breach, though perhaps not yet as often as patience asks.
    """

    trigger: str
    mode: Mode
    verdict: Verdict
    text: str
    value: float | None = None
    unit: str = ""
    limit: str = ""
    sample: int = 0
    window_h: float | None = None
    level: float | None = None
    beyond: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a trigger stands: how many looks in a row found a breach, and since when it is in its dry run."""

    streak: int = 0
    dry_since: Moment | None = None


def mode_now(rules: ModeRules, standing: Standing, *, now: datetime) -> tuple[Mode, Standing]:
    """Say what follows a breach now: a dry run that has lasted so many days acts."""
    if rules.mode != "dry_run" or not rules.days:
        return rules.mode, msgspec.structs.replace(standing, dry_since=None)
    since = standing.dry_since or now
    mode: Mode = "act" if now - since >= timedelta(days=rules.days) else "dry_run"
    return mode, msgspec.structs.replace(standing, dry_since=since)


def with_patience(found: Finding, rules: ModeRules, before: int, *, fresh: bool) -> tuple[Finding, int]:
    """Turn a breach that too few looks in a row have found into none yet; give how many have found it.

    A look at what the look before has seen already, or that cannot tell, is not one more.
    """
    if not found.beyond:
        return found, 0 if found.verdict == "clean" else before
    streak = before + (fresh or not before)
    if streak >= rules.patience:
        return found, streak
    text = f"{found.text}; look {streak} of {rules.patience} in a row"
    return msgspec.structs.replace(found, verdict="inconclusive", text=text), streak


def latency(sums: Sums, limit: Bounds, rules: TriggerRules, mode: Mode, *, level: float) -> Finding:
    """Hold the time of batches against the limit of their 95 % quantile."""
    batches = f"{sums.batches} batch{'es' * (sums.batches != 1)}"
    return _of_share(
        "latency",
        (sums.slow, sums.batches, SLOW),
        rules,
        mode,
        level=level,
        what=f"p95 {short(sums.p95_ms)} ms of {batches}",
        noun=batches,
        value=sums.p95_ms if sums.batches else None,
        unit="ms",
        limit=str(limit),
    )


def share_of_rows(trigger: str, found: int, rows: int, rules: ShareRules, mode: Mode, *, level: float) -> Finding:
    """Hold a share of rows against its limit."""
    return _of_share(
        trigger,
        (found, rows, rules.limit),
        rules,
        mode,
        level=level,
        what=f"{found / rows if rows else 0:.2%} of {counted(rows, 'row')}",
        noun=counted(rows, "row"),
        value=found / rows if rows else None,
        unit="share",
        limit=f"≤ {rules.limit:.3g}",
    )


def _of_share(
    trigger: str,
    seen: tuple[int, int, float],
    rules: TriggerRules,
    mode: Mode,
    *,
    level: float,
    what: str,
    noun: str,
    value: float | None,
    unit: str,
    limit: str,
) -> Finding:
    found, sample, share = seen
    beyond, text = False, f"{what}, limit {limit}"
    verdict: Verdict = "clean"
    if sample < rules.min_sample:
        verdict, text = "inconclusive", f"{noun} in {rules.window_h:g} h, at least {rules.min_sample} are needed"
    elif found > share * sample:
        beyond = chance_of_share(found, sample, share) < level
        verdict, text = ("breach", text) if beyond else ("inconclusive", f"{text}: chance may explain it")
    return Finding(
        trigger=trigger,
        mode=mode,
        verdict=verdict,
        text=text,
        value=value,
        unit=unit,
        limit=limit,
        sample=sample,
        window_h=rules.window_h,
        level=level,
        beyond=beyond,
    )


def drift(over_time: OverTime, limit: Bounds, rules: ModeRules, mode: Mode) -> Finding:
    """Hold the index of the newest predictions against its limit, where they are unlike the golden beyond chance."""
    rows, which, window = over_time["all"], "all", over_time["window"]
    if window and window["rows"] >= rules.min_sample:
        rows, which = window, "the newest"
    value, sample = rows["psi"], rows["rows"]
    text = f"PSI {value or 0:.3f} of {which} {counted(sample, 'row')}, limit {limit}"
    beyond = False
    verdict: Verdict = "clean"
    if value is None or sample < rules.min_sample:
        verdict, text = "inconclusive", f"{counted(sample, 'row')}, at least {rules.min_sample} are needed"
    elif window is None:
        verdict, text = "inconclusive", "no new row since the last look"
    elif not limit.contains(value):
        beyond = over_time["alarm"] is not None
        verdict, text = ("breach", text) if beyond else ("inconclusive", f"{text}: chance may explain it")
    return Finding(
        trigger="drift",
        mode=mode,
        verdict=verdict,
        text=text,
        value=value,
        unit="nat",
        limit=str(limit),
        sample=sample,
        level=over_time["level"],
        beyond=beyond,
    )


def unseen(trigger: str, mode: Mode, why: str) -> Finding:
    """Say that what a trigger looks at cannot be read."""
    return Finding(trigger=trigger, mode=mode, verdict="unseen", text=why)


def inconclusive(trigger: str, mode: Mode, why: str) -> Finding:
    """Say that there is too little to judge."""
    return Finding(trigger=trigger, mode=mode, verdict="inconclusive", text=why)
