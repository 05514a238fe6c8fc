"""When a sample has drifted, when it has not, and when nobody can tell; which rule decided, and in which words."""

import json
import math
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pytest_modelgates import drift
from pytest_modelgates.drift import detect_drift, ks_test, psi
from pytest_modelgates.drift.verdict import FEWEST_ROWS, DriftLimits, as_json
from pytest_modelgates.errors import StatisticsError

UNIFORM = np.linspace(0.0, 1.0, 2_000)
NORMAL = stats.norm.ppf((np.arange(2_000) + 0.5) / 2_000)


def test_the_public_names_are_those_of_the_guide() -> None:
    names = ["detect_drift", "ks_test", "load_golden_predictions", "psi", "save_golden_predictions"]
    assert sorted(drift.__all__) == names


def test_the_guide_s_lines_work_as_printed() -> None:
    results = detect_drift(NORMAL, NORMAL + 1)
    assert f"PSI: {results['psi']['value']:.3f}" == f"PSI: {psi(NORMAL, NORMAL + 1):.3f}"
    assert f"Drift detected: {results['overall_drift']}" == "Drift detected: True"


LEVELS = [
    pytest.param(0.0, "none", False, id="same"),
    pytest.param(0.4, "moderate", True, id="moderate-psi-but-ks-calls-it"),
    pytest.param(1.0, "significant", True, id="one-sigma"),
]


@pytest.mark.parametrize(("shift", "level", "drifted"), LEVELS)
def test_drift_is_reported_in_the_guide_s_words(shift: float, level: str, drifted: bool) -> None:
    report, ks = detect_drift(NORMAL, NORMAL + shift), ks_test(NORMAL, NORMAL + shift)
    assert (report["psi"]["value"], report["psi"]["level"]) == (pytest.approx(psi(NORMAL, NORMAL + shift)), level)
    assert (report["ks"]["statistic"], report["ks"]["p_value"]) == ks
    assert report["overall_drift"] is drifted
    assert report["literal"] == {"drift": drifted, "p_value": ks.p_value}


def test_a_tiny_shift_of_many_rows_is_not_drift_but_is_by_the_plain_rule() -> None:
    golden = stats.norm.ppf((np.arange(50_000) + 0.5) / 50_000)
    report = detect_drift(golden, golden + 0.05)
    assert report["ks"]["p_value"] < 1e-6
    assert (report["overall_drift"], report["literal"]["drift"]) == (False, True)
    assert detect_drift(golden, golden + 0.05, limits=DriftLimits(ks_distance=0))["overall_drift"] is True


def test_a_limit_is_itself_allowed_and_only_more_is_drift() -> None:
    golden, current = UNIFORM, UNIFORM + 0.1
    index, distance = psi(golden, current), ks_test(golden, current).statistic
    on_the_limit = detect_drift(golden, current, limits=DriftLimits(psi_moderate=index, psi=index, ks_p=0))
    below_it = detect_drift(golden, current, limits=DriftLimits(psi_moderate=0, psi=0.999 * index, ks_p=0))
    by_distance = detect_drift(golden, current, limits=DriftLimits(psi=99, ks_distance=distance))
    assert (on_the_limit["psi"]["level"], on_the_limit["overall_drift"]) == ("none", False)
    assert (below_it["psi"]["level"], below_it["overall_drift"]) == ("significant", True)
    assert by_distance["overall_drift"]


def zeros(share: float, *, of: int, times: float = 1.0) -> NDArray[np.float64]:
    """Mostly zeros; the others are spread evenly."""
    others = round(of * (1 - share))
    return np.concatenate([np.zeros(of - others), times * np.linspace(0.01, 1, others)])


def ones(share: float, *, of: int) -> NDArray[np.float64]:
    return np.repeat([0.0, 1.0], [of - round(share * of), round(share * of)])


# What marginal distances overlook where values repeat, or a few rows matter.
SEEN: list[Any] = [
    pytest.param(
        ones(0.1, of=200),
        ones(0.2, of=200),
        r"^KS distance 0.100 is at least 0.05, and p 0.00742 below 0.05$",
        id="10-to-20-percent-ones",
    ),
    pytest.param(
        zeros(0.97, of=10_000),
        zeros(0.97, of=5_000, times=10),
        r"^PSI \d\.\d+ of the values that are not frequent is above 0.25$",
        id="the-other-three-percent-grow",
    ),
    pytest.param(
        zeros(0.97, of=10_000),
        zeros(0.999, of=5_000),
        r"^0\.10% of the values are not frequent ones, which were 3\.00% \(p .*e-\d+\)$",
        id="alarms-gone",
    ),
    pytest.param(np.full(300, 0.5), np.full(300, 0.6), r"^PSI 12\.75\d is above 0.25$", id="another-constant"),
    pytest.param(
        UNIFORM,
        np.where(np.arange(400) % 2, np.nan, np.linspace(0, 1, 400)),
        r"^50\.0% of the values are missing or infinite, which were 0\.0% \(p ",
        id="half-missing",
    ),
    pytest.param(UNIFORM, [math.inf] * 30, r"^100\.0% of the values are missing", id="all-infinite"),
    pytest.param(UNIFORM, np.append(UNIFORM / 2 + 0.5, 1e9), r"^PSI \d\.\d+ is above", id="an-outlier-hides-nothing"),
]


@pytest.mark.parametrize(("golden", "current", "reason"), SEEN)
def test_shifts_that_are_easily_overlooked_are_drift(golden: Any, current: Any, reason: str) -> None:
    report = detect_drift(golden, current)
    assert report["overall_drift"] is True
    assert re.match(reason, report["reasons"][0])


CALM: list[Any] = [
    pytest.param(np.full(300, 0.5), np.full(300, 0.5), id="the-same-constant"),
    pytest.param(zeros(0.97, of=10_000), zeros(0.97, of=5_000), id="mostly-zero"),
    pytest.param(np.round(NORMAL, 4), np.round(NORMAL[::2], 4), id="four-digits"),
    pytest.param(UNIFORM, np.append(UNIFORM, 1e9), id="one-outlier"),
    pytest.param(UNIFORM, np.append(UNIFORM, [np.nan]), id="one-missing-value"),
    pytest.param(np.append(UNIFORM, [np.nan] * 99), np.append(UNIFORM, [np.nan] * 99), id="missing-as-before"),
    pytest.param(np.tile([0.1, 0.2, 0.7], 100), np.tile([0.1, 0.2, 0.7], 100).astype(np.float32), id="float32"),
    pytest.param(
        np.array([1e300, 1, 2] * 99), np.array([np.finfo("f4").max, 1, 2] * 99, dtype="f4"), id="beyond-float32"
    ),
    pytest.param(ones(0.1, of=500).astype(bool), ones(0.1, of=500).astype(bool), id="truth-values"),
    pytest.param(np.arange(2**53, 2**53 + 300), np.arange(2**53 + 1, 2**53 + 301), id="large-integers"),
]


@pytest.mark.parametrize(("golden", "current"), CALM)
def test_what_has_not_moved_has_not_drifted(golden: Any, current: Any) -> None:
    report = detect_drift(golden, current)
    assert (report["overall_drift"], report["reasons"]) == (False, [])


UNTOLD: list[Any] = [
    pytest.param(UNIFORM, [0.5], "current has 1 finite value, too few to tell: give at least 20", id="one-row"),
    pytest.param(
        UNIFORM[:19], UNIFORM, "golden has 19 finite values, too few to tell: give at least 20", id="a-short-golden"
    ),
    pytest.param(
        UNIFORM, [math.nan], "current has 0 finite values, too few to tell: give at least 20", id="one-missing"
    ),
    pytest.param(
        np.sort(NORMAL)[::20],
        np.sort(NORMAL)[::20],
        "without drift, 100 values against 100 reach a PSI of 0.34 once in twenty times, beyond the limit of 0.25: "
        "give more rows",
        id="a-hundred-rows",
    ),
]


@pytest.mark.parametrize(("golden", "current", "doubt"), UNTOLD)
def test_what_cannot_be_told_is_neither_drift_nor_none(golden: Any, current: Any, doubt: str) -> None:
    report = detect_drift(golden, current, limits=DriftLimits(ks_distance=1))
    assert (report["overall_drift"], report["psi"]["doubt"], report["reasons"]) == (None, doubt, [doubt])


def test_a_shift_beyond_chance_is_drift_even_of_few_rows() -> None:
    assert FEWEST_ROWS == 20
    assert detect_drift(NORMAL, NORMAL[:FEWEST_ROWS] + 9)["overall_drift"] is True


def test_an_index_that_days_explain_is_not_drift() -> None:
    rng = np.random.default_rng(4)
    golden = rng.standard_normal((300, 20)) + 2 * rng.standard_normal((300, 1))
    current = rng.standard_normal((3, 20)) + 2 * rng.standard_normal((3, 1))
    days = np.datetime64("2026-01-01") + np.arange(300)
    report = detect_drift(
        golden.ravel(),
        current.ravel(),
        golden_days=np.repeat(days, 20),
        days=np.repeat(days[:3], 20),
        limits=DriftLimits(ks_distance=1, psi=0.4),
    )
    assert report["psi"]["value"] > 0.4
    assert (report["overall_drift"], report["literal"]["drift"]) == (None, True)
    assert report["reasons"] == [
        f"PSI {report['psi']['value']:.3f} is above 0.4, but rows of so few days reach {report['psi']['critical']:.2f} "
        "once in twenty times without drift: give more days"
    ]


def test_a_nan_p_never_passes() -> None:
    report = detect_drift(UNIFORM, [math.nan] * 30)
    assert math.isnan(report["ks"]["p_value"])
    assert report["overall_drift"] is True
    assert detect_drift(UNIFORM, [math.nan])["overall_drift"] is None


def test_bins_say_what_each_adds() -> None:
    report = detect_drift(zeros(0.5, of=2_000), zeros(0.25, of=2_000))
    bins = report["psi"]["bins"]
    assert sum(each["psi"] for each in bins) == pytest.approx(report["psi"]["value"])
    assert (bins[0]["values"], bins[0]["golden"], bins[0]["current"]) == ("0", 0.5, 0.25)
    assert bins[1]["values"].startswith("up to 0.1")
    assert bins[-1]["values"].startswith("above 0.9")


def test_a_report_is_json_though_it_holds_what_is_no_number() -> None:
    report = as_json(detect_drift(UNIFORM, [math.nan] * 30))
    assert json.loads(json.dumps(report, allow_nan=False))["psi"]["value"] is None


BAD_LIMITS = [
    pytest.param({"psi": math.nan}, id="nan"),
    pytest.param({"psi_moderate": 0.3}, id="out-of-order"),
    pytest.param({"ks_p": 5.0}, id="a-percentage"),
    pytest.param({"ks_distance": -0.1}, id="negative"),
    pytest.param({"rest_ratio": 1.0}, id="no-ratio"),
]


@pytest.mark.parametrize("limits", BAD_LIMITS)
def test_limits_that_could_never_alarm_or_never_rest_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(StatisticsError) as refusal:
        DriftLimits(**limits)
    assert str(refusal.value).startswith("DriftLimits(psi_moderate=")
    assert str(refusal.value).endswith(
        ") sets no usable limits: give 0 <= psi_moderate <= psi, ks_p and ks_distance within [0, 1], and rest_ratio > 1"
    )


BAD_VALUES: list[Any] = [
    pytest.param(
        np.where(np.arange(200) % 2, np.nan, 0.5), "current holds 100 NaN or infinite of 200 values: ", id="nan"
    ),
    pytest.param([0.1, math.inf], "current holds 1 NaN or infinite of 2 values: ", id="infinite"),
    pytest.param([0.1, None], "current holds 1 NaN or infinite of 2 values: ", id="none"),
    pytest.param(np.ma.array([0.1, 1], mask=[0, 1]), "current holds 1 NaN or infinite of 2 values: ", id="masked"),
]


@pytest.mark.parametrize("measure", [psi, ks_test])
@pytest.mark.parametrize(("current", "message"), BAD_VALUES)
def test_one_number_alone_does_not_hide_missing_values(measure: Any, current: Any, message: str) -> None:
    with pytest.raises(StatisticsError) as refusal:
        measure(UNIFORM, current)
    assert str(refusal.value) == message + "repair them, or count them apart with detect_drift"


@pytest.mark.parametrize("measure", [psi, ks_test, detect_drift])
def test_an_empty_side_is_refused_by_its_name(measure: Any) -> None:
    with pytest.raises(StatisticsError, match=r"^golden is empty: give at least one prediction$"):
        measure([], UNIFORM)
    with pytest.raises(StatisticsError, match=r"^current is empty: give at least one prediction$"):
        measure(UNIFORM, [])


def test_what_takes_long_to_load_is_not_loaded() -> None:
    script = (
        "import sys; import numpy as np; from pytest_modelgates.drift import detect_drift\n"
        "detect_drift(np.arange(40_000) / 7, np.arange(40_000) / 7)\n"
        "print(sorted({'scipy', 'pandas', 'pyarrow', 'numpy.ma'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
