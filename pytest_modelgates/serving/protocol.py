"""The Open Inference Protocol, version 2: requests as JSON or binary tensors in, replies out. It knows no server.

The protocol is that of the KServe project, with the binary tensors of Triton Inference Server's extension.
"""

import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import RequestError
from ..model.session import Tensor
from ..storage.strict_json import TOO_DEEP, repeated_key
from ..storage.text import cut, listed

DATATYPES = {"float32": "FP32", "float64": "FP64", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}
MOST_ROWS = 2**16  # of a request, which others wait for
_LENGTH = 4  # bytes before each string of a binary tensor
_KEPT, _SHORT = 256, 2048  # headers of binary requests that are kept as read, and bytes of the longest of them
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Of a request; it stands in the log beside each of its rows.
RequestId = Annotated[str, msgspec.Meta(max_length=256)]


class Parameters(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a client asks of a tensor, or of all of them; other parameters are not ours and are read over."""

    binary_data: bool | None = None
    binary_data_size: int | None = None
    binary_data_output: bool | None = None


class InputTensor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A tensor of a request."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
    parameters: Parameters | None = None


class OutputTensor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A tensor that a client asks for."""

    name: str
    parameters: Parameters | None = None


class InferRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A request, without its binary tensors."""

    inputs: list[InputTensor]
    id: RequestId | None = None
    outputs: list[OutputTensor] | None = None
    parameters: Parameters | None = None


class Heading(NamedTuple):
    """What the JSON of a request says: its tensors, each with dtype, rows and columns, and how the answer is wanted."""

    tensors: list[tuple[InputTensor, str, int, int]]
    keys: list[str]
    request: str | None
    binary: bool


class Asked(NamedTuple):
    """What a client wants scored, and how it wants the answer."""

    matrix: NDArray[np.generic]
    names: dict[str, list[str]]
    request: str | None
    binary: bool


_LITTLE = {name: np.dtype(name).newbyteorder("<") for name in DATATYPES}
_decode = msgspec.json.Decoder(InferRequest).decode
_encode = msgspec.json.Encoder().encode
_KINDS: dict[str, type] = {"f": float, "i": int, "b": bool, "t": str}
_flat = {letter: msgspec.json.Decoder(list[kind]).decode for letter, kind in _KINDS.items()}  # type: ignore[valid-type]
_nested = {
    letter: msgspec.json.Decoder(list[list[kind]]).decode  # type: ignore[valid-type]
    for letter, kind in _KINDS.items()
}


@dataclass(frozen=True, slots=True)
class Protocol:
    """What requests for one model must hold.

    Parameters
    ----------
    model : str
        The model's name.
    version : str
        Its id.
    schema_crc32 : str
    tensors : sequence of Tensor
        The model's inputs: one of n columns, or one column each.
    keys : sequence of str
        The columns that name a row (time, asset). A request may bring them as tensors of strings.
    output : str
        The name of the score.
    """

    model: str
    version: str
    schema_crc32: str
    tensors: Sequence[Tensor]
    keys: Sequence[str]
    output: str
    _known: Callable[[bytes], Heading] = field(init=False)
    _head: Callable[[int], bytes] = field(init=False)

    def __post_init__(self) -> None:
        # A client sends the same header before other numbers, and it is read once; so with what is written.
        object.__setattr__(self, "_known", lru_cache(_KEPT)(self._heading))
        object.__setattr__(self, "_head", lru_cache(_KEPT)(self._binary_head))

    def metadata(self) -> bytes:
        """Say what the model takes and gives."""
        return _encode(
            {
                "name": self.model,
                "versions": [self.version],
                "platform": "onnxruntime_onnx",
                "inputs": [
                    {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": [-1, tensor.columns]}
                    for tensor in self.tensors
                ],
                "outputs": [{"name": self.output, "datatype": "FP64", "shape": [-1, 1]}],
                "parameters": {"schema_crc32": self.schema_crc32, "row_keys": ",".join(self.keys)},
            }
        )

    def read(self, body: bytes, header_length: int | None) -> Asked:
        """Read a request.

        Parameters
        ----------
        body : bytes
        header_length : int, optional
            How many bytes of it are JSON; binary tensors follow. All of it is JSON if left out.

        Raises
        ------
        RequestError
            If it is not what this model takes; the message names the tensor.
        """
        size = len(body) if header_length is None else header_length
        if not 0 <= size <= len(body):
            raise RequestError(f"Inference-Header-Content-Length is {size}, the body has {len(body)} bytes")
        heading = (self._known if header_length is not None and size <= _SHORT else self._heading)(body[:size])
        found: dict[str, NDArray[Any]] = {}
        place = size
        for tensor, dtype, rows, columns in heading.tensors:
            length = tensor.parameters.binary_data_size if tensor.parameters else None
            if length is None:
                found[tensor.name] = _from_json(tensor, dtype, rows, columns)
                continue
            if not 0 <= length <= len(body) - place:
                raise RequestError(
                    f"input {tensor.name!r} has {cut(str(length))} bytes of binary data, "
                    f"but {len(body) - place} are left"
                )
            found[tensor.name] = _from_binary(body[place : place + length], tensor, dtype, rows, columns)
            place += length
        if place != len(body):
            raise RequestError(
                f"{len(body) - place} bytes follow the last tensor; a tensor states its binary_data_size"
            )
        first, *others = self.tensors
        matrix = found[first.name]
        if others:
            matrix = np.hstack([matrix, *(found[tensor.name] for tensor in others)])
        names = {key: found[key][:, 0].tolist() for key in heading.keys} if heading.keys else {}
        return Asked(matrix, names, heading.request, heading.binary)

    def reply(self, asked: Asked, scores: Sequence[float | None]) -> tuple[bytes, int | None]:
        """Write a reply to a request all of whose rows have scores; say how many bytes are JSON if a tensor follows."""
        if not asked.binary:
            return self._said(len(scores), {"data": scores}, asked.request), None
        head = self._head(len(scores)) if asked.request is None else self._binary_head(len(scores), asked.request)
        return head + struct.pack(f"<{len(scores)}d", *scores), len(head)

    def _binary_head(self, rows: int, request: str | None = None) -> bytes:
        return self._said(rows, {"parameters": {"binary_data_size": 8 * rows}}, request)

    def _said(self, rows: int, values: dict[str, Any], request: str | None) -> bytes:
        output = {"name": self.output, "datatype": "FP64", "shape": [rows, 1]} | values
        said: dict[str, Any] = {"model_name": self.model, "model_version": self.version, "outputs": [output]}
        return _encode(said if request is None else said | {"id": request})

    def _heading(self, content: bytes) -> Heading:
        try:
            request = _decode(content)
        except NOT_JSON as error:
            raise RequestError(f"not a request of the Open Inference Protocol in JSON ({said_of(error)})") from error
        # Written anew, it has as many quotes, unless a key came twice, is not ours, or something is escaped.
        texts = 0 if b"\\" in content else _encode(request).count(b'"') // 2
        if (twice := repeated_key(content, texts=texts)) is not None:
            raise RequestError(f"key {cut(twice)!r} appears twice; give it once")
        found: dict[str, tuple[InputTensor, str, int, int]] = {}
        for tensor in request.inputs:
            if tensor.name in found:
                raise RequestError(f"input {cut(tensor.name)!r} appears twice; give it once")
            dtype, columns = self._wanted(tensor)
            if tensor.parameters and tensor.parameters.binary_data_size is not None and bytes(tensor.data):
                raise RequestError(f"input {tensor.name!r} has data and binary_data_size; give one of them")
            found[tensor.name] = tensor, dtype, self._rows(tensor, columns), columns
        if missing := [tensor.name for tensor in self.tensors if tensor.name not in found]:
            raise RequestError(f"input {missing[0]!r} is missing")
        if len({rows for _, _, rows, _ in found.values()}) != 1:
            shapes = ", ".join(f"{cut(name)} {rows}" for name, (_, _, rows, _) in found.items())
            raise RequestError(f"the inputs differ in their number of rows: {shapes}")
        keys = [key for key in self.keys if key in found]
        if keys and len(keys) != len(self.keys):
            raise RequestError(f"of the row keys only {listed(keys)} came; give all of {listed(self.keys)}, or none")
        binary = bool(request.parameters and request.parameters.binary_data_output)
        for output in request.outputs or ():
            if output.name != self.output:
                raise RequestError(f"no output is called {cut(output.name)!r}; the model gives {self.output!r}")
            if output.parameters and output.parameters.binary_data is not None:
                binary = output.parameters.binary_data
        return Heading([*found.values()], keys, request.id, binary)

    def _wanted(self, tensor: InputTensor) -> tuple[str, int]:
        for known in self.tensors:
            if known.name == tensor.name:
                if tensor.datatype != DATATYPES[known.dtype]:
                    raise RequestError(
                        f"input {known.name!r} has datatype {cut(tensor.datatype)}, expected {DATATYPES[known.dtype]}"
                    )
                return known.dtype, known.columns
        if tensor.name in self.keys:
            if tensor.datatype != "BYTES":
                raise RequestError(f"input {tensor.name!r} has datatype {cut(tensor.datatype)}, expected BYTES")
            return "text", 1
        known_names = listed([*(known.name for known in self.tensors), *self.keys])
        raise RequestError(f"no input is called {cut(tensor.name)!r}; the model takes {known_names}")

    def _rows(self, tensor: InputTensor, columns: int) -> int:
        shape = tensor.shape
        if tensor.name in self.keys and len(shape) == 1:
            shape = [*shape, 1]
        if len(shape) != 2 or shape[1] != columns or not 0 <= shape[0] <= MOST_ROWS:
            raise RequestError(
                f"input {tensor.name!r} has shape {cut(str(tensor.shape))}, "
                f"expected [n, {columns}] for at most {MOST_ROWS} rows"
            )
        return shape[0]


def said_of(error: Exception) -> str:
    """Say what is wrong with JSON."""
    return TOO_DEEP if isinstance(error, RecursionError) else str(error)


def _is_nested(data: msgspec.Raw) -> bool:
    start = re.match(rb"\s*\[\s*\[", data)
    return start is not None


def _from_json(tensor: InputTensor, dtype: str, rows: int, columns: int) -> NDArray[Any]:
    kind, values = _KINDS[dtype[0]], list[Any]()
    try:
        if nested := _is_nested(tensor.data):
            table = _nested[dtype[0]](tensor.data)
            values = [value for row in table for value in row]
        else:
            values = _flat[dtype[0]](tensor.data)
    except NOT_JSON as error:
        raise RequestError(f"input {tensor.name!r}: not {tensor.datatype} as JSON has it ({said_of(error)})") from error
    if nested and any(len(row) != columns for row in table):
        raise RequestError(f"input {tensor.name!r}: a row that has not {columns} values")
    if len(values) != rows * columns:
        raise RequestError(f"input {tensor.name!r}: {len(values)} values for shape {tensor.shape}")
    if kind is str:
        return np.array(values, dtype=object).reshape(rows, columns)
    try:
        with np.errstate(over="ignore"):
            found = np.array(values).astype(dtype) if kind is float else np.array(values, dtype=dtype)
    except OverflowError as error:
        raise RequestError(f"input {tensor.name!r}: a value that {tensor.datatype} cannot hold") from error
    if kind is float and np.isinf(found).any() and not any(map(math.isinf, values)):
        raise RequestError(f"input {tensor.name!r}: a value that {tensor.datatype} cannot hold")
    return found.reshape(rows, columns)


def _from_binary(content: bytes, tensor: InputTensor, dtype: str, rows: int, columns: int) -> NDArray[Any]:
    if dtype == "text":
        return np.array(_texts(content, tensor.name, rows), dtype=object).reshape(rows, columns)
    little = _LITTLE[dtype]
    if len(content) != rows * columns * little.itemsize:
        raise RequestError(
            f"input {tensor.name!r} has {len(content)} bytes, "
            f"expected {rows * columns * little.itemsize} for shape {tensor.shape}"
        )
    if dtype == "bool" and content.strip(b"\0\1"):
        raise RequestError(f"input {tensor.name!r}: a truth value that is neither 0 nor 1")
    return np.frombuffer(content, dtype=little).reshape(rows, columns)


def _texts(content: bytes, name: str, rows: int) -> list[str]:
    texts, place = list[str](), 0
    while place < len(content):
        end = place + _LENGTH + int.from_bytes(content[place : place + _LENGTH], "little")
        if end > len(content) or place + _LENGTH > len(content):
            raise RequestError(f"input {name!r}: a string is longer than the tensor")
        try:
            texts.append(content[place + _LENGTH : end].decode())
        except UnicodeDecodeError as error:
            raise RequestError(f"input {name!r}: a string that is not UTF-8") from error
        place = end
    if len(texts) != rows:
        raise RequestError(f"input {name!r} holds {len(texts)} strings, expected {rows}")
    return texts
