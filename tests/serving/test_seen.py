"""Which messages were logged: against a plain set, and in bounded memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.serving.seen import Seen, sequence_of


@settings(deadline=None)
@given(st.lists(st.integers(0, 30)), st.integers(0, 31))
def test_it_holds_what_a_set_holds(numbers: list[int], asked: int) -> None:
    seen = Seen()
    for number in numbers:
        seen.add(number)
    assert (asked in seen) == (asked in {*numbers})
    gaps = sum(number + 1 not in {*numbers} for number in {*numbers})
    assert len(seen) == gaps


def test_neighbours_take_no_room_and_of_others_the_lowest_are_forgotten() -> None:
    seen = Seen(most=100)
    for number in range(100_000):
        seen.add(number)
    assert len(seen) == 1
    for number in range(200_000, 202_000, 2):
        seen.add(number)
    assert 100 <= len(seen) <= 200
    assert 201_998 in seen
    assert 201_800 in seen
    assert 5 not in seen


@pytest.mark.parametrize(
    ("place", "number"),
    [("17", 17), ("1-0", 1 << 64), ("1526919030474-55", (1526919030474 << 64) + 55), ("9:2:ff", None), ("", None)],
)
def test_a_place_has_a_number(place: str, number: int | None) -> None:
    assert sequence_of(place) == number
