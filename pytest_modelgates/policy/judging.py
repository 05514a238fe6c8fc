"""Which keys of the policy judge a model. Another value of any other key voids no report and no proof."""

from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec

T = TypeVar("T")

_MARK = msgspec.Meta(extra={"judges": False})
# A key that is added without its mark voids too much, never too little.
NotJudging = Annotated[T, _MARK]


def judging(value: Any) -> Any:
    """Keep of a value what judges, as plain data: of structs the keys that are not marked, however deep they lie."""
    if isinstance(value, msgspec.Struct):
        return {name: judging(getattr(value, name)) for name in _judging_keys(type(value))}
    if isinstance(value, dict):
        return {key: judging(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [judging(item) for item in value]
    return value


@cache
def _judging_keys(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    fields = msgspec.structs.fields(kind)
    return tuple(field.name for field in fields if _MARK not in getattr(field.type, "__metadata__", ()))
