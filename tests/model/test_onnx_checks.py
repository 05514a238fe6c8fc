"""What is found in an ONNX file before anything runs it."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_modelgates.errors import FormatError, OnnxError
from pytest_modelgates.model.onnx_checks import (
    CRC_KEY,
    FEATURES_KEY,
    external_data_problems,
    input_dtypes,
    parse_onnx,
    recorded_schema,
    soundness_problems,
)
from tests.support.onnx_models import finished, linear, one_node, write_with_data_outside

DOMAINS = ("", "ai.onnx.ml")


def outside(name: str) -> onnx.TensorProto:
    """Name a tensor whose data lie in another file of this machine."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def branch(*nodes: onnx.NodeProto, weights: list[onnx.TensorProto] | None = None) -> onnx.ModelProto:
    """Build a model whose nodes lie in the branches of an If."""
    out = [helper.make_tensor_value_info("score", TensorProto.FLOAT, None)]
    inner = helper.make_graph(list(nodes), "inner", [], out, weights or [])
    condition = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], ["score"], then_branch=inner, else_branch=inner)
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    return finished(helper.make_graph([node], "outer", inputs, out, [condition]))


def function(*nodes: onnx.NodeProto, opset: int = 15) -> onnx.ModelProto:
    """Build a model whose nodes lie in a function of its own."""
    model = one_node("Own", domain="own")
    body = helper.make_function("own", "Own", ["features"], ["score"], list(nodes), [helper.make_opsetid("", opset)])
    model.functions.append(body)
    return model


def with_weight(tensor: onnx.TensorProto) -> onnx.ModelProto:
    """Add a tensor that nothing uses."""
    model = linear([1, 2])
    model.graph.initializer.append(tensor)
    return model


def with_sparse_weight(tensor: onnx.TensorProto) -> onnx.ModelProto:
    """Add a sparse tensor that nothing uses."""
    model = linear([1, 2])
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    return model


def with_training_weight(tensor: onnx.TensorProto) -> onnx.ModelProto:
    """Add a tensor that only training would use."""
    model = linear([1, 2])
    model.training_info.add().algorithm.initializer.append(tensor)
    return model


def with_default(tensor: onnx.TensorProto) -> onnx.ModelProto:
    """Build a function whose constant is the default of an attribute of its own."""
    constant = helper.make_node("Constant", [], ["score"])
    constant.attribute.add(name="value", ref_attr_name="weights", type=onnx.AttributeProto.TENSOR)
    model = function(constant)
    model.functions[0].attribute_proto.append(helper.make_attribute("weights", tensor))
    return model


EXTERNAL = {
    "training": with_training_weight,
    "initializer": with_weight,
    "sparse-initializer": with_sparse_weight,
    "constant": lambda tensor: branch(helper.make_node("Constant", [], ["score"], value=tensor)),
    "sparse-constant": lambda tensor: branch(
        helper.make_node("Constant", [], ["score"], sparse_value=onnx.SparseTensorProto(values=tensor))
    ),
    "weight-of-a-branch": lambda tensor: branch(helper.make_node("Identity", ["w"], ["score"]), weights=[tensor]),
    "default-of-a-function": with_default,
    "constant-of-a-function": lambda tensor: function(helper.make_node("Constant", [], ["score"], value=tensor)),
}


@pytest.mark.parametrize("place", EXTERNAL.values(), ids=EXTERNAL)
def test_data_outside_the_file_are_found_wherever_they_hide(place: Callable[..., onnx.ModelProto]) -> None:
    message = "tensor 'w' lies outside the file (external data)"
    assert message in external_data_problems(place(outside("w")))
    assert message in soundness_problems(place(outside("w")).SerializeToString(), ("", "own"))
    inside = numpy_helper.from_array(np.ones(1, np.float32), "w")
    assert external_data_problems(place(inside)) == []


def test_data_that_only_name_a_file_are_found_too() -> None:
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "w")
    tensor.external_data.add(key="location", value="outside.bin")
    assert external_data_problems(with_weight(tensor)) == ["tensor 'w' lies outside the file (external data)"]


def test_a_file_saved_with_its_data_beside_it_is_not_sound(tmp_path: Path) -> None:
    content = write_with_data_outside(linear([1, 2]), tmp_path).read_bytes()
    assert soundness_problems(content, DOMAINS) == ["tensor 'weights' lies outside the file (external data)"]


@pytest.mark.parametrize("columns", [(), ("a", "b")], ids=["matrix", "columns"])
@pytest.mark.parametrize("opset", [8, 15, 21])
def test_a_sound_model_has_no_problems(opset: int, columns: tuple[str, ...]) -> None:
    assert soundness_problems(linear([1, 2], opset=opset, columns=columns).SerializeToString(), DOMAINS) == []


UNSOUND = [
    pytest.param(linear([1, 2], opset=7), ["opset 7 is older than 8"], id="old-opset"),
    pytest.param(
        one_node("Gelu", domain="com.microsoft"),
        ["operator domain 'com.microsoft' is not allowed"],
        id="unexpected-domain",
    ),
    pytest.param(
        finished(linear([1, 2]).graph, domains=["com.microsoft"]),
        ["operator domain 'com.microsoft' is not allowed"],
        id="unexpected-domain-without-node",
    ),
    pytest.param(
        branch(helper.make_node("Identity", ["yes"], ["x"]), helper.make_node("Evil", ["x"], ["score"], domain="evil")),
        ["operator domain 'evil' is not allowed", "ONNX checker: *"],
        id="unexpected-domain-in-a-branch",
    ),
    pytest.param(
        function(helper.make_node("Evil", ["features"], ["score"], domain="evil")),
        ["operator domain 'evil' is not allowed", "operator domain 'own' is not allowed", "ONNX checker: *"],
        id="unexpected-domain-in-a-function",
    ),
    pytest.param(
        function(helper.make_node("Relu", ["features"], ["score"]), opset=7),
        ["operator domain 'own' is not allowed", "opset 7 is older than 8", "*"],
        id="old-opset-in-a-function",
    ),
    pytest.param(
        one_node("NoSuchOperator"), ["ONNX checker: No Op registered for NoSuchOperator *"], id="no-such-node"
    ),
    pytest.param(one_node("Relu", shape=(None, 3)), ["ONNX checker: *"], id="shapes-that-disagree"),
]


@pytest.mark.parametrize(("model", "problems"), UNSOUND)
def test_what_is_not_sound_is_said(model: onnx.ModelProto, problems: list[str]) -> None:
    found = soundness_problems(model.SerializeToString(), DOMAINS)
    for line, expected in zip(found, problems, strict=False):
        assert re.fullmatch(re.escape(expected).replace(r"\*", ".*"), line)
    assert len(found) in (len(problems), len(problems) - problems.count("*"))


def test_domains_of_the_policy_are_allowed_and_the_long_name_of_the_default_one() -> None:
    model = finished(linear([1, 2]).graph, domains=["com.microsoft"])
    assert soundness_problems(model.SerializeToString(), ("", "com.microsoft")) == []
    model = linear([1, 2])
    model.opset_import[0].domain = "ai.onnx"
    assert soundness_problems(model.SerializeToString(), DOMAINS) == []
    model.graph.node[0].domain = "ai.onnx"
    assert soundness_problems(model.SerializeToString(), DOMAINS) == []


GARBLED = {
    "node": linear([1, 2]).SerializeToString().replace(b"MatMul", b"MatM\xff\xff"),
    "property": linear([1, 2]).SerializeToString() + b"\x72\x06\x0a\x01a\x12\x01\xff",
}


@pytest.mark.parametrize("content", GARBLED.values(), ids=GARBLED)
def test_a_name_that_is_no_text_is_not_onnx(content: bytes) -> None:
    """Protobuf gives such a name as bytes, and code that expects text would raise."""
    assert onnx.load_model_from_string(content)
    with pytest.raises(OnnxError, match=r"^model\.onnx: not an ONNX file \(a name in it is not UTF-8\)$"):
        parse_onnx(content)


@pytest.mark.parametrize("content", [b"not an ONNX file", b"\x00", linear([1, 2]).SerializeToString()[:-5]])
def test_bytes_that_are_no_model_are_refused_in_a_line(content: bytes) -> None:
    with pytest.raises(OnnxError, match=r"^model\.onnx: not an ONNX file \(.+\)$"):
        parse_onnx(content)


def test_an_empty_file_is_not_sound() -> None:
    assert any("ONNX checker" in problem for problem in soundness_problems(b"", DOMAINS))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_dtypes_of_the_features_are_those_of_the_inputs(dtype: str) -> None:
    expected = {"a": dtype, "b": dtype}
    assert input_dtypes(linear([1, 2], dtype=dtype), ["a", "b"]) == expected
    assert input_dtypes(linear([1, 2], dtype=dtype, columns=["b", "a"]), ["a", "b"]) == expected


def test_weights_that_are_listed_as_inputs_are_no_features() -> None:
    model = linear([1, 2])
    model.graph.input.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, [2, 1]))
    assert input_dtypes(model, ["a", "b"]) == {"a": "float32", "b": "float32"}


def test_inputs_that_are_other_features_are_refused() -> None:
    message = "model.onnx: takes a, x; expected one matrix, or one input for each of a, b"
    with pytest.raises(OnnxError, match=f"^{re.escape(message)}$"):
        input_dtypes(linear([1, 2], columns=["a", "x"]), ["a", "b"])


def test_an_input_that_is_no_tensor_is_refused() -> None:
    model = linear([1, 2])
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("features", TensorProto.FLOAT, None))
    message = "model.onnx: input 'features' is not a tensor of numbers; export the model with tensors"
    with pytest.raises(OnnxError, match=f"^{re.escape(message)}$"):
        input_dtypes(model, ["a", "b"])


def test_schema_is_read_from_the_properties_of_the_file() -> None:
    model = linear([1, 2])
    assert recorded_schema(model.SerializeToString()) == (None, None)
    helper.set_model_props(model, {FEATURES_KEY: '["a","b"]', CRC_KEY: "00000000"})
    assert recorded_schema(model.SerializeToString()) == (["a", "b"], "00000000")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "modelgates.features: Expected `str`, got `int` - at `$[0]`"),
        ("a,b", "modelgates.features: not JSON in UTF-8 (Expecting value: line 1 column 1 (char 0))"),
    ],
    ids=["numbers", "no-json"],
)
def test_schema_in_the_file_that_is_no_list_of_names_is_refused(text: str, message: str) -> None:
    model = linear([1, 2])
    helper.set_model_props(model, {FEATURES_KEY: text})
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        recorded_schema(model.SerializeToString())
