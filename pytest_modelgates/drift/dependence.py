"""How many independent rows a sample is worth, since rows of one day resemble each other."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..storage.text import counted
from .summary import FEWEST_DAYS, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Independent rows that the finite values of both samples are worth [count], and how that was found, in words."""

    golden: float
    current: float
    measured: bool
    how: str


def worth(golden: Summary, current: Summary) -> Worth:
    """Say how many independent rows two samples are worth.

    Parameters
    ----------
    golden, current : Summary

    Returns
    -------
    Worth
        With the days of at least 20 on a side, its rows divided by its design effect, see `design_effect`. With fewer
        on the current side, n / (1 + (m - 1) rho) for m rows of a day, with rho of the golden's days. A golden
        without days is taken to be like the current sample. If that leaves nothing to go by, the rows themselves.
        Rows of no known day, if they are not most, are taken to be spread over the days of the others.

    References
    ----------
    .. [1] L. Kish, Survey Sampling, Wiley, 1965, section 5.4.
    """
    n, m = golden.counts.finite, current.counts.finite
    then, now = golden.by_day, current.by_day
    of_golden = _of_all(golden, then) if then is not None and len(then) >= FEWEST_DAYS else None
    if now is not None and len(now) >= FEWEST_DAYS:
        effect = _of_all(current, now)
        return Worth(
            golden=n / (effect if of_golden is None else of_golden),
            current=m / effect,
            measured=True,
            how=f"over {len(now)} days{_undated(current)}",
        )
    if now is not None and then is not None and of_golden is not None:
        return _as_the_golden(golden, current, then, now, of_golden)
    why = "their days are not known" if now is None else f"{len(now)} days are too few to tell otherwise"
    return as_independent(golden, current, why)


def worth_like_golden(golden: Summary, current: Summary) -> Worth:
    """Say how many independent rows two samples are worth, if rows of a day resemble each other as the golden's do.

    A sample that drifts slowly has days that differ: by `worth`, which looks at its own, it would be worth too few rows
    for that to be seen. Where the golden's days are too few or not known, `worth` has to do.

    Parameters
    ----------
    golden, current : Summary

    Returns
    -------
    Worth
        Of the current sample n / (1 + (m - 1) rho) for m rows of a day, with rho of the golden's days.
    """
    then, now = golden.by_day, current.by_day
    if then is None or now is None or len(then) < FEWEST_DAYS:
        return worth(golden, current)
    return _as_the_golden(golden, current, then, now, _of_all(golden, then))


def _as_the_golden(
    golden: Summary, current: Summary, then: NDArray[np.int64], now: NDArray[np.int64], of_golden: float
) -> Worth:
    rho = (of_golden - 1) / max(_of_a_day(golden, then) - 1, 1)
    effect = max(1.0, 1 + (_of_a_day(current, now) - 1) * rho)
    days = f"{len(now)} days" if len(now) > 1 else "1 day"
    return Worth(
        golden=golden.counts.finite / of_golden,
        current=current.counts.finite / effect,
        measured=True,
        how=(
            f"{days}, whose rows are taken to resemble each other as the golden's do (correlation {rho:.2f})"
            f"{_undated(current)}"
        ),
    )


def as_independent(golden: Summary, current: Summary, why: str) -> Worth:
    """Take all finite rows as independent."""
    n, m = golden.counts.finite, current.counts.finite
    return Worth(golden=float(n), current=float(m), measured=False, how=f"rows are taken as independent: {why}")


def _undated(sample: Summary) -> str:
    if not sample.undated:
        return ""
    rows = f"{counted(sample.undated, 'row')} of no known day {'is' if sample.undated == 1 else 'are'}"
    return f" ({rows} taken to be of these)"


def _of_all(sample: Summary, by_day: NDArray[np.int64]) -> float:
    """Say how large the design effect is if rows of no known day are of the same days, each of which then has more."""
    return 1 + (design_effect(by_day) - 1) * sample.counts.finite / float(by_day.sum())


def _of_a_day(sample: Summary, by_day: NDArray[np.int64]) -> float:
    """How many rows share the day of a row, itself included, on average."""
    rows = by_day.sum(axis=1).astype(np.float64)
    return float((rows**2).sum() / rows.sum() ** 2) * sample.counts.finite


def design_effect(by_day: NDArray[np.int64]) -> float:
    """Say how many times the variance of a share of rows is that of as many independent ones.

    Parameters
    ----------
    by_day : ndarray of int, shape (n_days, n_pieces)
        Values of each day in each piece, the pieces in the order of values and the days in that of time.

    Returns
    -------
    float
        At least 1: the variance of the distribution function over days, summed over the edges of the pieces, over that
        of independent rows. Days that follow on each other count together, with Bartlett's weights [1]_. It is divided
        by how much of the variance so few days are expected to show.

    References
    ----------
    .. [1] W. K. Newey and K. D. West, Automatic lag selection in covariance matrix estimation, Review of Economic
       Studies 61:631, 1994; four (n / 100)^(2/9) lags.
    """
    days, rows = len(by_day), by_day.sum()
    up_to = np.cumsum(by_day, axis=1)[:, :-1].astype(np.float64)
    share = up_to.sum(axis=0) / rows
    independent = float((rows * share * (1 - share)).sum())
    if independent == 0:  # all values are in one piece
        return 1.0
    off = up_to - by_day.sum(axis=1)[:, None] * share
    lags = int(4 * (days / 100) ** (2 / 9))
    variance, shown = (off**2).sum(), 1 - 1 / days
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1)
        variance += 2 * weight * (off[lag:] * off[:-lag]).sum()
        # Deviations from a mean of so few days are negatively correlated: by 1 / days, for each pair.
        shown -= 2 * weight * (days - lag) / days**2
    return max(1.0, float(variance) / independent / shown)


def square_root(worth: Worth) -> float:
    """By which a distance is multiplied for its limit law: the root of n m / (n + m)."""
    return math.sqrt(worth.golden * worth.current / (worth.golden + worth.current))
