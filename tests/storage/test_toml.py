"""TOML as people write it, and what they are told of what is not."""

import re

import pytest

from pytest_modelgates.errors import FormatError
from pytest_modelgates.storage.toml import parse_toml


def test_toml_is_parsed() -> None:
    assert parse_toml("a = 1\n[b]\nc = ['é',]\n".encode()) == {"a": 1, "b": {"c": ["é"]}}


ODD = [
    pytest.param(
        b"\xef\xbb\xbfa = 1\n", "it begins with a byte order mark; save it as UTF-8 without one", id="byte-order-mark"
    ),
    pytest.param(b"a = 1,\nb = 2\n", "*line 1, column 6); take the comma out: a line does not end in one", id="line"),
    pytest.param(b"a = 'x' ,\n", "*; take the comma out: a line does not end in one", id="line-with-a-space"),
    pytest.param(
        b"a = {b = 1, }\n",
        "*line 1, column 13); take the comma out: an inline table does not end in one, and stands on one line",
        id="inline-table",
    ),
    pytest.param(b"a = {b = 1,\n c = 2}\n", "*; take the comma out: an inline table does not *", id="two-lines"),
    pytest.param(b"a = \n", "Invalid value (at line 1, column 5)", id="no-value"),
    pytest.param(b"a = ", "Invalid value (at end of document)", id="cut-off"),
    pytest.param(b"a = '\xff'", "'utf-8' codec can't decode byte 0xff *", id="latin-1"),
    pytest.param(b"a = " + b"[" * 100_000, "*", id="nested-too-deep"),
]


@pytest.mark.parametrize(("content", "message"), ODD)
def test_what_is_not_toml_is_named(content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$".replace(r"\*", ".*")):
        parse_toml(content)
