"""Drift from counts: whatever the parts, it is that of all predictions at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_modelgates.drift import detect_drift
from pytest_modelgates.drift.running import RunningDrift
from pytest_modelgates.errors import StatisticsError

KINDS = {
    "continuous": lambda rng, size: rng.standard_normal(size),
    "rounded": lambda rng, size: np.round(rng.standard_normal(size), 1),
    "binary": lambda rng, size: (rng.random(size) < 0.1).astype(float),
    "mostly-zero": lambda rng, size: np.where(rng.random(size) < 0.9, 0.0, rng.standard_normal(size)),
    "constant": lambda rng, size: np.ones(size),
}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([*KINDS]),
    sizes=st.tuples(st.integers(170, 900), st.integers(170, 900)),
    shift=st.sampled_from([0.0, 0.1, 3.0]),
    cuts=st.lists(st.floats(0, 1), max_size=5),
    seed=st.integers(0, 1000),
)
def test_parts_add_up_to_the_drift_of_all_at_once(
    kind: str, sizes: tuple[int, int], shift: float, cuts: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    golden, current = (KINDS[kind](rng, size) for size in sizes)
    current = current + shift
    running = RunningDrift(golden)
    for part in np.split(current, sorted(int(cut * current.size) for cut in cuts)):
        if part.size:
            running.add(part)
    found, at_once = running.report(), detect_drift(golden, current)
    assert running.rows == current.size
    assert found["psi"] == at_once["psi"]
    assert found["ks"]["statistic"] == pytest.approx(at_once["ks"]["statistic"], abs=1e-12)
    # Values between two of the golden's are taken for different.
    assert found["ks"]["p_value"] >= at_once["ks"]["p_value"] * (1 - 1e-9)
    if kind == "continuous" or (kind != "rounded" and not shift):
        assert found["ks"]["p_value"] == pytest.approx(at_once["ks"]["p_value"], rel=1e-9)


def test_a_long_log_has_the_p_value_of_large_samples() -> None:
    rng = np.random.default_rng(3)
    golden, current = rng.standard_normal(5000), rng.standard_normal(60_000) + 0.02
    running = RunningDrift(golden)
    for part in np.array_split(current, 7):
        running.add(part)
    expected = stats.ks_2samp(golden, current, method="asymp").statistic
    found = running.report()["ks"]
    assert (found["statistic"], found["upper"]) == pytest.approx((expected, expected), abs=1e-12)
    assert found["p_value"] == pytest.approx(stats.kstwobign.sf(expected * np.sqrt(5000 * 60_000 / 65_000)), rel=1e-9)


def test_days_of_parts_add_up() -> None:
    rng = np.random.default_rng(3)
    golden, current = rng.standard_normal(2000), rng.standard_normal(600)
    days = np.repeat(np.datetime64("2026-01-01") + np.arange(30), 20)
    running = RunningDrift(golden)
    for part in np.array_split(np.arange(600), 7):
        running.add(current[part], days=days[part])
    assert running.report()["rows"] == detect_drift(golden, current, days=days)["rows"]
    running.add(current[:1])
    assert running.report()["dependence"] == "over 30 days (1 row of no known day is taken to be of these)"


@pytest.mark.parametrize("bad", [["x"], [], [[1.0]]])
def test_a_part_that_is_refused_is_not_added(bad: list[float]) -> None:
    running = RunningDrift(np.arange(200.0))
    with pytest.raises(StatisticsError):
        running.add(bad)
    assert running.rows == 0
    with pytest.raises(StatisticsError, match=r"^current is empty: give at least one prediction$"):
        running.report()
