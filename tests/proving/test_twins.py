"""Twins, held against the parts of a candidate: each has the fault it is meant to have, and no other."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from pytest_modelgates import pack
from pytest_modelgates.audit.ab import last_of
from pytest_modelgates.drift import psi
from pytest_modelgates.errors import ModelgatesError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import verify
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.model.schema import schema_crc32, sidecar_crc32
from pytest_modelgates.monitoring.ab import difference_of
from pytest_modelgates.monitoring.reconcile import reconcile
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.predictions.counting import Tally, Window, count_log, values_of
from pytest_modelgates.proving.twin_files import (
    Change,
    changed_byte,
    changed_dtype,
    duplicated_row,
    early_row,
    edited_claim,
    extra_file,
    flipped_schema,
    infinite_feature,
    missing_file,
    other_days,
    swapped_columns,
    unsorted_rows,
)
from pytest_modelgates.proving.twin_live import old_drill, other_ledger, worse_on_live_rows
from pytest_modelgates.proving.twin_markets import (
    against_group,
    against_score,
    knowing_baseline,
    many_trials,
    ruinous_year,
    shifted_shadow,
)
from pytest_modelgates.proving.twin_models import batch_mean, foreign_operator, perturbed_weights, renamed_input
from pytest_modelgates.proving.twin_panels import (
    along_score,
    holed_panel,
    impossible_return,
    late_target,
    missing_third,
    one_day_peek,
    repeated_day,
    rows_twice,
    telling_feature,
)
from pytest_modelgates.proving.twins import make_twin
from pytest_modelgates.serving.drill import last_drill
from pytest_modelgates.stats.ablation import ablate
from pytest_modelgates.stats.agreement import disordered
from pytest_modelgates.stats.holdings import Holdings, simulate
from pytest_modelgates.stats.significance import ewc_p_value
from pytest_modelgates.stats.walkforward import folds
from pytest_modelgates.storage.digests import tree_digest
from tests.support.onnx_models import finished, linear
from tests.support.panels import FEATURES, invented_panel, pack_ridge

DOMAINS = ("", "ai.onnx.ml")


def twin_of(source: Path, folder: Path, change: Change) -> Candidate:
    target = folder / "twin" / "models" / "900000000000"
    make_twin(source, target, change)
    return Candidate(target)


def faults(candidate: Candidate) -> set[str]:
    """Which of the questions that need no statistics have an answer against the candidate."""
    panel, sidecar = candidate.panel, candidate.sidecar
    crcs = {sidecar_crc32(sidecar), schema_crc32(panel.schema()), candidate.recorded_schema()[1]}
    found = {
        "files": candidate.missing_files(),
        "digests": candidate.changed_files(),
        "onnx": candidate.soundness_problems(DOMAINS),
        "crc": crcs != {sidecar.schema_crc32},
        "columns": panel.column_problems(),
        "dtypes": panel.dtype_problems(),
        "finite": panel.not_finite(),
        "keys": panel.repeated_rows(),
        "order": panel.unordered_rows(),
        "overlap": panel.overlapping_rows(),
        "window": panel.window_problems(start_days=10, end_days=0, as_of=date(2021, 8, 1)),
    }
    if sidecar.task == "signal":
        found |= faults_of_returns(panel)
    try:
        found["inputs"] = candidate.model.input_problems()
        found["claim"] = candidate.parity_claim_problems(1e-5)
        found["parity"] = not candidate.parity.scaled <= 1e-5
    except ModelgatesError:
        found["no scores"] = True
    return {name for name, offenders in found.items() if offenders}


def faults_of_returns(panel: Panel) -> dict[str, object]:
    """The same of what a panel says of its returns; nothing where they cannot be laid out."""
    if panel.column_problems() or panel.repeated_rows() or panel.not_finite():
        return {}
    return {
        "gap": panel.calendar.gap > 10,
        "target": panel.target_agreement.lead != 1,
        "returns": len(panel.return_sizes.impossible),
        "holes": panel.holes.share > 0.001,
        "days left out": len(panel.left_out.days) or panel.left_out.p_value <= 0.001,
        "days": panel.repeated_days(),
    }


# What follows from a fault is named with it: other columns have another checksum, infinity has no parity.
FAULTS = [
    (missing_file, {"files", "digests"}),
    (extra_file, {"files"}),
    (changed_byte, {"digests"}),
    (foreign_operator, {"onnx", "no scores"}),
    (flipped_schema, {"crc"}),
    (swapped_columns, {"crc", "columns"}),
    (changed_dtype, {"crc", "dtypes"}),
    (renamed_input, {"inputs", "no scores"}),
    (infinite_feature, {"finite", "parity", "claim"}),
    (duplicated_row, {"keys"}),
    (unsorted_rows, {"order"}),
    (early_row, {"overlap"}),
    (other_days, {"window"}),
    (perturbed_weights, {"parity"}),
    (batch_mean, {"parity"}),
    (edited_claim, {"claim"}),
    (against_score, set()),
    (ruinous_year, set()),
    (many_trials, set()),
    (shifted_shadow, set()),
    (late_target, {"target"}),
    (impossible_return, {"returns"}),
    (missing_third, {"gap", "days left out"}),
    (holed_panel, {"holes"}),
    (repeated_day, {"days"}),
    (along_score, set()),
    (one_day_peek, set()),
    (old_drill, set()),
    (other_ledger, set()),
    (worse_on_live_rows, set()),
]


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize(("change", "wanted"), [pytest.param(*row, id=row[0].__name__) for row in FAULTS])
def test_a_twin_has_its_own_fault_alone(packed_once: Path, tmp_path: Path, change: Change, wanted: set[str]) -> None:
    before = tree_digest(packed_once)
    assert faults(twin_of(packed_once, tmp_path, change)) == wanted
    assert verify(packed_once) == before


RULES = [
    pytest.param({"start_days": 10_000}, id="start"),
    pytest.param({"end_days": 14_000}, id="end"),
    pytest.param({"wanted": "the model's own"}, id="panel"),
]


@pytest.mark.parametrize("rules", RULES)
def test_other_days_break_each_rule_of_the_window(packed_once: Path, tmp_path: Path, rules: dict[str, Any]) -> None:
    panel, other = Candidate(packed_once).panel, twin_of(packed_once, tmp_path, other_days).panel
    if "wanted" in rules:
        rules = {"wanted": panel.rows_digest}
    asked: dict[str, Any] = {"start_days": 0, "end_days": 0, "as_of": panel.days[-1].date()} | rules
    assert panel.window_problems(**asked) == []
    assert len(other.window_problems(**asked)) == 1


def test_every_twin_is_in_the_table_of_faults() -> None:
    # The faults of a model that is not a signal are tested in tests/gates/test_tasks.py.
    known = {change for change, _ in FAULTS} | {knowing_baseline, rows_twice, telling_feature}
    named = {row for slo in load_policy(None).slo.values() for row in (slo.twins if slo.each is None else ())}
    assert named == {change.__name__ for change in known}


def test_a_twin_is_the_same_every_time(packed_once: Path, tmp_path: Path) -> None:
    digests = {tree_digest(twin_of(packed_once, tmp_path / name, perturbed_weights).directory) for name in ("a", "b")}
    assert len(digests) == 1


def position(candidate: Candidate, features: np.ndarray | None = None) -> Holdings:
    panel = candidate.panel
    scores = candidate.model.predict(panel.features if features is None else features)
    return simulate(panel.by_day(scores), panel.returns, horizon=candidate.sidecar.horizon, cost_bps=2)


def test_returns_against_the_score_lose_every_day(packed_once: Path, tmp_path: Path) -> None:
    assert position(twin_of(packed_once, tmp_path, against_score)).ic_net.max() < -0.5


def test_more_trials_are_declared_than_the_ic_survives(packed_once: Path, tmp_path: Path) -> None:
    twin = twin_of(packed_once, tmp_path, many_trials)
    assert twin.sidecar.tried == 10**18
    assert twin.panel_digest == Candidate(packed_once).panel_digest
    assert 10**18 * ewc_p_value(position(twin).ic_net)[0] > 1


def test_an_ic_that_would_survive_them_is_diluted_first(tmp_path: Path) -> None:
    sure = pack_ridge(tmp_path / "artifacts", invented_panel(ic=0.5))
    assert 10**18 * ewc_p_value(position(Candidate(sure)).ic_net)[0] < 1
    p = ewc_p_value(position(twin_of(sure, tmp_path, many_trials)).ic_net)[0]
    assert 1e-18 < p < 0.001


def test_one_year_is_ruined_and_the_others_stay(packed_once: Path, tmp_path: Path) -> None:
    found = []
    for candidate in (Candidate(packed_once), twin_of(packed_once, tmp_path, ruinous_year)):
        held = position(candidate)
        found.append(folds(held.ic_net, candidate.panel.days.year[held.first :], purge=held.first))
    before, after = found
    changed = before.means != after.means
    assert changed.sum() == 1
    assert after.means[changed] < -0.5
    assert after.worst_p < 1e-6 < before.worst_p


def test_a_twin_is_worse_on_live_rows(packed_once: Path, tmp_path: Path) -> None:
    candidate = twin_of(packed_once, tmp_path, worse_on_live_rows)
    test = last_of(candidate.artifacts, candidate.digest)
    assert test
    found = difference_of(candidate.artifacts, test)
    assert found.told == "worse"
    assert not load_policy(None).limit("ab.ic_difference").contains(found.upper)


def test_shadow_predictions_have_drifted_from_the_twin_they_name(packed_once: Path, tmp_path: Path) -> None:
    candidate = twin_of(packed_once, tmp_path, shifted_shadow)
    window = Window(digest=tree_digest(candidate.directory))
    values = values_of(count_log(candidate.artifacts, "shadow", window, Tally()))
    assert psi(candidate.panel.native_scores, values) > 1


def test_the_drill_of_a_twin_is_older_than_any_policy_admits(packed_once: Path, tmp_path: Path) -> None:
    found = last_drill(twin_of(packed_once, tmp_path, old_drill).artifacts)
    assert found
    assert not load_policy(None).limit("safety.kill_drill").contains((datetime.now(UTC) - found.ended).days)


def test_the_ledger_of_a_twin_follows_other_signals_than_its_log(packed_once: Path, tmp_path: Path) -> None:
    policy = load_policy(None)
    found = reconcile(twin_of(packed_once, tmp_path, other_ledger).artifacts, policy, "live")
    assert found.of("signal")
    assert not found.of("fill")
    assert not policy.limit("pnl.reconciled").contains(len(found.differing_days))


def onnx_panel(model: onnx.ModelProto) -> pd.DataFrame:
    """The invented panel with the reference of a model that adds both features up."""
    frame = invented_panel(days=300)
    return frame.assign(reference=frame["momentum"].astype(float) + frame["value"].astype(float))


def no_weights(rank: int) -> onnx.ModelProto:
    """Build the sum of two features, a graph in which nothing is fitted."""
    keep = helper.make_node("ReduceSum", ["features", "axes"], ["score"], keepdims=rank - 1)
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1][:rank])]
    return finished(helper.make_graph([keep], "by hand", inputs, outputs, [axes]))


def tree(folder: Path) -> Path:
    from lightgbm import LGBMRegressor

    frame = invented_panel(days=300)
    rows = frame[list(FEATURES)].to_numpy(np.float32)
    model = LGBMRegressor(n_estimators=5, num_leaves=7, verbose=-1, n_jobs=1).fit(rows, rows[:, 0] + rows[:, 1])
    return packed(model, folder, frame)


def packed(model: object, folder: Path, frame: pd.DataFrame) -> Path:
    return pack(
        model,
        frame,
        features=FEATURES,
        horizon=1,
        trained_until=date(2019, 12, 31),
        changes="For twins.",
        artifacts=folder,
    )


SHAPES = ["ridge", "tiny-scores", "trees", "one-input-each", "matrix-of-scores", "row-of-scores"]


@pytest.fixture(scope="module", params=SHAPES)
def any_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of other shapes than the usual one."""
    folder = tmp_path_factory.mktemp("shape") / "artifacts"
    if request.param == "ridge":
        return pack_ridge(folder)
    if request.param == "tiny-scores":
        return pack_ridge(folder, weights=(1e-3, 0))
    if request.param == "trees":
        return tree(folder)
    graphs = {
        "one-input-each": linear([1, 1], columns=list(FEATURES)),
        "matrix-of-scores": no_weights(2),
        "row-of-scores": no_weights(1),
    }
    model = graphs[request.param]
    return packed(model.SerializeToString(), folder, onnx_panel(model))


@pytest.mark.filterwarnings("ignore")  # the converters' own deprecations
def test_perturbing_changes_what_any_model_decides(any_model: Path, tmp_path: Path) -> None:
    twin = twin_of(any_model, tmp_path, perturbed_weights)
    assert twin.parity.scaled > 1e-4
    margin = 2e-5 * twin.parity.scale  # the gate's own
    assert disordered(twin.panel.native_scores, twin.scores, twin.panel.day_codes, margin=margin) > 100
    assert verify(twin.directory)


@pytest.mark.parametrize("group", FEATURES.values())
@pytest.mark.filterwarnings("ignore")  # the converters' own deprecations
def test_any_model_would_do_better_without_the_punished_group(any_model: Path, tmp_path: Path, group: str) -> None:
    twin = twin_of(any_model, tmp_path, lambda target: against_group(target, group))
    without = {
        name: position(twin, np.concatenate([*twin.panel.blocks(neutral=positions)])).ic_net
        for name, positions in twin.sidecar.groups.items()
    }
    found = ablate(position(twin).ic_net, without, margin=0.001, margin_share=0.05, horizon=1)
    assert found[group].p_adjusted < 0.01
    assert faults(twin) == set()


def test_an_input_of_its_own_for_each_feature_is_renamed(tmp_path: Path) -> None:
    model = linear([1, 1], columns=list(FEATURES))
    twin = twin_of(packed(model.SerializeToString(), tmp_path, onnx_panel(model)), tmp_path, renamed_input)
    assert twin.model.input_problems() == [
        "input 'twin/renamed' is not a feature",
        "feature 'momentum' is not an input of the model",
    ]
    assert twin.soundness_problems(DOMAINS) == []


def test_a_twin_is_made_of_a_copy(packed_once: Path, tmp_path: Path) -> None:
    copy = tmp_path / "artifacts" / "models" / packed_once.name
    shutil.copytree(packed_once, copy)
    twin = twin_of(copy, tmp_path, lambda target: None)
    assert twin.manifest.id == "900000000000"
    assert faults(twin) == set()
