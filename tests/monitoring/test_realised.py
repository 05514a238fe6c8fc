"""What predictions have come to: the gates' own figures, where the same outcomes are known of the same rows."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.monitoring.realised import Mean, Realised, Scores, earned_more, market_of, realised
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.predictions.counting import Window
from pytest_modelgates.predictions.outcomes import add_outcomes
from pytest_modelgates.predictions.records import Prediction, hashed
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.portfolio import paper_pnl
from pytest_modelgates.stats.significance import ewc_bounds, ewc_p_value
from tests.support.handmade import Registry, log_predictions
from tests.support.panels import invented_panel, pack_ridge

RULES = LockRules(lock_timeout_s=5, network_file_system=True)
PANEL = invented_panel(days=60)
KEYS = [f"{row.time:%Y-%m-%d}|{row.asset}" for row in PANEL.itertuples()]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    return Candidate(pack_ridge(tmp_path_factory.mktemp("realised") / "artifacts", PANEL))


@pytest.fixture
def served(packed: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Realised]:
    """Log a model's scores of its panel's rows, add some outcomes, and give what they have come to."""

    def run(
        outcomes: pd.DataFrame = PANEL,
        *,
        kind: str = "return",
        policy: Policy | None = None,
        name: Callable[[str], str] = str,
        keys: list[str] = KEYS,
        sidecar: Sidecar = packed.sidecar,
    ) -> Realised:
        artifacts = Artifacts(tmp_path_factory.mktemp("served") / "artifacts")
        artifacts.models.mkdir(parents=True)
        log_predictions(artifacts, records(packed.digest, packed.scores, [name(key) for key in keys]))
        if len(outcomes):
            add(artifacts, outcomes, kind)
        window = Window(digest=packed.digest)
        return realised(artifacts, policy or load_policy(None), sidecar, packed.model_id, "live", window)

    return run


def records(digest: str, scores: np.ndarray, keys: list[str], *, arm: str = "live") -> list[Prediction]:
    """Records of predictions that were made just now."""
    return [
        Prediction(
            time=datetime.now(UTC),
            row_key=key,
            model_id="1700000000",
            digest=digest,
            schema_crc32="00000000",
            prediction=score,
            latency_ms=1.0,
            arm=arm,
        )
        for key, score in zip(keys, scores.tolist(), strict=True)
    ]


def add(artifacts: Artifacts, outcomes: pd.DataFrame, kind: str = "return") -> None:
    source = artifacts.root.parent / "outcomes.csv"
    frame = outcomes[["time", "asset", "ret_next"]].rename(columns={"ret_next": kind})
    frame.to_csv(source, index=False, date_format="%Y-%m-%d")
    add_outcomes(artifacts, source, ["time", "asset"], RULES)


def days(mask: np.ndarray) -> pd.DataFrame:
    return PANEL[np.isin(PANEL["time"].to_numpy(), np.unique(PANEL["time"].to_numpy())[mask])]


def test_live_figures_are_the_gates_own_where_all_is_known(packed: Candidate, served: Callable[..., Realised]) -> None:
    policy = load_policy(None)
    costs = policy.costs.charged(days_per_year=252)
    panel = packed.panel
    holdings = simulate(panel.by_day(packed.scores), panel.returns, horizon=1, cost_bps=costs)
    found = served()
    assert found.traded is not None
    assert found.traded.ic.value == pytest.approx(holdings.ic.mean(), rel=1e-12)
    assert found.traded.ic_net.value == pytest.approx(holdings.ic_net.mean(), rel=1e-12)
    assert found.traded.ic_net.interval == pytest.approx(ewc_bounds(holdings.ic_net), rel=1e-12)
    assert found.traded.ic_net.p_value == pytest.approx(ewc_p_value(holdings.ic_net)[0], rel=1e-12)
    assert found.traded.earned == pytest.approx(holdings.net.sum(), rel=1e-12)
    assert found.traded.pnl == paper_pnl(holdings)
    assert (found.rows, found.waiting, found.repeated, found.days, found.missing) == (1200, 0, 0, 59, 0)
    assert (found.first_day, found.last_day) == (date(2020, 1, 1), date(2020, 3, 24))


def test_hidden_keys_and_rows_in_another_order_change_nothing(served: Callable[..., Realised]) -> None:
    assert served(PANEL.sample(frac=1, random_state=1), name=hashed) == served()


def test_rows_without_an_outcome_wait_and_a_day_without_rows_is_said(served: Callable[..., Realised]) -> None:
    mask = np.ones(60, dtype=bool)
    mask[[20, 59]] = False
    found = served(days(mask))
    assert (found.rows, found.waiting, found.days, found.missing) == (1160, 40, 57, 1)
    assert found.last_day == date(2020, 3, 23)


def test_any_other_model_has_its_own_metric(packed: Candidate, served: Callable[..., Realised]) -> None:
    changes = {"task": "regression", "metric": "neg_mean_squared_error", "horizon": 0}
    found = served(PANEL[::2], kind="label", sidecar=msgspec.structs.replace(packed.sidecar, **changes))
    error = np.mean((packed.scores[::2] - PANEL["ret_next"].to_numpy()[::2]) ** 2)
    assert found.metric == ("neg_mean_squared_error", pytest.approx(-error, rel=1e-12))
    assert (found.traded, found.rows, found.waiting, found.days) == (None, 600, 600, 60)
    changes |= {"time": None, "trained_until": None}
    found = served(PANEL[::2], kind="label", sidecar=msgspec.structs.replace(packed.sidecar, **changes))
    assert (found.rows, found.days, found.first_day, found.last_day, found.missing) == (600, 0, None, None, 0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([1.0] * 20, ""),
        ([0.0, 1.0, 7.0, 1.0] * 5, r": multi_class must be in \('ovo', 'ovr'\)"),
    ],
)
def test_a_metric_that_is_not_defined_is_refused(
    labels: list[float], why: str, packed: Candidate, served: Callable[..., Realised]
) -> None:
    changes = {"task": "classification", "metric": "roc_auc", "horizon": 0}
    sidecar = msgspec.structs.replace(packed.sidecar, **changes)
    message = (
        rf"roc_auc is not defined on the 20 rows whose outcomes are known{why}; look at what was added, or wait .*"
    )
    with pytest.raises(StatisticsError, match=f"^{message}"):
        served(PANEL.head(20).assign(ret_next=labels), kind="label", sidecar=sidecar)


def test_returns_that_never_move_have_no_interval(served: Callable[..., Realised]) -> None:
    found = served(PANEL.assign(ret_next=0.0))
    assert found.traded
    assert (found.traded.ic.value, found.traded.ic.interval, found.traded.ic.p_value) == (0, None, None)


def test_few_days_have_no_interval_and_one_has_no_sharpe(served: Callable[..., Realised]) -> None:
    found = served(days(np.arange(60) < 2))
    assert found.traded is not None
    assert (found.days, found.traded.pnl, found.traded.ic.interval, found.traded.ic.p_value) == (1, None, None, None)


def test_impact_is_left_out_and_that_is_said(served: Callable[..., Realised], tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("format = 1\n[costs]\nimpact_bps = 10.0\nborrow_bps_per_year = 100.0\n")
    charged, plain = served(policy=load_policy(tmp_path / "policy.toml")).traded, served().traded
    assert charged
    assert plain
    assert (charged.without_impact, plain.without_impact) == (True, False)
    assert charged.earned == pytest.approx(plain.earned - 59 * 0.5 * 0.01 / 252, rel=1e-9)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"outcomes": PANEL[:0]},
            InsufficientDataError,
            "no outcome is known of the 1200 rows that {id} has predicted as live; add what came of them: "
            "modelgates outcomes add FILE",
        ),
        (
            {"kind": "label"},
            StatisticsError,
            "the outcomes that were added hold label, expected return, which is what comes of the rows of a signal "
            "model",
        ),
        (
            {"outcomes": PANEL[:20]},
            InsufficientDataError,
            "1 dates, at least 2 are needed to tell how far apart they lie",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(
    given: dict[str, object],
    error: type[Exception],
    message: str,
    served: Callable[..., Realised],
    packed: Candidate,
) -> None:
    with pytest.raises(error) as raised:
        served(**given)
    assert str(raised.value) == message.format(id=packed.model_id)


def test_two_rows_of_a_date_and_an_asset_are_refused(served: Callable[..., Realised]) -> None:
    later = PANEL.copy()
    later["time"] = later["time"].astype(str)
    later.loc[0, "time"] = "2020-01-02T15:00:00"
    message = "two rows are of 2020-01-02 and A00: positions are held from day to day; serve one row an asset and date"
    with pytest.raises(StatisticsError, match=f"^{message}$"):
        served(later, keys=["2020-01-02T15:00:00|A00", *KEYS[1:]])


def test_what_a_candidate_would_have_earned_is_told_on_rows_that_both_scored(registry: Registry) -> None:
    artifacts, policy = registry.artifacts, registry.policy
    candidate = Candidate(artifacts.model(registry.live))
    panel, rng = candidate.panel, np.random.default_rng(1)
    keys = [f"{time}|{asset}" for time, asset in zip(panel.times.astype("M8[D]"), panel.column("asset"), strict=True)]
    ours, theirs = rng.standard_normal((2, len(keys)))
    assert market_of(artifacts, candidate.sidecar) is None
    log_predictions(artifacts, records(candidate.digest, theirs, keys))
    add(artifacts, panel.frame)
    market = market_of(artifacts, candidate.sidecar)
    assert market

    def scored(scores: np.ndarray, keys: list[str]) -> Scores:
        found, log = Scores(market), [records(candidate.digest, scores, keys)]
        assert list(found.seen(log)) == log
        return found

    everything, last = scored(theirs, keys), scored(ours[2000:], keys[2000:])
    assert earned_more(market, policy, (Scores(market), 1), (everything, 1)) is None
    costs = policy.costs.charged(days_per_year=252)
    returns = panel.returns[100:]
    net = [simulate(panel.by_day(each)[100:], returns, horizon=1, cost_bps=costs).net for each in (ours, theirs)]
    assert earned_more(market, policy, (last, 1), (everything, 1)) == Mean.of(net[0] - net[1])
    # Each is followed at its own horizon.
    slow = simulate(panel.by_day(ours)[100:], returns, horizon=5, cost_bps=costs).net
    assert earned_more(market, policy, (last, 5), (everything, 1)) == Mean.of(slow - net[1][-slow.size :])
