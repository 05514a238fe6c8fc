"""Quantiles of measured values, and the checks that every series of numbers has to pass first."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError

Series = NDArray[np.float64]
# The square of 1e100 still fits a float64, which ends at 1.8e308. Higher powers are only taken of values that were
# divided by their standard deviation.
LARGEST = 1e100


def numbers(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    """Read real numbers of any dtype into an array of float64.

    Parameters
    ----------
    values : array_like
        Real numbers in any shape; NaN and infinity are let through.
    name : str
        What the message of an error calls them.

    Returns
    -------
    ndarray of float64
        The same numbers in the same shape.

    Raises
    ------
    StatisticsError
        If the values cannot be read as real numbers, or some are masked.
    """
    # numpy would use what a mask hides.
    if isinstance(values, np.ma.MaskedArray) and (hidden := int(np.ma.getmaskarray(values).sum())):
        raise StatisticsError(f"{name} has {hidden} masked values: drop them, or fill them")
    try:
        given = np.asarray(values)
        # numpy would also convert text and dates, and drop the imaginary part of a complex number.
        if given.dtype.kind in "biufO":
            return np.asarray(given, dtype=np.float64)
        why = f"{given.dtype}"
    except (TypeError, ValueError) as error:
        why = str(error)
    raise StatisticsError(f"{name} cannot be read as numbers ({why}): give one real number a place")


def finite_series(values: ArrayLike, *, name: str = "series", at_least: int = 1) -> Series:
    """Read one series of finite numbers, or say why the values are not one.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        The numbers.
    name : str, default "series"
        What the message of an error calls them.
    at_least : int, default 1
        The fewest values that the caller can use [count].

    Returns
    -------
    ndarray of float64, shape (n,)
        The same numbers.

    Raises
    ------
    StatisticsError
        If there are several dimensions or too few values, or a value is not a number, NaN, infinite or beyond 1e100.
    """
    series = numbers(values, name=name)
    if series.ndim != 1:
        raise StatisticsError(f"{name} has {series.ndim} dimensions, expected 1: give one number a row")
    if series.size < at_least:
        raise InsufficientDataError(
            f"{name} has {series.size} values, expected at least {at_least}: measure more", sample=series.size
        )
    if bad := int((~np.isfinite(series)).sum()):
        raise StatisticsError(f"{name} has {bad} of {series.size} values NaN or infinite: remove their cause")
    if (largest := float(max(series.max(initial=0.0), -series.min(initial=0.0)))) > LARGEST:
        raise StatisticsError(f"{name} reaches {largest:.3g} in size, expected at most {LARGEST:g}: use another unit")
    return series


def labels(values: ArrayLike, *, name: str, rows: int | None = None) -> NDArray[Any]:
    """Read one label a row, such as its day or its fold.

    Parameters
    ----------
    values : array_like, shape (n_rows,)
        The labels.
    name : str
        What the message of an error calls them.
    rows : int, optional
        Number of rows; any if left out.

    Returns
    -------
    ndarray, shape (n_rows,)
        The same labels.

    Raises
    ------
    StatisticsError
        If there is not one label a row, or one is missing.
    """
    try:
        given = np.asarray(values)
    except ValueError as error:
        raise StatisticsError(f"{name}s cannot be read ({error}): give one {name} a row") from error
    if given.shape != (rows if rows is not None else given.size,):
        raise StatisticsError(f"{rows or given.size} rows, {name}s of shape {given.shape}: give one {name} a row")
    # NaN and NaT are the values that do not equal themselves.
    if missing := int(np.sum(given != given)):
        raise StatisticsError(f"{missing} of {given.size} {name}s missing: drop their rows")
    return given


def is_constant(series: Series) -> bool:
    """Tell whether a series has no spread to be judged by.

    Parameters
    ----------
    series : ndarray of float, shape (n,)
        A series from `finite_series`, with at least one value.

    Returns
    -------
    bool
        True if all values are equal, or differ by so little that the square of the difference is 0.
    """
    # The mean of equal values may be off by rounding, which leaves a spread; the extremes are exact.
    return bool(series.min() == series.max() or series.std() == 0)


def refuse_constant(series: Series) -> None:
    """Refuse a series that `is_constant`.

    Parameters
    ----------
    series : ndarray of float, shape (n,)
        A series from `finite_series`, with at least one value.

    Raises
    ------
    StatisticsError
        If the series has no spread.
    """
    if is_constant(series):
        raise StatisticsError(f"all {series.size} values equal {series[0]:g}, expected a series that varies")


def quantile(x: ArrayLike, q: float) -> float:
    """Return the value that a share `q` of the sample does not exceed.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        The sample, in any order.
    q : float
        The share, from 0 to 1.

    Returns
    -------
    float
        The quantile, in the unit of `x`, linear between order statistics (type 7 of [1]_).

    Raises
    ------
    StatisticsError
        If the sample is empty or not finite, or the share lies outside 0 to 1.

    References
    ----------
    .. [1] R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages, American Statistician 50:361, 1996.
    """
    if not 0 <= q <= 1:
        raise StatisticsError(f"the share is {q}, expected 0 to 1: 0.95 asks for the 95th percentile")
    return float(np.quantile(finite_series(x, name="sample"), q))


def quantile_interval(x: ArrayLike, q: float, *, level: float = 0.9) -> tuple[float, float]:
    """Give the order statistics between which a quantile of the population lies, whatever its distribution.

    Parameters
    ----------
    x : array_like of float, shape (n,)
        The sample, in any order.
    q : float
        The share, between 0 and 1.
    level : float, default 0.9
        How often the interval holds the quantile, at least; each end misses it in half of the other cases at most.

    Returns
    -------
    (float, float)
        Lower and upper end, in the unit of `x`; minus infinity or infinity if no order statistic is far enough out.

    Raises
    ------
    StatisticsError
        If the sample is empty or not finite, or a share is not between 0 and 1.

    Notes
    -----
    The number of values below the quantile is binomial, so the interval of [1]_ assumes nothing but
    independent values. Where they come in bursts, as times on a busy machine do, it is too short.

    References
    ----------
    .. [1] W. J. Conover, Practical Nonparametric Statistics, 3rd edition, Wiley, 1999, section 3.2.
    """
    if not (0 < q < 1 and 0 < level < 1):
        raise StatisticsError(f"the share is {q} at level {level}, expected both between 0 and 1")
    from scipy.special import (
        bdtr,
    )  # here, since checks of numbers are asked for where scipy would take too long to load

    series = np.sort(finite_series(x, name="sample"))
    below = bdtr(np.arange(series.size), series.size, q)  # P(at most k values lie below the quantile)
    miss = (1 - level) / 2
    # The k-th value from below is above the quantile if fewer than k values lie below it: P(k - 1 or fewer).
    low = int(np.searchsorted(below, miss, side="right"))
    high = int(np.searchsorted(below, 1 - miss, side="left"))
    lower = series[low - 1] if low > 0 else -np.inf
    upper = series[high] if high < series.size else np.inf
    return float(lower), float(upper)
