"""What packing must know besides the model and the panel, and the sidecar that it makes from that."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Required, TypedDict, TypeVar

import msgspec
import onnx

from ..errors import PackError
from ..model.onnx_checks import input_dtypes
from ..model.schema import schema_crc32
from ..model.sidecar import Count, Positive, Sidecar, Task
from ..model.sidecar import Name as ModelName
from ..storage.strict_json import canonical, parse_json
from ..storage.text import listed, printable

T = TypeVar("T")
HINTS = {
    "categories": "; give each feature that is text with its texts, such as {'sector': ['bank', 'tech']}",
    "trained_until": "; give a date, such as timestamp.date()",
    "nullable": "; give a list of feature names",
}
Name = Annotated[str, msgspec.Meta(min_length=1)]


class Description(TypedDict, total=False):
    """The keywords of `pack` that may be left out, explained there; a packing list has the same keys."""

    name: ModelName
    task: Task
    horizon: Count
    metric: str | None
    trained_until: date | None
    tried: Positive | None
    time: str | None
    asset: str | None
    target: str
    target_neutralised: bool
    volume: str | None
    nullable: Sequence[str]
    categories: dict[str, list[str]]
    output: tuple[str, Count] | None
    scored_class: str | int | bool | None
    code: str | None
    data: str | None


class Arguments(Description):
    """The keywords of `pack` that describe a model, with those that it must have."""

    features: Required[dict[str, str]]
    changes: Required[str]


def check_arguments(features: object, changes: object, described: Mapping[str, Any]) -> Arguments:
    """Check what a user says of a model, and name the argument that cannot be true.

    Raises
    ------
    PackError
        If it has another type than `pack` asks for, says nothing, or contradicts the features.
    """
    if not isinstance(features, Mapping):
        raise PackError(
            f"features: expected a mapping from each feature to its group, such as {{'momentum': 'price'}}, "
            f"got {type(features).__name__}"
        )
    for name, group in features.items():
        if not (isinstance(name, str) and isinstance(group, str)):
            raise PackError(f"features[{name!r}]: expected text for feature and group, got {group!r}")
    stated = {name: value for name, value in described.items() if value is not None}
    nullable = stated.get("nullable", ())
    if isinstance(nullable, Iterable) and not isinstance(nullable, str | Mapping):
        stated["nullable"] = list(nullable)  # an index of pandas, or an array
    checked = _typed({"features": dict(features), "changes": changes, **stated}, Arguments, list(features))
    if not checked["changes"].strip():
        raise PackError("no changes given: say in a line what changed and why, for the readers of CHANGES.md")
    if not checked["features"]:
        raise PackError("no features given: name them with their groups, in the order the model takes them")
    if stray := sorted(set(checked.get("nullable", ())) - set(features)):
        raise PackError(
            f"nullable names {listed(map(repr, stray))}, not among the features; give a list of feature names"
        )
    _check_categories(checked)
    return checked


def _check_categories(checked: Arguments) -> None:
    for name, texts in checked.get("categories", {}).items():
        if name not in checked["features"]:
            raise PackError(f"categories names {name!r}, not among the features; give feature names with their texts")
        if len(set(texts)) < max(1, len(texts)):
            raise PackError(f"categories[{name!r}] must be different texts, at least one, in the order of their codes")


def describe(proto: onnx.ModelProto, arguments: Arguments, output: tuple[str, int] | None) -> Sidecar:
    """Make the sidecar of a model: what it takes and gives by itself, the rest as described, or by default.

    `output` is the one that was chosen, and its column; without, it is the last.

    Raises
    ------
    FormatError
        If a feature has a name that no schema can hold.
    PackError
        If the sidecar could not be read again, or the model has no output.
    """
    features = arguments["features"]
    dtypes, nullable = input_dtypes(proto, list(features)), arguments.get("nullable", ())
    categories = arguments.get("categories", {})
    if whole := [name for name in nullable if name in categories and not dtypes[name].startswith("float")]:
        raise PackError(
            f"nullable names {listed(map(repr, whole))}, whose text is never missing for this model: call what is "
            "missing a category of its own"
        )
    columns = {"time": "time", "asset": "asset"} if arguments.get("task", "signal") == "signal" else {}
    wanted = {
        "tried": None,
        "target": "target",
        **columns,
        **{name: value for name, value in arguments.items() if name in Sidecar.__struct_fields__},
        "features": [
            {"name": name, "dtype": dtypes[name], "group": group, "nullable": name in nullable}
            | ({"categories": categories[name]} if name in categories else {})
            for name, group in features.items()
        ],
        "schema_crc32": schema_crc32(dtypes.items()),
        "output": _output(proto, output),
    }
    if wanted.get("time") is not None and wanted.get("trained_until") is None:
        raise PackError(
            "trained_until is missing: give the last date, of prices or others, that any training label used"
        )
    return _typed({name: _plain(name, value) for name, value in wanted.items()}, Sidecar, list(features))


def _plain(argument: str, value: object) -> Any:
    """Write a value as JSON and read it again, as the sidecar will be."""
    try:
        return parse_json(canonical(value), argument)
    except UnicodeEncodeError as error:
        raise PackError(f"{argument}: {error}; give text that UTF-8 can hold") from error


def _typed(value: Any, kind: type[T], features: Sequence[str]) -> T:
    """Convert to a type, or name the argument that does not fit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise PackError(printable(_by_argument(str(error), features))) from error


def _by_argument(message: str, features: Sequence[str]) -> str:
    """Put the argument first that a message names as a place in the sidecar."""
    found = re.fullmatch(r"(.*) - at `(?:key in )?\$\.(\w+)(?:\[(\d+)\])?.*`", message, re.DOTALL)
    if found is None:
        return message
    what, argument, number = found.groups()
    what += HINTS.get(argument, "")
    return (
        f"{argument}[{features[int(number)]!r}]: {what}" if argument == "features" and number else f"{argument}: {what}"
    )


def _output(proto: onnx.ModelProto, chosen: tuple[str, int] | None) -> dict[str, Any]:
    if chosen is not None:
        return {"name": chosen[0], "index": chosen[1]}
    if not proto.graph.output:
        raise PackError("the ONNX model has no output; is it an ONNX model at all?")
    last = proto.graph.output[-1]
    dims = last.type.tensor_type.shape.dim
    return {"name": last.name, "index": max(dims[1].dim_value - 1, 0) if len(dims) > 1 else 0}
