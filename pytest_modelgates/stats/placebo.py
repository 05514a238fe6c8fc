"""Whether a position earns more than the same position on other names, and on other days. Knows nothing of gates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, rfft
from scipy.special import ndtr

from ..errors import InsufficientDataError, StatisticsError
from ..storage.scratch import empty, in_parts, parts
from .holdings import Holdings, about_market
from .quantiles import is_constant
from .ranks import Matrix, Series, daily_matrix
from .significance import ewc_p_value
from .sufficiency import MINIMUM_DAYS
from .trials import FEWEST, MOST, RESAMPLES_A_TRIAL

MINIMUM_NAMES = 5
# The share of the panel by which a path is rotated at least, in either direction.
NEAREST = 0.1
# An IC lies between -1 and 1; two that differ by less than this differ by rounding.
ROUNDING = 1e-12
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Placebo:
    """Two placebo tests of a mean IC: `p_value` is the larger of `p_names` and `p_days`, each after all trials.

    `ic` is what both compare: the mean IC of the position, returns about the mean of the day. Over all relabellings
    its mean is 0, and `sd_names` is its exact standard deviation. `names`, `relabellings` and `rotations` count what
    was compared; no relabelling is drawn where more would be needed than are. `static` is the share of the position
    that never changes: 1 for a fixed portfolio, about 0 for one that is new every day.
    """

    p_value: float
    p_names: float
    p_days: float
    ic: float
    sd_names: float
    names: int
    relabellings: int
    rotations: int
    static: float


def placebo_test(
    holdings: Holdings, returns: ArrayLike, *, trials: int = 1, n_resamples: int = FEWEST, seed: int = 0
) -> Placebo:
    """Compare what a position earned with what its paths would have earned on other names, and on other days.

    Parameters
    ----------
    holdings : Holdings
        From `simulate` or `evaluate_positions`, of at least 100 days.
    returns : array_like of float, shape (n_days, n_assets)
        The returns that they were measured on [share], NaN where an asset has no row.
    trials : int, default 1
        How many candidates the position was chosen from, itself included.
    n_resamples : int, default 9_999
        How many relabellings are drawn at least; 200 a trial if that is more.
    seed : int, default 0
        Of the relabellings.

    Returns
    -------
    Placebo
        Both p-values, one-sided, and what they were measured from.

    Raises
    ------
    InsufficientDataError
        If fewer than 5 names have a row on a held day, or fewer than 100 days are held.
    StatisticsError
        If the returns do not have the shape of the holdings, no relabelling or trial is asked for, or the seed is
        negative.

    Notes
    -----
    The path of a name is its weight, day by day. *Names*: the paths are dealt to the names anew, by one random
    relabelling for all days, and p = (1 + #{placebo IC >= IC}) / (1 + relabellings) [1]_. *Days*: all paths are rotated
    together in time, by each number of days from 10 to 90 % of the panel, and p is counted alike. So a placebo has the
    same persistence and the same turnover as the position, and is charged the same costs; these therefore cancel, and
    p is the same at any cost. That the costs are the same is exact for what a unit of turnover costs and for borrow, as
    long as every name has a row every day.

    Let u be the weights of a day and z its returns about their mean, both scaled to root mean square 1 over the names
    with a row. The IC of the day is the mean of u z. One matrix product M = u' z holds every name's path on every
    name's returns, and a relabelling is a sum over M, one entry in each row and column. Over all relabellings its mean
    is 0, and its variance sum(D^2) / (N - 1), where D is M less the mean of each column [2]_. All rotations are one
    circular correlation.

    A name without a row has z = 0, and its path keeps its last weight there (before its first row, its last one of the
    panel), so that a path given to another name holds a position on all of that name's days.

    The best of N trials is charged for all of them: each p is multiplied by N, at most to 1. Relabellings are 200 N,
    for a p of 0.10 / N to be told; where these are more than 200,000, p is that of the normal distribution with the
    exact variance. A panel has as many rotations as it has. Where they are fewer than 200 N, p of the days is the
    larger of that by all rotations, not charged, and N times that by cosines of what the changing part of the position
    earned, u less its mean over all days: the mean IC less that of all rotations is the mean of that series [4]_.

    Neither half stands alone: names need not be exchangeable, such as those of one sector, and a score that wanders may
    not be stationary. The larger p is that of an intersection-union test [3]_: it keeps its level if either half does.

    References
    ----------
    .. [1] B. Phipson and G. K. Smyth, Permutation p-values should never be zero, Statistical Applications in Genetics
       and Molecular Biology 9(1):39, 2010.
    .. [2] W. Hoeffding, A combinatorial central limit theorem, Annals of Mathematical Statistics 22:558, 1951.
    .. [3] R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24:295, 1982.
    .. [4] A. W. Lo, Where do alphas come from? A measure of the value of active investment management, Journal of
       Investment Management 6(2), 2008.
    """
    if n_resamples < 1 or seed < 0:
        raise StatisticsError(f"{n_resamples} relabellings, seed {seed}: expected at least 1, and at least 0")
    if trials < 1:
        raise StatisticsError(f"{trials} trials, expected at least 1: what was packed is one")
    paths, earned = unit_paths(holdings, returns)
    n, names = paths.shape
    if names < MINIMUM_NAMES:
        raise InsufficientDataError(
            f"{names} names with a row, expected at least {MINIMUM_NAMES}: "
            "too few names for a placebo; waive it, or declare it not applicable",
            sample=names,
        )
    if n < MINIMUM_DAYS:
        raise InsufficientDataError(
            f"{n} held days, at least {MINIMUM_DAYS} are needed: {MINIMUM_DAYS - n} more", sample=n
        )
    table: Matrix = np.matmul(paths.T, earned, out=empty((names, names)))
    table /= n
    ic = float(np.trace(table))
    # Hoeffding 1951, theorem 2: the variance of a sum over a random permutation. The sums of all rows are 0, since the
    # returns of a day are about their mean.
    centred: Matrix = np.subtract(table, table.mean(axis=0), out=empty(table.shape))
    sd_names = float(np.sqrt(np.square(centred, out=centred).sum() / (names - 1)))
    needed = RESAMPLES_A_TRIAL * trials
    dealt = relabelled(table, max(n_resamples, needed) if needed <= MOST else 0, seed)
    p_names = _p_value(ic, dealt) if dealt.size else float(ndtr(-ic / sd_names)) if sd_names > 0 else 1.0
    rotated = rotations(paths, earned)
    p_days = _p_value(ic, rotated)
    if rotated.size >= needed:
        p_days = min(1.0, trials * p_days)
    elif trials > 1:
        p_days = max(p_days, min(1.0, trials * _p_active(paths, earned)))
    p_names = min(1.0, trials * p_names)
    power = np.einsum("ij,ij->", paths, paths)
    return Placebo(
        p_value=max(p_names, p_days),
        p_names=p_names,
        p_days=p_days,
        ic=ic,
        sd_names=sd_names,
        names=names,
        relabellings=dealt.size,
        rotations=rotated.size,
        static=float(n * (paths.mean(axis=0) ** 2).sum() / power) if power > 0 else 1.0,
    )


def unit_paths(holdings: Holdings, returns: ArrayLike) -> tuple[Matrix, Matrix]:
    """Scale weights and returns so that the sum of their products is the IC of each day; see `placebo_test`.

    Parameters
    ----------
    holdings, returns
        As for `placebo_test`.

    Returns
    -------
    paths, earned : ndarray of float64, shape (n_held, n_names)
        Weights with mean square 1 over the names with a row, carried on where there is none; and returns about their
        mean, with sum of squares 1 / n of a day with n rows. Names without a row on any held day are left out.

    Raises
    ------
    StatisticsError
        As `placebo_test`.
    """
    given = daily_matrix(returns, "returns")[holdings.first :]
    if given.shape != holdings.weights.shape:
        raise StatisticsError(
            f"returns of shape {given.shape} from the first held day on, holdings of shape {holdings.weights.shape}: "
            "give the returns that they were measured on"
        )
    missing = np.isnan(given)
    weights, there = holdings.weights, ~missing.all(axis=0)
    if not there.all():
        weights, given, missing = (in_parts(lambda some: some[:, there], of) for of in (weights, given, missing))
    rows = (~missing).sum(axis=1)
    given = in_parts(lambda some, gone: np.where(gone, 0.0, some), given, missing)
    deviation, size = about_market(given, given.sum(axis=1) / np.maximum(rows, 1), missing)
    earned = _over(deviation, size * np.sqrt(rows))
    paths = _over(weights, np.sqrt(np.einsum("ij,ij->i", weights, weights) / np.maximum(rows, 1)))
    if missing.any():
        # Going round is what a rotation does too, and on its last row a path has long been complete.
        latest = np.zeros(paths.shape[1])
        for day in [*range(len(paths))] * 2:
            paths[day] = latest = np.where(missing[day], latest, paths[day])
    return paths, earned


def relabelled(table: Matrix, n: int, seed: int) -> Series:
    """Draw relabellings of the names, each a sum over `table` of one entry in each row and column.

    Parameters
    ----------
    table : ndarray of float64, shape (n_names, n_names)
        Row i, column j: what the path of name i earns on the returns of name j [IC].
    n : int
        How many [count].
    seed : int
        Of the permutations.

    Returns
    -------
    ndarray of float64, shape (n,)
        Mean IC of each placebo.
    """
    random, names = np.random.default_rng(seed), len(table)
    sums, columns = np.empty(n), np.arange(names)
    step = max(1, _CHUNK // names)
    for start in range(0, n, step):
        orders: NDArray[np.int64] = np.tile(columns, (min(step, n - start), 1))
        random.permuted(orders, axis=1, out=orders)
        sums[start : start + step] = table[orders, columns].sum(axis=1)
    return sums


def rotations(paths: Matrix, earned: Matrix) -> Series:
    """Rotate all paths together in time, by each number of days from 10 to 90 % of the panel.

    Parameters
    ----------
    paths, earned : ndarray of float64, shape (n_held, n_names)
        From `unit_paths`.

    Returns
    -------
    ndarray of float64, shape (n_rotations,)
        Mean IC of each placebo.
    """
    n = len(paths)
    # The sum of paths[t - s] earned[t] over t, for every s: a product of spectra, summed over names.
    spectrum = np.zeros(n // 2 + 1, dtype=np.complex128)
    for part in parts(paths.shape[1], n):
        some = (np.ascontiguousarray(of[:, part].T) for of in (paths, earned))
        for path, own in zip(*some, strict=True):
            spectrum += rfft(path).conj() * rfft(own)
    sums: Series = irfft(spectrum, n) / n
    nearest = int(np.ceil(NEAREST * n))
    return sums[nearest : n - nearest + 1]


def _p_value(ic: float, placebos: Series) -> float:
    # Phipson and Smyth 2010: the position itself is one of the placebos, so p is never 0, and keeps its level.
    return float((1 + np.count_nonzero(placebos >= ic - ROUNDING)) / (1 + placebos.size))


def _p_active(paths: Matrix, earned: Matrix) -> float:
    # Less its own mean over the days, a path earns on average what it earns beyond all its rotations.
    mean = paths.mean(axis=0)
    active = in_parts(lambda path, own: np.einsum("ij,ij->i", path - mean, own), paths, earned)
    return 1.0 if is_constant(active) else ewc_p_value(active)[0]


def _over(rows: Matrix, sizes: Series) -> Matrix:
    def divided(some: Matrix, size: Series) -> Matrix:
        by = size[:, np.newaxis]
        return np.asarray(np.divide(some, by, out=np.zeros_like(some), where=by > 0))

    return in_parts(divided, rows, sizes)
