"""What the gates of a signal say of costs, of the position, of other trials and of the future."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from gate_runs import GATES, outcomes, record_of, run

from conftest import invented_panel, pack_ridge
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
