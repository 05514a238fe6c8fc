"""The histogram-based gradient boosting of scikit-learn as ONNX. skl2onnx 1.20 cannot convert it with protobuf 7.

Its trees are read from where skl2onnx reads them, attributes that scikit-learn calls its own. If they change, or mean
something else, the conversion fails, or scores as another model would and is refused.
"""

from typing import Any

import numpy as np
from onnx import TensorProto

from .rounding import floor_float32


def convert_histograms(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a `HistGradientBoostingRegressor` or `HistGradientBoostingClassifier`, for skl2onnx."""
    model = operator.raw_operator
    if model.is_categorical_ is not None:
        raise NotImplementedError("its categorical features are not converted: leave categorical_features out")
    log_link = type(model._loss.link).__name__ == "LogLink"
    outputs = [entry.full_name for entry in operator.outputs]
    classifier = hasattr(model, "classes_")
    raw = scope.get_unique_variable_name("raw") if classifier or log_link else outputs[0]
    container.add_node(
        "TreeEnsembleRegressor",
        operator.input_full_names,
        [raw],
        op_domain="ai.onnx.ml",
        op_version=3,
        name=scope.get_unique_operator_name("TreeEnsembleRegressor"),
        n_targets=model.n_trees_per_iteration_,
        base_values=np.ravel(model._baseline_prediction).tolist(),
        **_trees(model),
    )
    if classifier:
        _add_chances(scope, container, model, raw, outputs)
    elif log_link:
        container.add_node("Exp", [raw], outputs, name=scope.get_unique_operator_name("Exp"))


def _trees(model: Any) -> dict[str, list[Any]]:
    written: dict[str, list[Any]] = {
        "nodes_treeids": [],
        "nodes_nodeids": [],
        "nodes_featureids": [],
        "nodes_modes": [],
        "nodes_values": [],
        "nodes_truenodeids": [],
        "nodes_falsenodeids": [],
        "nodes_missing_value_tracks_true": [],
        "target_treeids": [],
        "target_nodeids": [],
        "target_ids": [],
        "target_weights": [],
    }
    trees = [(target, tree) for round_ in model._predictors for target, tree in enumerate(round_)]
    for number, (target, tree) in enumerate(trees):
        for place, node in enumerate(tree.nodes):
            leaf = bool(node["is_leaf"])
            # A leaf's other fields hold whatever was in memory.
            row = {
                "nodes_treeids": number,
                "nodes_nodeids": place,
                "nodes_featureids": 0 if leaf else int(node["feature_idx"]),
                "nodes_modes": "LEAF" if leaf else "BRANCH_LEQ",
                "nodes_values": 0.0 if leaf else floor_float32(float(node["num_threshold"])),
                "nodes_truenodeids": 0 if leaf else int(node["left"]),
                "nodes_falsenodeids": 0 if leaf else int(node["right"]),
                "nodes_missing_value_tracks_true": 0 if leaf else int(node["missing_go_to_left"]),
            }
            if leaf:
                row |= {
                    "target_treeids": number,
                    "target_nodeids": place,
                    "target_ids": target,
                    "target_weights": float(node["value"]),
                }
            for key, value in row.items():
                written[key].append(value)
    return written


def _add_chances(scope: Any, container: Any, model: Any, raw: str, outputs: list[str]) -> None:
    """Turn raw scores into the chance of each class, and into the likeliest class."""

    def add(kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        output = output or scope.get_unique_variable_name(kind.lower())
        container.add_node(kind, inputs, [output], name=scope.get_unique_operator_name(kind), **attributes)
        return output

    label, chances = outputs
    if model.n_trees_per_iteration_ == 1:
        # The sigmoid of the negative: 1 less a chance that rounds to 1 would be 0.
        negative = add("Neg", [raw])
        add("Concat", [add("Sigmoid", [negative]), add("Sigmoid", [raw])], chances, axis=1)
    else:
        add("Softmax", [raw], chances, axis=1)
    classes, names = scope.get_unique_variable_name("classes"), np.asarray(model.classes_)
    text = names.dtype.kind not in "iub"
    values = [str(name).encode() for name in names] if text else names.astype(np.int64).tolist()
    container.add_initializer(classes, TensorProto.STRING if text else TensorProto.INT64, [len(names)], values)
    add("Gather", [classes, add("ArgMax", [chances], axis=1, keepdims=0)], label)
