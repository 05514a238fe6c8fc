"""What other plugins report of a run of gates, each of which knows pytest's own outcomes alone."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_modelgates.storage.digests import tree_digest
from tests.support.gate_runs import bare_model, own_gate, run, write_policy

# A gate of a family that compares with the live model may have no reference yet.
EVERY_KIND = """
import pytest

@pytest.mark.gate("mine.keeps")
def test_keeps(gate):
    gate.check(0.25)

@pytest.mark.gate("mine.misses")
def test_misses(gate):
    gate.check(2)

@pytest.mark.gate("mine.lacks")
def test_lacks(gate):
    gate.inconclusive("3 rows are too few")

@pytest.mark.gate("mine.fails")
def test_fails(gate):
    gate.check(3)

@pytest.mark.gate("mine.cannot")
def test_cannot(gate):
    gate.inconclusive("no rows")

@pytest.mark.gate("drift.psi")
def test_first(gate):
    gate.no_reference("nothing was ever live")
"""
HARD = ("mine.fails", "mine.cannot")
SOFT = ("mine.keeps", "mine.misses", "mine.lacks")


@pytest.fixture
def model(pytester: pytest.Pytester) -> Path:
    pytester.makepyfile(test_mine=EVERY_KIND)
    limit = '[slo."{}"]\nat_most = 1\nunit = "x"\nadvice = "give less"\nseverity = "{}"\n'
    limits = [limit.format(name, "soft") for name in SOFT] + [limit.format(name, "hard") for name in HARD]
    write_policy(pytester, more="".join(limits))
    return bare_model(pytester)


def junit(pytester: pytest.Pytester, model: Path, *more: object) -> tuple[ET.Element, dict[str, ET.Element]]:
    """Run with JUnit XML; return the suite, and its test cases by gate."""
    run(pytester, f"--model-dir={model}", "test_mine.py", "--junitxml=junit.xml", *more)
    (suite,) = ET.parse(pytester.path / "junit.xml").getroot().findall("testsuite")
    return suite, {properties(case)["gate"]: case for case in suite.findall("testcase")}


def properties(case: ET.Element) -> dict[str, str]:
    return {entry.attrib["name"]: entry.attrib["value"] for entry in case.findall("properties/property")}


def children(case: ET.Element) -> list[str]:
    return [child.tag for child in case if child.tag != "properties"]


WAYS = [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="two-workers", marks=pytest.mark.integration)]


@pytest.mark.parametrize("more", WAYS)
def test_junit_counts_every_gate_and_shows_what_became_of_it(
    pytester: pytest.Pytester, model: Path, more: Sequence[str]
) -> None:
    suite, cases = junit(pytester, model, *more)
    counted = {key: suite.attrib[key] for key in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": "6", "failures": "2", "errors": "0", "skipped": "3"}
    assert {gate: children(case) for gate, case in cases.items()} == {
        "mine.keeps": [],
        "mine.misses": ["skipped"],
        "mine.lacks": ["skipped"],
        "mine.fails": ["failure"],
        # It blocks, so a reader that counts failures must not take the run for a green one.
        "mine.cannot": ["failure"],
        "drift.psi": ["skipped"],
    }
    reasons = {gate: case.find("skipped") for gate, case in cases.items()}
    assert {
        gate: (found.get("type"), found.get("message")) for gate, found in reasons.items() if found is not None
    } == {
        "mine.misses": ("pytest.xfail", "WARN: mine.misses: measured 2 x, limit ≤ 1"),
        "mine.lacks": ("pytest.skip", "mine.lacks: inconclusive: 3 rows are too few"),
        "drift.psi": ("pytest.skip", "drift.psi: no reference yet: nothing was ever live"),
    }


@pytest.mark.parametrize("more", WAYS)
def test_junit_shows_verdict_and_numbers_as_properties(
    pytester: pytest.Pytester, model: Path, more: Sequence[str]
) -> None:
    digest = tree_digest(model)
    _, cases = junit(pytester, model, *more)
    common = {"model": model.name, "model_digest": f"sha256:{digest}"}
    assert properties(cases["mine.misses"]) == common | {
        "gate": "mine.misses",
        "severity": "soft",
        "verdict": "warned",
        "reason": "measured 2 x, limit ≤ 1",
        "measured": "2.0",
        "limit": "≤ 1 x",
        "margin": "-1",
    }
    assert properties(cases["mine.lacks"]) == common | {
        "gate": "mine.lacks",
        "severity": "soft",
        "verdict": "inconclusive",
        "reason": "3 rows are too few",
        "limit": "≤ 1 x",
    }
    verdicts = {gate: properties(case)["verdict"] for gate, case in cases.items()}
    assert verdicts == {
        "mine.keeps": "passed",
        "mine.misses": "warned",
        "mine.lacks": "inconclusive",
        "mine.fails": "failed",
        "mine.cannot": "inconclusive",
        "drift.psi": "no reference yet",
    }


def test_a_gate_of_several_limits_has_the_numbers_of_each(pytester: pytest.Pytester, good_model: Path) -> None:
    run(pytester, f"--model-dir={good_model}", "-m", "pnl", "-k", "exposure", "--junitxml=junit.xml")
    (case,) = ET.parse(pytester.path / "junit.xml").getroot().iter("testcase")
    measured = [name for name in properties(case) if name.startswith("measured")]
    assert measured == ["measured", "measured[pnl.net_exposure]", "measured[pnl.largest_weight]"]


def test_junit_shows_why_a_gate_was_not_asked_in_place_of_a_number(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0, not_asked='the horizon is one day'")
    run(pytester, f"--model-dir={model}", "test_mine.py", "--junitxml=junit.xml")
    (case,) = ET.parse(pytester.path / "junit.xml").getroot().iter("testcase")
    shown = {key: text for key, text in properties(case).items() if not key.startswith("model")}
    assert shown == {
        "gate": "mine.answer",
        "severity": "soft",
        "verdict": "passed",
        "limit": "≤ 1 x",
        "not_asked": "the horizon is one day",
    }


def test_the_terminal_says_our_words_and_counts_pytests(pytester: pytest.Pytester, model: Path) -> None:
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "-v", "-rxs")
    words = {
        "misses": "WARN",
        "lacks": "INCONCLUSIVE",
        "fails": "FAILED",
        "cannot": "FAILED",
        "first": "NO REFERENCE YET",
    }
    for name, word in words.items():
        result.stdout.re_match_lines([rf"test_mine.py::test_{name}\[{model.name}\] {word} .*"])
    result.assert_outcomes(passed=1, failed=2, xfailed=1, skipped=2)
    result.stdout.fnmatch_lines_random(
        [
            # pytest 8.2 shows here, beside the word, the colour that goes with it.
            "*WARN* test_mine.py::test_misses[[]*[]] - WARN: mine.misses: measured 2 x, limit ≤ 1",
            "*INCONCLUSIVE* [[]1[]] test_mine.py:*: mine.lacks: inconclusive: 3 rows are too few",
        ]
    )
