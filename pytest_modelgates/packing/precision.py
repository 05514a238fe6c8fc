"""Sums of trees in double precision, as the native libraries add them up."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

TREES = ("TreeEnsembleRegressor", "TreeEnsembleClassifier")
# The first version of ai.onnx.ml whose trees take numbers in double precision.
ML_OPSET = 3
CAST_OPSET = 13


def sum_trees_in_double(model: onnx.ModelProto) -> None:
    """Let the trees of a converted model keep and add their numbers in double precision; in place.

    The converters write them in float32. Its rounding adds up over the trees: over 500 of a forest it reaches 5e-5 of
    the spread of the scores, as much as some real faults do. The rows stay float32, so every split decides as before.
    """
    nodes, cast = [], set()
    for node in model.graph.node:
        if node.op_type in TREES:
            rows, wide = node.input[0], f"{node.input[0]}/double"
            if rows not in cast:
                nodes.append(helper.make_node("Cast", [rows], [wide], to=onnx.TensorProto.DOUBLE))
                cast.add(rows)
            node.input[0] = wide
            for entry in [entry for entry in node.attribute if entry.type == onnx.AttributeProto.FLOATS]:
                values = numpy_helper.from_array(np.array(entry.floats, dtype=np.float64), entry.name)
                node.attribute.remove(entry)
                node.attribute.append(helper.make_attribute(f"{entry.name}_as_tensor", values))
        nodes.append(node)
    if cast:
        # Copies, for the graph's own go with its list.
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        for entry in model.opset_import:
            if entry.domain == "ai.onnx.ml":
                entry.version = max(entry.version, ML_OPSET)
        # The operators that are there already keep the version that they were written for.
        if not any(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
            model.opset_import.append(helper.make_opsetid("", CAST_OPSET))
