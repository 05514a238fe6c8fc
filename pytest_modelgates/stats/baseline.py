"""Whether a model that is not a trading signal beats a declared baseline, by a declared metric of scikit-learn.

scikit-learn is imported only when a metric is asked for by name. How the common metrics are resampled quickly is in
`weighted`.
"""

import math
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
from .weighted import WeightedGain, weighted_gain

Series = NDArray[np.float64]
Metric = Callable[[Series, Series], float]
Progress = Callable[[int, int], None]

MINIMUM_ROWS = 100
MINIMUM_OF_A_CLASS = 20
MOST_ROWS = 50_000
"""Most rows on which a metric is computed anew for each resample; of more, so many are drawn once [rows]."""
# Of a rare class about so many rows are drawn, if there are as many.
_OF_THE_RARER = 5 * MINIMUM_OF_A_CLASS


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTest:
    """A model against its baseline.

    `model` and `baseline` are the metric of each, higher is better, and `gain` is their difference [unit of the
    metric]. `p_value` is one-sided, of a gain of at most the bound. `interval` covers the gain with 90 % confidence.
    `units` is the number of rows that were resampled, or of days if rows of a day were resampled together, and `rows`
    the number of rows that all of this was measured on.
    """

    model: float
    baseline: float
    gain: float
    p_value: float
    interval: tuple[float, float]
    units: int
    rows: int


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
    progress: Progress | None = None,
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
    progress : callable, optional
        Called with the resamples done and `n_resamples` before each resample on which the metric is computed anew.

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

    Common metrics of `named_metric` are computed from the number of times that each row was drawn, with the same result
    as on the rows themselves: see `weighted_gain`. Any other is computed anew on each resample, and if there are more
    than `MOST_ROWS` rows, on so many of them, drawn once; everything returned is then of these. If fewer than some 100
    of them would be of the rarer class, as many more are drawn.

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
    random = np.random.default_rng(seed)
    unit = _units(y.size, days)
    quick = metric.weighted(y, ours, theirs, unit) if isinstance(metric, NamedMetric) else None
    _refuse_rare_class(y, classes)
    if quick is None and y.size > (most := _most_rows(y, classes)):
        # Drawn from all rows, so that every day keeps some of its own, and counts.
        rows = np.sort(random.choice(y.size, most, replace=False))
        y, ours, theirs, unit = y[rows], ours[rows], theirs[rows], np.unique(unit[rows], return_inverse=True)[1]
    units = int(unit.max()) + 1
    # Where a resample has only one class, some metrics warn and others raise; `_evaluate` returns NaN for both.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _evaluate(metric, y, ours), _evaluate(metric, y, theirs)
        gain = found[0] - found[1]
        if not np.isfinite(gain):
            raise StatisticsError(
                f"the metric is {found[0]} for the model and {found[1]} for the baseline, not numbers"
            )
        rows_of = None if np.array_equal(unit, np.arange(y.size)) else rows_by_day(unit, rows=y.size)
        gains = np.empty(n_resamples)
        for done in range(n_resamples):
            chosen = random.integers(units, size=units)
            gains[done] = np.nan if quick is None else quick(_times_drawn(chosen, units))
            if np.isnan(gains[done]):
                if progress is not None:
                    progress(done, n_resamples)
                rows = chosen if rows_of is None else np.concatenate([rows_of[index] for index in chosen])
                gains[done] = _evaluate(metric, y[rows], ours[rows]) - _evaluate(metric, y[rows], theirs[rows])
    # A metric may be undefined on a few resamples. Were it on many, those left would no longer stand for the sample.
    finite = gains[np.isfinite(gains)]
    if finite.size < 0.99 * n_resamples:
        raise InsufficientDataError(
            f"the metric is not a number on {n_resamples - finite.size} of {n_resamples} resamples", sample=y.size
        )
    # Gains that differ by rounding alone are equal, however they were summed; equal ones speak for the hypothesis.
    rounding = 1e-12 * (abs(found[0]) + abs(found[1]))
    # Section 16.4 of Efron and Tibshirani: less their own centre, plus the bound, the gains obey the null hypothesis.
    return BaselineTest(
        model=found[0],
        baseline=found[1],
        gain=gain,
        p_value=(1 + int((finite - gain >= gain - bound - rounding).sum())) / (finite.size + 1),
        interval=(float(np.quantile(finite, 0.05)), float(np.quantile(finite, 0.95))),
        units=units,
        rows=y.size,
    )


def _units(rows: int, days: ArrayLike | None) -> NDArray[np.int64]:
    """What each row is drawn with: itself, or its day."""
    unit = np.arange(rows)
    if days is None:
        return unit
    # Rows of a day err alike. Drawn one by one they would count as independent evidence.
    by_day = rows_by_day(days, rows=rows)
    if len(by_day) < MINIMUM_VALUES:
        raise InsufficientDataError(
            f"{len(by_day)} days, expected at least {MINIMUM_VALUES}: leave days out to resample rows", sample=rows
        )
    unit[np.concatenate(by_day)] = np.repeat(np.arange(len(by_day)), [len(day) for day in by_day])
    return unit


def _refuse_rare_class(truth: Series, classes: bool) -> None:
    of_class = int((truth == 0).sum()), int((truth == 1).sum())
    if classes and min(of_class) < MINIMUM_OF_A_CLASS:
        raise InsufficientDataError(
            f"{of_class[0]} rows of class 0 and {of_class[1]} of class 1, expected at least {MINIMUM_OF_A_CLASS} of "
            "each: measure more",
            sample=truth.size,
        )


def _most_rows(truth: Series, classes: bool) -> int:
    """Tell how many rows to draw: the share of a class must not change, so for a rare one there are more."""
    if not classes:
        return MOST_ROWS
    rarer = min(int((truth == 0).sum()), int((truth == 1).sum()))
    return max(MOST_ROWS, math.ceil(_OF_THE_RARER * truth.size / rarer))


def _times_drawn(chosen: NDArray[np.int64], units: int) -> NDArray[Any]:
    times = np.bincount(chosen, minlength=units)
    # In one byte a million counts fit the cache, and are gathered 30 times as fast.
    return times.astype(np.min_scalar_type(int(times.max())))


def _evaluate(metric: Metric, truth: Series, predictions: Series) -> float:
    try:
        return float(metric(truth, predictions))
    except ValueError:  # scikit-learn raises it where a metric is not defined
        return float("nan")


@dataclass(frozen=True, slots=True)
class NamedMetric:
    """A metric of scikit-learn: takes truth and predictions, both of shape (n_rows,); see `named_metric`."""

    name: str
    labels: bool
    scorer: Callable[[Any, Any, Any], Any]
    known: Any

    def __call__(self, truth: Series, predictions: Series) -> float:
        """Compute the metric."""
        return float(self.scorer(self.known, predictions, truth))

    def weighted(self, truth: Series, model: Series, baseline: Series, unit: NDArray[np.int64]) -> WeightedGain | None:
        """Prepare the gain of a model as a function of what was drawn, if the metric allows; see `weighted_gain`."""
        return weighted_gain(self.name, truth, model, baseline, labels=self.labels, unit=unit)


def named_metric(name: str, *, labels: bool = False) -> NamedMetric:
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
    NamedMetric
        A callable that takes truth and predictions, both of shape (n_rows,), and returns the metric.

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

    return NamedMetric(name, labels, scorer, KnownPredictions())
