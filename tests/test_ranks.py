"""Ranks of many rows, and how far two of them agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.ranks import Matrix, average_ranks, centred_ranks, daily_rank_ic

NAN = np.nan
SHAPES = st.tuples(st.integers(8, 14), st.integers(2, 6))
TIED = st.integers(-4, 4).map(float)


@given(values=arrays(np.float64, SHAPES, elements=TIED | st.just(NAN)))
def test_ranks_agree_with_scipy(values: Matrix) -> None:
    np.testing.assert_array_equal(average_ranks(values), rankdata(values, axis=1, nan_policy="omit"))


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
    np.testing.assert_array_equal(average_ranks(values), rankdata(values, axis=1, nan_policy="omit"))
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
