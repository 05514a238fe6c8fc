"""Whose code can change what a run says: hooks and fixtures, by where they were defined."""

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..evidence.installed import Kind, installed
from ..evidence.trust import CORE, PACKAGE
from .loaded import foreign

# Hooks whose implementations can alter which gates run, how, and what is reported of them. Those of the first kind are
# called for the whole run, whichever conftest they lie in.
OF_THE_RUN = (
    "pytest_cmdline_main",
    "pytest_collection",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_deselected",
    "pytest_json_modifyreport",
    "pytest_modelgates_verdict",
    "pytest_report_collectionfinish",
    "pytest_report_from_serializable",
    "pytest_report_to_serializable",
    "pytest_runtest_protocol",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "pytest_sessionstart",
)
# Those of a conftest are called for what lies beside and below it.
OF_A_GATE = (
    "pytest_assertion_pass",
    "pytest_collect_directory",
    "pytest_collect_file",
    "pytest_collectreport",
    "pytest_collectstart",
    "pytest_exception_interact",
    "pytest_fixture_post_finalizer",
    "pytest_fixture_setup",
    "pytest_generate_tests",
    "pytest_ignore_collect",
    "pytest_itemcollected",
    "pytest_make_collect_report",
    "pytest_pycollect_makeitem",
    "pytest_pycollect_makemodule",
    "pytest_pyfunc_call",
    "pytest_runtest_call",
    "pytest_runtest_logfinish",
    "pytest_runtest_logreport",
    "pytest_runtest_logstart",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
)


def third_party_hooks(config: pytest.Config, item: pytest.Item | None = None) -> dict[str, list[str]]:
    """List the code, besides pytest and this package, that implements a hook which can alter a run.

    Parameters
    ----------
    config : Config
    item : Item, optional
        A gate; without one only the hooks of the whole run are asked.

    Returns
    -------
    dict of str to list of str
        Origin to names of hooks: an installed package by its import name, anything else by its path.
    """
    found: dict[str, set[str]] = {}
    callers = [(name, getattr(config.pluginmanager.hook, name, None)) for name in OF_THE_RUN]
    callers += [(name, _hook_of(item, name)) for name in OF_A_GATE if item]
    for name, caller in callers:
        for implementation in caller.get_hookimpls() if caller else ():
            place = origin(implementation.function)
            if place not in CORE:
                found.setdefault(place, set()).add(name)
    return {place: sorted(names) for place, names in sorted(found.items())}


def _hook_of(item: pytest.Item | None, name: str) -> Any:
    """Find the implementations that pytest calls for an item: not those of a conftest that does not govern it."""
    caller = getattr(item.ihook, name, None) if item else None
    # Older versions of pytest wrap some of these, which hides the implementations.
    whole = getattr(item.config.pluginmanager.hook, name, None) if item else None
    return caller if hasattr(caller, "get_hookimpls") else whole


def fixture_origins(item: pytest.Item) -> dict[str, str]:
    """Name, for each fixture of a gate, requested or automatic, where the definition in force lies."""
    info = getattr(item, "_fixtureinfo", None)
    # `request.getfixturevalue` leaves its trace in the request alone.
    used = dict(getattr(getattr(item, "_request", None), "_fixture_defs", {}))
    # The last definition is the one nearest to the gate, which pytest uses.
    used |= {name: found[-1] for name, found in info.name2fixturedefs.items()} if info else {}
    return {name: origin(definition.func) for name, definition in sorted(used.items())}


def automatic_fixtures(item: pytest.Item) -> list[str]:
    """List the fixtures of a gate that nothing asks for: neither it, nor a fixture that it asks for."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return []
    known = info.name2fixturedefs
    todo = [*info.argnames, *item.config.getini("usefixtures")]
    todo += [name for mark in item.iter_markers("usefixtures") for name in mark.args]
    # Those that a gate asked for while it ran.
    todo += getattr(getattr(item, "_request", None), "_fixture_defs", {}).keys() - known.keys()
    asked = set[str]()
    while todo:
        if (name := todo.pop()) not in asked:
            asked.add(name)
            todo += (wanted for definition in known.get(name, ()) for wanted in definition.argnames)
    return sorted(known.keys() - asked)


@functools.cache
def origin(function: Callable[..., Any]) -> str:
    """Name the installed package that a function comes from, or the path of its file.

    Of a function that wraps another, the least trusted of both counts: either can do what the other claims to.
    """
    layers = [layer.__code__.co_filename for layer in _layers(function) if hasattr(layer, "__code__")]
    if not layers:
        return f"{type(function).__module__}.{type(function).__qualname__}"
    return min(map(_ranked, layers))[1]


def foreign_files(function: Any) -> set[str]:
    """List the files of a function, and of what it wraps, that belong to nothing installed."""
    files = {os.path.realpath(layer.__code__.co_filename) for layer in _layers(function) if hasattr(layer, "__code__")}
    return {file for file in files if foreign(file)}


def _layers(function: Any) -> Iterator[Any]:
    """A function and what it wraps, from the outside inwards."""
    seen: list[Any] = []
    while function is not None and not any(function is layer for layer in seen):
        seen.append(function)
        yield function
        inner = function.func if isinstance(function, functools.partial) else getattr(function, "__func__", None)
        function = inner or getattr(function, "__wrapped__", None)


def _ranked(file: str) -> tuple[int, str]:
    if os.path.realpath(file).startswith(f"{PACKAGE}{os.sep}"):
        return Kind.LIBRARY, PACKAGE.name
    place = installed().place(file)
    if place.kind in (Kind.STRANGER, Kind.EDITABLE):
        # Compiled from text, which may be called like an installed package.
        return Kind.STRANGER, os.path.realpath(file) if os.path.isabs(file) else f"<{file.strip('<>')}>"
    # A decorator of the standard library says nothing about what it decorates.
    core = place.name in CORE or place.kind is Kind.LIBRARY
    return place.kind + core, place.name
