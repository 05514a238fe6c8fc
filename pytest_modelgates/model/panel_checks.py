"""What may be wrong with a panel, a line for each flaw: its columns, their dtypes, their values, its rows."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..stats.repeats import repeated_days as days_alike
from ..storage.text import printable
from .features import are_numbers, bad_cells

if TYPE_CHECKING:
    from .panel import Panel

# From which share of values of its own on a column tells cases apart, and the fewest different rows to say so by.
_OWN, _FEW_ROWS = 0.9, 20


def column_problems(panel: "Panel") -> list[str]:
    """Columns that are missing, unexpected or out of order."""
    found, expected = list(map(str, panel.frame)), panel.sidecar.panel_columns
    problems = [f"{name} is missing from the panel" for name in expected if name not in found]
    problems += [f"{name} does not belong in the panel" for name in found if name not in expected]
    if not problems and found != expected:
        problems.append(f"the panel's order is {', '.join(found)}, expected {', '.join(expected)}")
    return problems


def dtype_problems(panel: "Panel") -> list[str]:
    """Columns whose dtype is not the sidecar's; outcomes are float64, times are dates."""
    wanted = {feature.name: feature.dtype for feature in panel.sidecar.features}
    wanted |= dict.fromkeys(panel.sidecar.outcomes, "float64")
    found = {name: str(panel.column(name).dtype) for name in wanted}
    problems = [f"{name} is {found[name]}, expected {dtype}" for name, dtype in wanted.items() if found[name] != dtype]
    time = panel.sidecar.time
    if time is not None and not pd.api.types.is_datetime64_dtype(panel.column(time).dtype):
        problems.append(f"{time} is {panel.column(time).dtype}, expected dates without a time zone")
    return problems


def not_finite(panel: "Panel") -> list[str]:
    """Columns with an infinity, with NaN where the sidecar allows none, or without numbers."""
    nullable = dict(zip(panel.sidecar.names, panel.sidecar.nullable, strict=True))
    problems = []
    for name in panel.sidecar.keys:
        if missing := int(panel.column(name).isna().sum()):
            problems.append(f"{name} is missing in {missing} rows")
    for name in [*panel.sidecar.names, *panel.sidecar.outcomes]:
        if not are_numbers(panel.column(name).dtype):
            problems.append(f"{name} is {panel.column(name).dtype}, expected numbers")
        elif bad := int(bad_cells(panel.numbers(name), nullable=nullable.get(name, False)).sum()):
            problems.append(f"{name} in {bad} rows")
    return problems


def repeated_rows(panel: "Panel") -> list[str]:
    """Rows whose asset already has a row that day, since the same evidence a minute later would count twice."""
    twice = pd.DataFrame({"day": panel.day_codes, "asset": panel.asset_codes}).duplicated()
    assets = panel.column(panel.sidecar.asset)
    return [f"{_date(panel, int(row))}{printable(str(assets[row]))}" for row in np.flatnonzero(twice)]


def unordered_rows(panel: "Panel") -> list[str]:
    """Rows that come before the row above them."""
    times = panel.day_codes if panel.sidecar.time is None else panel.times.astype(np.int64)
    assets = panel.asset_codes
    back = (times[1:] < times[:-1]) | ((times[1:] == times[:-1]) & (assets[1:] < assets[:-1]))
    return [f"row {row + 1}" for row in np.flatnonzero(back)]


def overlapping_rows(panel: "Panel") -> list[str]:
    """Rows on or before the last price date that a training label used."""
    times: Any = pd.DatetimeIndex(panel.times)
    early = np.asarray(times.normalize() <= pd.Timestamp(panel.sidecar.trained_until))
    return [f"{times[row]:%Y-%m-%d}" for row in np.flatnonzero(early)]


def repeated_days(panel: "Panel") -> list[str]:
    """Days whose returns are those of an earlier one."""
    return [f"{panel.day(day)} repeats {panel.day(first)}" for day, first in days_alike(panel.returns).tolist()]


def share_of_repeated_rows(panel: "Panel") -> tuple[float, int | None]:
    """Share of the rows that equal an earlier one in keys, features and target, and the first of these rows.

    Without keys, rows that are equal may be different cases if every column has few values. They count only if nine in
    ten of the different rows, of which there are 20 at least, have a value of their own in some column.
    """
    columns = [*panel.sidecar.keys, *panel.sidecar.names, panel.sidecar.target]
    rows = panel.frame[columns]
    again = rows.duplicated().to_numpy()
    if not again.any():
        return 0.0, None
    different = rows[~again]
    own = max(different[name].nunique() for name in columns)
    if not panel.sidecar.keys and (len(different) < _FEW_ROWS or own < _OWN * len(different)):
        return 0.0, None
    return float(again.mean()), int(again.argmax())


def _date(panel: "Panel", row: int) -> str:
    return "" if panel.sidecar.time is None else f"{pd.Timestamp(panel.times[row]):%Y-%m-%d} "
