"""Whether sidecar, panel and ONNX model speak of the same columns."""

import pytest

from pytest_modelgates import Candidate, Gate, Panel, schema_crc32, sidecar_crc32


@pytest.mark.hard
@pytest.mark.gate("schema.crc32")
def test_crc32(candidate: Candidate, panel: Panel, gate: Gate) -> None:
    """The sidecar's checksum is that of its features, of the panel's columns, and the one in the ONNX file."""
    wanted = candidate.sidecar.schema_crc32
    found = {
        "sidecar.json": sidecar_crc32(candidate.sidecar),
        "evaluation.parquet": schema_crc32(panel.schema()),
        "model.onnx": candidate.recorded_schema()[1],
    }
    gate.check_none([f"{place} has {crc}, the sidecar says {wanted}" for place, crc in found.items() if crc != wanted])


@pytest.mark.hard
@pytest.mark.gate("schema.columns")
def test_columns(candidate: Candidate, panel: Panel, gate: Gate) -> None:
    """Panel and ONNX file have the sidecar's columns in the sidecar's order."""
    recorded, _ = candidate.recorded_schema()
    offenders = panel.column_problems()
    if recorded != candidate.sidecar.names:
        offenders.append(f"model.onnx was packed for {recorded}, the sidecar lists {candidate.sidecar.names}")
    gate.check_none(offenders)


@pytest.mark.hard
@pytest.mark.gate("schema.dtypes")
def test_dtypes(panel: Panel, gate: Gate) -> None:
    """Every feature column of the panel has the dtype that the sidecar gives it."""
    gate.check_none(panel.dtype_problems())


@pytest.mark.hard
@pytest.mark.gate("schema.onnx_inputs")
def test_onnx_inputs(candidate: Candidate, gate: Gate) -> None:
    """The model takes the sidecar's features: as one matrix, or one input each."""
    gate.check_none(candidate.model.input_problems())
