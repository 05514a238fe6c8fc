"""The table at the end of a run."""

import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.support.gate_runs import GATES, PACKAGED, own_gate, run, write_policy
from tests.support.terminal import in_a_terminal

COLUMNS = 80


@pytest.fixture(autouse=True)
def _narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


def table(result: pytest.RunResult) -> list[str]:
    lines = result.outlines[result.outlines.index(f"{' model gates ':=^{COLUMNS}}") + 1 :]
    return lines[: next(number for number, line in enumerate(lines) if line.startswith("report:"))]


def test_the_table_shows_gate_severity_measured_limit_margin_and_verdict(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0.25")
    assert table(run(pytester, f"--model-dir={model}", "test_mine.py")) == [
        "gate         sev. measured limit margin verdict",
        "mine.answer  soft 0.25 x   ≤1    0.75   passed",
    ]


def test_a_gate_that_passed_is_green(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0.25")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--color=yes")
    result.stdout.re_match_lines([r"\x1b\[32mmine\.answer  soft 0\.25 x   ≤1    0\.75   passed\x1b.*"])


def test_long_names_give_way_so_that_the_table_fits_the_terminal(pytester: pytest.Pytester) -> None:
    name = "mine.an_answer_whose_name_is_so_long_that_no_terminal_of_eighty_columns_shows_it"
    model = own_gate(pytester)
    write_policy(pytester, name=name)
    source = (pytester.path / "test_mine.py").read_text()
    pytester.makepyfile(test_mine=source.replace("mine.answer", name))
    heading, row, why = table(run(pytester, f"--model-dir={model}", "test_mine.py"))
    assert len(row) <= COLUMNS
    assert len(heading) <= COLUMNS
    assert row.startswith("mine.an_answer_whose_name")
    # Margins give way before names do.
    assert row.endswith("… soft 2 x      ≤1    WARN")
    assert heading.split() == ["gate", "sev.", "measured", "limit", "verdict"]
    assert why == f"{name} WARN: measured 2 x, limit ≤ 1 → give less"


@pytest.mark.integration
def test_a_terminal_gets_advice_wrapped_between_words(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    advice = "give less than you gave the last time, " * 4 + "and then see"
    policy = pytester.path / "registry" / "policy.toml"
    policy.write_text(policy.read_text().replace("give less", advice))
    command = [sys.executable, "-m", "pytest", f"--model-dir={model}", "test_mine.py"]
    _, said = in_a_terminal(command, cwd=pytester.path)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", said.partition(" model gates ")[2]).splitlines()
    assert [line for line in lines if len(line) > COLUMNS and "report:" not in line] == []
    begin = next(number for number, line in enumerate(lines) if line.startswith("mine.answer WARN: "))
    assert f"mine.answer WARN: measured 2 x, limit ≤ 1 → {advice}" in " ".join(line.strip() for line in lines[begin:])
    assert lines[begin + 1].startswith("    ")


def test_a_gate_of_several_limits_has_a_row_each_and_one_reason(pytester: pytest.Pytester, good_model: Path) -> None:
    policy = pytester.path / "policy.toml"
    policy.write_text('[slo."pnl.net_exposure"]\nat_least = 0.01\n')
    lines = table(run(pytester, f"--model-dir={good_model}", f"--policy={policy}", "-m", "pnl", "-k", "exposure"))
    shown = ["pnl.exposure", "pnl.net_exposure", "pnl.largest_weight"]
    # What the policy does not ask of a signal follows.
    assert [line.split()[0] for line in lines][:5] == ["gate", *shown, "pnl.exposure"]
    assert [line.split()[-1] for line in lines[1:4]] == ["passed", "WARN", "passed"]
    assert lines[4].startswith("pnl.exposure WARN: pnl.net_exposure measured ")
    # Not the advice of the gate's own limit, which it kept.
    assert lines[4].endswith(f" → {PACKAGED.limit('pnl.net_exposure').advice}")


def test_what_was_not_asked_is_said_in_words_and_shows_no_number(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0, not_asked='the horizon is one day'")
    assert table(run(pytester, f"--model-dir={model}", "test_mine.py")) == [
        "gate         sev. measured  limit margin verdict",
        "mine.answer  soft not asked ≤1    -      passed",
        "mine.answer: not asked, the horizon is one day",
    ]
    # What misses its limit all the same shows by how much.
    pytester.makepyfile(test_mine=(pytester.path / "test_mine.py").read_text().replace("check(0,", "check(2,"))
    assert table(run(pytester, f"--model-dir={model}", "test_mine.py"))[1:] == [
        "mine.answer  soft 2 x      ≤1    -1     WARN",
        "mine.answer WARN: measured 2 x, limit ≤ 1 → give less",
    ]


def test_a_soft_gate_that_broke_is_red_and_one_that_could_not_measure_yellow(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester)
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.parametrize("how", ["breaks", "lacks"])
        @pytest.mark.gate("mine.answer")
        def test_answer(gate, how):
            gate.inconclusive("no rows") if how == "lacks" else 1 / 0
        """
    )
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--color=yes")
    assert result.ret == 1
    result.stdout.re_match_lines(
        [
            r"\x1b\[3[13]mmine.answer\[breaks\] soft - +≤1 +- +errored\x1b.*",
            r"\x1b\[33mmine.answer\[lacks\] +soft - +≤1 +- +inconclusive\x1b.*",
        ]
    )


def test_each_model_has_a_table_of_its_own(pytester: pytest.Pytester, good_model: Path) -> None:
    other = good_model.parent / "1700000001"
    other.mkdir()
    result = run(
        pytester,
        f"--model-dir={good_model}",
        f"--model-dir={other}",
        "-c",
        pytester.makeini("[pytest]"),
        GATES / "test_integrity.py::test_required_files",
    )
    lines = table(result)
    assert lines[0] == f"model {good_model.name}"
    assert lines[2].split()[-1] == "passed"
    assert lines[3] == "model 1700000001"
    assert lines[5].split()[-1] == "failed"
    assert lines[6].startswith("integrity.required_files failed: measured 7 files, limit ≤ 0: model.onnx: missing; ")
    assert lines[6].endswith(" → pack the model again; nothing else may lie in its directory")


def test_what_many_gates_say_alike_is_said_once_after_what_it_follows_from(
    pytester: pytest.Pytester, good_model: Path
) -> None:
    twin = pytester.path / "artifacts" / "models" / good_model.name
    shutil.copytree(good_model, twin)
    panel = pd.read_parquet(twin / "evaluation.parquet")
    pd.concat([panel, panel.tail(2)]).to_parquet(twin / "evaluation.parquet", index=False)
    lines = table(run(pytester, f"--model-dir={twin}", "-m", "hard"))
    said = [line.partition(":")[0] for line in lines if (": " in line and "→" in line) or " errored: " in line]
    assert said[0] == "integrity.sha256 failed"
    assert said[1] == "data.unique_keys failed"
    errored = [line for line in lines if " errored: " in line]
    assert len(errored) == 1
    assert errored[0].startswith("data.target_agrees, data.returns_plausible, ")
    assert " more errored: raised FormatError: evaluation.parquet: two rows share a day and an asset; " in errored[0]
