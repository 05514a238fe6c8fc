"""Fixtures that tests of several rooms share."""

import gc
import shutil
from pathlib import Path

import pytest

from tests.support.buckets import machine, seaweedfs, some_models, wire
from tests.support.handmade import empty_registry, first_promotion, registry
from tests.support.once import once
from tests.support.panels import pack_ridge

__all__ = ["empty_registry", "first_promotion", "machine", "registry", "seaweedfs", "some_models", "wire"]


@pytest.fixture(scope="session")
def packed_once(request: pytest.FixtureRequest) -> Path:
    """A good model directory that no test may change."""
    return once(request, "packed", lambda folder: pack_ridge(folder / "artifacts"))


@pytest.fixture
def good_model(packed_once: Path, tmp_path: Path) -> Path:
    """A copy of a good model directory in an artifacts root of its own."""
    copy = tmp_path / "artifacts" / "models" / packed_once.name
    shutil.copytree(packed_once, copy)
    (tmp_path / "artifacts" / "latest_id.txt").write_text(f"{copy.name}\n")
    return copy


@pytest.fixture(scope="session", autouse=True)
def imports_set_aside() -> None:
    """Set what was imported aside: a pytest inside a test collects garbage, and would look at all this each time."""
    gc.collect()
    gc.freeze()
