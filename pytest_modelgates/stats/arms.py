"""Two models on rows that were dealt between them: the daily IC and return of each, and whether they differ.

Knows neither logs nor models: `monitoring.ab` brings scores and returns, and this says what may be told from them.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from .holdings import evaluate_positions, rank_weights
from .quantiles import finite_series, is_constant, numbers
from .ranks import daily_matrix, same_shape
from .sequential import mean_radius

LEVEL = 0.05
"""The probability that a difference is ever told where there is none, however often one looks [share]."""
BLOCK = 5
"""Days whose mean is one value, since days may remember those before them; more if positions are held longer [days]."""
MIN_BLOCKS = 10
MIN_NAMES = 5
"""The least names of an arm on a day that counts [count]."""
# The radius holds as blocks grow in number, and for blocks without memory. Half of the level is kept for both.
_OF_THE_RADIUS = LEVEL / 2
_SHARPEST = 20  # blocks

Series = NDArray[np.float64]
Told = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmDays:
    """What an arm came to on each day: IC before costs, and return per unit of gross exposure; NaN if few names.

    `horizon` is how long a position is held [days].
    """

    ic: Series
    earned: Series
    horizon: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmDifference:
    """How much more the second arm came to a day than the first, and where that lies at all times at once.

    `lower` and `upper` are of the mean over `days` days, which are whole blocks. The interval holds the difference at
    all looks together with a probability of 95 %, so that it may be read whenever one likes.
    """

    mean: float
    lower: float
    upper: float
    days: int

    @property
    def told(self) -> Told:
        """Whether the second arm is better or worse, as far as can be told."""
        return "better" if self.lower > 0 else "worse" if self.upper < 0 else "inconclusive"


def arm_days(scores: ArrayLike, returns: ArrayLike, *, horizon: int, lag: int = 1, least: int = MIN_NAMES) -> ArmDays:
    """Measure an arm day by day, on the names that were dealt to it.

    Parameters
    ----------
    scores : array_like of float, shape (n_days, n_assets)
        Known at the close of each day; NaN where the arm has no row.
    returns : array_like of float, shape (n_days, n_assets)
        Return from the close of that day to the next [share], of all names; NaN where it is not known.
    horizon : int
        How long a position is held [days].
    lag : int, default 1
        Days between a score and the position that follows it [days].
    least : int, default 5
        A day counts if each of its tranches has at least so many names [count].

    Returns
    -------
    ArmDays
        One value a day, from the first on.

    Raises
    ------
    StatisticsError
        If shapes differ, or horizon or lag is out of its range.

    Notes
    -----
    Each day's position is the mean of `horizon` tranches, as `simulate` holds them, and each tranche is measured by
    itself: IC and return of the day are the means over its tranches. The IC of the position as a whole would depend on
    how many names the tranches share, and so on the share of rows that an arm gets.
    """
    asked, earned = daily_matrix(scores, "scores"), daily_matrix(returns, "returns")
    same_shape(asked, earned, "scores and returns")
    if horizon < 1 or lag < 0:
        raise StatisticsError(f"horizon {horizon}, lag {lag}: expected at least 1 and 0 days")
    first, total, fewest = lag + horizon - 1, np.zeros((2, len(asked))), np.full(len(asked), np.inf)
    for age in range(lag, first + 1):
        known, then = asked[: len(asked) - age], earned[age:]
        both = np.isfinite(known) & np.isfinite(then)
        if not both.size:
            break
        # Ranked among the names that can be measured, so that the position is neutral.
        weights = rank_weights(np.where(both, known, np.nan))
        held = evaluate_positions(weights, np.where(both, then, np.nan), cost_bps=0.0)
        total[:, age:] += held.ic, held.gross
        fewest[age:] = np.minimum(fewest[age:], both.sum(axis=1))
    few = fewest < least
    few[:first] = True
    ic, gained = np.where(few, np.nan, total / horizon)
    return ArmDays(ic=ic, earned=gained, horizon=horizon)


def difference(first: ArrayLike, second: ArrayLike, *, held: int = 1) -> ArmDifference:
    """Say how much more the second series comes to than the first, on the days that both have.

    Parameters
    ----------
    first, second : array_like of float, shape (n_days,)
        In order of time; NaN on a day that does not count.
    held : int, default 1
        How long a position is held, and so its dealing lasts; no block is shorter [days].

    Returns
    -------
    ArmDifference

    Raises
    ------
    InsufficientDataError
        If the days make fewer than `MIN_BLOCKS` blocks, or the blocks do not differ.
    StatisticsError
        If the series differ in length, or `held` is below 1.

    Notes
    -----
    The mean of the blocks, and its radius by `mean_radius`: a confidence sequence [1]_. Rows that are dealt anew every
    day make days independent of each other under no difference, whatever the returns do, if positions are held for a
    day. Days of longer positions share their dealings, and two models that differ may be ahead by turns; blocks of days
    are there for both.

    References
    ----------
    .. [1] I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas, Time-uniform central limit theory and
       asymptotic confidence sequences, Annals of Statistics 52(6):2613, 2024.
    """
    days = _more(first, second)
    days = days[~np.isnan(days)]
    length = _length(held)
    count = days.size // length
    if count < MIN_BLOCKS:
        day = "day" if days.size == 1 else "days"
        raise InsufficientDataError(
            f"{days.size} {day} on which both arms have outcomes of {MIN_NAMES} names or more, at least "
            f"{MIN_BLOCKS * length} are needed",
            sample=days.size,
        )
    blocks = finite_series(days[: count * length].reshape(count, length).mean(axis=1), name="differences", at_least=2)
    if is_constant(blocks):
        raise InsufficientDataError(
            f"both arms differ by {blocks[0]:g} on all days: is it one model?", sample=days.size
        )
    # The radius takes the deviation about the mean of few blocks, which is too small by this factor.
    radius = math.sqrt(count / (count - 1)) * mean_radius(blocks, _OF_THE_RADIUS, sharpest=_SHARPEST)
    mean = float(blocks.mean())
    return ArmDifference(mean=mean, lower=mean - radius, upper=mean + radius, days=count * length)


def as_it_grew(first: ArrayLike, second: ArrayLike, *, held: int = 1) -> list[tuple[int, ArmDifference]]:
    """Give what `difference` said after each block of days, from the first that it could say anything at.

    Parameters
    ----------
    first, second, held
        As for `difference`.

    Returns
    -------
    list of (int, ArmDifference)
        The index of the last day of the block, and the difference up to it; empty if there are too few days.

    Raises
    ------
    StatisticsError
        As `difference` does.
    """
    days = _more(first, second)
    both = np.flatnonzero(~np.isnan(days))
    ends = both[_length(held) * MIN_BLOCKS - 1 :: _length(held)].tolist()
    return [(day, difference(np.zeros(day + 1), days[: day + 1], held=held)) for day in ends]


def _length(held: int) -> int:
    """Give the days of a block."""
    if held < 1:
        raise StatisticsError(f"held for {held} days: expected at least 1")
    return max(BLOCK, held)


def _more(first: ArrayLike, second: ArrayLike) -> Series:
    """Subtract the first series from the second; NaN on a day that does not count."""
    one, two = numbers(first, name="the first series"), numbers(second, name="the second series")
    if one.shape != two.shape or one.ndim != 1:
        raise StatisticsError(f"series of shapes {one.shape} and {two.shape}: give two of the same days")
    if np.isinf(one).any() or np.isinf(two).any():
        raise StatisticsError("a series is infinite: remove the cause")
    return two - one
