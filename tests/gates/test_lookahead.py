"""Panels whose rows know too much, or whose dates are not what they seem: handled as documented, or refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.evidence.report import Evidence
from pytest_modelgates.evidence.verdict import Verdict, judge
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.significance import ewc_p_value
from tests.support.gate_runs import GATES, record_of, run
from tests.support.panels import ASSETS, DAYS, invented_panel

Change = Callable[[pd.DataFrame], pd.DataFrame]
SKILL = "significance.p_against"


@pytest.fixture
def judged(pytester: pytest.Pytester, good_model: Path) -> Callable[..., tuple[Verdict, Evidence | None]]:
    """Run one gate on the good model after its panel was changed: the verdict, and what was measured first."""

    def run_gate(gate: str, change: Change) -> tuple[Verdict, Evidence | None]:
        path = good_model / "evaluation.parquet"
        change(pd.read_parquet(path)).to_parquet(path, index=False)
        family, _, name = gate.partition(".")
        shutil.rmtree(good_model.parents[1] / "reports", ignore_errors=True)
        place = ["-c", pytester.makeini("[pytest]"), f"{GATES}/test_{family}.py::test_{name}"]
        run(pytester, f"--model-dir={good_model}", *place)
        found = record_of(good_model, gate)
        return judge(found, load_policy(None))[0], next(iter(found.evidence), None)

    return run_gate


def unchanged(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def by_asset(frame: pd.DataFrame, name: str, days: int) -> pd.Series:
    return frame.groupby("asset")[name].shift(days).fillna(0)


def test_the_signal_is_seen_where_it_is(judged: Callable[..., tuple[Verdict, Evidence]]) -> None:
    verdict, evidence = judged(SKILL, unchanged)
    assert verdict is Verdict.PASSED
    assert evidence.value < 0.01


@pytest.mark.parametrize("days", [-1, 1], ids=["a-day-early", "a-day-late"])
def test_returns_shifted_by_a_day_show_no_skill(judged: Callable[..., tuple[Verdict, Evidence]], days: int) -> None:
    verdict, evidence = judged(SKILL, lambda frame: frame.assign(ret_next=by_asset(frame, "ret_next", days)))
    assert verdict is Verdict.FAILED
    assert evidence.value > 0.10


def knows_its_own_return(frame: pd.DataFrame) -> pd.DataFrame:
    noise = 0.01 * np.random.default_rng(7).standard_normal(len(frame))
    return frame.assign(ret_next=noise, momentum=noise.astype(np.float32))


def test_a_score_made_of_its_own_return_earns_nothing(
    judged: Callable[..., tuple[Verdict, Evidence]], good_model: Path
) -> None:
    # The position is made a day after the score; without that day the look-ahead would be a perfect signal.
    assert judged(SKILL, knows_its_own_return)[0] is Verdict.FAILED
    panel = Candidate(good_model).panel
    scores = panel.by_day(np.asarray(panel.frame["momentum"], dtype=np.float64))
    assert ewc_p_value(simulate(scores, panel.returns, horizon=1, cost_bps=2, lag=0).ic_net)[0] < 1e-9


def shuffled_days(frame: pd.DataFrame) -> pd.DataFrame:
    order = np.random.default_rng(3).permutation(DAYS)
    days = frame["momentum"].to_numpy().reshape(DAYS, ASSETS)
    return frame.assign(momentum=days[order].ravel())


def test_scores_of_shuffled_dates_show_no_skill(judged: Callable[..., tuple[Verdict, Evidence]]) -> None:
    assert judged(SKILL, shuffled_days)[0] is Verdict.FAILED


def test_rows_out_of_order_fail_and_do_not_change_what_is_measured(
    judged: Callable[..., tuple[Verdict, Evidence]], good_model: Path
) -> None:
    sorted_ic = judged(SKILL, unchanged)[1].detail["ic_net"]
    verdict, evidence = judged(SKILL, lambda frame: frame.sample(frac=1, random_state=1))
    assert verdict is Verdict.PASSED
    assert evidence.detail["ic_net"] == sorted_ic
    assert judged("data.ordered", unchanged)[0] is Verdict.FAILED


def twice_a_day(frame: pd.DataFrame) -> pd.DataFrame:
    # The same evidence again, a minute later: twice the days, and a smaller p-value for nothing.
    return pd.concat([frame, frame.assign(time=frame["time"] + np.timedelta64(1, "m"))]).sort_values(["time", "asset"])


def test_a_date_that_comes_twice_fails(judged: Callable[..., tuple[Verdict, Evidence]]) -> None:
    verdict, evidence = judged("data.unique_keys", twice_a_day)
    assert verdict is Verdict.FAILED
    assert evidence.value == DAYS * ASSETS


def test_a_row_that_comes_twice_fails_and_is_not_measured(judged: Callable[..., tuple[Verdict, Evidence]]) -> None:
    assert judged(SKILL, lambda frame: pd.concat([frame.head(1), frame]))[0] is Verdict.ERRORED
    verdict, evidence = judged("data.unique_keys", unchanged)
    assert (verdict, evidence.value) == (Verdict.FAILED, 1)


@pytest.mark.parametrize("column", ["momentum", "ret_next", "target"])
def test_a_gap_fails_in_whatever_column(judged: Callable[..., tuple[Verdict, Evidence]], column: str) -> None:
    holed = invented_panel()[column].where(np.arange(DAYS * ASSETS) != 100)
    assert judged("data.finite", lambda frame: frame.assign(**{column: holed}))[0] is Verdict.FAILED


@pytest.mark.parametrize("column", ["momentum", "ret_next"])
def test_nothing_is_measured_over_a_gap(judged: Callable[..., tuple[Verdict, Evidence]], column: str) -> None:
    holed = invented_panel()[column].where(np.arange(DAYS * ASSETS) != 100)
    assert judged(SKILL, lambda frame: frame.assign(**{column: holed}))[0] is Verdict.ERRORED


def test_a_delisted_asset_is_closed_and_the_trade_is_paid(
    judged: Callable[..., tuple[Verdict, Evidence]], good_model: Path
) -> None:
    gone = (pd.bdate_range("2020-01-01", periods=DAYS)[200], "A00")
    verdict, evidence = judged(SKILL, lambda frame: frame[~((frame["asset"] == gone[1]) & (frame["time"] >= gone[0]))])
    assert verdict is Verdict.PASSED
    assert evidence.sample == DAYS - 1
    panel = Candidate(good_model).panel
    held = simulate(panel.by_day(Candidate(good_model).scores), panel.returns, horizon=1, cost_bps=2)
    last = 200 - held.first
    assert held.weights[last - 1, 0] != 0
    assert (held.weights[last:, 0] == 0).all()
    assert held.turnover[last] == pytest.approx(np.abs(held.weights[last] - held.weights[last - 1]).sum())
