"""Where each value in force comes from: a team's file with its line, the packaged file, or other keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..storage.toml_positions import Keys, Positions


@dataclass(frozen=True, slots=True)
class Layer:
    """Tables of a file, and where their keys stand; the packaged ones have no positions."""

    file: str | None
    tables: dict[str, Any]
    positions: Positions | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A value in force. `file` is None for a packaged one; `computed` says that it follows from other keys."""

    key: Keys
    value: Any
    file: str | None
    line: int | None
    computed: bool = False

    @property
    def source(self) -> str:
        """Name where it comes from, for people; a team's file by its name alone."""
        if self.computed:
            return "computed"
        return f"{self.file.rpartition('/')[2]}:{self.line}" if self.file else "packaged"


def values(in_force: msgspec.Struct, layers: Sequence[Layer]) -> Iterator[Value]:
    """Yield every value in force with its source.

    Parameters
    ----------
    in_force : Struct
        A policy, or operations.
    layers : sequence of Layer
        What it was read from; a later one counts before those that come first.
    """
    for key, value in _leaves(in_force, ()):
        if value is None:
            continue
        layer = next((layer for layer in reversed(layers) if _has(layer.tables, key)), None)
        if layer is not None:
            yield Value(key, value, layer.file, layer.positions.of(key)[0] if layer.positions else None)
        elif value != ():
            yield Value(key, value, None, None, computed=True)


def _leaves(value: Any, key: Keys) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            yield from _leaves(getattr(value, field.name), (*key, field.encode_name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*key, name))
    elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
        for index, item in enumerate(value):
            yield from _leaves(item, (*key, index))
    else:
        yield key, value


def _has(tables: Any, key: Keys) -> bool:
    for name in key:
        try:
            tables = tables[name]
        except (KeyError, IndexError, TypeError):
            return False
    return True
