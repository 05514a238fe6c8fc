"""What readers of other plugins' files see of every kind of gate: JUnit XML, Allure's results, pytest-html's page."""

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import junitparser
import pytest
import xmlschema

from tests.support.gate_runs import bare_model, run_apart, write_policy

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit-10.xsd"))

# A gate of each kind, by what becomes of it. Only a gate that compares with the live model may have no reference yet.
GATES = """
import pytest

@pytest.mark.gate("mine.passes")
def test_passes(gate):
    gate.check(0.25)

@pytest.mark.gate("mine.warns")
def test_warns(gate):
    gate.check(2)

@pytest.mark.gate("mine.lacks")
def test_lacks(gate):
    gate.inconclusive('3 rows <are> "too few" \\x1b[31m & \\x00 ]]>')

@pytest.mark.gate("mine.fails")
def test_fails(gate):
    gate.check(3)

@pytest.mark.gate("mine.cannot")
def test_cannot(gate):
    gate.inconclusive("no rows")

@pytest.mark.gate("drift.psi")
def test_first(gate):
    gate.no_reference("nothing was ever live")

@pytest.mark.gate("mine.breaks")
def test_breaks(gate):
    raise ValueError("no such thing")

@pytest.fixture
def broken():
    raise ZeroDivisionError("nothing to divide by")

@pytest.mark.gate("mine.unready")
def test_unready(gate, broken):
    gate.check(0)

@pytest.fixture
def messy():
    yield
    raise ZeroDivisionError("left behind")

@pytest.mark.gate("mine.untidy")
def test_untidy(gate, messy):
    gate.check(0)

@pytest.mark.gate("mine.excused")
def test_excused(gate):
    gate.check(4)
"""
SOFT = ("mine.passes", "mine.warns", "mine.lacks")
HARD = ("mine.fails", "mine.cannot", "mine.breaks", "mine.unready", "mine.untidy", "mine.excused")
LIMIT = '[slo."{}"]\nat_most = 1\nunit = "x"\nadvice = "give less"\nseverity = "{}"\n'
WAIVER = """[[waiver]]
gate = "mine.excused"
digest = "{}"
reason = "known"
owner = "ada"
until = 2999-01-01
"""
# What becomes of each, the element that JUnit XML has of it, and Allure's status.
EXPECTED = {
    "mine.passes": ("passed", None, "passed"),
    "mine.warns": ("warned", "skipped", "skipped"),
    "mine.lacks": ("inconclusive", "skipped", "skipped"),
    "mine.fails": ("failed", "failure", "failed"),
    "mine.cannot": ("inconclusive", "failure", "broken"),
    "drift.psi": ("no reference yet", "skipped", "skipped"),
    "mine.breaks": ("errored", "failure", "broken"),
    "mine.unready": ("errored", "error", "broken"),
    "mine.untidy": ("errored", "error", "broken"),
    "mine.excused": ("waived", "skipped", "skipped"),
}
# One that says which of our words a skipped test stands for.
SAYS = {
    "mine.warns": "WARN: mine.warns: measured 2 x, limit ≤ 1",
    "mine.lacks": 'mine.lacks: inconclusive: 3 rows <are> "too few"',
    "drift.psi": "drift.psi: no reference yet: nothing was ever live",
    "mine.excused": "WAIVED: mine.excused: measured 4 x, limit ≤ 1",
}


@pytest.fixture
def model(pytester: pytest.Pytester) -> Path:
    from pytest_modelgates.storage.digests import tree_digest

    pytester.makepyfile(test_mine=GATES)
    model = bare_model(pytester)
    limits = [LIMIT.format(name, "soft") for name in SOFT] + [LIMIT.format(name, "hard") for name in HARD]
    write_policy(pytester, more="".join([*limits, WAIVER.format(tree_digest(model))]))
    return model


def cases(file: Path) -> dict[str, junitparser.TestCase]:
    """The test cases of a file by their gates, as junitparser reads them; one whose teardown failed comes twice."""
    found: dict[str, junitparser.TestCase] = {}
    for suite in junitparser.JUnitXml.fromfile(str(file)):
        for case in suite:
            gate = properties_of(case)["gate"]
            if gate not in found or case.result:
                found[gate] = case
    return found


def properties_of(case: junitparser.TestCase) -> dict[str, str]:
    (block,) = case.iterchildren(junitparser.Properties)
    return {entry.name: entry.value for entry in block}


WAYS = [
    pytest.param((), id="alone"),
    pytest.param(("-n", "2"), id="two-workers"),
    pytest.param(("-o", "junit_family=xunit1"), id="older-family"),
    pytest.param(("-o", "junit_logging=all"), id="with-output"),
]


@pytest.mark.integration
@pytest.mark.parametrize("more", WAYS)
def test_junitparser_reads_what_became_of_every_gate(
    pytester: pytest.Pytester, model: Path, more: Sequence[str]
) -> None:
    assert run_apart(pytester, f"--model-dir={model}", "test_mine.py", "--junitxml=junit.xml", *more).ret == 1
    found = cases(pytester.path / "junit.xml")
    assert {
        gate: (properties_of(case)["verdict"], next((type(each).__name__.lower() for each in case.result), None))
        for gate, case in found.items()
    } == {gate: (verdict, element) for gate, (verdict, element, _) in EXPECTED.items()}
    messages = {gate: found[gate].result[0].message for gate in SAYS}
    assert {gate: said for gate, said in SAYS.items() if said not in messages[gate]} == {}
    assert "\x1b" not in (pytester.path / "junit.xml").read_text("utf-8")


@pytest.mark.integration
def test_the_file_is_one_of_jenkins_but_for_the_properties_of_a_test_case(
    pytester: pytest.Pytester, model: Path
) -> None:
    run_apart(pytester, f"--model-dir={model}", "test_mine.py", "--junitxml=junit.xml")
    file = pytester.path / "junit.xml"
    unknown = [error for error in SCHEMA.iter_errors(str(file)) if "properties" not in str(error.reason)]
    assert unknown == []
    # That schema knows the properties of a suite alone, so pytest's record_property is beyond it as well.
    text = re.sub(r"(<testcase [^>]*>)<properties>.*?</properties>", r"\1", file.read_text("utf-8"), flags=re.DOTALL)
    assert "<properties>" not in text
    SCHEMA.validate(text)


def results_of(folder: Path) -> dict[str, dict[str, Any]]:
    """What Allure's files say of each test, by its name."""
    found = [json.loads(path.read_text("utf-8")) for path in folder.glob("*-result.json")]
    return {result["name"].partition("[")[0]: result for result in found}


@pytest.mark.integration
@pytest.mark.parametrize("more", WAYS[:2])
def test_allure_shows_a_warning_neither_as_failed_nor_as_broken(
    pytester: pytest.Pytester, model: Path, more: Sequence[str]
) -> None:
    run_apart(pytester, f"--model-dir={model}", "test_mine.py", "--alluredir=results", *more)
    found = results_of(pytester.path / "results")
    named = {f"test_{gate.partition('.')[2]}".replace("psi", "first"): gate for gate in EXPECTED}
    assert {gate: found[test]["status"] for test, gate in named.items()} == {
        gate: status for gate, (_, _, status) in EXPECTED.items()
    }
    said = {test: found[test]["statusDetails"]["message"] for test in ("test_warns", "test_excused", "test_first")}
    assert said["test_warns"].startswith("XFAIL WARN: mine.warns: measured 2 x, limit ≤ 1")
    assert said["test_excused"].startswith("XFAIL WAIVED: mine.excused: measured 4 x, limit ≤ 1")
    assert said["test_first"].endswith("NoReference: nothing was ever live")


@pytest.mark.integration
def test_the_page_of_pytest_html_says_what_became_of_every_gate(pytester: pytest.Pytester, model: Path) -> None:
    run_apart(pytester, f"--model-dir={model}", "test_mine.py", "--html=page.html", "--self-contained-html")
    page = (pytester.path / "page.html").read_text("utf-8")
    (blob,) = re.findall(r'data-jsonblob="(.*?)"', page, re.DOTALL)
    rows = {
        re.sub(r".*::(test_\w+)\[.*", r"\1", name): (entry["result"], html.unescape(entry["log"]))
        for name, entries in json.loads(html.unescape(blob))["tests"].items()
        for entry in entries
    }
    assert {name: result for name, (result, _) in rows.items()} == {
        "test_passes": "Passed",
        "test_warns": "XFailed",
        "test_lacks": "Skipped",
        "test_fails": "Failed",
        "test_cannot": "Failed",
        "test_first": "Skipped",
        "test_breaks": "Failed",
        "test_unready": "Error",
        "test_untidy": "Error",
        "test_excused": "XFailed",
    }
    for test, words in {
        "warns": "WARN: mine.warns",
        "excused": "WAIVED: mine.excused",
        "first": "no reference",
    }.items():
        assert words in rows[f"test_{test}"][1]
