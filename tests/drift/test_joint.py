"""What no distribution shows: a feature that was handed to the wrong assets, or stands still for each of them."""

import math
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_modelgates.drift import detect_drift
from pytest_modelgates.drift.joint import ByAsset, compare_by_asset
from pytest_modelgates.drift.verdict import DriftLimits
from pytest_modelgates.errors import StatisticsError

ASSETS = 30


def feature(days: int, *, seed: int) -> NDArray[np.float64]:
    """A feature that lasts, such as momentum, and differs from asset to asset."""
    rng = np.random.default_rng(seed)
    values = np.zeros((days, ASSETS))
    values[0] = rng.standard_normal(ASSETS)
    for day in range(1, days):
        values[day] = 0.9 * values[day - 1] + math.sqrt(1 - 0.9**2) * rng.standard_normal(ASSETS)
    return values + np.random.default_rng(99).standard_normal(ASSETS)


def by_asset(values: NDArray[np.float64]) -> ByAsset:
    day, asset = np.indices(values.shape)
    return ByAsset.of(values.ravel(), assets=np.char.add("A", asset.ravel().astype(str)), days=day.ravel())


GOLDEN = feature(500, seed=1)
CURRENT = feature(60, seed=2)


def shuffled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    rng = np.random.default_rng(3)
    return np.array([rng.permutation(row) for row in values])


STUCK = np.tile(CURRENT[:1], (60, 1))
MOVED = [
    pytest.param(shuffled(CURRENT), r"rank correlation with the day before is -?0.0\d, was 0.92", id="others-each-day"),
    pytest.param(
        CURRENT[:, np.random.default_rng(3).permutation(ASSETS)],
        r"rank correlation of the assets with those of the golden is -?0.[0-4]\d*, was 0.[6-9]",
        id="others-throughout",
    ),
    pytest.param(STUCK, r"the share of assets whose value did not move is 1.00, was 0.00", id="stuck"),
    pytest.param(
        np.hstack([STUCK[:, :10], CURRENT[:, 10:]]),
        r"the share of assets whose value did not move is 0.33, was 0.00",
        id="a-group-stuck",
    ),
]


@pytest.mark.parametrize(("current", "reason"), MOVED)
def test_wrong_assets_and_stuck_ones_are_seen(current: NDArray[np.float64], reason: str) -> None:
    report = compare_by_asset(by_asset(GOLDEN), by_asset(current))
    assert report["overall_drift"] is True
    assert re.match(reason, report["reasons"][0])


@pytest.mark.parametrize("seed", range(8))
def test_a_feature_that_moves_as_ever_is_calm(seed: int) -> None:
    report = compare_by_asset(by_asset(feature(300, seed=seed)), by_asset(feature(60, seed=100 + seed)))
    assert (report["overall_drift"], report["reasons"]) == (False, [])


def test_a_marginal_distance_does_not_see_wrong_assets() -> None:
    assert detect_drift(CURRENT.ravel(), shuffled(CURRENT).ravel())["ks"]["statistic"] == 0


def test_one_value_for_all_assets_is_seen() -> None:
    found = compare_by_asset(by_asset(GOLDEN), by_asset(np.repeat(CURRENT[:, :1], ASSETS, axis=1)))
    assert found["overall_drift"] is True
    assert re.match(r"rank correlation with the day before is 0.00, was 0.92", found["reasons"][0])
    same = np.repeat(GOLDEN[:, :1], ASSETS, axis=1)
    assert compare_by_asset(by_asset(same), by_asset(same[:60]))["overall_drift"] is False


def test_other_assets_throughout_are_seen_among_many_features() -> None:
    other = CURRENT[:, np.random.default_rng(3).permutation(ASSETS)]
    found = compare_by_asset(by_asset(GOLDEN), by_asset(other), limits=DriftLimits(ks_p=0.05 / 50))
    assert found["identity"]["p_value"] < 0.05 / 50
    assert found["overall_drift"] is True


def test_where_no_asset_has_a_rank_of_its_own_there_is_none_to_lose() -> None:
    fleeting = np.random.default_rng(7).standard_normal((6, 560, ASSETS))
    for values in fleeting:
        assert compare_by_asset(by_asset(values[:500]), by_asset(values[500:]))["overall_drift"] is False


def test_too_few_days_cannot_be_told() -> None:
    report = compare_by_asset(by_asset(GOLDEN), by_asset(CURRENT[:15]))
    assert report["overall_drift"] is None
    assert report["reasons"] == ["fewer than 20 steps from day to day on a side are too few to tell: give more days"]
    assert math.isnan(report["identity"]["p_value"])


def test_assets_that_come_and_go_are_left_out() -> None:
    values = CURRENT.copy()
    values[30:, 0] = np.nan
    values[:, 1] = np.nan
    assert compare_by_asset(by_asset(GOLDEN), by_asset(values))["overall_drift"] is False


def test_other_assets_altogether_are_refused() -> None:
    other = ByAsset(CURRENT, tuple(f"B{place:02d}" for place in range(ASSETS)))
    with pytest.raises(StatisticsError, match=r"^golden and current have 0 assets in common: give at least 5$"):
        compare_by_asset(by_asset(GOLDEN), other)


def test_the_last_value_of_an_asset_on_a_day_counts() -> None:
    found = ByAsset.of([1.0, 2.0, 3.0], assets=["b", "b", "a"], days=["2026-01-01"] * 3)
    assert (found.values.tolist(), found.assets) == ([[3.0, 2.0]], ("a", "b"))
    with pytest.raises(StatisticsError, match=r"^2 rows, assets of shape \(1,\): give one asset a row$"):
        ByAsset.of([1.0, 2.0], assets=["a"], days=["2026-01-01"] * 2)


def test_a_feature_that_lasts_for_months_is_held_against_what_windows_of_the_golden_show() -> None:
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        values = rng.standard_normal((560, ASSETS))
        for day in range(1, len(values)):
            values[day] = 0.98 * values[day - 1] + math.sqrt(1 - 0.98**2) * values[day]
        report = compare_by_asset(by_asset(values[:500]), by_asset(values[500:]))
        found.append([report["persistence"]["p_value"] < 0.05, report["identity"]["p_value"] < 0.05])
    # At 5 % there are more than 5 in 30 less than once in 300 times.
    assert np.sum(found, axis=0).max() <= 5
