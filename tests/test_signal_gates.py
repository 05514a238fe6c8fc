"""What the gates of a signal say of costs, of the position, of other trials and of the future."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from gate_runs import GATES, outcomes, record_of, run

from conftest import DAYS, invented_panel, pack_ridge
from pytest_modelgates.registry.report import Evidence


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
    # The impact grows with the root of what is traded.
    assert free - large == pytest.approx(2 * (free - small), rel=1e-6)
    assert small < free


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
