"""Ranks of many rows, and how far two of them agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.ranks import Matrix, centred_ranks, daily_rank_ic, highest

NAN = np.nan
SHAPES = st.tuples(st.integers(8, 14), st.integers(2, 6))
TIED = st.integers(-4, 4).map(float)


def scipys(values: Matrix) -> Matrix:
    """Average ranks by SciPy, about 0, and 0 for NaN."""
    middle = ((~np.isnan(values)).sum(axis=1, keepdims=True) + 1) / 2
    return np.nan_to_num(rankdata(values, axis=1, nan_policy="omit") - middle)


@given(values=arrays(np.float64, SHAPES, elements=TIED | st.just(NAN)))
def test_ranks_agree_with_scipy(values: Matrix) -> None:
    np.testing.assert_array_equal(centred_ranks(values), scipys(values))


def test_rank_ic_gives_the_answers_of_alphalens_and_scipy() -> None:
    # alphalens-reloaded, tests/test_performance.py, factor_information_coefficient.
    np.testing.assert_allclose(
        daily_rank_ic([[1, 2, 3, 4], [4, 3, 2, 1]], [[4, 3, 2, 1], [1, 2, 3, 4]]), [-1, -1], rtol=1e-15
    )
    np.testing.assert_allclose(daily_rank_ic([[1, 2, 3, 4], [4, 3, 2, 1]], [[1, 2, 3, 4], [4, 3, 2, 1]]), [1, 1])
    # SciPy's documentation of spearmanr.
    np.testing.assert_allclose(daily_rank_ic([[1, 2, 3, 4, 5]], [[5, 6, 7, 8, 7]]), [0.8207826816681233], rtol=1e-14)


@given(
    pairs=arrays(np.float64, st.tuples(st.just(2), st.integers(1, 6), st.integers(2, 7)), elements=TIED | st.just(NAN))
)
def test_rank_ic_agrees_with_scipy_on_the_pairs_without_nan(pairs: Matrix) -> None:
    ics = daily_rank_ic(pairs[0], pairs[1])
    for ic, a, b in zip(ics, *pairs, strict=True):
        both = ~(np.isnan(a) | np.isnan(b))
        if len(set(a[both])) < 2 or len(set(b[both])) < 2:
            assert np.isnan(ic)
        else:
            assert ic == pytest.approx(spearmanr(a[both], b[both]).statistic, abs=1e-12)


def test_rank_ic_refuses_matrices_of_different_shape() -> None:
    with pytest.raises(
        StatisticsError, match=r"^scores and target have shapes \(1, 2\) and \(1, 3\), expected the same"
    ):
        daily_rank_ic([[1, 2]], [[1, 2, 3]])


@pytest.mark.parametrize("gaps", [0.0, 0.1], ids=["complete", "with-gaps"])
@pytest.mark.parametrize("digits", [1, 15], ids=["with-ties", "without-ties"])
def test_large_matrices_are_ranked_like_small_ones(digits: int, gaps: float) -> None:
    random = np.random.default_rng(1)
    values, other = np.round(random.standard_normal((2, 700, 120)), digits)
    values[random.random(values.shape) < gaps] = NAN
    np.testing.assert_array_equal(centred_ranks(values), scipys(values))
    expected = [spearmanr(a, b, nan_policy="omit").statistic for a, b in zip(values, other, strict=True)]
    np.testing.assert_allclose(daily_rank_ic(values, other), expected, rtol=1e-12)


def test_one_day_with_ties_does_not_touch_the_others() -> None:
    ranks = centred_ranks(np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 1.0], [NAN, 5.0, 4.0]]))
    assert ranks.tolist() == [[-1, 0, 1], [0.5, 0.5, -1], [0, 0.5, -0.5]]


def test_a_matrix_without_columns_has_no_ranks() -> None:
    assert centred_ranks(np.empty((3, 0))).shape == (3, 0)
    assert np.isnan(daily_rank_ic(np.empty((3, 0)), np.empty((3, 0)))).all()


def test_opposite_infinities_are_counted() -> None:
    with pytest.raises(StatisticsError, match=r"^scores has 2 infinite values, expected numbers or NaN"):
        daily_rank_ic([[np.inf, -np.inf, NAN]], [[1, 2, 3]])


def test_the_highest_share_is_at_least_one_name_and_leaves_ties_at_its_edge_out() -> None:
    days = np.array([[4, 3, 2, 1, NAN], [3, 3, 2, 1, NAN], [NAN, NAN, NAN, 1, NAN], [2, 2, 2, 2, 2], [NAN] * 5])
    assert highest(days, 0.1).sum(axis=1).tolist() == [1, 0, 1, 0, 0]
    assert highest(days, 0.5)[:2].astype(int).tolist() == [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert highest(days, 0.9)[:4].sum(axis=1).tolist() == [4, 4, 1, 0]
    # Two of three names are wanted, and all three are alike.
    assert not highest(np.array([[0.0, 0.0, 0.0]]), 0.5).any()


@given(values=arrays(np.float64, SHAPES, elements=TIED | st.just(NAN)), share=st.floats(0.01, 0.99))
def test_no_name_outside_the_highest_share_scores_more_than_one_in_it(values: Matrix, share: float) -> None:
    for day, top in zip(values, highest(values, share), strict=True):
        there = ~np.isnan(day)
        assert top.sum() <= max(1, round(share * there.sum()))
        assert not (top & ~there).any()
        if top.any():
            assert day[top].min() > max(day[there & ~top], default=-np.inf)
