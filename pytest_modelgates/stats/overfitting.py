"""The probability of backtest overfitting: how often the best of several backtests ends up below the middle of them."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .quantiles import is_constant, numbers

_CHUNK = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """What choosing by backtest is worth.

    `probability` that the trial that was best on one half of the days ranks in the lower half on the other,
    `probability_of_loss` that its Sharpe ratio there is below 0, `slope` of that ratio on the one it was chosen by,
    `splits` and `dropped`, the oldest days left out so that all blocks are equally long [days].
    """

    probability: float
    probability_of_loss: float
    slope: float
    splits: int
    dropped: int


def overfitting(returns: ArrayLike, *, blocks: int = 16) -> Overfitting:
    """Estimate the probability of backtest overfitting by combinatorially symmetric cross-validation.

    Parameters
    ----------
    returns : array_like of float, shape (n_days, n_trials)
        Returns of every trial that was looked at, losers too; days in order of time, one column a trial, more days
        than trials.
    blocks : int, default 16
        Even number of stretches that the days are cut into; 16 make 12,870 splits into halves.

    Returns
    -------
    Overfitting

    Raises
    ------
    StatisticsError
        If there are fewer than two trials, no more days than trials (a transposed matrix would give a number too), a
        value is not finite, a trial does not vary within some half, or the blocks are odd, too many or too short.

    Notes
    -----
    With w = rank / (N + 1) the relative rank out of sample, ties averaged, of the trial with the best Sharpe ratio in
    sample, the probability is the share of splits with log(w / (1 - w)) <= 0 [1]_. The other half of a split is itself
    a split, so every half is measured once, from the sums and squares of its blocks.

    References
    ----------
    .. [1] D. H. Bailey, J. M. Borwein, M. Lopez de Prado and Q. J. Zhu, The probability of backtest overfitting,
       Journal of Computational Finance 20(4):39, 2017.
    """
    trials = _checked(returns, blocks)
    dropped = len(trials) % blocks
    length = len(trials) // blocks
    stacked = trials[dropped:].reshape(blocks, length, -1)
    halves = np.zeros((math.comb(blocks, blocks // 2), blocks))
    chosen_blocks = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    np.put_along_axis(halves, chosen_blocks, 1.0, axis=1)
    ratios = _ratios(halves, stacked)
    # Combinations come in lexicographic order, in which the complement of the k-th is the k-th from the end.
    best = ratios.argmax(axis=1)[:, np.newaxis]
    inside = np.take_along_axis(ratios, best, axis=1)[:, 0]
    outside_all = ratios[::-1]
    outside = np.take_along_axis(outside_all, best, axis=1)
    below, equal = (outside_all < outside).sum(axis=1), (outside_all == outside).sum(axis=1)
    rank = below + (equal + 1) / 2
    away = inside - inside.mean()
    spread = float(away @ away)
    return Overfitting(
        probability=float((2 * rank <= trials.shape[1] + 1).mean()),
        probability_of_loss=float((outside < 0).mean()),
        slope=float(away @ outside[:, 0] / spread) if spread > 0 else 0.0,
        splits=len(halves),
        dropped=dropped,
    )


def _checked(returns: ArrayLike, blocks: int) -> NDArray[np.float64]:
    trials = numbers(returns, name="returns")
    if trials.ndim != 2:
        raise StatisticsError(f"returns have {trials.ndim} dimensions, expected 2: one row a day, one column a trial")
    days, count = trials.shape
    if count < 2:
        raise StatisticsError(f"{count} trials, expected at least 2: give the returns of those that lost too")
    if days <= count:
        raise StatisticsError(
            f"{days} days of {count} trials, expected more days than trials: one row a day, one column a trial"
        )
    if bad := int((~np.isfinite(trials)).sum()):
        raise StatisticsError(f"returns have {bad} values NaN or infinite: remove their cause")
    if not 2 <= blocks <= 20 or blocks % 2:
        raise StatisticsError(f"{blocks} blocks, expected an even number from 2 to 20")
    if days < 2 * blocks:
        raise StatisticsError(f"{days} days in {blocks} blocks, expected at least 2 days in each: cut fewer")
    if still := [index for index, trial in enumerate(trials.T) if is_constant(trial)]:
        raise StatisticsError(f"trial {still[0]} returns the same on every day, expected one that varies")
    return trials


def _ratios(halves: NDArray[np.float64], stacked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sharpe ratio of every trial on every half, shape (n_halves, n_trials)."""
    n = stacked.shape[1] * stacked.shape[0] // 2
    # Centred, lest the difference of two large sums lose the digits that a variance is made of.
    centre = stacked.mean(axis=(0, 1))
    away = stacked - centre
    sums, squares = away.sum(axis=1), (away**2).sum(axis=1)
    ratios = np.empty((len(halves), stacked.shape[2]))
    for start in range(0, len(halves), _CHUNK):
        chunk = halves[start : start + _CHUNK]
        mean = chunk @ sums / n
        variance = (chunk @ squares / n - mean**2) * (n / (n - 1))
        if not (variance > 1e-14 * squares.sum(axis=0) / (2 * n)).all():
            raise StatisticsError("a trial returns the same on every day of some half, expected one that varies")
        np.divide(mean + centre, np.sqrt(variance), out=ratios[start : start + _CHUNK])
    return ratios
