"""What the gates say of a position that is no forecast, and of a profit that comes of a few days."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.evidence.report import Evidence
from pytest_modelgates.policy.load import load_policy
from tests.support.gate_runs import GATES, outcomes, record_of, run
from tests.support.panels import FEATURES, pack_ridge

# Packing imports what can be imported only once, and pytester forgets what is imported after it.
pytestmark = pytest.mark.usefixtures("packed_once")

DAYS, NAMES = 600, 12
BY_NAMES = '[significance]\nplacebo = "names"\n'
SIGNIFICANCE = f"{GATES}/test_significance.py"
PLACEBO, P_VALUE = f"{SIGNIFICANCE}::test_placebo", f"{GATES}/test_pnl.py::test_p_value"
NOTICE = "significance.placebo: compares with other names alone, not with other days, says the policy"


def rows_of(scores: np.ndarray, returns: np.ndarray) -> pd.DataFrame:
    """Lay out a panel whose feature `momentum`, by which a ridge scores, holds these scores."""
    days, names = scores.shape
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=days), [f"A{i:02d}" for i in range(names)]]
    )
    frame = index.to_frame(index=False, name=["time", "asset"])
    frame["momentum"] = scores.ravel().astype(np.float32)
    frame["value"] = np.random.default_rng(3).uniform(-0.5, 0.5, len(frame)).astype(np.float32)
    assert list(frame)[2:] == list(FEATURES)
    return frame.assign(ret_next=returns.ravel(), target=returns.ravel())


def tilted(names: int = NAMES) -> pd.DataFrame:
    """Each name has a mean return of its own. The score never changes, and ranks the names by luck."""
    random = np.random.default_rng(1)
    means = np.linspace(-0.5, 0.5, names)
    returns = 0.002 * means + 0.01 * random.standard_normal((DAYS, names))
    return rows_of(np.tile(means, (DAYS, 1)), returns)


def crashing() -> pd.DataFrame:
    """A factor of mean 0 that crashes, and scores that are its loadings, which move."""
    random = np.random.default_rng(2)
    loadings = random.uniform(-0.5, 0.5, (DAYS, NAMES))
    factor = np.where(np.arange(DAYS) % 20 == 10, -0.05, 0.05 / 19)[:, np.newaxis]
    returns = 0.01 * random.standard_normal((DAYS, NAMES))
    returns[1:] += factor[1:] * loadings[:-1]
    return rows_of(loadings, returns)


def measured(
    pytester: pytest.Pytester, model: Path, path: str, policy: str = ""
) -> tuple[pytest.RunResult, list[Evidence]]:
    file = pytester.path / "policy.toml"
    file.write_text(policy)
    result = run(pytester, f"--model-dir={model}", f"--policy={file}", "-c", pytester.makeini("[pytest]"), path)
    gate = {PLACEBO: "significance.placebo", P_VALUE: "pnl.p_value"}[path]
    return result, list(record_of(model, gate).evidence)


def test_a_position_that_never_changes_passes_every_other_hard_gate_of_the_signal_but_not_its_placebo(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    model = pack_ridge(tmp_path / "artifacts", tilted())
    result = run(pytester, f"--model-dir={model}", "-m", "(signal or wf or pnl) and hard")
    assert outcomes(result)["failed"] == 1
    advice = load_policy(None).limit("significance.placebo").advice
    result.stdout.fnmatch_lines(
        [
            "significance.placebo: measured 1 p, limit 0 ≤ · ≤ 0.1, tried 1, p_names 0.0*, p_days 1, static 1, ic 0.*, "
            "sd_names 0.*, names 12, relabellings 9999, rotations 4*",
            advice,
        ]
    )
    assert 'waive this gate, or set [significance] placebo = "names"' in advice
    result.stdout.no_fnmatch_line(NOTICE)


def test_a_policy_may_compare_with_other_names_alone_and_every_run_says_so(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    model = pack_ridge(tmp_path / "artifacts", tilted())
    result, (shown,) = measured(pytester, model, PLACEBO, BY_NAMES)
    assert result.ret == 0
    result.stdout.fnmatch_lines([NOTICE])
    assert shown.value == shown.detail["p_names"] < 0.10
    assert shown.detail["p_days"] == 1


def test_what_is_not_asked_of_a_model_needs_no_notice(pytester: pytest.Pytester, tmp_path: Path) -> None:
    model = pack_ridge(tmp_path / "artifacts", tilted())
    policy = pytester.path / "policy.toml"
    policy.write_text('not_applicable = ["significance"]\n' + BY_NAMES)
    result = run(pytester, f"--model-dir={model}", f"--policy={policy}", P_VALUE)
    assert result.ret == 0
    result.stdout.no_fnmatch_line(NOTICE)


def test_a_placebo_needs_five_names(pytester: pytest.Pytester, tmp_path: Path) -> None:
    model = pack_ridge(tmp_path / "artifacts", tilted(names=4))
    result, (shown,) = measured(pytester, model, PLACEBO)
    assert (shown.state, shown.value, shown.sample) == ("inconclusive", None, 4)
    why = "4 names with a row, expected at least 5: too few names for a placebo; waive it, or declare it not applicable"
    assert shown.note == why
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"significance.placebo: inconclusive: {why}"])


def test_a_placebo_needs_100_days(pytester: pytest.Pytester, tmp_path: Path) -> None:
    panel = tilted()
    model = pack_ridge(tmp_path / "artifacts", panel[: 100 * NAMES])
    _, (shown,) = measured(pytester, model, PLACEBO)
    assert shown.note == "99 held days, at least 100 are needed: 1 more"


def test_a_good_model_beats_its_placebos(pytester: pytest.Pytester, good_model: Path) -> None:
    result, (shown,) = measured(pytester, good_model, PLACEBO)
    assert result.ret == 0
    assert shown.value == max(shown.detail["p_names"], shown.detail["p_days"])


def test_an_ic_that_earns_no_money_is_refused_by_the_money(pytester: pytest.Pytester, tmp_path: Path) -> None:
    model = pack_ridge(tmp_path / "artifacts", crashing())
    others = run(pytester, f"--model-dir={model}", f"{SIGNIFICANCE}::test_p_against", PLACEBO)
    assert others.ret == 0, "the IC weighs days equally, so a crash costs it little"
    (tmp_path / "artifacts" / "reports").rename(tmp_path / "reports")
    result, (shown,) = measured(pytester, model, P_VALUE)
    assert result.ret == 1
    assert shown.value > 0.25
    result.stdout.fnmatch_lines(
        [
            "pnl.p_value: measured 0.* p, limit 0 ≤ · ≤ 0.25, net_return *, cosines *",
            load_policy(None).limit("pnl.p_value").advice,
        ]
    )


def test_the_money_is_judged_where_no_year_can_be_told(pytester: pytest.Pytester, tmp_path: Path) -> None:
    panel = tilted()
    days = panel["time"].unique()
    kept = np.random.default_rng(4).random(DAYS) < 0.5  # at random, so that the spacing says nothing
    model = pack_ridge(tmp_path / "artifacts", panel[panel["time"].isin(days[kept])].reset_index(drop=True))
    result, (shown,) = measured(pytester, model, P_VALUE)
    assert result.ret == 0
    assert shown.state == "measured"
