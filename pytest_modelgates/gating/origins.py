"""Whose code can change what a run says: hooks and fixtures, by where they were defined."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..evidence.trust import CORE, PACKAGE

# Hooks whose implementations can alter which gates run, how, and what is reported of them.
ALTERING = (
    "pytest_cmdline_main",
    "pytest_collect_directory",
    "pytest_collect_file",
    "pytest_collection",
    "pytest_collection_modifyitems",
    "pytest_fixture_setup",
    "pytest_generate_tests",
    "pytest_ignore_collect",
    "pytest_itemcollected",
    "pytest_json_modifyreport",
    "pytest_make_collect_report",
    "pytest_pycollect_makeitem",
    "pytest_pycollect_makemodule",
    "pytest_pyfunc_call",
    "pytest_report_from_serializable",
    "pytest_report_to_serializable",
    "pytest_runtest_call",
    "pytest_runtest_logreport",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "pytest_sessionstart",
)


def third_party_hooks(config: pytest.Config) -> dict[str, list[str]]:
    """List the code, besides pytest and this package, that implements a hook which can alter a run.

    Returns
    -------
    dict of str to list of str
        Origin to names of hooks: an installed package by its import name, anything else by its path.
    """
    found: dict[str, set[str]] = {}
    for name in ALTERING:
        # Not config.hook: older versions of pytest wrap some of its hooks, which hides their implementations.
        caller = getattr(config.pluginmanager.hook, name, None)
        for implementation in caller.get_hookimpls() if caller else ():
            place = origin(implementation.function)
            if place not in CORE:
                found.setdefault(place, set()).add(name)
    return {place: sorted(names) for place, names in sorted(found.items())}


def fixture_origins(item: pytest.Item) -> dict[str, str]:
    """Name, for each fixture of a gate, requested or automatic, where the definition in force lies."""
    info = getattr(item, "_fixtureinfo", None)
    definitions = info.name2fixturedefs if info else {}
    # The last definition is the one nearest to the gate, which pytest uses.
    return {name: origin(found[-1].func) for name, found in sorted(definitions.items())}


@functools.cache
def origin(function: Callable[..., Any]) -> str:
    """Name the installed package that a function comes from, or the path of its file."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    while isinstance(plain, functools.partial):
        plain = plain.func
    code = getattr(plain, "__code__", None)
    if code is None:
        return f"{type(plain).__module__}.{type(plain).__qualname__}"
    path = Path(code.co_filename).resolve()
    if path.is_relative_to(PACKAGE):
        return PACKAGE.name
    for folder in ("site-packages", "dist-packages"):
        if folder in path.parts[:-1]:
            return path.parts[path.parts.index(folder) + 1].removesuffix(".py")
    # The same form as in the ledger's suite: its folder and its name, wherever the repository lies.
    return f"{path.parent.name}/{path.name}"
