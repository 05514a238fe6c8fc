"""Each cause of a difference is named by the trace that it leaves."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_modelgates.model.causes import likely_cause
from pytest_modelgates.model.parity import Comparison
from tests.support.onnx_models import finished, linear, sidecar

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.standard_normal((400, 2)).astype(np.float32)
SCORES = ROWS.astype(np.float64) @ [10.0, 1.0]


def cause(model: onnx.ModelProto, native: np.ndarray, *, rows: np.ndarray = ROWS, output: str = "score") -> str:
    described = sidecar("a", "b", output=output)
    compared = Comparison.of(rows, native)
    return likely_cause(model.SerializeToString(), described, compared, otherwise="nothing is known")


def in_half_precision() -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])]
    weights = numpy_helper.from_array(np.array([[10 / 3], [1 / 3]], np.float16), "weights")
    nodes = [
        helper.make_node("Cast", ["features"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["half", "weights"], ["product"]),
        helper.make_node("Cast", ["product"], ["score"], to=TensorProto.FLOAT),
    ]
    return finished(helper.make_graph(nodes, "half", inputs, outputs, [weights]))


def quantised() -> onnx.ModelProto:
    model = linear([10, 1])
    model.graph.node[-1].output[0] = "exact"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "step"))
    model.graph.node.append(helper.make_node("QuantizeLinear", ["exact", "step"], ["coarse"]))
    model.graph.node.append(helper.make_node("DequantizeLinear", ["coarse", "step"], ["score"]))
    return model


def of_two_outputs() -> onnx.ModelProto:
    """Give the score as column 1 of another output."""
    model = linear([3, -4])
    model.graph.initializer.append(numpy_helper.from_array(np.array([[0, 10], [5, 1]], np.float32), "both"))
    model.graph.node.append(helper.make_node("MatMul", ["rows", "both"], ["chances"]))
    model.graph.output.append(helper.make_tensor_value_info("chances", TensorProto.FLOAT, [None, 2]))
    return model


def one_split(at: float) -> onnx.ModelProto:
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["score"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_values=[at, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[-1.0, 1.0],
    )
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])]
    return finished(helper.make_graph([node], "tree", inputs, outputs), domains=["ai.onnx.ml"])


def holed(native: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = ROWS.copy()
    rows[::50, 0] = np.nan
    return rows, np.where(np.isnan(rows[:, 0]), 0.5, native)


def rows_at(split: float) -> np.ndarray:
    rows = ROWS.copy()
    rows[:30, 0] = np.float32(split)
    return rows


few = np.where(np.arange(400) == 7, SCORES + 3, SCORES)
near = np.float32(0.1)
CAUSES = [
    pytest.param(
        in_half_precision(), SCORES / 3, "the ONNX model computes in float16: export it in float32", id="half"
    ),
    pytest.param(quantised(), SCORES, "the ONNX model computes in int8: export it in float32", id="quantised"),
    pytest.param(
        of_two_outputs(),
        SCORES,
        "column 1 of output 'chances' agrees: pack with output = ('chances', 1)",
        id="another-output",
    ),
    pytest.param(
        linear([10, 1]),
        -SCORES,
        "ONNX Runtime's score is -1 times the native one plus *: look for a sign, a unit or a scaling *",
        id="the-opposite",
    ),
    pytest.param(
        linear([10, 1]),
        SCORES / 1.001,
        "ONNX Runtime's score is 1.001 times the native one plus *: look for a sign, *",
        id="a-factor",
    ),
    pytest.param(
        linear([10, 1]),
        1 / (1 + np.exp(-SCORES / 5)),
        "both rank the rows alike: look for a last step that only one of them has, such as a sigmoid",
        id="a-sigmoid",
    ),
    pytest.param(linear([10, 1]), few, "only 1 of 400 rows differ, row 7 first: *", id="one-row"),
    pytest.param(linear([10, 1]), SCORES[::-1].copy(), "nothing is known", id="another-model"),
]


@pytest.mark.parametrize(("model", "native", "message"), CAUSES)
def test_a_cause_is_named_with_what_to_do(model: onnx.ModelProto, native: np.ndarray, message: str) -> None:
    assert re.fullmatch(re.escape(message).replace(r"\*", ".*"), cause(model, native))


def test_rows_at_a_split_are_named_only_if_they_are_those_that_differ() -> None:
    rows = rows_at(0.1)
    native = np.where(rows[:, 0] < near, -1.0, 1.0)  # it sends the split's own value the other way
    assert cause(one_split(float(near)), native, rows=rows).startswith(
        "all 30 rows that differ lie at a split of a tree"
    )
    opposite = np.where(rows[:, 0] <= near, 1.0, -1.0)
    assert cause(one_split(float(near)), opposite, rows=rows).startswith("ONNX Runtime's score is -1 times ")


def test_an_infinite_split_is_a_split_of_missing_values() -> None:
    assert cause(one_split(np.inf), np.where(ROWS[:, 0] < 0, -1.0, 1.0)) == "nothing is known"


def test_a_missing_value_that_is_treated_otherwise_is_named() -> None:
    rows, native = holed(np.where(ROWS[:, 0] <= near, -1.0, 1.0))
    assert cause(one_split(float(near)), native, rows=rows).startswith("only rows with NaN differ: fill")


def test_scores_that_are_not_finite_are_counted() -> None:
    rows = ROWS.copy()
    rows[:3, 1] = np.nan
    assert cause(linear([10, 1]), SCORES, rows=rows).startswith("3 rows have a score that is NaN or infinite: ")


def test_what_float32_rounds_beside_an_offset_is_called_that() -> None:
    model = linear([1e-3, 1])
    rows = np.column_stack([ROWS[:, 0], np.full(400, 4000, np.float32)])
    found = cause(model, rows.astype(np.float64) @ [1e-3, 1.0], rows=rows)
    assert found.startswith("scores around 4000 that spread by 0.001")
    assert found.endswith("are rounded by float32: take a constant out of the target, or score the rarer class")
