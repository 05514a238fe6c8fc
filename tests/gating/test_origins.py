"""Whose hooks and fixtures took part in a run."""

import inspect
import json

import pytest
from _pytest import hookspec

from pytest_modelgates.gating.origins import origin
from pytest_modelgates.policy.load import load_policy
from tests.support.gate_runs import ledger_of, own_gate, record_of, run


def stranger() -> None:
    """A function of a file in no package."""


@pytest.mark.parametrize(
    ("function", "name"),
    [
        pytest.param(pytest.fixture, "_pytest", id="pytest"),
        pytest.param(load_policy, "pytest_modelgates", id="ours"),
        pytest.param(stranger, __file__, id="a-file"),
        pytest.param(json.dumps, "json/__init__.py", id="standard-library"),
        pytest.param(len, "builtins.builtin_function_or_method", id="built-in"),
    ],
)
def test_a_function_is_named_by_where_it_comes_from(function: object, name: str) -> None:
    assert origin(function) == name  # type: ignore[arg-type]  # whatever a plugin registers


def test_a_conftest_with_a_hook_is_in_the_ledger(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="1")
    pytester.makeconftest("def pytest_runtest_makereport(item, call): pass")
    run(pytester, f"--model-dir={model}", "test_mine.py")
    place = f"{pytester.path.name}/conftest.py"
    assert ledger_of(model).run.hooks[place] == ("pytest_runtest_makereport",)


def test_every_hook_that_gets_hold_of_a_gate_is_listed(pytester: pytest.Pytester) -> None:
    """By what pytest hands it, or because it is called between gates; all of pytest's hooks are asked here."""
    model = own_gate(pytester, value="1")
    # One chooses a letter and a word, the other gets a warning's text; both are called for tests of every kind.
    shown = {"pytest_report_teststatus", "pytest_warning_recorded"}
    hands = {"item", "items", "node", "nodeid", "report", "request", "session", "collector", "metafunc"}
    wanted = {
        name
        for name, hook in vars(hookspec).items()
        if name.startswith("pytest_") and hands & inspect.signature(hook).parameters.keys() and name not in shown
    }
    pytester.makeconftest("\n".join(f"def {name}(): pass" for name in sorted(wanted)))
    run(pytester, f"--model-dir={model}", "test_mine.py")
    assert wanted <= set(ledger_of(model).run.hooks[f"{pytester.path.name}/conftest.py"])


def test_a_conftest_with_fixtures_alone_is_not(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="1")
    pytester.makeconftest("import pytest\n\n@pytest.fixture\ndef unused(): pass\n")
    run(pytester, f"--model-dir={model}", "test_mine.py")
    assert f"{pytester.path.name}/conftest.py" not in ledger_of(model).run.hooks


@pytest.mark.parametrize("automatic", [pytest.param(True, id="automatic"), pytest.param(False, id="overridden")])
def test_a_fixture_that_a_gate_gets_from_elsewhere_is_in_the_ledger(pytester: pytest.Pytester, automatic: bool) -> None:
    model = own_gate(pytester, value="first_model and 1")
    test = pytester.path / "test_mine.py"
    test.write_text(test.read_text().replace("test_answer(gate)", "test_answer(first_model, gate)"))
    mine = "@pytest.fixture(autouse=True)\ndef mine(): pass\n" if automatic else ""
    over = "" if automatic else "@pytest.fixture(scope='session')\ndef first_model(): return True\n"
    pytester.makeconftest(f"import pytest\n\n{mine}{over}")
    run(pytester, f"--model-dir={model}", "test_mine.py")
    name = "mine" if automatic else "first_model"
    fixtures = record_of(model).fixtures
    assert fixtures[name] == f"{pytester.path.name}/conftest.py"
    assert fixtures["gate"] == "pytest_modelgates"


def test_what_a_gate_raised_is_noted_whatever_a_plugin_makes_of_it(pytester: pytest.Pytester) -> None:
    """So that a plugin which only looks at reports need not be listed."""
    model = own_gate(pytester, severity="hard", value="2")
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(call):
            call.excinfo = None
            report = yield
            report.outcome = "passed"
            return report
        """
    )
    run(pytester, f"--model-dir={model}", "test_mine.py")
    assert [phase.exception for phase in record_of(model).phases] == [None, "Failed", None]


def test_a_function_compiled_from_text_does_not_go_by_the_name_of_a_package() -> None:
    known: dict[str, object] = {}
    exec(compile("def hook(): pass", "pytest_cov", "exec"), known)
    assert origin(known["hook"]) == "<pytest_cov>"  # type: ignore[arg-type]
