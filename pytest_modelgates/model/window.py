"""Which days a panel covers, and whether it is the one that a desk keeps: days may not be chosen to suit a model."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import date
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..storage.scratch import in_parts, parts
from ..storage.strict_json import canonical

if TYPE_CHECKING:
    from .panel import Panel

Days = NDArray[np.datetime64]
Codes = NDArray[np.int64]


def window_problems(
    panel: "Panel", *, start_days: int, end_days: int, as_of: date, wanted: str | None = None
) -> list[str]:
    """List what is wrong with the days of a panel.

    Parameters
    ----------
    panel : Panel
        One that has times.
    start_days : int
        How many periods may lie between the end of training, with a purge of the horizon and one, and the first day of
        the panel [period]; 0 does not ask.
    end_days : int
        How many days may lie between the last outcome of the panel and `as_of` [day]; 0 does not ask.
    as_of : date
        The day on which the panel was new.
    wanted : str, optional
        The digest that the rows must have, see `rows_digest`.

    Returns
    -------
    list of str
        A line for each question that is answered badly.

    Notes
    -----
    A period is a weekday if the panel has no day of a weekend, so that a holiday counts as one; otherwise it is as long
    as the median spacing of the panel's days. A row of day t uses returns up to t + horizon + 1.
    """
    days = panel.days.to_numpy().astype("datetime64[D]")
    if not days.size:
        return ["has no rows"]
    first, last = days[0], days[-1]
    reach = panel.sidecar.horizon + 1
    problems = []
    if start_days:
        trained = np.datetime64(str(panel.sidecar.trained_until), "D")
        if first > (latest := periods_after(trained, reach + start_days, days)):
            problems.append(
                f"starts on {first}, expected by {latest}: training ended on {trained}, then come {reach} periods of "
                f"purge and {start_days} that window_start_days admits"
            )
    if end_days:
        # A market east of the clock that dated the model may be a day ahead of it.
        newest = np.datetime64(str(as_of), "D") + np.timedelta64(1, "D")
        if last > newest:
            problems.append(f"ends on {last}, after {as_of}, the policy's as_of or the day of packing")
        known = periods_after(last, reach, days)
        if known < (earliest := newest - np.timedelta64(1 + end_days, "D")):
            problems.append(
                f"ends on {last}, with outcomes until {known}, expected to reach {earliest} or later: {end_days} days, "
                f"window_end_days, before {as_of}"
            )
    if wanted is not None and panel.rows_digest != wanted:
        assets = "" if panel.sidecar.asset is None else f" of {panel.asset_codes.max() + 1} assets"
        problems.append(
            f"is {panel.rows_digest}, {panel.rows} rows{assets} from {first} to {last}, expected {wanted}: other "
            "times, assets or returns"
        )
    return problems


def periods_after(day: np.datetime64, count: int, days: Days) -> np.datetime64:
    """Count periods on from a day.

    Parameters
    ----------
    day : datetime64[D]
    count : int
        How many [period].
    days : ndarray of datetime64[D], shape (n,)
        The distinct days of a panel in order, which say how long a period is.
    """
    gap = float(np.median(np.diff(days).astype(np.int64))) if days.size > 1 else 1.0
    if gap == 1 and np.is_busday(days).all():
        return np.datetime64(str(np.busday_offset(day, count, roll="backward")), "D")
    return day + np.timedelta64(ceil(count * gap), "D")


def rows_digest(times: NDArray[np.datetime64], assets: Sequence[str] | None, returns: NDArray[np.float64]) -> str:
    """Digest what a model is judged by and cannot choose: when, what, and which return came of it.

    Parameters
    ----------
    times : ndarray of datetime64, shape (n,)
    assets : sequence of str, shape (n,), optional
        None if rows have no asset.
    returns : ndarray of float, shape (n,)
        The next day's return of each row.

    Returns
    -------
    str
        ``sha256:`` and 64 hex digits: SHA-256 of a line of JSON with the names of the assets, sorted, then, for the
        rows sorted by time and asset, of all times as int64 microseconds since 1970, all positions among the names as
        int64, and all returns as float64, little-endian.
    """
    codes, names = pd.factorize(pd.Series([""] * len(times) if assets is None else assets, dtype=object))
    return digest_of_codes(times, np.asarray(codes, dtype=np.int64), list(names), returns)


def digest_of_codes(
    times: NDArray[np.datetime64], codes: NDArray[np.int64], names: Sequence[str], returns: NDArray[np.float64]
) -> str:
    """Digest as `rows_digest` does; `codes` say which of `names` each row is of."""
    places, sorted_names = pd.factorize(np.asarray(names, dtype=object), sort=True)

    def behind(now: Days, then: Days, code: Codes, code_then: Codes) -> NDArray[np.bool_]:
        return np.asarray((now < then) | ((now == then) & (places[code] < places[code_then])))

    # Rows are mostly in order.
    order = (
        np.lexsort((places[codes], times))
        if in_parts(behind, times[1:], times[:-1], codes[1:], codes[:-1]).any()
        else None
    )
    digest = hashlib.sha256(canonical(list(sorted_names)))  # with its newline

    def update(values: NDArray[Any], written: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        for part in parts(len(values)):
            digest.update(written(values[part if order is None else order[part]]).data)

    update(times, lambda some: some.astype("datetime64[us]").astype("<i8"))
    update(codes, lambda some: places[some].astype("<i8"))
    update(returns, lambda some: (some + 0.0).astype("<f8"))  # -0.0 is the same return as 0.0
    return "sha256:" + digest.hexdigest()
