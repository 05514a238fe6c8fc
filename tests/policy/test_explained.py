"""`modelgates explain`: what a gate asks, at the limits of the policy in force."""

from pathlib import Path

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.policy.explained import explained
from pytest_modelgates.policy.load import load_policy

POLICY = load_policy(None)


@pytest.fixture(autouse=True)
def _narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_every_slo_is_explained_in_80_columns() -> None:
    for name, slo in POLICY.slo.items():
        (said, *_) = [each for each in explained(POLICY, name) if each.startswith(f"{name} (")]
        lines = said.splitlines()
        assert [line for line in lines if len(line) > 80] == []
        words = " ".join(said.split())
        for text in (slo.asks, slo.formula, f"{slo} {slo.unit}", slo.advice, *slo.twins):
            assert " ".join(text.split()) in words


def test_a_gate_is_explained_with_all_its_limits_by_any_of_its_names() -> None:
    gate = explained(POLICY, "pnl.sharpe")
    assert [said.partition(" ")[0] for said in gate] == POLICY.slos_of("pnl.sharpe")
    assert gate[1].startswith("pnl.drawdown (soft)\n  gate       pnl.sharpe\n")
    assert list(explained(POLICY, "pnl.drawdown")) == [gate[1]]
    (ablation,) = explained(POLICY, "ablation.harmless[momentum]")
    assert ablation.startswith("ablation.harmless (hard)\n  gate       once for each feature group\n")
    assert len(explained(POLICY, "wf")) == 2


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("pnl.sharp", "names like it: pnl.sharpe, leak.sharpe"),
        ("pln", "names like it: pnl"),
        ("\x1b[31m", "modelgates policy show lists all"),
    ],
)
def test_an_unknown_gate_is_refused_with_the_likeliest_names(asked: str, meant: str) -> None:
    with pytest.raises(RefusedError) as refused:
        explained(POLICY, asked)
    assert str(refused.value).startswith("no gate ")
    assert meant in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_the_limit_is_that_of_the_registry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "policy.toml").write_text('format = 1\n[slo."pnl.p_value"]\nat_most = 0.125\n')
    assert main(["explain", "pnl.p_value"]) == 0
    assert capsys.readouterr().out == (
        "pnl.p_value (hard)\n"
        '  asks       p-value of the hypothesis "the mean net return is not positive"\n'
        "  formula    one-sided p of mean net return ≤ 0, by cosines\n"
        "  limit      0 ≤ · ≤ 0.125 p\n"
        "  if missed  chance explains the profit: look at the days that lose most, or\n"
        "             find a stronger signal or a longer panel\n"
        "  twins      against_score\n"
    )
