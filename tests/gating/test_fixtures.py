"""What a gate may ask for: too little data in a fixture, and fixtures under their old names."""

from pathlib import Path

import pytest

from pytest_modelgates.errors import InsufficientDataError
from pytest_modelgates.evidence.verdict import Verdict, judge
from tests.support.gate_runs import PACKAGED, outcomes, own_gate, record_of, run

FIXTURE = """
import pytest
from pytest_modelgates import {error}

@pytest.fixture
def rows():
    raise {error}("3 rows, at least 9 are needed"{more})

@pytest.mark.gate("{gate}")
def test_answer(rows, gate):
    gate.check(0)
"""


def asks(pytester: pytest.Pytester, error: str, *, severity: str = "hard", gate: str = "mine.answer") -> Path:
    """A model, and a gate whose fixture raises."""
    more = ", sample=3" if error == "InsufficientDataError" else ""
    model = own_gate(pytester, severity=severity)
    pytester.makepyfile(test_mine=FIXTURE.format(error=error, gate=gate, more=more))
    return model


def test_too_little_data_in_a_fixture_makes_the_gate_inconclusive(pytester: pytest.Pytester) -> None:
    model = asks(pytester, "InsufficientDataError")
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert (result.ret, outcomes(result)) == (1, {"failed": 1})
    result.stdout.fnmatch_lines(
        ["mine.answer: inconclusive: 3 rows, at least 9 are needed", "mine.answer *inconclusive"]
    )
    (shown,) = record_of(model).evidence
    assert (shown.state, shown.value, shown.sample) == ("inconclusive", None, 3)
    assert [phase.when for phase in record_of(model).phases] == ["setup", "teardown"]


def test_a_soft_gate_with_too_little_data_warns_and_leaves_the_exit_code_alone(pytester: pytest.Pytester) -> None:
    model = asks(pytester, "InsufficientDataError", severity="soft")
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert (result.ret, outcomes(result)) == (0, {"skipped": 1})


def test_any_other_statistics_error_in_a_fixture_is_an_error(pytester: pytest.Pytester) -> None:
    model = asks(pytester, "StatisticsError")
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert (result.ret, outcomes(result)) == (1, {"errors": 1})
    result.stdout.fnmatch_lines(["mine.answer errored: raised StatisticsError: 3 rows, at least 9 are needed"])


def test_a_gate_of_another_family_cannot_lack_a_reference(pytester: pytest.Pytester) -> None:
    model = asks(pytester, "NoReference")
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    # Not skipped, as one that has no reference yet is.
    assert (result.ret, outcomes(result)) == (1, {"failed": 1})
    assert judge(record_of(model), PACKAGED)[0] is Verdict.INCONCLUSIVE


def test_a_gate_that_swallows_what_it_raised_is_inconclusive_all_the_same(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard")
    swallowed = "try: gate.inconclusive('3 rows')\n    except Exception: pass"
    pytester.makepyfile(test_mine=GATE_OF_01.format(names="candidate", asks=swallowed))
    assert run(pytester, f"--model-dir={model}", "test_mine.py").ret == 1
    assert [entry.state for entry in record_of(model).evidence] == ["inconclusive", "measured"]


def test_the_sample_of_too_little_data_survives_a_process_boundary() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(InsufficientDataError("3 rows", sample=3)))
    assert (str(error), error.sample) == ("3 rows", 3)


GATE_OF_01 = """
import pytest
from pytest_modelgates import ModelgatesError, NoReference

@pytest.mark.gate("mine.answer")
def test_answer({names}, gate):
    {asks}
    gate.check(0)
"""
OLD = {
    "held": "assert held.net.size",
    "follow": "assert callable(follow)",
    "paper": "assert paper.sharpe",
    "skill": "assert skill().p_against",
    "years": "assert years(gate).means.size",
    "enough": "enough(gate); enough(gate, 1)",
    "tried": "assert tried(gate) == 1",
    # Nothing was ever live, and a signal has no baseline.
    "live_scores": "with pytest.raises(NoReference): live_scores(gate)",
    "live_agreement": "with pytest.raises(NoReference): live_agreement(gate)",
    "against_baseline": "with pytest.raises(ModelgatesError): against_baseline(gate)",
}


@pytest.mark.parametrize("name", OLD)
def test_a_gate_of_version_01_runs_and_is_warned_of_the_new_name(
    pytester: pytest.Pytester, good_model: Path, name: str
) -> None:
    own_gate(pytester)
    pytester.makepyfile(test_mine=GATE_OF_01.format(names=name, asks=OLD[name]))
    result = run(pytester, f"--model-dir={good_model}", "test_mine.py")
    assert outcomes(result)["passed"] == 1
    result.stdout.fnmatch_lines([f"*DeprecationWarning: the fixture '{name}' is now called *"])


def test_a_gate_of_version_01_may_still_ask_for_more_horizons_than_the_models_own(
    pytester: pytest.Pytester, good_model: Path
) -> None:
    own_gate(pytester)
    pytester.makepyfile(test_mine=GATE_OF_01.format(names="enough", asks="enough(gate, 250)"))
    run(pytester, f"--model-dir={good_model}", "test_mine.py")
    assert [entry.state for entry in record_of(good_model).evidence] == ["inconclusive"]


@pytest.mark.parametrize("name", ["held", "follow", "paper", "enough"])
def test_a_session_fixture_of_version_01_may_still_ask_for_an_old_name(
    pytester: pytest.Pytester, good_model: Path, name: str
) -> None:
    own_gate(pytester)
    pytester.makeconftest(f"import pytest\n@pytest.fixture(scope='session')\ndef own({name}):\n    return {name}")
    pytester.makepyfile(test_mine=GATE_OF_01.format(names="own", asks="assert own"))
    assert outcomes(run(pytester, f"--model-dir={good_model}", "test_mine.py"))["passed"] == 1


def test_a_fixture_that_a_gate_asks_for_while_it_runs_has_its_origin_in_the_report(
    pytester: pytest.Pytester, good_model: Path
) -> None:
    own_gate(pytester)
    pytester.makeconftest("import pytest\n@pytest.fixture(scope='session')\ndef ic_test():\n    return None")
    pytester.makepyfile(test_mine=GATE_OF_01.format(names="skill", asks="assert skill() is None"))
    run(pytester, f"--model-dir={good_model}", "test_mine.py")
    assert record_of(good_model).fixtures["ic_test"].endswith("/conftest.py")


def test_a_gates_own_kind_of_too_little_data_is_inconclusive_too(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="soft")
    own = "class TooFew(InsufficientDataError): pass"
    pytester.makepyfile(
        test_mine=f"import pytest\nfrom pytest_modelgates import InsufficientDataError\n{own}\n"
        "@pytest.mark.gate('mine.answer')\ndef test_answer(gate):\n    raise TooFew('3 rows')\n"
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    assert (result.ret, outcomes(result)) == (0, {"skipped": 1})
    assert judge(record_of(model), PACKAGED)[0] is Verdict.INCONCLUSIVE
