"""Days chosen to suit a model: each choice passes the gates of the signal, and is refused by the gate of the window."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.evidence.verdict import Verdict, judge
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.significance import mean_exceeds
from tests.support.gate_runs import ledger_of, record_of, run
from tests.support.panels import FEATURES, pack_ridge

# Packing imports what can be imported only once, and pytester forgets what is imported after it.
pytestmark = pytest.mark.usefixtures("packed_once")

WHOLE = 1000
FREE = "[costs]\nhalf_spread_bps = 0\n"


def p_from(panel: pd.DataFrame) -> float:
    """The p-value of `momentum` as a score, without costs."""
    scores, returns = (panel.pivot(index="time", columns="asset", values=name) for name in ("momentum", "ret_next"))
    held = simulate(scores.to_numpy(), returns.to_numpy(), horizon=1, cost_bps=0)
    return mean_exceeds(held.ic_net, n_resamples=499, seed=1).p_against


def noise(seed: int) -> pd.DataFrame:
    """A thousand days without any signal."""
    rng, days = np.random.default_rng(seed), pd.bdate_range("2020-01-01", periods=WHOLE)
    names = [f"A{number:02d}" for number in range(20)]
    frame = pd.MultiIndex.from_product([days, names]).to_frame(index=False, name=["time", "asset"])
    frame[list(FEATURES)] = rng.uniform(-0.5, 0.5, (len(frame), len(FEATURES))).astype(np.float32)
    frame["ret_next"] = 0.01 * rng.standard_normal(len(frame))
    following = frame.groupby("asset")["ret_next"].shift(-1)
    return frame.assign(target=following).dropna().reset_index(drop=True)


@pytest.fixture(scope="module")
def best_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of some models of noise that fails on all days, and passes from the day on that suits it best."""
    for seed in range(20):
        whole = noise(seed)
        days = whole["time"].unique()
        cut = min((whole[whole["time"] >= days[start]] for start in range(0, WHOLE - 250, 25)), key=p_from)
        if p_from(whole) > 0.20 and p_from(cut) < 0.05:
            return pack_ridge(tmp_path_factory.mktemp("late") / "artifacts", cut.reset_index(drop=True))
    pytest.fail("20 models of noise, expected one that suits some days")


def verdicts(pytester: pytest.Pytester, model: Path, rules: str) -> dict[str, Verdict]:
    """Run the gates of the data, and those of significance that block, under a policy without costs."""
    policy = pytester.path / "policy.toml"
    policy.write_text(rules + FREE)
    shutil.rmtree(model.parents[1] / "reports", ignore_errors=True)
    run(pytester, f"--model-dir={model}", f"--policy={policy}", "-m", "hard and (data or significance or wf)")
    records = ledger_of(model).models[model.name].gates
    return {record.gate: judge(record, load_policy(policy))[0] for record in records}


def test_noise_on_its_best_days_passes_all_but_the_window(pytester: pytest.Pytester, best_start: Path) -> None:
    unasked = verdicts(pytester, best_start, 'not_applicable = ["data.window"]\n')
    assert unasked["significance.p_against"] is Verdict.PASSED
    found = verdicts(pytester, best_start, "")
    assert found["data.window"] is Verdict.FAILED
    assert {name: verdict for name, verdict in found.items() if name != "data.window"} == unasked
    note = record_of(best_start, "data.window").evidence[0].note
    first = Candidate(best_start).panel.days[0]
    assert note == (
        f"starts on {first:%Y-%m-%d}, expected by 2020-01-16: training ended on 2019-12-31, then come 2 periods of "
        "purge and 10 that window_start_days admits"
    )


def asked(pytester: pytest.Pytester, model: Path, rules: str) -> dict[str, Any]:
    """What the gate of the window found under some rules, and what the run said of it."""
    policy = pytester.path / "policy.toml"
    policy.write_text(f"[data]\n{rules}")
    shutil.rmtree(model.parents[1] / "reports", ignore_errors=True)
    result = run(pytester, f"--model-dir={model}", f"--policy={policy}", "-k", "test_window")
    record = record_of(model, "data.window")
    verdict = judge(record, load_policy(policy))[0]
    said = [line for line in result.outlines if line.startswith("data.window: where")]
    return {"verdict": verdict, "note": record.evidence[0].note, "said": said}


START_UNASKED = "data.window: where the panel starts is not asked: set [data] window_start_days"
END_UNASKED = "data.window: where the panel ends is not asked: set [data] window_end_days"


def test_a_panel_that_ends_long_before_packing_is_refused_where_that_is_asked(
    pytester: pytest.Pytester, good_model: Path
) -> None:
    # The invented panel is of 2020 and 2021, and it is packed today.
    assert asked(pytester, good_model, "") == {"verdict": Verdict.PASSED, "note": None, "said": [END_UNASKED]}
    last = Candidate(good_model).panel.days[-1].date()
    today = datetime.now(UTC).date()
    found = asked(pytester, good_model, "window_end_days = 30")
    assert (found["verdict"], found["said"]) == (Verdict.FAILED, [])
    assert found["note"].startswith(f"ends on {last}, with outcomes until ")
    assert found["note"].endswith(f": 30 days, window_end_days, before {today}")
    # A desk whose panels are of another day than the model says so.
    assert asked(pytester, good_model, f"window_end_days = 30\nas_of = {last}")["verdict"] is Verdict.PASSED
    late = asked(pytester, good_model, f"window_end_days = 30\nas_of = {date(last.year - 1, 1, 1)}")
    assert (late["verdict"], late["note"]) == (
        Verdict.FAILED,
        f"ends on {last}, after {date(last.year - 1, 1, 1)}, the policy's as_of or the day of packing",
    )


def test_only_the_panel_of_the_desk_is_admitted(pytester: pytest.Pytester, good_model: Path, tmp_path: Path) -> None:
    kept = Candidate(good_model).panel.rows_digest
    assert asked(pytester, good_model, f'window_start_days = 0\npanel = "{kept}"') == {
        "verdict": Verdict.PASSED,
        "note": None,
        "said": [],
    }
    panel = Candidate(good_model).panel.frame.drop(columns="reference")
    shorter = pack_ridge(tmp_path / "artifacts", panel[panel["time"] < panel["time"].max()])
    found, packed = asked(pytester, shorter, f'panel = "{kept}"'), Candidate(shorter).panel
    assert (found["verdict"], found["said"]) == (Verdict.FAILED, [])
    assert found["note"].startswith(f"is {packed.rows_digest}, {len(packed.frame)} rows of 20 assets from 2020-01-")
    assert found["note"].endswith(f", expected {kept}: other times, assets or returns")


def test_a_policy_that_asks_nothing_must_say_so(pytester: pytest.Pytester, good_model: Path) -> None:
    assert asked(pytester, good_model, "window_start_days = 0") == {
        "verdict": Verdict.INCONCLUSIVE,
        "note": "the policy asks for no window: set window_start_days under [data], or "
        'not_applicable = ["data.window"]',
        "said": [START_UNASKED, END_UNASKED],
    }


def test_the_report_keeps_the_window_of_every_panel(pytester: pytest.Pytester, good_model: Path) -> None:
    asked(pytester, good_model, "")
    panel = Candidate(good_model).panel
    assert record_of(good_model, "data.window").evidence[0].detail == {
        "starts": f"{panel.days[0]:%Y-%m-%d}",
        "ends": f"{panel.days[-1]:%Y-%m-%d}",
        "panel": panel.rows_digest,
    }
