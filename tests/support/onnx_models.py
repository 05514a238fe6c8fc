"""Small ONNX models, built by hand, and the sidecars that go with them."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytest_modelgates.model.schema import schema_crc32
from pytest_modelgates.model.sidecar import Feature, Output, Sidecar

KINDS = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


def linear(
    weights: Sequence[float],
    *,
    dtype: str = "float32",
    columns: Sequence[str] = (),
    dtypes: Mapping[str, str] | None = None,
    rows: int | str | None = None,
    width: int | str | None = None,
    opset: int = 15,
) -> onnx.ModelProto:
    """Build ``score = features @ weights``, shape (n_rows, 1), from one matrix, or from one input for each column."""
    dtypes = dtypes or dict.fromkeys(columns, dtype)
    names, each = (list(dtypes), 1) if dtypes else (["features"], width or len(weights))
    inputs = [helper.make_tensor_value_info(name, KINDS[dtypes.get(name, dtype)], [rows, each]) for name in names]
    nodes = [helper.make_node("Cast", [name], [f"{name}/float"], to=TensorProto.FLOAT) for name in names]
    nodes += [
        helper.make_node("Concat", [f"{name}/float" for name in names], ["rows"], axis=1),
        helper.make_node("MatMul", ["rows", "weights"], ["score"]),
    ]
    values = numpy_helper.from_array(np.array(weights, dtype=np.float32)[:, None], "weights")
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])]
    return finished(helper.make_graph(nodes, "by hand", inputs, outputs, [values]), opset=opset)


def finished(graph: onnx.GraphProto, *, opset: int = 15, domains: Sequence[str] = ()) -> onnx.ModelProto:
    """Make a model of a graph."""
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def one_node(
    op: str, *, shape: Sequence[int | None] = (None, 2), domain: str = "", **attributes: object
) -> onnx.ModelProto:
    """Build ``score = op(features)``."""
    node = helper.make_node(op, ["features"], ["score"], domain=domain, **attributes)
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, shape)]
    return finished(helper.make_graph([node], "by hand", inputs, outputs), domains=[domain] if domain else [])


def write_with_data_outside(model: onnx.ModelProto, folder: Path) -> Path:
    """Save a model whose weights lie in a file beside it."""
    path = folder / "outside.onnx"
    onnx.save(model, path, save_as_external_data=True, location="outside.bin", size_threshold=0)
    return path


def sidecar(
    *names: str, dtype: str = "float32", output: str = "score", index: int = 0, nullable: bool = False
) -> Sidecar:
    """Describe features of one dtype, each its own group."""
    return Sidecar(
        features=tuple(Feature(name=name, dtype=dtype, group=name, nullable=nullable) for name in names),
        schema_crc32=schema_crc32((name, dtype) for name in names),
        output=Output(name=output, index=index),
        time="time",
        asset="asset",
        target="target",
        horizon=1,
        trained_until=date(2019, 12, 31),
        tried=1,
    )
