"""How widely scores lie: what a difference between two copies of a model is large or small against."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..storage.scratch import empty
from .days import rows_by_day
from .quantiles import finite_series

# Below it float32 loses digits, and ends at 0: no copy in float32 can be asked for more.
SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spread:
    """The spread of a typical day, and how far each score may be said to reach.

    `typical` is the median over days of the standard deviation of a day's scores. `middle` is the median of all scores.
    `reach`, shape (n_rows,), is for each row the larger of `typical` and the distance of its score from the median of
    its day. All are in [unit of the scores].
    """

    typical: float
    middle: float
    reach: NDArray[np.float64]


def spread(scores: ArrayLike, days: ArrayLike) -> Spread:
    """Measure how widely the scores of a day lie.

    Parameters
    ----------
    scores : array_like of float, shape (n_rows,)
        One score a row [any unit].
    days : array_like, shape (n_rows,)
        The day of each row, in any order; one day for all rows if there are none.

    Returns
    -------
    Spread
        It scales with the scores and does not see an offset that they share. Days whose scores are all alike have no
        part in `typical`. If the others hold less than half of the rows, all rows count as one day; if their scores are
        all alike too, it is their size. It is at least the smallest normal float32.

    Raises
    ------
    StatisticsError
        If lengths differ, or a score is not finite or beyond 1e100.

    Notes
    -----
    The median over days leaves out what a few wild days would hide. Where most days have a single row, or one score for
    all, it would be the word of the few that are left. A day counts as all alike if its scores differ by
    no more than the rounding of sums in float64.
    """
    score = finite_series(scores, name="scores")
    stretches = rows_by_day(days, rows=score.size)
    daily = [(rows.size, _deviation(score[rows])) for rows in stretches]
    telling = [deviation for _, deviation in daily if deviation > 0]
    if 2 * sum(size for size, deviation in daily if deviation > 0) < score.size:
        stretches, telling = [np.arange(score.size)], [_deviation(score) or float(np.abs(score).max())]
    typical = max(float(np.median(telling)), SMALLEST)
    reach: NDArray[np.float64] = empty(score.size)
    for rows in stretches:
        reach[rows] = np.abs(score[rows] - np.median(score[rows]))
    middle: NDArray[np.float64] = empty(score.size)
    middle[:] = score
    return Spread(
        typical=typical,
        middle=float(np.median(middle, overwrite_input=True)),
        reach=np.maximum(reach, typical, out=reach),
    )


def _deviation(score: NDArray[np.float64]) -> float:
    """The standard deviation; 0 if the scores differ by rounding alone."""
    alike = np.ptp(score) <= 64 * np.finfo(np.float64).eps * np.abs(score).max()
    return 0.0 if alike else float(score.std())
