"""What a gate file names twice: pytest runs the last of two functions of one name, and a choice of one of two gates."""

import ast
import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from .loaded import parsed


def named_twice(item: pytest.Item) -> list[str]:
    """Say which functions, classes and gates a gate's file names more than once; nothing for another kind of test."""
    module = item.getparent(pytest.Module)
    if module is None:
        return []
    names = Counter(_bound(parsed(module.path).body, module))
    gates = Counter(_gates(vars(module.obj), module))
    found = [f"{times} times the function or class {name}" for name, times in names.items() if times > 1]
    return found + [f"{times} times the gate {name}" for name, times in gates.items() if times > 1]


def _bound(body: list[ast.stmt], module: pytest.Module, inside: str = "") -> Iterator[str]:
    """Every name of a test or a class of tests that the statements of a file, or of a class, give to something."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names = [statement.name]
            case ast.Assign():
                names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            case ast.Import() | ast.ImportFrom():
                names = [alias.asname or alias.name for alias in statement.names]
            case _:
                names = []
        for name in names:
            if module.funcnamefilter(name) or module.classnamefilter(name):
                yield inside + name
        if isinstance(statement, ast.ClassDef):
            yield from _bound(statement.body, module, f"{inside}{statement.name}.")


def _gates(known: dict[str, Any], module: pytest.Module) -> Iterator[str]:
    """Every gate that a module or a class defines, whichever of them was asked for."""
    for name, value in known.items():
        if inspect.isclass(value) and module.classnamefilter(name):
            yield from _gates(dict(vars(value)), module)
        elif module.funcnamefilter(name):
            marks = [mark for mark in getattr(value, "pytestmark", []) if mark.name == "gate"]
            yield from (str(mark.args[0]) for mark in marks[:1] if mark.args)
