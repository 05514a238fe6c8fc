"""How many independent rows a sample is worth, by how much rows of one day resemble each other."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_modelgates.drift import detect_drift
from pytest_modelgates.drift.dependence import design_effect, worth
from pytest_modelgates.drift.summary import Reference, Summary

DAYS = np.datetime64("2024-01-01") + np.arange(2_000)


def clustered(days: int, names: int, rho: float, *, seed: int) -> NDArray[np.float64]:
    """Standard normal values whose correlation within a day is rho."""
    rng = np.random.default_rng(seed)
    common = np.sqrt(rho) * rng.standard_normal((days, 1))
    return common + np.sqrt(1 - rho) * rng.standard_normal((days, names))


def counted(values: NDArray[np.float64], reference: Reference) -> NDArray[np.int64]:
    summary = reference.count(values.ravel(), days=np.repeat(DAYS[: len(values)], values.shape[1]))
    assert summary.by_day is not None
    return summary.by_day


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_the_design_effect_is_that_of_the_distribution_function(rho: float) -> None:
    # The correlation of indicators of normal values is less than that of the values: for deciles some 0.27 and 0.55 of
    # the variance at 0.3 and 0.6, found by simulation of the share itself.
    reference = Reference.of(clustered(2_000, 20, rho, seed=1).ravel())
    shares = [
        counted(clustered(60, 20, rho, seed=seed), reference).sum(axis=0).cumsum()[:-1] / 1_200 for seed in range(400)
    ]
    independent = np.mean(np.arange(1, 10) / 10 * np.arange(9, 0, -1) / 10) / 1_200
    truth = np.var(shares, axis=0).mean() / independent
    found = design_effect(counted(clustered(2_000, 20, rho, seed=3), reference))
    assert found == pytest.approx(max(truth, 1), rel=0.15)


def test_rows_of_independent_values_are_worth_about_themselves() -> None:
    reference = Reference.of(clustered(500, 20, 0, seed=1).ravel(), days=np.repeat(DAYS[:500], 20))
    found = worth(
        reference.golden, reference.count(clustered(60, 20, 0, seed=2).ravel(), days=np.repeat(DAYS[:60], 20))
    )
    assert found.golden == pytest.approx(10_000, rel=0.2)
    assert found.current == pytest.approx(1_200, rel=0.3)
    assert (found.measured, found.how) == (True, "over 60 days")


def test_days_that_follow_on_each_other_count_together() -> None:
    rng = np.random.default_rng(5)
    levels = np.zeros(400)
    for day in range(1, 400):
        levels[day] = 0.8 * levels[day - 1] + 0.6 * rng.standard_normal()
    walking = levels[:, None] + rng.standard_normal((400, 20))
    reference = Reference.of(walking.ravel())
    shuffled = walking[np.random.default_rng(6).permutation(400)]
    assert design_effect(counted(walking, reference)) > 1.5 * design_effect(counted(shuffled, reference))


def test_few_days_are_taken_to_resemble_each_other_as_the_golden_s() -> None:
    golden, current = clustered(400, 20, 0.3, seed=1), clustered(5, 30, 0.3, seed=2)
    report = detect_drift(
        golden.ravel(), current.ravel(), golden_days=np.repeat(DAYS[:400], 20), days=np.repeat(DAYS[:5], 30)
    )
    rho = (8_000 / report["rows"]["golden_worth"] - 1) / 19
    assert report["rows"]["current_worth"] == pytest.approx(150 / (1 + 29 * rho))
    assert report["dependence"] == (
        f"5 days, whose rows are taken to resemble each other as the golden's do (correlation {rho:.2f})"
    )


ASSUMED = [
    pytest.param(None, None, "their days are not known", id="no-times"),
    pytest.param(None, 5, "5 days are too few to tell otherwise", id="few-days-and-a-golden-without"),
    pytest.param(19, 5, "5 days are too few to tell otherwise", id="few-days-of-both"),
    pytest.param(200, None, "their days are not known", id="a-golden-with-days-alone"),
]


@pytest.mark.parametrize(("golden_days", "days", "why"), ASSUMED)
def test_independence_that_is_assumed_is_said(golden_days: int | None, days: int | None, why: str) -> None:
    golden, current = (clustered(count, 20, 0.3, seed=1).ravel() for count in (golden_days or 30, days or 30))
    of = {
        "golden_days": np.repeat(DAYS[:golden_days], 20) if golden_days else None,
        "days": np.repeat(DAYS[:days], 20) if days else None,
    }
    report = detect_drift(golden, current, **of)
    assert report["dependence"] == f"rows are taken as independent: {why}"
    assert (report["rows"]["golden_worth"], report["rows"]["current_worth"]) == (golden.size, current.size)
    assert report["ks"]["p_value"] == report["literal"]["p_value"]


def test_a_golden_without_days_is_taken_to_be_like_the_sample() -> None:
    current = clustered(60, 20, 0.5, seed=2)
    report = detect_drift(clustered(60, 20, 0.5, seed=1).ravel(), current.ravel(), days=np.repeat(DAYS[:60], 20))
    assert report["rows"]["golden_worth"] == report["rows"]["current_worth"] < 400


def test_a_constant_has_no_design_effect() -> None:
    assert design_effect(np.array([[0, 5, 0], [0, 5, 0]])) == 1


def with_some_undated(values: NDArray[np.float64], reference: Reference, undated: int) -> Summary:
    """Count rows of days, of which so many of each day do not say so."""
    names = values.shape[1] - undated
    dated = reference.count(values[:, :names].ravel(), days=np.repeat(DAYS[: len(values)], names))
    return dated + reference.count(values[:, names:].ravel()) if undated else dated


@pytest.mark.parametrize("undated", [1, 4, 10])
def test_a_few_rows_of_no_known_day_do_not_make_all_rows_independent(undated: int) -> None:
    reference = Reference.of(clustered(2_000, 20, 0.6, seed=1).ravel())
    values = clustered(200, 20, 0.6, seed=2)
    whole = worth(reference.golden, with_some_undated(values, reference, 0))
    found = worth(reference.golden, with_some_undated(values, reference, undated))
    assert found.measured
    assert found.how == f"over 200 days ({200 * undated} rows of no known day are taken to be of these)"
    assert found.current == pytest.approx(whole.current, rel=0.15)
    assert found.current < 1_000


def test_few_days_count_those_of_no_known_day_too() -> None:
    reference = Reference.of(clustered(400, 20, 0.3, seed=1).ravel(), days=np.repeat(DAYS[:400], 20))
    values = clustered(5, 30, 0.3, seed=2)
    whole, some = (worth(reference.golden, with_some_undated(values, reference, undated)) for undated in (0, 10))
    assert some.current == pytest.approx(whole.current)
    assert "(50 rows of no known day are taken to be of these)" in some.how


def test_rows_that_are_mostly_of_no_known_day_are_taken_as_independent() -> None:
    reference = Reference.of(clustered(400, 20, 0.3, seed=1).ravel(), days=np.repeat(DAYS[:400], 20))
    found = worth(reference.golden, with_some_undated(clustered(60, 20, 0.3, seed=2), reference, 11))
    assert found.how == "rows are taken as independent: their days are not known"
