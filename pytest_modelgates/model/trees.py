"""Where the trees of an ONNX model split the features. Runs nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from .onnx_checks import all_nodes, inputs_of

_TREES = {"TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble"}
# Node modes of `TreeEnsemble` below this one compare with a number; the last tests membership of a set.
_COMPARES = 6

Thresholds = dict[int, NDArray[np.float64]]


def split_thresholds(model: onnx.ModelProto, names: Sequence[str]) -> Thresholds | None:
    """Read the values at which trees split each feature.

    Parameters
    ----------
    model : onnx.ModelProto
    names : sequence of str
        Features in the sidecar's order.

    Returns
    -------
    dict of int to ndarray of float64, or None
        Sorted split values by position of the feature; empty without trees. None if trees are given other columns than
        the features, such as scaled ones, whose thresholds say nothing about rows.
    """
    splits: dict[int, set[float]] = {}
    for tree in all_nodes(model):
        if tree.op_type not in _TREES:
            continue
        columns = _columns(model.graph, tree.input[0], names)
        if columns is None:
            return None
        for column, value in _splits(tree):
            splits.setdefault(columns[column], set()).add(value)
    return {position: np.array(sorted(values)) for position, values in splits.items()}


def _columns(graph: onnx.GraphProto, name: str, features: Sequence[str]) -> list[int] | None:
    """Find which features the columns of a tensor are; None if they are computed or belong to a subgraph."""
    inputs = [entry.name for entry in inputs_of(graph)]
    if inputs == [name]:
        return list(range(len(features)))
    if name in inputs:
        return [features.index(name)] if name in features else None
    node = next((node for node in graph.node if name in node.output), None)
    if node is None or node.op_type not in ("Identity", "Cast", "Concat"):
        return None
    parts = [_columns(graph, part, features) for part in node.input]
    return None if None in parts else [column for part in parts if part for column in part]


def _splits(tree: onnx.NodeProto) -> list[tuple[int, float]]:
    given: dict[str, Any] = {entry.name: onnx.helper.get_attribute_value(entry) for entry in tree.attribute}
    if tree.op_type == "TreeEnsemble":
        values = onnx.numpy_helper.to_array(given["nodes_splits"])
        compares = [mode < _COMPARES for mode in onnx.numpy_helper.to_array(given["nodes_modes"]).tolist()]
    else:
        stored = given.get("nodes_values_as_tensor")  # of models in double precision
        values = given["nodes_values"] if stored is None else onnx.numpy_helper.to_array(stored)
        compares = [mode != b"LEAF" for mode in given["nodes_modes"]]
    nodes = zip(given["nodes_featureids"], values, compares, strict=True)
    return [(column, float(value)) for column, value, compare in nodes if compare]
