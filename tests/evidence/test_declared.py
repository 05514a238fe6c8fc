"""Which gates files declare, read from their text."""

from pathlib import Path

import pytest

from pytest_modelgates.evidence.declared import declared_gates
from pytest_modelgates.evidence.trust import shipped_gates
from pytest_modelgates.policy.load import load_policy


def test_the_shipped_gates_are_those_of_the_packaged_policy() -> None:
    found = declared_gates([shipped_gates()])
    assert found.complete
    assert found.gates == {name for name, slo in load_policy(None).slo.items() if slo.gate is None}


FILES = [
    pytest.param('@pytest.mark.gate("own.a")\ndef test_a(): ...', {"own.a"}, True, id="a-test"),
    pytest.param(
        "from pytest import mark\n@mark.gate('own.a')\ndef test_a(): ...", {"own.a"}, True, id="imported-mark"
    ),
    pytest.param('pytestmark = [pytest.mark.gate("own.a")]', {"own.a"}, True, id="a-module"),
    pytest.param('X = pytest.param(1, marks=pytest.mark.gate("own.a"))', {"own.a"}, True, id="a-parameter"),
    pytest.param('@pytest.mark.gate(f"own.{name}")\ndef test_a(): ...', set(), False, id="a-name-made-by-code"),
    pytest.param("@pytest.mark.gate(*names)\ndef test_a(): ...", set(), False, id="names-spread"),
    pytest.param("@pytest.mark.gate()\ndef test_a(): ...", set(), False, id="no-name"),
    pytest.param('def test_a(gate): gate("own.a"); x.gate("own.b")', set(), True, id="no-mark"),
    pytest.param('# pytest.mark.gate("own.a")\n"pytest.mark.gate(\'own.b\')"', set(), True, id="words-alone"),
    pytest.param("def gate(:", set(), False, id="not-python"),
    pytest.param("# gate\n\0", set(), False, id="a-null"),
]


@pytest.mark.parametrize(("text", "gates", "complete"), FILES)
def test_marks_are_read_and_what_only_running_would_tell_is_said(
    tmp_path: Path, text: str, gates: set[str], complete: bool
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "test_own.py").write_text(text)
    found = declared_gates([tmp_path])
    assert (found.gates, found.complete) == (gates, complete)
