"""The Open Inference Protocol: what a request may hold, and what is said of one that does not."""

import json
import re
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.errors import RequestError
from pytest_modelgates.model.session import Tensor
from pytest_modelgates.serving.protocol import MOST_ROWS, Asked, Protocol

ONE = Protocol("model", "1700000000", "00000000", [Tensor("X", "float32", 2)], ("time", "asset"), "score")
MANY = Protocol(
    "model",
    "1700000000",
    "00000000",
    [Tensor("a", "float64", 1), Tensor("b", "int64", 1), Tensor("c", "bool", 1)],
    (),
    "score",
)
X: dict[str, Any] = {"name": "X", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, -0.0, 1e-3]}
TIME = {"name": "time", "shape": [2], "datatype": "BYTES", "data": ["2026-01-02", "2026-01-02"]}
ASSET = {"name": "asset", "shape": [2, 1], "datatype": "BYTES", "data": ["A", "é"]}


def asked(*inputs: dict[str, Any], protocol: Protocol = ONE, **more: Any) -> Asked:
    """Read a request in JSON."""
    return protocol.read(json.dumps({"inputs": inputs} | more).encode(), None)


def binary(tensors: list[tuple[dict[str, Any], bytes]], **more: Any) -> tuple[bytes, int]:
    """Write a request with binary tensors."""
    inputs = [
        {key: value for key, value in entry.items() if key != "data"}
        | {"parameters": {"binary_data_size": len(content)}}
        for entry, content in tensors
    ]
    header = json.dumps({"inputs": inputs} | more).encode()
    return header + b"".join(content for _, content in tensors), len(header)


def test_a_matrix_comes_flat_or_nested() -> None:
    for data in (X["data"], [[1, 2.5], [-0.0, 1e-3]]):
        found = asked(X | {"data": data}, id="7")
        assert found.matrix.dtype == np.float32
        assert found.matrix.tolist() == [[1, 2.5], [-0.0, np.float32(1e-3)]]
        assert np.signbit(found.matrix[1, 0])
        assert (found.names, found.request, found.binary) == ({}, "7", False)


def test_row_keys_come_as_strings() -> None:
    found = asked(TIME, X, ASSET)
    assert found.names == {"time": ["2026-01-02"] * 2, "asset": ["A", "é"]}


def test_one_input_a_feature_keeps_each_dtype() -> None:
    columns = [
        {"name": "c", "shape": [2, 1], "datatype": "BOOL", "data": [True, False]},
        {"name": "a", "shape": [2, 1], "datatype": "FP64", "data": [0.1, 3]},
        {"name": "b", "shape": [2, 1], "datatype": "INT64", "data": [[5], [-6]]},
    ]
    assert asked(*columns, protocol=MANY).matrix.tolist() == [[0.1, 5, 1], [3, -6, 0]]


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2), max_size=20))
@settings(deadline=None)
def test_binary_tensors_arrive_bit_by_bit(rows: list[list[float]]) -> None:
    matrix = np.array(rows, dtype="<f4").reshape(len(rows), 2)
    entry = {"name": "X", "shape": [len(rows), 2], "datatype": "FP32"}
    body, size = binary([(entry, matrix.tobytes())])
    assert ONE.read(body, size).matrix.tobytes() == matrix.tobytes()


def test_binary_strings_have_their_length_before_them() -> None:
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"A", "é".encode()))
    body, size = binary([(ASSET, texts), (TIME, b"".join([struct.pack("<I", 10) + b"2026-01-02"] * 2)), (X, bytes(16))])
    assert ONE.read(body, size).names["asset"] == ["A", "é"]


def test_replies_are_json_or_binary_as_asked() -> None:
    scores = np.array([0.25, -1.0])
    body, length = ONE.reply(asked(X, id="7"), scores.tolist())
    assert length is None
    assert json.loads(body) == {
        "model_name": "model",
        "model_version": "1700000000",
        "outputs": [{"name": "score", "datatype": "FP64", "shape": [2, 1], "data": [0.25, -1.0]}],
        "id": "7",
    }
    for more in (
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "score", "parameters": {"binary_data": True}}]},
    ):
        body, length = ONE.reply(asked(X, **more), scores.tolist())
        assert length is not None
        assert json.loads(body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 16}
        assert body[length:] == scores.tobytes()


def test_metadata_names_what_the_model_takes() -> None:
    said = json.loads(MANY.metadata())
    assert [(entry["name"], entry["datatype"], entry["shape"]) for entry in said["inputs"]] == [
        ("a", "FP64", [-1, 1]),
        ("b", "INT64", [-1, 1]),
        ("c", "BOOL", [-1, 1]),
    ]
    assert said["parameters"] == {"schema_crc32": "00000000", "row_keys": ""}


TWICE = [
    pytest.param(b'{"inputs":[%s],"id":"1","id":"2"}', "id", id="of-the-request"),
    pytest.param(b'{"inputs":[],"inputs":[%s]}', "inputs", id="the-inputs"),
    pytest.param(b'{"inputs":[%s],"id":"\\u0022\\u0022","id":"1"}', "id", id="beside-escaped-quotes"),
    pytest.param(b'{"inputs":[%s],"parameters":{"ours":1,"ours":2}}', "ours", id="in-parameters-that-are-not-ours"),
]


@pytest.mark.parametrize(("body", "key"), TWICE)
def test_a_key_that_comes_twice_is_refused(body: bytes, key: str) -> None:
    with pytest.raises(RequestError, match=f"^key '{key}' appears twice; give it once$"):
        ONE.read(body % json.dumps(X).encode(), None)


def test_a_tensor_that_has_its_data_twice_is_refused_in_json_and_before_binary_data() -> None:
    body = json.dumps({"inputs": [X | {"other": 0}]}).encode().replace(b'"other": 0', b'"data": [0, 0, 0, 0]')
    with pytest.raises(RequestError, match="key 'data' appears twice"):
        ONE.read(body, None)
    sent, size = binary([(X, bytes(16))])
    header = sent[:size].replace(b'"shape"', b'"shape": [1, 2], "shape"')
    with pytest.raises(RequestError, match="key 'shape' appears twice"):
        ONE.read(header + sent[size:], len(header))


def test_keys_that_are_not_ours_nulls_and_escapes_are_read_over() -> None:
    assert asked(TIME, X | {"parameters": {"a": None}}, ASSET, id=None, parameters={"x": {"y": '"'}}).names


BAD: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
    ([], {}, "input 'X' is missing"),
    ([X, X], {}, "input 'X' appears twice; give it once"),
    ([X | {"name": "x"}], {}, "no input is called 'x'; the model takes X, time, asset"),
    ([X | {"datatype": "FP64"}], {}, "input 'X' has datatype FP64, expected FP32"),
    ([TIME | {"datatype": "FP32"}], {}, "input 'time' has datatype FP32, expected BYTES"),
    ([X | {"shape": [4]}], {}, f"input 'X' has shape [4], expected [n, 2] for at most {MOST_ROWS} rows"),
    ([X | {"shape": [2, 3]}], {}, f"input 'X' has shape [2, 3], expected [n, 2] for at most {MOST_ROWS} rows"),
    ([X | {"shape": [-1, 2]}], {}, f"input 'X' has shape [-1, 2], expected [n, 2] for at most {MOST_ROWS} rows"),
    ([X | {"shape": [2**40, 2]}], {}, f"input 'X' has shape [{2**40}, 2], expected [n, 2] for at most {MOST_ROWS} ro"),
    ([X | {"shape": [3, 2]}], {}, "input 'X': 4 values for shape [3, 2]"),
    ([X | {"data": [[1, 2, 3], [4]]}], {}, "input 'X': a row that has not 2 values"),
    ([X | {"data": ["1", 2, 3, 4]}], {}, "input 'X': not FP32 as JSON has it ("),
    ([X | {"data": [True, 2, 3, 4]}], {}, "input 'X': not FP32 as JSON has it ("),
    ([X | {"data": [None, 2, 3, 4]}], {}, "input 'X': not FP32 as JSON has it ("),
    ([X | {"data": [1e39, 2, 3, 4]}], {}, "input 'X': a value that FP32 cannot hold"),
    ([{"name": "X", "shape": [2, 2], "datatype": "FP32"}], {}, "input 'X': not FP32 as JSON has it ("),
    ([X, TIME], {}, "of the row keys only time came; give all of time, asset, or none"),
    (
        [X, TIME | {"shape": [1], "data": ["t"]}, ASSET],
        {},
        "the inputs differ in their number of rows: X 2, time 1",
    ),
    ([X], {"outputs": [{"name": "y"}]}, "no output is called 'y'; the model gives 'score'"),
    ([X], {"inputs": 1}, "not a request of the Open Inference Protocol in JSON ("),
]


@pytest.mark.parametrize(("inputs", "more", "says"), BAD)
def test_a_request_that_the_model_does_not_take_is_refused_by_name(
    inputs: list[dict[str, Any]], more: dict[str, Any], says: str
) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(says)}") as refused:
        asked(*inputs, **more)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("content", "change", "says"),
    [
        (bytes(15), {}, "input 'X' has 15 bytes, expected 16 for shape [2, 2]"),
        (bytes(16), {"parameters": {"binary_data_size": 17}}, "input 'X' has 17 bytes of binary data, but 16 are left"),
        (bytes(16), {"parameters": {"binary_data_size": -1}}, "input 'X' has -1 bytes of binary data, but 16 are left"),
        (bytes(20), {"parameters": {"binary_data_size": 16}}, "4 bytes follow the last tensor; a tensor states its"),
    ],
)
def test_binary_data_of_another_length_are_refused(content: bytes, change: dict[str, Any], says: str) -> None:
    entry = {"name": "X", "shape": [2, 2], "datatype": "FP32"}
    header = json.dumps({"inputs": [entry | {"parameters": {"binary_data_size": len(content)}} | change]}).encode()
    with pytest.raises(RequestError, match=f"^{re.escape(says)}"):
        ONE.read(header + content, len(header))


@pytest.mark.parametrize("length", [-1, 10**6])
def test_a_header_longer_than_the_body_is_refused(length: int) -> None:
    with pytest.raises(RequestError, match=rf"^Inference-Header-Content-Length is {length}, the body has 2 bytes$"):
        ONE.read(b"{}", length)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (struct.pack("<I", 9) + b"A", "input 'asset': a string is longer than the tensor"),
        (b"\1\0", "input 'asset': a string is longer than the tensor"),
        (struct.pack("<I", 1) + b"\xff", "input 'asset': a string that is not UTF-8"),
        (struct.pack("<I", 1) + b"A", "input 'asset' holds 1 strings, expected 2"),
    ],
)
def test_strings_that_are_none_are_refused(content: bytes, says: str) -> None:
    body, size = binary([(ASSET, content), (TIME, b""), (X, bytes(16))])
    with pytest.raises(RequestError, match=f"^{re.escape(says)}$"):
        ONE.read(body, size)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"name": "b", "datatype": "INT64", "data": [2**63]}, "input 'b': a value that INT64 cannot hold"),
        ({"name": "b", "datatype": "INT64", "data": [1.5]}, "input 'b': not INT64 as JSON has it ("),
        ({"name": "c", "datatype": "BOOL", "data": [1]}, "input 'c': not BOOL as JSON has it ("),
    ],
)
def test_nothing_is_converted_from_one_kind_to_another(entry: dict[str, Any], says: str) -> None:
    kinds = {"a": "FP64", "b": "INT64", "c": "BOOL"}
    inputs = {name: {"name": name, "shape": [1, 1], "datatype": kind, "data": []} for name, kind in kinds.items()}
    inputs["a"]["data"] = [0]
    inputs["b"]["data"] = [0]
    inputs[entry["name"]] |= entry
    with pytest.raises(RequestError, match=f"^{re.escape(says)}"):
        asked(*inputs.values(), protocol=MANY)


def test_a_truth_value_is_one_bit() -> None:
    kinds = (("a", "FP64", bytes(8)), ("b", "INT64", bytes(8)), ("c", "BOOL", b"\2"))
    body, size = binary([({"name": name, "shape": [1, 1], "datatype": kind}, data) for name, kind, data in kinds])
    with pytest.raises(RequestError, match=r"^input 'c': a truth value that is neither 0 nor 1$"):
        MANY.read(body, size)


def test_a_header_that_is_sent_again_is_read_with_the_numbers_that_follow_it() -> None:
    for number in (1, 2, 3):
        body, size = binary([(X, np.full(4, number, dtype="<f4").tobytes())], id="7")
        found = ONE.read(body, size)
        assert (found.matrix.tolist(), found.request) == ([[number] * 2] * 2, "7")
        for wrong, says in ((body[:-1], "15 are left"), (body + b"\0", "1 bytes follow the last tensor")):
            with pytest.raises(RequestError, match=says):
                ONE.read(wrong, size)


@given(st.binary(max_size=200), st.none() | st.integers(0, 200))
@settings(deadline=None)
def test_no_body_is_more_than_refused(body: bytes, length: int | None) -> None:
    with pytest.raises(RequestError):
        ONE.read(body, length)


def test_of_flat_values_the_wrong_one_is_named() -> None:
    for value, kind in ((None, "null"), ("x", "str")):
        with pytest.raises(
            RequestError, match=rf"^input 'X': not FP32 as JSON has it \(Expected `float`, got `{kind}`"
        ):
            asked(X | {"data": [1, value, 3, 4]})


def test_a_tensor_is_in_json_or_in_binary_but_not_both() -> None:
    body, length = binary([(X | {"parameters": {}}, np.zeros(4, dtype="<f4").tobytes())])
    body, length = body.replace(b'"name"', b'"data": [], "name"'), length + len(b'"data": [], ')
    with pytest.raises(RequestError, match=r"^input 'X' has data and binary_data_size; give one of them$"):
        ONE.read(body, length)
