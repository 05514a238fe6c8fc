"""What the gates of a signal say of costs, of the position, of other trials and of the future."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.evidence.report import Evidence
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.overfitting import overfitting
from tests.support.gate_runs import GATES, outcomes, record_of, run
from tests.support.panels import DAYS, invented_panel, pack_ridge

# Packing imports what can be imported only once, and pytester forgets what is imported after it.
pytestmark = pytest.mark.usefixtures("packed_once")


def with_volume(panel: pd.DataFrame, dollars: float) -> pd.DataFrame:
    return panel.assign(dollars=dollars)


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model whose panel says what the market traded."""
    return pack_ridge(
        tmp_path_factory.mktemp("traded") / "artifacts", with_volume(invented_panel(), 1e8), volume="dollars"
    )


def measured(pytester: pytest.Pytester, model: Path, gate: str, policy: str = "") -> dict[str, Evidence]:
    """Run one gate under a policy; its evidence by SLO."""
    family, _, name = gate.partition(".")
    file = pytester.path / "policy.toml"
    file.write_text(policy)
    place = ["-c", pytester.makeini("[pytest]"), f"{GATES}/test_{family}.py::test_{name}"]
    shutil.rmtree(model.parents[1] / "reports", ignore_errors=True)
    run(pytester, f"--model-dir={model}", f"--policy={file}", *place)
    return {evidence.slo: evidence for evidence in record_of(model, gate).evidence}


def earned(pytester: pytest.Pytester, model: Path, costs: str = "") -> float:
    """Net return a year under these costs."""
    value = measured(pytester, model, "pnl.after_costs", f"[costs]\n{costs}\n")["pnl.after_costs"].value
    assert value is not None
    return value


def test_every_part_of_the_costs_is_charged(pytester: pytest.Pytester, traded: Path) -> None:
    free = earned(pytester, traded, "half_spread_bps = 0")
    spread, commission, slippage = (
        earned(pytester, traded, f"half_spread_bps = {bps[0]}\ncommission_bps = {bps[1]}\nslippage_bps = {bps[2]}")
        for bps in ((2, 0, 0), (0, 2, 0), (0, 0, 2))
    )
    assert spread == commission == slippage < free
    # Half of a position of gross 1 is sold short all year.
    borrowed = earned(pytester, traded, "half_spread_bps = 0\nborrow_bps_per_year = 100")
    assert free - borrowed == pytest.approx(0.5 * 100e-4, rel=1e-6)
    small, large = (
        earned(pytester, traded, f"half_spread_bps = 0\nimpact_bps = 10\ncapital = {capital}") for capital in (1e6, 4e6)
    )
    (shown, *_) = measured(pytester, traded, "pnl.after_costs", "[costs]\nimpact_bps = 10\n").values()
    charged = {name: shown.detail[name] for name in ("per_turnover_bps", "borrow_bps_per_year", "impact_bps")}
    assert charged == {"per_turnover_bps": 2, "borrow_bps_per_year": 0, "impact_bps": 10}
    # The impact grows with the root of what is traded.
    assert free - large == pytest.approx(2 * (free - small), rel=1e-6)
    assert small < free


def break_even(pytester: pytest.Pytester, model: Path, costs: str = "") -> Evidence:
    return measured(pytester, model, "pnl.sharpe", f"[costs]\n{costs}\n")["pnl.break_even"]


def test_the_break_even_pays_borrow_and_impact_and_must_exceed_what_a_trade_costs(
    pytester: pytest.Pytester, traded: Path
) -> None:
    plain = break_even(pytester, traded)
    assert plain.value is not None
    assert (plain.above, plain.at_most) == (2, 1000)
    turnover = measured(pytester, traded, "pnl.turnover")["pnl.turnover"].value
    assert turnover is not None
    borrowed = break_even(pytester, traded, "borrow_bps_per_year = 252")
    # Half of the capital is sold short, at a basis point a day.
    assert plain.value - borrowed.value == pytest.approx(0.5 / turnover, rel=1e-6)
    assert break_even(pytester, traded, "impact_bps = 10").value < plain.value - 1e-3
    # Dearer trading leaves it where it is, and asks for more of it.
    dearer = f"half_spread_bps = {plain.value - 1}\nslippage_bps = 1.5"
    found = break_even(pytester, traded, dearer)
    assert found.value == pytest.approx(plain.value, rel=1e-9)
    assert found.above == pytest.approx(plain.value + 0.5)
    result = run(pytester, f"--model-dir={traded}", f"--policy={pytester.path / 'policy.toml'}", "-m", "pnl")
    assert any(line.startswith("pnl.break_even") and line.endswith("WARN") for line in result.outlines)


def test_an_impact_without_volumes_is_an_error_and_never_nothing(pytester: pytest.Pytester, good_model: Path) -> None:
    policy = pytester.path / "policy.toml"
    policy.write_text("[costs]\nimpact_bps = 10\n")
    result = run(pytester, f"--model-dir={good_model}", f"--policy={policy}", GATES / "test_wf.py")
    assert outcomes(result) == {"errors": 2}
    result.stdout.fnmatch_lines(["*impact is charged by participation: give the volumes, or set impact_bps to 0*"])


def test_without_volumes_participation_is_declared_absent(pytester: pytest.Pytester, good_model: Path) -> None:
    shown = measured(pytester, good_model, "pnl.participation")["pnl.participation"]
    assert (shown.state, shown.value) == ("inconclusive", None)
    assert shown.note == "not available: the panel has no column of volumes; name one when packing"


def test_participation_grows_with_the_capital(pytester: pytest.Pytester, traded: Path) -> None:
    small, large = (
        measured(pytester, traded, "pnl.participation", f"[costs]\ncapital = {capital}\n")["pnl.participation"]
        for capital in (1e6, 3e6)
    )
    assert large.value == pytest.approx(3 * small.value)
    assert (small.detail, large.detail) == ({"capital": 1e6}, {"capital": 3e6})


def test_limits_of_exposure_are_enforced_and_what_they_cost_is_said(pytester: pytest.Pytester, traded: Path) -> None:
    free = measured(pytester, traded, "pnl.within_limits")["pnl.within_limits"]
    assert free.detail == {"days_cut": 0, "cost_a_year": pytest.approx(0, abs=1e-12)}
    assert free.sample == DAYS - 2  # the first position lasts from the second day, and what was traded into it counts
    half = measured(pytester, traded, "pnl.within_limits", '[slo."pnl.exposure"]\nat_most = 0.5\n')["pnl.within_limits"]
    assert half.detail["days_cut"] == DAYS - 1
    assert half.value == pytest.approx(free.value / 2)
    assert half.detail["cost_a_year"] == pytest.approx(free.value / 2)


def test_money_is_not_judged_on_99_days(pytester: pytest.Pytester, tmp_path: Path) -> None:
    model = pack_ridge(tmp_path / "artifacts", invented_panel(days=100))
    for gate in ("pnl.after_costs", "pnl.within_limits"):
        assert measured(pytester, model, gate)[gate].note == "99 held days, at least 100 are needed: 1 more"


def test_a_rank_ic_over_too_few_horizons_is_inconclusive(pytester: pytest.Pytester, good_model: Path) -> None:
    path = good_model / "sidecar.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "horizon": 40}))
    shown = measured(pytester, good_model, "significance.rank_ic")["significance.rank_ic"]
    assert (shown.state, shown.note) == ("inconclusive", f"{DAYS - 40} held days, at least 1000 are needed: 290 more")


def test_a_panel_within_one_year_is_judged_by_quarters(pytester: pytest.Pytester, tmp_path: Path) -> None:
    model = pack_ridge(tmp_path / "artifacts", invented_panel(days=200))
    assert measured(pytester, model, "wf.positive_folds")["wf.positive_folds"].sample == 3
    assert measured(pytester, model, "wf.worst_fold")["wf.worst_fold"].detail["worst_fold"].startswith("2020-Q")


BY_TRIALS = ["significance.p_adjusted", "significance.deflated_sharpe", "significance.pbo", "significance.spa"]


@pytest.mark.parametrize("gate", BY_TRIALS)
def test_an_unknown_number_of_trials_is_not_available_and_no_number(
    pytester: pytest.Pytester, tmp_path: Path, gate: str
) -> None:
    model = pack_ridge(tmp_path / "artifacts", tried=None)
    pack_ridge(tmp_path / "artifacts", weights=(1, 0.5))
    (shown,) = measured(pytester, model, gate).values()
    assert (shown.state, shown.value) == ("inconclusive", None)
    assert shown.note == (
        "the sidecar does not say how many candidates were tried on this data, which nobody else knows; count them, "
        "those that were dropped too, and pack again with tried = N (the registry has seen 2)"
    )


@pytest.mark.parametrize("gate", BY_TRIALS[2:])
def test_without_the_other_trials_nothing_is_said_of_them(
    pytester: pytest.Pytester, good_model: Path, gate: str
) -> None:
    copy = good_model.with_name("1600000000")
    shutil.copytree(good_model, copy)  # a copy does not count as another trial
    (shown,) = measured(pytester, good_model, gate).values()
    assert shown.note == "not available: none of the other trials is at hand, of 1 on this market data"


def test_trials_that_rank_alike_are_at_hand_and_tell_nothing(pytester: pytest.Pytester, tmp_path: Path) -> None:
    good = pack_ridge(tmp_path / "artifacts")
    pack_ridge(tmp_path / "artifacts", weights=(3, 0))
    (shown,) = measured(pytester, good, "significance.pbo").values()
    assert shown.note == "not available: of 1 other trial at hand none earns anything else on any day"


def test_some_of_the_trials_may_fail_a_gate_but_not_pass_it(pytester: pytest.Pytester, tmp_path: Path) -> None:
    good = pack_ridge(tmp_path / "artifacts", tried=3)
    pack_ridge(tmp_path / "artifacts", weights=(0, 1), tried=3)
    (shown,) = measured(pytester, good, "significance.pbo").values()
    assert shown.note == "significance.pbo 0, but by 2 of 3 trials: pack the others here too, on the same days"
    (shown,) = measured(pytester, good, "significance.spa").values()
    assert shown.note is not None
    assert re.match(r"significance\.spa 0\.00\d+, but by 2 of 3 trials: ", shown.note)


def test_a_trial_that_cannot_be_compared_is_said_to_be_so(pytester: pytest.Pytester, tmp_path: Path) -> None:
    panel = invented_panel()
    model = pack_ridge(tmp_path / "artifacts", panel)
    # On most days its score is the same for all names, so there is no position.
    idle = panel.assign(momentum=panel["momentum"].where(panel["time"] > "2022-09-01", 0))
    pack_ridge(tmp_path / "artifacts", idle)
    (shown,) = measured(pytester, model, "significance.pbo").values()
    assert shown.note is not None
    assert shown.note.startswith("a trial returns the same on every day of some half")


def test_what_was_tried_together_is_counted_and_looked_at(pytester: pytest.Pytester, tmp_path: Path) -> None:
    chosen, *others = (pack_ridge(tmp_path / "artifacts", weights=(1, weight), tried=1) for weight in (0, 0.3, 3))
    found = measured(pytester, chosen, "significance.pbo")["significance.pbo"]
    panel = Candidate(chosen).panel
    series = [
        simulate(panel.by_day(Candidate(model).panel.native_scores), panel.returns, horizon=1, cost_bps=2).net
        for model in (chosen, *others)
    ]
    assert found.value == pytest.approx(overfitting(np.stack(series, axis=1)).probability)
    assert (found.detail["at_hand"], found.detail["tried"], found.detail["splits"]) == (3, 3, 12870)
    assert found.detail["dropped_days"] == len(series[0]) % 16 > 0
    deflated = measured(pytester, chosen, "significance.deflated_sharpe")
    assert deflated["significance.deflated_sharpe"].detail["tried"] == 3


def idle_model(artifacts: Path, days: int) -> Path:
    """A model without skill, on a panel of that length."""
    return pack_ridge(artifacts, invented_panel(days=days, ic=0))


def test_a_failure_that_a_longer_panel_could_turn_is_inconclusive_and_says_how_much_longer(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    model = idle_model(tmp_path / "artifacts", 200)
    asked = "[significance]\ndetectable_ic = {}\n"
    (failed,) = measured(pytester, model, "significance.p_against", asked.format(1)).values()
    assert (failed.state, failed.value > 0.10) == ("measured", True)
    (unclear,) = measured(pytester, model, "significance.p_against", asked.format(0.01)).values()
    assert (unclear.state, unclear.value, unclear.sample) == ("inconclusive", None, 199)
    assert unclear.note is not None
    words = re.fullmatch(
        r"significance\.p_against (0\.\d+), but an IC of 0\.01 could stay unseen on 199 days "
        r"\(at best (0\.\d+) is seen\): (\d+) more would settle it",
        unclear.note,
    )
    assert words is not None
    assert float(words[1]) == pytest.approx(failed.value, rel=0.01)
    # The error falls with the root of the days.
    assert (199 + int(words[3])) == pytest.approx(199 * (float(words[2]) / 0.01) ** 2, rel=0.02)


def test_a_pass_stays_a_pass_however_small_an_ic_was_asked_to_be_seen(pytester: pytest.Pytester, traded: Path) -> None:
    (shown,) = measured(pytester, traded, "significance.p_against", "[significance]\ndetectable_ic = 1e-6\n").values()
    assert shown.state == "measured"
    assert shown.value < 0.10


def test_the_days_that_were_asked_for_give_a_verdict(pytester: pytest.Pytester, tmp_path: Path) -> None:
    policy = "[significance]\ndetectable_ic = 0.03\n"
    short, long = (idle_model(tmp_path / f"{days}" / "artifacts", days) for days in (150, 600))
    (shown,) = measured(pytester, short, "significance.p_against", policy).values()
    assert shown.note is not None
    more = int(re.findall(r"(\d+) more would settle it", shown.note)[0])
    assert 150 + more < 600
    (shown,) = measured(pytester, long, "significance.p_against", policy).values()
    assert shown.state == "measured"


def test_99_days_or_nine_names_are_not_judged(pytester: pytest.Pytester, tmp_path: Path) -> None:
    panel = invented_panel()
    few = pack_ridge(tmp_path / "artifacts", panel[panel["asset"] < "A09"].reset_index(drop=True))
    (shown,) = measured(pytester, few, "significance.p_against").values()
    assert shown.note == "9 assets on the median day, at least 10 are needed"
    short = pack_ridge(tmp_path / "artifacts", invented_panel(days=100))
    (shown,) = measured(pytester, short, "significance.p_against").values()
    assert shown.note == "99 held days, at least 100 are needed: 1 more"


YEARS = {"business-days": ("B", 252), "all-days": ("D", 365), "weeks": ("W-FRI", 52), "months": ("ME", 12)}


def dated(frequency: str) -> pd.DataFrame:
    """The same rows at times of another frequency."""
    panel = invented_panel(ic=0.25)
    days = pd.Index(panel["time"].unique())
    return panel.assign(time=pd.date_range("2020-01-31", periods=DAYS, freq=frequency)[days.get_indexer(panel["time"])])


@pytest.mark.parametrize("name", YEARS)
def test_a_year_is_what_the_panels_spacing_says(pytester: pytest.Pytester, tmp_path: Path, name: str) -> None:
    frequency, periods = YEARS[name]
    model = pack_ridge(tmp_path / "artifacts", dated(frequency))
    candidate = Candidate(model)
    net = simulate(candidate.panel.by_day(candidate.scores), candidate.panel.returns, horizon=1, cost_bps=0).net
    free = earned(pytester, model, "half_spread_bps = 0")
    assert free == pytest.approx(periods * net.mean(), rel=1e-4)
    borrowed = earned(pytester, model, "half_spread_bps = 0\nborrow_bps_per_year = 100")
    assert free - borrowed == pytest.approx(0.5 * 100e-4, rel=1e-6)
    found = measured(pytester, model, "pnl.sharpe", "[costs]\nhalf_spread_bps = 0\n")["pnl.sharpe"]
    assert found.value == pytest.approx(np.sqrt(periods) * net.mean() / net.std(ddof=1), rel=1e-4)
    assert found.detail["periods_per_year"] == periods
    assert measured(pytester, model, "wf.positive_folds")["wf.positive_folds"].value == 1


def test_irregular_spacing_has_no_year_but_a_p_value(pytester: pytest.Pytester, tmp_path: Path) -> None:
    model = pack_ridge(tmp_path / "artifacts", dated("2B"))
    told = f"{DAYS} times lie 2 days apart at the median, which makes 183 a year, but there are 130 a year"
    run(pytester, f"--model-dir={model}", "-m", "pnl").stdout.fnmatch_lines([f"*{told}*"])
    p_against = f"{GATES}/test_significance.py::test_p_against"
    assert run(pytester, f"--model-dir={model}", p_against).ret == 0
    policy = pytester.makefile(".toml", borrow="[costs]\nborrow_bps_per_year = 100\n")
    borrowed = run(pytester, f"--model-dir={model}", f"--policy={policy}", p_against)
    borrowed.assert_outcomes(errors=1)
    borrowed.stdout.fnmatch_lines([f"*{told}*"])
