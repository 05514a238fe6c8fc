"""Quantiles of measured values, and the checks that every series of numbers has to pass first."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError

Series = NDArray[np.float64]
LARGEST = 1e100  # of what may still be squared, and a fourth power of it taken over a standard deviation


def numbers(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    """Read real numbers of any dtype into an array of float64, NaN included, or raise StatisticsError."""
    try:
        given = np.asarray(values)
        if given.dtype.kind in "biufO":
            return np.asarray(given, dtype=np.float64)
        why = f"{given.dtype}"
    except (TypeError, ValueError) as error:
        why = str(error)
    raise StatisticsError(f"{name} cannot be read as numbers ({why}): give one real number a place")


def finite_series(values: ArrayLike, *, name: str = "series", at_least: int = 1) -> Series:
    """Read one series of finite numbers, or say why it is none.

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
        If there are several dimensions, too few values, or one that is no number, NaN, infinite or beyond 1e100.
    """
    series = numbers(values, name=name)
    if series.ndim != 1:
        raise StatisticsError(f"{name} has {series.ndim} dimensions, expected 1: give one number a row")
    if series.size < at_least:
        raise StatisticsError(f"{name} has {series.size} values, expected at least {at_least}: measure more")
    if bad := int((~np.isfinite(series)).sum()):
        raise StatisticsError(f"{name} has {bad} of {series.size} values NaN or infinite: remove their cause")
    if (largest := float(np.abs(series).max(initial=0.0))) > LARGEST:
        raise StatisticsError(f"{name} reaches {largest:.3g} in size, expected at most {LARGEST:g}: use another unit")
    return series


def is_constant(series: Series) -> bool:
    """Tell whether a series has no spread to be judged by: all values are equal, or too small to be squared."""
    return bool(series.min() == series.max() or series.std() == 0)


def refuse_constant(series: Series) -> None:
    """Raise StatisticsError if a series `is_constant`."""
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
