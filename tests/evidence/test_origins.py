"""Whose code may take part in a run."""

from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.evidence.origins import altering_plugins, origin_reasons
from pytest_modelgates.evidence.report import RunInfo
from pytest_modelgates.evidence.trust import trust
from pytest_modelgates.policy.load import load_policy
from tests.support.handmade import green_ledger, record

POLICY = load_policy(None)

# What these plugins hook when they are merely installed, as measured with the versions named, and what of it can make
# a gate pass. A plugin without an entry in the last column takes part though no policy lists it.
MEASURED = [
    pytest.param("allure_pytest", ["pytest_collection_modifyitems"], [], id="allure-pytest-2.16"),
    pytest.param(
        "pytest_check", ["pytest_runtest_call", "pytest_runtest_makereport"], ["pytest_runtest_call"], id="check-3.0"
    ),
    pytest.param(
        "pytest_durations",
        ["pytest_fixture_setup", "pytest_runtest_call", "pytest_runtest_setup", "pytest_runtest_teardown"],
        ["pytest_fixture_setup", "pytest_runtest_call"],
        id="durations-1.10",
    ),
    pytest.param(
        "pytest_github_actions_annotate_failures", ["pytest_runtest_logreport"], [], id="github-annotations-0.4"
    ),
    pytest.param("pytest_html", ["pytest_runtest_makereport"], [], id="html-4.2"),
    pytest.param("pytest_md_report", ["pytest_collection_modifyitems"], [], id="md-report-0.8"),
    pytest.param(
        "pytest_memray",
        ["pytest_collection_modifyitems", "pytest_pyfunc_call", "pytest_runtest_makereport"],
        ["pytest_pyfunc_call"],
        id="memray-1.11",
    ),
    pytest.param(
        "pytest_order",
        ["pytest_collection_modifyitems", "pytest_generate_tests"],
        ["pytest_generate_tests"],
        id="order-1.5",
    ),
    pytest.param("an_adapter_of_verdicts", ["pytest_modelgates_verdict"], [], id="our-hook"),
    pytest.param("pytest_picked", ["pytest_collection_modifyitems"], [], id="picked-0.5"),
    pytest.param("pytest_socket", ["pytest_runtest_setup", "pytest_runtest_teardown"], [], id="socket-0.8"),
    pytest.param("pytest_split", ["pytest_cmdline_main"], ["pytest_cmdline_main"], id="split-0.11"),
    pytest.param("pytest_sugar", ["pytest_collection_finish", "pytest_sessionstart"], [], id="sugar-1.1"),
]


def info(packed: Path, **changes: object) -> RunInfo:
    return msgspec.structs.replace(green_ledger(packed, POLICY).run, **changes)


@pytest.mark.parametrize(("name", "hooks", "altering"), MEASURED)
def test_an_installed_plugin_that_only_watches_takes_part(
    packed_once: Path, name: str, hooks: list[str], altering: list[str]
) -> None:
    run = info(packed_once, hooks={name: tuple(hooks)})
    assert altering_plugins(run, POLICY, trust(POLICY, packed_once)) == ({name: tuple(altering)} if altering else {})


@pytest.mark.parametrize(("name", "hooks", "altering"), MEASURED)
@pytest.mark.parametrize("place", ["repo/conftest.py", "<pytest_html>", "evil.Plugin"])
def test_what_is_not_installed_may_not_even_watch(
    packed_once: Path, place: str, name: str, hooks: list[str], altering: list[str]
) -> None:
    run = info(packed_once, hooks={place: tuple(hooks)}, modules={"repo/conftest.py": "0" * 64})
    assert altering_plugins(run, POLICY, trust(POLICY, packed_once)) == {place: tuple(hooks)}


FIXTURES = [
    pytest.param({"_session_faker": "faker"}, ("_session_faker",), [], id="faker-40"),
    pytest.param({"candidate": "faker"}, (), ["wf.worst_fold got its fixture 'candidate' from faker"], id="asked-for"),
    pytest.param(
        {"seed": "repo/conftest.py"},
        ("seed",),
        ["wf.worst_fold got its fixture 'seed' from repo/conftest.py"],
        id="automatic-and-not-installed",
    ),
]


@pytest.mark.parametrize(("fixtures", "automatic", "reasons"), FIXTURES)
def test_an_installed_plugins_automatic_fixture_gives_a_gate_nothing(
    packed_once: Path, fixtures: dict[str, str], automatic: tuple[str, ...], reasons: list[str]
) -> None:
    gate = record("wf.worst_fold", POLICY, fixtures=fixtures, automatic=automatic)
    ledger = green_ledger(packed_once, POLICY)
    (run,) = ledger.models.values()
    run = msgspec.structs.replace(run, gates=(gate,))
    found = origin_reasons(ledger, run, [gate.gate], POLICY, trust(POLICY, packed_once), repair="again")
    assert [reason.text for reason in found] == reasons
