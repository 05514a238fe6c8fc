"""Optional libraries, imported where they are needed."""

import importlib
from types import ModuleType

from .errors import MissingExtraError


def extra(module: str, name: str = "pack") -> ModuleType:
    """Import a module of an optional library, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{module.partition('.')[0]} is not installed; run: pip install 'pytest-modelgates[{name}]'"
        ) from error
