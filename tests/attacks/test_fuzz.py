"""Bytes that nobody wrote on purpose: whatever they are, an answer comes, in time, and is not a traceback."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_modelgates.cli import main
from pytest_modelgates.errors import ModelgatesError
from pytest_modelgates.model.directory import MANIFEST
from pytest_modelgates.serving.adapter import Adapter
from tests.attacks.test_attacks import in_time, reseal

HERE = Path(__file__).parent
SEED = 20261123

# Where, how many bytes go, and what comes in their place.
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=9)), min_size=1, max_size=4)
# Words that mean something to a reader of JSON.
WORDS = st.sampled_from(
    [
        b"NaN",
        b"1e999",
        b"-1",
        b"true",
        b"null",
        b"[]",
        b"{}",
        b'""',
        b'"',
        b"\\",
        b"\\ud800",
        b"\xff",
        b"\x00",
        b"9" * 700,
    ]
)
PUT_IN = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), WORDS), min_size=1, max_size=3)


def changed(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Apply changes, one after the other."""
    for place, gone, come in changes:
        at = int(place * len(content))
        content = content[:at] + come + content[at + gone :]
    return content


def answer_is_given(model: Path, name: str, content: bytes) -> None:
    """Verify the model and load it to serve, and find neither a traceback nor a hang."""
    original, manifest = (model / name).read_bytes(), (model / MANIFEST).read_bytes()
    (model / name).write_bytes(content)
    if name != MANIFEST:
        reseal(model, name)
    try:
        with in_time(5):
            assert main(["verify", str(model)]) in (0, 1)
            with suppress(ModelgatesError):
                Adapter(model / "model.onnx", arm="shadow")
    finally:
        (model / name).write_bytes(original)
        (model / MANIFEST).write_bytes(manifest)


def fuzz(name: str, times: int) -> Callable[[Path], None]:
    """A search of some length over the bytes of a file."""

    def search(model: Path) -> None:
        @settings(max_examples=times, suppress_health_check=[HealthCheck.too_slow])
        @given(changes=CHANGES | PUT_IN)
        def spoil(changes: list[tuple[float, int, bytes]]) -> None:
            answer_is_given(model, name, changed((model / name).read_bytes(), changes))

        spoil()

    return search


@pytest.mark.parametrize("name", [MANIFEST, "sidecar.json"])
def test_json_of_any_bytes_is_answered(good_model: Path, name: str) -> None:
    fuzz(name, 150)(good_model)


@pytest.mark.slow
@pytest.mark.parametrize("name", [MANIFEST, "sidecar.json"])
def test_json_of_many_bytes_is_answered(good_model: Path, name: str) -> None:
    fuzz(name, 3000)(good_model)


def ends(model: Path, times: int) -> dict[str, int]:
    """How reading spoiled ONNX files ended."""
    command = [sys.executable, HERE / "spoiled_onnx.py", model, str(times), str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=model.parent)
    found: dict[str, int] = json.loads(done.stdout)
    print(found)
    return found


@pytest.mark.integration
def test_a_spoiled_onnx_file_is_scored_or_refused(good_model: Path) -> None:
    found = ends(good_model, 150)
    assert set(found) == {"scored", "refused"}
    assert sum(found.values()) == 150


@pytest.mark.slow
def test_many_spoiled_onnx_files_are_scored_or_refused(good_model: Path) -> None:
    found = ends(good_model, 3000)
    assert set(found) == {"scored", "refused"}
    assert sum(found.values()) == 3000
