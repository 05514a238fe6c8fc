"""What packing must know besides the model and the panel, and the sidecar that it makes from that."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypedDict

import onnx

from ..errors import PackError
from ..model.directory import SIDECAR
from ..model.onnx_checks import input_dtypes
from ..model.schema import schema_crc32
from ..model.sidecar import Count, Positive, Sidecar, Task
from ..storage.strict_json import parse_json, readable, typed


class Description(TypedDict, total=False):
    """The keywords of `pack` that may be left out, explained there; a packing list has the same keys."""

    task: Task
    horizon: Count
    metric: str | None
    trained_until: date | None
    tried: Positive | None
    time: str | None
    asset: str | None
    target: str
    volume: str | None
    nullable: Sequence[str]
    output: tuple[str, Count] | None
    code: str | None
    data: str | None


def describe(proto: onnx.ModelProto, features: Mapping[str, str], described: Description) -> Sidecar:
    """Make the sidecar of a model: what it takes and gives by itself, the rest as described, or by default.

    Raises
    ------
    FormatError
        If the sidecar could not be read again.
    PackError
        If a value cannot be written as JSON, or the model has no output.
    """
    dtypes, nullable = input_dtypes(proto, list(features)), described.get("nullable", ())
    stated = {name: value for name, value in described.items() if value is not None}
    columns = {"time": "time", "asset": "asset"} if stated.get("task", "signal") == "signal" else {}
    wanted = {
        "tried": None,
        "target": "target",
        **columns,
        **{name: value for name, value in stated.items() if name in Sidecar.__struct_fields__},
        "features": [
            {"name": name, "dtype": dtypes[name], "group": group, "nullable": name in nullable}
            for name, group in features.items()
        ],
        "schema_crc32": schema_crc32(dtypes.items()),
        "output": _output(proto, described.get("output")),
    }
    try:
        return typed(parse_json(readable(wanted), SIDECAR), Sidecar, SIDECAR)
    except (TypeError, UnicodeEncodeError) as error:
        raise PackError(f"{SIDECAR}: {error}; give Python's own types") from error


def _output(proto: onnx.ModelProto, chosen: tuple[str, int] | None) -> dict[str, Any]:
    if chosen is not None:
        return {"name": chosen[0], "index": chosen[1]}
    if not proto.graph.output:
        raise PackError("the ONNX model has no output; is it an ONNX model at all?")
    last = proto.graph.output[-1]
    dims = last.type.tensor_type.shape.dim
    return {"name": last.name, "index": max(dims[1].dim_value - 1, 0) if len(dims) > 1 else 0}
