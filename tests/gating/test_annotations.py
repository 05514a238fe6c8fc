"""What GitHub shows beside the code of gates that did not pass."""

from pathlib import Path

import pytest

from tests.support.gate_runs import bare_model, own_gate, run, write_policy


@pytest.fixture
def on_github(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))


def commands(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("::")]


@pytest.mark.usefixtures("on_github")
@pytest.mark.parametrize(("severity", "kind", "word"), [("hard", "error", "failed"), ("soft", "warning", "WARN")])
def test_a_miss_is_annotated_at_the_line_of_its_gate(
    pytester: pytest.Pytester, severity: str, kind: str, word: str
) -> None:
    model = own_gate(pytester, severity=severity)
    said = "1700000000: measured 2 x, limit ≤ 1 → give less"
    assert commands(run(pytester, f"--model-dir={model}", "test_mine.py")) == [
        f"::{kind} file=test_mine.py,line=3,title=mine.answer {word}::{said}"
    ]


@pytest.mark.usefixtures("on_github")
def test_no_text_ends_a_command_or_begins_another(pytester: pytest.Pytester) -> None:
    write_policy(pytester)
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.gate("mine.answer")
        def test_answer(gate):
            gate.inconclusive("100%, a:b\\n::error::injected\\r")
        """
    )
    (command,) = commands(run(pytester, f"--model-dir={bare_model(pytester)}", "test_mine.py"))
    head, said = command.removeprefix("::").split("::", 1)
    assert head == "warning file=test_mine.py,line=3,title=mine.answer inconclusive"
    assert said == r"1700000000: 100%25, a:b\n::error::injected\r"


@pytest.mark.usefixtures("on_github")
def test_a_gate_from_elsewhere_has_no_place_in_the_repository(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "other"))
    (command,) = commands(run(pytester, f"--model-dir={own_gate(pytester)}", "test_mine.py"))
    assert command.startswith("::warning title=mine.answer WARN::")


def test_nothing_is_annotated_elsewhere_and_nothing_of_a_gate_that_passed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    model = own_gate(pytester)
    assert commands(run(pytester, f"--model-dir={model}", "test_mine.py")) == []
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (pytester.path / "test_mine.py").write_text(
        (pytester.path / "test_mine.py").read_text().replace("check(2)", "check(0)")
    )
    assert commands(run(pytester, f"--model-dir={model}", "test_mine.py")) == []
