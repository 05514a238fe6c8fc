"""Where the trees of a model split the features."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.trees import split_thresholds
from pytest_modelgates.packing.convert import convert
from tests.support.onnx_models import finished, linear

DRAWN = np.random.default_rng(1).standard_normal((400, 3)).astype(np.float32)


def stump(*, feature: int = 1, split: float = 0.5, source: str = "features", **changes: object) -> onnx.NodeProto:
    """Build a tree of one split, which scores 0 up to the split and 1 beyond."""
    attributes = {
        "n_targets": 1,
        "nodes_falsenodeids": [2, 0, 0],
        "nodes_featureids": [feature, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_nodeids": [0, 1, 2],
        "nodes_treeids": [0, 0, 0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_values": [split, 7.0, 7.0],
        "target_ids": [0, 0],
        "target_nodeids": [1, 2],
        "target_treeids": [0, 0],
        "target_weights": [0.0, 1.0],
    }
    given = {name: value for name, value in (attributes | changes).items() if value is not None}
    return helper.make_node("TreeEnsembleRegressor", [source], ["score"], domain="ai.onnx.ml", **given)


def model_of(
    *nodes: onnx.NodeProto, inputs: Sequence[str] = ("features",), columns: int | None = None, version: int = 3
) -> onnx.ModelProto:
    """Build a model of nodes that end in `score`."""
    entries = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, columns]) for name in inputs]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])]
    model = finished(helper.make_graph(list(nodes), "by hand", entries, outputs))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", version))
    onnx.checker.check_model(model, full_check=True)
    return model


def read(model: onnx.ModelProto, *names: str) -> dict[int, list[float]] | None:
    splits = split_thresholds(model, names)
    return None if splits is None else {position: values.tolist() for position, values in splits.items()}


def test_a_split_belongs_to_the_column_that_the_tree_sees() -> None:
    assert read(model_of(stump()), "a", "b") == {1: [0.5]}
    # One matrix may bear the name of a feature.
    assert read(model_of(stump(source="a"), inputs=["a"]), "a", "b") == {1: [0.5]}


def test_one_input_a_feature_is_followed_to_its_feature() -> None:
    nodes = [
        helper.make_node("Cast", ["c"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["number", "a"], ["both"], axis=1),
        helper.make_node("Identity", ["both"], ["rows"]),
        stump(source="rows", feature=0),
    ]
    assert read(model_of(*nodes, inputs=["a", "b", "c"], columns=1), "a", "b", "c") == {2: [0.5]}
    assert read(model_of(*nodes, inputs=["a", "b", "c"], columns=1), "a", "b") is None


def test_thresholds_in_double_precision_and_of_the_newer_operator_are_read() -> None:
    doubles = numpy_helper.from_array(np.array([0.1, 0, 0]), "values")
    assert read(model_of(stump(nodes_values=None, nodes_values_as_tensor=doubles)), "a", "b") == {1: [0.1]}
    newer = helper.make_node(
        "TreeEnsemble",
        ["features"],
        ["score"],
        domain="ai.onnx.ml",
        tree_roots=[0],
        n_targets=1,
        nodes_featureids=[0, 1],
        nodes_splits=numpy_helper.from_array(np.array([0.25, 9.0], np.float32), "splits"),
        nodes_modes=numpy_helper.from_array(np.array([0, 6], np.uint8), "modes"),
        nodes_truenodeids=[1, 0],
        nodes_trueleafs=[0, 1],
        nodes_falsenodeids=[1, 2],
        nodes_falseleafs=[1, 1],
        membership_values=numpy_helper.from_array(np.array([1, np.nan], np.float32), "members"),
        leaf_targetids=[0, 0, 0],
        leaf_weights=numpy_helper.from_array(np.array([0, 1, 2], np.float32), "weights"),
    )
    assert read(model_of(newer, version=5), "a", "b") == {0: [0.25]}


def test_a_model_without_trees_has_no_splits() -> None:
    assert read(linear([1, 2]), "a", "b") == {}


def test_trees_behind_a_scaler_are_not_known() -> None:
    scaler = helper.make_node("Scaler", ["features"], ["rows"], domain="ai.onnx.ml", offset=[0.0], scale=[2.0])
    assert read(model_of(scaler, stump(source="rows")), "a", "b") is None


def test_splits_are_those_of_the_native_model() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own deprecations
        booster = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(DRAWN, DRAWN[:, 0] - DRAWN[:, 2])
        splits = split_thresholds(convert(booster, ["a", "b", "c"])[0], ["a", "b", "c"])
    nodes = booster.booster_.trees_to_dataframe().dropna(subset=["threshold"])
    assert splits is not None
    for position, values in splits.items():
        own = np.unique(nodes[nodes["split_feature"] == f"Column_{position}"]["threshold"])
        assert values == pytest.approx(own, rel=1e-6)
    assert sum(values.size for values in splits.values()) == len(nodes.drop_duplicates(["split_feature", "threshold"]))


def test_a_candidate_counts_the_rows_at_its_splits(good_model: Path) -> None:
    candidate = Candidate(good_model)
    assert candidate.rows_at_splits == 0
    column = candidate.panel.features[:, 0]
    split = float(column[5])
    model = model_of(stump(feature=0, split=split))
    (good_model / "model.onnx").write_bytes(model.SerializeToString())
    assert Candidate(good_model).rows_at_splits == (np.abs(column - split) <= np.spacing(np.abs(column))).sum() > 0


def test_rows_of_trees_that_see_other_columns_are_not_counted(good_model: Path) -> None:
    scaler = helper.make_node("Scaler", ["features"], ["rows"], domain="ai.onnx.ml", offset=[0.0], scale=[2.0])
    (good_model / "model.onnx").write_bytes(model_of(scaler, stump(source="rows")).SerializeToString())
    assert Candidate(good_model).rows_at_splits is None
