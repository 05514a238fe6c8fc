"""The hook by which plugins of others hear of verdicts, and change none."""

import json
import re
from pathlib import Path

import pytest

from tests.gating.test_readers import EXPECTED, model, results_of
from tests.support.gate_runs import ledger_of, own_gate, run, run_apart

__all__ = ["model"]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-gate.md"
LISTENER = """
import json

def pytest_modelgates_verdict(record):
    with open("heard.jsonl", "a") as file:
        values = [(each.slo, each.value, each.limit, each.margin, each.unit) for each in record.values]
        file.write(json.dumps([record.gate, record.verdict, record.blocks, record.model, values]) + "\\n")
"""


def heard(folder: Path) -> list[list[object]]:
    return [json.loads(line) for line in (folder / "heard.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.integration
@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["alone", "two-workers"])
def test_every_verdict_is_told_once(pytester: pytest.Pytester, model: Path, more: tuple[str, ...]) -> None:
    pytester.makeconftest(LISTENER)
    run_apart(pytester, f"--model-dir={model}", "test_mine.py", *more)
    told = heard(pytester.path)
    assert sorted(entry[:2] for entry in told) == sorted([gate, verdict] for gate, (verdict, *_) in EXPECTED.items())
    by_gate = {str(entry[0]): entry for entry in told}
    assert by_gate["mine.warns"][2:] == [False, model.name, [["mine.warns", 2.0, "≤ 1", -1.0, "x"]]]
    assert by_gate["mine.fails"][2] is True


def test_it_can_change_no_verdict(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard")
    pytester.makeconftest(
        """
        import dataclasses, pytest

        def pytest_modelgates_verdict(record):
            with pytest.raises(dataclasses.FrozenInstanceError):
                record.verdict = "passed"
            object.__setattr__(record, "verdict", "passed")
            object.__setattr__(record, "blocks", False)
            object.__setattr__(record.values[0], "value", 0.0)
            return "passed"
        """
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["mine.answer*hard 2 x*failed"])
    (gate,) = ledger_of(model).models[model.name].gates
    assert gate.evidence[0].value == 2


RAISED = [
    pytest.param("raise ValueError('no\\nroute')", "ValueError: no", id="error"),
    pytest.param("import pytest; pytest.skip('not today')", "Skipped: not today", id="skip"),
    pytest.param("import pytest; pytest.fail('no')", "Failed: no", id="fail"),
    pytest.param("raise SystemExit(0)", "SystemExit: 0", id="sys-exit"),
]


@pytest.mark.parametrize(("code", "said"), RAISED)
@pytest.mark.parametrize(("value", "status"), [("0", 0), ("2", 1)], ids=["green", "red"])
def test_what_it_raises_is_shown_and_the_others_are_told(
    pytester: pytest.Pytester, code: str, said: str, value: str, status: int
) -> None:
    model = own_gate(pytester, severity="hard", value=value)
    pytester.syspathinsert()
    pytester.makepyfile(broken=f"def pytest_modelgates_verdict(): {code}")
    pytester.makeconftest(LISTENER)
    result = run(pytester, "-p", "broken", f"--model-dir={model}", "test_mine.py")
    assert result.ret == status
    line = f"pytest_modelgates_verdict of broken: {said}; no verdict changed by it, but it was not told"
    assert line in result.outlines
    assert len(heard(pytester.path)) == 1


def test_a_plugin_with_a_wrong_argument_is_refused_by_pytest_itself(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_modelgates_verdict(verdict): pass")
    model = own_gate(pytester)
    result = run_apart(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret != 0
    assert "Argument(s) {'verdict'} are declared in the hookimpl but can not be found in the hookspec" in (
        result.stderr.str() + result.stdout.str()
    )


def test_who_listens_is_in_the_ledger(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(LISTENER)
    model = own_gate(pytester, value="0")
    run(pytester, f"--model-dir={model}", "test_mine.py")
    assert ledger_of(model).run.hooks[f"{pytester.path.name}/conftest.py"] == ("pytest_modelgates_verdict",)


@pytest.mark.integration
def test_the_adapter_of_the_guide_shows_verdicts_in_allure(pytester: pytest.Pytester, model: Path) -> None:
    (code,) = re.findall(r"```python\n(import allure\n.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    pytester.makepyfile(allure_verdicts=code)
    run_apart(pytester, "-p", "allure_verdicts", f"--model-dir={model}", "test_mine.py", "--alluredir=results")
    found = results_of(pytester.path / "results")
    shown = {
        name: [entry["value"] for entry in result["labels"] if entry["name"] == "verdict"]
        for name, result in found.items()
    }
    assert shown["test_warns"] == ["warned"]
    assert shown["test_first"] == ["no reference yet"]
    assert shown["test_passes"] == ["passed"]


@pytest.mark.integration
@pytest.mark.parametrize("hook", ["pytest_modelgates_verdict(record)", "pytest_runtest_logfinish()"])
def test_a_run_that_was_ended_is_not_green_whatever_status_that_named(pytester: pytest.Pytester, hook: str) -> None:
    model = own_gate(pytester, severity="hard", value="0")
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.hard
        @pytest.mark.gate("mine.answer")
        @pytest.mark.parametrize("x", [0, 2])
        def test_answer(gate, x):
            gate.check(x)
        """
    )
    pytester.makeconftest(f"import pytest\n\ndef {hook}:\n    pytest.exit('enough', returncode=0)")
    assert run_apart(pytester, f"--model-dir={model}", "test_mine.py").ret == 1
    ledger = ledger_of(model)
    assert ledger.run.exit_status == 1
    assert len(ledger.models[model.name].gates) == 1


@pytest.mark.integration
def test_who_ends_the_run_when_a_gate_is_told_of_again_at_its_end_makes_no_red_run_green(
    pytester: pytest.Pytester,
) -> None:
    model = own_gate(pytester, severity="hard", value="0")
    pytester.makeconftest(
        """
        import pytest

        kept = []

        def pytest_modelgates_verdict(record):
            if record.verdict == "not run":
                pytest.exit("enough", returncode=0)

        def pytest_runtest_logreport(report):
            kept.append(report)

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(item):
            yield
            item.ihook.pytest_runtest_logreport(report=kept[0])
            return True
        """
    )
    result = run_apart(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 1
    assert ledger_of(model).run.exit_status == 1
    assert "pytest_modelgates_verdict: Exit: enough; no verdict changed by it, but it was not told" in result.outlines
