"""Whether whole days were left out of a panel: what other columns still know of the returns of these days."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from ..errors import StatisticsError
from ..storage.scratch import parts
from .ranks import Matrix, Series, daily_matrix, daily_rank_ic, same_shape
from .target import compounded

TARGET = "the target"
# A column knows returns if it agrees with them so well on the median day; by luck or skill none does.
_KNOWS = 0.5
# So many days, spread over the panel, tell a feature that may know returns from one that does not.
_GLANCE = 64
# Fewer days than these that lie at no gap do not show how well a column agrees when nothing is missing.
_LEAST_DAYS = 20
# By a column that agrees as well as this on the worst day without a gap, each gap can be told by itself. It stands out
# if the column disagrees by so much more than on that worst day,
_STEADY = 0.1
_WORSE = 1.5
# and by so much of what one day of the horizon makes: a target over five days keeps four fifths.
_PART_OF_A_DAY = 0.25
# on so many of the days that reach over the gap: a gap nearby shares some of them.
_MOST_OF_THE_DAYS = 0.75


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """The gaps in a panel's dates over which its own columns know other returns than the panel holds.

    `days` holds the position of the last day before each such gap, ascending, and `column` the column that stands out
    most there, None if there is no such gap. `p_value` is that of "columns agree with returns over gaps as well as
    elsewhere", for all gaps together; `columns` are those that were asked, and `gaps` is how many gaps there are.
    """

    days: NDArray[np.intp]
    column: str | None
    p_value: float
    columns: tuple[str, ...]
    gaps: int


def left_out(
    target: ArrayLike,
    features: Mapping[str, ArrayLike],
    returns: ArrayLike,
    *,
    horizon: int,
    gaps: ArrayLike,
) -> LeftOut:
    """Ask what the columns of a panel know of days that it does not hold.

    Parameters
    ----------
    target : array_like of float, shape (n_days, n_assets)
        The return over the horizon from the day after, or what ranks the names of a day much like it, such as what is
        left after factors; NaN means that the asset has no row that day.
    features : mapping of str to array_like of float, shape (n_days, n_assets)
        Name and values of each feature. Each is asked for once, and let go.
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share], NaN as above.
    horizon : int
        How far the target looks ahead [days].
    gaps : array_like of int, shape (n_gaps,)
        Positions of the days after which a period has no rows, see `days.calendar`.

    Returns
    -------
    LeftOut
        The target of a day is compared with the compounded returns of the `horizon` days after it. So is each feature,
        or its change, with the return of the day before: one made of prices, such as a reversal, knows that return.
        Only what agrees with them by a rank correlation of 0.5 on the median day is asked. Where the market was closed
        the two agree over a gap as elsewhere, and where days were left out they do not. A gap stands out by itself if a
        column disagrees there 1.5 times as much as on the worst day without one, and by at most 0.1 on that day.

    Raises
    ------
    StatisticsError
        If a matrix has another shape, a value is infinite, the horizon is below 1, or a gap lies outside the panel.

    Notes
    -----
    The p-value compares the sum of the agreement over all gaps with what it is for the same gaps rotated in time, all
    rotations at once by one Fourier transform, as a normal deviate: agreement that lasts, as that of targets that
    overlap does, keeps its variance under rotations. It is multiplied by the number of columns.
    """
    daily = daily_matrix(returns, "returns")
    places = np.unique(np.asarray(gaps, dtype=np.intp))
    if places.size and not 0 <= places[0] <= places[-1] < len(daily) - 1:
        raise StatisticsError(f"gaps lie at {places[0]} to {places[-1]}, expected days of the panel before its last")
    p_values, names = [1.0], list[str]()
    found: dict[int, tuple[float, str]] = {}
    for name, agreement, reach in _witnesses(target, features, daily, horizon):
        names.append(name)
        # The target of day t is made of the returns of t + 1 to t + reach, over the gaps after t to t + reach - 1.
        steps = np.zeros(len(daily))
        steps[places] = 1
        over = np.convolve(steps[::-1], np.ones(reach))[: len(daily)][::-1]
        known = np.isfinite(agreement)
        # Over a long horizon every day may reach over a gap; then those that do so least are the others.
        others = known & (over == over[known].min())
        if others.all() or others.sum() < _LEAST_DAYS:
            continue
        usual = float(np.median(agreement[others]))
        miss = np.where(known, usual - agreement, 0.0)
        p_values.append(_p_of_rotations(miss, over))
        if (worst := float(miss[others].max())) > _STEADY:
            continue
        bound = max(_WORSE * worst, _PART_OF_A_DAY * usual / reach)
        for place in places.tolist():
            days = np.arange(max(0, place - reach + 1), place + 1)
            days = days[known[days]]
            if days.size and np.mean(miss[days] > bound) >= _MOST_OF_THE_DAYS:
                found[place] = max(found.get(place, (0.0, name)), (float(miss[days].mean()) / bound, name))
    return LeftOut(
        days=np.array(sorted(found), dtype=np.intp),
        column=max(found.values())[1] if found else None,
        p_value=min(1.0, min(p_values) * max(1, len(names))),
        columns=tuple(names),
        gaps=places.size,
    )


def _witnesses(
    target: ArrayLike, features: Mapping[str, ArrayLike], daily: Matrix, horizon: int
) -> Iterator[tuple[str, Series, int]]:
    """Give each column that knows returns, its agreement with them by day, and over how many days it reaches."""
    wanted = daily_matrix(target, TARGET)
    same_shape(wanted, daily, "target and returns")
    agreement = daily_rank_ic(wanted, compounded(daily, horizon=horizon))
    if _median(agreement) >= _KNOWS:
        yield TARGET, agreement, horizon
    glance = np.unique(np.linspace(0, max(0, len(daily) - 2), _GLANCE).astype(np.intp))[: len(daily) - 1]
    for name, values in features.items():
        column = daily_matrix(values, name)
        same_shape(column, daily, f"{name} and returns")
        best, kind = max((abs(_median(_next_day(column, daily, glance, change))), change) for change in (False, True))
        if best < _KNOWS:
            continue
        agreement = _next_day(column, daily, np.arange(len(daily) - 1), kind)
        sign = np.sign(_median(agreement))
        yield name, np.append(sign * agreement, np.nan), 1


def _next_day(column: Matrix, daily: Matrix, days: ArrayLike, change: bool) -> Series:
    """Correlate a day's return with the feature of the next day, or with its change until then."""
    at = np.asarray(days, dtype=np.intp)
    found: Series = np.empty(at.size)
    for part in parts(at.size, column.shape[1]):
        some = at[part]
        found[part] = daily_rank_ic(column[some + 1] - column[some] if change else column[some + 1], daily[some])
    return found


def _median(values: Series) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0


def _p_of_rotations(miss: Series, over: Series) -> float:
    """One-sided p-value of "what is missed does not follow the gaps"."""
    product = np.fft.rfft(miss - miss.mean()) * np.conj(np.fft.rfft(over - over.mean()))
    rotated = np.fft.irfft(product, n=len(miss))
    spread = float(np.sqrt(np.mean(rotated**2)))
    return float(ndtr(-rotated[0] / spread)) if spread > 0 else 1.0
