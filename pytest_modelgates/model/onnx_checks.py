"""What an ONNX file must be before anything runs it: well-formed, self-contained, of known operators."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import onnx

from ..errors import OnnxError
from ..storage.strict_json import parse_json, typed
from ..storage.text import first_line, listed

T = TypeVar("T")

OLDEST_OPSET = 8
FEATURES_KEY = "modelgates.features"
CRC_KEY = "modelgates.schema_crc32"


def parse_onnx(content: bytes) -> onnx.ModelProto:
    """Parse the bytes of an ONNX file without touching any other file."""
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises DecodeError, and on some inputs other errors
        raise OnnxError(f"model.onnx: not an ONNX file ({first_line(error)})") from error
    if _is_garbled(model):
        raise OnnxError("model.onnx: not an ONNX file (a name in it is not UTF-8)")
    return model


def _is_garbled(message: Any) -> bool:
    """Whether any text is not UTF-8: protobuf then gives `bytes` where callers expect a `str`."""
    for field, value in message.ListFields():
        several = [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in several):
            return True
        if field.type == field.TYPE_MESSAGE and any(map(_is_garbled, several)):
            return True
    return False


def soundness_problems(content: bytes, domains: Sequence[str]) -> list[str]:
    """List what is wrong with an ONNX file.

    Parameters
    ----------
    content : bytes
        The file.
    domains : sequence of str
        Operator domains that may appear; ``""`` is ONNX's own.

    Returns
    -------
    list of str
        One line a problem: external data, an unknown operator domain, an old opset, whatever ONNX's checker finds.
    """
    model = parse_onnx(content)
    problems = external_data_problems(model)
    if problems:
        return problems
    opsets = [*model.opset_import, *(entry for function in model.functions for entry in function.opset_import)]
    users = [*all_nodes(model), *opsets]
    used = {user.domain for user in users}
    # "ai.onnx" is the long name of the default domain.
    problems += [f"operator domain {name!r} is not allowed" for name in sorted(used - {*domains, "ai.onnx"})]
    problems += [
        f"opset {entry.version} is older than {OLDEST_OPSET}"
        for entry in opsets
        if entry.domain in ("", "ai.onnx") and entry.version < OLDEST_OPSET
    ]
    for user in users:
        if user.domain == "ai.onnx":  # ONNX Runtime knows the long name, the checker does not
            user.domain = ""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker raises ValidationError, shape inference its own InferenceError
        problems.append(f"ONNX checker: {first_line(error)}")
    return problems


def external_data_problems(model: onnx.ModelProto) -> list[str]:
    """List tensors that lie outside the file: ONNX Runtime would read them from wherever their path leads."""
    return [
        f"tensor {tensor.name!r} lies outside the file (external data)"
        for tensor in _within(model, onnx.TensorProto)
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data
    ]


def low_precision(model: onnx.ModelProto) -> list[str]:
    """Name the kinds of numbers coarser than float32 that a model computes in."""
    coarse = {onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.BFLOAT16: "bfloat16"}
    kinds = [tensor.data_type for tensor in _within(model, onnx.TensorProto)]
    casts = [entry.i for node in all_nodes(model) for entry in node.attribute if entry.name == "to"]
    quantised = any(re.search("Quantize|^QLinear|Integer$", node.op_type) for node in all_nodes(model))
    return sorted({coarse[kind] for kind in [*kinds, *casts] if kind in coarse} | ({"int8"} if quantised else set()))


def input_dtypes(model: onnx.ModelProto, names: Sequence[str]) -> dict[str, Any]:
    """Find the numpy dtype that a model takes for each feature: from its one matrix, or one input a feature."""
    inputs = {entry.name: entry.type for entry in inputs_of(model.graph)}

    def dtype(name: str) -> str:
        if not (kind := inputs[name].tensor_type.elem_type):
            raise OnnxError(f"model.onnx: input {name!r} is not a tensor of numbers; export the model with tensors")
        return str(onnx.helper.tensor_dtype_to_np_dtype(kind))

    if set(inputs) == set(names):
        return {name: dtype(name) for name in names}
    if len(inputs) == 1:
        return dict.fromkeys(names, dtype(*inputs))
    raise OnnxError(
        f"model.onnx: takes {listed(sorted(inputs))}; expected one matrix, or one input for each of {listed(names)}"
    )


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """What a caller must give: older files list their weights among the inputs too."""
    weights = {tensor.name for tensor in graph.initializer}
    return [entry for entry in graph.input if entry.name not in weights]


def recorded_schema(content: bytes) -> tuple[list[str] | None, str | None]:
    """Read the feature names and CRC that packing wrote into `metadata_props`; None for each that is missing."""
    properties = {entry.key: entry.value for entry in parse_onnx(content).metadata_props}
    names = properties.get(FEATURES_KEY)
    parsed = None if names is None else typed(parse_json(names.encode(), FEATURES_KEY), list[str], FEATURES_KEY)
    return parsed, properties.get(CRC_KEY)


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Go through every node of a model, those of subgraphs and functions too."""
    return _within(model, onnx.NodeProto)


def _within(message: Any, kind: type[T]) -> Iterator[T]:
    """Find every message of a kind in any field: a list of fields would miss those that ONNX adds later."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for item in [value] if hasattr(value, "ListFields") else value:
                if isinstance(item, kind):
                    yield item
                yield from _within(item, kind)
