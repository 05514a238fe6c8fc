"""Trees keep and add their numbers in double precision, and nothing else of a converted model changes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pytest_modelgates.extras import extra
from pytest_modelgates.model.onnx_checks import soundness_problems
from pytest_modelgates.model.trees import split_thresholds
from pytest_modelgates.packing.convert import convert
from pytest_modelgates.packing.precision import sum_trees_in_double
from tests.support.onnx_models import finished, linear

ROWS = np.random.default_rng(0).normal(size=(300, 2))
TARGET = ROWS[:, 0] + (ROWS[:, 1] > 0)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def trees(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type.startswith("TreeEnsemble")]


def voting() -> onnx.ModelProto:
    """Convert a model of two ensembles that take the same rows, and a line."""
    ensemble, line = extra("sklearn.ensemble"), extra("sklearn.linear_model").Ridge()
    boosted, forest = ensemble.GradientBoostingRegressor(n_estimators=3), ensemble.RandomForestRegressor(3)
    model = ensemble.VotingRegressor([("boosted", boosted), ("forest", forest), ("line", line)]).fit(ROWS, TARGET)
    return convert(model, ["a", "b"])[0]


def test_every_number_of_every_tree_is_a_double_and_the_rows_are_cast_once() -> None:
    model = voting()
    assert len(trees(model)) == 2
    for tree in trees(model):
        kinds = {entry.name: entry.t.data_type for entry in tree.attribute if entry.type == onnx.AttributeProto.TENSOR}
        assert kinds.keys() >= {"nodes_values_as_tensor", "target_weights_as_tensor"}
        assert set(kinds.values()) == {TensorProto.DOUBLE}
        assert not any(entry.type == onnx.AttributeProto.FLOATS for entry in tree.attribute)
    assert len({tree.input[0] for tree in trees(model)}) == 1
    wide = [node for node in model.graph.node if node.output[0] == trees(model)[0].input[0]]
    assert [node.op_type for node in wide] == ["Cast"]
    assert soundness_problems(model.SerializeToString(), ("", "ai.onnx.ml")) == []


def test_splits_are_those_of_float32() -> None:
    model = extra("sklearn.ensemble").RandomForestRegressor(3, max_depth=3).fit(ROWS, TARGET)
    splits = split_thresholds(convert(model, ["a", "b"])[0], ["a", "b"])
    assert splits
    for values in splits.values():
        assert values.tolist() == values.astype(np.float32).tolist()


def test_a_model_without_trees_stays_as_it_is() -> None:
    model = linear([1, 2])
    before = model.SerializeToString()
    sum_trees_in_double(model)
    assert model.SerializeToString() == before


def test_a_model_of_trees_alone_learns_to_cast() -> None:
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", target_weights=[0.5])
    model = finished(helper.make_graph([node], "tree", [], []), domains=["ai.onnx.ml"])
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    sum_trees_in_double(model)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"ai.onnx.ml": 3, "": 13}
    assert [node.op_type for node in model.graph.node] == ["Cast", "TreeEnsembleRegressor"]
