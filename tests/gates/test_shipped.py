"""Every shipped gate: green on a good model, red on one made bad for it. A gate that was never red shows nothing."""

import json
import shutil
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from pytest_modelgates import pack
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.ab import Ended
from pytest_modelgates.audit.chain import Commit, Intent, append
from pytest_modelgates.evidence.verdict import Verdict, judge
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.predictions.outcomes import add_outcomes
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.serving.drill import Drill, Shown, record_drill
from pytest_modelgates.serving.paper import trade_on_paper
from pytest_modelgates.serving.prices import Quotes
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.storage.digests import tree_digest
from pytest_modelgates.storage.strict_json import readable
from tests.support.ab import plan_of
from tests.support.gate_runs import GATES, ledger_of, outcomes, record_of, report_of, run
from tests.support.handmade import log_predictions
from tests.support.panels import pack_ridge

DAYS, ASSETS, PERSISTENCE, STRENGTH = 600, 12, 0.99, 0.0005
Spoil = Callable[["World"], None]


@dataclass(frozen=True)
class World:
    """An artifacts root with a live model and a candidate that was shadowed beside it."""

    artifacts: Artifacts
    live: str
    candidate: str

    @property
    def directory(self) -> Path:
        """The candidate's directory."""
        return self.artifacts.model(self.candidate)

    def edit_panel(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Write the candidate's panel anew."""
        path = self.directory / "evaluation.parquet"
        change(pd.read_parquet(path)).to_parquet(path, index=False)

    def edit_json(self, name: str, **changes: Any) -> None:
        """Change keys of one of the candidate's JSON files."""
        path = self.directory / name
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes))

    def edit_onnx(self, change: Callable[[onnx.ModelProto], None]) -> None:
        """Write the candidate's ONNX file anew."""
        path = self.directory / "model.onnx"
        model = onnx.load(path)
        change(model)
        path.write_bytes(model.SerializeToString())

    def log(self, values: Iterable[float], *, arm: str) -> None:
        """Replace the log of the candidate in shadow, or of the live model."""
        model_id = self.candidate if arm == "shadow" else self.live
        self.forget(arm)
        records = [
            Prediction(
                time=datetime(2024, 1, 1, tzinfo=UTC),
                row_key=f"{date(2024, 1, 1) + timedelta(number // 20)}|A{number % 20}",
                model_id=model_id,
                digest=tree_digest(self.artifacts.model(model_id)),
                schema_crc32="00000000",
                prediction=float(value),
                latency_ms=1.0,
                arm=arm,
            )
            for number, value in enumerate(values)
        ]
        log_predictions(self.artifacts, records)

    def drill(self, *, days_ago: float) -> None:
        """Record a drill that proved the kill switch."""
        then = datetime.now(UTC) - timedelta(days=days_ago)
        shown = Shown(server="one", model="m", stopped_s=0.1, resumed_s=0.1, why=None)
        record_drill(self.artifacts, Drill(began=then, ended=then, actor="somebody", servers=(shown,)))

    def test_on_live_rows(self, *, sign: int, days: int = 80) -> None:
        """Record an A/B test in which the candidate ranks names as the live model does, or the other way round."""
        shutil.rmtree(self.artifacts.ended_abs, ignore_errors=True)
        plan = plan_of(self.artifacts, self.live, self.candidate)
        began = datetime(2025, 1, 1, tzinfo=UTC)
        plan = msgspec.structs.replace(plan, started=began)
        random = np.random.default_rng(4)
        rows = {f"{date(2024, 6, 1) + timedelta(day)}|T{name:02d}": name for day in range(days) for name in range(30)}
        arms = {"live": (self.live, plan.live_digest, 1), "ab": (self.candidate, plan.candidate_digest, sign)}
        self.forget("ab")
        for arm, (model_id, digest, way) in arms.items():
            records = [
                Prediction(
                    time=began,
                    row_key=key,
                    model_id=model_id,
                    digest=digest,
                    schema_crc32="00000000",
                    prediction=float(way * name),
                    latency_ms=1.0,
                    arm=arm,
                )
                for key, name in rows.items()
                if plan.takes(key) == (arm == "ab")
            ]
            log_predictions(self.artifacts, records)
        outcomes = self.artifacts.root / "came.csv"
        shutil.rmtree(self.artifacts.outcomes, ignore_errors=True)
        lines = [f"{key.replace('|', ',')},{name / 1e4 + random.normal() / 1000}" for key, name in rows.items()]
        outcomes.write_text("\n".join(["time,asset,return", *lines]) + "\n")
        add_outcomes(self.artifacts, outcomes, ["time", "asset"], load_operations(None, policy=None)[0].registry)
        outcomes.unlink()
        ended = Ended(plan=plan, stopped=began + timedelta(days=1), actor="somebody", reason="seen enough")
        self.artifacts.write(self.artifacts.ended_abs / f"{plan.name}.json", readable(ended))

    def trade(self) -> None:
        """Follow the live model's predictions on paper, at prices that stand still."""
        days = [date(2024, 1, 1) + timedelta(days) for days in range(50)]
        trade_on_paper(
            self.artifacts,
            "live",
            {day: Quotes({f"A{number}": 100.0 for number in range(20)}) for day in days},
            horizon_of=lambda _: 1,
            costs=Costs(half_spread_bps=2),
            capital=1e6,
            limits=load_operations(None, policy=None)[0].paper,
            lock_timeout_s=1,
        )

    def forget(self, arm: str) -> None:
        """Delete the log of an arm."""
        shutil.rmtree(self.artifacts.predictions / arm, ignore_errors=True)

    def live_rows(self, count: int = 1000) -> np.ndarray:
        """Predictions on rows that look like the panel's."""
        scores = pd.read_parquet(self.directory / "evaluation.parquet")["reference"].to_numpy()
        return np.random.default_rng(3).choice(scores, count, replace=False)


def slow_panel() -> pd.DataFrame:
    """Features that move slowly, so that positions do too; a little of the return follows both of the day before."""
    rng = np.random.default_rng(2)
    days, assets = pd.bdate_range("2020-01-01", periods=DAYS), [f"A{i:02d}" for i in range(ASSETS)]
    frame = pd.MultiIndex.from_product([days, assets]).to_frame(index=False, name=["time", "asset"])
    for name in ("momentum", "value"):
        steps = rng.standard_normal((DAYS, ASSETS)) * np.sqrt(1 - PERSISTENCE**2)
        walk = [rng.standard_normal(ASSETS)]
        for step in steps[1:]:
            walk.append(PERSISTENCE * walk[-1] + step)
        frame[name] = np.concatenate(walk).astype(np.float32)
    frame["ret_next"] = STRENGTH * (yesterday(frame, "momentum") + yesterday(frame, "value"))
    frame["ret_next"] += 0.01 * rng.standard_normal(len(frame))
    frame["target"] = frame.groupby("asset")["ret_next"].shift(-1).fillna(0.0)
    frame["dollars"] = 1e8
    return frame


def yesterday(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame.groupby("asset")[name].shift(1).fillna(0)


def pack_one(artifacts: Path, panel: pd.DataFrame, *, changes: str, value: float) -> Path:
    rows = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float32)
    model = Ridge(alpha=1e-6).fit(rows, rows @ [0.01, 0.01 * value])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own deprecations
        return pack(
            model,
            panel,
            features={"momentum": "price", "value": "fundamental"},
            horizon=1,
            trained_until=date(2019, 12, 31),
            changes=changes,
            tried=1,
            volume="dollars",
            artifacts=artifacts,
        )


@pytest.fixture(scope="module")
def untouched_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world") / "artifacts"
    panel = slow_panel()
    live = pack_one(root, panel, changes="The first.", value=-1)
    candidate = pack_one(root, panel, changes="The second.", value=1)
    world = World(Artifacts(root), live.name, candidate.name)
    promotion = Intent(
        time=datetime(2024, 1, 1, tzinfo=UTC),
        actor="somebody",
        host="somewhere",
        action="promote",
        from_=None,
        to=live.name,
        digest=tree_digest(live),
        report_digest=None,
        reason="for these tests",
    )
    append(world.artifacts.promotions, promotion)
    append(world.artifacts.promotions, Commit(time=promotion.time))
    world.artifacts.latest.symlink_to(live.name)
    world.log(world.live_rows(), arm="live")
    world.log(world.live_rows(), arm="shadow")
    world.drill(days_ago=1)
    world.trade()
    world.test_on_live_rows(sign=1)
    return world


@pytest.fixture
def world(untouched_world: World, tmp_path: Path) -> World:
    root = tmp_path / "artifacts"
    shutil.copytree(untouched_world.artifacts.root, root, symlinks=True)
    return World(Artifacts(root), untouched_world.live, untouched_world.candidate)


def test_every_gate_is_green_on_a_good_model(pytester: pytest.Pytester, world: World) -> None:
    result = run(pytester, f"--model-dir={world.directory}")
    assert result.ret == 0
    records = ledger_of(world.directory).models[world.candidate].gates
    verdicts = {record.gate: judge(record, load_policy(None)) for record in records}
    # In two years of twelve names, that nobody left says nothing.
    assert verdicts.pop("data.survivors")[0] is Verdict.INCONCLUSIVE
    # The last bit of a linear model's score depends on the batch.
    assert verdicts.pop("parity.batch_invariance")[0] is Verdict.FAILED
    assert {name for name, verdict in verdicts.items() if verdict != (Verdict.PASSED, "")} == set()
    shown = {name.partition("[")[0] for name in (*verdicts, "data.survivors", "parity.batch_invariance")}
    policy = load_policy(None)
    assert shown == {slo.gate or name for name, slo in policy.slo.items() if policy.applies(name, "signal")}


MEASURED = {
    "drift.psi": 0.0104459458,
    "pnl.after_costs": 0.154472679,
    "pnl.sharpe": 2.97178769,
    "pnl.drawdown": 0.0266947921,
    "pnl.break_even": 41.1773794,
    "pnl.turnover": 0.156464478,
    "shadow.rank_corr": 1,
    "significance.p_against": 0.0001,
    "significance.rank_ic": 0.0521965514,
    "significance.spa": 0.0005,
    "significance.track_record": 0.1307898,
    "wf.positive_folds": 1,
}


def test_gates_measure_the_same_under_every_pandas(pytester: pytest.Pytester, world: World) -> None:
    run(pytester, f"--model-dir={world.directory}", "-m", "signal or wf or pnl or drift or shadow")
    records = ledger_of(world.directory).models[world.candidate].gates
    measured = {evidence.slo: evidence.value for record in records for evidence in record.evidence}
    assert {name: measured[name] for name in MEASURED} == pytest.approx(MEASURED, rel=1e-6)


def replaced(name: str, position: int, value: Any) -> Spoil:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[position, name] = value
        return frame

    return lambda world: world.edit_panel(change)


def returns(change: Callable[[pd.DataFrame], Any]) -> Spoil:
    return lambda world: world.edit_panel(lambda frame: frame.assign(ret_next=change(frame)))


def two_scores_change_places(frame: pd.DataFrame, row: int = 0) -> pd.DataFrame:
    day = frame[frame["time"] == frame["time"][row]]["reference"]
    best, worst = day.idxmax(), day.idxmin()
    frame.loc[[best, worst], "reference"] = frame.loc[[worst, best], "reference"].to_numpy()
    return frame


def name_no_features(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node.add(op_type="Exfiltrate", domain="com.example", input=["features"], output=["elsewhere"])
    model.opset_import.add(domain="com.example", version=1)


def later_years_turn(frame: pd.DataFrame) -> Any:
    return frame["ret_next"] * np.where(frame["time"].dt.year > 2020, -1, 1)


def more_noise(frame: pd.DataFrame) -> Any:
    return 0.01 * np.random.default_rng(4).standard_normal(len(frame))


def by_luck(world: World) -> None:
    """Give the candidate a market of noise, on which another model was tried too."""
    returns(more_noise)(world)
    panel = pd.read_parquet(world.directory / "evaluation.parquet").drop(columns="reference")
    pack_one(world.artifacts.root, panel, changes="Another try.", value=-0.5)


BAD = [
    pytest.param(
        "integrity.required_files",
        lambda world: (world.directory / "conftest.py").write_text(""),
        "measured 1 files, limit ≤ 0: conftest.py: does not belong in a model directory",
        id="extra-file",
    ),
    pytest.param(
        "integrity.required_files",
        lambda world: (world.directory / "bench.json").unlink(),
        "measured 1 files, limit ≤ 0: bench.json: missing",
        id="missing-file",
    ),
    pytest.param(
        "integrity.sha256",
        lambda world: (world.directory / "CHANGES.md").write_text("The sacond.\n"),
        "measured 1 files, limit ≤ 0: CHANGES.md: SHA-256 *, the manifest says *",
        id="changed-byte",
    ),
    pytest.param(
        "integrity.onnx_is_sound",
        lambda world: world.edit_onnx(foreign_operator),
        "measured * problems, limit ≤ 0: operator domain 'com.example' is not allowed*",
        id="foreign-operator",
    ),
    pytest.param(
        "schema.crc32",
        lambda world: world.edit_json("sidecar.json", schema_crc32="deadbeef"),
        "measured 3 places, limit ≤ 0: sidecar.json has *, the sidecar says deadbeef; *",
        id="other-crc",
    ),
    pytest.param(
        "schema.columns",
        lambda world: world.edit_panel(lambda frame: frame.assign(leak=0.0)),
        "measured 1 columns, limit ≤ 0: leak does not belong in the panel",
        id="extra-column",
    ),
    pytest.param(
        "schema.columns",
        lambda world: world.edit_onnx(name_no_features),
        "measured 1 columns, limit ≤ 0: model.onnx was packed for None, the sidecar lists *",
        id="nameless-model",
    ),
    pytest.param(
        "schema.dtypes",
        lambda world: world.edit_panel(lambda frame: frame.astype({"value": "float64"})),
        "measured 1 columns, limit ≤ 0: value is float64, expected float32",
        id="wider-column",
    ),
    pytest.param(
        "schema.onnx_inputs",
        lambda world: world.edit_json(
            "sidecar.json",
            features=[{"name": name, "dtype": "float64", "group": "all"} for name in ("momentum", "value")],
        ),
        "measured * inputs, limit ≤ 0: input 'X' takes float32, its features are float64",
        id="other-inputs",
    ),
    pytest.param(
        "data.finite",
        replaced("ret_next", 5, np.inf),
        "measured 1 columns, limit ≤ 0: ret_next in 1 rows",
        id="an-infinity",
    ),
    pytest.param(
        "data.finite",
        replaced("value", 5, np.nan),
        "measured 1 columns, limit ≤ 0: value in 1 rows",
        id="a-gap",
    ),
    pytest.param(
        "data.unique_keys",
        replaced("asset", 1, "A00"),
        "measured 1 rows, limit ≤ 0: 2020-01-01 A00",
        id="a-row-twice",
    ),
    pytest.param(
        "data.ordered",
        lambda world: world.edit_panel(lambda frame: frame.iloc[::-1].reset_index(drop=True)),
        "measured 7199 rows, limit ≤ 0: row 1; row 2; row 3; row 4; row 5; and 7194 more",
        id="backwards",
    ),
    pytest.param(
        "data.no_overlap",
        lambda world: world.edit_json("sidecar.json", trained_until="2020-01-01"),
        "measured 12 rows, limit ≤ 0: 2020-01-01; *",
        id="trained-on-it",
    ),
    pytest.param(
        "data.window",
        lambda world: world.edit_json("sidecar.json", trained_until="2019-12-12"),
        "measured 1 problems, limit ≤ 0: starts on 2020-01-01, expected by 2019-12-30: training ended on 2019-12-12, *",
        id="begun-late",
    ),
    pytest.param(
        "parity.max_abs_diff",
        lambda world: world.edit_panel(lambda frame: frame.assign(reference=frame["reference"] + 1e-3)),
        "measured 0.07* rel, limit 0 ≤ · ≤ 1e-05, max_abs_diff 0.001, scale 0.01*, probes *, "
        "cause ONNX Runtime's score is 1 times the native one plus -0.001: look for a sign, a unit or a scaling *",
        id="other-scores",
    ),
    pytest.param(
        "parity.claim",
        lambda world: world.edit_json("parity.json", max_abs_diff=0.5, rows=3),
        "measured 2 claims, limit ≤ 0: claims a difference of 0.5, measured *; claims 3 rows, the panel has 7200",
        id="other-claim",
    ),
    pytest.param(
        "parity.decisions",
        lambda world: world.edit_panel(two_scores_change_places),
        "measured 12 rows, limit ≤ 0, margin 2.5*e-07, max_abs_diff *, rows_at_splits 0, tied_rows *, "
        "cause only 2 of * rows differ, row * first: look at what is odd in them",
        id="other-order",
    ),
    pytest.param(
        "significance.p_against",
        returns(more_noise),
        "measured 0.* p, limit 0 ≤ · ≤ 0.1, ic_net *",
        id="noise",
    ),
    pytest.param(
        "significance.placebo",
        returns(lambda frame: -frame["ret_next"]),
        "measured 1 p, limit 0 ≤ · ≤ 0.1, tried *, p_names 1, p_days 1, static 0.*, ic -*, sd_names 0.*, names 12, *",
        id="worse-than-a-placebo",
    ),
    pytest.param(
        "pnl.p_value",
        returns(lambda frame: -frame["ret_next"]),
        "measured 1 p, limit 0 ≤ · ≤ 0.25, net_return -*, cosines *",
        id="a-sure-loss",
    ),
    pytest.param(
        "significance.deflated_sharpe",
        by_luck,
        "measured 0.* chance, limit 0.95 ≤ · ≤ 1, tried 2, at_hand *, spread_of_trials 0.*, *",
        id="luck",
    ),
    pytest.param(
        "significance.rank_ic",
        returns(lambda frame: -frame["ret_next"]),
        "measured -0.* rho, limit 0 < · ≤ 0.5, horizon 1, ratio -*, p_value *, ic_1 -*, ic_5 -*, ic_10 -*, ic_21 -*",
        id="upside-down-ranks",
    ),
    pytest.param(
        "significance.rank_ic",
        returns(lambda frame: yesterday(frame, "momentum") + yesterday(frame, "value") + 20 * more_noise(frame)),
        "measured 0.* rho, limit 0 < · ≤ 0.5, *",
        id="too-good-to-be-true",
    ),
    pytest.param(
        "significance.track_record",
        returns(more_noise),
        "measured * of the days, limit 0 ≤ · ≤ 1, days_needed *",
        id="a-short-record",
    ),
    pytest.param(
        "significance.pbo",
        by_luck,
        "measured 0.* chance, limit 0 ≤ · ≤ 0.2, at_hand 2, tried 2, probability_of_loss *",
        id="chosen-by-luck",
    ),
    pytest.param(
        "significance.spa",
        by_luck,
        "measured 1 p, limit 0 ≤ · ≤ 0.1, at_hand 2, tried 2, lower *, upper *",
        id="the-best-by-luck",
    ),
    pytest.param(
        "ablation.harmless[fundamental]",
        returns(lambda frame: frame["ret_next"] - 0.006 * yesterday(frame, "value")),
        "measured * p, limit 0.1 < · ≤ 1, outcome harmful, gain *, bound *, p_value *",
        id="a-harmful-group",
    ),
    pytest.param(
        "drift.psi",
        lambda world: world.log(world.live_rows() + 0.02, arm="shadow"),
        "measured * nat, limit 0 ≤ · ≤ 0.25, critical 0.0*",
        id="moved-far",
    ),
    pytest.param(
        "drift.psi_moderate",
        lambda world: world.log(world.live_rows() + 0.004, arm="shadow"),
        "measured 0.1* nat, limit 0 ≤ · ≤ 0.1, critical 0.0*",
        id="moved",
    ),
    pytest.param(
        "drift.ks",
        lambda world: world.log(world.live_rows() + 0.006, arm="shadow"),
        "measured 0.* distance, limit 0 ≤ · < 0.05, statistic 0.*, p_value *",
        id="moved-in-distance",
    ),
    pytest.param(
        "drift.psi",
        lambda world: world.log(world.live_rows(60), arm="shadow"),
        "inconclusive: without drift, 60 values against * reach a PSI of 0.* once in twenty times, beyond the *",
        id="too-few-rows",
    ),
    pytest.param(
        "drift.psi",
        lambda world: world.forget("shadow"),
        "inconclusive: no live row scored in shadow; run: modelgates shadow --onnx *",
        id="not-shadowed",
    ),
    pytest.param(
        "shadow.rank_corr",
        lambda world: world.log(-world.live_rows(), arm="shadow"),
        "measured -1 rho, limit 0.95 ≤ · ≤ 1, mean -1, top_tenth_in_common 0, signs_flipped *, "
        "largest_difference *, constant_days 0, rows 1000",
        id="upside-down",
    ),
    pytest.param(
        "shadow.rank_corr",
        lambda world: world.log(np.ones(1000), arm="shadow"),
        "measured 0 rho, limit 0.95 ≤ · ≤ 1, mean 0, top_tenth_in_common 0, signs_flipped *, "
        "largest_difference *, constant_days 50, rows 1000",
        id="constant-scores",
    ),
    pytest.param(
        "shadow.rank_corr",
        lambda world: world.log(world.live_rows(380), arm="shadow"),
        "inconclusive: 19 days with two rows or more, at least 20 are needed: score more days by both",
        id="too-few-days",
    ),
    pytest.param(
        "shadow.rank_corr",
        lambda world: world.forget("shadow"),
        "inconclusive: 0 rows were scored by both models, at least 2 are needed; serve and shadow the same CSV",
        id="nothing-in-common",
    ),
    pytest.param(
        "pnl.reconciled",
        lambda world: world.log(-world.live_rows(), arm="live"),
        "measured 49 days, limit ≤ 0: signal on 2024-01-02; signal on 2024-01-03; *; and 44 more",
        id="other-predictions-than-were-followed",
    ),
    pytest.param(
        "pnl.reconciled",
        lambda world: world.forget("live"),
        "inconclusive: the log of live predictions holds none of the days that were traded on, *",
        id="nothing-to-reconcile-with",
    ),
    pytest.param(
        "ab.ic_difference",
        lambda world: world.test_on_live_rows(sign=-1),
        "measured -* IC, limit ≥ 0, mean -*, lower -*, told worse",
        id="worse-on-live-rows",
    ),
    pytest.param(
        "ab.ic_difference",
        lambda world: world.test_on_live_rows(sign=1, days=30),
        "inconclusive: the A/B test ab-*: * days on which both arms have outcomes of 5 names or more, at least 50 *",
        id="a-short-test",
    ),
    pytest.param(
        "safety.kill_drill",
        lambda world: (shutil.rmtree(world.artifacts.drills), world.drill(days_ago=93)),
        "measured 93* days, limit 0 ≤ · ≤ 92",
        id="an-old-drill",
    ),
    pytest.param(
        "safety.kill_drill",
        lambda world: shutil.rmtree(world.artifacts.drills),
        "inconclusive: no drill of the kill switch has proved it; run, while servers run: modelgates kill --drill",
        id="no-drill",
    ),
    pytest.param(
        "pnl.after_costs",
        returns(lambda frame: -frame["ret_next"]),
        "measured -* /year, limit > 0, per_turnover_bps 2, borrow_bps_per_year 0, impact_bps not charged, "
        "alpha *, beta *",
        id="a-loss",
    ),
    pytest.param(
        "pnl.sharpe",
        returns(lambda frame: -frame["ret_next"]),
        "measured -* /year, limit > 0, sharpe_error *, volatility *, sortino -*, omega 0.*, value_at_risk -*, "
        "expected_shortfall -*",
        id="a-loss-for-its-risk",
    ),
    pytest.param(
        "pnl.within_limits",
        returns(lambda frame: -frame["ret_next"]),
        "measured -* /year, limit > 0, days_cut *, cost_a_year *",
        id="a-loss-within-limits",
    ),
    pytest.param(
        "pnl.participation",
        lambda world: world.edit_panel(lambda frame: frame.assign(dollars=1e5)),
        "measured 1.* share, limit 0 ≤ · ≤ 0.05, capital 1000000",
        id="too-thin",
    ),
    pytest.param(
        "pnl.turnover",
        lambda world: world.edit_panel(
            lambda frame: frame.assign(momentum=np.random.default_rng(5).standard_normal(len(frame)).astype(np.float32))
        ),
        "measured 0.* /day, limit 0 ≤ · ≤ 0.5, top_tenth_replaced 0.*",
        id="restless",
    ),
    pytest.param(
        "wf.positive_folds",
        returns(later_years_turn),
        "measured 0.3333 share, limit 0.5 ≤ · ≤ 1, p_value 0.875, *",
        id="one-good-year",
    ),
    pytest.param(
        "wf.worst_fold",
        returns(later_years_turn),
        "measured 0.000* p, limit 0.01 ≤ · ≤ 1, worst_t -*, worst_fold 202*",
        id="an-awful-year",
    ),
    *(
        pytest.param(
            gate,
            lambda world: world.edit_panel(lambda frame: frame[frame["time"] < "2020-04-01"]),
            "inconclusive: fold 2020-Q1 is the only one, expected at least 2: give more days or shorter folds",
            id=f"one-quarter-{gate}",
        )
        for gate in ("wf.positive_folds", "wf.worst_fold")
    ),
]


@pytest.mark.parametrize(("gate", "spoil", "message"), BAD)
def test_a_gate_is_red_on_a_model_made_bad_for_it(
    pytester: pytest.Pytester, world: World, gate: str, spoil: Spoil, message: str
) -> None:
    spoil(world)
    slo = load_policy(None).limit(gate.partition("[")[0])
    result = gate_alone(pytester, world, gate)
    assert result.ret == (slo.severity == "hard")
    record = record_of(world.directory, gate)
    verdict, _ = judge(record, load_policy(None))
    assert verdict is (Verdict.INCONCLUSIVE if message.startswith("inconclusive") else Verdict.FAILED)
    if slo.severity == "hard":
        words = [f"{gate.partition('[')[0]}: {message}"]
        result.stdout.fnmatch_lines(words if verdict is Verdict.INCONCLUSIVE else [*words, slo.advice])
    else:
        result.stdout.fnmatch_lines([f"{gate} {'WARN' if verdict is Verdict.FAILED else verdict}: *"])
        strict = gate_alone(pytester, world, gate, "--strict-soft")
        assert strict.ret == 1
        strict.stdout.fnmatch_lines([f"{gate}: {message}"])


def gate_alone(pytester: pytest.Pytester, world: World, gate: str, *switches: str) -> pytest.RunResult:
    """Run one gate, and with it at most those of its own file whose names contain its name."""
    family, _, name = gate.partition(".")
    function = {"onnx_p95_ms": "onnx_p95", "serve_p95_ms": "serve_p95"}.get(name, name.partition("[")[0])
    shutil.rmtree(world.artifacts.root / "reports", ignore_errors=True)
    # A path outside this folder would bring its own configuration and policy.
    place = ["-c", pytester.makeini("[pytest]"), f"{GATES}/test_{family}.py::test_{function}"]
    return run(pytester, f"--model-dir={world.directory}", *place, *switches)


def test_a_change_of_order_is_reported_in_trades_and_in_money(pytester: pytest.Pytester, world: World) -> None:
    world.edit_panel(lambda frame: two_scores_change_places(frame, row=2000))
    candidate = Candidate(world.directory)
    gate_alone(pytester, world, "parity.decisions")
    detail = record_of(world.directory, "parity.decisions").evidence[0].detail
    panel, cost = candidate.panel, load_policy(None).costs.half_spread_bps  # the packaged policy's only cost
    native, onnx_runtime = (
        simulate(panel.by_day(scores), panel.returns, horizon=1, cost_bps=cost)
        for scores in (panel.native_scores, candidate.scores)
    )
    moved = (onnx_runtime.net - native.net)[1:]
    # Two names swap their positions for one day, so each is traded differently on the way in and on the way out.
    assert (detail["trades_that_differ"], detail["rows_at_splits"]) == (4, 0)
    assert detail["trades"] > 1000
    assert detail["max_abs_diff"] == pytest.approx(np.abs(candidate.scores - panel.native_scores).max())
    assert detail["largest_pnl_moved"] == pytest.approx(np.abs(moved).max()) != 0
    assert detail["pnl_moved"] == pytest.approx(moved.mean())
    assert detail["turnover_moved"] > 0


@pytest.mark.parametrize("factor", [-1, 1.001], ids=["the-opposite", "a-thousandth-more"])
@pytest.mark.parametrize("weight", [1e-3, 1.0], ids=["scores-of-5e-6", "scores-of-0.005"])
def test_small_scores_are_held_to_parity_as_large_ones_are(
    pytester: pytest.Pytester, tmp_path: Path, weight: float, factor: float
) -> None:
    directory = pack_ridge(tmp_path / "artifacts", weights=(weight, 0))
    honest = run(pytester, f"--model-dir={directory}", "-m", "parity")
    assert outcomes(honest)["passed"] == 4
    world = World(Artifacts.of(directory), "", directory.name)
    shutil.rmtree(world.artifacts.root / "reports")
    world.edit_panel(lambda frame: frame.assign(reference=frame["reference"] * factor))
    found = run(pytester, f"--model-dir={directory}", "-m", "parity")
    found.stdout.fnmatch_lines(["parity.max_abs_diff failed: *", "parity.claim failed: *"])
    judged = record_of(directory, "parity.decisions").evidence[0].value
    rows = len(Candidate(directory).panel.frame)
    assert judged == (rows if factor < 0 else 0), "a factor changes no order"


# Gates that no model can be made to fail within a second get a limit that no model keeps.
TIGHT = [
    pytest.param(
        "latency.onnx_p95_ms", "at_most = 1e-6", "measured * ms, limit 0 < · ≤ 1e-06, reference_slowed *", id="onnx"
    ),
    pytest.param(
        "latency.serve_p95_ms", "at_most = 1e-6", "measured * ms, limit 0 < · ≤ 1e-06, reference_slowed *", id="serving"
    ),
    pytest.param("significance.backtest_length", "at_most = 1e-6", "measured * of the days, *", id="backtest-length"),
    pytest.param("significance.p_adjusted", "at_least = 0.5\nat_most = 1", "measured * p, *", id="p-adjusted"),
    pytest.param("pnl.exposure", "at_most = 0.5", "measured 1 gross, limit 0 ≤ · ≤ 0.5", id="gross"),
    pytest.param("pnl.net_exposure", "at_least = 0.01", "measured * net, limit 0.01 ≤ · ≤ 0.05", id="net"),
    pytest.param("pnl.largest_weight", "at_most = 0.1", "measured 0.15* weight, limit 0 ≤ · ≤ 0.1", id="one-name"),
    pytest.param("pnl.sharpe", "above = 99", "measured * /year, limit > 99, *", id="sharpe"),
    pytest.param("pnl.drawdown", "at_most = 1e-6", "measured * share, limit 0 ≤ · ≤ 1e-06", id="drawdown"),
    pytest.param("pnl.p_value", "at_least = 0.5\nat_most = 1", "measured * p, limit 0.5 ≤ · ≤ 1, *", id="p-value"),
    pytest.param(
        "pnl.probabilistic_sharpe",
        "at_least = 0\nat_most = 0.5",
        "measured * chance, limit 0 ≤ · ≤ 0.5",
        id="probabilistic-sharpe",
    ),
    pytest.param("pnl.break_even", "above = 999", "measured * bps, limit 999 < · ≤ 1000", id="break-even"),
]


@pytest.mark.parametrize(("slo", "bound", "message"), TIGHT)
def test_a_gate_is_red_against_a_tight_limit(
    pytester: pytest.Pytester, world: World, slo: str, bound: str, message: str
) -> None:
    policy = pytester.path / "policy.toml"
    policy.write_text(f'[slo."{slo}"]\n{bound}\n')
    gate = load_policy(policy).limit(slo).gate or slo
    result = gate_alone(pytester, world, gate, f"--policy={policy}", "--strict-soft")
    assert outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines([f"{slo}: {message}", load_policy(None).limit(slo).advice])


def test_before_the_first_promotion_there_is_no_reference_yet(pytester: pytest.Pytester, good_model: Path) -> None:
    files = [GATES / f"test_{family}.py" for family in ("drift", "shadow", "ab", "safety")]
    result = run(pytester, f"--model-dir={good_model}", *files, f"{GATES / 'test_pnl.py'}::test_reconciled")
    assert result.ret == 0
    assert outcomes(result) == {"skipped": 7}
    assert {test["outcome"] for test in report_of(good_model)["tests"]} == {"skipped"}
    for gate in (
        "drift.psi",
        "drift.psi_moderate",
        "drift.ks",
        "shadow.rank_corr",
        "ab.ic_difference",
        "safety.kill_drill",
        "pnl.reconciled",
    ):
        assert record_of(good_model, gate).evidence[0].state == "no reference yet"


def test_a_link_without_a_log_is_an_error_and_no_missing_reference(pytester: pytest.Pytester, world: World) -> None:
    world.artifacts.promotions.unlink()
    result = run(pytester, f"--model-dir={world.directory}", GATES / "test_drift.py")
    assert outcomes(result) == {"errors": 3}
    assert result.ret == 1


def empty_of(world: World) -> None:
    for path in world.directory.iterdir():
        path.unlink()


BROKEN = [
    pytest.param(empty_of, id="empty-directory"),
    pytest.param(lambda world: (world.directory / "sidecar.json").unlink(), id="no-sidecar"),
    pytest.param(lambda world: (world.directory / "sidecar.json").write_bytes(b"{\xff"), id="garbled-sidecar"),
    pytest.param(lambda world: (world.directory / "model.onnx").write_bytes(b"\x00garbage"), id="garbage-model"),
    pytest.param(lambda world: (world.directory / "model.onnx").write_bytes(b""), id="empty-model"),
    pytest.param(
        lambda world: (world.directory / "evaluation.parquet").write_bytes(
            (world.directory / "evaluation.parquet").read_bytes()[:5000]
        ),
        id="truncated-panel",
    ),
    pytest.param(lambda world: world.edit_panel(lambda frame: frame.iloc[:0]), id="empty-panel"),
    pytest.param(lambda world: world.edit_panel(lambda frame: frame[["time", "asset"]]), id="panel-without-numbers"),
    pytest.param(
        lambda world: world.edit_panel(lambda frame: frame.assign(time="yesterday")), id="panel-without-dates"
    ),
    pytest.param(lambda world: (world.directory / "a\x1b[2J\n\udcff").write_text(""), id="hostile-file-name"),
    pytest.param(lambda world: (world.directory / "manifest.json").write_text("[1, NaN]"), id="no-manifest-at-all"),
]


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_broken_directory_is_red_without_a_traceback_of_ours(
    pytester: pytest.Pytester, world: World, spoil: Spoil
) -> None:
    spoil(world)
    result = run(pytester, f"--model-dir={world.directory}")
    assert result.ret == 1
    text = result.stdout.str() + result.stderr.str()
    for word in ("INTERNALERROR", "Traceback", "pytest_modelgates/", "site-packages", "\x1b[2J"):
        assert word not in text
    ledger = ledger_of(world.directory)
    assert "integrity.sha256" in {record.gate for record in ledger.models[world.candidate].gates}
