"""Whether a model beats a declared baseline by a declared metric."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn import metrics

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats import baseline as module
from pytest_modelgates.stats.baseline import Series, beats_baseline, named_metric


def chances(seed: int, skill: float, rows: int = 400) -> tuple[Series, Series]:
    """Draw classes, and chances that know a little of them."""
    random = np.random.default_rng(seed)
    y = (random.random(rows) < 0.4).astype(float)
    return y, np.clip(0.4 + skill * (y - 0.4) + 0.2 * random.standard_normal(rows), 0.01, 0.99)


def negative_squared_error(y: Series, prediction: Series) -> float:
    """Higher is better."""
    return -float(((y - prediction) ** 2).mean())


NAMED = [
    ("roc_auc", metrics.roc_auc_score),
    ("average_precision", metrics.average_precision_score),
    ("neg_log_loss", lambda y, p: -metrics.log_loss(y, p)),
    ("neg_brier_score", lambda y, p: -metrics.brier_score_loss(y, p)),
    ("r2", metrics.r2_score),
    ("neg_mean_absolute_error", lambda y, p: -metrics.mean_absolute_error(y, p)),
]


@pytest.mark.parametrize(("name", "function"), NAMED, ids=[name for name, _ in NAMED])
def test_a_named_metric_is_that_of_scikit_learn(name: str, function: Any) -> None:
    y, p = chances(1, 0.2)
    labels = function not in (metrics.r2_score,) and name != "neg_mean_absolute_error"
    assert named_metric(name, labels=labels)(y, p) == pytest.approx(function(y, p), rel=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "f1"])
def test_a_metric_of_labels_takes_labels(name: str) -> None:
    y, p = chances(2, 0.3)
    labels = (p > 0.5).astype(float)
    expected = {"accuracy": metrics.accuracy_score, "f1": metrics.f1_score}[name](y, labels)
    assert named_metric(name)(y, labels) == pytest.approx(expected)
    assert named_metric(name, labels=True)(y, p) == pytest.approx(expected)


def test_a_better_classifier_beats_its_baseline() -> None:
    y, good = chances(3, 0.4)
    _, noise = chances(4, 0.0)
    result = beats_baseline(y, good, noise, metric=named_metric("roc_auc"), seed=1, n_resamples=199)
    assert (result.p_value, result.units) == (1 / 200, 400)
    assert result.gain == pytest.approx(result.model - result.baseline)
    assert 0 < result.interval[0] < result.gain < result.interval[1]


def test_the_same_predictions_beat_nothing() -> None:
    y, p = chances(5, 0.4)
    result = beats_baseline(y, p, p, metric=named_metric("roc_auc"), seed=1, n_resamples=99)
    assert (result.gain, result.p_value) == (0, 1)


def test_the_seed_decides() -> None:
    y, p = chances(6, 0.1)
    one, same, other = (
        beats_baseline(y, p, np.full(400, 0.4), metric=negative_squared_error, seed=seed) for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_two_models_without_skill_differ_one_time_in_ten() -> None:
    runs, found = 200, 0
    for seed in range(runs):
        y, one = chances(seed, 0.0, rows=150)
        _, other = chances(seed + runs, 0.0, rows=150)
        result = beats_baseline(y, one, other, metric=negative_squared_error, seed=seed, n_resamples=199)
        found += result.p_value <= 0.10
    assert binom.ppf(0.001, runs, 0.08) <= found <= binom.ppf(0.999, runs, 0.12)


def test_rows_of_a_day_that_err_alike_are_less_certain() -> None:
    random = np.random.default_rng(7)
    day = np.repeat(np.arange(40), 25)
    y = random.standard_normal(1000)
    model, baseline = y + random.standard_normal(40)[day], y + 1.15 * random.standard_normal(40)[day]
    rows, days = (
        beats_baseline(y, model, baseline, metric=negative_squared_error, seed=1, days=given) for given in (None, day)
    )
    assert (rows.units, days.units) == (1000, 40)
    assert np.ptp(days.interval) > 3 * np.ptp(rows.interval)


QUICK = [
    "roc_auc",
    "neg_log_loss",
    "neg_brier_score",
    "neg_mean_absolute_error",
    "neg_mean_squared_error",
    "neg_root_mean_squared_error",
    "accuracy",
    "r2",
]


@pytest.mark.parametrize("labels", [True, False], ids=["labels", "values"])
@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**32),
    ones=st.sampled_from([3, 30, 70]),
    digits=st.sampled_from([0, 1, 12]),
    per_day=st.sampled_from([None, 1, 5]),
    constant=st.booleans(),
)
def test_counting_the_rows_drawn_gives_what_computing_anew_gives(
    name: str, labels: bool, seed: int, ones: int, digits: int, per_day: int | None, constant: bool
) -> None:
    random = np.random.default_rng(seed)
    y = random.permutation((np.arange(100) < ones).astype(float))
    model = np.clip(np.round(0.5 + 0.2 * (y - 0.5) + 0.2 * random.standard_normal(100), digits), 0, 1)
    other = np.full(100, 0.3) if constant else np.round(random.random(100), digits)
    if name == "r2":
        y = y + 100 + 0.1 * random.standard_normal(100)
    if name == "accuracy" and not labels:
        model, other = model.round(), other.round()
    metric = named_metric(name, labels=labels)
    days = None if per_day is None else random.permutation(np.arange(100) // per_day)
    anew: list[int] = []
    options = {"seed": seed, "days": days, "n_resamples": 30, "progress": lambda done, of: anew.append(done)}
    try:
        expected = beats_baseline(y, model, other, metric=lambda a, b: metric(a, b), **options)
    except StatisticsError as error:
        with pytest.raises(StatisticsError, match=f"^{re.escape(str(error))}$"):
            beats_baseline(y, model, other, metric=metric, **options)
        return
    assert len(anew) == 30
    anew.clear()
    result = beats_baseline(y, model, other, metric=metric, **options)
    # Only a resample of one class, or of equal targets, is left to the metric itself.
    assert len(anew) <= (10 if ones == 3 and name in {"roc_auc", "neg_log_loss", "neg_brier_score"} else 0)
    assert result.p_value == expected.p_value
    assert (result.model, result.baseline, result.units) == (expected.model, expected.baseline, expected.units)
    assert result.interval == pytest.approx(expected.interval, rel=1e-9, abs=1e-13)


def test_a_metric_of_classes_leaves_other_values_to_scikit_learn() -> None:
    values = np.random.default_rng(9).standard_normal((3, 200))
    with pytest.raises(StatisticsError, match=r"^the metric is nan for the model and nan for the baseline"):
        beats_baseline(*values, metric=named_metric("roc_auc"), seed=1)


@pytest.mark.parametrize("per_day", [None, 100], ids=["rows", "days"])
def test_of_too_many_rows_for_a_slow_metric_some_are_drawn_once(
    per_day: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 1000)
    y, good = chances(10, 0.4, rows=4000)
    days = None if per_day is None else np.arange(4000) // per_day
    sizes, steps = set(), []

    def f1(truth: Series, guess: Series) -> float:
        sizes.add(truth.size)
        return float(metrics.f1_score(truth, guess > 0.5))

    result = beats_baseline(
        y, good, np.ones(4000), metric=f1, seed=1, days=days, n_resamples=19, progress=lambda *step: steps.append(step)
    )
    assert (result.rows, result.units) == (1000, 40 if per_day else 1000)
    assert max(sizes) < 1400
    assert steps == [(done, 19) for done in range(19)]
    whole = beats_baseline(y, good, np.ones(4000), metric=named_metric("roc_auc"), seed=1, days=days, n_resamples=19)
    assert (whole.rows, whole.units) == (4000, 40 if per_day else 4000)


Y, P = chances(8, 0.1)
REFUSED = [
    pytest.param((Y[:99], P[:99], P[:99]), {}, "truth has 99 values, expected at least 100: measure more", id="short"),
    pytest.param((Y, P[1:], P), {}, "400 truths, 399 and 400 predictions: pair them row by row", id="lengths"),
    pytest.param(
        (Y, P, P),
        {"seed": -1},
        "999 resamples, seed -1, bound 0.0: expected at least 1, 0, a number",
        id="seed",
    ),
    pytest.param((Y, P, P), {"days": Y[1:]}, "400 rows, days of shape (399,): give one day a row", id="days"),
    pytest.param(
        (Y, P, P), {"days": Y}, "2 days, expected at least 20: leave days out to resample rows", id="few-days"
    ),
    pytest.param(
        (Y, P, P),
        {"metric": lambda y, p: np.nan},
        "the metric is nan for the model and nan for the baseline, not numbers",
        id="no-number",
    ),
]


@pytest.mark.parametrize(("arrays", "options", "message"), REFUSED)
def test_it_refuses_and_says_why(arrays: tuple[Series, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        beats_baseline(*arrays, **{"metric": negative_squared_error, "seed": 1, **options})


def test_a_class_too_rare_to_resample_is_refused() -> None:
    y = np.zeros(200)
    y[0] = 1
    with pytest.raises(StatisticsError, match=r"^the metric is not a number on \d+ of 99 resamples$"):
        beats_baseline(y, P[:200], P[200:], metric=named_metric("neg_log_loss"), seed=1, n_resamples=99)


@pytest.mark.parametrize("ones", [0, 19, 381, 400])
def test_too_few_rows_of_a_class_are_no_verdict(ones: int) -> None:
    y = (np.arange(400) < ones).astype(float)
    message = f"{400 - ones} rows of class 0 and {ones} of class 1, expected at least 20 of each: measure more"
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        beats_baseline(y, P, P, metric=named_metric("roc_auc"), seed=1, classes=True)


def test_a_metric_that_is_not_defined_says_so() -> None:
    with pytest.raises(StatisticsError, match=r"^the metric is nan for the model and nan for the baseline, not num"):
        beats_baseline(Y, P, P, metric=lambda truth, predictions: math.nan, seed=1)


def test_a_metric_that_nobody_knows_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^scikit-learn has no scorer 'sharpe'; see sklearn\.metrics"):
        named_metric("sharpe")


def test_rows_that_come_four_times_over_make_chance_pass_as_often_as_the_documentation_says() -> None:
    passed = 0
    for seed in range(300):
        truth, one, other = np.random.default_rng(seed).standard_normal((3, 100))
        rows = (np.repeat(values, 4) for values in (truth, truth + one, truth + other))
        test = beats_baseline(*rows, metric=lambda y, p: -float(np.abs(y - p).mean()), seed=seed, n_resamples=199)
        passed += test.p_value <= 0.10
    assert 0.19 <= passed / 300 <= 0.35


def test_of_a_rare_class_more_rows_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 1000)
    random = np.random.default_rng(4)
    y = np.zeros(20_000)
    y[random.choice(20_000, 200, replace=False)] = 1
    metric = named_metric("average_precision", labels=True)
    guess = random.random(20_000) + 0.3 * y
    found = beats_baseline(y, guess, np.full(20_000, 0.01), metric=metric, seed=1, classes=True, n_resamples=19)
    assert found.rows == 10_000, "half of the 200"
    y[np.flatnonzero(y)[30:]] = 0
    found = beats_baseline(y, guess, np.full(20_000, 0.01), metric=metric, seed=1, classes=True, n_resamples=19)
    assert found.rows == 20_000
