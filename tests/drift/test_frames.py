"""Drift of many columns: of numbers and of categories, the worst first, with p-values that allow for their number."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import stats

from pytest_modelgates.drift import detect_drift
from pytest_modelgates.drift.categories import chi_squared_test, compare_categories
from pytest_modelgates.drift.frames import adjusted
from pytest_modelgates.errors import StatisticsError


def frame(rows: int, *, seed: int, moved: float = 0.0, sectors: str = "abc") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"f{place}": rng.standard_normal(rows) for place in range(20)}
    columns["f7"] = columns["f7"] + moved
    columns["sector"] = rng.choice(list(sectors), rows, p=[0.5, 0.3, 0.2])
    columns["count"] = rng.integers(0, 5, rows)
    return pd.DataFrame(columns)


def test_columns_that_moved_are_named_the_worst_first() -> None:
    report = detect_drift(frame(3_000, seed=1), frame(800, seed=2, moved=0.6, sectors="abd"))
    assert report["overall_drift"] is True
    assert report["drifted"] == ["sector", "f7"]
    assert [each["name"] for each in report["columns"][:2]] == ["sector", "f7"]
    psi = [each["psi"] for each in report["columns"][2:]]
    assert psi == sorted(psi, reverse=True)


def test_a_frame_that_did_not_move_has_not_drifted() -> None:
    report = detect_drift(frame(3_000, seed=1), frame(800, seed=2))
    assert (report["overall_drift"], report["drifted"], len(report["columns"])) == (False, [], 22)


KINDS = {
    "pandas": lambda each: each,
    "nullable": pd.DataFrame.convert_dtypes,
    "arrow": pa.Table.from_pandas,
    "polars": pl.from_pandas,
    "mapping": dict,
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_any_kind_of_frame_gives_the_same(kind: Any) -> None:
    golden, current = frame(500, seed=1), frame(400, seed=2, moved=1)
    found = detect_drift(kind(golden), kind(current))
    assert [(each["name"], each["psi"]) for each in found["columns"]] == [
        (each["name"], each["psi"]) for each in detect_drift(golden, current)["columns"]
    ]


MISSING = {
    "numpy": lambda values: np.array(values, dtype=object),
    "masked": lambda values: np.ma.masked_array([each or 0 for each in values], [each is None for each in values]),
    "pandas": lambda values: pd.Series(values, dtype="float64"),
    "nullable-integers": lambda values: pd.array(values, dtype="Int64"),
    "nullable-truth": lambda values: pd.Series(values, dtype="boolean"),
    "arrow-in-pandas": lambda values: pd.Series(values, dtype="double[pyarrow]"),
    "arrow": pa.array,
    "arrow-in-chunks": lambda values: pa.chunked_array([values[:50], values[50:]]),
    "polars": pl.Series,
    "polars-truth": lambda values: pl.Series(values).cast(pl.Boolean),
}


@pytest.mark.parametrize("kind", MISSING.values(), ids=MISSING)
def test_what_is_missing_counts_as_such_whatever_holds_it(kind: Any) -> None:
    golden = [0, 1] * 100
    found = detect_drift(golden, kind([0, 1, 1, None] * 25))
    assert found["missing"]["current"] == 0.25
    assert found["psi"] == detect_drift(golden, [0.0, 1.0, 1.0, np.nan] * 25)["psi"]


def test_what_is_no_frame_or_holds_no_rows_yet_is_refused() -> None:
    whole = pl.DataFrame({"a": [1.0]})
    with pytest.raises(StatisticsError, match=r"^current is LazyFrame, which holds no rows yet: collect it first$"):
        detect_drift(whole, whole.lazy())
    with pytest.raises(StatisticsError, match=r"^golden is list, the other a frame: give two frames or two columns$"):
        detect_drift([1.0], whole)


def test_each_column_has_what_the_column_alone_has() -> None:
    golden, current = frame(500, seed=1), frame(400, seed=2, moved=1)
    (f7,) = (each for each in detect_drift(golden, current)["columns"] if each["name"] == "f7")
    alone = detect_drift(golden["f7"], current["f7"])
    assert f7["report"]["psi"] == alone["psi"]
    assert f7["report"]["ks"]["statistic"] == alone["ks"]["statistic"]


def test_of_many_columns_that_did_not_move_none_drifts_by_chance() -> None:
    rng = np.random.default_rng(3)
    golden, current = ({f"x{place}": rng.standard_normal(200) for place in range(300)} for _ in range(2))
    alone = detect_drift(golden, current, correction="none")
    assert len(alone["drifted"]) > 5
    for correction in ("bh", "holm"):
        assert detect_drift(golden, current, correction=correction)["drifted"] == []  # type: ignore[call-overload]


def test_p_values_are_adjusted_as_scipy_does_and_by_hand() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.5, 0.02])
    assert adjusted(p, "bh") == pytest.approx(stats.false_discovery_control(p))
    assert adjusted(p, "holm") == pytest.approx([0.05, 0.09, 0.09, 0.5, 0.08])
    assert adjusted(p, "none").tolist() == p.tolist()
    with_nan = adjusted(np.array([0.01, np.nan, 0.02]), "holm")
    assert with_nan[[0, 2]] == pytest.approx([0.02, 0.02])
    assert np.isnan(with_nan[1])


def test_frames_with_other_columns_are_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^current lacks b; golden lacks c: give both the same columns$"):
        detect_drift({"a": [1.0], "b": [1.0]}, {"a": [1.0], "c": [1.0]})
    with pytest.raises(StatisticsError, match=r"^golden has no column: give both the same columns$"):
        detect_drift({}, {})
    with pytest.raises(StatisticsError, match=r"^column a: golden cannot be read as numbers \(complex128\): give one"):
        detect_drift({"a": [1j]}, {"a": [1.0]})


def categories(**counts: int) -> list[str | None]:
    return [None if name == "missing" else name for name, count in counts.items() for _ in range(count)]


def test_new_and_vanished_categories_are_named() -> None:
    report = compare_categories(categories(a=500, b=400, c=100), categories(a=50, b=40, d=10))
    assert (report["new"], report["gone"]) == ({"d": 0.1}, {"c": 0.1})
    assert report["overall_drift"] is True
    assert report["reasons"][0].startswith("PSI ")
    assert report["reasons"][1].startswith("c is 0.0%, was 10.0% (p ")


def test_shares_that_stay_are_not_drift_and_a_missing_one_is_a_category() -> None:
    calm = compare_categories(categories(a=500, b=500), categories(a=105, b=95))
    assert (calm["overall_drift"], calm["reasons"], calm["missing"]) == (False, [], (0.0, 0.0))
    lost = compare_categories(categories(a=500, b=500), categories(a=100, b=50, missing=50))
    assert (lost["overall_drift"], lost["missing"]) == (True, (0.0, 0.25))


def test_it_is_said_that_categories_are_compared_without_their_days() -> None:
    days = np.repeat(np.datetime64("2026-01-01") + np.arange(25), 4)
    frame = {"kind": ["a", "b"] * 50, "score": np.arange(100.0)}
    said = {
        of["name"]: of["report"]["dependence"]
        for of in detect_drift(frame, frame, golden_days=days, days=days)["columns"]
    }
    assert said["kind"].startswith("rows are taken as independent")
    assert not said["score"].startswith("rows are taken as independent")


def test_categories_that_are_too_few_cannot_be_told() -> None:
    report = compare_categories(categories(a=500), ["a"] * 19)
    assert (report["overall_drift"], report["reasons"]) == (None, ["19 values, too few to tell: give at least 20"])
    many = [f"c{place}" for place in range(40)]
    report = compare_categories(many * 10, many)
    assert report["overall_drift"] is None
    assert report["reasons"][0].startswith("without drift, so few values reach a PSI of ")
    with pytest.raises(StatisticsError, match=r"^current is empty: give at least one category$"):
        compare_categories(["a"], [])


def test_chi_squared_is_that_of_scipy_and_pools_what_is_rare() -> None:
    then, now = np.array([500, 300, 200]), np.array([90, 70, 40])
    expected = stats.chi2_contingency([then, now], correction=False)
    assert chi_squared_test(then, now) == pytest.approx((expected.statistic, expected.pvalue))
    pooled = stats.chi2_contingency([[500, 300, 205], [90, 70, 42]], correction=False)
    assert chi_squared_test(np.array([500, 300, 203, 2]), np.array([90, 70, 41, 1]))[0] != pooled.statistic
    assert chi_squared_test(np.array([500, 300, 2, 3]), np.array([90, 70, 1, 1])) == pytest.approx(
        stats.chi2_contingency([[500, 300, 5], [90, 70, 2]], correction=False)[:2]
    )
    assert chi_squared_test(np.array([5]), np.array([9])) == (0.0, 1.0)
