"""What a user of the plugin sees: which gates run, what they print, how the run ends."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate_runs import (
    GATES,
    MODEL_ID,
    PACKAGED,
    POLICY,
    SHIPPED,
    bare_model,
    ledger_of,
    outcomes,
    own_gate,
    record_of,
    report_of,
    reports_of,
    run,
    run_apart,
    write_policy,
)

# Gates of models that are not signals.
OTHERS = sum(1 for name, slo in PACKAGED.slo.items() if slo.gate is None and not PACKAGED.applies(name, "signal"))
NO_GATE = "ERROR: --model-dir was given, but no gate was collected; look at the paths given and at addopts"


@pytest.fixture(autouse=True)
def _narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


# Which gates run.


def test_the_shipped_suite_runs_from_any_folder_and_a_good_model_is_green(
    pytester: pytest.Pytester, good_model: Path
) -> None:
    pytester.makepyfile(test_theirs="def test_of_theirs(): assert False")
    result = run(pytester, f"--model-dir={good_model}")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "model: * sha256:*",
            "policy: packaged default sha256:*",
            f"*collected {SHIPPED + OTHERS} items / {OTHERS} deselected / *",
        ]
    )
    result.stdout.no_fnmatch_line("*of_theirs*")
    table = result.outlines[result.outlines.index(f"{' model gates ':=^80}") :]
    assert max(len(line) for line in table if line.startswith(tuple("adilpswg")) and " hard " in line) <= 80
    assert len(ledger_of(good_model).models[good_model.name].gates) == SHIPPED


def test_the_shipped_suite_runs_whatever_a_repository_calls_its_own_tests(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\npython_files = check_*.py\npython_functions = check_*\nnorecursedirs = gates\ntestpaths = checks"
    )
    model = bare_model(pytester)
    result = run(pytester, f"--model-dir={model}", "--collect-only", "-q")
    assert result.ret == 0
    assert f"test_parity.py::test_claim[{MODEL_ID}]" in result.outlines


@pytest.mark.parametrize("given", ["test_mine.py", "--pyargs test_mine"], ids=["a-path", "a-module"])
def test_explicit_paths_run_instead_of_the_shipped_suite(pytester: pytest.Pytester, given: str) -> None:
    model = own_gate(pytester, value="0")
    pytester.syspathinsert()
    result = run(pytester, f"--model-dir={model}", *given.split())
    assert outcomes(result) == {"passed": 1}
    assert [record.gate for record in ledger_of(model).models[MODEL_ID].gates] == ["mine.answer"]


SHIPPED_BY_NAME = [
    pytest.param("pytest_modelgates.gates", 3, id="all"),
    pytest.param("pytest_modelgates.gates.test_integrity", 3, id="a-file"),
    pytest.param("pytest_modelgates.gates.test_integrity::test_sha256", 1, id="a-gate"),
]


@pytest.mark.parametrize(("name", "count"), SHIPPED_BY_NAME)
def test_the_shipped_gates_are_found_by_their_name_in_a_checkout_too(
    pytester: pytest.Pytester, name: str, count: int
) -> None:
    model = bare_model(pytester)
    words = (f"--model-dir={model}", "--pyargs", name, "-m", "integrity", "--collect-only", "-q")
    result = run(pytester, *words)
    assert (result.ret, len(ids(result))) == (0, count)


def test_shards_share_the_gates_and_each_says_which_it_is(pytester: pytest.Pytester) -> None:
    model = bare_model(pytester)
    words = (f"--model-dir={model}", "--pyargs", "pytest_modelgates.gates", "-m", "parity or integrity")
    whole = ids(run(pytester, *words, "--collect-only", "-q"))
    shared = [ids(run(pytester, *words, f"--gate-shard={each}/2", "--collect-only", "-q")) for each in (1, 2)]
    assert sorted(shared[0] + shared[1]) == sorted(whole)
    assert all(shared)
    report = pytester.path / "report.json"
    run(pytester, *words, "--gate-shard=02/2", f"--gate-report={report}")
    assert json.loads(report.read_text())["modelgates"]["run"]["shard"] == "2/2"


def test_a_shard_that_is_not_there_is_a_usage_error(pytester: pytest.Pytester) -> None:
    result = run_apart(pytester, f"--model-dir={bare_model(pytester)}", "--gate-shard=3/2")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*'3/2': not a shard; give K/N, the K-th of N parts, such as 1/4"])


def test_own_gates_run_beside_the_shipped_ones(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    result = run(pytester, f"--model-dir={model}", GATES / "test_integrity.py", "test_mine.py", "--collect-only", "-q")
    assert [line.rpartition("::")[2] for line in ids(result)] == [
        f"{name}[{MODEL_ID}]" for name in ("test_required_files", "test_sha256", "test_onnx_is_sound", "test_answer")
    ]


def test_every_gate_runs_on_every_model_given(pytester: pytest.Pytester) -> None:
    first = own_gate(pytester, value="0")
    second = bare_model(pytester, "1700000001")
    result = run(pytester, f"--model-dir={first}", f"--model-dir={second}", "test_mine.py", "-v")
    result.stdout.fnmatch_lines(
        [
            "model: 1700000000 sha256:*",
            "model: 1700000001 sha256:*",
            "test_mine.py::test_answer?1700000000? PASSED*",
            "test_mine.py::test_answer?1700000001? PASSED*",
            "model 1700000000",
            "mine.answer  soft 0 x*",
            "model 1700000001",
            "mine.answer  soft 0 x*",
        ]
    )
    assert reports_of(first)[0].read_bytes() == reports_of(second)[0].read_bytes()
    assert sorted(ledger_of(first).models) == ["1700000000", "1700000001"]


def test_a_gate_of_a_feature_group_runs_for_each_group_of_each_model(
    pytester: pytest.Pytester, good_model: Path
) -> None:
    broken = bare_model(pytester)
    result = run(
        pytester, f"--model-dir={good_model}", f"--model-dir={broken}", GATES / "test_ablation.py", "--co", "-q"
    )
    assert [line.partition("[")[2] for line in ids(result)] == [
        f"{good_model.name}-price]",
        f"{good_model.name}-fundamental]",
        f"{MODEL_ID}-unreadable-sidecar]",
    ]


def test_a_moving_latest_link_is_followed_once(pytester: pytest.Pytester) -> None:
    first = own_gate(pytester)
    bare_model(pytester, "1700000001")
    (first.parent / "latest").symlink_to(first.name)
    pytester.makepyfile(
        test_mine="""
        import os, pytest

        @pytest.fixture(scope="session", autouse=True)
        def _another_promotion():
            os.remove("artifacts/models/latest")
            os.symlink("1700000001", "artifacts/models/latest")

        @pytest.mark.gate("mine.answer")
        def test_answer(gate, candidate):
            gate.check(0 if candidate.directory.name == "1700000000" else 2)
        """
    )
    result = run(pytester, "--model-dir=artifacts/models/latest", "test_mine.py")
    assert outcomes(result) == {"passed": 1}
    assert list(ledger_of(first).models) == ["1700000000"]


# Usage errors.


def test_gates_without_a_model_are_a_usage_error(pytester: pytest.Pytester) -> None:
    own_gate(pytester)
    result = run(pytester, "test_mine.py")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: 1 gates collected, such as test_mine.py::test_answer, but no model; pass --model-dir=DIR"]
    )


@pytest.mark.parametrize("addopts", ["tests", "tests -m hard"], ids=["a-path", "a-path-and-markers"])
def test_a_model_without_a_gate_is_a_usage_error(pytester: pytest.Pytester, addopts: str) -> None:
    pytester.makeini(f"[pytest]\naddopts = {addopts}")
    pytester.mkdir("tests").joinpath("test_a.py").write_text("def test_a(): pass")
    model = bare_model(pytester)
    result = run(pytester, f"--model-dir={model}")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["no gate ran, so there is no report; look at the paths given, -k and -m"])
    result.stderr.fnmatch_lines([NO_GATE])
    assert not reports_of(model)


def test_gates_that_are_all_filtered_out_end_the_run_red(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(test_other="def test_other(): pass")
    assert run(pytester, f"--model-dir={model}", "test_mine.py", "-k", "nothing").ret == 5
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "test_other.py", "-k", "other")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["no gate ran, so there is no report; look at the paths given, -k and -m"])


def test_own_gates_that_cannot_be_imported_say_why(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(test_mine="import no_such_module_at_all")
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*No module named 'no_such_module_at_all'"])


WRONG_DIRECTORIES = [
    pytest.param("nowhere", "--model-dir=nowhere: no such directory", id="missing"),
    pytest.param("models", "--model-dir=models: 'models' is not a model id: expected *", id="no-id"),
    pytest.param("", "--model-dir=: * is not a model id: *", id="empty"),
]


@pytest.mark.parametrize(("given", "message"), WRONG_DIRECTORIES)
def test_a_path_that_is_not_a_model_directory_is_a_usage_error(
    pytester: pytest.Pytester, given: str, message: str
) -> None:
    pytester.mkdir("models")
    result = run(pytester, f"--model-dir={given}")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_one_model_given_twice_is_a_usage_error(pytester: pytest.Pytester) -> None:
    model = bare_model(pytester)
    (model.parent / "latest").symlink_to(model.name)
    result = run(pytester, f"--model-dir={model}", "--model-dir=artifacts/models/latest")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: --model-dir=*latest: model {MODEL_ID} is given twice"])


def test_a_gate_without_a_limit_is_a_usage_error_that_shows_the_table_to_add(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    write_policy(pytester, name="mine.other")
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            f"ERROR: test_mine.py::test_answer?{MODEL_ID}?: no SLO 'mine.answer' in the policy; "
            'add ?slo."mine.answer"? with its bounds, unit, severity and advice'
        ]
    )


@pytest.mark.parametrize("name", ["", "3", '"answer"', '"a.b", "c.d"'], ids=["none", "number", "no-family", "two"])
def test_a_gate_without_a_proper_name_is_a_usage_error(pytester: pytest.Pytester, name: str) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(
        test_mine=f"import pytest\n@pytest.mark.gate({name})\ndef test_answer(gate):\n    gate.check(0)\n"
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 4
    result.stderr.fnmatch_lines(['ERROR: test_mine.py::test_answer*: write @pytest.mark.gate("family.name")'])


def test_a_gate_that_asks_for_no_model_is_a_usage_error(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(test_mine='import pytest\n@pytest.mark.gate("mine.answer")\ndef test_answer():\n    pass\n')
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: *test_answer: gate mine.answer asks for nothing of the model; it needs the fixture `gate`"]
    )


def test_a_test_that_asks_for_gate_without_the_marker_fails_and_says_so(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    pytester.makepyfile(test_other="def test_other(gate): pass")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "test_other.py")
    assert outcomes(result) == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(
        ['test_other.py::test_other* asks for `gate`: give it @pytest.mark.gate("family.name")']
    )


def test_without_the_json_plugin_the_run_says_what_to_do(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "-p", "no:pytest_jsonreport")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: pytest-json-report is not loaded, and the report needs it: drop *"])


def test_plugins_may_be_loaded_by_name_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    model = own_gate(pytester, value="0")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugins = ["pytest_modelgates.plugin", "pytest_jsonreport.plugin", "pytest_metadata.plugin"]
    result = run(pytester, *(word for name in plugins for word in ("-p", name)), f"--model-dir={model}", "test_mine.py")
    assert result.ret == 0
    assert record_of(model).attempts == 1


# Markers and selection.


def test_every_marker_is_registered(pytester: pytest.Pytester) -> None:
    lines = run(pytester, "--markers").outlines
    for name in ("hard", "soft", "gate(name)", "data", "signal", "parity", "pnl", "wf", "drift", "latency", "shadow"):
        assert any(line.startswith(f"@pytest.mark.{name}:") for line in lines), name


SIGNAL = ("significance", "ablation")
GROUPS: dict[str, Callable[[str, str], bool]] = {
    "hard": lambda _, severity: severity == "hard",
    "soft": lambda _, severity: severity == "soft",
    "signal": lambda family, _: family in SIGNAL,
    "data": lambda family, _: family in ("integrity", "schema", "data", "leak"),
    "integrity": lambda family, _: family == "integrity",
    "parity": lambda family, _: family == "parity",
    "pnl": lambda family, _: family == "pnl",
    "wf": lambda family, _: family == "wf",
    "drift or latency or shadow": lambda family, _: family in ("drift", "latency", "shadow"),
    "hard and not signal": lambda family, severity: severity == "hard" and family not in SIGNAL,
}


@pytest.mark.parametrize("expression", GROUPS)
def test_markers_select(pytester: pytest.Pytester, good_model: Path, expression: str) -> None:
    asked = {name: slo for name, slo in PACKAGED.slo.items() if slo.gate is None and PACKAGED.applies(name, "signal")}
    chosen = [slo for name, slo in asked.items() if GROUPS[expression](name.partition(".")[0], slo.severity)]
    strict = ["--strict-markers"] + (["-o", "strict=true"] if int(pytest.__version__.split(".")[0]) >= 9 else [])
    result = run(pytester, f"--model-dir={good_model}", "-m", expression, "--collect-only", "-q", *strict)
    assert result.ret == 0
    assert len(ids(result)) == sum(2 if slo.each else 1 for slo in chosen)  # the model has two feature groups


def test_a_folder_or_a_parameter_called_hard_changes_nothing(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    folder = pytester.mkdir("hard")
    folder.joinpath("test_hard.py").write_text(
        "import pytest\n"
        '@pytest.mark.parametrize("how", ["hard"])\n'
        '@pytest.mark.gate("mine.answer")\n'
        "def test_hard(gate, how):\n    gate.check(2)\n"
        "test_hard.hard = True\n"
    )
    result = run(pytester, f"--model-dir={model}", "hard")
    assert outcomes(result) == {"xfailed": 1}
    assert record_of(model, "mine.answer[hard]").severity == "soft"
    assert run(pytester, f"--model-dir={model}", "hard", "-m", "hard").ret == 5


@pytest.mark.parametrize("where", ["function", "module", "class"])
@pytest.mark.parametrize(("marked", "policy"), [("hard", "soft"), ("soft", "hard")], ids=["softened", "hardened"])
def test_the_policys_severity_overrides_the_marker(
    pytester: pytest.Pytester, marked: str, policy: str, where: str
) -> None:
    model = own_gate(pytester, severity=policy, marked=marked)
    mark, gate = f"pytest.mark.{marked}", '@pytest.mark.gate("mine.answer")'
    if where == "module":
        source = f"import pytest\npytestmark = {mark}\n{gate}\ndef test_a(gate): gate.check(2)\n"
        pytester.makepyfile(test_mine=source)
    if where == "class":
        source = f"import pytest\n@{mark}\nclass TestA:\n  {gate}\n  def test_a(self, gate): gate.check(2)\n"
        pytester.makepyfile(test_mine=source)
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == (policy == "hard")
    assert record_of(model).severity == policy


# How a run ends.


def test_a_failing_soft_gate_warns_in_yellow_with_its_numbers(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "-v", "--color=yes")
    assert result.ret == 0
    result.stdout.re_match_lines(
        [
            r".*test_answer\[1700000000\] .*\x1b\[33mWARN\x1b.*",
            r"\x1b\[33mmine\.answer +soft 2 x +≤1 +-1 +WARN\x1b.*",
            r"\x1b\[33mmine\.answer WARN: measured 2 x, limit ≤ 1 → give less\x1b.*",
            r".*1 xfailed.*",
        ]
    )
    (test,) = report_of(model)["tests"]
    assert test["outcome"] == "xfailed"
    assert report_of(model)["summary"]["xfailed"] == 1


def test_strict_soft_lets_a_soft_gate_fail_the_run(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--strict-soft")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["mine.answer: measured 2 x, limit ≤ 1", "give less", "mine.answer  soft 2 x * failed", "mine.answer failed: *"]
    )
    assert ledger_of(model).run.strict_soft


def test_a_failing_hard_gate_says_what_was_measured_the_limit_and_what_to_do(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="2, sample=7, spread=0.123456")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--color=yes")
    assert result.ret == 1
    # Some versions of pytest colour the numbers in it.
    result.stdout.fnmatch_lines(["*mine.answer: measured *2* x, limit *≤* *1*, spread *0.1235*", "*give less*"])
    result.stdout.re_match_lines([r"\x1b\[31mmine\.answer +hard 2 x +≤1 +-1 +failed\x1b.*"])


@pytest.mark.parametrize("how", ["fixture", "body"])
def test_a_soft_gate_that_breaks_is_an_error(pytester: pytest.Pytester, how: str) -> None:
    model = own_gate(pytester)
    source = {
        "fixture": "@pytest.fixture\ndef data():\n    return 1 / 0\n",
        "body": "@pytest.fixture\ndef data():\n    return lambda: 1 / 0\n",
    }[how]
    gate = '@pytest.mark.gate("mine.answer")\ndef test_answer(gate, data):\n    gate.check(data())\n'
    pytester.makepyfile(test_mine=f"import pytest\n{source}{gate}")
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["mine.answer  soft - * errored", "mine.answer errored: raised ZeroDivisionError: division by zero"]
    )


def test_a_gate_without_evidence_fails(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard")
    pytester.makepyfile(
        test_mine='import pytest\n@pytest.mark.gate("mine.answer")\ndef test_a(gate):\n    return None\n'
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["mine.answer: recorded no evidence; call gate.check with what it measured"])


NOT_REALLY_GREEN = [
    pytest.param("pytest.skip('not today')", "mine.answer not run: was skipped", id="skipped"),
    pytest.param("pytest.exit('enough', returncode=0)", "mine.answer not run: only setup ran, *", id="left"),
    pytest.param("pytest.xfail('known')", "mine.answer errored: raised XFailed", id="expected-to-fail"),
]


@pytest.mark.parametrize(("body", "why"), NOT_REALLY_GREEN)
def test_a_hard_gate_that_did_not_run_to_its_end_is_not_green(pytester: pytest.Pytester, body: str, why: str) -> None:
    model = own_gate(pytester, severity="hard")
    pytester.makepyfile(
        test_mine=f'import pytest\n@pytest.mark.gate("mine.answer")\ndef test_a(gate):\n    gate.check(0)\n    {body}\n'
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines([why])
    assert report_of(model)["exitcode"] == ledger_of(model).run.exit_status == 1


@pytest.mark.parametrize("switch", ["--setup-plan", "--setup-only"])
def test_setting_up_only_is_not_green(pytester: pytest.Pytester, switch: str) -> None:
    model = own_gate(pytester, severity="hard", value="0")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", switch)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["mine.answer not run: only setup, teardown ran, expected set-up, call and teardown"])


@pytest.mark.parametrize("switch", ["--collect-only", "--fixtures", "--fixtures-per-test"])
def test_looking_at_gates_leaves_no_report_and_is_not_an_error(pytester: pytest.Pytester, switch: str) -> None:
    model = own_gate(pytester, severity="hard")
    kept = pytester.path / "kept.json"
    kept.write_text('{"created": 1, "exitcode": 0}')
    result = run(pytester, f"--model-dir={model}", "test_mine.py", switch, f"--gate-report={kept}")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*model gates*")
    assert kept.read_text() == '{"created": 1, "exitcode": 0}'
    assert not reports_of(model)


def test_the_first_failure_may_stop_the_run(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard")
    pytester.makepyfile(test_other="def test_other(): pass")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "test_other.py", "-x")
    assert result.ret != 0
    assert outcomes(result) == {"failed": 1}
    assert record_of(model).evidence[0].value == 2


def test_a_soft_failure_does_not_stop_the_run(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(test_other="def test_other(): pass")
    assert outcomes(run(pytester, f"--model-dir={model}", "test_mine.py", "test_other.py", "-x")) == {
        "xfailed": 1,
        "passed": 1,
    }


def test_a_gate_repeated_until_it_passes_is_not_green(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="2 - 2 * bool(TRIES.append(0) or len(TRIES) > 1)")
    with (pytester.path / "test_mine.py").open("a") as file:
        file.write("\nTRIES = []\n")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--reruns=1")
    assert outcomes(result) == {"passed": 1, "rerun": 1}
    assert result.ret == 1
    result.stdout.fnmatch_lines(["mine.answer not run: ran 2 times, expected once"])
    assert record_of(model).attempts == 2
    assert [evidence.value for evidence in record_of(model).evidence] == [2, 0]


def test_a_gate_repeated_in_silence_is_not_green(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="2 - 2 * bool(TRIES.append(0) or len(TRIES) > 1)")
    with (pytester.path / "test_mine.py").open("a") as file:
        file.write("\nTRIES = []\n")
    pytester.makeconftest(
        """
        import pytest
        from _pytest.runner import runtestprotocol

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            runtestprotocol(item, nextitem=nextitem, log=False)
            item._initrequest()
            runtestprotocol(item, nextitem=nextitem, log=True)
            return True
        """
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert outcomes(result) == {"passed": 1}
    assert result.ret == 1
    result.stdout.fnmatch_lines(["mine.answer not run: ran 2 times, expected once"])


def test_a_family_that_does_not_apply_is_shown_and_not_skipped(pytester: pytest.Pytester, good_model: Path) -> None:
    policy = pytester.path / "policy.toml"
    policy.write_text('not_applicable = ["pnl", "wf"]\n')
    paths = [GATES / f"test_{family}.py" for family in ("pnl", "wf", "integrity")]
    result = run(pytester, f"--model-dir={good_model}", f"--policy={policy}", *paths)
    assert outcomes(result)["passed"] == 3
    result.stdout.fnmatch_lines(
        ["pnl, wf, metric, data.repeated_rows, leak.target: not asked of a signal, says the policy"]
    )
    result.stdout.fnmatch_lines(["data.window: where the panel ends is not asked: set [[]data[]] window_end_days"])
    assert ledger_of(good_model).run.not_applicable == ("pnl", "wf")


# Where limits and reports are.


def test_the_policy_is_looked_up_in_order(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    found = pytester.path / "registry" / "policy.toml"

    def header() -> str:
        (line,) = [
            line for line in run(pytester, f"--model-dir={model}", "--co").outlines if line.startswith("policy:")
        ]
        return line.split()[1]

    assert header() == "registry/policy.toml"
    (pytester.path / "asked.toml").write_text(POLICY.format(name="mine.answer", severity="hard"))
    result = run(pytester, f"--model-dir={model}", "--co", "--policy=asked.toml")
    result.stdout.fnmatch_lines(["policy: asked.toml sha256:*"])
    found.unlink()
    result = run(pytester, f"--model-dir={model}", "--co")
    result.stdout.fnmatch_lines(["policy: packaged default sha256:*"])


def test_a_policy_that_is_not_there_is_a_usage_error(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    result = run(pytester, f"--model-dir={model}", "--policy=nowhere.toml")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *nowhere.toml: no such policy file"])


def test_a_run_without_a_terminal_is_a_usage_error(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    result = run_apart(pytester, f"--model-dir={model}", "-p", "no:terminal")
    assert result.ret == 4
    wanted = "ERROR: pytest's terminal plugin is off, and pytest-json-report needs it: drop -p no:terminal, use -q"
    result.stderr.fnmatch_lines([wanted])
    result.stderr.no_fnmatch_line("*INTERNALERROR*")


def test_the_report_goes_where_it_is_asked_for(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--gate-report=out/gates.json")
    result.stdout.fnmatch_lines(["report: out/gates.json"])
    assert "modelgates" in json.loads((pytester.path / "out" / "gates.json").read_text("utf-8"))
    assert not reports_of(model)


def test_the_report_of_json_report_itself_holds_the_ledger_too(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--json-report", "--json-report-file=theirs.json")
    assert result.ret == 0
    theirs = json.loads((pytester.path / "theirs.json").read_text("utf-8"))
    assert theirs == report_of(model)
    assert theirs["modelgates"]["models"][MODEL_ID]["gates"][0]["gate"] == "mine.answer"


@pytest.mark.parametrize(
    "switches", ["--json-report-file=none", "--json-report-summary", "--json-report-omit=keywords"]
)
def test_switches_of_json_report_leave_the_ledger_alone(pytester: pytest.Pytester, switches: str) -> None:
    model = own_gate(pytester)
    assert run(pytester, f"--model-dir={model}", "test_mine.py", "--json-report", switches).ret == 0
    assert record_of(model).severity == "soft"


def test_a_report_that_cannot_be_written_ends_the_run_with_one_line(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    (pytester.path / "file").write_text("no folder")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--gate-report=file/report.json")
    assert result.ret == 3
    result.stderr.re_match_lines([r"Exit: the report could not be written: .*Not a directory.*|.*File exists.*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_report_place_that_becomes_unwritable_ends_the_run_with_one_line(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    pytester.makeconftest(
        "import os, pytest\n@pytest.fixture(autouse=True)\ndef _folder_in_the_way():\n    os.mkdir('report.json')\n"
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--gate-report=report.json")
    assert result.ret == 3
    result.stderr.fnmatch_lines(["Exit: the report could not be written: *report.json*"])
    assert list(pytester.path.glob(".report*")) == []


def test_a_green_report_of_before_does_not_outlive_a_run_that_dies(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    report = pytester.path / "report.json"
    assert run(pytester, f"--model-dir={model}", "test_mine.py", f"--gate-report={report}").ret == 0
    assert report.exists()
    pytester.makeconftest("import os\ndef pytest_runtest_setup(): os._exit(0)\n")
    assert run_apart(pytester, f"--model-dir={model}", "test_mine.py", f"--gate-report={report}").ret == 0
    assert not report.exists()


# What it costs, and what it leaves alone.


def test_a_run_without_a_model_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_modules(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("modelgates")
            heavy = {"numpy", "scipy", "pandas", "onnx", "onnxruntime", "pyarrow", "msgspec"}
            assert not (heavy | {"pytest_modelgates.gating.ledger"}) & set(sys.modules)
        """
    )
    result = run_apart(pytester)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*model gates*")


@pytest.mark.parametrize("switches", [["-q", "--no-header", "--no-summary"], ["--junitxml=x.xml"]])
def test_common_switches_do_not_break_a_run(pytester: pytest.Pytester, switches: list[str]) -> None:
    model = own_gate(pytester)
    assert run(pytester, f"--model-dir={model}", "test_mine.py", *switches).ret == 0
    assert record_of(model).evidence[0].value == 2


def test_warnings_as_errors_do_not_break_a_run(pytester: pytest.Pytester, good_model: Path) -> None:
    plain, strict = (run(pytester, f"--model-dir={good_model}", *switches) for switches in ([], ["-W", "error"]))
    assert strict.ret == 0
    assert outcomes(strict) == outcomes(plain)


def test_a_team_may_import_by_importlib(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    assert run(pytester, f"--model-dir={model}", "test_mine.py", "--import-mode=importlib").ret == 0


@pytest.mark.integration
def test_the_module_runs_on_the_command_line_of_a_plain_folder(tmp_path: Path, good_model: Path) -> None:
    environment = os.environ | {"COLUMNS": "80"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--model-dir={good_model}", "-m", "integrity"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert not done.stderr


# What this user may not read.


@pytest.mark.parametrize("name", ["model.onnx", "sidecar.json"])
def test_a_model_that_this_user_may_not_read_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    model = own_gate(pytester)
    (model / name).write_bytes(b"{}")
    opened = os.open

    def denied(path: object, *arguments: Any, **more: Any) -> int:
        if path == name:  # what chmod 0 does to every user but root
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return opened(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", denied)
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 4
    what = f"Permission denied: {name}; let the user who runs the gates read every file of it"
    result.stderr.fnmatch_lines([f"ERROR: --model-dir={model}: {what}"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert "Traceback" not in result.stderr.str()


def test_a_model_that_becomes_unreadable_counts_as_changed(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(
        test_mine="""
        import errno, os, pytest

        @pytest.mark.gate("mine.answer")
        def test_answer(gate, monkeypatch_for_good):
            gate.check(0)

        @pytest.fixture
        def monkeypatch_for_good():
            opened = os.open
            def denied(path, *arguments, **more):
                if path == "model.onnx":
                    raise PermissionError(errno.EACCES, "Permission denied", path)
                return opened(path, *arguments, **more)
            os.open = denied
        """
    )
    result = run_apart(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"{MODEL_ID}: its files changed while the gates ran; pack again, then run again"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_link_to_itself_is_refused(pytester: pytest.Pytester) -> None:
    own_gate(pytester)
    (pytester.path / "loop").symlink_to("loop")
    result = run(pytester, "--model-dir=loop", "test_mine.py")
    assert result.ret == 4
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stderr.fnmatch_lines(["ERROR: --model-dir=loop: no such directory"])


def test_a_name_that_no_file_can_have_is_refused(pytester: pytest.Pytester) -> None:
    own_gate(pytester)
    result = run(pytester, f"--model-dir={'x' * 300}", "test_mine.py")
    assert result.ret == 4
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stderr.fnmatch_lines(["ERROR: --model-dir=x*: File name too long: *"])
