"""Splits of days without a label in both."""

import re
from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.purging import combinatorial, leaking, paths, purged, walk_forward


def meets(day: int, test: list[int], reach: int, embargo: int) -> bool:
    """Compare the days whose prices two labels read, test day by test day."""
    window = set(range(day, day + reach + 1))
    return any(window & set(range(tested, tested + reach + 1 + embargo * (day >= tested))) for tested in test)


DAYS = st.integers(0, 40)


@given(
    train=st.sets(DAYS, max_size=20),
    test=st.sets(DAYS, min_size=1, max_size=8),
    horizon=st.integers(1, 5),
    lag=st.integers(0, 2),
    embargo=st.integers(0, 5),
)
def test_a_day_leaks_exactly_if_its_label_window_meets_that_of_a_test_day(
    train: set[int], test: set[int], horizon: int, lag: int, embargo: int
) -> None:
    found = leaking(sorted(train), sorted(test), horizon=horizon, lag=lag, embargo=embargo)
    assert found.tolist() == [day for day in sorted(train) if meets(day, sorted(test), horizon + lag, embargo)]
    kept = purged(sorted(train), sorted(test), horizon=horizon, lag=lag, embargo=embargo)
    assert kept.tolist() == sorted(train - set(found.tolist()))
    assert not leaking(kept, sorted(test), horizon=horizon, lag=lag, embargo=embargo).size


def test_the_lag_counts_as_in_qlib() -> None:
    # Ref(-2) / Ref(-1) - 1, a day's return entered a day late, reads the prices two days on: three days of labels.
    assert leaking(range(10), [10], horizon=1, lag=1).tolist() == [8, 9]


def test_blocks_of_test_days_are_purged_one_by_one() -> None:
    # The span of all test days, 5 to 25, would bar the days between them too.
    found = leaking(range(40), [5, 6, 25], horizon=1, lag=0, embargo=2)
    assert found.tolist() == [4, 5, 6, 7, 8, 9, 24, 25, 26, 27, 28]


def test_walking_forward_gives_the_answer_of_skfolio() -> None:
    # skfolio, WalkForward(train_size=2, test_size=1, purged_size=1), its docstring.
    splits = [(train.tolist(), test.tolist()) for train, test in walk_forward(6, train=2, test=1, purge=1)]
    assert splits == [([0, 1], [3]), ([1, 2], [4]), ([2, 3], [5])]


def test_an_expanding_window_keeps_the_oldest_days() -> None:
    splits = [(train.tolist(), test.tolist()) for train, test in walk_forward(7, train=2, test=2, expanding=True)]
    assert splits == [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]


@pytest.mark.parametrize("expanding", [False, True], ids=["rolling", "expanding"])
def test_a_purge_of_the_reach_of_a_label_leaks_nothing_and_one_day_less_does(expanding: bool) -> None:
    for purge, sound in ((6, True), (5, False)):
        for train, test in walk_forward(200, train=50, test=20, purge=purge, expanding=expanding):
            assert (leaking(train, test, horizon=5, lag=1).size == 0) is sound


@given(groups=st.integers(2, 6), data=st.data(), horizon=st.integers(1, 4), embargo=st.integers(0, 4))
def test_every_choice_of_groups_is_tested_and_nothing_leaks(
    groups: int, data: st.DataObject, horizon: int, embargo: int
) -> None:
    tested = data.draw(st.integers(1, groups - 1))
    # Even a stretch alone between two that are tested then keeps a day of its own.
    n_days = data.draw(st.integers(groups * (2 * horizon + 3 + embargo), 120))
    splits = list(combinatorial(n_days, groups=groups, tested=tested, horizon=horizon, embargo=embargo))
    assert len(splits) == comb(groups, tested)
    times = np.zeros(n_days, dtype=int)
    for train, test in splits:
        times[test] += 1
        assert train.size
        assert not np.intersect1d(train, test).size
        assert not leaking(train, test, horizon=horizon, embargo=embargo).size
    assert (times == comb(groups - 1, tested - 1)).all()


@given(groups=st.integers(2, 6), data=st.data())
def test_each_path_takes_every_day_from_a_split_that_tests_it(groups: int, data: st.DataObject) -> None:
    tested, n_days = data.draw(st.integers(1, groups - 1)), data.draw(st.integers(5 * groups, 60))
    splits = list(combinatorial(n_days, groups=groups, tested=tested, horizon=1))
    found = paths(n_days, groups=groups, tested=tested)
    # Lopez de Prado 2018, section 12.4.1: k / N C(N, k) paths.
    assert found.shape == (comb(groups, tested) * tested // groups, n_days)
    for path in found:
        assert all(day in splits[split][1] for day, split in enumerate(path))
    assert all(len(set(sources)) == len(sources) for sources in found.T.tolist())


REFUSED = [
    pytest.param(lambda: leaking([1], [], horizon=1), "no test days, expected at least 1", id="no-test"),
    pytest.param(
        lambda: leaking([1], [2], horizon=0),
        "horizon 0, lag 1, embargo 0: expected at least 1, 0 and 0 days",
        id="horizon",
    ),
    pytest.param(
        lambda: list(walk_forward(6, train=0, test=1)),
        "train 0, test 1, purge 0: expected at least 1, 1 and 0 days",
        id="no-train",
    ),
    pytest.param(
        lambda: list(walk_forward(6, train=5, test=2)), "6 days, expected at least 7 for one split", id="short"
    ),
    pytest.param(
        lambda: list(combinatorial(9, groups=3, tested=3, horizon=1)),
        "3 of 3 groups of 9 days: expected fewer tested than groups than days",
        id="all-tested",
    ),
    pytest.param(
        lambda: next(combinatorial(12, groups=4, tested=2, horizon=3)),
        "4 of 6 splits have no training day left after purging, such as the one that tests groups 1, 3 of 4: give more "
        "days, test fewer groups, or make fewer",
        id="nothing-to-train-on",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_it_refuses_and_says_why(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        call()
