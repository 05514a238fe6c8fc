"""TOML files of a team's own, each read over a packaged one."""

from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from ..errors import FormatError, PolicyError
from ..storage.paths import kind_of
from ..storage.strict_json import read_bytes, typed
from ..storage.toml import parse_toml

T = TypeVar("T")


def packaged(name: str) -> dict[str, Any]:
    """Read a file of this package."""
    return parse_toml((resources.files(__package__) / name).read_bytes())


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a file of a team's own; `what` is its name in messages.

    Raises
    ------
    PolicyError
        If it is missing, cannot be read, or is not TOML.
    """
    try:
        if kind_of(path) is None:
            raise PolicyError(f"{path}: no such {what}")
        content = read_bytes(path)
    except FormatError as error:
        raise PolicyError(str(error)) from error
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return parse_toml(content)
    except FormatError as error:
        raise PolicyError(f"{path}: not TOML ({error})") from error


def over(default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Put the keys of one table over those of another, and so on in the tables that both have."""
    merged = dict(default)
    for key, value in own.items():
        merged[key] = (
            over(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
        )
    return merged


def checked(tables: dict[str, Any], kind: type[T], source: str) -> T:
    """Give tables their type; an unknown key or a wrong type is an error that names it."""
    try:
        return typed(tables, kind, source)
    except (FormatError, RecursionError) as error:
        raise PolicyError(str(error)) from error
