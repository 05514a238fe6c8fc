"""What a run leaves behind: every gate, each phase, all evidence, and the bytes that they belong to."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.evidence.report import Evidence
from pytest_modelgates.gating.collection import checked_model_dirs
from pytest_modelgates.gating.ledger import LIBRARIES
from pytest_modelgates.gating.plain import as_json
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.storage.digests import sha256, tree_digest
from pytest_modelgates.storage.strict_json import canonical, parse_json
from tests.support.gate_runs import (
    GATES,
    MODEL_ID,
    ledger_of,
    outcomes,
    own_gate,
    record_of,
    report_of,
    reports_of,
    run,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
)


def test_a_gate_leaves_its_identity_severity_phases_attempts_and_evidence(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="0.5, sample=7, interval=(0.25, 1), spread=0.1, word='w'")
    assert run(pytester, f"--model-dir={model}", "test_mine.py").ret == 0
    record = record_of(model)
    assert (record.gate, record.severity, record.attempts) == ("mine.answer", "hard", 1)
    assert record.node_id == f"test_mine.py::test_answer[{MODEL_ID}]"
    assert [(phase.when, phase.outcome, phase.exception) for phase in record.phases] == [
        ("setup", "passed", None),
        ("call", "passed", None),
        ("teardown", "passed", None),
    ]
    assert all(phase.duration_s >= 0 for phase in record.phases)
    assert record.evidence == (
        Evidence(
            slo="mine.answer",
            state="measured",
            value=0.5,
            at_most=1,
            unit="x",
            sample=7,
            interval=(0.25, 1),
            detail={"spread": 0.1, "word": "w"},
        ),
    )


def test_the_run_leaves_its_circumstances(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    model = own_gate(pytester)
    before = datetime.now(UTC)
    arguments = [f"--model-dir={model}", "test_mine.py", "-k", "answer"]
    run(pytester, *arguments)
    info = ledger_of(model).run
    assert before <= info.started <= info.finished <= datetime.now(UTC)
    assert info.arguments[-4:] == tuple(arguments)
    assert info.exit_status == report_of(model)["exitcode"] == 0
    assert not info.strict_soft
    policy = pytester.path / "registry" / "policy.toml"
    assert (info.policy_source, info.policy_digest) == ("registry/policy.toml", load_policy(policy).digest)
    suite = {f"{pytester.path.name}/test_mine.py": sha256((pytester.path / "test_mine.py").read_bytes())}
    assert (info.suite, info.suite_digest) == (suite, sha256(canonical(suite)))
    assert set(info.libraries) == {"python", "platform", *LIBRARIES}
    assert info.libraries["pytest"] == pytest.__version__


def test_the_digest_is_that_of_sha256sum(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    (model / "a.txt").write_bytes(b"a")
    run(pytester, f"--model-dir={model}", "test_mine.py")
    lines = f"{hashlib.sha256(b'a').hexdigest()}  a.txt\n{hashlib.sha256(b'bytes').hexdigest()}  model.onnx\n"
    shown = ledger_of(model).models[MODEL_ID]
    assert shown.digest_before == shown.digest_after == hashlib.sha256(lines.encode()).hexdigest()
    assert shown.directory == str(model)


@pytest.mark.parametrize(
    "deed", ["(d / 'model.onnx').write_bytes(b'bites')", "(d / 'more').write_text('')"], ids=["a-byte", "a-file"]
)
def test_a_model_that_changes_during_the_run_is_seen(pytester: pytest.Pytester, deed: str) -> None:
    model = own_gate(pytester)
    source = f"def test_answer(gate, candidate):\n    d = candidate.directory\n    {deed}\n    gate.check(0)\n"
    pytester.makepyfile(test_mine=f'import pytest\n@pytest.mark.gate("mine.answer")\n{source}')
    before = tree_digest(model)
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert outcomes(result) == {"passed": 1}
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"{MODEL_ID}: its files changed while the gates ran; pack again, then run again"])
    shown = ledger_of(model).models[MODEL_ID]
    assert (shown.digest_before, shown.digest_after) == (before, tree_digest(model))
    assert shown.digest_before != shown.digest_after


def test_a_model_that_disappears_during_the_run_fails_it(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    source = "def test_answer(gate, candidate):\n    shutil.rmtree(candidate.directory)\n    gate.check(0)\n"
    pytester.makepyfile(test_mine=f'import pytest, shutil\n@pytest.mark.gate("mine.answer")\n{source}')
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"{MODEL_ID}: its files changed while the gates ran; pack again, then run again"])
    assert ledger_of(model).models[MODEL_ID].digest_after == hashlib.sha256().hexdigest()


def test_two_gate_files_of_one_name_are_both_in_the_suite(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    source = (pytester.path / "test_mine.py").read_text()
    for folder in ("one", "two"):
        (pytester.path / folder / "gates").mkdir(parents=True)
        (pytester.path / folder / "gates" / "test_same.py").write_text(source + f"# {folder}\n")
    run(pytester, f"--model-dir={model}", "one", "two", "--import-mode=importlib")
    info = ledger_of(model).run
    assert len(set(info.suite.values())) == 2
    assert sorted(info.suite) == [str(pytester.path / "two" / "gates" / "test_same.py"), "gates/test_same.py"]


def test_the_shipped_suite_has_one_digest_wherever_it_runs(pytester: pytest.Pytester, good_model: Path) -> None:
    run(pytester, f"--model-dir={good_model}", "-m", "integrity or schema")
    digest = ledger_of(good_model).run.suite_digest
    files = {
        f"gates/test_{name}.py": sha256((GATES / f"test_{name}.py").read_bytes()) for name in ("integrity", "schema")
    }
    assert digest == sha256(canonical(files))


def test_one_gate_name_in_two_places_leaves_two_records(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(test_again=(pytester.path / "test_mine.py").read_text())
    run(pytester, f"--model-dir={model}", "test_mine.py", "test_again.py")
    gates = [record.gate for record in ledger_of(model).models[MODEL_ID].gates]
    assert gates == ["mine.answer", "mine.answer"]


def test_parameters_are_part_of_a_gates_identity_and_the_model_is_not(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.parametrize("side", ["long", "short"])
        @pytest.mark.gate("mine.answer")
        def test_answer(gate, side):
            gate.check(0)
        """
    )
    run(pytester, f"--model-dir={model}", "test_mine.py")
    assert [record.gate for record in ledger_of(model).models[MODEL_ID].gates] == [
        "mine.answer[long]",
        "mine.answer[short]",
    ]


def test_what_our_own_hook_saw_is_kept_whatever_a_conftest_makes_of_the_report(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard")
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.outcome = "passed"
            return report

        def pytest_json_modifyreport(json_report):
            json_report["modelgates"] = "all is well"
        """
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 1
    assert record_of(model).phases[1].exception == "Failed"
    assert record_of(model).evidence[0].value == 2


def test_the_exit_status_in_the_report_is_the_one_that_the_shell_sees(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makeconftest(
        "import pytest\n@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session): session.exitstatus = 7\n"
    )
    assert run(pytester, f"--model-dir={model}", "test_mine.py").ret == 7
    assert report_of(model)["exitcode"] == ledger_of(model).run.exit_status == 7


def test_strange_things_that_tests_record_do_not_break_the_report(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    pytester.makepyfile(
        test_other="""
        def test_other(record_property, json_metadata):
            record_property("nan", float("nan"))
            json_metadata["infinite"] = float("inf")
            json_metadata["surrogate"] = "\\udcff"
        """
    )
    assert run(pytester, f"--model-dir={model}", "test_mine.py", "test_other.py").ret == 0
    (path,) = reports_of(model)
    test = parse_json(path.read_bytes(), "the report")["tests"][1]
    assert test["metadata"] == {"infinite": None, "surrogate": "\\udcff"}
    assert test["user_properties"] == [{"nan": None}]


@pytest.mark.parametrize("error", ["FormatError", "PermissionError"])
def test_an_unreadable_file_is_reported_in_a_line_that_no_terminal_obeys(pytester: pytest.Pytester, error: str) -> None:
    model = own_gate(pytester, severity="hard", value=f"broken({error})")
    with (pytester.path / "test_mine.py").open("a") as file:
        file.write(
            "\nfrom pytest_modelgates.errors import FormatError\n"
            "def broken(error):\n    raise error('a\\x1b[2J\\udcff: cannot be read\\nlook at it')\n"
        )
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["mine.answer: a\\x1b?2J\\udcff: cannot be read", "look at it"])
    result.stdout.no_fnmatch_line("*def broken*")


def test_the_report_is_whole_and_nothing_else_is_left(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    run(pytester, f"--model-dir={model}", "test_mine.py")
    (path,) = (model.parents[1] / "reports" / MODEL_ID).iterdir()
    assert datetime.strptime(path.name, "%Y%m%dT%H%M%S.%fZ.json").year >= 2024
    assert json.loads(path.read_bytes())["modelgates"]["format"] == 1


def test_model_directories_are_resolved(tmp_path: Path) -> None:
    (tmp_path / MODEL_ID).mkdir()
    (tmp_path / "latest").symlink_to(MODEL_ID)
    assert checked_model_dirs([str(tmp_path / "latest")]) == [(tmp_path / MODEL_ID).resolve()]


@given(ANYTHING)
def test_whatever_is_recorded_becomes_strict_json(value: object) -> None:
    plain = as_json(value)
    assert parse_json(json.dumps(plain, allow_nan=False).encode(), "here") == plain


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    )
)
def test_what_json_can_carry_stays_as_it_is(value: object) -> None:
    assert as_json(value) == value


@pytest.mark.parametrize("becomes", ["write_text('def (')", "write_bytes(bytes([255]))", "unlink()"])
def test_a_gate_file_that_changes_before_its_gates_run_makes_the_run_red(
    pytester: pytest.Pytester, becomes: str
) -> None:
    model = own_gate(pytester, value="0")
    pytester.makepyfile(test_first=f"import pathlib\n\ndef test_first():\n    pathlib.Path('test_mine.py').{becomes}\n")
    result = run(pytester, f"--model-dir={model}", "test_first.py", "test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"{pytester.path.name}/test_mine.py changed while the gates ran; run again"])
