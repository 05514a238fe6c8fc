"""Somebody swaps a model's file, or flips `latest`, while it is loaded: what runs is what was hashed.

Each test first sees a naive reader fooled, so that it is known to be able to fail.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import ModelgatesError
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.scorer import Rows
from pytest_modelgates.storage.digests import sha256, tree_digest
from tests.attacks.test_attacks import in_time
from tests.support.panels import invented_panel, pack_ridge

ROW = Rows(["t|A"], np.array([[1, 0]], dtype=np.float32), [None])
BUILDS = 500
FLIPS = 30_000

SWAP = """
import os, random, sys, time
target, evil, how = sys.argv[1:]
contents = [open(path, "rb").read() for path in (evil, target)]
print("started", flush=True)
while True:
    for content in contents:
        if how == "rename":
            # Not in the model directory, where it would be refused as an unexpected file.
            with open(evil + ".next", "wb") as file:
                file.write(content)
            os.replace(evil + ".next", target)
        else:
            with open(target, "r+b") as file:
                file.write(content)
        time.sleep(random.random() / 1000)
"""

FLIP = """
import os, sys
models, times, *ids = sys.argv[1:]
os.chdir(models)
print("started", flush=True)
for flip in range(int(times)):
    os.symlink(ids[flip % 2], ".latest")
    os.replace(".latest", "latest")
"""


@contextmanager
def beside(script: str, *words: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a script in a process of its own while the body runs."""
    command = [sys.executable, "-c", script, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        try:
            yield process
        finally:
            process.kill()


def turned(content: bytes) -> bytes:
    """The same model with the opposite score, of the same size."""
    model = onnx.load_model_from_string(content)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(-values, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "coefficients":
                attribute.floats[:] = [-value for value in attribute.floats]
    return bytes(model.SerializeToString())


def naive_score(path: Path, digest: str) -> float | None:
    """Hash the file, then load it by its path."""
    if sha256(path.read_bytes()) != digest:
        return None
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    return float(session.run(None, {entry.name: np.float32([[1, 0]])})[0].ravel()[0])


@pytest.mark.parametrize("how", ["rename", "in-place"])
def test_a_swapped_file_is_never_loaded(good_model: Path, tmp_path: Path, how: str) -> None:
    path, evil = good_model / "model.onnx", tmp_path / "evil.onnx"
    content = path.read_bytes()
    evil.write_bytes(turned(content))
    assert evil.stat().st_size == len(content)
    naive: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    with beside(SWAP, path, evil, how), in_time(120):
        while not naive["fooled"]:
            try:
                score = naive_score(path, sha256(content))
            except Exception:  # ONNX Runtime's own, on half a file
                score = None
            naive["refused" if score is None else "fooled" if score < 0 else "loaded"] += 1
        while sum(ours.values()) < BUILDS or not ours["loaded"]:
            try:
                with Adapter(path, arm="shadow", artifacts=Artifacts(tmp_path / "log")) as adapter:
                    (record,) = adapter.score(ROW)
            except ModelgatesError:
                ours["refused"] += 1
                continue
            assert record.prediction is not None
            ours["fooled" if record.prediction < 0 else "loaded"] += 1
    print(how, dict(naive), dict(ours))
    assert ours["fooled"] == 0


def naive_pair(latest: Path) -> tuple[str, str]:
    """Read two files, each through the link."""
    model = sha256((latest / "model.onnx").read_bytes())
    return model, str(json.loads((latest / "manifest.json").read_bytes())["files"]["model.onnx"]["sha256"])


def test_through_flips_of_latest_no_reader_gets_files_of_two_models(good_model: Path, tmp_path: Path) -> None:
    models = good_model.parent
    other = pack_ridge(models.parent, invented_panel(seed=2))
    content = turned((other / "model.onnx").read_bytes())
    (other / "model.onnx").write_bytes(content)
    manifest = json.loads((other / "manifest.json").read_bytes())
    manifest["files"]["model.onnx"]["sha256"] = sha256(content)
    (other / "manifest.json").write_text(json.dumps(manifest))
    digests = {(directory.name, tree_digest(directory)) for directory in (good_model, other)}
    (models / "latest").symlink_to(good_model.name)
    (models / "latest.onnx").symlink_to("latest/model.onnx")
    naive: Counter[str] = Counter()
    ours: Counter[tuple[str, str, bool]] = Counter()
    with beside(FLIP, models, FLIPS, other.name, good_model.name) as flips:
        while flips.poll() is None:
            for _ in range(20):
                model, listed = naive_pair(models / "latest")
                naive["whole" if model == listed else "mixed"] += 1
            with Adapter(models / "latest.onnx", arm="live", artifacts=Artifacts(tmp_path / "log")) as adapter:
                (record,) = adapter.score(ROW)
            ours[adapter.model_id, adapter.digest, (record.prediction or 0) > 0] += 1
    print(dict(naive), dict(ours))
    assert naive["mixed"] > 0
    assert set(ours) == {(model_id, digest, model_id == good_model.name) for model_id, digest in digests}
