"""What is kept of a trial, and what it gives once costs are charged."""

import io

import numpy as np
import pytest

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.model.sidecar import REFERENCE, Feature, Output, Sidecar
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.trials.kept import ROW, Kept, kept_of, trial_id
from tests.support.panels import invented_panel


def as_files(*arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    for array in arrays:
        np.save(file, array)
    return file.getvalue()


def panel_of(*, horizon: int = 5, volume: bool = False, days: int = 60) -> Panel:
    frame = invented_panel(days=days)
    frame[REFERENCE] = frame["momentum"].astype(float)
    if volume:
        frame["volume"] = np.random.default_rng(3).uniform(1e6, 1e7, len(frame))
    sidecar = Sidecar(
        features=(Feature(name="momentum", dtype="float32", group="price"),),
        schema_crc32="00000000",
        output=Output(name="y", index=0),
        time="time",
        asset="asset",
        target="target",
        horizon=horizon,
        trained_until="2019-12-31",
        tried=1,
        volume="volume" if volume else None,
    )
    return Panel(frame, sidecar)


ALL_COSTS = Costs(half_spread_bps=3, slippage_bps=1, borrow_bps_per_year=200, impact_bps=50, days_per_year=252)


def test_costs_that_are_charged_later_are_those_of_the_position() -> None:
    panel = panel_of(volume=True)
    net, ic = kept_of(panel).after(ALL_COSTS, capital=1e7)
    assert panel.volume is not None
    held = simulate(
        panel.by_day(panel.native_scores), panel.returns, horizon=5, cost_bps=ALL_COSTS, volume=panel.volume / 1e7
    )
    np.testing.assert_allclose(net, held.net, rtol=1e-12)
    np.testing.assert_allclose(ic, held.ic_net, rtol=1e-12)
    assert kept_of(panel).rows["day"].tolist() == panel.days[held.first :].date.tolist()


def test_without_volumes_impact_is_not_known_and_the_other_costs_are() -> None:
    kept = kept_of(panel_of())
    assert np.isnan(kept.after(ALL_COSTS, capital=1e6)[0]).all()
    assert np.isfinite(kept.after(Costs(half_spread_bps=2, borrow_bps_per_year=100), capital=1e6)[1]).all()


def test_volumes_that_are_missing_where_something_trades_leave_impact_unknown() -> None:
    panel = panel_of(volume=True)
    panel.frame.loc[panel.frame.index[-1], "volume"] = 0.0
    assert np.isnan(kept_of(panel).rows["impact"]).all()


def test_a_file_holds_what_was_kept_and_numpy_reads_it() -> None:
    kept = kept_of(panel_of())
    content = kept.encoded()
    again = Kept.decoded(content, "x.npy")
    assert again.rows.tobytes() == kept.rows.tobytes()
    np.testing.assert_array_equal(again.market, kept.market)
    assert np.load(io.BytesIO(content))["gross"].tolist() == kept.rows["gross"].tolist()
    assert content == kept.encoded()


def test_a_trial_that_cannot_be_followed_is_kept_without_days() -> None:
    panel = panel_of(days=3)
    assert (kept_of(panel).rows.size, kept_of(panel).market.size) == (0, 0)
    twice = panel_of()
    twice.frame.loc[1, ["time", "asset"]] = twice.frame.loc[0, ["time", "asset"]]
    assert (kept_of(twice).rows.size, kept_of(twice).market.size > 0) == (0, True)
    texts = panel_of()
    texts.frame["ret_next"] = "much"
    assert (kept_of(texts).rows.size, kept_of(texts).market.size) == (0, 0)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x93NUMPY", id="cut"),
        pytest.param(Kept(np.zeros(2, ROW), np.zeros(1, np.uint64)).encoded() + b"x", id="more"),
        pytest.param(Kept(np.zeros(2), np.zeros(1, np.uint64)).encoded(), id="plain-numbers"),
        # By asset and month, as no release wrote them.
        pytest.param(as_files(np.zeros(2, ROW), np.zeros(1, np.uint64)), id="other-hashes"),
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError, match=r"^x\.npy: not what is kept of a trial \("):
        Kept.decoded(content, "x.npy")


def test_a_trial_is_named_by_model_panel_and_horizon() -> None:
    names = {trial_id(model=m, panel=p, horizon=h) for m in "ab" for p in "ab" for h in (1, 5)}
    assert len(names) == 8
    assert all(len(name) == 64 for name in names)
