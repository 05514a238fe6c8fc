"""Whether any of several series beats its benchmark, and which: Hansen's SPA and the StepM of Romano and Wolf.

Both look at all series at once through one bootstrap, so series that move together cost less than Holm charges.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from .quantiles import finite_series, numbers, refuse_constant
from .resampling import (
    MINIMUM_VALUES,
    joint_means_in_parts,
    optimal_block_length,
    stationary_bootstrap_joint_means,
    stationary_bootstrap_variance,
)

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Superiority:
    """P-values of "none is better than the benchmark", lower <= consistent <= upper.

    `consistent` is Hansen's. `upper` is White's reality check, studentised: it lets the worst series weigh as if they
    were as good as the benchmark. `best` is the index of the series with the largest statistic, `block` the mean block
    length [values].
    """

    lower: float
    consistent: float
    upper: float
    best: int
    block: float


def superior_ability(
    gains: ArrayLike, *, seed: int, block: float | None = None, n_resamples: int = 9999
) -> Superiority:
    """Test whether the best of several series beats its benchmark by more than the luck of the best.

    Parameters
    ----------
    gains : array_like of float, shape (n, n_series)
        What each series earned beyond the benchmark [any unit], in order of time, n >= 20, fewer series than days.
    seed : int
        Seed of the random numbers, at least 0.
    block : float, optional
        Mean block length, at least 1 [values]; by default the longest that any series asks for.
    n_resamples : int, default 9999
        Resamples of the bootstrap.

    Returns
    -------
    Superiority

    Raises
    ------
    StatisticsError
        If a series is too short, not finite or constant, there are no more days than series, or a number is out of its
        range.

    Notes
    -----
    The statistic T^SPA of [1]_ is the largest of max(0, sqrt(n) d_k / w_k), with the mean d_k of series k and w_k^2
    from `stationary_bootstrap_variance`. Under the null hypothesis it is the same of resampled means less a shift
    g(d_k): max(0, d_k) gives the lower p-value, d_k 1{sqrt(n) d_k / w_k >= -sqrt(2 log log n)} the consistent one, and
    d_k the upper one.

    References
    ----------
    .. [1] P. R. Hansen, A test for superior predictive ability, Journal of Business & Economic Statistics 23:365, 2005.
    """
    series, length = _checked(gains, block)
    n, mean = len(series), series.mean(axis=0)
    # w_k / sqrt(n) of Hansen 2005. He holds it fixed over the resamples, so it is computed once, in closed form.
    error = _errors(series, length)
    means = stationary_bootstrap_joint_means(series, block=length, n_resamples=n_resamples, seed=seed)
    statistics = mean / error
    # T^SPA of Hansen 2005 is never negative: where every series is worse than the benchmark, p is 1.
    found = max(0.0, float(statistics.max()))
    # Hansen's consistent threshold, from the law of the iterated logarithm. A series whose mean lies below it is taken
    # to be worse than the benchmark, and must not weigh in the null distribution.
    far_below = statistics < -np.sqrt(2 * np.log(np.log(n)))
    # The shifts g of Hansen 2005. The more is taken off a bad series, the less often it is the largest of a resample,
    # so the p-values ascend from lower to upper.
    shifts = {"lower": np.maximum(mean, 0.0), "consistent": np.where(far_below, 0.0, mean), "upper": mean}
    largest = {name: np.maximum(((means - shift) / error).max(axis=1), 0.0) for name, shift in shifts.items()}
    # The observed sample counts as one resample, so that p is never 0 and the test keeps its level.
    p_values = {name: (1 + int((values >= found).sum())) / (n_resamples + 1) for name, values in largest.items()}
    return Superiority(**p_values, best=int(statistics.argmax()), block=length)


def step_down(
    gains: ArrayLike, *, bound: float = 0.0, seed: int, block: float | None = None, n_resamples: int = 9999
) -> NDArray[np.float64]:
    """Adjust the p-value of each series for having looked at all of them, by the StepM method.

    Parameters
    ----------
    gains : array_like of float, shape (n, n_series)
        As for `superior_ability`.
    bound : float, default 0
        The largest mean of each series under its null hypothesis [unit of gains].
    seed, block, n_resamples
        As for `superior_ability`.

    Returns
    -------
    ndarray of float64, shape (n_series,)
        Adjusted p-values: those up to alpha are rejected with a chance of about alpha of any false rejection.

    Raises
    ------
    StatisticsError
        As `superior_ability`, or if the bound is not finite.

    Notes
    -----
    The studentised StepM of [1]_, as p-values by algorithm 4.2 of [2]_: the k-th largest statistic is compared, in each
    resample, with the largest statistic of the series that rank k-th or lower.

    References
    ----------
    .. [1] J. P. Romano and M. Wolf, Stepwise multiple testing as formalized data snooping, Econometrica 73:1237, 2005.
    .. [2] J. P. Romano and M. Wolf, Efficient computation of adjusted p-values for resampling-based stepdown multiple
       testing, Statistics & Probability Letters 113:38, 2016.
    """
    if not np.isfinite(bound):
        raise StatisticsError(f"bound is {bound}, expected a finite number")
    series, length = _checked(gains, block)
    mean, error = series.mean(axis=0), _errors(series, length)
    statistics = (mean - bound) / error
    # Algorithm 4.2 of Romano and Wolf 2016 goes through the series from the most significant one down.
    order = np.argsort(-statistics, kind="stable")
    reached = np.zeros(len(order), dtype=np.int64)
    for means in joint_means_in_parts(series, block=length, n_resamples=n_resamples, seed=seed):
        # Each series is centred at its own mean, so that every null hypothesis holds with equality: the hardest case.
        resampled = ((means - mean) / error)[:, order]
        # Column k holds the largest statistic of the series from k on. Series ranked before k no longer count, and
        # that makes the step-down stronger than one step.
        largest = np.maximum.accumulate(resampled[:, ::-1], axis=1)[:, ::-1]
        reached += (largest >= statistics[order]).sum(axis=0)
    p_values = (1 + reached) / (n_resamples + 1)
    adjusted = np.empty(len(order))
    # No series may be rejected before a more significant one, so the adjusted p-values never fall.
    adjusted[order] = np.maximum.accumulate(p_values)
    return adjusted


def _checked(gains: ArrayLike, block: float | None) -> tuple[Matrix, float]:
    series = numbers(gains, name="gains")
    if series.ndim != 2 or series.shape[1] < 1:
        raise StatisticsError(f"gains have shape {series.shape}, expected one row a day and one column a series")
    # A transposed matrix would give a number too.
    if len(series) <= series.shape[1]:
        raise InsufficientDataError(
            f"{len(series)} days of {series.shape[1]} series, expected more days than series: one column a series"
        )
    for column in series.T:
        refuse_constant(finite_series(column, at_least=MINIMUM_VALUES))
    # All series are resampled on the same days, so they share one length; the longest covers the dependence of each.
    return series, max(1.0, *(optimal_block_length(column) for column in series.T)) if block is None else block


def _errors(series: Matrix, block: float) -> NDArray[np.float64]:
    """Standard error of each mean under the stationary bootstrap."""
    variance = np.array([stationary_bootstrap_variance(column, block=block) for column in series.T]) / len(series)
    if not (variance > 0).all():
        raise StatisticsError(f"blocks of {block:g} of {len(series)} days leave no variance: give shorter ones")
    return np.sqrt(variance)
