"""Whether a mean exceeds a bound by more than luck, for one series and over many. Knows nothing of gates and limits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct
from scipy.special import ndtr, stdtr, stdtrit

from ..errors import StatisticsError
from .quantiles import finite_series, refuse_constant
from .resampling import (
    MINIMUM_VALUES,
    optimal_block_length,
    stationary_bootstrap_means,
    stationary_bootstrap_variance,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanTest:
    """A one-sided test of a mean: `p_against` is the larger of `p_ewc` and `p_bootstrap`, the p-values of two methods.

    `mean` [unit of the series] and `n` [values] describe the sample. `cosines` are the degrees of freedom of `p_ewc`,
    `block` is the mean block length of `p_bootstrap` [values].
    """

    mean: float
    p_against: float
    p_ewc: float
    p_bootstrap: float
    cosines: int
    block: float
    n: int


def ewc_p_value(x: ArrayLike, *, bound: float = 0.0) -> tuple[float, int]:
    """Test by equal-weighted cosines whether the mean of a dependent series exceeds a bound.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 20.
    bound : float, default 0
        The mean under the null hypothesis, mean <= bound [unit of x].

    Returns
    -------
    p : float
        One-sided p-value.
    nu : int
        Number of cosines, floor(0.4 n^(2/3)), the degrees of freedom of Student's t.

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant, or the bound is not finite.

    Notes
    -----
    The long-run variance is the mean square of the projections on the first nu type-II cosines [1]_, and nu is that of
    equation 4 there. The test rejects too often where neighbours overlap over h values and n / h is below 25.

    References
    ----------
    .. [1] E. Lazarus, D. J. Lewis, J. H. Stock and M. W. Watson, HAR inference: recommendations for practice,
       Journal of Business & Economic Statistics 36:541, 2018.
    """
    series = _testable(x, bound)
    error, nu = _cosines(series)
    with np.errstate(divide="ignore"):
        # The slowest cosines alone estimate the variance. A series that is 0 on all of them has an infinite t.
        t = (series.mean() - bound) / error
    return float(stdtr(nu, -t)), nu


def ewc_error(x: ArrayLike) -> float:
    """Estimate the standard error of the mean of a dependent series by equal-weighted cosines.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 20.

    Returns
    -------
    float
        The standard error [unit of x], by the cosines of `ewc_p_value`.

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant.
    """
    return float(_cosines(_testable(x, 0.0))[0])


def newey_west_error(x: ArrayLike, *, lags: int) -> float:
    """Estimate the standard error of the mean of a dependent series by the Bartlett kernel.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 20.
    lags : int
        The last lag whose autocovariance counts, from 0 to n - 1 [values]. At 0 it is the error of independent values.

    Returns
    -------
    float
        The standard error [unit of x], with n in the variance. `newey` of Stata has n / (n - k) times its square, for k
        coefficients.

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant, or the lags are out of range.

    Notes
    -----
    The variance is R_0 + 2 sum_j (1 - j / (lags + 1)) R_j over n [1]_. The gates take the cosines of `ewc_error`: a
    normal quantile of this error rejects too often, and more so the longer the dependence. It is here to compare with
    other tools.

    References
    ----------
    .. [1] W. K. Newey and K. D. West, A simple, positive semi-definite, heteroskedasticity and autocorrelation
       consistent covariance matrix, Econometrica 55:703, 1987.
    """
    series = _testable(x, 0.0)
    n = series.size
    if not 0 <= lags < n:
        raise StatisticsError(f"{lags} lags of {n} values, expected from 0 to {n - 1}")
    deviation = series - series.mean()
    # Equation 5 of Newey and West 1987; the falling weights keep the sum from being negative.
    covariances = np.array([deviation[lag:] @ deviation[: n - lag] for lag in range(lags + 1)]) / n
    weights = 1 - np.arange(lags + 1) / (lags + 1)
    variance = 2 * weights @ covariances - covariances[0]
    # The sum may still be 0, and rounding then puts it below.
    return float(np.sqrt(max(float(variance), 0.0) / n))


def ewc_bounds(x: ArrayLike, *, confidence: float = 0.90) -> tuple[float, float]:
    """Bound the mean of a dependent series by an interval with the confidence asked for; see `ewc_p_value`.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 20.
    confidence : float, default 0.90
        Two-sided: at 0.90 the lower end is a 5 % bound by itself.

    Returns
    -------
    low, high : float
        Ends of the interval [unit of x].

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant, or the confidence does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise StatisticsError(f"confidence is {confidence}, expected a number between 0 and 1, such as 0.9")
    series = _testable(x, 0.0)
    error, nu = _cosines(series)
    reach = float(stdtrit(nu, (1 + confidence) / 2) * error)
    return float(series.mean()) - reach, float(series.mean()) + reach


def _cosines(series: NDArray[np.float64]) -> tuple[np.float64, int]:
    n = series.size
    # nu = 0.4 n^(2/3), equation 4 of Lazarus and others 2018. `cbrt` is exact for cubes; 1,000 ** (2 / 3) is a bit
    # below 100, and a cosine would be lost.
    nu = int(0.4 * np.cbrt(n) ** 2)
    # The orthonormal DCT-II projects on sqrt(2 / n) cos(pi j (t - 1/2) / n). Projection 0 is the mean, which is not a
    # part of the variance; each of the others adds one degree of freedom.
    projections = dct(series - series.mean(), type=2, norm="ortho")[1 : nu + 1]
    return np.sqrt((projections**2).mean() / n), nu


def _testable(x: ArrayLike, bound: float) -> NDArray[np.float64]:
    series = finite_series(x, at_least=MINIMUM_VALUES)
    refuse_constant(series)
    if not np.isfinite(bound):
        raise StatisticsError(f"bound is {bound}, expected a finite number")
    return series


def mean_exceeds(x: ArrayLike, *, bound: float = 0.0, horizon: int = 1, n_resamples: int = 9999, seed: int) -> MeanTest:
    """Test the hypothesis that the mean of a dependent series is at most `bound`, by two methods.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        A stationary series in order of time, n >= 20.
    bound : float, default 0
        The largest mean under the null hypothesis [unit of x].
    horizon : int, default 1
        Values over which neighbours overlap; blocks are no shorter [values]. The daily IC of a position has 1.
    n_resamples : int, default 9999
        Resamples of the bootstrap.
    seed : int
        Seed of the random numbers, at least 0.

    Returns
    -------
    MeanTest
        Its `p_against` is the larger of the p-values by cosines [1]_ and by the stationary bootstrap [2]_. The null
        distribution of the bootstrap is the resampled means shifted to the bound.

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant, or a number is out of its range.

    References
    ----------
    .. [1] E. Lazarus, D. J. Lewis, J. H. Stock and M. W. Watson, HAR inference: recommendations for practice,
       Journal of Business & Economic Statistics 36:541, 2018.
    .. [2] D. N. Politis and J. P. Romano, The stationary bootstrap, JASA 89:1303, 1994.
    """
    series = _testable(x, bound)
    block = _block(series, horizon)
    p_ewc, nu = ewc_p_value(series, bound=bound)
    means = stationary_bootstrap_means(series, block=block, n_resamples=n_resamples, seed=seed)
    mean = float(series.mean())
    # Resampled means scatter about the sample's mean; less that mean, plus the bound, they obey the null hypothesis.
    # The observed sample counts as one resample, so that p is never 0 and the test keeps its level.
    p_bootstrap = (1 + int((means - mean >= mean - bound).sum())) / (n_resamples + 1)
    # Alone the bootstrap rejects too often in short samples that overlap; the larger of the two keeps the level there.
    return MeanTest(
        mean=mean,
        p_against=max(p_ewc, p_bootstrap),
        p_ewc=p_ewc,
        p_bootstrap=p_bootstrap,
        cosines=nu,
        block=block,
        n=series.size,
    )


def mean_exceeds_closed(x: ArrayLike, *, bound: float = 0.0, horizon: int = 1) -> tuple[float, float]:
    """Test as `mean_exceeds` does, without random numbers: the bootstrap's p-value is that of its variance.

    Parameters
    ----------
    x, bound, horizon
        As for `mean_exceeds`.

    Returns
    -------
    p_against : float
        The larger of the p-values by cosines and by the normal distribution with the variance that means of stationary
        resamples have [1]_.
    block : float
        Mean block length of these resamples [values].

    Raises
    ------
    StatisticsError
        As for `mean_exceeds`.

    Notes
    -----
    No seed can decide, and no number of resamples bounds the p-value from below. What is lost is the skewness of the
    resampled means.

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, The stationary bootstrap, JASA 89:1303, 1994, lemma 1.
    """
    series = _testable(x, bound)
    block = _block(series, horizon)
    error = np.sqrt(stationary_bootstrap_variance(series, block=block) / series.size)
    with np.errstate(divide="ignore"):
        p_bootstrap = float(ndtr(-(series.mean() - bound) / error))
    return max(ewc_p_value(series, bound=bound)[0], p_bootstrap), block


def _block(series: NDArray[np.float64], horizon: int) -> float:
    if horizon < 1:
        raise StatisticsError(f"horizon is {horizon}, expected at least 1: 1 means that nothing overlaps")
    # The rule sees only the sample. A known overlap is dependence too, even where the sample does not show it.
    return max(optimal_block_length(series), float(horizon))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values for having looked at all of them, by the method of Holm.

    Parameters
    ----------
    p_values : array_like of float, shape (n_tests,)
        From 0 to 1, dependent or not.

    Returns
    -------
    ndarray of float64, shape (n_tests,)
        Adjusted p-values in the same order: those up to alpha are rejected with a chance of at most alpha of any false
        rejection [1]_.

    Raises
    ------
    StatisticsError
        If there are none, or one is not a number from 0 to 1.

    References
    ----------
    .. [1] S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6:65, 1979.
    """
    p = finite_series(p_values, name="p-values")
    if p.min() < 0 or p.max() > 1:
        raise StatisticsError(f"p-values lie between {p.min():g} and {p.max():g}, expected 0 to 1")
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    # Holm 1979: the k-th smallest of m is multiplied by m - k + 1, and none is adjusted below a smaller one.
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return adjusted
