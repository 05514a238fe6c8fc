"""ONNX models that a sound-looking directory may hold: each scores the two features that the tests' ridge has."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.onnx_models import finished, linear

SCORE = "variable"


def external(location: str, **more: str) -> onnx.ModelProto:
    """Weights that lie in another file."""
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[2, 1], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    outputs = [helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, [2, 1])]
    nodes = [helper.make_node("Identity", ["weights"], [SCORE])]
    return finished(helper.make_graph(nodes, "by hand", inputs, outputs, [tensor]))


def _then(*nodes: onnx.NodeProto, domains: tuple[str, ...] = (), **constants: object) -> onnx.ModelProto:
    """A linear model whose score, called `plain`, is carried on."""
    graph = linear([0.01, 0]).graph
    graph.node[-1].output[0], graph.output[0].name = "plain", SCORE
    graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in constants.items())
    graph.node.extend(nodes)
    return finished(graph, domains=domains)


def huge() -> onnx.ModelProto:
    """256 GiB of zeros, by a file of some hundred bytes."""
    return _then(
        helper.make_node("ConstantOfShape", ["many"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["top"], keepdims=0),
        helper.make_node("Add", ["plain", "top"], [SCORE]),
        many=[2**36],
    )


def endless() -> onnx.ModelProto:
    """A loop that ends after 2^63 - 1 rounds."""
    kinds = {"i": (TensorProto.INT64, []), "on": (TensorProto.BOOL, []), "x": (TensorProto.FLOAT, None)}
    begins = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    ends = [helper.make_tensor_value_info(f"{name}/next", *kinds[name]) for name in ("on", "x")]
    steps = [helper.make_node("Identity", [name], [f"{name}/next"]) for name in ("on", "x")]
    body = helper.make_graph(steps, "body", begins, ends)
    return _then(helper.make_node("Loop", ["rounds", "yes", "plain"], [SCORE], body=body), rounds=2**63 - 1, yes=True)


def foreign() -> onnx.ModelProto:
    """An operator of another domain, which ONNX Runtime knows."""
    return _then(helper.make_node("Gelu", ["plain"], [SCORE], domain="com.microsoft"), domains=("com.microsoft",))


def unknown() -> onnx.ModelProto:
    """An operator that nobody knows."""
    return _then(helper.make_node("Evil", ["plain"], [SCORE], domain="org.evil"), domains=("org.evil",))
