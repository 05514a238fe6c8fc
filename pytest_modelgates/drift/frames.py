"""Drift of many columns at once, with p-values that allow for their number, the worst first."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from ..storage.text import printable
from .categories import CategoryReport, compare_categories
from .columns import alike, column
from .summary import Reference, Summary
from .verdict import DriftLimits, DriftReport, judge

Correction = Literal["bh", "holm", "none"]


class ColumnReading(TypedDict):
    """One column: its adjusted p-value, its index [nat], and the whole of what was found."""

    name: str
    overall_drift: bool | None
    reasons: list[str]
    p_adjusted: float
    psi: float
    report: DriftReport | CategoryReport


class FrameReport(TypedDict):
    """What `detect_drift` found of a frame; columns have the largest index first."""

    overall_drift: bool | None
    drifted: list[str]
    columns: list[ColumnReading]


def compare_frames(
    golden: Any,
    current: Any,
    *,
    golden_days: ArrayLike | None,
    days: ArrayLike | None,
    limits: DriftLimits,
    correction: Correction,
) -> FrameReport:
    """Compare each column of two frames; see `detect_drift`.

    Raises
    ------
    StatisticsError
        If the frames have no column, or not the same ones, or one is lazy or no frame; or as for arrays.
    """
    for what, frame in (("golden", golden), ("current", current)):
        if not is_frame(frame):
            raise StatisticsError(
                f"{what} is {type(frame).__name__}, the other a frame: give two frames or two columns"
            )
        if hasattr(frame, "collect"):
            raise StatisticsError(f"{what} is {type(frame).__name__}, which holds no rows yet: collect it first")
    names = names_of(golden)
    if {*names} != {*names_of(current)} or not names:
        lacks = [
            f"{what} lacks {printable(name)}"
            for what, has, wants in (("current", names_of(current), names), ("golden", names, names_of(current)))
            for name in wants
            if name not in has
        ]
        raise StatisticsError(f"{'; '.join(lacks[:5]) or 'golden has no column'}: give both the same columns")
    pairs = {name: _pair(golden[name], current[name], name, golden_days, days) for name in names}
    first = {name: _reading(pair, limits) for name, pair in pairs.items()}
    of_all = adjusted(np.array([p for _, p, _ in first.values()]), correction)
    columns = list[ColumnReading]()
    for (name, (report, p, index)), corrected in zip(first.items(), of_all.tolist(), strict=True):
        # The level of one column is that at which the correction would just find it.
        level = limits.ks_p * p / corrected if corrected > 0 else limits.ks_p
        if level < limits.ks_p:
            report, _, _ = _reading(pairs[name], replace(limits, ks_p=level))
        columns.append(
            {
                "name": name,
                "overall_drift": report["overall_drift"],
                "reasons": report["reasons"],
                "p_adjusted": corrected,
                "psi": index,
                "report": report,
            }
        )
    # What nobody can measure, such as a column that is all missing, comes first: nothing is worse.
    columns.sort(key=lambda each: (each["overall_drift"] is not True, -np.nan_to_num(each["psi"], nan=np.inf)))
    verdicts = {each["overall_drift"] for each in columns}
    return {
        "overall_drift": True if True in verdicts else None if None in verdicts else False,
        "drifted": [each["name"] for each in columns if each["overall_drift"]],
        "columns": columns,
    }


def is_frame(given: Any) -> bool:
    """Whether something has named columns: a mapping, or a frame of pandas, polars or Arrow."""
    return isinstance(given, Mapping) or hasattr(type(given), "columns")  # its names may be work, of a lazy one


def names_of(frame: Any) -> list[str]:
    """Give the names of the columns, in their order."""
    names = (
        frame.column_names if hasattr(frame, "column_names") else frame if isinstance(frame, Mapping) else frame.columns
    )
    return [str(name) for name in names]


def _pair(
    golden: Any, current: Any, name: str, golden_days: ArrayLike | None, days: ArrayLike | None
) -> tuple[Reference, Summary] | tuple[list[Any], list[Any]]:
    """Prepare a column: numbers as counts, and everything else as categories."""
    then, now = (np.asarray(each) for each in (golden, current))
    if any(each.dtype.kind in "OUST" and not _are_numbers(each) for each in (then, now)):
        return then.tolist(), now.tolist()
    try:
        x, y = alike(column(then, name="golden"), column(now, name="current"))
        reference = Reference.of(x, days=golden_days)
        return reference, reference.count(y, days=days)
    except StatisticsError as error:
        raise StatisticsError(f"column {printable(name)}: {error}") from error


def _are_numbers(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "O" and all(each is None or isinstance(each, Real) for each in values)


def _reading(pair: Any, limits: DriftLimits) -> tuple[DriftReport | CategoryReport, float, float]:
    """Judge a column; give the report, its p-value, and its index."""
    if isinstance(pair[0], Reference):
        of_numbers = judge(pair[0], pair[1], limits)
        return of_numbers, of_numbers["ks"]["p_value"], of_numbers["psi"]["judged"]
    of_categories = compare_categories(pair[0], pair[1], limits=limits)
    return of_categories, of_categories["p_value"], of_categories["psi"]


def adjusted(p_values: NDArray[np.float64], correction: Correction) -> NDArray[np.float64]:
    """Adjust p-values for their number.

    Parameters
    ----------
    p_values : ndarray of float, shape (n,)
    correction : str
        ``bh`` keeps the expected share of false ones among those found [1]_, ``holm`` the probability of any [2]_.

    Returns
    -------
    ndarray of float, shape (n,)
        In the same order; NaN stays NaN and does not count.

    References
    ----------
    .. [1] Y. Benjamini and Y. Hochberg, Controlling the false discovery rate, Journal of the Royal Statistical Society
       B 57:289, 1995.
    .. [2] S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6:65,
       1979.
    """
    found = p_values.copy()
    known = np.flatnonzero(~np.isnan(p_values))
    order, n = known[np.argsort(p_values[known])], known.size
    rank = np.arange(1, n + 1)
    if correction == "bh":
        found[order] = np.minimum.accumulate((p_values[order] * n / rank)[::-1])[::-1]
    elif correction == "holm":
        found[order] = np.maximum.accumulate(p_values[order] * (n + 1 - rank))
    return np.minimum(found, 1.0)
