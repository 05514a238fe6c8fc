"""The stationary bootstrap of a mean, and how long its blocks should be. Decides nothing."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .quantiles import finite_series, numbers, refuse_constant

MINIMUM_VALUES = 20
_CHUNK = 1 << 16


def optimal_block_length(x: ArrayLike) -> float:
    """Choose the mean block length that suits the stationary bootstrap of a mean best.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 20.

    Returns
    -------
    float
        Mean block length [values], at least 0; a series with less than 1 needs no blocks.

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant.

    Notes
    -----
    The rule of [1]_ (equation 6 and footnote c) with the constant of [2]_: the mean squared error of the variance of a
    mean is least at (2 G^2 / D)^(1/3) n^(1/3), with D = 2 g(0)^2 for the stationary bootstrap, the long-run variance
    g(0) = sum_k R(k) and G = sum_k |k| R(k). Both sums are taken over a flat-top window, whose bandwidth is twice the
    first lag that opens a run of insignificant autocorrelations. The result is that of the package arch.

    References
    ----------
    .. [1] D. N. Politis and H. White, Automatic block-length selection for the dependent bootstrap,
       Econometric Reviews 23:53, 2004.
    .. [2] A. Patton, D. N. Politis and H. White, Correction to [1]_, Econometric Reviews 28:372, 2009.
    """
    series = finite_series(x, at_least=MINIMUM_VALUES)
    refuse_constant(series)
    n = series.size
    deviation = series - series.mean()
    # The length has no unit. A power of two changes no digit, and fourth powers of a wild series fit again.
    deviation = np.ldexp(deviation, -int(np.frexp(np.abs(deviation).max())[1]))
    # The run and both caps are as in arch, which takes the caps from A. Patton's program. Footnote c of Politis and
    # White 2004 has sqrt(log10(n)) here; up to a million values both make a run of 5.
    run = max(5, int(math.log10(n)))
    furthest = math.ceil(math.sqrt(n)) + run
    covariance = np.array([deviation[lag:] @ deviation[: n - lag] for lag in range(furthest + 1)])
    # Each stretch is scaled by its own squares, since the two that overlap at a long lag differ.
    before, after = (
        np.cumsum(squares)[n - 2 - furthest : n - 1][::-1] for squares in (deviation**2, deviation[::-1] ** 2)
    )
    size = np.sqrt(before * after)
    correlation = np.divide(np.abs(covariance), size, out=np.full(furthest + 1, np.inf), where=size > 0)

    # The band of footnote c: with c = 2, white noise stays within it over the whole run nearly always.
    quiet = correlation[:furthest] < 2 * math.sqrt(math.log10(n) / n)
    runs = np.flatnonzero(np.convolve(quiet, np.ones(run), "valid") > run - 0.5)
    # The first lag of the run counts, as in arch; the m of footnote c is the lag before it.
    width = min(2 * max(int(runs[0]), 1), furthest) if runs.size else furthest
    lags = np.arange(1, width + 1)
    # The flat-top window of Politis and White 2004 is 1 up to half the bandwidth and falls to 0 at its end.
    window = np.minimum(1.0, 2 * (1 - lags / width)) * covariance[1 : width + 1] / n
    spectrum = covariance[0] / n + 2 * window.sum()
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    if spectrum == 0:
        return float(longest)
    # Equation 6 of Politis and White 2004. With D = 2 g(0)^2, the correction of 2009, the factors 2 cancel.
    slope = 2 * (lags * window).sum()
    return float(min(((slope / spectrum) ** 2 * n) ** (1 / 3), longest))


def stationary_bootstrap_means(
    x: ArrayLike, *, block: float, n_resamples: int = 9999, seed: int
) -> NDArray[np.float64]:
    """Draw means of resamples made of blocks of random length.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 2.
    block : float
        Mean block length, at least 1 [values]; 1 is the bootstrap of independent values.
    n_resamples : int, default 9999
        How many means to draw.
    seed : int
        Seed of the random numbers, at least 0.

    Returns
    -------
    ndarray of float64, shape (n_resamples,)
        Means of resamples of n values [unit of x].

    Raises
    ------
    StatisticsError
        If the series is too short or not finite, or a number is out of its range.

    Notes
    -----
    The stationary bootstrap of [1]_: blocks start anywhere, have geometric lengths and wrap from the end to the start.
    The sum of a block is the difference of two prefix sums, so the work grows with the number of blocks, not of values.

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, The stationary bootstrap, JASA 89:1303, 1994.
    """
    series = finite_series(x, at_least=2)
    _check_resampling(block, n_resamples, seed)
    n, mean = series.size, series.mean()
    # The series is centred first, because prefix sums of one far from 0 would lose digits. It is laid out twice, for
    # blocks that wrap.
    prefix = np.concatenate([[0.0], np.cumsum(np.tile(series - mean, 2))])
    random = np.random.Generator(np.random.SFC64(seed))
    blocks = n / block
    columns = math.ceil(blocks + 5 * math.sqrt(blocks) + 5)
    # The number of blocks is nearly Poisson. Five standard deviations more suffice almost always; if they do not,
    # `_block_lengths` draws the rest.
    rows = max(1, _CHUNK // columns)
    means = np.empty(n_resamples)
    for start in range(0, n_resamples, rows):
        chunk = means[start : start + rows]
        lengths = _block_lengths(random, n, 1 / block, (len(chunk), columns))
        source = random.integers(n, size=lengths.shape)
        chunk[:] = (prefix.take(source + lengths) - prefix.take(source)).sum(axis=1) / n + mean
    return means


def stationary_bootstrap_joint_means(
    x: ArrayLike, *, block: float, n_resamples: int = 9999, seed: int
) -> NDArray[np.float64]:
    """Draw means of several series, resampled on the same days, which keeps what binds the series.

    Parameters
    ----------
    x : array_like of float, shape (n, n_series)
        Stationary series in order of time, one a column, n >= 2.
    block, n_resamples, seed
        As for `stationary_bootstrap_means`.

    Returns
    -------
    ndarray of float64, shape (n_resamples, n_series)
        Means of resamples of n days [unit of x].

    Raises
    ------
    StatisticsError
        If a series is too short or not finite, or a number is out of its range.

    Notes
    -----
    How often a resample takes each day follows from where its blocks begin and end; the means of all series are then
    one product of matrices.
    """
    return np.concatenate(list(joint_means_in_parts(x, block=block, n_resamples=n_resamples, seed=seed)))


def joint_means_in_parts(x: ArrayLike, *, block: float, n_resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Draw what `stationary_bootstrap_joint_means` does, some rows at a time, for more than memory would hold."""
    series = numbers(x, name="series")
    if series.ndim != 2 or series.shape[1] < 1:
        raise StatisticsError(f"series have shape {series.shape}, expected one row a day and one column a series")
    for column in series.T:
        finite_series(column, at_least=2)
    _check_resampling(block, n_resamples, seed)
    n, mean = len(series), series.mean(axis=0)
    random = np.random.Generator(np.random.SFC64(seed))
    blocks = n / block
    columns = math.ceil(blocks + 5 * math.sqrt(blocks) + 5)
    rows = max(1, _CHUNK // max(columns, n))
    for start in range(0, n_resamples, rows):
        size = min(rows, n_resamples - start)
        lengths = _block_lengths(random, n, 1 / block, (size, columns))
        source = random.integers(n, size=lengths.shape)
        # A block opens at its first day and closes after its last; the running sum says how often each day is taken.
        base = np.arange(size)[:, np.newaxis] * (2 * n + 1)
        cells = size * (2 * n + 1)
        opened = np.bincount((source + base).ravel(), minlength=cells)
        opened -= np.bincount((source + lengths + base).ravel(), minlength=cells)
        taken = np.cumsum(opened.reshape(size, 2 * n + 1), axis=1)
        # Days are counted over two rounds, for blocks that wrap; both rounds are the same days.
        yield (taken[:, :n] + taken[:, n : 2 * n]) @ (series - mean) / n + mean


def _check_resampling(block: float, n_resamples: int, seed: int) -> None:
    if not (math.isfinite(block) and block >= 1):
        raise StatisticsError(f"mean block length is {block}, expected at least 1: 1 resamples single values")
    if n_resamples < 1:
        raise StatisticsError(f"{n_resamples} resamples, expected at least 1")
    if seed < 0:
        raise StatisticsError(f"seed is {seed}, expected at least 0")


def stationary_bootstrap_variance(x: ArrayLike, *, block: float) -> float:
    """Compute the variance of sqrt(n) times the mean of a stationary resample, in closed form.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 2.
    block : float
        Mean block length, at least 1 [values].

    Returns
    -------
    float
        The variance, without any drawing [squared unit of x].

    Raises
    ------
    StatisticsError
        If the series is too short or not finite, or the block length is below 1 or not finite.

    Notes
    -----
    R_0 + 2 sum_i ((1 - i/n) (1 - p)^i + (i/n) (1 - p)^(n - i)) R_i with autocovariances R_i and p = 1 / block: lemma 1
    of [1]_.

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, The stationary bootstrap, JASA 89:1303, 1994.
    """
    series = finite_series(x, at_least=2)
    _check_resampling(block, 1, 0)
    n, keep = series.size, 1 - 1 / block
    deviation = series - series.mean()
    lags = np.arange(1, n)
    # Padded to twice its length, the series does not meet itself round the end: products of the FFT are then plain
    # autocovariances.
    power = np.fft.rfft(deviation, 2 * n)
    covariance = np.fft.irfft(power * power.conj(), 2 * n)[:n] / n
    # The second term is for blocks that wrap, in which lag i joins values n - i apart.
    weights = (1 - lags / n) * keep**lags + lags / n * keep ** (n - lags)
    return float(covariance[0] + 2 * (weights * covariance[1:]).sum())


def _block_lengths(random: np.random.Generator, n: int, chance: float, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Draw geometric lengths that sum to n in each row; the last block is cut, and those after it are empty."""
    ends = _ends(random, n, chance, shape)
    while ends[:, -1].min() < n:
        ends = np.concatenate([ends, ends[:, -1:] + _ends(random, n, chance, shape)], axis=1)
    np.minimum(ends, n, out=ends)
    ends[:, 1:] -= ends[:, :-1].copy()
    return ends


def _ends(random: np.random.Generator, n: int, chance: float, shape: tuple[int, int]) -> NDArray[np.int64]:
    lengths = random.geometric(chance, size=shape)
    # A block longer than n is cut to n anyway, and the sum of a few huge lengths would overflow.
    np.minimum(lengths, n, out=lengths)
    return np.cumsum(lengths, axis=1, out=lengths)
