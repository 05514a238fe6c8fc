"""Strict JSON, as bytes and in files."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import FormatError
from pytest_modelgates.storage.paths import kind_of
from pytest_modelgates.storage.strict_json import (
    MAX_JSON_BYTES,
    canonical,
    parse_json,
    read_bytes,
    read_json,
    readable,
    repeated_key,
    typed,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    # JSON text in UTF-8 has no lone surrogates.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abé"), inner, max_size=3),
    max_leaves=8,
)


class Machine(msgspec.Struct, forbid_unknown_fields=True):
    """A file of some kind."""

    name: str
    cores: int
    load: float = 0


@given(value=JSON)
def test_canonical_and_readable_json_read_back_as_what_was_written(value: object) -> None:
    assert parse_json(canonical(value), "file") == parse_json(readable(value), "file") == value


@given(value=st.dictionaries(st.text("abc"), st.integers()))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


@pytest.mark.parametrize("encode", [canonical, readable])
def test_nan_is_never_written(encode: Callable[[object], bytes]) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")})


DEEP = b"[" * 100_000 + b"]" * 100_000


ODD_NUMBER = "NaN, infinity or too large a number at `{}`; fix it or leave the key out"


REFUSED_JSON = [
    pytest.param(b'{"a": NaN}', ODD_NUMBER.format("$.a"), id="nan"),
    pytest.param(b'{"a": [1, -Infinity]}', ODD_NUMBER.format("$.a[1]"), id="infinity"),
    pytest.param(b'{"a": {"b": 1e999}}', ODD_NUMBER.format("$.a.b"), id="beyond-float"),
    pytest.param(b'{"a": 1' + b"0" * 10_000 + b"}", ODD_NUMBER.format("$.a"), id="ten-thousand-digits"),
    pytest.param(b'{"a": {"b": 1, "c": 2, "b": 3}}', "key 'b' appears twice; keep one", id="duplicate-key"),
    pytest.param(b'{"a": "\\ud800"}', "half a surrogate pair at `$.a`; fix it or leave the key out", id="surrogate"),
    pytest.param(
        b'{"\\udc00": 1}', "half a surrogate pair at `$, a key`; fix it or leave the key out", id="surrogate-key"
    ),
    pytest.param(b'{"a\\nb": NaN}', ODD_NUMBER.format("$.a\\nb"), id="key-with-newline"),
    pytest.param(b"\xef\xbb\xbf{}", "not JSON in UTF-8 (Unexpected UTF-8 BOM", id="byte-order-mark"),
    pytest.param("{}".encode("utf-16"), "not JSON in UTF-8 ('utf-8' codec", id="utf-16"),
    pytest.param(b'{"a": "\xff"}', "not JSON in UTF-8 ('utf-8' codec", id="latin-1"),
    pytest.param(DEEP, "nested too deeply to be read", id="nested-too-deep"),
    pytest.param(b"", "not JSON in UTF-8 (Expecting value", id="empty"),
    pytest.param(b'{"a": 1} {}', "not JSON in UTF-8 (Extra data", id="two-values"),
    pytest.param(b'{"a": 1,}', "not JSON in UTF-8 (", id="trailing-comma"),
    pytest.param(b'{"a": 01}', "not JSON in UTF-8 (", id="leading-zero"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED_JSON)
def test_json_that_is_not_strict_is_refused_with_file_and_key(content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=f"^{re.escape(f'some/file.json: {message}')}"):
        parse_json(content, "some/file.json")


def test_a_duplicate_among_many_keys_is_found_in_a_moment() -> None:
    keys = [f'"{number}": 0' for number in range(200_000)]
    with pytest.raises(FormatError, match="key '199999' appears twice"):
        parse_json(("{" + ",".join([*keys, keys[-1]]) + "}").encode(), "file")


def test_large_integers_that_python_reads_are_read() -> None:
    assert parse_json(b'{"a": 1' + b"0" * 600 + b"}", "file") == {"a": 10**600}


def test_more_json_than_the_cap_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # holds nothing; to read it all would take a terabyte of memory
    with pytest.raises(FormatError, match=f"^{path}: {2**40} bytes, expected at most {MAX_JSON_BYTES}$"):
        read_json(path, Machine)
    with pytest.raises(FormatError, match=f"^text: more than {MAX_JSON_BYTES} bytes of JSON, which is the most"):
        parse_json(bytes(MAX_JSON_BYTES + 1), "text")


GOOD = {"name": "a", "cores": 2}


REFUSED_FIELDS = [
    pytest.param(GOOD | {"colour": "red"}, "Object contains unknown field `colour`", id="unknown-key"),
    pytest.param(GOOD | {"a\nb": 1}, "Object contains unknown field `a\\nb`", id="unknown-key-with-newline"),
    pytest.param(GOOD | {"cores": "2"}, "Expected `int`, got `str` - at `$.cores`", id="text-for-number"),
    pytest.param(GOOD | {"cores": 2.5}, "Expected `int`, got `float` - at `$.cores`", id="fraction"),
    pytest.param(GOOD | {"cores": True}, "Expected `int`, got `bool` - at `$.cores`", id="truth-value"),
    pytest.param(GOOD | {"load": 10**400}, "Number out of range - at `$.load`", id="beyond-float"),
    pytest.param({"cores": 2}, "Object missing required field `name`", id="missing-key"),
    pytest.param([GOOD], "Expected `object`, got `array`", id="list"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED_FIELDS)
def test_a_value_of_another_type_is_refused_with_file_and_key(tmp_path: Path, value: object, message: str) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(value))
    with pytest.raises(FormatError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read_json(path, Machine)


def test_a_whole_number_serves_as_a_float() -> None:
    assert typed({**GOOD, "load": 1}, Machine, "file").load == 1


@contextmanager
def in_time() -> Iterator[None]:
    """Fail a test that would wait without end, as for a pipe without a writer."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


NOT_FILES = [
    pytest.param(os.mkfifo, id="pipe"),
    pytest.param(lambda path: path.symlink_to("/dev/zero"), id="device"),
    pytest.param(lambda path: path.symlink_to("nowhere"), id="dangling-link"),
    pytest.param(lambda path: path.symlink_to(path.name), id="link-to-itself"),
    pytest.param(Path.mkdir, id="folder"),
    pytest.param(lambda path: None, id="nothing"),
]


@pytest.mark.parametrize("place", NOT_FILES)
def test_what_is_no_plain_file_is_never_read(tmp_path: Path, place: Callable[[Path], object]) -> None:
    path = tmp_path / "sidecar.json"
    place(path)
    found = kind_of(path)
    said = f"{found}, expected a regular file" if found else "no such file"
    with in_time(), pytest.raises(FormatError, match=f"^{path}: {said}$"):
        read_bytes(path)


def test_a_path_through_a_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FormatError, match="no such file"):
        read_bytes(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("content", "texts", "twice"),
    [
        (b'{"a": 1, "b": "x"}', 3, None),
        (b'{"a": 1, "a": 2}', 1, "a"),
        (b'{"a": "x", "\\u0061": 2}', 1, "a"),
        (b'[{"a": 1}, {"a": 2, "b": 1, "b": 1}]', 3, "b"),
        (b'{"a": "say \\"a\\": 1"}', 2, None),
        (b'{"a": ' + b"9" * 5000 + b', "a": 1e999}', 1, "a"),
        (b'{"a": "x", "b": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", 1, None),
    ],
    ids=["once", "twice", "escaped", "in-a-list", "quotes-in-a-text", "huge-numbers", "deep"],
)
def test_a_key_that_an_object_holds_twice_is_named(content: bytes, texts: int, twice: str | None) -> None:
    assert repeated_key(content, texts=texts) == twice
