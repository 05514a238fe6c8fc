"""Whether the model directory holds what was packed, and nothing else."""

import pytest

from pytest_modelgates import Candidate, Gate


@pytest.mark.hard
@pytest.mark.gate("integrity.required_files")
def test_required_files(candidate: Candidate, gate: Gate) -> None:
    """The fixed set of regular files is there, and nothing besides."""
    gate.check_none(candidate.missing_files())


@pytest.mark.hard
@pytest.mark.gate("integrity.sha256")
def test_sha256(candidate: Candidate, gate: Gate) -> None:
    """Every file has the size and the digest that the manifest lists."""
    gate.check_none(candidate.changed_files())


@pytest.mark.hard
@pytest.mark.gate("integrity.onnx_is_sound")
def test_onnx_is_sound(candidate: Candidate, gate: Gate) -> None:
    """The ONNX file is well-formed, holds all its data, and uses allowed operators only."""
    gate.check_none(candidate.soundness_problems(gate.policy.onnx.domains))
