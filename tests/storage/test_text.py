"""Text that is safe to print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.storage.text import first_line, listed, printable, root_cause, shown


@given(text=st.text())
def test_printable_text_fits_a_line_and_any_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert (shown == text) == text.isprintable()
    assert printable(shown) == shown
    shown.encode()


def test_printable_text_keeps_what_can_be_printed() -> None:
    assert printable("größer\x1b[2J\n\udcff") == "größer\\x1b[2J\\n\\udcff"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (NotImplementedError(), "NotImplementedError"),
        (ValueError("\n \n"), "ValueError"),
    ],
)
def test_the_first_line_of_an_error_is_never_empty(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_the_root_cause_is_the_error_that_another_was_raised_from() -> None:
    error = ValueError("unable to create a node")
    assert root_cause(error) == "unable to create a node"
    error.__cause__ = TypeError("expected an int, got a boolean\nin a field")
    assert root_cause(error) == "expected an int, got a boolean"


def test_an_address_of_version_6_stands_in_brackets() -> None:
    assert (shown("127.0.0.1", 80), shown("::1", 80), shown("host", 1)) == ("127.0.0.1:80", "[::1]:80", "host:1")


def test_a_list_of_names_ends_after_a_few() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed("abc", most=2, between="; ") == "a; b and 1 more"
    assert listed(range(1000), most=3) == "0, 1, 2 and 997 more"
    assert listed([]) == ""
