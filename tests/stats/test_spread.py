"""What a difference between scores is large or small against."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.spread import SMALLEST, spread

DAYS = np.repeat(np.arange(5), 4)
SCORES = np.random.default_rng(0).standard_normal(20) * np.repeat([1, 2, 3, 40, 500], 4)


def test_the_spread_is_the_median_over_days_of_the_standard_deviation() -> None:
    by_hand = np.median([SCORES[day == DAYS].std() for day in range(5)])
    assert spread(SCORES, DAYS).typical == pytest.approx(by_hand)


def test_without_days_it_is_the_standard_deviation() -> None:
    assert spread(SCORES, np.zeros(20)).typical == pytest.approx(SCORES.std())


def test_a_row_reaches_as_far_as_its_score_lies_from_the_middle_of_its_day_but_never_less_than_the_spread() -> None:
    found = spread(SCORES, DAYS)
    middles = np.array([np.median(SCORES[day == DAYS]) for day in DAYS])
    assert found.reach == pytest.approx(np.maximum(np.abs(SCORES - middles), found.typical))


@given(scale=st.floats(1e-30, 1e30), offset=st.floats(-1e3, 1e3))
def test_it_scales_with_the_scores_and_sees_no_offset(scale: float, offset: float) -> None:
    assert spread(scale * SCORES, DAYS).typical == pytest.approx(scale * spread(SCORES, DAYS).typical)
    assert spread(SCORES + offset, DAYS).typical == pytest.approx(spread(SCORES, DAYS).typical)


def test_days_whose_scores_are_all_alike_have_no_part_in_it() -> None:
    flat = np.where(DAYS < 2, 0.3, SCORES)
    by_hand = np.median([SCORES[day == DAYS].std() for day in (2, 3, 4)])
    assert spread(flat, DAYS).typical == pytest.approx(by_hand)
    rounded = flat + np.where(DAYS < 2, np.tile([0, 1e-16, 0, -1e-16], 5), 0)
    assert spread(rounded, DAYS).typical == pytest.approx(by_hand)


@pytest.mark.parametrize("apart", [1e-9, 1e9])
@pytest.mark.parametrize("rows", [1, 4], ids=["a-row-a-day", "days-that-are-alike"])
def test_a_few_days_do_not_speak_for_a_panel_whose_other_days_have_no_spread(rows: int, apart: float) -> None:
    """A single row that comes twice would else make the scale as small or as large as it likes."""
    days = np.append(np.repeat(np.arange(50), rows), [49])
    scores = np.repeat(np.random.default_rng(0).standard_normal(50), rows)
    scores = np.append(scores, scores[-1] + apart)
    found = spread(scores, days)
    assert found.typical == pytest.approx(scores.std())
    assert found.reach == pytest.approx(np.maximum(np.abs(scores - np.median(scores)), scores.std()))


def test_scores_that_differ_only_from_day_to_day_are_measured_over_all_days() -> None:
    """Such as those of a model of the whole market, or of a single asset."""
    scores = np.repeat([1.0, 2, 3, 4, 5], 4)
    assert spread(scores, DAYS).typical == pytest.approx(scores.std())
    assert spread(SCORES, np.arange(20)).typical == pytest.approx(SCORES.std())


def test_scores_that_are_all_alike_have_only_their_size() -> None:
    assert spread(np.full(20, -0.1), DAYS).typical == 0.1


@pytest.mark.parametrize("scores", [np.zeros(20), SCORES * 1e-60], ids=["zero", "tiny"])
def test_it_ends_where_float32_loses_digits(scores: np.ndarray) -> None:
    assert spread(scores, DAYS).typical == SMALLEST == pytest.approx(1.18e-38, rel=0.01)


def test_scores_that_cannot_be_squared_are_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^scores reaches 1e\+101 in size, expected at most 1e\+100"):
        spread([1e101, 0], [0, 0])
