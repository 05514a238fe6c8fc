"""Values that every format can carry, whatever other tests and plugins attached to a report."""

import math
from typing import Any


def carried(value: Any) -> Any:
    """Make a value one that xdist can send: it knows Python's own types alone, and ends a worker over any other."""
    match value:
        case dict():
            return {carried(key): carried(entry) for key, entry in value.items()}
        case tuple():
            return tuple(map(carried, value))
        case list():
            return list(map(carried, value))
        case bool() | bytes() | None:
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case _ if hasattr(value, "tolist"):  # numpy's and pandas' numbers and arrays
            return carried(value.tolist())
        case _:
            return str(value).encode("utf-8", "backslashreplace").decode()


def as_json(value: Any) -> Any:
    """Make a value one that JSON can hold: it has neither NaN nor infinity."""
    return _strict(carried(value))


def _strict(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _strict(entry) for key, entry in value.items()}
        case list() | tuple():
            return list(map(_strict, value))
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return str(value)
        case _:
            return value
