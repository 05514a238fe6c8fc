"""Splits of days into training and test that share no label, and a check of splits that were made elsewhere.

No gate uses this module, because a model directory holds no training rows. It is library code for users who train
models. Days are counted, not dated: 0 is the first. A row of day t has a label that reads the prices of days t to
t + lag + horizon.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from .quantiles import numbers

Days = NDArray[np.int64]
Split = tuple[Days, Days]


def leaking(train: ArrayLike, test: ArrayLike, *, horizon: int, lag: int = 1, embargo: int = 0) -> Days:
    """Find the training days whose label window meets that of a test day, or that the embargo bars.

    Parameters
    ----------
    train, test : array_like of int, shapes (n_train,) and (n_test,)
        Days, in any order; the test days may come in several blocks.
    horizon : int
        Horizon of the label [days].
    lag : int, default 1
        Time between a row and the start of its label [days].
    embargo : int, default 0
        Time after the label window of each test block in which no training day may lie [days].

    Returns
    -------
    ndarray of int64, shape (n_leaking,)
        Training days that leak, ascending; empty if the split is sound.

    Raises
    ------
    StatisticsError
        If there are no test days, a day is not a whole number, or a number is out of its range.

    Notes
    -----
    With r = lag + horizon, day t leaks into a test block from a to b if t + r >= a and t <= b + r + embargo [1]_. A day
    before the block leaks by its own label, a day after it by the labels of the block. Every block counts by itself:
    days between two blocks may be used for training.

    References
    ----------
    .. [1] M. Lopez de Prado, Advances in Financial Machine Learning, Wiley, 2018, sections 7.4.1 and 7.4.2.
    """
    if horizon < 1 or lag < 0 or embargo < 0:
        raise StatisticsError(f"horizon {horizon}, lag {lag}, embargo {embargo}: expected at least 1, 0 and 0 days")
    rows, tested = np.unique(_days(train, "training")), np.unique(_days(test, "test"))
    if not tested.size:
        raise StatisticsError("no test days, expected at least 1")
    reach = lag + horizon
    # All label windows are equally long, so only the nearest test day on either side matters. A training day that is
    # itself tested counts as the nearest before it.
    after = np.searchsorted(tested, rows, side="right")
    before = tested[np.maximum(after - 1, 0)]
    following = tested[np.minimum(after, tested.size - 1)]
    meets_past = (after > 0) & (rows <= before + reach + embargo)
    meets_next = (after < tested.size) & (rows + reach >= following)
    return rows[meets_past | meets_next]


def purged(train: ArrayLike, test: ArrayLike, *, horizon: int, lag: int = 1, embargo: int = 0) -> Days:
    """Leave out the training days that `leaking` finds.

    Parameters
    ----------
    train, test : array_like of int, shapes (n_train,) and (n_test,)
        Days, in any order; the test days may come in several blocks.
    horizon, lag, embargo : int
        As for `leaking` [days].

    Returns
    -------
    ndarray of int64, shape (n_kept,)
        Training days that may be used, ascending and each once.

    Raises
    ------
    StatisticsError
        If there are no test days, a day is not a whole number, or a number is out of its range.

    References
    ----------
    .. [1] M. Lopez de Prado, Advances in Financial Machine Learning, Wiley, 2018, sections 7.4.1 and 7.4.2.
    """
    rows = np.unique(_days(train, "training"))
    return np.setdiff1d(rows, leaking(rows, test, horizon=horizon, lag=lag, embargo=embargo), assume_unique=True)


def _days(given: ArrayLike, name: str) -> Days:
    days = numbers(given, name=f"{name} days")
    # Every whole number below 2^53 is a float64 of its own.
    if bad := int((~((np.abs(days) < 2**53) & (days == np.trunc(days)))).sum()):
        raise StatisticsError(f"{bad} {name} days are no whole numbers: count days from 0")
    return days.astype(np.int64)


def _check_groups(n_days: int, groups: int, tested: int) -> None:
    if not (2 <= groups <= n_days and 1 <= tested < groups):
        raise StatisticsError(
            f"{tested} of {groups} groups of {n_days} days: expected fewer tested than groups than days"
        )


def walk_forward(n_days: int, *, train: int, test: int, purge: int = 0, expanding: bool = False) -> Iterator[Split]:
    """Train on `train` days, leave `purge` days out, test on the next `test` days, and move on by `test` days.

    Parameters
    ----------
    n_days : int
        Number of days to split [days].
    train, test : int
        Length of the training and of the test stretch [days].
    purge : int, default 0
        Days left out between the two [days]. Labels of horizon h at lag l need at least h + l to be in one of the two
        only.
    expanding : bool, default False
        Train on all days before the purged ones, not only on the last `train` days.

    Yields
    ------
    train, test : ndarray of int64, shapes (n_train,) and (n_test,)
        Days of each; days at the end that do not fill a test stretch are left out.

    Raises
    ------
    StatisticsError
        When the first split is asked for, if a length is out of its range or there is no room for one split.
    """
    if train < 1 or test < 1 or purge < 0:
        raise StatisticsError(f"train {train}, test {test}, purge {purge}: expected at least 1, 1 and 0 days")
    if n_days < train + purge + test:
        raise StatisticsError(f"{n_days} days, expected at least {train + purge + test} for one split")
    for start in range(train + purge, n_days - test + 1, test):
        known = start - purge
        yield np.arange(0 if expanding else known - train, known), np.arange(start, start + test)


def combinatorial(
    n_days: int, *, groups: int, tested: int, horizon: int, lag: int = 1, embargo: int = 0
) -> Iterator[Split]:
    """Test on every choice of `tested` out of `groups` stretches, train on the purged rest [1]_.

    Parameters
    ----------
    n_days : int
        Number of days to split [days].
    groups : int
        Number of stretches of nearly equal length, at least 2.
    tested : int
        Number of stretches tested at a time, at least 1 and fewer than `groups`.
    horizon, lag, embargo : int
        As for `leaking` [days].

    Yields
    ------
    train, test : ndarray of int64, shapes (n_train,) and (n_test,)
        Days of each. Each day is tested in C(groups - 1, tested - 1) splits; `paths` joins these into the same number
        of paths through all days.

    Raises
    ------
    StatisticsError
        When the first split is asked for, if a number is out of its range, or some split has no training day left.

    References
    ----------
    .. [1] M. Lopez de Prado, Advances in Financial Machine Learning, Wiley, 2018, section 12.4.
    """
    _check_groups(n_days, groups, tested)
    stretches = np.array_split(np.arange(n_days), groups)

    def split(chosen: tuple[int, ...]) -> Split:
        test = np.concatenate([stretches[group] for group in chosen])
        train = np.setdiff1d(np.arange(n_days), test, assume_unique=True)
        # A tested stretch may lie between others, so days on both of its sides are purged.
        return purged(train, test, horizon=horizon, lag=lag, embargo=embargo), test

    choices = list(itertools.combinations(range(groups), tested))
    # All are looked at first: who fits a model on each should not learn it after hours.
    if empty := [chosen for chosen in choices if not split(chosen)[0].size]:
        named = ", ".join(str(group + 1) for group in empty[0])
        raise InsufficientDataError(
            f"{len(empty)} of {len(choices)} splits have no training day left after purging, such as the one that "
            f"tests groups {named} of {groups}: give more days, test fewer groups, or make fewer"
        )
    yield from map(split, choices)


def paths(n_days: int, *, groups: int, tested: int) -> NDArray[np.int64]:
    """Say which split of `combinatorial` tests each day on each path.

    Parameters
    ----------
    n_days, groups, tested : int
        As for `combinatorial`.

    Returns
    -------
    ndarray of int64, shape (n_paths, n_days)
        Path p takes the prediction of day t from the split with index ``[p, t]``, counted from 0 in the order of
        `combinatorial`. No two paths take a day from the same split.

    Raises
    ------
    StatisticsError
        As `combinatorial`.

    Notes
    -----
    There are tested / groups C(groups, tested) = C(groups - 1, tested - 1) paths: section 12.4.1 of [1]_.

    References
    ----------
    .. [1] M. Lopez de Prado, Advances in Financial Machine Learning, Wiley, 2018, section 12.4.
    """
    _check_groups(n_days, groups, tested)
    choices = list(itertools.combinations(range(groups), tested))
    # Every group is tested equally often, so these lists are equally long, and the p-th splits of all make path p.
    by_group = [[split for split, chosen in enumerate(choices) if group in chosen] for group in range(groups)]
    sizes = [len(stretch) for stretch in np.array_split(np.arange(n_days), groups)]
    return np.repeat(np.array(by_group).T, sizes, axis=1)
