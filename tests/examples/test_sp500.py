"""The example sees no future: features, label, purge and split, some worked out by hand."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from sklearn.linear_model import Ridge

from examples.sp500 import e2e, features, models
from examples.sp500.features import FEATURES, GROUPS, Split, build, centred_ranks, load_prices, split, training_label
from pytest_modelgates.model.window import rows_digest
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.significance import mean_exceeds

EXAMPLE = Path(features.__file__).parent


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    return load_prices()


@pytest.fixture(scope="module")
def frame(prices: pd.DataFrame) -> pd.DataFrame:
    return build(prices, horizon=5)


@pytest.fixture(scope="module")
def cut(frame: pd.DataFrame) -> Split:
    return split(frame, horizon=5)


@pytest.fixture(scope="module")
def walk() -> pd.DataFrame:
    """Three assets on 300 days, at random (seed 11)."""
    steps = np.random.default_rng(11).normal(0, 0.02, size=(300, 3))
    days = pd.date_range("2001-01-01", periods=300, freq="B", name="Date")
    return pd.DataFrame(100 * np.exp(steps.cumsum(axis=0)), index=days, columns=["C", "A", "B"])


def test_the_data_are_the_file_that_the_readme_describes(prices: pd.DataFrame) -> None:
    assert prices.shape == (8_313, 20)
    assert not prices.isna().any(axis=None)
    assert features.DATA_SHA256 in (EXAMPLE / "README.md").read_text(encoding="utf-8")


def test_changed_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "sp500_dataset.csv.gz"
    changed.write_bytes(b"other")
    monkeypatch.setattr(features, "DATA", changed)
    with pytest.raises(ValueError, match="SHA-256") as refusal:
        load_prices()
    found = hashlib.sha256(b"other").hexdigest()
    assert str(refusal.value) == (
        f"sp500_dataset.csv.gz has SHA-256 {found}, expected {features.DATA_SHA256}: restore the file"
    )


def test_rows_are_one_per_day_and_asset_in_order(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == ["time", "asset", *FEATURES, "target", "ret_next"]
    assert len(frame) == (8_313 - 252) * 20
    keys = pd.MultiIndex.from_frame(frame[["time", "asset"]])
    assert keys.is_unique
    assert keys.is_monotonic_increasing
    assert (frame[FEATURES].dtypes == np.float32).all()
    assert frame["time"].dtype.kind == "M"


def test_features_are_ranks_within_the_day(frame: pd.DataFrame) -> None:
    assert not frame[FEATURES].isna().any(axis=None)
    assert np.abs(models.inputs(frame)).max() < 0.5
    assert frame.groupby("time")[FEATURES].mean().abs().to_numpy().max() < 1e-6
    assert [name for names in GROUPS.values() for name in names] == FEATURES


def test_features_use_no_price_after_their_day(walk: pd.DataFrame) -> None:
    day = walk.index[270]
    changed = walk.copy()
    changed.loc[changed.index > day] *= np.random.default_rng(5).uniform(0.5, 2, size=(29, 3))
    before, after = (build(table, horizon=5) for table in (walk, changed))
    known = before["time"] <= day
    pd.testing.assert_frame_equal(before.loc[known, FEATURES], after.loc[known, FEATURES], check_exact=True)
    assert not before.loc[~known, FEATURES].equals(after.loc[~known, FEATURES])


def test_returns_of_a_row_are_those_worked_out_by_hand(walk: pd.DataFrame) -> None:
    frame = build(walk, horizon=5)
    row = frame[(frame["time"] == walk.index[260]) & (frame["asset"] == "A")].iloc[0]
    price = walk["A"].to_numpy()
    assert row["target"] == pytest.approx(price[266] / price[261] - 1)
    assert row["ret_next"] == pytest.approx(price[261] / price[260] - 1)


@pytest.mark.parametrize("day", range(252, 300))
def test_features_of_a_day_are_those_worked_out_by_hand(walk: pd.DataFrame, day: int) -> None:
    past = walk[["A", "B", "C"]].to_numpy()[: day + 1]
    daily = past[1:] / past[:-1] - 1
    raw = {
        "mom_252_21": past[-22] / past[-253],
        "mom_126_21": past[-22] / past[-127],
        "rev_1": -past[-1] / past[-2],
        "rev_5": -past[-1] / past[-6],
        "rev_21": -past[-1] / past[-22],
        "vol_60": daily[-60:].std(axis=0),
        "vol_252": daily[-252:].std(axis=0),
        "max_21": daily[-21:].max(axis=0),
    }
    frame = build(walk, horizon=5)
    rows = frame[frame["time"] == walk.index[day]]
    for name in FEATURES:
        by_hand = np.array([-1 / 3, 0, 1 / 3])[raw[name].argsort().argsort()]
        assert rows[name].to_numpy() == pytest.approx(by_hand, abs=1e-7), name


def test_the_label_ranks_the_target_within_the_day() -> None:
    days = pd.to_datetime(["2001-01-01"] * 4 + ["2001-01-02"] * 2)
    rows = pd.DataFrame({"time": days, "target": [0.01, -0.02, 0.03, 0.01, 0.5, 0.4]})
    assert training_label(rows).tolist() == pytest.approx([0, -0.375, 0.375, 0, 0.25, -0.25])


def test_ranks_share_ties_and_pass_an_incomplete_day_over() -> None:
    ranks = centred_ranks(np.array([[1.0, 1.0, 5.0, -2.0], [1.0, np.nan, 2.0, 3.0]]))
    assert ranks[0].tolist() == [0, 0, 0.375, -0.375]
    assert np.isnan(ranks[1]).all()


@pytest.mark.parametrize("horizon", [1, 5])
def test_no_training_label_reaches_into_the_panel(prices: pd.DataFrame, horizon: int) -> None:
    cut = split(build(prices, horizon=horizon), horizon=horizon)
    days = list(prices.index)
    last_fitted = days.index(cut.train["time"].max())
    assert days[last_fitted + 1 + horizon] == cut.trained_until
    assert cut.trained_until < cut.panel["time"].min()
    assert last_fitted == days.index(pd.Timestamp("1995-12-29")) - (horizon + 2)


def test_prices_after_trained_until_change_no_training_row(prices: pd.DataFrame, cut: Split) -> None:
    changed = prices.copy()
    changed.loc[changed.index > cut.trained_until] *= np.linspace(0.5, 2, 20)
    other = split(build(changed, horizon=5), horizon=5)
    pd.testing.assert_frame_equal(other.train, cut.train, check_exact=True)


def test_the_three_parts_have_the_promised_days(cut: Split) -> None:
    ends = [f"{part['time'].min():%F} {part['time'].max():%F}" for part in (cut.train, cut.panel, cut.live)]
    assert ends == ["1990-12-31 1995-12-19", "1996-01-02 2021-12-31", "2022-01-03 2022-12-28"]
    assert [len(part) for part in (cut.train, cut.panel, cut.live)] == [25_160, 130_940, 4_980]
    assert not cut.panel.isna().any(axis=None)
    assert list(cut.live.columns) == ["time", "asset", *FEATURES]


def test_the_models_are_the_four_of_the_readme(prices: pd.DataFrame) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert list(models.MODELS) == ["lightgbm_5d", "ridge_5d", "ridge_1d", "lightgbm_overfit"]
    assert all(f"`{name}`" in readme for name in models.MODELS)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", list(models.MODELS))
def test_what_a_model_earns_is_what_the_readme_says(prices: pd.DataFrame, name: str) -> None:
    trained = models.MODELS[name](prices)
    panel = trained.data.panel
    scores = np.asarray(trained.estimator.predict(models.inputs(panel)), dtype=np.float64).reshape(-1, 20)
    returns = panel["ret_next"].to_numpy().reshape(-1, 20)
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    for since in ("1996", "2005"):
        kept = panel["time"].unique() >= np.datetime64(since)
        row = f"| `{name}` |"
        for bps in (2, 0, 5):
            held = simulate(scores[kept], returns[kept], horizon=trained.horizon, cost_bps=bps)
            test = mean_exceeds(held.ic_net, horizon=trained.horizon, seed=1)
            row += f" {test.mean:.4f} ({test.p_against:.4f}) |"
        assert row.replace("-", "−") in readme.partition(f"| {since} to 2021")[2], since


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_policy_admits_the_panel_of_the_example_alone(prices: pd.DataFrame, horizon: int) -> None:
    panel = split(build(prices, horizon=horizon), horizon=horizon).panel
    wanted = load_policy(e2e.POLICY).data.panel
    assert rows_digest(panel["time"].to_numpy(), panel["asset"].tolist(), panel["ret_next"].to_numpy()) == wanted


def test_the_readme_counts_the_trials_that_are_declared() -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert f"{e2e.TRIED} looks were taken at these prices" in readme


def test_small_trees_are_fitted_as_described_and_alike_each_time(prices: pd.DataFrame) -> None:
    first, second = models.lightgbm_5d(prices), models.lightgbm_5d(prices)
    assert isinstance(first.estimator, LGBMRegressor)
    wanted = {"n_estimators": 100, "num_leaves": 8, "learning_rate": 0.03, "min_child_samples": 500}
    wanted |= {"random_state": 0, "n_jobs": 1, "deterministic": True}
    assert wanted.items() <= first.estimator.get_params().items()
    rows = models.inputs(first.data.live)
    assert rows.dtype == np.float32
    assert first.horizon == 5
    scores = [np.asarray(trained.estimator.predict(rows), dtype=np.float64) for trained in (first, second)]
    assert np.array_equal(scores[0], scores[1])


@pytest.mark.parametrize(("name", "horizon"), [("ridge_5d", 5), ("ridge_1d", 1)])
def test_lines_keep_the_default_penalty(prices: pd.DataFrame, name: str, horizon: int) -> None:
    trained = models.MODELS[name](prices)
    assert isinstance(trained.estimator, Ridge)
    assert (trained.name, trained.horizon, trained.estimator.alpha) == (name, horizon, 1.0)
    assert trained.estimator.coef_.shape == (len(FEATURES),)
