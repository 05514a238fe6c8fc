"""A check for drift in words, and as a picture of both distributions, in 80 columns."""

import math
from itertools import pairwise
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from ..drift.columns import distinct
from ..drift.counts import Counts
from ..drift.index import contributions, critical_value
from ..drift.verdict import DriftLimits
from ..storage.text import counted, printable
from .drift_check import LIVE, Check, day_of

if TYPE_CHECKING:
    from .feature_drift import FeatureCheck  # it loads pandas

_ROWS, _NAME, _BAR = 12, 22, 30
VERDICTS = {True: "DRIFT", False: "no drift", None: "INCONCLUSIVE"}
_WORDS = {True: "", False: "", None: "cannot tell: "}
LEVELS = {"none": "no significant change", "moderate": "a moderate change", "significant": "a significant change"}


class DayReading(TypedDict):
    """The index of one day's rows [nat], and what chance alone exceeds once in twenty times."""

    day: str
    rows: int
    psi: float
    critical: float


def in_words(check: Check, limits: DriftLimits) -> str:
    """Say the result to people."""
    report, days = check.report, sorted(check.summary.days)
    span = f" of {counted(len(days), 'day')}" if days else ""
    lines = [f"{check.model_id}: {VERDICTS[report['overall_drift']]} over {check.what}{span}"]
    lines += [f"  {reason}" for reason in report["reasons"]]
    if check.tally.repeated:
        lines.append(f"  {check.tally.repeated:.1%} of them are of rows that another process scored too")
    psi, ks, rows, missing = report["psi"], report["ks"], report["rows"], report["missing"]
    if math.isfinite(psi["value"]):
        lines.append(f"  PSI {psi['value']:.4f} ({LEVELS[psi['level']]}); chance alone: up to {psi['critical']:.4f}")
        lines.append(f"  KS  {ks['statistic']:.4f} (p {ks['p_value']:.3g})")
    if psi["rest"]:
        shares = f"{psi['rest']['golden']:.2%} then, {psi['rest']['current']:.2%} now"
        lines.append(f"  values that are not frequent: {shares}, PSI {psi['rest']['value']:.4f}")
    if missing["current"] or missing["golden"]:
        lines.append(f"  missing or infinite: {missing['golden']:.2%} then, {missing['current']:.2%} now")
    if rows["current_worth"] < check.summary.counts.finite:
        lines.append(
            f"  {check.rows} rows are worth {rows['current_worth']:.0f} independent ones, {report['dependence']}"
        )
    elif report["dependence"].startswith("rows"):
        lines.append(f"  {report['dependence']}")
    literal = "drift" if report["literal"]["drift"] else "no drift"
    p = report["literal"]["p_value"]
    lines.append(f"  plain rule, PSI above {limits.psi:g} or p of all rows ({p:.3g}) below {limits.ks_p:g}: {literal}")
    return "\n".join(lines)


def picture(check: Check) -> str:
    """Draw both distributions: a line for each range of scores."""
    golden, current = check.reference.grid.golden, check.summary.counts
    if not current.finite:
        return ""
    names, places = _ranges(check)
    then, now = (_shares(each, places) for each in (golden, current))
    scale = _BAR / max(then.max(), now.max())
    now_called = LIVE if check.asked.arm == LIVE and not check.files else "now"
    lines = [f"  {'score':<{_NAME}} {f'▓ both ░ golden █ {now_called}':<{_BAR}}  {'golden':>8} {now_called:>8}"]
    for name, a, b in zip(names, then, now, strict=True):
        both, longer = sorted((round(a * scale), round(b * scale)))
        bar = "▓" * both + ("░" if a > b else "█") * (longer - both)
        lines.append(f"  {name:<{_NAME}} {bar:<{_BAR}}  {a:>8.1%} {b:>8.1%}")
    return "\n".join(lines)


def _ranges(check: Check) -> tuple[list[str], list[int]]:
    """Cut the scores at points of the grid, evenly between the golden's outer half percents; or at each value."""
    points, up_to = check.reference.grid.points, check.reference.grid.golden.up_to
    if points.size < _ROWS:
        places = list(range(points.size - 1))
    else:
        outer = np.searchsorted(up_to, np.array([0.005, 0.995]) * up_to[-1])
        low, high = points[np.minimum(outer, points.size - 1)].astype(np.float64)
        cuts = np.searchsorted(points.astype(np.float64), np.linspace(low, high, _ROWS - 1))
        places = distinct(np.minimum(cuts, points.size - 1)).tolist()
    ends = [f"{points[place].item():.3g}" for place in places]
    inner = [f"{low} to {high}" for low, high in pairwise(ends)]
    return ([f"up to {ends[0]}", *inner, f"above {ends[-1]}"] if ends else ["all"]), places


def _shares(counts: Counts, places: list[int]) -> np.ndarray:
    return np.diff(counts.up_to[places], prepend=0, append=counts.finite) / counts.finite


def by_day(check: Check) -> list[DayReading]:
    """Measure the index of each day's rows."""
    bins, golden = check.reference.bins, check.reference.grid.golden
    then, found = bins.of_counts(golden), list[DayReading]()
    for day in sorted(check.summary.days):
        now = bins.of_pieces(check.summary.days[day])
        rows, seen = int(now.sum()), int(np.count_nonzero(then + now))
        index = float(contributions(then, now).sum())
        found.append(
            {"day": str(day_of(day)), "rows": rows, "psi": index, "critical": critical_value(seen, golden.finite, rows)}
        )
    return found


def days_in_words(days: list[DayReading], limits: DriftLimits) -> str:
    """Say what each day's index is worth, a line a day."""
    if not days:
        return "  rows are of no known day"
    lines = [f"  {'day':<10}  {'rows':>9}  {'PSI':>8}  {'by chance':>9}"]
    for each in days:
        if each["psi"] > max(limits.psi, each["critical"]):
            word = "significant"
        elif each["critical"] > limits.psi:
            word = "too few rows to tell"
        else:
            word = "moderate" if each["psi"] > max(limits.psi_moderate, each["critical"]) else ""
        line = f"  {each['day']}  {each['rows']:>9}  {each['psi']:>8.4f}  {each['critical']:>9.4f}  {word}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def features_in_words(check: "FeatureCheck") -> str:
    """Say what a check of the features found, a line a feature, the worst first."""
    lines = [
        f"{check.model_id}: {VERDICTS[check.overall_drift]} over the features of {counted(check.rows, 'live row')}"
    ]
    lines.append(f"  {'feature':<{_NAME}}  {'PSI':>8}  {'p':>8}")
    for column in check.columns:
        name = printable(column["name"])[:_NAME]
        lines.append(f"  {name:<{_NAME}}  {column['psi']:>8.4f}  {column['p_adjusted']:>8.3g}")
        lines += [f"    {_WORDS[column['overall_drift']]}{reason}" for reason in column["reasons"]]
        of_assets = check.joint.get(column["name"])
        if of_assets and of_assets["overall_drift"] is not False:
            lines += [f"    {_WORDS[of_assets['overall_drift']]}{reason}" for reason in of_assets["reasons"]]
    if check.unread:
        lines.append(f"  {counted(check.unread, 'more row')} could not be scored, and the log keeps no feature of them")
    if check.not_joint:
        lines.append(f"  not compared across assets and days: {check.not_joint}")
    return "\n".join(lines)
