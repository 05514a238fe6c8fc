"""ONNX files that read what they must not, or never end. The manifest lists them, so only careful reading helps."""

import os
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from pytest_modelgates import pack
from pytest_modelgates.cli import main
from pytest_modelgates.errors import PackError
from pytest_modelgates.evidence.verdict import judge
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.proving.hermetic import run_gates
from tests.attacks import hostile_models
from tests.attacks.test_attacks import everything, feed, in_time, reseal, rows_of
from tests.support.handmade import Registry, modelgates
from tests.support.panels import FEATURES, invented_panel

__all__ = ["feed"]

ROWS = [pytest.param(keys, id=name) for name, keys in rows_of("onnx").items()]
LIMITS = load_operations(None, policy=None)[0].hermetic
SECRET = np.array([[3], [4]], np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a process that reads a model, with the files that its weights may claim to lie in."""
    folder = tmp_path / "reader" / "here"
    folder.mkdir(parents=True)
    for path in (folder.parent / "secret.bin", folder / "plain.bin"):
        path.write_bytes(SECRET.tobytes())
    os.link(folder.parent / "secret.bin", folder / "second-name.bin")
    (folder / "link.bin").symlink_to("../secret.bin")
    (folder / "linked").symlink_to("..")
    os.mkfifo(folder / "pipe.bin")
    monkeypatch.chdir(folder)
    return folder


def replace(registry: Registry, model: onnx.ModelProto) -> Path:
    """Put an ONNX file into the candidate's directory, and into its manifest."""
    directory = registry.artifacts.model(registry.candidate)
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    reseal(directory, "model.onnx")
    return directory


def outside(row: dict[str, str]) -> onnx.ModelProto:
    """The model of a row."""
    return hostile_models.external(**{key: value for key, value in row.items() if key != "loads"})


@pytest.mark.parametrize("row", [row for row in ROWS if row.values[0].get("loads")])
def test_onnx_runtime_would_read_it(row: dict[str, str], folder: Path) -> None:
    """What is defended against here: hashing the file is not hashing the model."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    content = outside(row).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"features": np.ones((1, 2), np.float32)})[0], SECRET)


@pytest.mark.parametrize("row", ROWS)
def test_weights_outside_the_file_are_never_loaded(
    row: dict[str, str], folder: Path, registry: Registry, feed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = replace(registry, outside(row))
    before = everything(registry.artifacts.root)
    with in_time():
        assert main(["shadow", "--onnx", str(directory / "model.onnx"), "--csv", str(feed)]) == 1
    assert capfd.readouterr() == (
        "",
        "modelgates: model.onnx: tensor 'weights' lies outside the file (external data); "
        "pack it again, which moves such tensors inside\n",
    )
    assert everything(registry.artifacts.root) == before


@pytest.mark.parametrize("row", [row for row in ROWS if row.id != "beside-the-reader"])
def test_packing_moves_no_weights_inside_but_those_beside_the_model(row: dict[str, str], folder: Path) -> None:
    """Onnx itself sees to that, since 1.21."""
    (folder / "their.onnx").write_bytes(outside(row).SerializeToString())
    panel = invented_panel(days=4)
    with in_time(), pytest.raises(PackError, match=r"^their\.onnx: not an ONNX model that can be read \(.+\)\n"):
        pack(
            "their.onnx",
            panel.assign(reference=0.0),
            features=FEATURES,
            horizon=1,
            trained_until=panel["time"].min().date(),
            changes="theirs",
            artifacts=folder / "artifacts",
        )
    assert not (folder / "artifacts").exists()


UNSOUND = [
    pytest.param(hostile_models.external("plain.bin"), "tensor 'weights' lies outside the file (external data)"),
    pytest.param(hostile_models.foreign(), "operator domain 'com.microsoft' is not allowed"),
    pytest.param(hostile_models.unknown(), "operator domain 'org.evil' is not allowed"),
]


@pytest.mark.integration
@pytest.mark.parametrize(("model", "says"), UNSOUND, ids=["outside", "foreign-operator", "unknown-operator"])
def test_the_gates_refuse_it(
    model: onnx.ModelProto, says: str, folder: Path, registry: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = replace(registry, model)
    policy = load_policy(None)
    stored = run_gates(directory, policy, LIMITS, policy_file=None, root=folder, selection=("-m", "integrity"))
    verdicts = {gate.gate: judge(gate, policy)[0] for gate in stored.report.modelgates.models[directory.name].gates}
    assert verdicts == {
        "integrity.required_files": "passed",
        "integrity.sha256": "passed",
        "integrity.onnx_is_sound": "failed",
    }
    assert says in capfd.readouterr().out


GREEDY = [
    pytest.param(
        hostile_models.huge(),
        "memory_gib = 5\nminutes = 5",
        # The one version when it loads the model and computes what is constant, the other when it scores.
        r"ONNX Runtime cannot (load it|score these rows) \(.*(bad_alloc|Failed to allocate memory)",
        id="memory",
    ),
    pytest.param(
        hostile_models.endless(),
        "memory_gib = 5\nminutes = 0.25",
        r"modelgates: the gates ran longer than 0\.25 minutes and had to be stopped; raise \[hermetic\] minutes",
        id="time",
    ),
]


@pytest.mark.integration
@pytest.mark.parametrize(("model", "limits", "says"), GREEDY)
def test_a_greedy_model_ends_in_a_clear_failure(
    model: onnx.ModelProto, limits: str, says: str, registry: Registry, tmp_path: Path
) -> None:
    directory = replace(registry, model)
    registry.policy_file.with_name("operations.toml").write_text(f"[hermetic]\n{limits}\n")
    before = registry.state()
    done = modelgates("gate", directory, cwd=registry.artifacts.root, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert re.search(says, said), said
    # So it was the model that was stopped, not the start of the run.
    assert "test_ablation.py" in said
    assert "Traceback" not in said
    assert registry.state() == before
