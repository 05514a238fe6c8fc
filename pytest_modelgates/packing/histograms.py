"""The histogram-based gradient boosting of scikit-learn as ONNX. skl2onnx 1.20 cannot convert it with protobuf 7.

Its trees are read from where skl2onnx reads them, attributes that scikit-learn calls its own. If they change, or mean
something else, the conversion fails, or scores as another model would and is refused.
"""

from typing import Any

import numpy as np
from onnx import TensorProto

from .codes import Categories
from .rounding import floor_float32


def convert_histograms(scope: Any, operator: Any, container: Any, *, categories: Categories) -> None:
    """Add the nodes of a `HistGradientBoostingRegressor` or `HistGradientBoostingClassifier`, for skl2onnx."""
    model = operator.raw_operator
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
        **_trees(model, _Categorical(model, categories)),
    )
    if classifier:
        asked = container.get_options(model, {"raw_scores": False})["raw_scores"]
        _add_chances(scope, container, model, raw, outputs, raw_scores=asked)
    elif log_link:
        container.add_node("Exp", [raw], outputs, name=scope.get_unique_operator_name("Exp"))


class _Categorical:
    """The categories of a model: what its numbers are in a row, and on which side of a split a row goes by equality.

    It numbers them anew, and takes these features before the others.
    """

    def __init__(self, model: Any, declared: Categories) -> None:
        own = model.is_categorical_
        self.columns = list(range(model.n_features_in_))
        self._values: list[list[float]] = []
        if own is None:
            return
        self.columns = [*np.flatnonzero(own).tolist(), *np.flatnonzero(~own).tolist()]
        encoder, names = model._preprocessor.named_transformers_["encoder"], getattr(model, "feature_names_in_", None)
        for column, given in zip(self.columns, encoder.categories_, strict=False):
            texts = declared.get(names[column]) if names is not None else None
            # An encoder before it may have made numbers of the texts, under the same name.
            self._values.append(
                [texts.index(each) if texts and isinstance(each, str) else float(each) for each in given]
            )
        self._known, self._rows = model._bin_mapper.make_known_categories_bitsets()

    def split(self, tree: Any, node: Any) -> tuple[list[float], bool]:
        """Give the values of those categories that go where missing ones do not, and whether that is to the left."""
        feature, missing_left = int(node["feature_idx"]), bool(node["missing_go_to_left"])
        left = _members(tree.raw_left_cat_bitsets[node["bitset_idx"]])
        those = _members(self._known[self._rows[feature]]) - left if missing_left else left
        return [self._values[feature][code] for code in sorted(those)], not missing_left


def _members(bitset: Any) -> set[int]:
    return {32 * place + bit for place, word in enumerate(bitset) for bit in range(32) if int(word) >> bit & 1}


def _trees(model: Any, categorical: _Categorical) -> dict[str, list[Any]]:
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

    def write(number: int, place: int, column: int, mode: str, value: float, true: int, false: int, nan: int) -> None:
        row = (number, place, column, mode, value, true, false, nan)
        for key, entry in zip(written, row, strict=False):
            written[key].append(entry)

    trees = [(target, tree) for round_ in model._predictors for target, tree in enumerate(round_)]
    for number, (target, tree) in enumerate(trees):
        free = len(tree.nodes)
        for place, node in enumerate(tree.nodes):
            if node["is_leaf"]:  # its other fields hold whatever was in memory
                write(number, place, 0, "LEAF", 0.0, 0, 0, 0)
                for key, entry in zip(list(written)[8:], (number, place, target, float(node["value"])), strict=True):
                    written[key].append(entry)
                continue
            column, left, right = categorical.columns[node["feature_idx"]], int(node["left"]), int(node["right"])
            if not node["is_categorical"]:
                value = floor_float32(float(node["num_threshold"]))
                write(number, place, column, "BRANCH_LEQ", value, left, right, int(node["missing_go_to_left"]))
                continue
            values, to_left = categorical.split(tree, node)
            true, other = (left, right) if to_left else (right, left)
            # One node for each value; what equals none of them, as NaN does, leaves the chain at its end.
            places = [place, *range(free, free + len(values) - 1)]
            free += len(values) - 1
            for here, following, value in zip(places, [*places[1:], other], values, strict=True):
                write(number, here, column, "BRANCH_EQ", value, true, following, 0)
    return written


def _add_chances(scope: Any, container: Any, model: Any, raw: str, outputs: list[str], *, raw_scores: bool) -> None:
    """Turn raw scores into the chance of each class, unless they are asked for, and into the likeliest class."""

    def add(kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        output = output or scope.get_unique_variable_name(kind.lower())
        container.add_node(kind, inputs, [output], name=scope.get_unique_operator_name(kind), **attributes)
        return output

    label, chances = outputs
    if raw_scores:
        both = [add("Neg", [raw]), raw] if model.n_trees_per_iteration_ == 1 else [raw]
        add("Concat", both, chances, axis=1)
    elif model.n_trees_per_iteration_ == 1:
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
