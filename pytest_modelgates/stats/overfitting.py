"""The probability of backtest overfitting: how often the best of several backtests ends up below their median."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from .quantiles import LARGEST, is_constant, numbers

# Halves are measured in chunks of this size, which keeps the temporary arrays small.
_CHUNK = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """What choosing by backtest is worth.

    A split chooses the trial that is best on one half of the days, and looks at it on the other half. `probability` is
    the share of splits in which the chosen trial ranks in the lower half there. `probability_of_loss` is the share in
    which its Sharpe ratio there is below 0, and `slope` the regression of that ratio on the one that it was chosen by.
    `splits` counts the splits, `dropped` the oldest days, left out to make all blocks equally long [days].
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
        Stretches that the days are cut into, an even number from 2 to 20; 16 make 12,870 splits into halves.

    Returns
    -------
    Overfitting
        Its ratios are of the returns as they are, without a riskless rate.

    Raises
    ------
    StatisticsError
        If there are fewer than two trials, no more days than trials (a transposed matrix would give a number too), a
        value is not finite, a trial does not vary within some half, or the blocks are odd, too many or too short.

    Notes
    -----
    Combinatorially symmetric cross-validation, algorithm 2.3 of [1]_. Let w = rank / (N + 1) be the relative rank out
    of sample, ties averaged, of the trial with the best Sharpe ratio in sample. The probability is the share of splits
    with logit log(w / (1 - w)) <= 0. The other half of a split is the first half of another split, so every half is
    measured once, from the sums and squares of its blocks.

    References
    ----------
    .. [1] D. H. Bailey, J. M. Borwein, M. Lopez de Prado and Q. J. Zhu, The probability of backtest overfitting,
       Journal of Computational Finance 20(4):39, 2017.
    """
    trials = _checked(returns, blocks)
    # Algorithm 2.3 of Bailey and others 2017 wants blocks of equal length; the rest is taken from the oldest days.
    dropped = len(trials) % blocks
    length = len(trials) // blocks
    stacked = trials[dropped:].reshape(blocks, length, -1)
    halves = np.zeros((math.comb(blocks, blocks // 2), blocks))
    chosen_blocks = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    np.put_along_axis(halves, chosen_blocks, 1.0, axis=1)
    # Each row is a set J of the algorithm, the days to choose by; the days to judge by are its complement.
    ratios = _ratios(halves, stacked)
    # Combinations come in lexicographic order, in which the complement of the k-th is the k-th from the end.
    best = ratios.argmax(axis=1)[:, np.newaxis]
    inside = np.take_along_axis(ratios, best, axis=1)[:, 0]
    outside_all = ratios[::-1]
    outside = np.take_along_axis(outside_all, best, axis=1)
    below, equal = (outside_all < outside).sum(axis=1), (outside_all == outside).sum(axis=1)
    # Ties share their mean rank, so trials that are alike do not favour the one that comes first.
    rank = below + (equal + 1) / 2
    deviation = inside - inside.mean()
    spread = float(deviation @ deviation)
    return Overfitting(
        # The logit is at most 0 exactly if w = rank / (N + 1) is at most 1/2, so no logarithm is needed.
        probability=float((2 * rank <= trials.shape[1] + 1).mean()),
        probability_of_loss=float((outside < 0).mean()),
        slope=float(deviation @ outside[:, 0] / spread) if spread > 0 else 0.0,
        splits=len(halves),
        dropped=dropped,
    )


def _checked(returns: ArrayLike, blocks: int) -> NDArray[np.float64]:
    trials = numbers(returns, name="returns")
    if trials.ndim != 2:
        raise StatisticsError(f"returns have {trials.ndim} dimensions, expected 2: one row a day, one column a trial")
    days, count = trials.shape
    if count < 2:
        raise InsufficientDataError(f"{count} trials, expected at least 2: give the returns of those that lost too")
    # A transposed matrix would give a number too.
    if days <= count:
        raise InsufficientDataError(
            f"{days} days of {count} trials, expected more days than trials: one row a day, one column a trial"
        )
    if bad := int((~np.isfinite(trials)).sum()):
        raise StatisticsError(f"returns have {bad} values NaN or infinite: remove their cause")
    if (largest := float(np.abs(trials).max())) > LARGEST:
        raise StatisticsError(f"returns reach {largest:.3g} in size, expected at most {LARGEST:g}: use another unit")
    # 20 blocks make 184,756 splits; two more would make nearly four times that.
    if not 2 <= blocks <= 20 or blocks % 2:
        raise StatisticsError(f"{blocks} blocks, expected an even number from 2 to 20")
    if days < 2 * blocks:
        raise InsufficientDataError(f"{days} days in {blocks} blocks, expected at least 2 days in each: cut fewer")
    if still := [index for index, trial in enumerate(trials.T) if is_constant(trial)]:
        raise StatisticsError(f"trial {still[0]} returns the same on every day, expected one that varies")
    return trials


def _ratios(halves: NDArray[np.float64], stacked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sharpe ratio of every trial on every half, shape (n_halves, n_trials)."""
    n = stacked.shape[1] * stacked.shape[0] // 2
    # Returns are centred first. Otherwise the difference of two large sums would lose the digits of the variance.
    centre = stacked.mean(axis=(0, 1))
    deviation = stacked - centre
    sums, squares = deviation.sum(axis=1), (deviation**2).sum(axis=1)
    ratios = np.empty((len(halves), stacked.shape[2]))
    for start in range(0, len(halves), _CHUNK):
        chunk = halves[start : start + _CHUNK]
        mean = chunk @ sums / n
        variance = (chunk @ squares / n - mean**2) * (n / (n - 1))
        # A variance below the rounding error of its sums says that the trial does not vary on that half.
        if not (variance > 1e-14 * squares.sum(axis=0) / (2 * n)).all():
            raise InsufficientDataError("a trial returns the same on every day of some half, expected one that varies")
        np.divide(mean + centre, np.sqrt(variance), out=ratios[start : start + _CHUNK])
    return ratios
