"""Whether a model that is not a trading signal beats a declared baseline, by a declared metric of scikit-learn.

scikit-learn is imported only when a metric is asked for by name.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InsufficientDataError, StatisticsError
from ..extras import extra
from .days import rows_by_day
from .quantiles import finite_series
from .resampling import MINIMUM_VALUES

Series = NDArray[np.float64]
Metric = Callable[[Series, Series], float]

MINIMUM_ROWS = 100
MINIMUM_OF_A_CLASS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTest:
    """A model against its baseline.

    `model` and `baseline` are the metric of each, higher is better, and `gain` is their difference [unit of the
    metric]. `p_value` is one-sided, of a gain of at most the bound. `interval` covers the gain with 90 % confidence.
    `units` is the number of rows that were resampled, or of days if rows of a day were resampled together.
    """

    model: float
    baseline: float
    gain: float
    p_value: float
    interval: tuple[float, float]
    units: int


def beats_baseline(
    truth: ArrayLike,
    model: ArrayLike,
    baseline: ArrayLike,
    *,
    metric: Metric,
    seed: int,
    classes: bool = False,
    days: ArrayLike | None = None,
    bound: float = 0.0,
    n_resamples: int = 999,
) -> BaselineTest:
    """Test by a paired bootstrap whether a model's metric exceeds a baseline's on the same rows.

    Parameters
    ----------
    truth, model, baseline : array_like of float, shape (n_rows,)
        The true values, and the predictions of each of the two.
    metric : callable
        Takes truth and predictions, and returns a number of which higher is better; see `named_metric`.
    seed : int
        Seed of the random numbers, at least 0.
    classes : bool, default False
        Whether the truth is a class, 0 or 1. If so, there must be enough rows of both classes.
    days : array_like, shape (n_rows,), optional
        The day of each row, or any other label of rows that depend on each other. Rows of a day are resampled together.
    bound : float, default 0
        The largest gain under the null hypothesis [unit of the metric].
    n_resamples : int, default 999
        Resamples of the bootstrap.

    Returns
    -------
    BaselineTest

    Raises
    ------
    StatisticsError
        If lengths differ, a value is not finite, there are fewer than 100 rows, 20 days or 20 rows of a class, a number
        is out of its range, or the metric is not a finite number on the sample or on more than one resample in a
        hundred.

    Notes
    -----
    The same rows are drawn for both, so whatever makes a row hard for both cancels. The null distribution is the
    resampled gains shifted to the bound, as in section 16.4 of [1]_. The observed sample counts as one resample, as in
    chapter 4 of [2]_. The interval is that of percentiles, chapter 13 of [1]_.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, Chapman & Hall, 1993.
    .. [2] A. C. Davison and D. V. Hinkley, Bootstrap Methods and Their Application, Cambridge University Press, 1997.
    """
    y = finite_series(truth, name="truth", at_least=MINIMUM_ROWS)
    ours, theirs = finite_series(model, name="model"), finite_series(baseline, name="baseline")
    if not y.size == ours.size == theirs.size:
        raise StatisticsError(f"{y.size} truths, {ours.size} and {theirs.size} predictions: pair them row by row")
    if n_resamples < 1 or seed < 0 or not np.isfinite(bound):
        raise StatisticsError(f"{n_resamples} resamples, seed {seed}, bound {bound}: expected at least 1, 0, a number")
    of_class = int((y == 0).sum()), int((y == 1).sum())
    if classes and min(of_class) < MINIMUM_OF_A_CLASS:
        raise InsufficientDataError(
            f"{of_class[0]} rows of class 0 and {of_class[1]} of class 1, expected at least {MINIMUM_OF_A_CLASS} of "
            "each: measure more",
            sample=y.size,
        )
    units, random = _units(y.size, days), np.random.default_rng(seed)
    # Where a resample has only one class, some metrics warn and others raise; `_told` returns NaN for both.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _evaluate(metric, y, ours), _evaluate(metric, y, theirs)
        gain = found[0] - found[1]
        if not np.isfinite(gain):
            raise StatisticsError(
                f"the metric is {found[0]} for the model and {found[1]} for the baseline, not numbers"
            )
        draws = (_draw(random, units) for _ in range(n_resamples))
        gains = np.array(
            [_evaluate(metric, y[rows], ours[rows]) - _evaluate(metric, y[rows], theirs[rows]) for rows in draws]
        )
    # A metric may be undefined on a few resamples. Were it on many, those left would no longer stand for the sample.
    finite = gains[np.isfinite(gains)]
    if finite.size < 0.99 * n_resamples:
        raise InsufficientDataError(
            f"the metric is not a number on {n_resamples - finite.size} of {n_resamples} resamples", sample=y.size
        )
    # Section 16.4 of Efron and Tibshirani: less their own centre, plus the bound, the gains obey the null hypothesis.
    return BaselineTest(
        model=found[0],
        baseline=found[1],
        gain=gain,
        p_value=(1 + int((finite - gain >= gain - bound).sum())) / (finite.size + 1),
        interval=(float(np.quantile(finite, 0.05)), float(np.quantile(finite, 0.95))),
        units=len(units),
    )


def _units(rows: int, days: ArrayLike | None) -> list[NDArray[np.int64]] | NDArray[np.int64]:
    if days is None:
        return np.arange(rows)
    # Rows of a day err alike. Drawn one by one they would count as independent evidence.
    units = rows_by_day(days, rows=rows)
    if len(units) < MINIMUM_VALUES:
        raise InsufficientDataError(
            f"{len(units)} days, expected at least {MINIMUM_VALUES}: leave days out to resample rows", sample=rows
        )
    return units


def _draw(random: np.random.Generator, units: list[NDArray[np.int64]] | NDArray[np.int64]) -> NDArray[np.int64]:
    chosen = random.integers(len(units), size=len(units))
    return units[chosen] if isinstance(units, np.ndarray) else np.concatenate([units[index] for index in chosen])


def _evaluate(metric: Metric, truth: Series, predictions: Series) -> float:
    try:
        return float(metric(truth, predictions))
    except ValueError:  # scikit-learn raises it where a metric is not defined
        return float("nan")


def named_metric(name: str, *, labels: bool = False) -> Metric:
    """Look up a metric of scikit-learn by the name of its scorer, such as "r2", "roc_auc" or "neg_log_loss".

    Parameters
    ----------
    name : str
        One of ``sklearn.metrics.get_scorer_names()``; higher is better for all of them.
    labels : bool, default False
        Whether predictions are probabilities of class 1. If so, a metric of labels, such as "accuracy", sees class 1
        from 0.5 on.

    Returns
    -------
    callable
        Takes truth and predictions, both of shape (n_rows,), and returns the metric.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    StatisticsError
        If scikit-learn has no scorer of that name.
    """
    metrics = extra("sklearn.metrics", "metrics")
    from sklearn.base import BaseEstimator, ClassifierMixin

    try:
        scorer = metrics.get_scorer(name)
    except ValueError as error:
        raise StatisticsError(f"scikit-learn has no scorer {name!r}; see sklearn.metrics.get_scorer_names()") from error

    class KnownPredictions(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn carries no types
        """A classifier that returns the rows it is given, which are the predictions already.

        Scorers of values ask only for `predict`.
        """

        classes_ = np.array([0, 1])

        def fit(self, X: Any, y: Any = None) -> "KnownPredictions":  # noqa: N803  # scikit-learn's name
            return self

        def predict(self, X: Any) -> Any:  # noqa: N803
            return (np.asarray(X) >= 0.5).astype(np.float64) if labels else np.asarray(X)

        def predict_proba(self, X: Any) -> Any:  # noqa: N803
            chance = np.asarray(X, dtype=np.float64)
            return np.column_stack([1 - chance, chance])

    def metric(truth: Series, predictions: Series) -> float:
        return float(scorer(KnownPredictions(), predictions, truth))

    return metric
