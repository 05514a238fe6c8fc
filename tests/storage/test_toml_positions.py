"""Where keys of TOML stand, in many layouts; tomllib says which keys there are."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_modelgates.storage.toml_positions import Positions

ROOT = Path(__file__).parents[2]
# Each key that is asked for begins at the mark, which is taken out before the text is read.
MARK = "§"
LAYOUTS = [
    pytest.param("§a = 1", ("a",), id="one"),
    pytest.param("b = 2\n  §a = 1", ("a",), id="indented"),
    pytest.param("[t]\n§a = 1", ("t", "a"), id="in-a-table"),
    pytest.param("[§t]\na = 1", ("t",), id="a-table"),
    pytest.param("[ t . §u ]\na = 1", ("t", "u"), id="blanks-in-a-header"),
    pytest.param("[t.u]\n§a = 1\n[t]\na = 2", ("t", "u", "a"), id="subtable-first"),
    pytest.param("[t.u]\na = 1\n[t]\n§a = 2", ("t", "a"), id="table-after-its-subtable"),
    pytest.param("t.§a = 1", ("t", "a"), id="dotted"),
    pytest.param('t . "x.y" . §a = 1', ("t", "x.y", "a"), id="dotted-with-quotes"),
    pytest.param('[slo.§"drift.psi"]', ("slo", "drift.psi"), id="quoted"),
    pytest.param("[slo.'drift.psi']\n§'at_most' = 1", ("slo", "drift.psi", "at_most"), id="literal-quotes"),
    pytest.param('§"a\\u0062\\"c" = 1', ('ab"c',), id="escapes"),
    pytest.param('§"" = 1', ("",), id="empty-key"),
    pytest.param("§1234 = 1", ("1234",), id="digits"),
    pytest.param("§3.14 = 1", ("3",), id="looks-like-a-number"),
    pytest.param("3.§14 = 1", ("3", "14"), id="second-half-of-a-number"),
    pytest.param("[[w]]\na = 1\n[[w]]\n§a = 2", ("w", 1, "a"), id="second-of-an-array-of-tables"),
    pytest.param("[[§w]]\na = 1\n[[w]]\na = 2", ("w",), id="an-array-of-tables"),
    pytest.param("[[w]]\n[[§w]]", ("w", 1), id="second-row"),
    pytest.param("[[w]]\n[w.t]\n[[w]]\n[w.t]\n§a = 1", ("w", 1, "t", "a"), id="table-of-a-row"),
    pytest.param("[[w]]\n[[w.v]]\n[[w.v]]\n§a = 1", ("w", 0, "v", 1, "a"), id="rows-within-a-row"),
    pytest.param("t = { a = 1, §b = 2 }", ("t", "b"), id="inline"),
    pytest.param("t = {a={b={}, §c=2}}", ("t", "a", "c"), id="inline-within-inline"),
    pytest.param("t = { u.§a = 1 }", ("t", "u", "a"), id="dotted-in-inline"),
    pytest.param("w = [{a = 1}, { §a = 2 }]", ("w", 1, "a"), id="inline-in-an-array"),
    pytest.param("w = [\n  1, # one\n  §2,\n]", ("w", 1), id="item-on-a-line-of-its-own"),
    pytest.param("w = [[1, 2], [3, §4]]", ("w", 1, 1), id="array-in-an-array"),
    pytest.param("w = [ # ], [\n§'a' ]", ("w", 0), id="brackets-in-a-comment"),
    pytest.param("# a = 1\n§a = 2 # a = 3", ("a",), id="comments"),
    pytest.param("b = 'a = 1 # '\n§a = 2", ("a",), id="a-key-in-a-string"),
    pytest.param('b = "\\"\\na = 1 # "\n§a = 2', ("a",), id="an-escaped-quote"),
    pytest.param('b = """\na = 1\n[t]\n\\""" """\n§a = 2', ("a",), id="keys-in-a-long-string"),
    pytest.param('b = """two quotes at its end"""""\n§a = 2', ("a",), id="five-quotes"),
    pytest.param("b = '''\na = 1 \\'''\n§a = 2", ("a",), id="long-literal"),
    pytest.param("b = \"\"\nc = ''\n§a = 2", ("a",), id="empty-strings"),
    pytest.param("b = 1979-05-27 07:32:00.5Z\n§a = 2", ("a",), id="a-moment"),
    pytest.param("b = -1.5e+3\nc = inf\n§a = 2", ("a",), id="numbers"),
    pytest.param("\tb = 1\r\n\r\n[t]\r\n\t§a = 2\r\n", ("t", "a"), id="crlf-and-tabs"),
    pytest.param("b = 'é😀'\n§a = 2", ("a",), id="wide-letters"),
    pytest.param("t = { b = 'é😀', §a = 2 }", ("t", "a"), id="columns-count-letters"),
]


@pytest.mark.parametrize(("marked", "path"), LAYOUTS)
def test_a_key_is_found_where_it_stands(marked: str, path: tuple[str | int, ...]) -> None:
    before, _, after = marked.partition(MARK)
    text = before + after
    assert set(Positions(text)) == set(paths(tomllib.loads(text)))
    lines = before.split("\n")
    assert Positions(text).of(path) == (len(lines), len(lines[-1]) + 1)
    # The same after other lines, and before others.
    more = Positions("first = 1\n\n" + text + "\n[last]\nz = 1\n")
    assert more.of(path) == (len(lines) + 2, len(lines[-1]) + 1)


def test_what_is_not_there_stands_where_it_would_be() -> None:
    positions = Positions("\n[t]\n[t.u]\n")
    assert positions.of(("t", "u", "a")) == (3, 4)
    assert positions.of(("x", "y")) == (1, 1)
    assert ("t", "u") in positions
    assert ("t", "a") not in positions
    assert Positions("").of(("a",)) == (1, 1)


def test_every_key_of_the_files_here_is_found() -> None:
    files = [*(ROOT / "pytest_modelgates").rglob("*.toml"), *ROOT.glob("*.toml"), *(ROOT / "tests").rglob("*.toml")]
    assert len(files) > 10
    for file in files:
        text = file.read_text("utf-8")
        assert set(Positions(text)) == set(paths(tomllib.loads(text))), file


def test_what_is_nested_as_deep_as_is_read_ends_no_command() -> None:
    for depth in (100, 400, 490, 900):
        text = f"b = 1\na = {'[' * depth}{']' * depth}"
        try:
            tomllib.loads(text)
        except RecursionError:
            continue
        assert Positions(text).of(("a",)) == (2, 1)


KEYS = st.one_of(
    st.sampled_from(["a", "b-1", "2", "'x.y'", '"q\\"[=#"', "''", '"\\t"']),
    st.text(st.characters(exclude_characters="'\n\r", exclude_categories=["Cc", "Cs"]), max_size=3).map("'{}'".format),
)
NAMES = st.lists(KEYS, min_size=1, max_size=3).flatmap(
    lambda keys: st.sampled_from([".", " . "]).map(lambda d: d.join(keys))
)
SCALARS = st.sampled_from(
    [
        "1",
        "1.5",
        "true",
        "'# ]'",
        '"} \\" ,"',
        "2020-01-01 10:00:00",
        '"""\n[t]\n"" \\""" x = 1"""',
        "'''\na=1 '' '''",
        '""',
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.tuples(st.lists(inner, max_size=3), st.sampled_from([", ", " ,\n # [,\n ", ","])).map(
            lambda drawn: f"[{drawn[1].join(drawn[0])}]"
        ),
        st.lists(st.tuples(NAMES, inner), max_size=2).map(
            lambda pairs: "{" + ", ".join(f"{name} = {value}" for name, value in pairs) + "}"
        ),
    ),
    max_leaves=6,
)
STATEMENTS = st.one_of(
    st.tuples(st.sampled_from(["", "\t", "  "]), NAMES, st.sampled_from(["=", " = "]), VALUES).map("".join),
    NAMES.map("[{}]".format),
    NAMES.map("[[ {} ]] # ]".format),
    st.sampled_from(["", "# a = [", "\t"]),
)


@given(lines=st.lists(STATEMENTS, max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_every_key_of_any_layout_is_found_and_begins_there(lines: list[str], end: str) -> None:
    kept: list[str] = []
    for line in lines:  # what TOML forbids beside the lines before is left out
        if accepted(end.join([*kept, line])):
            kept.append(line)
    text = end.join(kept)
    assume(kept)
    positions, split = Positions(text), text.replace("\r\n", "\n").split("\n")
    assert set(positions) == set(paths(tomllib.loads(text)))
    for path in positions:
        line, column = positions.of(path)
        rest = split[line - 1][column - 1 :]
        if isinstance(path[-1], str):
            assert rest[0] in "'\"" or rest.startswith(path[-1])


def accepted(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key and item that tomllib reads."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from paths(item, (*path, name))
