"""Changes of a twin's ONNX model."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..errors import ModelgatesError
from ..model.candidate import Candidate
from ..model.directory import MODEL
from ..model.onnx_checks import inputs_of, parse_onnx
from ..model.session import OnnxModel
from ..stats.agreement import disordered
from ..stats.spread import spread

__all__ = [
    "batch_mean",
    "foreign_operator",
    "perturbed_weights",
    "renamed_input",
]

SEED = 20200101
# Attributes in which operators keep fitted numbers; all others are in initializers.
FITTED = (
    "leaf_weights",
    "coefficients",
    "intercepts",
    *(f"{kind}_weights{form}" for kind in ("target", "class") for form in ("", "_as_tensor")),
)


def write_model(target: Path, model: onnx.ModelProto) -> None:
    """Replace the ONNX model."""
    (target / MODEL).write_bytes(model.SerializeToString(deterministic=True))


def foreign_operator(target: Path) -> None:
    """Add an operator of a domain that no policy allows."""
    model = parse_onnx(Candidate(target).onnx_bytes)
    model.opset_import.append(helper.make_opsetid("org.example.twin", 1))
    model.graph.node.append(
        helper.make_node("Foreign", [model.graph.input[0].name], ["twin/foreign"], domain="org.example.twin")
    )
    write_model(target, model)


def renamed_input(target: Path) -> None:
    """Make the model ask for an input that is not a feature: in place of its first, or beside its only matrix."""
    model = parse_onnx(Candidate(target).onnx_bytes)
    inputs = inputs_of(model.graph)
    if len(inputs) == 1:  # a matrix may have any name, so renaming it would change nothing
        inputs.append(model.graph.input.add())
        inputs[1].CopyFrom(inputs[0])
        inputs[1].name = "twin/renamed"
    else:
        model.graph.node.insert(0, helper.make_node("Identity", ["twin/renamed"], [inputs[0].name]))
        inputs[0].name = "twin/renamed"
    write_model(target, model)


def perturbed_weights(target: Path) -> None:
    """Add noise to every fitted number; if that leaves the order of the rows alone, add a large term instead."""
    candidate, rng = Candidate(target), np.random.default_rng(SEED)

    def shaken(values: NDArray[np.generic]) -> NDArray[np.generic]:
        noise = rng.standard_normal(values.shape) * np.abs(values).max(initial=0)
        return np.asarray(values + noise, dtype=values.dtype)

    model = parse_onnx(candidate.onnx_bytes)
    attributes = [entry for node in model.graph.node for entry in node.attribute if entry.name in FITTED]
    for entry in attributes:
        if entry.type == onnx.AttributeProto.FLOATS:
            entry.floats[:] = shaken(np.array(entry.floats)).tolist()
    tensors = [entry.t for entry in attributes if entry.type == onnx.AttributeProto.TENSOR]
    for tensor in [*model.graph.initializer, *tensors]:
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
            tensor.CopyFrom(numpy_helper.from_array(shaken(numpy_helper.to_array(tensor)), tensor.name))
    # A tenth of the spread of a day's scores is far above any difference that parity tolerates.
    panel = candidate.panel
    margin = 0.1 * spread(panel.native_scores, panel.day_codes).typical
    try:
        scores = OnnxModel(bytes(model.SerializeToString()), candidate.sidecar).predict(panel.features)
        seen = disordered(panel.native_scores, scores, panel.day_codes, margin=margin) > 0
    except ModelgatesError:  # the noise broke the model, which is not the fault meant here
        seen = False
    if not seen:
        # The term goes against the scores: one that went with them could leave their order as it was.
        feature = panel.features[:, 0].astype(np.float64)
        against = -1.0 if np.nan_to_num((feature - feature.mean()) * candidate.scores).sum() > 0 else 1.0
        model = with_term(candidate, 0, 100 * against)
    write_model(target, model)


def with_term(candidate: Candidate, position: int, size: float) -> onnx.ModelProto:
    """Add a feature to the score, `size` times as large as the score itself."""
    model, sidecar = parse_onnx(candidate.onnx_bytes), candidate.sidecar
    spread = np.nanstd(candidate.panel.features[:, position].astype(np.float64)) or 1.0
    factor = size * (float(candidate.scores.std()) or 1.0) / float(spread)
    graph, name = model.graph, sidecar.output.name
    kind = _output_renamed(graph, name)
    inputs = {entry.name for entry in inputs_of(model.graph)}
    column = sidecar.names[position]
    if column not in inputs or len(inputs) < len(sidecar.names):
        graph.node.append(helper.make_node("Gather", [*inputs, "twin/position"], ["twin/column"], axis=1))
        column = "twin/column"
    shape = np.array([-1, 1][: max(len(kind.shape.dim), 1)], dtype=np.int64)
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([position], dtype=np.int64), "twin/position"),
            numpy_helper.from_array(shape, "twin/shape"),
            numpy_helper.from_array(np.array(factor, dtype=dtype), "twin/factor"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Cast", [column], ["twin/cast"], to=kind.elem_type),
            helper.make_node("Reshape", ["twin/cast", "twin/shape"], ["twin/shaped"]),
            helper.make_node("Mul", ["twin/shaped", "twin/factor"], ["twin/term"]),
            helper.make_node("Add", ["twin/score", "twin/term"], [name]),
        ]
    )
    _import_operators(model)
    return model


def batch_mean(target: Path) -> None:
    """Subtract the mean score of the batch, as a normalisation that was left in training mode does."""
    candidate = Candidate(target)
    model, name = parse_onnx(candidate.onnx_bytes), candidate.sidecar.output.name
    _output_renamed(model.graph, name)
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["twin/score"], ["twin/mean"]),
            helper.make_node("Sub", ["twin/score", "twin/mean"], [name]),
        ]
    )
    _import_operators(model)
    write_model(target, model)


def _output_renamed(graph: onnx.GraphProto, name: str) -> onnx.TypeProto.Tensor:
    """Call the model's own score `twin/score`, so that what is made of it takes its name; and give its type."""
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = ["twin/score" if end == name else end for end in ends]
    (tensor,) = (entry.type.tensor_type for entry in graph.output if entry.name == name)
    assert isinstance(tensor, onnx.TypeProto.Tensor)
    return tensor


def _import_operators(model: onnx.ModelProto) -> None:
    """Import the operators added here, which a model of ai.onnx.ml operators alone does not."""
    if not any(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", 13))
