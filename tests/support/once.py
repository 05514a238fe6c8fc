"""Fixtures that a whole run builds once, whichever of its workers comes first."""

import fcntl
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

Result = TypeVar("Result")


def once(request: pytest.FixtureRequest, name: str, build: Callable[[Path], Result]) -> Result:
    """Build something in a folder of the whole run; of several workers of xdist one builds, the others wait for it."""
    base = request.getfixturevalue("tmp_path_factory").getbasetemp()
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / name
    folder.mkdir(exist_ok=True)
    built = folder / "built.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            built.write_bytes(pickle.dumps(build(folder)))
    result: Result = pickle.loads(built.read_bytes())
    return result
