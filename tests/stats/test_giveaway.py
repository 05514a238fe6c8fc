"""Single features that give a target away, and those that do not."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.giveaway import giveaway

Matrix = np.ndarray


def classes(rows: int = 400) -> tuple[Matrix, Matrix]:
    random = np.random.default_rng(1)
    return random.standard_normal((rows, 3)), (random.random(rows) < 0.3).astype(float)


def named(features: Matrix) -> dict[str, Matrix]:
    return dict(zip("abc", features.T, strict=True))


def test_the_auc_of_the_best_feature_is_scikit_learns() -> None:
    features, outcome = classes()
    features[:, 1] = np.round(features[:, 1] - outcome, 1)
    features[::7, 1] = np.nan
    found = giveaway(named(features), outcome, classes=True)
    there = ~np.isnan(features[:, 1])
    assert found.column == "b"
    assert found.value == pytest.approx(1 - roc_auc_score(outcome[there], features[there, 1]), abs=1e-12)


def test_the_correlation_of_the_best_feature_is_scipys() -> None:
    features, outcome = classes()
    outcome = outcome + 0.1 * features[:, 0]
    features[:, 2] = np.round(-outcome, 1)
    found = giveaway(named(features), outcome, classes=False)
    assert found.column == "c"
    assert found.value == pytest.approx(-spearmanr(features[:, 2], outcome)[0], abs=1e-12)


@pytest.mark.parametrize("kind", [True, False], ids=["classes", "numbers"])
def test_a_feature_that_is_the_target_gives_it_away(kind: bool) -> None:
    features, outcome = classes()
    features[:, 1] = 3 - 2 * outcome
    assert giveaway(named(features), outcome, classes=kind).value == pytest.approx(1)


def test_a_feature_that_is_missing_where_the_class_is_1_gives_it_away() -> None:
    features, outcome = classes()
    features[outcome == 1, 2] = np.nan
    found = giveaway(named(features), outcome, classes=True)
    assert (found.value, found.column) == (1, "whether c is missing")


@pytest.mark.parametrize("kind", [True, False], ids=["classes", "numbers"])
def test_a_feature_of_a_few_values_gives_nothing_away(kind: bool) -> None:
    features, outcome = classes()
    features[:, :2] = 1.0
    features[:, 2] = np.nan
    features[:19, 2] = outcome[:19]
    found = giveaway(named(features), outcome, classes=kind)
    assert found.value < 0.7


def test_features_and_outcome_have_as_many_rows() -> None:
    features, outcome = classes()
    with pytest.raises(StatisticsError, match="a and outcome have shapes"):
        giveaway(named(features[1:]), outcome, classes=True)


def test_a_code_that_is_in_no_order_gives_the_target_away() -> None:
    random = np.random.default_rng(7)
    yes = (random.random(4000) < 0.3).astype(float)
    code = np.where(yes == 1, 1, random.choice([0, 2], 4000))
    even = np.where(yes == 1, 2 * random.integers(0, 5, 4000), 2 * random.integers(0, 5, 4000) + 1)
    for column in (code, even):
        assert giveaway({"code": column}, yes, classes=True).value == pytest.approx(1)
    noise = random.standard_normal((4000, 3))
    assert giveaway(named(noise), yes, classes=True).value < 0.6
    numbers = random.integers(0, 3000, 4000)
    assert giveaway({"customer": numbers}, yes, classes=True).value < 0.6


def test_the_feature_of_a_target_that_goes_both_ways_gives_it_away() -> None:
    size = np.abs(np.random.default_rng(8).standard_normal(4000))
    both = size * np.where(np.arange(4000) % 2, 1, -1)
    assert giveaway({"a": both}, size, classes=False).value > 0.99
