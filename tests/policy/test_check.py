"""What is wrong within a policy or an operations.toml: all of it at once, each at its line and column."""

import json
import tomllib
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.errors import PolicyError
from pytest_modelgates.policy.check import Source, check_operations, check_policy, read_source, which_file
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations
from tests.policy import test_load, test_operations

CASES = tomllib.loads(Path(__file__).with_name("problems.toml").read_text("utf-8"))


def checked(folder: Path, content: str | bytes, *, operations: bool = False) -> Source:
    path = folder / ("operations.toml" if operations else "policy.toml")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = read_source(path, path.name)
    if source.readable and operations:
        check_operations(source)
    elif source.readable:
        check_policy(source, {})
    return source


def in_words(source: Source) -> list[str]:
    return [f"{problem.line}:{problem.column} {problem.text}" for problem in sorted(source.problems)]


@pytest.mark.parametrize("name", CASES)
def test_every_problem_is_found_where_it_stands(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    operations = case.get("operations", False)
    text = "\n" + case["text"]  # TOML drops the newline after three quotes
    assert in_words(checked(tmp_path, text, operations=operations)) == case["problems"]
    # The loader, which stops at the first, agrees whether there is one; what is deprecated it takes.
    refused = [line for line in case["problems"] if " is deprecated " not in line]
    try:
        if operations:
            load_operations(tmp_path / "operations.toml", policy=None)
        else:
            load_policy(tmp_path / "policy.toml")
    except PolicyError:
        assert refused
    else:
        assert not refused


REFUSED = [pytest.param(*row.values[:1], False, id=f"policy-{row.id}") for row in test_load.REFUSED]
REFUSED += [pytest.param(*row.values[:1], True, id=f"operations-{row.id}") for row in test_operations.REFUSED]


@pytest.mark.parametrize(("text", "operations"), REFUSED)
def test_what_the_loader_refuses_has_a_problem_with_a_place(tmp_path: Path, text: str, operations: bool) -> None:
    problems = checked(tmp_path, text, operations=operations).problems
    assert problems
    assert all(problem.text for problem in problems)
    assert all(problem.line or "recursion" in problem.text for problem in problems)


@pytest.mark.parametrize("text", test_load.JUDGES + test_load.JUDGES_NOT)
def test_what_the_loader_takes_has_no_problem_but_keys_to_be_moved(tmp_path: Path, text: str) -> None:
    assert [line for line in in_words(checked(tmp_path, text)) if " is deprecated " not in line] == []


NOT_TOML = [
    pytest.param(b"a = 1\nb = [1, 2", "2:10 not TOML: Unclosed array", id="half-an-array"),
    pytest.param(b"a = 1\nb", "2:2 not TOML: Expected '=' after a key in a key/value pair", id="half-a-pair"),
    pytest.param(b"a = 1\r\n\ta = 2\r\n", "2:7 not TOML: Cannot overwrite a value", id="twice"),
    pytest.param(b"\xef\xbb\xbfa = 1", "1:1 not TOML: it begins with a byte order mark; save it as UTF-8", id="bom"),
    pytest.param("é = 1\nb = 'é".encode() + b"\xff'", "2:7 not TOML: it is not UTF-8", id="not-utf-8"),
    pytest.param("b = 'é' c".encode(), "1:9 not TOML: Expected newline or end of document", id="after-a-wide-letter"),
]


@pytest.mark.parametrize(("content", "said"), NOT_TOML)
def test_what_is_not_toml_is_placed_by_its_parser(tmp_path: Path, content: bytes, said: str) -> None:
    source = checked(tmp_path, content)
    if said.startswith("1:1 not TOML: it begins"):
        assert in_words(source)[0].startswith(said)
    else:
        # The parser's own words and columns differ a little between versions of Python.
        line, words = said.partition(":")[0], said.partition("not TOML: ")[2].split()[0]
        assert [problem.line for problem in source.problems] == [int(line)]
        assert source.problems[0].column > 0
        assert source.problems[0].text.startswith(f"not TOML: {words}")
        assert "(at " not in source.problems[0].text


def test_a_file_that_is_not_there_is_a_problem_without_a_place(tmp_path: Path) -> None:
    source = read_source(tmp_path / "policy.toml", "registry/policy.toml")
    assert [str(problem) for problem in source.problems] == ["registry/policy.toml: no such file"]


WHICH = [
    pytest.param("operations.toml", "[promotion]", "operations", id="by-name"),
    pytest.param("policy.toml", "[log]\npart_mb = 1", "policy", id="policy-by-name"),
    pytest.param("other.toml", "[promotion]\nparity_nights = 1", "policy", id="policy-by-keys"),
    pytest.param("other.toml", "[log]\npart_mb = 1", "operations", id="operations-by-keys"),
    pytest.param("other.toml", "[registry]\nlock_timeout_s = 1", "operations", id="by-keys-of-a-shared-table"),
    pytest.param("other.toml", "[registry]\nmay_promote = []", "policy", id="policy-by-keys-of-a-shared-table"),
    pytest.param("other.toml", "", "policy", id="nothing"),
    pytest.param("other.toml", "promotion = 1\nregistry = 2", "policy", id="no-tables"),
]


@pytest.mark.parametrize(("name", "text", "which"), WHICH)
def test_a_file_is_told_by_its_name_or_its_keys(name: str, text: str, which: str) -> None:
    assert which_file(Path(name), tomllib.loads(text)) == which


def test_a_problem_is_written_as_compilers_write_it(tmp_path: Path) -> None:
    assert str(checked(tmp_path, "\n b = 1").problems[0]).startswith("policy.toml:2:2: b: unknown key; ")


NAMES = ["promotion", "parity_nights", "slo", "drift.psi", "own.a", "at_most", "unit", "severity", "advice", "gate"]
NAMES += ["waiver", "until", "registry", "may_promote", "lock_timeout_s", "hermetic", "log", "tasks", "signal", "x"]
VALUES = st.recursive(
    st.sampled_from([0, -1, 1.5, True, "hard", "drift.psi", "own.a", date(2026, 1, 1)]),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=12,
)


@settings(deadline=None)
@given(tables=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_whatever_tables_a_file_holds_the_check_ends_and_agrees_with_the_loader(tables: dict[str, Any]) -> None:
    text = "".join(f"{json.dumps(name)} = {inline(value)}\n" for name, value in tables.items())
    with TemporaryDirectory() as folder:
        found = [problem for problem in checked(Path(folder), text).problems if " is deprecated " not in problem.text]
        assert all(problem.line for problem in found)
        try:
            load_policy(Path(folder) / "policy.toml")
        except PolicyError:
            assert found
        else:
            assert not found


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {inline(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return str(value) if isinstance(value, date) else json.dumps(value)
