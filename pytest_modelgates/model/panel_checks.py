"""What may be wrong with a panel, a line for each flaw: its columns, their dtypes, their values, its rows."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..stats.repeats import repeated_days as days_alike
from ..stats.repeats import repeated_names as names_alike
from ..storage.scratch import in_parts, parts
from .features import are_numbers, bad_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .panel import Panel

# Rows that are alike count where there are so many times as many as chance explains, told by so many different rows.
_TIMES, _FEW_ROWS = 10, 20
# A value that no two rows share among so many pairs is shared by fewer than one pair; by this many, it is taken.
_UNSEEN = 0.1
# Values in one cell, so many of which make a column's interquartile range, are alike; in longer panels none are looked
# for.
_CELLS, _MOST_ROWS = 100_000, 200_000
# So many rows tell how often two share a value; columns that rank them this much alike are one.
_SAMPLE, _TWINS = 5000, 0.9


def column_problems(panel: "Panel") -> list[str]:
    """Columns that are missing, unexpected or out of order."""
    found, expected = list(map(str, panel.source)), panel.sidecar.panel_columns
    problems = [f"{name} is missing from the panel" for name in expected if name not in found]
    problems += [f"{name} does not belong in the panel" for name in found if name not in expected]
    if not problems and found != expected:
        problems.append(f"the panel's order is {', '.join(found)}, expected {', '.join(expected)}")
    return problems


def years_beyond(times: "NDArray[np.datetime64]") -> str | None:
    """Say what is wrong with times of a year that no date of Python, or of ISO 8601 in four digits, can have."""

    def outside(some: "NDArray[np.datetime64]") -> "NDArray[np.bool_]":
        years = some.astype("datetime64[Y]")
        return np.asarray((years < np.datetime64("0001")) | (years > np.datetime64("9999")))

    beyond = times[in_parts(outside, times)]
    if not beyond.size:
        return None
    year = int(beyond[0].astype("datetime64[Y]").astype(int)) + 1970
    return f"holds times of the year {year}, expected years from 1 to 9999"


def dtype_problems(panel: "Panel") -> list[str]:
    """Columns whose dtype is not the sidecar's; outcomes are float64, times are dates."""
    wanted = {feature.name: feature.dtype for feature in panel.sidecar.features}
    wanted |= dict.fromkeys(panel.sidecar.outcomes, "float64")
    found = {name: str(panel.dtype(name)) for name in wanted}
    problems = [f"{name} is {found[name]}, expected {dtype}" for name, dtype in wanted.items() if found[name] != dtype]
    time = panel.sidecar.time
    if time is not None and not pd.api.types.is_datetime64_dtype(dtype := panel.dtype(time)):
        problems.append(f"{time} is {dtype}, expected dates without a time zone")
    return problems


def not_finite(panel: "Panel") -> list[str]:
    """Columns with an infinity, with NaN where the sidecar allows none, or without numbers."""
    nullable = dict(zip(panel.sidecar.names, panel.sidecar.nullable, strict=True))
    problems = []
    for name in panel.sidecar.keys:
        if missing := sum(int(column.isna().sum()) for column in panel.column_pieces(name)):
            problems.append(f"{name} is missing in {missing} rows")
    for name in [*panel.sidecar.names, *panel.sidecar.outcomes]:
        if not are_numbers(dtype := panel.dtype(name)):
            problems.append(f"{name} is {dtype}, expected numbers")
            continue
        columns, may_be_nan = map(np.asarray, panel.column_pieces(name)), nullable.get(name, False)
        if bad := sum(int(bad_cells(column, nullable=may_be_nan).sum()) for column in columns):
            problems.append(f"{name} in {bad} rows")
    return problems


def repeated_rows(panel: "Panel") -> list[str]:
    """Rows whose asset already has a row that day, since the same evidence a minute later would count twice."""
    names = int(panel.asset_codes.max(initial=0)) + 1
    taken, twice = np.zeros((int(panel.day_codes.max(initial=0)) + 1) * names, dtype=bool), list[int]()
    for part in parts(panel.rows):
        cells = panel.day_codes[part] * names + panel.asset_codes[part]
        twice += (part.start + np.flatnonzero(taken[cells] | pd.Series(cells).duplicated().to_numpy())).tolist()
        taken[cells] = True
    return [f"{_date(panel, row)}{panel.asset(panel.asset_codes[row])}" for row in twice]


def unordered_rows(panel: "Panel") -> list[str]:
    """Rows that come before the row above them."""
    times: Any = panel.day_codes if panel.sidecar.time is None else panel.times
    assets = panel.asset_codes
    back = (times[1:] < times[:-1]) | ((times[1:] == times[:-1]) & (assets[1:] < assets[:-1]))
    return [f"row {row + 1}" for row in np.flatnonzero(back)]


def overlapping_rows(panel: "Panel") -> list[str]:
    """Rows on or before the last price date that a training label used."""
    trained_until = np.datetime64(str(panel.sidecar.trained_until), "D")
    early = in_parts(lambda some: some.astype("datetime64[D]") <= trained_until, panel.times)
    return [f"{pd.Timestamp(panel.times[row]):%Y-%m-%d}" for row in np.flatnonzero(early)]


def repeated_days(panel: "Panel") -> list[str]:
    """Days whose returns are those of an earlier one."""
    return [f"{panel.day(day)} repeats {panel.day(first)}" for day, first in days_alike(panel.returns).tolist()]


def repeated_names(panel: "Panel") -> list[str]:
    """Names whose returns are those of another one."""
    return [f"{panel.asset(name)} repeats {panel.asset(first)}" for name, first in names_alike(panel.returns).tolist()]


def share_of_repeated_rows(panel: "Panel") -> tuple[float, int | None]:
    """Share of the rows that come again, and the first of these rows.

    A row comes again if it equals an earlier one in keys, features and target. It also does if it equals one of another
    asset, or of any time if assets have no names, in features and target, or if all of these lie in one cell, of which
    100,000 make the interquartile range of a column. Such rows, and equal ones without keys, may be different cases if
    columns have few values: they count only if they are ten times as many as chance explains.
    """
    columns, keys = [*panel.sidecar.names, panel.sidecar.target], panel.sidecar.keys
    again, exact = np.zeros((2, panel.rows), dtype=bool)
    # Of a long panel only rows whose hashes are alike are taken whole.
    rows = np.arange(panel.rows) if panel.rows <= _MOST_ROWS else _hashed_alike(panel, columns)
    content, names = _taken(panel, columns, rows), None if panel.sidecar.asset is None else panel.asset_codes[rows]
    if keys:
        known = pd.DataFrame({name: panel.column(name).to_numpy()[rows] for name in keys})
        again[rows] = pd.concat([known, content], axis=1).duplicated()
    exact[rows] = _again(content, names)
    if exact.any() and exact.sum() >= _TIMES * _by_chance(lambda sample: _taken(panel, columns, sample), exact):
        again |= exact
    for offset in (0.0, 0.5) if len(rows) == panel.rows else ():
        blurred = _cells(content, offset)
        alike = _again(blurred, names)
        if alike.sum() > exact.sum() and alike.sum() >= _TIMES * _by_chance(
            blurred.iloc.__getitem__, alike, at_least=2 / _CELLS
        ):
            again |= alike
    return float(again.mean()) if len(again) else 0.0, int(again.argmax()) if again.any() else None


def _hashed_alike(panel: "Panel", columns: list[str]) -> "NDArray[np.intp]":
    """Find the rows that may equal another one, since their hashes do."""
    hashes = []
    for piece in panel.pieces(columns):
        values = piece.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 equals 0
        values[np.isnan(values)] = np.nan  # of which there are many
        hashes.append(pd.util.hash_pandas_object(pd.DataFrame(values), index=False).to_numpy())
    return np.flatnonzero(pd.Series(np.concatenate(hashes)).duplicated(keep=False))


def _taken(panel: "Panel", columns: list[str], rows: "NDArray[np.intp]") -> pd.DataFrame:
    """Take some rows, whose numbers ascend."""
    start, parts = 0, []
    for piece in panel.pieces(columns):
        low, high = np.searchsorted(rows, [start, start + len(piece)])
        parts.append(piece.iloc[rows[low:high] - start])
        start += len(piece)
    if not parts:
        return pd.DataFrame({name: panel.column(name) for name in columns})
    return pd.concat(parts, ignore_index=True)


def _again(rows: pd.DataFrame, names: "NDArray[np.int64] | None") -> "NDArray[np.bool_]":
    """Tell which rows equal an earlier one, of another name if there are names."""
    again: NDArray[np.bool_] = rows.duplicated().to_numpy(copy=True)
    if names is None or not again.any():
        return again
    alike = rows.duplicated(keep=False).to_numpy()
    first = pd.Series(names[alike]).groupby(pd.util.hash_pandas_object(rows[alike], index=False).to_numpy())
    again[alike] &= names[alike] != first.transform("first").to_numpy()
    return again


def _by_chance(
    take: "Callable[[NDArray[np.intp]], pd.DataFrame]", again: "NDArray[np.bool_]", *, at_least: float = 0.0
) -> float:
    """Count pairs of rows that chance makes alike, if columns that rank rows otherwise do not depend on each other.

    Two rows share a value of a column as often as two of the different rows do, and in `at_least` of all cases.
    """
    different = np.flatnonzero(~again)
    if len(different) < _FEW_ROWS:
        return math.inf
    sample = take(different[:: -(-len(different) // _SAMPLE)])
    pairs = len(sample) * (len(sample) - 1) / 2
    shared = {name: sum(c * (c - 1) / 2 for c in sample[name].value_counts(dropna=False)) / pairs for name in sample}
    ranks = sample.corr(method="spearman").abs()
    expected, kept = len(again) * (len(again) - 1) / 2, list[str]()
    for name in sorted(shared, key=shared.__getitem__):
        if not (ranks.loc[name, kept] > _TWINS).any():
            kept.append(name)
            expected *= max(shared[name], _UNSEEN / pairs, at_least)
    return expected


def _cells(rows: pd.DataFrame, offset: float) -> pd.DataFrame:
    """Number the cells that values lie in; a column of which half is one value keeps its values."""
    width = (rows.quantile(0.75) - rows.quantile(0.25)) / _CELLS
    # pandas 2 hashes -0.0 apart from 0.
    return rows.assign(**{name: np.floor(rows[name] / width[name] + offset) + 0 for name in rows if width[name] > 0})


def _date(panel: "Panel", row: int) -> str:
    return "" if panel.sidecar.time is None else f"{pd.Timestamp(panel.times[row]):%Y-%m-%d} "
