"""Drift from counts: whatever the parts, it is that of all predictions at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from pytest_modelgates.drift import ks_test, psi
from pytest_modelgates.drift.running import RunningDrift
from pytest_modelgates.errors import InsufficientDataError, StatisticsError

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
    found = running.report()
    assert running.rows == current.size
    assert found["psi"]["value"] == pytest.approx(psi(golden, current), abs=1e-12)
    assert found["ks"]["statistic"] == pytest.approx(ks_test(golden, current).statistic, abs=1e-12)
    assert found["ks"]["p_value"] == pytest.approx(ks_test(golden, current).p_value, rel=1e-9)


def test_a_long_log_has_the_p_value_of_scipy() -> None:
    rng = np.random.default_rng(3)
    golden, current = rng.standard_normal(5000), rng.standard_normal(60_000) + 0.02
    running = RunningDrift(golden)
    for part in np.array_split(current, 7):
        running.add(part)
    expected = stats.ks_2samp(golden, current, method="asymp")
    found = running.report()["ks"]
    assert found["statistic"] == pytest.approx(expected.statistic, abs=1e-12)
    assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize("bad", [[1.0, np.nan], [], [[1.0]]])
def test_a_part_that_is_refused_is_not_added(bad: list[float]) -> None:
    running = RunningDrift(np.arange(200.0))
    with pytest.raises(StatisticsError):
        running.add(bad)
    assert running.rows == 0
    with pytest.raises(InsufficientDataError, match=r"^current has 0 values, too few to tell"):
        running.report()


def test_too_small_a_golden_is_refused() -> None:
    few: NDArray[np.float64] = np.arange(169.0)
    with pytest.raises(InsufficientDataError, match=r"^golden has 169 values, too few to tell"):
        RunningDrift(few)
