"""Whether a sample has drifted from its golden: what is found, which rule decided, and what chance explains."""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..errors import StatisticsError
from ..storage.text import counted
from .counts import Counts, Integers
from .dependence import Worth, square_root, worth
from .index import contributions, critical_value
from .smirnov import distance, exact_tail, is_exact, limit_tail, share_p_value, ties_in
from .summary import Reference, Summary

FEWEST_ROWS = 20
"""Values that each side needs for a verdict on them [count]."""

Level = Literal["none", "moderate", "significant", "unknown"]


class Bin(TypedDict):
    """A bin, the share of each side in it, and what it adds to the index [nat]."""

    values: str
    golden: float
    current: float
    psi: float


class RestReading(TypedDict):
    """The values that are not frequent: their share then and now, how probable that is, and their own index [nat]."""

    golden: float
    current: float
    p_value: float
    value: float
    critical: float | None


class PsiReading(TypedDict):
    """The index [nat], the word for it, and what chance alone exceeds in one sample of twenty.

    `judged` is the larger of the index and that of the values that are not frequent, if chance does not explain the
    latter; `doubt` says why a limit on it could not be judged.
    """

    value: float
    level: Level
    critical: float
    judged: float
    doubt: str | None
    rest: RestReading | None
    bins: list[Bin]


class KsReading(TypedDict):
    """The distance, which is at most `upper`, and how often chance alone gives as much."""

    statistic: float
    upper: float
    p_value: float


class MissingReading(TypedDict):
    """Shares of values that are NaN, missing or infinite, and how often chance alone puts them so far apart."""

    golden: float
    current: float
    p_value: float


class Sizes(TypedDict):
    """Rows of each side, and how many independent finite ones they are worth."""

    golden: int
    current: int
    golden_worth: float
    current_worth: float


class LiteralReading(TypedDict):
    """The plain rule: a PSI above its limit, or a p-value below its level, over rows taken as independent."""

    drift: bool
    p_value: float


class DriftReport(TypedDict):
    """What `detect_drift` found."""

    overall_drift: bool | None
    reasons: list[str]
    psi: PsiReading
    ks: KsReading
    missing: MissingReading
    rows: Sizes
    dependence: str
    literal: LiteralReading


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLimits:
    """Where drift begins.

    Parameters
    ----------
    psi_moderate, psi : float, default 0.10 and 0.25
        An index [nat] above the first is moderate, above the second significant, and significant is drift.
    ks_p, ks_distance : float, default 0.05 and 0.05
        The KS test finds drift if p is below the first and the distance at least the second. By p alone, which a
        distance of 0 asks for, it would find drift on millions of rows in a shift that changes no trade. Both are asked
        of the share of missing values, too.
    rest_ratio : float, default 2
        The share of the values that are not frequent has drifted if p is below `ks_p` and it is so many times what it
        was, or less than one such part of it.

    Raises
    ------
    StatisticsError
        If a limit is NaN (no value is above NaN, so nothing would ever drift) or the two PSI limits are out of order.
    """

    psi_moderate: float = 0.10
    psi: float = 0.25
    ks_p: float = 0.05
    ks_distance: float = 0.05
    rest_ratio: float = 2.0

    def __post_init__(self) -> None:
        ordered = 0 <= self.psi_moderate <= self.psi < math.inf
        if not (ordered and 0 <= self.ks_p <= 1 and 0 <= self.ks_distance <= 1 and self.rest_ratio > 1):
            raise StatisticsError(
                f"{self} sets no usable limits: give 0 <= psi_moderate <= psi, ks_p and ks_distance within [0, 1], "
                "and rest_ratio > 1"
            )


def judge(
    reference: Reference,
    current: Summary,
    limits: DriftLimits,
    *,
    exact: float | None = None,
    last: NDArray[np.bool_] | None = None,
) -> DriftReport:
    """Compare a sample with its golden; see `detect_drift`.

    Parameters
    ----------
    reference : Reference
    current : Summary
    limits : DriftLimits
    exact : float, optional
        The exact distance, if it is known better than from counts.
    last : ndarray of bool, optional
        Which places in the pooled order are the last of equals, if that is known better than from counts.
    """
    golden = reference.golden
    of = worth(golden, current)
    psi = read_psi(reference, current.counts, limits, of)
    ks, literal_p = _ks(golden.counts, current.counts, of, exact, last)
    missing = _missing(golden.counts, current.counts, of)
    found = []
    if min(golden.counts.finite, current.counts.finite) >= FEWEST_ROWS:
        found = [*_psi_found(psi, limits), *_ks_found(ks, limits)]
    if min(golden.counts.rows, current.counts.rows) >= FEWEST_ROWS:
        found += _missing_found(missing, limits)
    doubt = psi["doubt"]
    return {
        "overall_drift": True if found else None if doubt else False,
        "reasons": found or ([doubt] if doubt else []),
        "psi": psi,
        "ks": ks,
        "missing": missing,
        "rows": {
            "golden": golden.counts.rows,
            "current": current.counts.rows,
            "golden_worth": of.golden,
            "current_worth": of.current,
        },
        "dependence": of.how,
        "literal": {"drift": psi["value"] > limits.psi or literal_p < limits.ks_p, "p_value": literal_p},
    }


def read_psi(reference: Reference, current: Counts, limits: DriftLimits, of: Worth) -> PsiReading:
    """Measure the index of a sample, and say what it is worth."""
    then, now = (reference.bins.of_counts(each) for each in (reference.grid.golden, current))
    if not current.finite:
        doubt = _doubt(math.nan, math.inf, 0, limits, reference.grid.golden, current)
        return {
            "value": math.nan,
            "level": "unknown",
            "critical": math.nan,
            "judged": math.nan,
            "doubt": doubt,
            "rest": None,
            "bins": [],
        }
    added, seen = contributions(then, now), int(np.count_nonzero(then + now))
    value, critical = float(added.sum()), critical_value(seen, of.golden, of.current)
    names = reference.bins.names
    bins: list[Bin] = [
        {"values": name, "golden": a / reference.grid.golden.finite, "current": b / current.finite, "psi": c}
        for name, a, b, c in zip(names, then.tolist(), now.tolist(), added.tolist(), strict=True)
        if a + b
    ]
    rest = _rest(then, now, reference.bins.frequent.size, of) if reference.bins.frequent.size else None
    level: Level = "none" if value <= limits.psi_moderate else "moderate" if value <= limits.psi else "significant"
    return {
        "value": value,
        "level": level,
        "critical": critical,
        "judged": max(value, rest["value"]) if rest and _beyond(rest) else value,
        "doubt": _doubt(value, critical, seen, limits, reference.grid.golden, current),
        "rest": rest,
        "bins": bins,
    }


def _rest(then: Integers, now: Integers, frequent: int, of: Worth) -> RestReading:
    n, m = int(then.sum()), int(now.sum())
    others, here = then[frequent:], now[frequent:]
    k, j = int(others.sum()), int(here.sum())
    p = share_p_value(k * of.golden / n, of.golden, j * of.current / m, of.current)
    value, critical = 0.0, None
    if k and j:
        value = float(contributions(others, here).sum())
        seen = int(np.count_nonzero(others + here))
        critical = critical_value(seen, k * of.golden / n, j * of.current / m)
    return {"golden": k / n, "current": j / m, "p_value": p, "value": value, "critical": critical}


def _beyond(rest: RestReading) -> bool:
    """Whether chance does not explain the index of the values that are not frequent."""
    return rest["critical"] is not None and rest["value"] > rest["critical"]


def _ks(
    golden: Counts, current: Counts, of: Worth, exact: float | None, last: NDArray[np.bool_] | None
) -> tuple[KsReading, float]:
    """Give the test, and its p-value over rows taken as independent."""
    if not current.finite:
        return {"statistic": math.nan, "upper": math.nan, "p_value": math.nan}, math.nan
    n, m = golden.finite, current.finite
    lower, upper = distance(golden, current) if exact is None else (exact, exact)
    cells = golden.cells + current.cells
    if (n, m) == (of.golden, of.current) and is_exact(n, m):
        p = over_rows = exact_tail(lower, n, m, ties_in(golden, current) if last is None else last)
    else:
        p, over_rows = (limit_tail(lower * root, cells) for root in (square_root(of), math.sqrt(n / (n + m) * m)))
    return {"statistic": lower, "upper": upper, "p_value": p}, over_rows


def _missing(golden: Counts, current: Counts, of: Worth) -> MissingReading:
    # Rows that are missing are taken to resemble each other as much as the finite ones.
    n = golden.rows * of.golden / golden.finite
    m = current.rows * (of.current / current.finite if current.finite else 1)
    then, now = golden.missing / golden.rows, current.missing / current.rows
    return {"golden": then, "current": now, "p_value": share_p_value(then * n, n, now * m, m)}


def _psi_found(psi: PsiReading, limits: DriftLimits) -> list[str]:
    found, rest = [], psi["rest"]
    if psi["value"] > max(limits.psi, psi["critical"]):
        found.append(f"PSI {psi['value']:.3f} is above {limits.psi:g}")
    if rest and rest["value"] > limits.psi and _beyond(rest):
        found.append(f"PSI {rest['value']:.3f} of the values that are not frequent is above {limits.psi:g}")
    if rest and rest["p_value"] < limits.ks_p:
        ratio = rest["current"] / rest["golden"] if rest["golden"] else math.inf
        if not 1 / limits.rest_ratio < ratio < limits.rest_ratio:
            found.append(
                f"{rest['current']:.2%} of the values are not frequent ones, which were {rest['golden']:.2%} "
                f"(p {rest['p_value']:.3g})"
            )
    return found


def _ks_found(ks: KsReading, limits: DriftLimits) -> list[str]:
    if ks["p_value"] < limits.ks_p and ks["statistic"] >= limits.ks_distance:
        return [
            f"KS distance {ks['statistic']:.3f} is at least {limits.ks_distance:g}, and p {ks['p_value']:.3g} below "
            f"{limits.ks_p:.3g}"
        ]
    return []


def _missing_found(missing: MissingReading, limits: DriftLimits) -> list[str]:
    apart = abs(missing["golden"] - missing["current"])
    if missing["p_value"] < limits.ks_p and apart >= max(limits.ks_distance, np.finfo(float).tiny):
        return [
            f"{missing['current']:.1%} of the values are missing or infinite, which were {missing['golden']:.1%} "
            f"(p {missing['p_value']:.3g})"
        ]
    return []


def _doubt(
    value: float, critical: float, bins: int, limits: DriftLimits, golden: Counts, current: Counts
) -> str | None:
    """Say why an index may not be held against its limit, if it may not."""
    for name, counts in (("golden", golden), ("current", current)):
        if counts.finite < FEWEST_ROWS:
            return f"{name} has {counted(counts.finite, 'finite value')}, too few to tell: give at least {FEWEST_ROWS}"
    if value > max(limits.psi, critical):
        return None
    over_rows = critical_value(bins, golden.finite, current.finite)
    if over_rows > limits.psi:
        return (
            f"without drift, {current.finite} values against {golden.finite} reach a PSI of {over_rows:.2f} once in "
            f"twenty times, beyond the limit of {limits.psi:g}: give more rows"
        )
    if value > limits.psi:
        return (
            f"PSI {value:.3f} is above {limits.psi:g}, but rows of so few days reach {critical:.2f} once in twenty "
            "times without drift: give more days"
        )
    return None


def as_json(found: Any) -> Any:
    """Give a report, or a part of one, with null in place of NaN and infinity, which JSON has not."""
    if isinstance(found, dict):
        return {key: as_json(each) for key, each in found.items()}
    if isinstance(found, list):
        return [as_json(each) for each in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found
