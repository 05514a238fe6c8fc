"""What a Sharpe ratio is worth: its error, its chance of being luck, and the length of record that settles it.

Ratios are per period, never annualised, and kurtosis is raw (3 for a normal series). Everything here takes periods for
independent. For returns that depend on each other, use the tests of `significance`.
"""

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from ..errors import InsufficientDataError, StatisticsError
from .quantiles import finite_series, refuse_constant

_EULER = 0.5772156649015329
# Products of four such numbers still fit a float64. No sample has larger moments.
_LARGEST = 1e50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpe:
    """The Sharpe ratio of a sample: `ratio` [per period], `n` [periods], `skewness`, and `kurtosis`, 3 if normal.

    Raises
    ------
    StatisticsError
        If there are fewer than two periods, a number is not finite, or no sample has such a skewness and kurtosis.
    """

    ratio: float
    n: int
    skewness: float = 0.0
    kurtosis: float = 3.0

    def __post_init__(self) -> None:
        if self.n < 2:
            raise InsufficientDataError(f"a Sharpe ratio of {self.n} periods, expected at least 2: measure more")
        # Pearson's inequality, kurtosis >= 1 + skewness^2, holds for every sample. It also bounds the variance of the
        # ratio from below by (1 - g3 SR / 2)^2, so that its root exists.
        numbers = (self.ratio, self.skewness, self.kurtosis)
        if not all(abs(number) <= _LARGEST for number in numbers) or self.kurtosis < 1 + self.skewness**2 - 1e-9:
            raise StatisticsError(
                f"ratio {self.ratio}, skewness {self.skewness}, kurtosis {self.kurtosis}: no sample has these; "
                "kurtosis is raw, 3 for a normal series"
            )


def sharpe_of(returns: ArrayLike, *, riskless: float = 0.0) -> Sharpe:
    """Measure the Sharpe ratio of a series of returns, and the moments that its error depends on.

    Parameters
    ----------
    returns : array_like of float, shape (n,)
        Returns of each period, n >= 2 [share of capital].
    riskless : float, default 0
        Return that needs no risk [share of capital per period].

    Returns
    -------
    Sharpe
        Mean over standard deviation with n - 1 in its variance; population skewness and kurtosis.

    Raises
    ------
    StatisticsError
        If the series is too short, not finite or constant.
    """
    series = finite_series(returns, name="returns", at_least=2)
    refuse_constant(series)
    # The moments of the error of Mertens 2002 are those of the population, so the deviation here divides by n.
    z = (series - series.mean()) / series.std()
    return Sharpe(
        ratio=float((series.mean() - riskless) / series.std(ddof=1)),
        n=series.size,
        skewness=float((z**3).mean()),
        kurtosis=float((z**4).mean()),
    )


def _variance_factor(sharpe: Sharpe, ratio: float) -> float:
    # n times the variance of the ratio, Mertens 2002. A normal series has skewness 0 and kurtosis 3, which leaves the
    # 1 + SR^2 / 2 of Lo 2002.
    # By Pearson's inequality it is not negative, but rounding may make it so.
    return max(0.0, 1 - sharpe.skewness * ratio + (sharpe.kurtosis - 1) / 4 * ratio**2)


def sharpe_error(sharpe: Sharpe) -> float:
    """Estimate the standard error of a Sharpe ratio of independent periods.

    Parameters
    ----------
    sharpe : Sharpe
        The ratio, and the moments of its returns.

    Returns
    -------
    float
        The standard error [per period].

    Notes
    -----
    sqrt((1 + SR^2 / 2) / n) for normal returns [1]_. In general it is sqrt((1 - g3 SR + (g4 - 1) / 4 SR^2) / n) with
    skewness g3 and kurtosis g4 [2]_.

    References
    ----------
    .. [1] A. W. Lo, The statistics of Sharpe ratios, Financial Analysts Journal 58(4):36, 2002, table 1.
    .. [2] E. Mertens, Comments on variance of the IID estimator in Lo (2002), working paper, 2002.
    """
    return math.sqrt(_variance_factor(sharpe, sharpe.ratio) / sharpe.n)


def probabilistic_sharpe(sharpe: Sharpe, *, benchmark: float = 0.0) -> float:
    """Chance that a sample with no better ratio than `benchmark` would have shown less than this one did.

    Parameters
    ----------
    sharpe : Sharpe
        The observed ratio, and the moments of its returns.
    benchmark : float, default 0
        The ratio to beat [per period].

    Returns
    -------
    float
        From 0 to 1; 1 less a one-sided p-value.

    Raises
    ------
    StatisticsError
        If the benchmark is not finite, or the error of the ratio is 0, as it can be for returns of two values alone.

    Notes
    -----
    ``Phi[(SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)]`` [1]_, with the benchmark ``SR*``, skewness g3
    and kurtosis g4. Periods are taken for independent; for others use `significance.mean_exceeds`.

    References
    ----------
    .. [1] D. H. Bailey and M. Lopez de Prado, The Sharpe ratio efficient frontier, Journal of Risk 15(2):3, 2012,
       section 3.
    """
    # Bailey and Lopez de Prado 2012 divide by n - 1, where `sharpe_error` divides by n as Lo 2002 does.
    error = math.sqrt(_variance_factor(sharpe, sharpe.ratio) / (sharpe.n - 1))
    _check_benchmark(benchmark)
    if error == 0:
        raise StatisticsError(
            f"{sharpe} has an error of 0, so chance cannot be told from skill: its returns take two values alone; "
            "measure more"
        )
    return float(ndtr((sharpe.ratio - benchmark) / error))


def _check_benchmark(benchmark: float) -> None:
    if not math.isfinite(benchmark):
        raise StatisticsError(f"the benchmark is a ratio of {benchmark}, expected a number: such as 0")


def expected_best_sharpe(trials: int, variance: float) -> float:
    """Approximate the ratio that the best of several trials without skill is expected to show.

    Parameters
    ----------
    trials : int
        Number of independent trials, at least 1.
    variance : float
        Variance of the ratios over the trials [per period, squared].

    Returns
    -------
    float
        The expected best ratio [per period]; 0 for a single trial.

    Raises
    ------
    StatisticsError
        If there are no trials, or the variance is negative or not finite.

    Notes
    -----
    sqrt(V) ((1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))) with Euler's constant g: equation 1 of [1]_ for ratios of
    mean 0. It is the limit for many trials, by extreme value theory.

    References
    ----------
    .. [1] D. H. Bailey and M. Lopez de Prado, The deflated Sharpe ratio, Journal of Portfolio Management 40(5):94,
       2014.
    """
    if trials < 1:
        raise StatisticsError(f"{trials} trials, expected at least 1: what was packed is one")
    if not (math.isfinite(variance) and variance >= 0):
        raise StatisticsError(f"the variance of the trials' ratios is {variance}, expected a number of at least 0")
    # The limit for many trials is minus infinity at one, whose best is itself, expected at 0.
    if trials == 1:
        return 0.0
    # Equation 1 of Bailey and Lopez de Prado 2014, the mean of the Gumbel law that the best of N normals tends to.
    inner = (1 - _EULER) * ndtri(1 - 1 / trials) + _EULER * ndtri(1 - 1 / (trials * math.e))
    return float(math.sqrt(variance) * inner)


def deflated_sharpe(sharpe: Sharpe, *, trials: int, variance: float | None = None) -> float:
    """Chance that the best of that many trials without skill would have shown less than this one did.

    Parameters
    ----------
    sharpe : Sharpe
        The ratio of the trial that was chosen, and the moments of its returns.
    trials : int
        Number of trials, this one included.
    variance : float, optional
        Variance of the ratios over the trials [per period, squared]. By default it is that of trials without skill,
        1 / (n - 1), for want of the other ratios.

    Returns
    -------
    float
        The probabilistic Sharpe ratio against the best that luck alone is expected to show, from 0 to 1: equation 2 of
        [1]_.

    Raises
    ------
    StatisticsError
        If there are no trials, or the variance is negative or not finite.

    References
    ----------
    .. [1] D. H. Bailey and M. Lopez de Prado, The deflated Sharpe ratio, Journal of Portfolio Management 40(5):94,
       2014.
    """
    # Without skill SR is 0, and the variance of Mertens 2002 is 1 over n - 1.
    spread = 1 / (sharpe.n - 1) if variance is None else variance
    return probabilistic_sharpe(sharpe, benchmark=expected_best_sharpe(trials, spread))


def minimum_track_record(sharpe: Sharpe, *, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Count the periods that a ratio like this one must last to beat `benchmark` with confidence.

    Parameters
    ----------
    sharpe : Sharpe
        The observed ratio, and the moments of its returns.
    benchmark : float, default 0
        The ratio to beat [per period].
    confidence : float, default 0.95
        The probabilistic Sharpe ratio to reach.

    Returns
    -------
    float
        Number of periods [periods], not rounded; infinite for a ratio that does not exceed the benchmark.

    Raises
    ------
    StatisticsError
        If the confidence does not lie between 0 and 1, or the benchmark is not finite.

    Notes
    -----
    ``1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (z / (SR - SR*))^2``, equation 13 in the preprint of [1]_, with the normal
    quantile z of the confidence.

    References
    ----------
    .. [1] D. H. Bailey and M. Lopez de Prado, The Sharpe ratio efficient frontier, Journal of Risk 15(2):3, 2012.
    """
    if not 0 < confidence < 1:
        raise StatisticsError(f"confidence is {confidence}, expected a number between 0 and 1, such as 0.95")
    _check_benchmark(benchmark)
    if sharpe.ratio <= benchmark:
        return math.inf
    # `probabilistic_sharpe` = confidence, solved for n.
    needed = float(ndtri(confidence)) / (sharpe.ratio - benchmark)
    factor = _variance_factor(sharpe, sharpe.ratio)
    return 1 + factor * needed * needed if factor else 1.0


def minimum_backtest_years(trials: int, *, sharpe: float = 1.0) -> float:
    """Count the years of data below which the best of that many trials is expected to show `sharpe` by luck alone.

    Parameters
    ----------
    trials : int
        Number of independent trials, at least 1.
    sharpe : float, default 1
        The Sharpe ratio that luck must not reach, above 0 [a year].

    Returns
    -------
    float
        Minimum length of the backtest [years]; 0 for a single trial, infinite for a ratio of next to nothing.

    Raises
    ------
    StatisticsError
        If there are no trials, or the ratio is not above 0.

    Notes
    -----
    The square of the expected best of N standard normals over the ratio: equation 6 of [1]_.

    References
    ----------
    .. [1] D. H. Bailey, J. M. Borwein, M. Lopez de Prado and Q. J. Zhu, Pseudo-mathematics and financial
       charlatanism, Notices of the AMS 61(5):458, 2014.
    """
    if not (math.isfinite(sharpe) and sharpe > 0):
        raise StatisticsError(f"the Sharpe ratio aimed at is {sharpe}, expected a number above 0")
    # Without skill the yearly ratio of y years has variance 1 / y, so the expected best falls with sqrt(y). This is y.
    years = expected_best_sharpe(trials, 1.0) / sharpe
    return years * years
