"""Whether the panel is fit to judge a model by."""

import pytest

from pytest_modelgates import Gate, Panel


@pytest.mark.hard
@pytest.mark.gate("data.finite")
def test_finite(panel: Panel, gate: Gate) -> None:
    """No infinity anywhere, and NaN only in features that may be NaN."""
    gate.check_none(panel.not_finite())


@pytest.mark.hard
@pytest.mark.gate("data.unique_keys")
def test_unique_keys(panel: Panel, gate: Gate) -> None:
    """One row per day and asset."""
    gate.check_none(panel.repeated_rows())


@pytest.mark.hard
@pytest.mark.gate("data.ordered")
def test_ordered(panel: Panel, gate: Gate) -> None:
    """Rows ascend by time, then asset."""
    gate.check_none(panel.unordered_rows())


@pytest.mark.hard
@pytest.mark.gate("data.no_overlap")
def test_no_overlap(panel: Panel, gate: Gate) -> None:
    """No row lies on or before the last price date that a training label used."""
    gate.check_none(panel.overlapping_rows())


@pytest.mark.hard
@pytest.mark.gate("data.window")
def test_window(panel: Panel, window_problems: list[str], gate: Gate) -> None:
    """Nobody chose the days: they begin after training, end when the model was packed, or are of a panel kept apart."""
    starts, ends = (f"{panel.days[end]:%Y-%m-%d}" if len(panel.days) else "no row" for end in (0, -1))
    gate.check_none(window_problems, starts=starts, ends=ends, panel=panel.rows_digest)
